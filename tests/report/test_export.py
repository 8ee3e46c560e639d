"""The folder that is shared."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from auscult.evaluate.summary import summarise
from auscult.report.export import export, safe_name
from tests.report import study

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


def test_the_folder(recordings: Path, tmp_path: Path) -> None:
    drawn = study.make(recordings, systems=("net", "org/big:1"))
    assert export(drawn, summarise(drawn), tmp_path) == []
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    copies = [f"{side}/walk_{i:03d}.flac" for side in ("clean", "noisy") for i in range(12)]
    copies += [f"enhanced/{name}/walk_{i:03d}.wav" for name in ("net", "org/big-1") for i in range(12)]
    assert found >= {*copies, "README.md", "highlights.txt", "evaluation_results.csv"}
    original = drawn.rows[1].estimate
    assert original is not None
    assert (tmp_path / "enhanced/net/walk_000.wav").read_bytes() == original.read_bytes()
    plots = sorted(name for name in found if name.startswith("plots/"))
    index = (tmp_path / "README.md").read_text()
    assert len(plots) >= 20
    assert all(name in index for name in plots)
    assert (tmp_path / plots[0]).read_bytes().startswith(b"\x89PNG")
    assert index.startswith("# What to listen to, and why")
    assert "| system | pesq" in index
    assert drawn.fingerprint in index
    assert len(list(csv.reader((tmp_path / "evaluation_results.csv").read_text().splitlines()))) == 1 + len(drawn.rows)
    text = (tmp_path / "highlights.txt").read_text()
    assert "Best 5" in text
    assert "Worst 5" in text
    assert text.count("  lsd ") >= 3 * 10


def test_sets_and_seeds_have_folders_of_their_own(recordings: Path, tmp_path: Path) -> None:
    drawn = study.make(recordings, items=2, sets=("in", "out"), seeds=(0, 1))
    export(drawn, summarise(drawn), tmp_path)
    assert (tmp_path / "enhanced/left/out/seed-1/out_001.wav").is_file()
    assert (tmp_path / "clean/in/in_000.flac").is_file()


def test_what_is_gone_is_listed(recordings: Path, tmp_path: Path) -> None:
    drawn = study.make(recordings, items=3)
    rows = tuple(replace(row, estimate=Path("/nowhere/x.wav")) if row.system == "left" else row for row in drawn.rows)
    missing = export(replace(drawn, rows=rows), summarise(drawn), tmp_path)
    assert any("/nowhere/x.wav: no such file" in words for words in missing)
    assert "## Missing" in (tmp_path / "README.md").read_text()


def test_scores_without_recordings(tmp_path: Path) -> None:
    drawn = study.make(items=4)
    assert export(drawn, summarise(drawn), tmp_path) == []
    assert not (tmp_path / "plots").exists()


def test_names_stay_inside_the_folder(recordings: Path, tmp_path: Path) -> None:
    assert safe_name("../../a/./b") == "a/b"
    assert safe_name("..") == "unnamed"
    assert safe_name("a:b*?") == "a-b--"
    drawn = study.make(recordings, items=1, systems=("a:b", "a*b"))
    export(drawn, summarise(drawn), tmp_path)
    assert {path.name for path in (tmp_path / "enhanced/a-b").iterdir()} == {"walk_000.wav", "walk_000-2.wav"}
