"""Faults of a part of the items, or of a few dB: found with their share, and healthy sets beside them left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray
from scipy.signal import butter, sosfilt

from auscult.audio.clip import Clip
from auscult.audio.resample import resample
from auscult.diagnose.check import Check
from auscult.diagnose.checks.data_additive import ADDITIVE
from auscult.diagnose.checks.data_files import LENGTH
from auscult.diagnose.checks.data_holes import HOLES
from auscult.diagnose.checks.data_levels import LEVELS
from auscult.diagnose.checks.data_pauses import PAUSES
from auscult.diagnose.checks.data_relation import RELATION
from auscult.diagnose.checks.data_samples import SAMPLES
from auscult.diagnose.checks.data_target import TARGET_BAND
from tests.diagnose.made_pairs import RATE, Pair, alarms, asked, changed, folder, made

Change = Callable[[ndarray, ndarray, int], Pair]


@pytest.fixture(scope="module")
def pairs(clean: Clip) -> list[Pair]:
    return made(clean.wave[0])


def _holed(clean: ndarray, noisy: ndarray, i: int) -> Pair:
    kept = np.ones(clean.size, np.float32)
    if i % 4 == 0:
        kept[10_000:20_000] = 0
    return clean * kept, noisy * kept


def _leaking(clean: ndarray, noisy: ndarray, i: int) -> Pair:
    """A target that was mixed from the same noise, 12 dB lower."""
    return clean + np.float32(0.25) * (noisy - clean), noisy


def _fast_clock(clean: ndarray, noisy: ndarray, i: int) -> Pair:
    at = np.arange(noisy.size) * (1 + 1000e-6)
    return clean, np.interp(at, np.arange(noisy.size), noisy).astype(np.float32)


def _through(wave: ndarray, rate_hz: int) -> ndarray:
    return resample(resample(wave[None], RATE, rate_hz), rate_hz, RATE)[0][: wave.size]


def _coded(clean: ndarray, noisy: ndarray, i: int) -> Pair:
    return clean, (np.sign(noisy) * np.log1p(255 * np.abs(noisy)) / np.log(256)).astype(np.float32)


def _overflown(clean: ndarray, noisy: ndarray, i: int) -> Pair:
    return clean, ((2 * noisy / np.abs(noisy).max() + 1) % 2 - 1).astype(np.float32)


def _levels_apart(clean: ndarray, noisy: ndarray, i: int) -> Pair:
    return clean, noisy * np.float32(10 ** ((i - 4.5) / 30))


FAULTS: dict[str, tuple[Check, Change, str, str]] = {
    "a quarter exchanged": (ADDITIVE, lambda c, n, i: (n, c) if i % 4 == 0 else (c, n), "fault", "swapped-sides"),
    "two of ten exchanged": (ADDITIVE, lambda c, n, i: (n, c) if i in (0, 4) else (c, n), "suspect", "swapped-sides"),
    "gains of up to 3 dB": (ADDITIVE, _levels_apart, "fault", "pair-gain"),
    "both sides of one peak, at high SNR": (ADDITIVE, lambda c, n, _: _own_peaks(c, n), "fault", "pair-gain"),
    "a quarter with holes": (HOLES, _holed, "fault", "silent-items"),
    "a target with the noise in it": (PAUSES, _leaking, "fault", "noisy-target"),
    "both sides through 12 kHz": (
        TARGET_BAND, lambda c, n, _: (_through(c, 12_000), _through(n, 12_000)), "fault", "band-limited-target"),
    "clocks that differ by 0.1 %": (RELATION, _fast_clock, "fault", "clock-drift"),
    "lengths that differ": (LENGTH, lambda c, n, i: (c, n[: 39_000 - 100 * i]), "suspect", "length-mismatch"),
    "noisy with an offset": (LEVELS, lambda c, n, _: (c, n + np.float32(0.3 * n.std())), "fault", "dc-offset"),
    "codes taken for samples": (SAMPLES, _coded, "fault", "abnormal-recordings"),
    "integers that overflow": (SAMPLES, _overflown, "fault", "abnormal-recordings"),
}  # fmt: skip


def _own_peaks(clean: ndarray, noisy: ndarray) -> Pair:
    return clean / np.abs(clean).max(), noisy / np.abs(noisy).max()


@pytest.mark.parametrize("name", FAULTS)
def test_slight_faults_are_named(name: str, pairs: list[Pair], tmp_path: Path) -> None:
    check, change, verdict, cause = FAULTS[name]
    assert alarms(asked(check, folder(tmp_path, changed(pairs, change)))) == [(verdict, cause)]


def _hum(clean: ndarray, noisy: ndarray, i: int) -> Pair:
    """At -5 dB, the flattest of densities."""
    tone = np.sin(2 * np.pi * 50 * np.arange(clean.size) / RATE + i).astype(np.float32)
    return clean, clean + np.float32(2.5) * clean.std() * tone


def _gated(clean: ndarray, noisy: ndarray, i: int) -> Pair:
    """Targets that fade into digital silence, with a noise that fades too."""
    fade = np.clip(np.abs(np.arange(clean.size) - 15_000) / 4_000 - 1, 0, 1).astype(np.float32)
    return clean * fade, noisy * fade


def _white(clean: ndarray, noisy: ndarray, i: int) -> Pair:
    noise = np.random.default_rng(i).standard_normal(clean.size)
    return clean, (clean + 2 * clean.std() * noise).astype(np.float32)


def _telephone(clean: ndarray, noisy: ndarray, i: int) -> Pair:
    return clean, sosfilt(butter(4, (300, 3_400), "bandpass", fs=RATE, output="sos"), noisy).astype(np.float32)


HEALTHY: dict[str, Change] = {
    "plain": lambda c, n, _: (c, n),
    "hum": _hum,
    "gated": _gated,
    "white noise at -6 dB": _white,
    "telephone band": _telephone,
    "clipped to half": lambda c, _n, _i: (c, np.clip(c, -0.5 * np.abs(c).max(), 0.5 * np.abs(c).max())),
    "one level of clean, one SNR": lambda c, n, _: (c / c.std() * 0.05, c / c.std() * 0.05 + _unlike(n - c)),
}


def _unlike(noise: ndarray) -> ndarray:
    return (noise / noise.std() * 0.02).astype(np.float32)


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_sets_that_look_a_little_alike_are_left_alone(name: str, pairs: list[Pair], tmp_path: Path) -> None:
    data = folder(tmp_path, changed(pairs, HEALTHY[name]))
    kinds = (ADDITIVE, HOLES, PAUSES, SAMPLES, RELATION, LENGTH, LEVELS, TARGET_BAND)
    assert alarms([one for check in kinds for one in asked(check, data)]) == []


def test_partners_that_were_exchanged_are_found(clean: Clip, tmp_path: Path) -> None:
    pairs = made(clean.wave[0], count=12)
    apart = [(c[:12_000], n[:12_000]) for c, n in pairs]  # stretches of the example overlap from 13 000 samples on
    apart[2], apart[6], apart[9] = (
        (apart[2][0], apart[6][1]), (apart[6][0], apart[9][1]), (apart[9][0], apart[2][1]))  # fmt: skip
    (found,) = asked(RELATION, folder(tmp_path, apart))
    assert (found.verdict, found.causes[0]) == ("fault", "unrelated-pairs")
    assert "3 noisy files match the clean file of another of these" in found.says
