"""Roll-off error and low-band deviation on changes of known size."""

from __future__ import annotations

import numpy as np
import pytest

from auscult.audio.rolloff import LAST_BELOW
from auscult.metrics.base import MetricFailure, Signals
from auscult.metrics.superresolution import LowBandDeviation, RollOffError


def shaped(wave: np.ndarray, gain: np.ndarray) -> np.ndarray:
    return np.fft.irfft(np.fft.rfft(wave) * gain, wave.size).astype(np.float32)


def test_rolloff_error_is_the_distance_in_hz_either_way(speech: np.ndarray) -> None:
    hz = np.fft.rfftfreq(speech.size, 1 / 16_000)
    dull = shaped(speech, hz < 3_000)
    distance_hz = abs(LAST_BELOW.of(dull, 16_000).hz - LAST_BELOW.of(speech, 16_000).hz)
    assert distance_hz > 2_000
    for clean, estimate in ((speech, dull), (dull, speech)):
        assert RollOffError()(Signals(estimate, 16_000, clean)) == distance_hz
    assert RollOffError()(Signals(0.1 * speech, 16_000, speech)) == 0.0


def test_low_band_deviation_is_the_worst_third_octave(speech: np.ndarray) -> None:
    hz = np.fft.rfftfreq(speech.size, 1 / 16_000)
    metric = LowBandDeviation(4_000.0)
    for gain_db in (-1.0, 0.05, 3.0):
        louder = shaped(speech, np.where((hz > 700) & (hz < 1_100), 10 ** (gain_db / 20), 1.0))
        assert metric(Signals(louder, 16_000, None, speech)) == pytest.approx(abs(gain_db), abs=0.05 * abs(gain_db))
    above = shaped(speech, np.where(hz > 3_600, 4.0, 1.0))
    assert metric(Signals(above, 16_000, None, speech)) < 0.1


def test_the_cut_off_is_measured_where_none_is_given(speech: np.ndarray) -> None:
    """Noisy ends at 2 kHz, so a change at 2.2 kHz is not of its low band."""
    hz = np.fft.rfftfreq(speech.size, 1 / 16_000)
    noisy = shaped(speech, hz < 2_000)
    changed = noisy + shaped(speech, 2.0 * ((hz > 2_200) & (hz < 4_000)))
    assert LowBandDeviation()(Signals(changed, 16_000, None, noisy)) < 0.1
    assert LowBandDeviation(6_000.0)(Signals(changed, 16_000, None, noisy)) > 6.0


def test_no_band_below_the_cut_off_is_said(speech: np.ndarray) -> None:
    with pytest.raises(MetricFailure, match="no third octave from 100 Hz"):
        LowBandDeviation(150.0)(Signals(speech, 16_000, None, speech))
