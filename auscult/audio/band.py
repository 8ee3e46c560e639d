"""The true bandwidth of a recording: where its spectrum falls off a cliff, whatever rate the file has."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from auscult.audio.stft import extend, window_of

WINDOW_S = 0.032
_LOUD = 0.9
"""Quantile over frames that stands for a bin: high, so that rare sibilants count."""
_DEPTH_DB = 100.0
"""What lies deeper under the strongest bin counts as nothing."""
_LOWEST_HZ = 1_000.0
_STEPS = 48
"""Grid points an octave."""
_THIRD = _STEPS // 3
_SMOOTH = 0.08
"""Octaves on either side over which power is averaged."""
_CLIFF_DB = 20.0
_KNEE_DB = 8.0
_FULL = 0.95
"""An edge above this share of half the rate is the rate's own."""


def band_edge(wave: Float[ndarray, " T"], rate_hz: int) -> float:
    """The frequency in Hz above which there is nothing; half the rate where the spectrum has no cliff.

    A bin's power (32 ms windows) is its 0.9 quantile over frames; the spectrum is smoothed over 0.16 octave. A cliff
    is where it falls by 20 dB or more within a third of an octave and never comes back. The edge is the upper knee of
    the deepest cliff: the highest frequency less than 8 dB under that a third of an octave below. It does not depend
    on the level. A gentle slope, such as that of a low-pass of second order, is not an edge.
    """
    grid_hz, level_db = _smoothed(*_loud_spectrum(wave, rate_hz))
    rest_db = np.maximum.accumulate(level_db[::-1])[::-1]
    above_db = np.append(rest_db[_THIRD:], np.full(_THIRD, level_db[-1]))
    drop_db = level_db - above_db
    start = int(np.argmax(drop_db))
    if drop_db[start] < _CLIFF_DB:
        return rate_hz / 2
    at = start + int(np.argmax(level_db[start:] <= level_db[start] - _CLIFF_DB))
    while at > _THIRD and level_db[at - _THIRD] - level_db[at] > _KNEE_DB:
        at -= 1
    edge_hz = float(grid_hz[at]) * 2 ** (-_SMOOTH / 2)  # smoothing moves a brick wall's knee up
    return rate_hz / 2 if edge_hz > _FULL * rate_hz / 2 else edge_hz


def _loud_spectrum(wave: ndarray, rate_hz: int) -> tuple[ndarray, ndarray]:
    """Frequencies of the bins in Hz and the power that each has in loud frames."""
    half = round(WINDOW_S * rate_hz / 2)
    padded = extend(wave.astype(np.float64), half, half)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * half)[::half]
    power = np.square(np.abs(np.fft.rfft(frames * window_of("hann", 2 * half))))
    return np.fft.rfftfreq(2 * half, 1 / rate_hz), np.quantile(power, _LOUD, axis=0)


def _smoothed(bins_hz: ndarray, power: ndarray) -> tuple[ndarray, ndarray]:
    """A logarithmic grid from 1 kHz to half the rate and the level in dB around each of its points."""
    top_hz, width_hz = bins_hz[-1], bins_hz[1]
    points = max(2 * _THIRD, int(np.log2(top_hz / _LOWEST_HZ) * _STEPS))
    grid_hz = top_hz * 2.0 ** (-np.arange(points, -1, -1) / _STEPS)
    low_hz = np.minimum(grid_hz * 2**-_SMOOTH, grid_hz - width_hz / 2)
    high_hz = np.minimum(np.maximum(grid_hz * 2**_SMOOTH, grid_hz + width_hz / 2), top_hz)
    borders_hz = np.append(-width_hz / 2, bins_hz + width_hz / 2)
    energy = np.append(0.0, np.cumsum(power) * width_hz)
    mean = np.diff(np.interp([low_hz, high_hz], borders_hz, energy), axis=0)[0] / (high_hz - low_hz)
    floor = max(power.max() * 10 ** (-_DEPTH_DB / 10), np.finfo(np.float64).tiny)
    return grid_hz, 10 * np.log10(np.maximum(mean, floor))
