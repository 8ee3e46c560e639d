"""Low-frequency replacement: below a splice, what was given; above it, what was generated.

A model that extends the band also rewrites the band that was there. Replacement puts the given samples back: every
frame of an STFT is w(f) given + (1 - w(f)) generated, with one weight per bin for the whole file and all channels, so
that neither time nor the stereo image moves. Where the splice lies decides how it sounds. The roll-off of a gently
filtered input lies far inside its transition band, 20 dB down: a splice there leaves a dark gap under a bright edge,
heard as a line. So the fade may lie below the *knee* instead, the highest frequency at which the long-term spectra of
both signals still agree. Where the given signal is digital silence, nothing is generated: a model hears none in it and
answers with hiss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Float64
from numpy import ndarray

from auscult.audio.stft import STFT, Analysis, Synthesis
from auscult.errors import RestorationError

Wave = Float32[ndarray, "C _"]
Splice = Literal["knee", "hard", "cosine", "none"]
"""Where the fade lies: below the knee, cut hard at the input's roll-off, from 0.9 to 1.1 of it, or nowhere."""
BLOCK = 80_000
"""Samples that are read at once."""
_WINDOW_S = 2048 / 44_100
_SMOOTH_HZ = 194.0
"""Width of the box that smooths long-term spectra: 9 bins of 2048 at 44.1 kHz."""
_LEVEL_HZ = (100.0, 860.0)
"""Where the two signals are taken to agree: their median difference there is a difference of level."""
_DROP_DB = 1.5
_RUN_HZ = 129.0
"""How wide the given signal must lie under the generated one: 6 bins of 2048 at 44.1 kHz."""
_POWER_FLOOR = 1e-12
_SILENCE_DBFS = -160.0
"""Far under the last bit of 24: no sound was recorded there, whatever gain followed."""
_DC_BINS = 2
"""An offset is no sound either: a Hann window spreads it over so many bins."""
FADE_BELOW_KNEE = 0.8
FADE_ACROSS = (0.9, 1.1)


@dataclass(frozen=True)
class Fade:
    """A splice: given below ``low_hz``, generated from ``high_hz``, a raised cosine between; equal edges cut hard.

    Raises:
        RestorationError: edges that are negative or in the wrong order.
    """

    low_hz: float
    high_hz: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.low_hz <= self.high_hz:
            raise RestorationError(
                f"a fade from {self.low_hz:g} to {self.high_hz:g} Hz; give 0 <= low <= high, equal edges for a hard cut"
            )

    def weights(self, bins_hz: Float[ndarray, " F"]) -> Float[ndarray, " F"]:
        """The share of the given signal in each bin."""
        if self.low_hz == self.high_hz:
            return (bins_hz < self.low_hz).astype(np.float64)
        place = np.clip((bins_hz - self.low_hz) / (self.high_hz - self.low_hz), 0.0, 1.0)
        return 0.5 + 0.5 * np.cos(np.pi * place)


OFF = Fade(0.0, 0.0)
"""Nothing is replaced."""


def hard(at_hz: float) -> Fade:
    """All below ``at_hz`` replaced, nothing from there up: NVSR, AudioSR and SAGA-SR cut so at the roll-off."""
    return Fade(at_hz, at_hz)


def across(at_hz: float) -> Fade:
    """A cross-fade from 0.9 to 1.1 of ``at_hz``."""
    return Fade(FADE_ACROSS[0] * at_hz, FADE_ACROSS[1] * at_hz)


def below(knee_hz: float) -> Fade:
    """A cross-fade that is over at the knee and begins at 0.8 of it."""
    return Fade(FADE_BELOW_KNEE * knee_hz, knee_hz)


def fade_of(splice: Splice, knee_hz: float, rolloff_hz: float) -> Fade:
    """The fade of a way to splice, by what was measured."""
    return {"knee": below(knee_hz), "hard": hard(rolloff_hz), "cosine": across(rolloff_hz), "none": OFF}[splice]


