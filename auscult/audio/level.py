"""Level of a signal: peak, RMS and active speech level (ITU-T P.56, method B). dB re full scale 1.0."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.units import to_db

Wave = Float32[ndarray, "*C T"]

# ITU-T P.56 (2011), method B: envelope time constant, hangover and margin.
_ENVELOPE_S = 0.03
_HANGOVER_S = 0.2
_MARGIN_DB = 15.9


def peak(wave: Wave) -> float:
    """Largest magnitude."""
    return float(np.abs(wave).max(initial=0.0))


def power(wave: Wave) -> float:
    """Mean square, in float64."""
    return float(np.mean(np.square(wave, dtype=np.float64))) if wave.size else 0.0


def rms_db(wave: Wave) -> float:
    """RMS level."""
    return to_db(power(wave))


def active_power(wave: Float32[ndarray, "*C T"], rate_hz: int) -> float:
    """Mean square over the time in which speech is active (ITU-T P.56, method B); channels are averaged.

    A signal without activity has the power 0.
    """
    from scipy.signal import lfilter

    mono = np.atleast_2d(wave).mean(axis=0, dtype=np.float64)
    energy = float(np.square(mono).sum())
    if energy == 0.0:
        return 0.0
    pole = np.exp(-1.0 / (_ENVELOPE_S * rate_hz))
    envelope = lfilter([(1 - pole) ** 2], [1.0, -2 * pole, pole * pole], np.abs(mono))
    hangover = round(_HANGOVER_S * rate_hz)
    thresholds = 2.0 ** np.arange(-15, 1)
    active = np.array([_active_samples(envelope, threshold, hangover) for threshold in thresholds])
    levels = energy / np.maximum(active, 1)
    margins_db = np.where(active > 0, 10 * np.log10(levels) - 20 * np.log10(thresholds), -np.inf)
    # The margin falls as the threshold rises; the level is where it crosses 15.9 dB.
    below = np.flatnonzero(margins_db < _MARGIN_DB)
    j = int(below[0]) if below.size else thresholds.size
    if j == 0:
        return energy / mono.size
    if j == thresholds.size or active[j] == 0:
        return float(levels[j - 1])
    share = (margins_db[j - 1] - _MARGIN_DB) / (margins_db[j - 1] - margins_db[j])
    return float(levels[j - 1] ** (1 - share) * levels[j] ** share)


def active_level_db(wave: Wave, rate_hz: int) -> float:
    """Active speech level (ITU-T P.56)."""
    return to_db(active_power(wave, rate_hz))


def _active_samples(envelope: ndarray, threshold: float, hangover: int) -> int:
    """Samples at most ``hangover`` after one at which the envelope reached the threshold."""
    hits = np.flatnonzero(envelope >= threshold)
    if hits.size == 0:
        return 0
    gaps = np.diff(np.append(hits, envelope.size))
    return int(np.minimum(gaps, hangover + 1).sum())
