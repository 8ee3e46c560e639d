"""Run folders of ours, and recipes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auscult import recipe
from auscult.diagnose.evidence import Absent, Run
from auscult.errors import DataError
from auscult.hub.runs import CHECKPOINTS, RECIPE, checkpoints

if TYPE_CHECKING:
    from auscult.diagnose.case import Case, Given


def gather_run(given: Given) -> Run:
    """The run folder that was given, or that the checkpoint lies in.

    Raises:
        Absent: none. DataError: the folder is none of a run.
    """
    path = given.run or _around(given.checkpoint)
    if path is None:
        raise Absent("no run folder was given (--run)")
    if not (path / RECIPE).is_file():
        raise DataError(f"{path}: no {RECIPE} in it; --run takes a run folder of auscult, --history a foreign history")
    return Run(path, recipe.read(path / RECIPE), tuple(checkpoints(path)))


def gather_recipe(case: Case) -> Mapping[str, Any] | None:
    """The recipe that was given, else that of the run."""
    given = case.given
    if given.recipe is not None:
        return recipe.read(given.recipe, given.settings)
    run = case.get("run")
    return recipe.override(run.recipe, given.settings) if run is not None else None


def _around(checkpoint: Path | None) -> Path | None:
    folder = checkpoint.resolve().parent if checkpoint is not None else None
    inside = folder is not None and folder.name == CHECKPOINTS and (folder.parent / RECIPE).is_file()
    return folder.parent if folder is not None and inside else None