def transform(rate_hz: int) -> STFT:
    """The STFT of replacement: Hann windows of about 46 ms, a power of two long (2048 at 44.1 and 48 kHz)."""
    n_fft = 2 ** max(6, round(np.log2(_WINDOW_S * rate_hz)))
    return STFT(n_fft, n_fft // 4, "hann")


class _Frames:
    """The frames of two aligned streams, as they become complete."""

    def __init__(self, stft: STFT):
        self._sides = [Analysis(stft) for _ in range(2)]
        self.samples, self._given = 0, 0

    def push(self, given: Wave, generated: Wave) -> list[ndarray]:
        _check_aligned(given, generated)
        self.samples += given.shape[1]
        return self._counted([side.push(wave) for side, wave in zip(self._sides, (given, generated), strict=True)])

    def finish(self) -> list[ndarray]:
        return self._counted([side.finish(self.samples, self._given) for side in self._sides])

    def _counted(self, frames: list[ndarray]) -> list[ndarray]:
        self._given += frames[0].shape[1]
        return frames


class Replacement:
    """Two aligned streams in, the spliced one out, at constant memory; however they are cut, equal to the whole."""

    def __init__(self, fade: Fade, rate_hz: int, channels: int):
        stft = transform(rate_hz)
        self._frames, self._synthesis = _Frames(stft), Synthesis(stft, channels)
        self._weights = fade.weights(np.fft.rfftfreq(stft.n_fft, 1 / rate_hz)).astype(np.float32)
        # Parseval: a tone of RMS r has a spectrum of energy r^2 sum(w^2) n / 2 over the bins of one side.
        self._least = 10 ** (_SILENCE_DBFS / 10) * float(np.square(stft.taper).sum()) * stft.n_fft / 2

    def push(self, given: Wave, generated: Wave) -> Wave:
        """The samples that these blocks complete.

        Raises:
            RestorationError: the blocks differ in shape.
        """
        return self._spliced(*self._frames.push(given, generated))

    def finish(self) -> Wave:
        """The rest, so that as many samples come out as went in."""
        ready = self._spliced(*self._frames.finish())
        return np.concatenate([ready, self._synthesis.finish(self._frames.samples)], axis=1)

    def _spliced(self, given: ndarray, generated: ndarray) -> Wave:
        heard = given[..., _DC_BINS:]
        sounds = np.square(np.abs(heard), dtype=np.float64).sum(axis=-1, keepdims=True) > self._least
        generated = np.where(sounds, generated, 0)
        return self._synthesis.push(generated + self._weights * (given - generated))


class KneeMeter:
    """Long-term spectra of two aligned streams, all channels summed, and the knee they tell."""

    def __init__(self, rate_hz: int):
        stft = transform(rate_hz)
        self._rate_hz, self._frames = rate_hz, _Frames(stft)
        self._powers = np.zeros((2, stft.n_fft // 2 + 1))

    def push(self, given: Wave, generated: Wave) -> None:
        """The next samples of both.

        Raises:
            RestorationError: the blocks differ in shape.
        """
        self._add(self._frames.push(given, generated))

    def finish(self) -> float:
        """The knee in Hz; infinite where the given signal falls short nowhere, so that all of it is kept."""
        self._add(self._frames.finish())
        return knee_of(self._powers[0], self._powers[1], self._rate_hz)

    def _add(self, frames: list[ndarray]) -> None:
        self._powers += [np.square(np.abs(side), dtype=np.float64).sum(axis=(0, 1)) for side in frames]


def knee_of(given: Float64[ndarray, " F"], generated: Float64[ndarray, " F"], rate_hz: int) -> float:
    """The highest frequency in Hz up to which two long-term power spectra agree; infinite where they always do.

    Both are smoothed over 194 Hz; D = 10 log10(given / generated), less its median from 0.1 to 0.86 kHz. The knee is
    where D first stays under -1.5 dB for 129 Hz.
    """
    width_hz = rate_hz / 2 / (given.size - 1)
    box, run = (max(1, round(span_hz / width_hz)) for span_hz in (_SMOOTH_HZ, _RUN_HZ))
    floor = _POWER_FLOOR * max(float(given.max()), float(generated.max()), np.finfo(np.float64).tiny)
    levels = [10 * np.log10(np.maximum(_boxed(side, box), floor)) for side in (given, generated)]
    difference = levels[0] - levels[1]
    first, last = (round(edge_hz / width_hz) for edge_hz in _LEVEL_HZ)
    low = difference - np.median(difference[first : last + 1]) < -_DROP_DB
    runs = np.convolve(low[first:], np.ones(run), "valid") == run
    return float((first + np.argmax(runs)) * width_hz) if runs.any() else np.inf


def replace(given: Wave, generated: Wave, rate_hz: int, fade: Fade | None = None) -> tuple[Wave, Fade]:
    """A whole signal with its low band back, and the splice that was used: without ``fade``, below the knee.

    Raises:
        RestorationError: the signals differ in shape.
    """
    fade = below(measured_knee(given, generated, rate_hz)) if fade is None else fade
    stream = Replacement(fade, rate_hz, given.shape[0])
    parts = [stream.push(*blocks) for blocks in _blocks(given, generated)]
    return np.concatenate([*parts, stream.finish()], axis=1), fade


def measured_knee(given: Wave, generated: Wave, rate_hz: int) -> float:
    """The knee of whole signals in Hz, for a splice of all their channels.

    Raises:
        RestorationError: the signals differ in shape.
    """
    meter = KneeMeter(rate_hz)
    for blocks in _blocks(given, generated):
        meter.push(*blocks)
    return meter.finish()


def _blocks(given: Wave, generated: Wave) -> Iterator[tuple[Wave, Wave]]:
    _check_aligned(given, generated)
    for start in range(0, given.shape[1], BLOCK):
        yield given[:, start : start + BLOCK], generated[:, start : start + BLOCK]


def _boxed(power: ndarray, width: int) -> ndarray:
    """Moving mean over ``width`` bins, fewer at the ends."""
    box = np.ones(width)
    return np.convolve(power, box, "same") / np.convolve(np.ones_like(power), box, "same")


def _check_aligned(given: Wave, generated: Wave) -> None:
    if given.shape != generated.shape:
        raise RestorationError(
            f"replacement needs signals of one shape, not {given.shape} given and {generated.shape} generated; "
            "resample the given one to the rate of the generated one first"
        )
