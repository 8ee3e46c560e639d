"""Roll-off in its named conventions, against closed forms and a literal transcription."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from auscult.audio.clip import Clip
from auscult.audio.rolloff import FIRST_REACHED, LAST_BELOW, LIBROSA, NVSR, RollOff, long_term_magnitude
from auscult.degrade.band import zero_phase


def magnitudes(wave: np.ndarray) -> np.ndarray:
    """|STFT| by torch, bins first."""
    window = torch.hann_window(2048, dtype=torch.float64)
    wave64 = torch.from_numpy(wave.astype(np.float64))
    return torch.stft(wave64, 2048, 512, window=window, return_complex=True).abs().numpy()


def test_long_blocks_and_short_ones_agree_with_torch(clean: Clip) -> None:
    """11 s are two blocks of frames."""
    wave = clean.wave[0]
    assert long_term_magnitude(wave) == pytest.approx(magnitudes(wave).sum(axis=1), rel=1e-9)


@pytest.mark.parametrize("convention", [FIRST_REACHED, LAST_BELOW, NVSR, LIBROSA])
def test_rules_are_the_literal_ones(convention: RollOff, clean: Clip) -> None:
    total = np.cumsum(magnitudes(clean.wave[0]).sum(axis=1))
    first = next(k for k in range(1025) if total[k] >= convention.share * total[-1])
    reading = convention.of(clean.wave[0], 16_000)
    assert reading.bin == first - (convention.edge == "last_below")
    assert reading.hz == reading.bin * 16_000 / 2048
    assert reading.ratio == reading.bin / 1025


def test_librosa_rule_frame_by_frame(clean: Clip) -> None:
    running = np.cumsum(magnitudes(clean.wave[0]), axis=0)
    expected = np.argmax(running >= 0.85 * running[-1], axis=0) * 16_000 / 2048
    assert np.array_equal(LIBROSA.frames(clean.wave[0], 16_000), expected)


def test_a_tone_silence_and_white_noise(rng: np.random.Generator) -> None:
    """A tone on bin 100 has magnitudes 1, 2, 1 around it; of white noise 98.5 % lie below 0.985 of half the rate."""
    tone = np.cos(2 * np.pi * 100 / 2048 * np.arange(88_200))
    assert RollOff(0.7).of(tone, 44_100).bin == 100
    silence = np.zeros(4_000)
    assert (LAST_BELOW.of(silence, 16_000).hz, FIRST_REACHED.of(silence, 16_000).ratio) == (0.0, 0.0)
    white = rng.standard_normal(262_144)
    assert FIRST_REACHED.of(white, 44_100).hz == pytest.approx(0.985 * 22_050, rel=2e-3)


def test_it_is_no_bandwidth(rng: np.random.Generator) -> None:
    """White noise through Butterworth 2 at 4 kHz, forward and backward: magnitudes follow the squared response."""
    white = rng.standard_normal((1, 262_144)).astype(np.float32)
    reading = FIRST_REACHED.of(zero_phase(white, 44_100, None, 4_000.0, 4)[0], 44_100)
    bins_hz = np.linspace(0, 22_050, 100_001)[:-1]
    response = 1 / (1 + (np.tan(np.pi * bins_hz / 44_100) / np.tan(np.pi * 4_000 / 44_100)) ** 4)
    expected_hz = bins_hz[np.argmax(np.cumsum(response) >= 0.985 * response.sum())]
    assert reading.hz == pytest.approx(expected_hz, rel=0.01)
    assert reading.hz > 8_000
