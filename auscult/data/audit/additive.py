"""Whether ``noisy = gain * clean + noise`` holds: the gain by band and by moment, and on which side the noise is.

The regression of the noisy on the clean signal is unbiased by independent noise, so an additive mixture has one real
gain in all bands and moments; a room, a sensor or a codec has not. If the sides are exchanged, the regression is a
Wiener filter instead, and that of clean on noisy has the flat gain.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import sqrt

import numpy as np
from jaxtyping import Complex64, Float32
from numpy import ndarray

from auscult.units import to_db

_WINDOW_S = 0.032
_FROM_HZ, _ABOVE_HZ = 125.0, 60.0
_LOUD = 0.6
"""Frames of the reference above this quantile carry the gain by moments."""


@dataclass(frozen=True)
class Additive:
    """Of two signals that are aligned.

    Args:
        gain: median over loud moments of the least-squares gain; ``error`` its standard error.
        flat: share of the bands (half octaves whose gain is known to 0.15) in which the complex gain is ``gain``,
            within 12 % or three standard errors; NaN with fewer than four such bands.
        snr_db: of ``gain * reference`` against the rest.
        side: 1 where the difference belongs to ``other``, -1 where it belongs to ``reference`` (exchanged sides).
        excess_db: how much louder ``reference`` is than ``other`` in the quietest moments of ``other``, in bands in
            which loud moments agree; NaN where there is none.
    """

    gain: float
    error: float
    flat: float
    snr_db: float
    side: float
    excess_db: float


def additive(reference: Float32[ndarray, " T"], other: Float32[ndarray, " T"], rate_hz: int) -> Additive | None:
    """Fit the additive model; None of silence or less than eight frames."""
    x, y = (spectra(wave, rate_hz) for wave in (reference, other))
    if len(x) < 8 or min(float(np.abs(x).max()), float(np.abs(y).max())) < 1e-6:
        return None
    gain, error = _gain_by_moments(x, y)
    rest = y - gain * x
    difference = y - x
    energy = float(np.sum(np.abs(difference) ** 2))
    cross = sum(float(np.vdot(difference, side).real) for side in (x, y))
    return Additive(
        gain,
        error,
        _flat(x, y, gain, rate_hz),
        to_db(gain**2 * float(np.sum(np.abs(x) ** 2)) / max(float(np.sum(np.abs(rest) ** 2)), 1e-20)),
        cross / energy if energy > 1e-12 else 0.0,
        _excess_db(x, y, rate_hz),
    )


def aligned(
    reference: Float32[ndarray, " T"], other: Float32[ndarray, " T"], lag: int
) -> tuple[Float32[ndarray, " N"], Float32[ndarray, " N"]]:
    """Both with ``other`` moved forward by ``lag`` samples, cut to what they share."""
    a, b = (reference, other[lag:]) if lag >= 0 else (reference[-lag:], other)
    size = min(a.size, b.size)
    return a[:size], b[:size]


def spectra(wave: Float32[ndarray, " T"], rate_hz: int) -> Complex64[ndarray, "N F"]:
    """Spectra of frames of 32 ms, half overlapped, without what lies below 60 Hz (offsets, rumble)."""
    from scipy.fft import rfft

    size = round(_WINDOW_S * rate_hz)
    if wave.size < size:
        return np.zeros((0, size // 2 + 1), np.complex64)
    window = np.hanning(size).astype(np.float32)
    found = rfft(np.lib.stride_tricks.sliding_window_view(wave, size)[:: size // 2] * window)
    found[:, : round(_ABOVE_HZ * _WINDOW_S) + 1] = 0.0
    return found


def _gain_by_moments(x: ndarray, y: ndarray) -> tuple[float, float]:
    """Median of the gains of loud frames: frames that were lost or clipped are outvoted."""
    energy = np.sum(np.abs(x) ** 2, axis=1)
    loud = energy >= max(float(np.quantile(energy, _LOUD)), 1e-12)
    if not loud.any():
        return 0.0, 1.0
    gains = np.sum((np.conj(x) * y).real, axis=1)[loud] / energy[loud]
    middle = float(np.median(gains))
    return middle, 1.4826 * float(np.median(np.abs(gains - middle))) / sqrt(max(1, gains.size / 2)) * 1.25


def _bands(bins: int, rate_hz: int) -> list[slice]:
    """Half octaves from 125 Hz to 0.9 of half the rate."""
    edges = _FROM_HZ * 2 ** (np.arange(0, 20) / 2)
    at = np.unique(np.round(edges[edges <= 0.45 * rate_hz] / (rate_hz / 2) * (bins - 1)).astype(int))
    return [slice(a, b) for a, b in itertools.pairwise(at)]


def _flat(x: ndarray, y: ndarray, gain: float, rate_hz: int) -> float:
    hits, known = 0, 0
    for band in _bands(x.shape[1], rate_hz):
        xx, yy = (float(np.sum(np.abs(side[:, band]) ** 2)) for side in (x, y))
        if min(xx, yy) <= 1e-12:
            continue
        response = np.vdot(x[:, band], y[:, band]) / xx
        coherence = min(1.0, float(abs(response)) ** 2 * xx / yy)
        # Half of the half-overlapped frames count as independent, and so do half of the Hann window's bins.
        count = max(1.0, x[:, band].size / 4)
        error = sqrt(max(yy / xx * (1 - coherence), 0.0) / (2 * count))
        if error < 0.15 * abs(gain):
            known += 1
            hits += abs(response - gain) <= max(0.12 * abs(gain), 3 * error)
    return hits / known if known >= 4 else float("nan")


def _excess_db(x: ndarray, y: ndarray, rate_hz: int) -> float:
    """Level of ``x`` over ``y`` in the quiet frames of ``y``, median over bands whose loud frames agree in level."""
    energy = np.sum(np.abs(y) ** 2, axis=1)
    sounding = np.flatnonzero(energy > 1e-9 * energy.max())
    order = sounding[np.argsort(energy[sounding])]
    tenth = max(2, order.size // 10)
    if order.size < 10:
        return float("nan")
    excess = []
    for band in _bands(x.shape[1], rate_hz):
        loud = [float(np.mean(np.abs(side[order[-tenth:], band]) ** 2)) for side in (x, y)]
        quiet = [float(np.mean(np.abs(side[order[:tenth], band]) ** 2)) for side in (x, y)]
        if abs(to_db(loud[0]) - to_db(loud[1])) < 3.0:
            excess.append(to_db(quiet[0]) - to_db(quiet[1]))
    return float(np.median(excess)) if len(excess) >= 2 else float("nan")
