"""How two signals belong together: correlation, lag, sign and gain, each against what independent signals show.

The lag is read from a whitened correlation (GCC-PHAT; Knapp & Carter 1976) over the band that both signals have: a
filter, a room or a hum on one side moves its peak little. The law of independent signals is read off the other lags:
their median, and their highest value, which clicks and periodic sounds raise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from auscult.units import to_db

_COMMON_DB = -50.0
"""Bins further below a signal's strongest ones belong to its floor: their phase says nothing."""
_SMOOTH_BINS = 101
_MOST_LAG = 0.75
"""Lags are sought up to this share of the shorter signal."""
_AROUND_S = 0.1
"""Lags so near the peak may belong to it (rooms), and are no witnesses of chance."""
RELATED, UNRELATED = 9.0, 6.5
"""Heights ``z``: above the first two signals are related (99 % of 320 independent pairs of real speech and mixtures lie
below it; the highest, of half a second, was 13.9), below the second nothing is shown."""
NEVER = 300.0
"""Stands for infinity dB, so that numbers stay numbers."""


@dataclass(frozen=True)
class Correlogram:
    """Correlations of ``reference[t]`` with ``other[t + lag]`` for lags ``-most ... most``.

    ``plain`` is normalised by both energies; ``z`` is the whitened one in standard deviations of independent signals.
    """

    plain: Float[ndarray, " lags"]
    z: Float[ndarray, " lags"]
    effective_size: float
    bandwidth: float
    """Share of the spectrum that is common to both."""

    @property
    def most(self) -> int:
        """The largest lag, samples."""
        return self.z.size // 2

    def chance(self, z: float) -> float:
        """Probability that independent signals reach ``z`` at any lag (either sign)."""
        return min(1.0, max(1.0, self.z.size * self.bandwidth) * erfc(abs(z) / sqrt(2)))


@dataclass(frozen=True)
class Relation:
    """How ``other`` relates to ``reference``.

    Args:
        correlation: normalised, at lag 0, means removed.
        peak: normalised, at ``lag_samples``; signed.
        lag_samples: where the whitened correlation is strongest; positive: ``other`` is late.
        polarity: 1, or -1 where ``other`` is turned over.
        gain: least-squares gain from ``reference`` to ``other`` at that lag.
        si_sdr_db: of ``other`` against ``reference`` at lag 0, and ``aligned_db`` at the best lag.
        effective_size: the N of the null law SI-SDR ~ 10 lg(chi2_1) - 10 lg(N) of independent signals.
        z: height of the whitened peak in standard deviations of independent signals.
        p: probability of such a peak at any lag if the two were independent.
        p_at_zero: probability of the correlation at lag 0 if they were.
    """

    correlation: float
    peak: float
    lag_samples: int
    polarity: int
    gain: float
    si_sdr_db: float
    aligned_db: float
    effective_size: float
    z: float
    p: float
    p_at_zero: float


def correlogram(
    reference: Float32[ndarray, " T"], other: Float32[ndarray, " T2"], rate_hz: int, most_lag: int | None = None
) -> Correlogram | None:
    """Both correlations up to ``most_lag`` samples; None where either is constant or below 64 samples."""
    from scipy.fft import irfft, next_fast_len, rfft

    size = min(reference.size, other.size)
    if size < 64:
        return None
    most = min(size - 1, int(_MOST_LAG * size) if most_lag is None else most_lag)
    a, b = (_centred(wave[: size + most]) for wave in (reference, other))
    energies = float(a @ a), float(b @ b)
    if min(energies) <= 1e-14 * size:
        return None
    fast = next_fast_len(max(a.size, b.size) + most, real=True)
    x, y = rfft(a, fast), rfft(b, fast)
    cross = np.conj(x) * y
    common = _sounding(x) & _sounding(y)
    whitened = irfft(np.where(common, cross / np.maximum(np.abs(cross), 1e-30), 0.0), fast)
    plain = irfft(cross, fast) / sqrt(energies[0] * energies[1])
    lags = np.r_[-most : most + 1]
    bandwidth = float(common.mean())
    z = whitened[lags] / _deviation(whitened[lags], round(_AROUND_S * rate_hz), bandwidth)
    return Correlogram(plain[lags], z, _effective_size(x, y, fast, size), bandwidth)


def relation(
    reference: Float32[ndarray, " T"], other: Float32[ndarray, " T2"], rate_hz: int, most_lag_s: float | None = None
) -> Relation | None:
    """How two signals belong together; None where either is silent.

    Args:
        most_lag_s: lags that are sought; by default three quarters of the shorter signal.
    """
    found = correlogram(reference, other, rate_hz, None if most_lag_s is None else round(most_lag_s * rate_hz))
    return None if found is None else read_off(found, reference, other)


def read_off(found: Correlogram, reference: Float32[ndarray, " T"], other: Float32[ndarray, " T2"]) -> Relation:
    """The relation that a correlogram shows."""
    place = int(np.argmax(np.abs(found.z)))
    size = min(reference.size, other.size)
    level = float(np.std(other[:size], dtype=np.float64) / np.std(reference[:size], dtype=np.float64))
    peak, at_zero = (float(np.clip(found.plain[at], -1, 1)) for at in (place, found.most))
    height = abs(at_zero) * sqrt(found.effective_size)
    return Relation(
        at_zero,
        peak,
        place - found.most,
        1 if found.z[place] > 0 else -1,
        peak * level,
        si_sdr_of(at_zero),
        si_sdr_of(peak),
        found.effective_size,
        float(abs(found.z[place])),
        found.chance(float(found.z[place])),
        erfc(height / sqrt(2)),
    )


