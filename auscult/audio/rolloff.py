"""Spectral roll-off: the frequency below which a share of the magnitudes lies, in the conventions in use.

It is a statistic to condition on, not a bandwidth: white noise behind Butterworth 2 at 4 kHz has its 98.5 % roll-off
at 8.3 kHz, music with nothing above 8 kHz at 3.5 kHz. Where a recording's band ends says
:func:`auscult.audio.band.band_edge`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from auscult.audio.stft import extend, window_of

N_FFT, HOP = 2048, 512
_BLOCK = 256
"""Frames transformed at once."""


@dataclass(frozen=True)
class Reading:
    """One roll-off: bin of the STFT, frequency in Hz, and bin over the number of bins (0 to below 1)."""

    bin: int
    hz: float
    ratio: float


@dataclass(frozen=True)
class RollOff:
    """The bin at which the cumulative magnitude of the long-term spectrum reaches ``share`` of the total.

    Magnitudes (not powers) of an STFT of 2048 samples every 512 (periodic Hann, ends reflected) are summed over time.
    ``edge`` is the bin taken: the ``first_reached`` is librosa's rule, the ``last_below`` one bin lower. Silence has
    roll-off 0.
    """

    share: float = 0.985
    edge: Literal["first_reached", "last_below"] = "first_reached"

    def of(self, wave: Float[ndarray, " T"], rate_hz: int) -> Reading:
        """The roll-off of a whole signal of at least one sample."""
        at = int(self._bins(long_term_magnitude(wave)[None])[0])
        return Reading(at, at * rate_hz / N_FFT, at / (N_FFT // 2 + 1))

    def frames(self, wave: Float[ndarray, " T"], rate_hz: int) -> Float[ndarray, " N"]:
        """Roll-off in Hz of every frame, as librosa gives it."""
        bins = np.concatenate([self._bins(block) for block in _magnitudes(wave)])
        return bins * (rate_hz / N_FFT)

    def _bins(self, magnitude: Float[ndarray, "N F"]) -> Int[ndarray, " N"]:
        running = np.cumsum(magnitude, axis=1)
        below = (running < self.share * running[:, -1:]).sum(axis=1)
        return below if self.edge == "first_reached" else np.maximum(below - 1, 0)


LIBROSA = RollOff(0.85)
"""``librosa.feature.spectral_rolloff`` (per frame: :meth:`RollOff.frames`)."""
FIRST_REACHED = RollOff(0.985)
"""librosa's rule at 98.5 % of the long-term spectrum."""
LAST_BELOW = RollOff(0.985, "last_below")
"""AudioSR and SAGA-SR, which condition on ``ratio``: bin / 1025."""
NVSR = RollOff(0.97, "last_below")
"""ssr_eval (NVSR): where its low-frequency replacement begins."""


def long_term_magnitude(wave: Float[ndarray, " T"]) -> Float[ndarray, " F"]:
    """|STFT| summed over time."""
    total = np.zeros(N_FFT // 2 + 1)
    for block in _magnitudes(wave):
        total += block.sum(axis=0)
    return total


def _magnitudes(wave: ndarray) -> Iterator[ndarray]:
    """|STFT|, frames before bins, a block of frames at a time."""
    half, window = N_FFT // 2, window_of("hann", N_FFT)
    frames = np.lib.stride_tricks.sliding_window_view(extend(wave.astype(np.float64), half, half), N_FFT)[::HOP]
    for start in range(0, len(frames), _BLOCK):
        yield np.abs(np.fft.rfft(frames[start : start + _BLOCK] * window))
