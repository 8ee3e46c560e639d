"""A ladder: one YAML file that says, before anything is trained, what is compared and what will count as an effect.

Arms change one leaf of a recipe each (or a group that is declared to belong together). Metric, margin and contrasts
are written down first, so that a result cannot choose its own question.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml

from auscult import recipe
from auscult.bounds import Count, NotNegative, Positive, Whole
from auscult.errors import RecipeError, nearest
from auscult.evaluate.datasets import DataSet
from auscult.evaluate.score import metrics_named
from auscult.hub.bundle import Weights
from auscult.metrics.base import Metric

Leaf = str | int | float | bool | list[Any] | dict[str, Any] | None
"""A value of a recipe."""
BASE = "base"
"""The arm that is the recipe as it stands."""


@dataclass(frozen=True)
class Arm:
    """What one arm changes of its ``parent``.

    Args:
        change: leaves of the recipe by dotted name. The arm is trained.
        settings: of the restoration, as ``auscult evaluate --set`` takes them: ``sampler.steps``, ``guidance_scale``,
            ``noise_reference``, ``strength``. Without ``change`` nothing is trained: the parent's checkpoint serves.
        weights: averaged (``ema``) or raw (``net``) weights of the checkpoint.
        parent: the arm that it changes.
        group: why several leaves are one change; needed where there are several.
        words: what the arm is for.
    """

    change: dict[str, Leaf] = field(default_factory=dict)
    settings: dict[str, Leaf] = field(default_factory=dict)
    weights: Weights | None = None
    parent: str = BASE
    group: str = ""
    words: str = ""


@dataclass(frozen=True)
class Contrast:
    """One factor: an arm against another. ``margin`` stands in for that of the ladder."""

    arm: str
    against: str = BASE
    margin: Positive | None = None
    words: str = ""


@dataclass(frozen=True)
class Judged:
    """The items that all arms are judged on.

    Args:
        items: how many are drawn from the validation data of the ladder's recipe, once; all arms share them.
        pairs: recorded pairs instead, as ``auscult evaluate`` takes them, relative to the data folder.
        metrics: further metrics; what they show is exploratory.
        patterns: facts read off the items' names, ``speaker: '^(p\\d+)_'``.
        checkpoint: the last one of a run, or the best by the recipe's validation.
    """

    items: Count = 200
    pairs: DataSet | None = None
    metrics: tuple[str, ...] = ()
    patterns: dict[str, str] = field(default_factory=dict)
    checkpoint: Literal["last", "best"] = "last"


@dataclass(frozen=True)
class Spread:
    """Standard deviations of a paired difference that are expected: between items, and between seeds' means."""

    items: NotNegative
    seeds: NotNegative


