"""A run folder as reports see it: recipe, starts, history, and what its checkpoints say; no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from auscult.catalogue import CATALOGUE, find
from auscult.errors import CheckpointError, DataError
from auscult.hub.bundle import parameters, read_meta
from auscult.hub.runs import HISTORY, RECIPE, checkpoints, read_history
from auscult.train.history import History, Validation, ranked

ENVIRONMENT, SAMPLES = "environment.json", "samples"


@dataclass(frozen=True)
class Run:
    """A run folder, read. ``selected`` is what each checkpoint still there was ranked by."""

    path: Path
    name: str
    recipe: Mapping[str, Any]
    recipe_text: str
    starts: Sequence[Mapping[str, Any]]
    history: History
    selected: Mapping[int, float]
    parameters: Mapping[str, int]
    unreadable: Sequence[str]

    @property
    def steps(self) -> int:
        """Steps the recipe asks for."""
        return int(self.recipe["training"]["steps"])

    @property
    def hash(self) -> str:
        """The hash in the folder's name, if it still has one."""
        found = re.search(r"-([0-9a-f]{8})$", self.path.resolve().name)
        return found.group(1) if found else ""

    @cached_property
    def metric(self) -> str | None:
        """The metric that checkpoints are selected by, as validations call it."""
        labels = self.history.metrics
        if not labels:
            return None
        validation = self.recipe.get("validation") or {}
        names = list(dict.fromkeys(validation.get("metrics", ())))
        select = validation.get("select")
        if select not in labels and select in names and len(names) == len(labels):
            return labels[names.index(select)]  # a class of the user's own has a label of its own
        return select if select in labels else labels[0]

    @cached_property
    def ranking(self) -> list[tuple[Validation, float]]:
        """Validations, the best first."""
        if self.metric is None:
            return []
        return ranked(self.history, self.metric, direction(self.metric) is not False, self.selected)

    @property
    def best(self) -> Validation | None:
        """The best validation."""
        return self.ranking[0][0] if self.ranking else None


def read_run(path: Path, name: str | None = None) -> Run:
    """Read a run folder.

    Raises:
        DataError: no run, no history yet, or a damaged one.
    """
    if not (path / RECIPE).is_file():
        raise DataError(f"{path}: neither a run ({RECIPE}, {HISTORY}) nor an evaluation (evaluation.json)")
    try:
        text = (path / RECIPE).read_text(encoding="utf-8")
        recipe = yaml.safe_load(text)
        int(recipe["training"]["steps"])
    except (ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise DataError(f"{path / RECIPE}: not the recipe of a run ({type(error).__name__})") from error
    selected, sizes, unreadable = _checkpoints(path)
    return Run(
        path, name or path.resolve().name, recipe, text, _starts(path), _history(path), selected, sizes, unreadable
    )


def direction(metric: str) -> bool | None:
    """Whether higher is better, of the metrics that come with auscult; classes of others are not imported to ask."""
    name = metric.partition(":")[0]
    return find(name).higher_is_better if name in CATALOGUE["metric"] else None  # type: ignore[attr-defined]


def _history(path: Path) -> History:
    try:
        history = History.of(read_history(path / HISTORY))
    except FileNotFoundError:
        history = History((), ())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path / HISTORY}: not the history of a run ({type(error).__name__})") from error
    if not history.rows:
        raise DataError(f"{path}: no history yet; its first row comes with the first logged step")
    return history


def _starts(path: Path) -> list[Mapping[str, Any]]:
    """What is known of each start; nothing where that is missing or damaged."""
    try:
        starts = json.loads((path / ENVIRONMENT).read_bytes())
    except (OSError, ValueError):
        return []
    return [start for start in (starts if isinstance(starts, list) else [starts]) if isinstance(start, dict)]


def _checkpoints(path: Path) -> tuple[dict[int, float], dict[str, int], list[str]]:
    """By what the checkpoints were ranked, numbers held by each net, and what cannot be read."""
    selected: dict[int, float] = {}
    sizes: dict[str, int] = {}
    unreadable: list[str] = []
    for file in checkpoints(path):
        try:
            meta = read_meta(file)
            sizes = parameters(file)
        except CheckpointError as error:
            unreadable.append(str(error))
            continue
        if meta.selected is not None:
            selected[meta.step] = meta.selected
    return selected, sizes, unreadable
