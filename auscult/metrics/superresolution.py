"""What super-resolution has to reach beside LSD: the roll-off of the target, and a low band left as it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from auscult.audio.rolloff import HOP, LAST_BELOW, N_FFT
from auscult.audio.stft import window_of
from auscult.metrics.base import Metric, MetricFailure, Signals
from auscult.metrics.spectral import given_edge, power_of

_LOWEST_HZ, _BELOW_CUTOFF = 100.0, 0.8
_FLOOR = 1e-6
"""Bands are taken to be at least 60 dB under the strongest."""


@final
class RollOffError(Metric):
    """Distance of the estimate's roll-off from that of clean; a roll-off is no bandwidth (noise moves it)."""

    name, unit, higher_is_better, matters = "rolloff_error", "Hz", False, 200.0
    source = "AudioSR, SAGA-SR: 98.5 % of the magnitudes summed over time, 2048/512 at the file's rate, last bin below"

    def _score(self, signals: Signals) -> float:
        if signals.estimate.size < N_FFT:
            raise MetricFailure(f"shorter than one frame of {N_FFT} samples")
        clean, estimate = (LAST_BELOW.of(wave, signals.rate_hz).hz for wave in (signals.reference(), signals.estimate))
        return abs(estimate - clean)


@final
@dataclass(frozen=True)
class LowBandDeviation(Metric):
    """How far the estimate's low band is from the given one: 0.1 dB is kept, 1 dB is not. Deaf to phase.

    The cut-off is ``cutoff_hz``, or the band edge of the noisy signal where it is None.
    """

    name, unit, higher_is_better, matters, needs = "low_band_deviation", "dB", False, 0.1, ("noisy",)
    source = (
        "largest difference to noisy of a third octave's level, from 100 Hz to 0.8 of cutoff_hz or else of the "
        "measured band edge of noisy; long-term power, 2048/512 at the file's rate, down to 60 dB under the strongest"
    )
    cutoff_hz: float | None = None

    def _score(self, signals: Signals) -> float:
        assert signals.noisy is not None
        cutoff_hz = signals.once(given_edge) if self.cutoff_hz is None else self.cutoff_hz
        edges_hz = _third_octaves(_BELOW_CUTOFF * cutoff_hz)
        if edges_hz.size < 2:
            raise MetricFailure(f"no third octave from {_LOWEST_HZ:g} Hz to {_BELOW_CUTOFF:g} of the cut-off")
        given, estimate = (_band_powers(wave, signals.rate_hz, edges_hz) for wave in (signals.noisy, signals.estimate))
        floor = _FLOOR * given.max()
        return float(np.abs(10 * np.log10(np.maximum(estimate, floor) / np.maximum(given, floor))).max())


def _third_octaves(up_to_hz: float) -> Float[ndarray, " E"]:
    """Edges of the bands that end at or below a frequency."""
    count = int(np.floor(3 * np.log2(max(up_to_hz / _LOWEST_HZ, 1.0)) + 1e-9))
    return _LOWEST_HZ * 2.0 ** (np.arange(count + 1) / 3)


def _band_powers(wave: Float[ndarray, " T"], rate_hz: int, edges_hz: Float[ndarray, " E"]) -> Float[ndarray, " M"]:
    """Long-term power between neighbouring edges, bins shared where an edge cuts them."""
    power = power_of(wave, N_FFT, HOP, window_of("hann", N_FFT)).sum(axis=0)
    width_hz = rate_hz / N_FFT
    borders_hz = (np.arange(power.size + 1) - 0.5) * width_hz
    return np.diff(np.interp(edges_hz, borders_hz, np.append(0.0, np.cumsum(power))))
