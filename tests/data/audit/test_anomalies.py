"""Holes, copies in pauses, and laws of samples, against signals whose values are known."""

from __future__ import annotations

import numpy as np
import pytest

from auscult.audio.clip import Clip
from auscult.data.audit.gaps import holes
from auscult.data.audit.pauses import pauses
from auscult.data.audit.samples import samples_law

RATE = 16_000


def _noise(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


def test_a_hole_is_counted_in_samples_and_silence_at_the_ends_is_not() -> None:
    clean, noisy = 0.1 * _noise(32_000), 0.1 * _noise(32_000, 1)
    for side in (clean, noisy):
        side[:4_000] = side[10_000:18_000] = side[30_000:] = 0
    assert holes(clean, noisy, RATE) == pytest.approx(8_000 / 32_000, abs=1e-3)
    noisy[10_000:18_000] = 1e-4  # one side sounds
    assert holes(clean, noisy, RATE) == 0.0


def test_silence_that_a_sound_fades_into_is_no_hole() -> None:
    fade = np.clip(np.abs(np.arange(32_000) - 16_000) / 8_000 - 0.5, 0, 1).astype(np.float32) ** 2
    assert holes(fade * _noise(32_000), fade * _noise(32_000, 1), RATE) == 0.0
    assert holes(np.zeros(100, np.float32), np.zeros(100, np.float32), RATE) == 0.0


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_a_target_that_leaks_is_told_by_its_share_whatever_the_gain(clean: Clip, share: float, gain: float) -> None:
    speech = clean.wave[0]
    added = _noise(speech.size) * speech.std()
    mixture = (gain * (speech + added)).astype(np.float32)
    honest = pauses(speech, mixture, gain, RATE)
    leaking = pauses((speech + share * added).astype(np.float32), mixture, gain, RATE)
    assert honest is not None
    assert leaking is not None
    assert abs(honest.copied) < 0.05
    assert leaking.copied == pytest.approx(1 - share, abs=0.1)
    assert leaking.level_db == pytest.approx(20 * np.log10(share / gain), abs=1.0)


def test_pauses_of_silence_and_of_moments_are_not_measured() -> None:
    assert pauses(np.zeros(32_000, np.float32), _noise(32_000), 1.0, RATE) is None
    assert pauses(_noise(4_000), _noise(4_000, 1), 1.0, RATE) is None


def test_laws_of_samples_have_the_values_of_their_densities() -> None:
    sine = np.sin(2 * np.pi * 0.0123 * np.arange(80_000)).astype(np.float32)
    flat = np.random.default_rng(0).uniform(-1, 1, 80_000).astype(np.float32)
    for wave, peaked in ((_noise(80_000), 1.33), (flat, 1.0), (sine, 0.84)):
        law = samples_law(wave)
        assert law is not None
        assert law.peaked == pytest.approx(peaked, abs=0.12)
    white = samples_law(_noise(80_000))
    assert white is not None
    assert white.across < 1e-4
    assert samples_law(np.zeros(5_000, np.float32)) is None


def test_steps_across_the_range_are_counted() -> None:
    wave = 0.1 * _noise(20_000)
    wave[5_000:5_100:2], wave[5_001:5_100:2] = 1.0, -1.0
    law = samples_law(wave)
    assert law is not None
    assert law.across == pytest.approx(99 / 19_999)