def stacked(found: Sequence[Correlogram]) -> tuple[int, float, float]:
    """Lag, height and chance of the strongest common peak: many weak relations of one lag add up."""
    most = min(one.most for one in found)
    z = sum(np.clip(one.z[one.most - most : one.most + most + 1], -8, 8) for one in found) / sqrt(len(found))
    place = int(np.argmax(np.abs(z)))
    height = float(z[place])
    return place - most, abs(height), found[0].chance(height)


def si_sdr_of(correlation: float) -> float:
    """SI-SDR in dB of a signal that correlates so with its reference."""
    square = min(1.0, correlation**2)
    return to_db(square / (1 - square)) if square < 1.0 else NEVER


@dataclass(frozen=True)
class Drift:
    """Lag against time: ``ppm`` is its slope, ``error_ppm`` the standard error, ``windows`` those that it rests on."""

    ppm: float
    error_ppm: float
    windows: int
    explained: float
    """Share of these lags' variance that the line explains."""
    start_samples: float


def drift(
    reference: Float32[ndarray, " T"], other: Float32[ndarray, " T2"], rate_hz: int, window_s: float = 0.5
) -> Drift | None:
    """How the lag grows along two recordings; None with fewer than four windows that relate.

    The lag of each window is sought within 0.1 s, and read between samples by a parabola.
    """
    size, reach = round(window_s * rate_hz), round(0.1 * rate_hz)
    at, lags = [], []
    for start in range(0, min(reference.size, other.size) - size + 1, size):
        found = correlogram(reference[start : start + size], other[start : start + size], rate_hz, reach)
        if found is not None and float(np.abs(found.z).max()) > RELATED:
            at.append((start + size / 2) / rate_hz)
            lags.append(_between(found))
    return _line(np.array(at), np.array(lags), rate_hz) if len(at) >= 4 else None


def envelope_correlation(
    reference: Float32[ndarray, " T"], other: Float32[ndarray, " T2"], rate_hz: int, frame_s: float = 0.02
) -> float:
    """Correlation of the levels of 20 ms frames: for recordings that follow each other, if not sample by sample."""
    size = max(1, round(frame_s * rate_hz))
    count = min(reference.size, other.size) // size
    if count < 8:
        return 0.0
    a, b = (
        np.log(np.square(wave[: count * size].reshape(count, size), dtype=np.float64).mean(1) + 1e-10)
        for wave in (reference, other)
    )
    spread = float(a.std() * b.std())
    return float(np.mean((a - a.mean()) * (b - b.mean())) / spread) if spread > 0 else 0.0


def _centred(wave: Float32[ndarray, " T"]) -> Float32[ndarray, " T"]:
    return (wave - wave.mean(dtype=np.float64)).astype(np.float32)


def _sounding(spectrum: ndarray) -> ndarray:
    """Bins that lie above a signal's floor."""
    from scipy.ndimage import uniform_filter1d

    power = uniform_filter1d(np.abs(spectrum) ** 2, _SMOOTH_BINS)
    return power > power.max() * 10 ** (_COMMON_DB / 10)


def _deviation(whitened: ndarray, around: int, bandwidth: float) -> float:
    """Standard deviation of the values that independent signals have: by the median, or by the highest elsewhere."""
    values = np.abs(whitened)
    deviation = max(float(np.median(values)) / 0.6745, 1e-12)
    top, around = int(np.argmax(values)), min(around, values.size // 8)
    elsewhere = np.r_[values[: max(0, top - around)], values[top + around + 1 :]]
    expected = sqrt(2 * np.log(max(elsewhere.size * bandwidth, 3.0)))
    return max(deviation, float(elsewhere.max()) / expected)


def _effective_size(x: ndarray, y: ndarray, padded: int, size: int) -> float:
    """One over the variance of the correlation of signals with these spectra and random phases."""
    a, b = np.abs(x) ** 2, np.abs(y) ** 2
    overlap = float((a * b).sum(dtype=np.float64)) / (
        2 * float(a.sum(dtype=np.float64)) * float(b.sum(dtype=np.float64))
    )
    return max(1.0, size / padded / max(overlap, 1e-30))


def _between(found: Correlogram) -> float:
    """The lag of the peak, between samples."""
    values = np.abs(found.z)
    top = int(np.argmax(values))
    if not 0 < top < values.size - 1:
        return float(top - found.most)
    left, mid, right = (float(v) for v in values[top - 1 : top + 2])
    return top - found.most + 0.5 * (left - right) / min(left - 2 * mid + right, -1e-12)


def _line(at_s: ndarray, lags: ndarray, rate_hz: int) -> Drift:
    """A line through lags against time, deaf to outliers (Theil-Sen), with the error of least squares on the rest."""
    i, j = np.triu_indices(at_s.size, 1)
    slope = float(np.median((lags[j] - lags[i]) / (at_s[j] - at_s[i])))
    start = float(np.median(lags - slope * at_s))
    residual = lags - slope * at_s - start
    kept = np.abs(residual) <= 4 * max(float(np.median(np.abs(residual))), 0.25)
    spread_s = float(np.sum((at_s[kept] - at_s[kept].mean()) ** 2))
    error = sqrt(float(np.mean(residual[kept] ** 2)) / max(spread_s, 1e-9))
    explained = 1 - float(residual[kept].var() / max(float(lags[kept].var()), 1e-12))
    to_ppm = 1e6 / rate_hz
    return Drift(slope * to_ppm, error * to_ppm, int(kept.sum()), explained, start)
