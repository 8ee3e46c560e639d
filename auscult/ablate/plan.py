"""The dry run: what every arm is, costs and could show, before any of it is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from auscult.ablate.arms import Rung, bind
from auscult.ablate.contrasts import Question, detectable, spread_of, table_of
from auscult.ablate.dry import Known, Rehearsal, rehearse
from auscult.ablate.items import Listed, listed
from auscult.ablate.ladder import Ladder
from auscult.ablate.record import check_code, starts, step_of
from auscult.ablate.results import Results
from auscult.ablate.score import settings_of
from auscult.errors import EvaluationError
from auscult.evaluate.statistics import Components
from auscult.hub.runs import HISTORY, RECIPE, read_history
from auscult.plain import leaves

ELSEWHERE = ("seed", "name", "validation")
"""What does not change how long a step takes."""


@dataclass(frozen=True)
class Speed:
    """Items a second that an earlier run learned, and where that was."""

    items_per_s: float
    source: str
    device: str


@dataclass(frozen=True)
class ArmPlan:
    """One arm before it is trained. ``done`` are the steps its runs have, by seed."""

    rung: Rung
    rehearsal: Rehearsal
    done: Mapping[int, int]
    speed: Speed | None

    @property
    def learned(self) -> int:
        """Items that one training learns from, on one device."""
        training = self.rung.plan.training
        return training.steps * training.batch * training.accumulate

    def left_s(self, shared: Mapping[str, str]) -> float | None:
        """Seconds of learning that are left for all seeds; None where no earlier run tells. ``shared``: done by."""
        if self.rung.name in shared:
            return 0.0
        if self.speed is None:
            return None
        steps = self.rung.plan.training.steps
        shares = [max(0, steps - done) / steps for done in self.done.values()]
        return self.learned / self.speed.items_per_s * sum(shares)


@dataclass(frozen=True)
class LadderPlan:
    """The whole of it."""

    ladder: Ladder
    arms: tuple[ArmPlan, ...]
    items: Listed
    spread: Components | None
    spread_from: str

    @cached_property
    def shared(self) -> dict[str, str]:
        """Arms that need no training of their own, and whose they use."""
        first: dict[str, str] = {}
        seed, shared = self.ladder.seeds[0], {}
        for arm in self.arms:
            owner = first.setdefault(arm.rung.folder_name(seed), arm.rung.name)
            if owner != arm.rung.name:
                shared[arm.rung.name] = owner
        return shared

    @property
    def detectable(self) -> float | None:
        """The smallest difference in the primary metric that is shown with a power of 80 %; None: not known."""
        if self.spread is None:
            return None
        return detectable(self.spread, self.items.count, len(self.ladder.seeds), len(self.ladder.factors))


def plan(ladder: Ladder, data: Path | None, runs: Path, out: Path) -> LadderPlan:
    """Bind every arm and rehearse it; nothing is trained or written.

    Raises:
        RecipeError, DataError: arms or items that cannot be. TrainingError: runs of another version of auscult.
    """
    arms = []
    speeds, known = _Speeds(runs), Known()
    for rung in bind(ladder, data).values():
        folders = {seed: runs / rung.folder_name(seed) for seed in ladder.seeds}
        for folder in folders.values():
            check_code(folder)
        done = {seed: step_of(folder) for seed, folder in folders.items()}
        arms.append(ArmPlan(rung, rehearse(rung.plan, rung.method, known), done, speeds.of(rung.plan.resolved)))
    items = listed(ladder, data, out, make=False)
    for arm in arms:
        settings_of(arm.rung, items)
    return LadderPlan(ladder, tuple(arms), items, *_spread(ladder, out))


def _spread(ladder: Ladder, out: Path) -> tuple[Components | None, str]:
    """Of the differences there are scores of, the median over contrasts; else what the ladder expects."""
    try:
        found = list(_measured(ladder, Results.of(out)))
    except EvaluationError:
        found = []
    if found:
        parts = (median(getattr(one, part) for one in found) for part in ("items", "seeds", "rest"))
        return Components(*parts), f"measured on {len(found)} contrasts in {out}"
    if ladder.expected is not None:
        return Components(ladder.expected.items, ladder.expected.seeds, 0.0), "as the ladder expects"
    return None, "there are no scores yet, and the ladder expects nothing (expected: {items: SD, seeds: SD})"


def _measured(ladder: Ladder, results: Results) -> Iterator[Components]:
    scores = results.scores(ladder.metric)
    for factor, contrast in ladder.factors.items():
        sides = (contrast.arm, contrast.against)
        seeds = [seed for seed in ladder.seeds if all((side, seed) in scores for side in sides)]
        if seeds:
            question = Question(factor, *sides, ladder.metric, ladder.margin_of(factor), True)
            spread = spread_of(table_of(question, scores, results.evaluation.items, seeds)[0])
            if spread is not None:
                yield spread


class _Speeds:
    """Earlier runs, by what makes a step as long: everything but seed, name and validation."""

    def __init__(self, runs: Path):
        self._runs = list(runs.glob(f"*/{RECIPE}"))

    def of(self, resolved: Mapping[str, Any]) -> Speed | None:
        """The speed of a run of the same recipe, whatever its seed and length."""
        for path in self._runs:
            if _alike(yaml.safe_load(path.read_text(encoding="utf-8"))) == _alike(resolved):
                rows = read_history(path.parent / HISTORY) if (path.parent / HISTORY).exists() else []
                speeds = [float(row["items_per_s"]) for row in rows if row["kind"] == "step"]
                if speeds:
                    device = str((starts(path.parent) or [{}])[-1].get("device", "an unknown device"))
                    return Speed(median(speeds), path.parent.name, device)
        return None


def _alike(recipe: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in recipe.items() if key not in ELSEWHERE}
    plain = dict(leaves(yaml.safe_load(yaml.safe_dump(kept))))
    plain.pop("training.steps", None)
    return plain


def lines_of(planned: LadderPlan) -> Sequence[str]:
    """What is to be known beside the table of arms."""
    ladder = planned.ladder
    lines = [
        f"{planned.items.count} items x {len(ladder.seeds)} seeds; {len(ladder.factors)} contrasts in {ladder.metric}"
    ]
    smallest = planned.detectable
    if smallest is None:
        lines.append(f"the smallest difference that can be shown is not known: {planned.spread_from}")
    elif smallest == float("inf"):
        lines.append("with one seed no difference between trainings can be shown: 2 more seeds to begin with")
    else:
        unit = f" {ladder.judge.unit}".rstrip()
        verdict = "enough" if smallest <= ladder.margin else "NOT enough, more seeds or items are needed"
        lines.append(
            f"smallest difference shown with a power of 80 %: {smallest:.2g}{unit} ({planned.spread_from}); "
            f"for the margin of {ladder.margin:g}{unit} {verdict}"
        )
    return lines
