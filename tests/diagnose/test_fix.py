"""``auscult audit --fix``: the corrected manifest audits clean, and the loader gives pairs that fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy import ndarray

from auscult.audio.clip import Clip
from auscult.data.audit.additive import additive
from auscult.data.audit.relation import relation
from auscult.data.pairs import Pairs
from auscult.diagnose.fix import fixed, write_fixed
from auscult.errors import DataError
from auscult.rng import Key
from tests.diagnose.made_pairs import RATE, Pair, changed, folder, made
from tests.processes import Run

Change = Callable[[ndarray, ndarray, int], Pair]


@pytest.fixture(scope="module")
def pairs(clean: Clip) -> list[Pair]:
    return made(clean.wave[0])


FAULTS: dict[str, tuple[Change, str]] = {
    "late": (lambda c, n, _: (c[480:], n[:-480]), "lag 480 samples"),
    "early": (lambda c, n, _: (c[:-7], n[7:]), "lag -7 samples"),
    "late by what differs": (lambda c, n, i: (c[:30_000], n[37 + 61 * i :][:30_000]), "lag -37 samples"),
    "exchanged": (lambda c, n, _: (n, c), "sides exchanged"),
    "turned over": (lambda c, n, i: (c, -n if i % 3 == 0 else n), "clean within noisy at -1"),
    "own peaks": (lambda c, n, _: (c / np.abs(c).max(), n / np.abs(n).max()), "clean within noisy at 0.621"),
    "longer and turned over": (lambda c, n, _: (c, np.r_[-n, np.zeros(20_000, np.float32)]), "lengths differ"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_corrected_manifest_is_clean_and_loads_aligned(
    name: str, pairs: list[Pair], auscult: Run, tmp_path: Path
) -> None:
    change, why = FAULTS[name]
    data, out = folder(tmp_path / "data", changed(pairs, change)), tmp_path / "lists" / "fixed.jsonl"
    code, _, err = auscult("audit", data, "--fix", out)
    assert code == 1, err
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 10
    assert rows[0]["why"].startswith(why)
    assert not Path(rows[0]["clean"]).is_absolute()
    code, text, err = auscult("audit", out)
    assert code == 0, text + err
    assert "no fault found\n" in text
    source = Pairs(tmp_path, manifest="lists/fixed.jsonl", crop_s=None)
    for index in range(len(source)):
        pair = source.pair(index, Key(0))
        how = relation(pair.clean[0], pair.noisy[0], RATE)
        fit = additive(pair.clean[0], pair.noisy[0], RATE)
        assert how is not None
        assert fit is not None
        assert (how.lag_samples, how.polarity) == (0, 1)
        assert fit.gain == pytest.approx(1.0, abs=0.08)


def test_a_healthy_set_is_copied_as_it_is(pairs: list[Pair], tmp_path: Path) -> None:
    found = fixed({"data": folder(tmp_path, pairs)}, (), tmp_path / "fixed.jsonl")
    assert (len(found.rows), found.changed, found.left_out, found.beyond) == (10, 0, (), ())
    assert found.rows[0] == {"item": "u000", "clean": "clean/u000.wav", "noisy": "noisy/u000.wav"}


def test_what_no_training_can_use_is_left_out_with_the_reason(pairs: list[Pair], tmp_path: Path) -> None:
    with_nan, silent = pairs[2][1].copy(), np.zeros_like(pairs[3][0])
    with_nan[100] = np.nan
    folder(tmp_path, [*pairs[:2], (pairs[2][0], with_nan), (silent, pairs[3][1]), *pairs[4:]])
    (tmp_path / "clean" / "u005.wav").write_text("words")
    soundfile.write(tmp_path / "clean" / "alone.wav", pairs[0][0], RATE)
    found = fixed({"data": tmp_path}, ("clock-drift", "silent-items"), tmp_path / "fixed.jsonl")
    assert [row["item"] for row in found.rows] == ["u000", "u001", "u004", "u006", "u007", "u008", "u009"]
    whys = {row.get("item", row.get("path")): row["why"] for row in found.left_out}
    assert whys["u002"] == "noisy holds NaN or infinity"
    assert whys["u003"] == "clean is silent"
    assert "not audio" in whys["clean/u005.wav"]
    assert whys["clean: alone"] == "no partner of its name"
    assert found.beyond == ("clock-drift",)
    beside = write_fixed(tmp_path / "fixed.jsonl", found)
    assert beside == tmp_path / "fixed.left-out.jsonl"
    assert len(beside.read_text().splitlines()) == 4


def test_copies_and_leaks_are_left_out_of_the_split_that_can_spare_them(pairs: list[Pair], tmp_path: Path) -> None:
    train, test = folder(tmp_path / "a", [*pairs[:6], pairs[1]]), folder(tmp_path / "b", [pairs[0], *pairs[7:]])
    found = fixed({"train": train, "test": test}, ("leaked-split", "duplicates"), tmp_path / "fixed.jsonl")
    assert [(row["split"], row["clean"]) for row in found.left_out] == [
        ("train", "a/clean/u000.wav"),
        ("train", "a/clean/u006.wav"),
    ]
    assert [row["why"] for row in found.left_out] == ["the same recording as u000 of test", "a copy of u001"]
    assert sum(row["split"] == "test" for row in found.rows) == 4


def test_recordings_with_noises_of_their_own_are_no_copies(pairs: list[Pair], clean: Clip, tmp_path: Path) -> None:
    other = made(clean.wave[0], seed=5)
    found = fixed({"data": folder(tmp_path, [*pairs[:3], *other[:3]])}, ("duplicates",), tmp_path / "fixed.jsonl")
    assert len(found.rows) == 6


def test_corrections_add_up(pairs: list[Pair], tmp_path: Path) -> None:
    folder(tmp_path, changed(pairs, lambda c, n, _: (c[480:], -n[:-480])))
    row = {"clean": "clean/u001.wav", "noisy": "noisy/u001.wav", "lag_samples": 400, "gain": 2.0, "speaker": "s",
           "duration_s": 9.0, "why": "by hand"}  # fmt: skip
    (tmp_path / "half.jsonl").write_text(json.dumps(row) + "\n")
    found = fixed({"data": tmp_path / "half.jsonl"}, ("lag", "polarity", "pair-gain"), tmp_path / "fixed.jsonl")
    assert found.rows[0]["lag_samples"] == 480
    assert found.rows[0]["gain"] == pytest.approx(-1.0, abs=0.08)
    assert found.rows[0]["speaker"] == "s"
    assert "duration_s" not in found.rows[0]
    assert found.rows[0]["why"].startswith("by hand; lag 80 samples; clean within noisy at -0.")


def test_unrelated_pairs_go_and_nothing_left_is_said(pairs: list[Pair], tmp_path: Path) -> None:
    apart = [(pairs[0][0], pairs[0][1]), (pairs[1][0][:12_000], pairs[6][1][:12_000])]
    found = fixed({"data": folder(tmp_path / "a", apart)}, ("unrelated-pairs",), tmp_path / "fixed.jsonl")
    assert [row["item"] for row in found.rows] == ["u000"]
    assert found.left_out[0]["why"] == "clean and noisy have nothing in common"
    with pytest.raises(DataError, match="nothing is left of 1 pairs.*nothing in common"):
        fixed({"data": folder(tmp_path / "b", apart[1:])}, ("unrelated-pairs",), tmp_path / "fixed.jsonl")


def test_recordings_to_be_mixed_keep_their_columns(corpus: Path, tmp_path: Path) -> None:
    found = fixed({"data": corpus / "all.jsonl"}, (), tmp_path / "fixed.jsonl")
    assert len(found.rows) == 12
    assert {row["kind"] for row in found.rows} == {"speech", "noise"}
    assert (tmp_path / found.rows[0]["path"]).resolve() == (corpus / "speech" / "speech0.wav").resolve()
    assert found.rows[0]["speaker"] == "s0"