@dataclass(frozen=True)
class Ladder:
    """The experiment.

    Args:
        recipe: the base: a shipped recipe's name, or a file beside the ladder.
        common: leaves that are changed for all arms.
        steps: training steps of every arm. seeds: of the trainings; the same for all arms.
        metric: the primary metric, ``margin`` the difference in it that would matter.
        controls: arms that are no rung, such as a condition with permuted contents; each needs a contrast.
        contrasts: factors by name. Without any: each arm against its parent.
        expected: what the minimal detectable effect is computed from before there are scores.

    Raises:
        RecipeError: no seeds, names that do not fit together, a metric that cannot decide.
    """

    name: str
    recipe: str
    arms: dict[str, Arm]
    steps: Count
    seeds: tuple[Whole, ...]
    metric: str
    margin: Positive
    question: str = ""
    common: dict[str, Leaf] = field(default_factory=dict)
    controls: dict[str, Arm] = field(default_factory=dict)
    contrasts: dict[str, Contrast] = field(default_factory=dict)
    evaluation: Judged = Judged()
    expected: Spread | None = None

    def __post_init__(self) -> None:
        for problem in (*self._of_seeds(), *self._of_names(), *self._of_contrasts(), *self._of_metrics()):
            raise RecipeError(f"ladder {self.name}: {problem}")

    @property
    def everyone(self) -> dict[str, Arm]:
        """All arms, the base first."""
        return {BASE: Arm(), **self.arms, **self.controls}

    @property
    def factors(self) -> dict[str, Contrast]:
        """The declared contrasts, else each arm against its parent."""
        return self.contrasts or {name: Contrast(name, arm.parent) for name, arm in self.arms.items()}

    @property
    def judge(self) -> Metric:
        """The primary metric."""
        return metrics_named([self.metric])[0]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The primary metric and the exploratory ones."""
        return tuple(dict.fromkeys([self.metric, *self.evaluation.metrics]))

    def margin_of(self, factor: str) -> float:
        """The margin of a contrast."""
        return self.factors[factor].margin or self.margin

    def _of_seeds(self) -> Iterator[str]:
        if not self.seeds:
            yield "seeds: at least one training seed is needed; three begin to tell chance from effect: [0, 1, 2]"
        if len(set(self.seeds)) < len(self.seeds):
            yield f"seeds: {list(self.seeds)} names a seed twice"

    def _of_names(self) -> Iterator[str]:
        if not self.arms:
            yield "arms: none; an arm changes one leaf: longer: {change: {training.steps: 8000}}"
        for name in [*self.arms, *self.controls]:
            if name == BASE or not re.fullmatch(r"[\w.+-]+", name):
                yield f"arms: '{name}' cannot name an arm: letters, digits, '.', '_', '+', '-', and not '{BASE}'"
        for name in self.arms.keys() & self.controls.keys():
            yield f"'{name}' is both an arm and a control; rename one"
        for name, arm in self.everyone.items():
            if arm.parent not in self.everyone:
                yield f"arms.{name}.parent: {_unknown(arm.parent, self.everyone)}"
            elif name != BASE and name in _ancestors(name, self.everyone):
                yield f"arms.{name}.parent: {name} is its own ancestor"

    def _of_contrasts(self) -> Iterator[str]:
        for factor, contrast in self.contrasts.items():
            for side in (contrast.arm, contrast.against):
                if side not in self.everyone:
                    yield f"contrasts.{factor}: {_unknown(side, self.everyone)}"
            if contrast.arm == contrast.against:
                yield f"contrasts.{factor}: compares {contrast.arm} with itself"
        compared = {side for one in self.factors.values() for side in (one.arm, one.against)}
        for name in self.controls.keys() - compared:
            yield f"controls.{name}: no contrast uses it; declare one, or leave the control out"

    def _of_metrics(self) -> Iterator[str]:
        metrics_named(self.metrics)
        if self.judge.higher_is_better is None:
            yield f"metric: of '{self.metric}' neither more nor less is better; choose another"


def shipped() -> dict[str, Path]:
    """Ladders inside the package, by name."""
    folder = Path(str(resources.files("auscult") / "ladders"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read(source: str | Path, overrides: Sequence[str] = ()) -> Ladder:
    """A ladder by shipped name or file, with ``a.b=value`` overrides applied.

    Raises:
        RecipeError: unknown name, not YAML, or an entry that is unknown or wrong, named.
    """
    path = shipped().get(str(source), Path(source))
    if not path.is_file():
        raise RecipeError(
            f"no ladder '{source}'{nearest(str(source), shipped())}; shipped are {', '.join(shipped())}, "
            "or give the path of a YAML file"
        )
    ladder: Ladder = recipe.plan(recipe.read(str(path), overrides), Ladder, path.name).build()
    beside = path.parent / ladder.recipe
    return replace(ladder, recipe=str(beside)) if beside.is_file() else ladder


def assignments(leaves: Mapping[str, Any]) -> list[str]:
    """Leaves as overrides of a recipe: ``training.steps=100``."""
    return [f"{name}={_text(value)}" for name, value in leaves.items()]


def ancestry(name: str, everyone: Mapping[str, Arm]) -> list[Arm]:
    """The changes that lead from the base to an arm, in order."""
    return [everyone[one] for one in [*reversed(_ancestors(name, everyone)), name]]


def _ancestors(name: str, everyone: Mapping[str, Arm]) -> list[str]:
    found: list[str] = []
    while name != BASE and (name := everyone[name].parent) not in found:
        found.append(name)
        if name not in everyone:
            break
    return found


def _unknown(name: str, known: Collection[str]) -> str:
    return f"no arm '{name}'{nearest(name, known)}; there are {', '.join(known)}"


def _text(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()
