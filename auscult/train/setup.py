"""From a recipe to everything the loop needs, checked before anything is built."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from auscult import recipe
from auscult.data.pairs import PairSource
from auscult.errors import RecipeError, TrainingError, nearest
from auscult.hub.bundle import sha256
from auscult.hub.opening import start_from
from auscult.methods.base import Method
from auscult.rng import Key
from auscult.train.schedule import Schedule
from auscult.train.settings import Optimiser, Options, Training, Validation

SECTIONS = ("name", "seed", "method", "data", "training", "optimiser", "schedule", "validation")


@dataclass(frozen=True)
class RunPlan:
    """A recipe bound to classes. ``method`` makes a new method with freshly initialised nets each time."""

    name: str
    seed: int
    resolved: Mapping[str, Any]
    method: Callable[[], Method]
    data: PairSource
    training: Training
    optimisers: Mapping[str, Optimiser]
    schedules: Mapping[str, Schedule]
    validation: Validation | None
    options: Options
    init_from: Path | None = None

    @property
    def folder_name(self) -> str:
        """``<recipe>-<8 hex>``: the same recipe on the same data gives the same folder, and so resumes."""
        return f"{self.name}-{recipe.digest({**self.resolved, 'recordings': self.recordings})}"

    @property
    def recordings(self) -> dict[str, str]:
        """Digests of the recordings that are learned from and judged by."""
        judged = self.validation.data.digest() if self.validation else ""
        return {"training": self.data.digest(), "validation": judged}

    def initialise(self, nets: Mapping[str, nn.Module]) -> tuple[list[str], list[str]] | None:
        """Start from another checkpoint's weights, where one is given; says which tensors were not found or used."""
        if self.init_from is None:
            return None
        return start_from(self.init_from, nets)


def plan_run(
    raw: Mapping[str, Any], options: Options, data_root: Path | None = None, init_from: Path | None = None
) -> RunPlan:
    """Bind a recipe.

    Raises:
        RecipeError: an unknown section, or whatever binding a section finds.
        DataError: data that does not fit together.
        TrainingError: fp16 where there is no GPU.
    """
    for section in raw:
        if section not in SECTIONS:
            raise RecipeError(f"{section}: unknown section{nearest(section, SECTIONS)}; allowed: {', '.join(SECTIONS)}")
    for section in ("method", "data", "training"):
        if section not in raw:
            raise RecipeError(f"{section}: missing; a recipe to train has method, data and training")
    name, seed = raw.get("name", "run"), raw.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise RecipeError(f"seed: a whole number is needed, this is {seed!r}")
    if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+", name):
        raise RecipeError(f"name: letters, digits, '.', '_' and '-' are allowed (it names a folder), this is {name!r}")
    plans = {
        "method": recipe.plan(raw["method"], Method, "method"),
        "data": recipe.plan(rooted(raw["data"], data_root), PairSource, "data"),
        "training": recipe.plan(raw["training"], Training, "training"),
    }
    turns: tuple[str, ...] = plans["method"].target.turns  # type: ignore[attr-defined]
    optimisers = _per_turn(raw.get("optimiser", {}), turns, Optimiser, "optimiser")
    schedules = _per_turn(raw.get("schedule", {"type": "Constant"}), turns, Schedule, "schedule")
    validation = None
    if (node := raw.get("validation")) is not None:
        if isinstance(node, Mapping):
            node = {**node, "data": rooted(node.get("data"), data_root)}
        validation = recipe.plan(node, Validation, "validation")
    _same_rate(plans["method"], plans["data"], *([validation.arguments["data"]] if validation else []))
    training: Training = plans["training"].build()
    if training.precision == "fp16" and not torch.cuda.is_available():
        raise TrainingError("precision fp16 needs a GPU (on CPUs it is a hundred times slower); use bf16 or fp32")
    resolved = {
        "name": name,
        "seed": seed,
        **{name: _without_root(plan.as_dict()) for name, plan in plans.items()},
        "optimiser": {turn: plan.as_dict() for turn, plan in optimisers.items()},
        "schedule": {turn: plan.as_dict() for turn, plan in schedules.items()},
    }
    if validation is not None:
        resolved["validation"] = _without_root(validation.as_dict())
    if init_from is not None:
        resolved["init_from"] = sha256(init_from)

    def method() -> Method:
        torch.manual_seed(Key(seed).child("init").integer())
        built: Method = plans["method"].build()
        return built

    return RunPlan(
        name,
        seed,
        resolved,
        method,
        plans["data"].build(),
        training,
        {turn: plan.build() for turn, plan in optimisers.items()},
        {turn: plan.build() for turn, plan in schedules.items()},
        validation.build() if validation is not None else None,
        options,
        init_from,
    )


def _same_rate(method: recipe.Plan, *sources: recipe.Plan) -> None:
    """Data at another rate than the method's train a model of nothing: the costliest silent failure of the field."""
    rate_hz = method.arguments.get("rate_hz")
    for source in map(_innermost, sources):
        given = source.arguments.get("rate_hz", rate_hz)
        if rate_hz is not None and given != rate_hz:
            raise RecipeError(
                f"{source.where}.rate_hz is {given}, method.rate_hz is {rate_hz}; make them equal "
                "(files of other rates are resampled)"
            )


def _per_turn(node: Any, turns: Sequence[str], expected: type, where: str) -> dict[str, recipe.Plan]:
    """One section for all turns, or a mapping with one for each."""
    if isinstance(node, Mapping) and node.keys() == set(turns) and len(turns) > 1:
        return {turn: recipe.plan(node[turn], expected, f"{where}.{turn}") for turn in turns}
    return {turn: recipe.plan(node, expected, where) for turn in turns}


def _innermost(source: recipe.Plan) -> recipe.Plan:
    """The source that reads files, within those that wrap it."""
    inner = source.arguments.get("source")
    return _innermost(inner) if isinstance(inner, recipe.Plan) else source


def rooted(node: Any, root: Path | None) -> Any:
    """A data section with the folder its files lie in; a source that wraps another has no files of its own."""
    if root is None or not isinstance(node, Mapping):
        return node
    if "source" in node:
        return {**node, "source": rooted(node["source"], root)}
    return {**node, "root": str(root)}


def _without_root(node: Any) -> Any:
    """Where the data lie does not change what is learned, so it is not part of a run's identity."""
    if isinstance(node, dict):
        return {key: _without_root(value) for key, value in node.items() if key != "root"}
    return node
