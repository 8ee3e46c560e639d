"""Reference curves: bands of healthy seeds, and where another run lies beside them."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from auscult.diagnose import reference
from auscult.diagnose.checks import progress
from auscult.diagnose.checks.progress import REFERENCE
from auscult.diagnose.evidence import Curve, Curves, Run
from auscult.diagnose.reference import Band, build, load, place, write
from auscult.errors import DataError
from tests.conftest import ROOT
from tests.diagnose.made_curves import case_of, curve, findings, healthy, only

SETTINGS = {"steps": 2000.0, "lr": 1e-3}


def runs(count: int) -> list[Curves]:
    made = []
    for seed in range(count):
        done = np.arange(1, 201) / 200
        rng = np.random.default_rng(seed)
        loss = (
            (0.3 + 0.7 * np.exp(-done / 0.15))
            * (1 + 0.05 * rng.standard_normal(200))
            * (1 + 0.01 * rng.standard_normal())
        )
        pesq = 1.4 + 0.5 * (1 - np.exp(-np.arange(1, 11) / 4)) + 0.02 * rng.standard_normal(10)
        made.append(Curves({"train.loss": curve(loss), "valid.pesq": curve(pesq, 200.0)}, "step", "made", last=2000.0))
    return made


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(build("tiny", runs(4), SETTINGS, "speech:1"), tmp_path)
    monkeypatch.setattr(progress, "load", lambda name: load(name, tmp_path))
    return tmp_path


def test_a_band_holds_further_healthy_runs(known: Path) -> None:
    """The 95 % prediction interval: of 40 further runs about 95 % of the points."""
    found = load("tiny", known)
    assert found is not None
    assert found.runs == 4
    assert set(found.curves) == {"train.loss", "valid.pesq"}
    inside = []
    for run in runs(44)[4:]:
        placed = place(run.curves["train.loss"], found.curves["train.loss"], widened=1.0)
        assert placed is not None
        inside.append(1 - placed.above - placed.below)
    assert 0.9 < np.mean(inside) <= 1.0
    assert load("unknown", known) is None


def test_where_a_run_lies(known: Path) -> None:
    recipe = {"name": "tiny"}
    facts = {"steps": 2000, "lr": 1e-3}
    well = only(REFERENCE, case_of(runs(9)[8].curves, recipe=recipe, facts=facts))
    assert well.verdict == "healthy"
    assert "4 healthy runs of tiny" in well.says
    bad = {
        name: Curve(one.at, one.values * (1.5 if name == "train.loss" else 0.8))
        for name, one in runs(1)[0].curves.items()
    }
    ill = only(REFERENCE, case_of(bad, recipe=recipe, facts=facts))
    assert (ill.verdict, ill.causes[0]) == ("suspect", "abnormal-run")
    other = only(REFERENCE, case_of(bad, recipe=recipe, facts={"steps": 500, "lr": 1e-3}))
    assert other.verdict == "cannot tell"
    assert "steps is 500, there 2000" in other.says
    assert not findings(REFERENCE, case_of(bad, recipe={"name": "another"}))


def test_other_recordings_are_not_compared(known: Path, tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text(json.dumps([{"recordings": {"training": "speech:2"}}]))
    run = Run(tmp_path, {}, ())
    one = only(REFERENCE, case_of(runs(1)[0].curves, recipe={"name": "tiny"}, run=run, facts={"steps": 2000}))
    assert one.verdict == "cannot tell"
    assert "other recordings" in one.says


def test_too_few_runs_and_damage(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 runs; a band takes 3"):
        build("tiny", runs(2), {}, "")
    (tmp_path / "tiny.json").write_text("{}")
    with pytest.raises(DataError, match="damaged"):
        load("tiny", tmp_path)
    one = Band([1.0, 2.0], [1, 1], [0, 0], [2, 2])
    assert place(Curve(np.array([1.0]), np.array([1.0])), one) is None


def test_the_script_makes_a_reference_from_run_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(3):
        folder = tmp_path / f"tiny-{seed}"
        folder.mkdir()
        resolved = {"name": "tiny", "seed": seed, "training": {"steps": 2000, "batch": 8}, "optimiser": {"lr": 1e-3}}
        (folder / "recipe.yaml").write_text(yaml.safe_dump(resolved))
        (folder / "environment.json").write_text(json.dumps([{"recordings": {"training": "speech:1"}}]))
        found = healthy("regression", np.random.default_rng(seed))["train.loss"]
        rows = [{"kind": "step", "step": int(s), "items": 80, "skipped": {}, "turns": {"net": {"loss": v}}}
                for s, v in zip(found.at, found.values, strict=True)]  # fmt: skip
        (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    script = str(ROOT / "benchmarks" / "reference_curves.py")
    given = [script, "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", [*given, *(str(tmp_path / f"tiny-{s}") for s in range(3))])
    runpy.run_path(script, run_name="__main__")
    made = reference.load("tiny", tmp_path / "out")
    assert made is not None
    assert made.runs == 3
    assert made.settings == {"steps": 2000, "batch": 8, "lr": 1e-3}
    assert made.recordings == "speech:1"
    assert len(made.curves["train.loss"].at) == 40
    monkeypatch.setattr(sys, "argv", [*given, *([str(tmp_path / "tiny-0")] * 3)])
    with pytest.raises(DataError, match="two runs have one seed"):
        runpy.run_path(script, run_name="__main__")
