"""The look at data and loss before step 0: healthy recipes pass, certain faults end it, and it is done once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auscult import recipe as recipes
from auscult.audio.clip import Clip
from auscult.cli.train import _preflight
from auscult.diagnose.preflight import Preflight, preflight
from auscult.train.settings import Options
from auscult.train.setup import plan_run
from tests.diagnose.made_pairs import Pair, changed, folder, made
from tests.processes import Run
from tests.train.runs import REGRESSION, VALIDATION, recipe, write_recipe

OF_PAIRS = {**REGRESSION, "data": {"type": "Pairs", "crop_s": 1.0}}


@pytest.fixture(scope="module")
def pairs(clean: Clip) -> list[Pair]:
    return made(clean.wave[0])


def _looked(path: Path, root: Path) -> Preflight:
    raw = recipes.read(str(path))
    plan = plan_run(raw, Options(workers=0, device="cpu"), root)
    return preflight(raw, plan.data, plan.validation.data if plan.validation else None, budget_s=60)


def _with_nan(pairs: list[Pair]) -> list[Pair]:
    def spoil(clean: np.ndarray, noisy: np.ndarray, i: int) -> Pair:
        return clean, np.where(np.arange(noisy.size) == 500, np.nan, noisy).astype(np.float32) if i == 3 else noisy

    return changed(pairs, spoil)


@pytest.mark.parametrize("kind", ["mixtures", "pairs"])
def test_a_healthy_recipe_has_no_finding(kind: str, pairs: list[Pair], corpus: Path, tmp_path: Path) -> None:
    root = corpus if kind == "mixtures" else folder(tmp_path / "data", pairs)
    found = _looked(write_recipe(tmp_path, REGRESSION if kind == "mixtures" else OF_PAIRS), root)
    assert found.findings == ()
    assert {"data-levels", "data-relation", "data-splits", "oracle"} <= {name for name, _ in found.diagnosis.ran}
    assert found.line().endswith("s, no fault found")


def test_what_is_certain_is_refused_and_what_is_likely_is_not(pairs: list[Pair], corpus: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path, OF_PAIRS)
    late = folder(tmp_path / "late", changed(pairs, lambda c, n, _: (c[480:], n[:-480])))
    found = _looked(path, late)
    assert [(one.verdict, one.causes[0]) for one in found.findings] == [("fault", "lag")]
    assert found.refused == ()
    broken = _looked(path, folder(tmp_path / "nan", _with_nan(pairs)))
    assert [one.causes[0] for one in broken.refused] == ["not-finite-data"]
    leaked = _looked(write_recipe(tmp_path, recipe(validation=VALIDATION)), corpus)
    assert [one.causes[0] for one in leaked.refused] == ["leaked-split"]


def test_train_refuses_is_forced_and_does_not_ask_twice(auscult: Run, pairs: list[Pair], tmp_path: Path) -> None:
    path = write_recipe(tmp_path, {**OF_PAIRS, "training": {"steps": 1, "batch": 2}})
    root = folder(tmp_path / "nan", _with_nan(pairs))
    command = ("train", path, "-d", root, "--runs", tmp_path / "runs", "--device", "cpu", "--workers", "0")
    code, out, err = auscult(*command)
    assert code == 2
    assert "pre-flight: " in out
    assert "auscult: fault: recordings hold NaN or infinity. 1 of 20 recordings" in err
    assert "--force trains all the same" in err
    assert not (tmp_path / "runs").exists()
    code, out, err = auscult(*command, "--force")
    assert code == 0, err
    assert "1 finding" in out
    assert "fault: recordings hold NaN or infinity" in err
    (run,) = (tmp_path / "runs").iterdir()
    held = json.loads((run / "preflight.json").read_text())
    assert (held["forced"], held["findings"][0]["causes"]) == (True, ["not-finite-data"])
    code, out, _ = auscult(*command)
    assert code == 0
    assert "pre-flight" not in out


def test_only_the_first_process_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RANK", "1")
    unused: Any = None  # a plan that is looked at would fail
    assert _preflight({}, unused, tmp_path, force=False) is None
