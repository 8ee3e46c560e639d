"""Whether speech sounds at its own speed: pitch, syllable rate and spectrum against those of read speech.

Samples that are played at another rate than they were taken at scale every frequency alike: a corpus of 48 kHz that is
read as 16 kHz has voices of 50 Hz, one syllable a second and formants at a third. Each hypothesis of the true rate
gives the same measurements another meaning; the one under which they look like speech is the likeliest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.units import samples

FACTORS = (1 / 3, 0.3628, 0.5, 2 / 3, 0.7256, 1.0, 1.3781, 1.5, 2.0, 2.7563, 3.0)
"""True rate over the rate that is said: ratios of 8, 16, 22.05, 24, 32, 44.1 and 48 kHz."""
_LOWEST_HZ, _HIGHEST_HZ = 25.0, 1200.0
_VOICED = 0.6
_QUIET = 1e-3
_FRAME_S, _HOP_S = 0.08, 0.08
_BAND_HZ = (80.0, 3600.0)
_MODULATION_HZ = (1.0, 16.0)

# Octaves re 1 Hz over 223 speakers of English, French, German and Flemish: median pitch; centroid of the modulation
# spectrum; frequencies that divide the square root of the long-term spectrum of 80-3600 Hz into quarters. The
# covariance is that between speakers, widened on its diagonal by 0.15 (modulation 0.10, last quarter 0.12) squared.
MEAN = np.array([7.2814, 1.7039, 8.4414, 9.3337, 10.3482])
COVARIANCE = np.array([
    [0.2035, -0.0019, 0.0657, 0.0479, 0.0061],
    [-0.0019, 0.0898, 0.0279, 0.0350, 0.0410],
    [0.0657, 0.0279, 0.2440, 0.2031, 0.1572],
    [0.0479, 0.0350, 0.2031, 0.2601, 0.2003],
    [0.0061, 0.0410, 0.1572, 0.2003, 0.2614],
])  # fmt: skip


@dataclass(frozen=True)
class Heard:
    """Of one recording, at the rate that it is said to have: pitch in Hz (NaN without voice), and two spectra."""

    pitch_hz: float
    modulation_hz: ndarray
    modulation: ndarray
    spectrum_hz: ndarray
    spectrum: ndarray


@dataclass(frozen=True)
class Content:
    """The likeliest factor between true and said rate.

    ``distance`` is the squared Mahalanobis distance of what is said from read speech, ``nearest`` that of the
    likeliest factor; ``pitch_hz`` the median as heard.
    """

    factor: float
    distance: float
    nearest: float
    pitch_hz: float
    items: int
    distances: Mapping[float, float]
    """By factor."""


def heard(wave: Float32[ndarray, " T"], rate_hz: int) -> Heard | None:
    """Measure a recording; None below 1 s or without sound."""
    if wave.size < rate_hz or float(np.abs(wave).max()) < _QUIET:
        return None
    from scipy.fft import rfft

    size, hop = samples(_FRAME_S, rate_hz), samples(_HOP_S, rate_hz)
    frames = np.lib.stride_tricks.sliding_window_view(wave, size)[::hop] * np.hanning(size).astype(np.float32)
    power = np.abs(rfft(frames, 2 * size)) ** 2
    loud = power.sum(1)
    kept = power[loud >= 0.05 * np.quantile(loud, 0.95)]
    return Heard(_pitch(kept, size, rate_hz), *_modulation(wave, rate_hz),
                 np.fft.rfftfreq(2 * size, 1 / rate_hz), kept.mean(0))  # fmt: skip


def content(recordings: Sequence[Heard], rate_hz: int) -> Content | None:
    """The likeliest factor of several recordings of one corpus, which may be of one speaker; None of fewer than 3."""
    if len(recordings) < 3:
        return None
    distances = {factor: _distance(recordings, factor) for factor in FACTORS if factor * rate_hz >= 7_350}
    best = min(distances, key=lambda factor: distances[factor])
    pitches = np.array([one.pitch_hz for one in recordings])
    voiced = pitches[np.isfinite(pitches)]
    pitch_hz = float(np.median(voiced)) if voiced.size else float("nan")
    return Content(best, distances[1.0], distances[best], pitch_hz, len(recordings), distances)


def features(recordings: Sequence[Heard], factor: float) -> ndarray:
    """Medians over recordings, in octaves, if the true rate is the one that is said times a factor."""
    rows = np.array([_features(one, factor) for one in recordings])
    spoken = rows[:, np.isfinite(rows).any(0)]
    out = np.full(rows.shape[1], np.nan)
    out[np.isfinite(rows).any(0)] = np.nanmedian(spoken, axis=0)
    return out


def _distance(recordings: Sequence[Heard], factor: float) -> float:
    found = features(recordings, factor)
    known = np.isfinite(found)
    away = (found - MEAN)[known]
    return float(away @ np.linalg.solve(COVARIANCE[np.ix_(known, known)], away)) * MEAN.size / max(1, known.sum())


def _features(one: Heard, factor: float) -> list[float]:
    pitch = log2(one.pitch_hz * factor) if np.isfinite(one.pitch_hz) else float("nan")
    hz = one.modulation_hz * factor
    inside = (hz >= _MODULATION_HZ[0]) & (hz <= _MODULATION_HZ[1])
    weight = one.modulation[inside]
    centroid = float(weight @ np.log2(hz[inside]) / weight.sum()) if weight.sum() > 0 else float("nan")
    hz = one.spectrum_hz * factor
    inside = (hz >= _BAND_HZ[0]) & (hz <= _BAND_HZ[1])
    total = np.cumsum(np.sqrt(one.spectrum[inside]) + 1e-12)
    quarters = np.interp([0.25, 0.5, 0.75], total / total[-1], np.log2(hz[inside]))
    return [pitch, centroid, *(float(v) for v in quarters)]


def _pitch(power: ndarray, size: int, rate_hz: int) -> float:
    """Median pitch of voiced frames, by the autocorrelation over that of the window (Boersma 1993)."""
    from scipy.fft import irfft

    window = np.abs(np.fft.rfft(np.hanning(size), 2 * size)) ** 2
    curves = irfft(power, axis=1)[:, : size // 2] / np.fft.irfft(window)[: size // 2]
    curves = curves / np.maximum(curves[:, :1], 1e-20)
    low, high = int(rate_hz / _HIGHEST_HZ), min(int(rate_hz / _LOWEST_HZ), size // 2)
    lags = np.arange(low, high)
    # Multiples of the period are as high: a little is taken off for each octave below the highest pitch.
    scores = curves[:, low:high] - 0.03 * np.log2(lags / low)
    best = np.argmax(scores, axis=1)
    inner = (best > 0) & (best < lags.size - 1)
    voiced = (curves[np.arange(len(best)), lags[best]] > _VOICED) & inner
    return float(rate_hz / np.median(lags[best[voiced]])) if voiced.sum() >= 5 else float("nan")


def _modulation(wave: Float32[ndarray, " T"], rate_hz: int) -> tuple[ndarray, ndarray]:
    """Spectrum of the envelope in 10 ms steps."""
    step = max(1, round(0.01 * rate_hz))
    envelope = np.sqrt(np.square(wave[: wave.size // step * step].reshape(-1, step), dtype=np.float64).mean(1))
    envelope = envelope - envelope.mean()
    size = 1 << (envelope.size - 1).bit_length()
    return np.fft.rfftfreq(size, step / rate_hz), np.abs(np.fft.rfft(envelope * np.hanning(envelope.size), size)) ** 2
