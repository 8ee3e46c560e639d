"""The band edge of real speech behind known filters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from auscult.audio.band import band_edge
from auscult.audio.clip import read
from auscult.audio.resample import resample


def brick(wave: np.ndarray, cutoff_hz: float, rate_hz: int) -> np.ndarray:
    spectrum = np.fft.rfft(wave)
    spectrum[np.fft.rfftfreq(wave.size, 1 / rate_hz) > cutoff_hz] = 0
    return np.fft.irfft(spectrum, wave.size)


def butterworth(order: int, wave: np.ndarray, cutoff_hz: float, rate_hz: int) -> np.ndarray:
    return sosfilt(butter(order, cutoff_hz, fs=rate_hz, output="sos"), wave)


@pytest.fixture(scope="module")
def recordings(data: Path) -> list[np.ndarray]:
    return [read(path).wave[0] for path in sorted((data / "vbdmd_p257" / "clean").iterdir())[::4]]


@pytest.mark.parametrize("cutoff_hz", [2_000, 3_400, 4_000, 5_500, 7_000])
@pytest.mark.parametrize("order", [None, 8, 12], ids=["brick wall", "Butterworth 8", "Butterworth 12"])
def test_filtered_speech_is_found_out(recordings: list[np.ndarray], cutoff_hz: int, order: int | None) -> None:
    """The median within 10 % and every one within 30 %, at any level and with 16-bit rounding."""
    found = []
    for wave in recordings:
        limited = brick(wave, cutoff_hz, 16_000) if order is None else butterworth(order, wave, cutoff_hz, 16_000)
        found.append(band_edge(limited, 16_000) / cutoff_hz)
        assert band_edge(0.01 * limited, 16_000) == pytest.approx(found[-1] * cutoff_hz)
        assert band_edge(np.round(limited * 32_768) / 32_768, 16_000) == pytest.approx(found[-1] * cutoff_hz, rel=0.05)
    assert 0.9 < np.median(found) < 1.1
    assert min(found) > 0.7
    assert max(found) < 1.5


def test_resampled_speech_keeps_its_edge(recordings: list[np.ndarray]) -> None:
    """Telephone speech in a file of a higher rate."""
    for wave in recordings:
        narrow = resample(wave[None], 16_000, 8_000)
        for rate_hz in (16_000, 44_100, 48_000):
            assert band_edge(resample(narrow, 8_000, rate_hz)[0], rate_hz) == pytest.approx(3_850, rel=0.15)


def test_full_band_has_no_edge(rng: np.random.Generator) -> None:
    white = rng.standard_normal(32_000)
    assert band_edge(white, 16_000) == 8_000
    assert band_edge(white, 48_000) == 24_000
    gentle = np.fft.rfft(white) / np.hypot(1, np.square(np.arange(16_001) / 6_000))  # second order from 3 kHz
    assert band_edge(np.fft.irfft(gentle, 32_000), 16_000) == 8_000
    assert band_edge(brick(white, 4_000, 16_000), 16_000) == pytest.approx(4_000, rel=0.03)


@pytest.mark.parametrize("samples", [1, 2, 100, 600])
def test_any_length_has_an_answer(samples: int, rng: np.random.Generator) -> None:
    assert 0 < band_edge(rng.standard_normal(samples), 16_000) <= 8_000
    assert band_edge(np.zeros(samples), 16_000) == 8_000
