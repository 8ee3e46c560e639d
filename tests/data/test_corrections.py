"""Columns of a manifest of pairs that correct lag and level: what the loader gives, sample by sample."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.data.pairs import Pairs
from auscult.errors import DataError
from auscult.evaluate.datasets import DataSet
from auscult.rng import Key

RATE = 16_000
WAVE = np.random.default_rng(2).uniform(-0.5, 0.5, 40_000).astype(np.float32)


def _source(root: Path, row: dict[str, object], crop_s: float | None = None, rate_hz: int = RATE) -> Pairs:
    """Noisy is clean from sample 300 on, 500 samples longer."""
    soundfile.write(root / "c.wav", WAVE[300:20_300], RATE, subtype="FLOAT")
    soundfile.write(root / "n.wav", WAVE[:20_500], RATE, subtype="FLOAT")
    (root / "m.jsonl").write_text(json.dumps({"clean": "c.wav", "noisy": "n.wav", **row}) + "\n")
    return Pairs(root, manifest="m.jsonl", crop_s=crop_s, rate_hz=rate_hz)


def test_a_late_noisy_side_loses_its_start_and_both_what_they_do_not_share(tmp_path: Path) -> None:
    pair = _source(tmp_path, {"lag_samples": 300}).pair(0, Key(0))
    assert pair.length == 20_000
    assert np.array_equal(pair.clean, pair.noisy)
    assert np.array_equal(pair.clean[0], WAVE[300:20_300])


def test_an_early_noisy_side_has_the_start_of_clean_cut(tmp_path: Path) -> None:
    pair = _source(tmp_path, {"lag_samples": -40}).pair(0, Key(0))
    assert np.array_equal(pair.clean[0], WAVE[340:20_300])
    assert np.array_equal(pair.noisy[0], WAVE[: 20_000 - 40])


@pytest.mark.parametrize("crop_s", [0.5, 1.1])
def test_crops_are_cut_after_the_correction(crop_s: float, tmp_path: Path) -> None:
    source = _source(tmp_path, {"lag_samples": 300}, crop_s)
    starts = set()
    for draw in range(5):
        pair = source.pair(0, Key(draw))
        assert np.array_equal(pair.clean, pair.noisy)
        assert np.array_equal(pair.clean[0], WAVE[300 + pair.crop_start :][: pair.clean.shape[1]])
        starts.add(pair.crop_start)
    assert len(starts) > 2


def test_sides_stay_together_through_resampling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _source(tmp_path, {"lag_samples": 300}, 0.5, 8_000).pair(0, Key(1))
    monkeypatch.setattr("auscult.data.bank.CACHE_BYTES", 0)  # parts are read, not the whole
    part = _source(tmp_path, {"lag_samples": 300}, 0.5, 8_000).pair(0, Key(1))
    assert np.array_equal(part.clean, part.noisy)
    np.testing.assert_allclose(part.clean, whole.clean, atol=1e-3)


def test_clean_is_brought_to_its_level_and_sign_in_noisy(tmp_path: Path) -> None:
    pair = _source(tmp_path, {"lag_samples": 300, "gain": -0.5}).pair(0, Key(0))
    np.testing.assert_allclose(pair.clean, -0.5 * pair.noisy, rtol=1e-6)


def test_a_correction_changes_the_identity_of_the_data(tmp_path: Path) -> None:
    digests = [_source(tmp_path, {"lag_samples": lag, "gain": gain}).digest()
               for lag, gain in ((300, 1.0), (301, 1.0), (300, -1.0))]  # fmt: skip
    assert len(set(digests)) == 3


def test_impossible_corrections_are_refused_with_their_row(tmp_path: Path) -> None:
    for row, message in (
        ({"lag_samples": 1.5}, r"m.jsonl:1: lag_samples must be a whole number of samples, this is 1.5"),
        ({"lag_samples": 300, "gain": 0}, r"m.jsonl:1: gain must be a number other than 0"),
        ({"lag_samples": 30_000}, r"a lag of 30000 samples leaves nothing"),
        ({}, "a pair must agree in both"),
    ):
        with pytest.raises(DataError, match=message):
            _source(tmp_path, row)


def test_scoring_refuses_rows_that_it_would_not_correct(tmp_path: Path) -> None:
    _source(tmp_path, {"lag_samples": 300})
    with pytest.raises(DataError, match=r"m.jsonl:1: the row corrects a lag or gain"):
        DataSet(manifest=tmp_path / "m.jsonl").contents("d", {})
