"""Trainings of the benchmark: our loop on a folder of pairs, with a slip in it where that is the case.

python -m benchmarks.doctor.runs SPEC.json   trains what a specification says; a process of its own for each run
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from auscult import recipe as recipes
from benchmarks.doctor.spec import Training

HERE = Path(__file__).parent


def recipe_of(name: str, what: Training, seed: int, extra: tuple[str, ...] = ()) -> dict[str, Any]:
    """A recipe of the benchmark with its settings, source and loss."""
    raw = recipes.read(HERE / "recipes" / f"{name}.yaml", [f"seed={seed}", *extra, *what.settings])
    return what.applied(raw)


def train(
    name: str, what: Training, seed: int, data: Path, out: Path, base: Path | None = None, extra: tuple[str, ...] = ()
) -> Path:
    """Train in a process of its own, on one thread; the run folder. A run that is there is kept.

    Raises:
        RuntimeError: the training failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "recipe.yaml").write_text(yaml.safe_dump(recipe_of(name, what, seed, extra), sort_keys=False))
    spec = {"data": str(data), "base": str(base) if base else None, "what": asdict(what)}
    (out / "spec.json").write_text(json.dumps(spec))
    command = [sys.executable, "-m", "benchmarks.doctor.runs", str(out / "spec.json")]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    found = list(out.glob("run-*"))
    if done.returncode or len(found) != 1:
        raise RuntimeError(f"training {out} failed: {done.stderr[-600:]}")
    return found[0]


def fit(spec: Path) -> None:
    """Train what a specification says, in this process."""
    from auscult.train.loop import Trainer
    from auscult.train.run import RunFolder
    from auscult.train.settings import Options
    from auscult.train.setup import plan_run
    from benchmarks.doctor.slips import SLIPS

    told = json.loads(spec.read_text())
    what = Training(**told["what"])
    raw = recipes.read(spec.parent / "recipe.yaml") | {"name": "run"}
    options = Options(0, 50, 5, "cpu")
    plan = plan_run(raw, options, Path(told["data"]), Path(told["base"]) if told["base"] else None)

    def once(half: bool, slipping: bool) -> None:
        run = RunFolder(spec.parent / plan.folder_name)
        with ExitStack() as stack:
            stack.callback(run.close)
            if slipping and what.patch is not None:
                name, amount = what.patch
                stack.enter_context(SLIPS[name](amount))
            if half:
                at = plan.training.steps // 2
                stack.enter_context(patch.object(Trainer, "_stopped", lambda self: self.state.step >= at))
            Trainer(plan, run, _unheard).fit()

    if what.resumed:
        once(half=True, slipping=False)
    once(half=False, slipping=True)


def _unheard(row: Mapping[str, Any]) -> None:
    """Rows go to the history alone."""


if __name__ == "__main__":
    fit(Path(sys.argv[1]))
