"""Measurements of recordings and pairs against what is known of how they were made."""

from __future__ import annotations

import numpy as np
import pytest

from auscult.audio.clip import Clip
from auscult.audio.resample import resample
from auscult.data.audit.additive import additive, aligned
from auscult.data.audit.content import content, heard
from auscult.data.audit.fingerprint import SAME, copies, fingerprint
from auscult.data.audit.levels import levels
from auscult.data.audit.relation import (
    RELATED,
    UNRELATED,
    correlogram,
    drift,
    envelope_correlation,
    relation,
    si_sdr_of,
    stacked,
)  # fmt: skip
from auscult.degrade.codec import CODERS, coded

RATE = 16_000


@pytest.fixture(scope="module")
def speech(clean: Clip) -> np.ndarray:
    return clean.wave[0]


def noise(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


def mixed(speech: np.ndarray, snr_db: float, seed: int = 0) -> np.ndarray:
    return (speech + noise(speech.size, seed) * speech.std() * 10 ** (-snr_db / 20)).astype(np.float32)


@pytest.mark.parametrize("snr_db", [15.0, 0.0, -15.0])
@pytest.mark.parametrize("lag", [0, 480, -160])
def test_lag_sign_and_gain_are_read_through_noise(speech: np.ndarray, snr_db: float, lag: int) -> None:
    late = np.roll(-0.5 * speech, lag)
    found = relation(speech, mixed(late, snr_db), RATE)
    assert found is not None
    assert (found.lag_samples, found.polarity) == (lag, -1)
    assert found.gain == pytest.approx(-0.5, abs=0.03)
    assert found.z > RELATED
    assert found.p < 1e-12


def test_independent_noise_is_related_by_chance_only() -> None:
    found = [relation(noise(16_000, 2 * i), noise(16_000, 2 * i + 1), RATE) for i in range(40)]
    z = np.array([one.z for one in found if one is not None])
    assert z.max() < UNRELATED
    assert np.mean([one.p_at_zero < 0.05 for one in found if one is not None]) == pytest.approx(0.05, abs=0.1)
    sizes = [one.effective_size for one in found if one is not None]
    assert np.median(sizes) == pytest.approx(16_000, rel=0.1)  # white: every sample counts


def test_the_null_law_of_si_sdr_follows_from_the_effective_size() -> None:
    found = [relation(noise(4_000, 2 * i), noise(4_000, 2 * i + 1), RATE) for i in range(200)]
    values = np.array([one.si_sdr_db for one in found if one is not None])
    assert values.mean() == pytest.approx(-5.52 - 10 * np.log10(4_000), abs=2.0)  # standard error 0.68 dB
    assert values.std() == pytest.approx(9.65, abs=1.5)


def test_weak_relations_of_one_lag_add_up(speech: np.ndarray) -> None:
    parts = [speech[i * 8_000 : (i + 1) * 8_000] for i in range(16)]
    found = [correlogram(part, mixed(part, -24, i), RATE) for i, part in enumerate(parts) if part.std() > 1e-3]
    alone = [one for one in found if one is not None]
    lag, height, chance = stacked(alone)
    assert lag == 0
    assert height > max(float(np.abs(one.z).max()) for one in alone)
    assert chance < 1e-4


def test_silence_has_no_relation(speech: np.ndarray) -> None:
    assert relation(speech, np.zeros_like(speech), RATE) is None
    assert additive(speech, np.zeros_like(speech), RATE) is None
    assert fingerprint(np.zeros_like(speech), RATE) is None
    assert heard(np.zeros_like(speech), RATE) is None
    steady = heard(np.full(RATE, 0.1, np.float32), RATE)  # neither voice nor syllables
    assert steady is not None
    assert content([steady] * 3, RATE) is not None


def test_si_sdr_of_a_correlation() -> None:
    assert si_sdr_of(np.sqrt(0.5)) == pytest.approx(0.0, abs=1e-9)
    assert si_sdr_of(np.sqrt(10 / 11)) == pytest.approx(10.0, abs=1e-9)


@pytest.mark.parametrize("ppm", [200.0, -500.0])
def test_drift_is_measured_in_ppm(speech: np.ndarray, ppm: float) -> None:
    at = np.arange(speech.size) * (1 - 1e-6 * ppm)
    late = np.interp(at, np.arange(speech.size), speech).astype(np.float32)
    found = drift(speech, mixed(late, 15), RATE)
    assert found is not None
    assert found.ppm == pytest.approx(ppm, abs=max(5 * found.error_ppm, 20))
    assert found.explained > 0.8
    steady = drift(speech, mixed(speech, 15), RATE)
    assert steady is not None
    assert abs(steady.ppm) < 20


def test_levels_follow_each_other_through_a_polarity_and_a_gain(speech: np.ndarray) -> None:
    assert envelope_correlation(speech, -0.1 * speech, RATE) == pytest.approx(1.0, abs=0.02)
    assert abs(envelope_correlation(speech[:80_000], noise(80_000), RATE)) < 0.2


def test_exchanged_sides_have_their_difference_on_the_clean_one(speech: np.ndarray) -> None:
    noisy = mixed(speech, 5)
    right, wrong = additive(speech, noisy, RATE), additive(noisy, speech, RATE)
    assert right is not None
    assert wrong is not None
    assert (right.gain, right.flat, right.side) == (pytest.approx(1, abs=0.03), 1.0, pytest.approx(1, abs=0.05))
    assert right.snr_db == pytest.approx(5.0, abs=0.5)
    assert wrong.side == pytest.approx(-1, abs=0.05)
    assert wrong.flat < 0.85
    assert wrong.excess_db > 6


def test_a_low_pass_is_no_plain_mixture(speech: np.ndarray) -> None:
    from scipy.signal import butter, sosfilt

    dull = sosfilt(butter(4, 500, fs=RATE, output="sos"), speech).astype(np.float32)
    fit = additive(speech, mixed(dull, 15), RATE)
    assert fit is not None
    assert not fit.flat >= 0.85


def test_lost_packets_do_not_move_the_gain(speech: np.ndarray) -> None:
    lossy = mixed(speech, 10).reshape(-1)[: speech.size // 320 * 320].reshape(-1, 320).copy()
    lossy[::4] = 0.0
    fit = additive(speech[: lossy.size], lossy.ravel(), RATE)
    assert fit is not None
    assert fit.gain == pytest.approx(1.0, abs=0.05)


def test_alignment_cuts_both_to_what_they_share() -> None:
    a = np.arange(10, dtype=np.float32)
    for lag, first in ((3, (0, 3)), (-2, (2, 0)), (0, (0, 0))):
        left, right = aligned(a, a, lag)
        assert left.size == right.size == 10 - abs(lag)
        assert (left[0], right[0]) == first


def test_levels_of_what_was_made() -> None:
    wave = 0.5 * np.sin(2 * np.pi * 100.37 * np.arange(RATE) / RATE).astype(np.float32)
    found = levels(wave, RATE)
    assert found.rms_db == pytest.approx(-9.03, abs=0.02)
    assert (found.clipped, found.not_finite, found.zeros) == (0.0, 0, pytest.approx(0, abs=1e-3))
    clipped = levels(np.clip(wave, -0.4, 0.4), RATE)
    assert clipped.clipped == pytest.approx(1 - 2 / np.pi * np.arcsin(0.8), abs=0.01)
    assert levels(wave + np.float32(0.1), RATE).dc == pytest.approx(0.1 * np.sqrt(8), abs=0.01)
    broken = wave.copy()
    broken[[3, 7]] = np.nan, np.inf
    assert levels(broken, RATE).not_finite == 2
    half = np.concatenate([np.zeros(RATE, np.float32), wave])
    assert (levels(half, RATE).silent, levels(half, RATE).zeros) == (pytest.approx(0.5), pytest.approx(0.5, abs=1e-3))


def test_copies_are_found_through_coders_levels_and_rates(speech: np.ndarray) -> None:
    parts = [speech[i * 30_000 :][:48_000] for i in range(5)]
    own = [fingerprint(part, RATE) for part in parts]
    again = [
        fingerprint(coded(0.3 * parts[0][None], RATE, CODERS["opus"], 0.9)[0], RATE),
        fingerprint(coded(parts[1][None], RATE, CODERS["mp3"], 0.9)[0], RATE),
        fingerprint(resample(parts[2][None], RATE, 44_100)[0], 44_100),
    ]
    left, right = ([one for one in side if one is not None] for side in (own, again))
    assert [(i, j) for i, j, _ in copies(left, right)] == [(0, 0), (1, 1), (2, 2)]
    assert copies(left) == []
    assert [(i, j) for i, j, cosine in copies(left + left[:1]) if cosine > SAME] == [(0, 5)]


def test_speech_that_is_played_at_a_third_is_recognised(speech: np.ndarray) -> None:
    slow = resample(speech[None], RATE, 48_000)[0]
    pieces = [heard(speech[i * 30_000 :][:40_000], RATE) for i in range(5)]
    slowed = [heard(slow[i * 90_000 :][:120_000], RATE) for i in range(5)]
    right = content([one for one in pieces if one is not None], RATE)
    wrong = content([one for one in slowed if one is not None], RATE)
    assert right is not None
    assert wrong is not None
    assert right.distance - right.nearest < 5
    assert wrong.distance - wrong.nearest > 7
    assert wrong.factor > 1.9
    assert wrong.pitch_hz == pytest.approx(right.pitch_hz / 3, rel=0.1)
