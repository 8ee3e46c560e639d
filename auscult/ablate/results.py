"""A ladder's folder read back: the scores of all arms as one evaluation, and every question answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from auscult.ablate.contrasts import Answer, Question, Scores, answers
from auscult.ablate.record import ArmRecord, Record
from auscult.errors import EvaluationError
from auscult.evaluate.rows import Evaluation, MetricFacts
from auscult.evaluate.score import NOISY
from auscult.evaluate.store import load


@dataclass(frozen=True)
class Results:
    """What a ladder's folder holds."""

    folder: Path
    record: Record
    evaluation: Evaluation

    @classmethod
    def of(cls, folder: Path) -> Results:
        """Read it; neither torch nor the data is needed.

        Raises:
            EvaluationError: no ladder there, nothing scored yet, or scores that do not fit together.
        """
        record = Record.read(folder)
        noisy = record.arms.get(NOISY)
        if noisy is None:
            raise EvaluationError(f"{folder}: nothing is scored yet; auscult ablate run goes on")
        found = {
            (arm.name, one.seed): folder / one.scores
            for arm in record.arms.values()
            for one in arm.trainings
            if arm.name != NOISY and one.scores and one.seed in record.ladder.seeds
        }
        return cls(folder, record, gathered(found, folder / noisy.trainings[0].scores))

    @property
    def arms(self) -> list[ArmRecord]:
        """The arms, without the inputs."""
        return [arm for name, arm in self.record.arms.items() if name != NOISY]

    @cached_property
    def incomplete(self) -> dict[str, list[int]]:
        """Arms that lack seeds, and which: they are in no mean."""
        seeds = self.record.ladder.seeds
        lacking = {arm.name: [seed for seed in seeds if not self._has(arm, seed)] for arm in self.arms}
        return {name: missing for name, missing in lacking.items() if missing}

    @property
    def whole(self) -> Evaluation:
        """The evaluation of the arms that have every seed."""
        kept = {name: facts for name, facts in self.evaluation.systems.items() if name not in self.incomplete}
        rows = tuple(row for row in self.evaluation.rows if row.system in kept)
        return replace(self.evaluation, systems=kept, rows=rows)

    def metric(self, name: str) -> MetricFacts:
        """What is known of a metric."""
        return next(one for one in self.evaluation.metrics if one.name == name)

    @property
    def primary(self) -> str:
        """The primary metric's name in the scores."""
        return self.record.ladder.judge.label

    @cached_property
    def answers(self) -> list[Answer]:
        """Of every contrast in the primary metric; added contrasts are exploratory."""
        return self._answered([self.primary])

    @cached_property
    def exploratory(self) -> list[Answer]:
        """Of every contrast in the other metrics, against what matters in each; in no correction."""
        others = [one.name for one in self.evaluation.metrics if one.name != self.primary]
        return self._answered([one for one in others if self.metric(one).higher_is_better is not None])

    def scores(self, metric: str) -> Scores:
        """Scores of items by arm and seed."""
        found: dict[tuple[str, int], dict[str, float]] = {}
        for row in self.evaluation.rows:
            if row.system != NOISY and row.seed is not None:
                own = found.setdefault((row.system, row.seed), {})
                own |= {row.item: row.scores[metric]} if metric in row.scores else {}
        return found

    def _answered(self, metrics: Sequence[str]) -> list[Answer]:
        questions = [self._question(factor, metric) for metric in metrics for factor in self.record.ladder.factors]
        scores: Mapping[str, Scores] = {metric: self.scores(metric) for metric in metrics}
        return answers(questions, scores, self.evaluation.items, self.record.ladder.seeds)

    def _question(self, factor: str, metric: str) -> Question:
        ladder, facts = self.record.ladder, self.metric(metric)
        contrast, first = ladder.factors[factor], metric == self.primary
        sides = [self.record.arms[side] for side in (contrast.arm, contrast.against)]
        same = [one.run for one in sides[0].trainings] == [one.run for one in sides[1].trainings]
        return Question(
            factor,
            contrast.arm,
            contrast.against,
            metric,
            ladder.margin_of(factor) if first else facts.matters,
            bool(facts.higher_is_better),
            facts.unit,
            same,
            first and factor in self.record.declared.contrasts,
        )

    def _has(self, arm: ArmRecord, seed: int) -> bool:
        one = arm.training(seed)
        return one is not None and bool(one.scores)


def gathered(folders: Mapping[tuple[str, int], Path], noisy: Path) -> Evaluation:
    """All arms as systems of one evaluation, training seeds as its seeds.

    Raises:
        EvaluationError: scores of different items or metrics.
    """
    base = load(noisy)
    rows, systems = list(base.rows), dict(base.systems)
    for (arm, seed), folder in folders.items():
        one = load(folder)
        if one.fingerprint != base.fingerprint:
            raise EvaluationError(
                f"{folder}: {arm} seed {seed} was judged on another list or by other metrics than the others; "
                "run the ladder again"
            )
        rows += [replace(row, system=arm, seed=seed) for row in one.rows]
        systems[arm] = {"kind": "arm"}
    return replace(base, rows=tuple(rows), systems=systems)
