"""Checks of how clean and noisy belong together: each fault is named, healthy pairs of many kinds are left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray
from scipy.signal import butter, sosfilt

from auscult.audio.clip import Clip
from auscult.audio.resample import resample
from auscult.diagnose.checks.data_additive import ADDITIVE
from auscult.diagnose.checks.data_noise import REPEATED_NOISE
from auscult.diagnose.checks.data_relation import RELATION
from tests.diagnose.made_pairs import RATE, Pair, alarms, asked, changed, folder, made

RNG = np.random.default_rng(11)
Change = Callable[[ndarray, ndarray, int], Pair]


@pytest.fixture(scope="module")
def pairs(clean: Clip) -> list[Pair]:
    return made(clean.wave[0])


def _crops(clean: ndarray, noisy: ndarray, i: int) -> Pair:
    a, b = RNG.integers(0, 16_000, 2)
    return clean[a : a + 24_000], noisy[b : b + 24_000]


def _late(clean: ndarray, noisy: ndarray, i: int) -> Pair:
    at = 37 + 61 * i
    return clean[:30_000], noisy[at : at + 30_000]


def _drift(clean: ndarray, noisy: ndarray, i: int) -> Pair:
    at = np.arange(noisy.size) * (1 - 400e-6)
    return clean, np.interp(at, np.arange(noisy.size), noisy).astype(np.float32)


FAULTS: dict[str, tuple[Change, str]] = {
    "cropped apart": (_crops, "independent-crops"),
    "late by 30 ms": (lambda c, n, _: (c[480:], n[:-480]), "lag"),
    "early by 3 samples": (lambda c, n, _: (c[:-3], n[3:]), "lag"),
    "late by what differs": (_late, "varying-lag"),
    "drifting": (_drift, "clock-drift"),
    "noisy at three times the rate": (
        lambda c, n, _: (c, resample(n[None], RATE, 3 * RATE)[0][: c.size]),
        "wrong-rate",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_does_not_fit_in_time_is_named(name: str, pairs: list[Pair], tmp_path: Path) -> None:
    change, cause = FAULTS[name]
    assert alarms(asked(RELATION, folder(tmp_path, changed(pairs, change)))) == [("fault", cause)]


def test_a_shifted_list_is_found_with_its_offset(pairs: list[Pair], tmp_path: Path) -> None:
    shifted = [(pairs[i][0], pairs[(i + 1) % len(pairs)][1]) for i in range(len(pairs))]
    # The example's stretches overlap, so that neighbours would be related: every other one is taken.
    apart = [(a[:12_000], b[:12_000]) for a, b in shifted]
    found = asked(RELATION, folder(tmp_path, apart))
    assert alarms(found) == [("fault", "unrelated-pairs")]
    assert "1 place before" in found[0].says


OF_LEVEL: dict[str, tuple[Change, str]] = {
    "own peaks": (lambda c, n, _: (c / np.abs(c).max(), n / np.abs(n).max()), "pair-gain"),
    "own RMS": (lambda c, n, _: (c / c.std() * 0.1, n / n.std() * 0.1), "pair-gain"),
    "turned over": (lambda c, n, _: (c, -n), "polarity"),
    "some turned over": (lambda c, n, i: (c, -n if i % 3 == 0 else n), "polarity"),
    "exchanged": (lambda c, n, _: (n, c), "swapped-sides"),
    "identical": (lambda c, _n, _: (c, c), "no-noise"),
}


@pytest.mark.parametrize("name", OF_LEVEL)
def test_what_does_not_fit_in_level_is_named(name: str, pairs: list[Pair], tmp_path: Path) -> None:
    change, cause = OF_LEVEL[name]
    found = asked(ADDITIVE, folder(tmp_path, changed(pairs, change)))
    assert alarms(found) == [("fault", cause)]
    if name == "own peaks":
        assert "its own peak (1.00 and 1.00)" in found[-1].says


def test_one_noise_for_all_is_seen(pairs: list[Pair], tmp_path: Path) -> None:
    one = pairs[0][1] - pairs[0][0]
    same = [(clean, clean + np.float32(0.1 + 0.1 * i) * one) for i, (clean, _) in enumerate(pairs)]
    assert alarms(asked(REPEATED_NOISE, folder(tmp_path, same))) == [("fault", "repeated-noise")]


def _room(clean: ndarray, noisy: ndarray, i: int) -> Pair:
    rng = np.random.default_rng(i)
    response = rng.standard_normal(6_000) * np.exp(-np.arange(6_000) / 1_200) * 0.2
    delay = int(rng.integers(20, 200))
    response[0] = 1.0
    wet = np.convolve(noisy, np.r_[np.zeros(delay), response])[: noisy.size]
    return clean, wet.astype(np.float32)


def _dull(clean: ndarray, noisy: ndarray, i: int) -> Pair:
    return clean, sosfilt(butter(4, 500, fs=RATE, output="sos"), noisy).astype(np.float32)


def _lossy(clean: ndarray, noisy: ndarray, i: int) -> Pair:
    lost = np.repeat(np.random.default_rng(i).random(noisy.size // 320) < 0.25, 320)
    return clean[: lost.size], np.where(lost, np.float32(0), noisy[: lost.size])


def _louder(clean: ndarray, noisy: ndarray, i: int) -> Pair:
    gain = np.float32(10 ** (-i / 10))
    return gain * clean, gain * noisy


HEALTHY: dict[str, Change] = {
    "plain": lambda c, n, _: (c, n),
    "in rooms, with the delay of the direct path": _room,
    "through a narrow sensor": _dull,
    "with lost packets": _lossy,
    "both sides at random levels": _louder,
    "clipped": lambda c, n, _: (c, np.clip(n, -0.3 * np.abs(n).max(), 0.3 * np.abs(n).max())),
    "short": lambda c, n, _: (c[12_000:20_000], n[12_000:20_000]),
    "some without noise": lambda c, n, i: (c, c if i == 0 else n),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_pairs_are_left_alone(name: str, pairs: list[Pair], tmp_path: Path) -> None:
    data = folder(tmp_path, changed(pairs, HEALTHY[name]))
    found = [one for check in (RELATION, ADDITIVE, REPEATED_NOISE) for one in asked(check, data)]
    assert alarms(found) == []
    assert any("unrelated-pairs" in one.causes for one in found if one.verdict == "healthy")


def test_very_noisy_pairs_and_tiny_sets_are_left_alone(clean: Clip, tmp_path: Path) -> None:
    hard = made(clean.wave[0], snr_db=(-16.0, -14.0), seed=3)
    for name, chosen in (("hard", hard), ("tiny", made(clean.wave[0], count=3))):
        data = folder(tmp_path / name, chosen)
        assert alarms([*asked(RELATION, data), *asked(ADDITIVE, data)]) == []
