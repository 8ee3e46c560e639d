"""What the history of a run says: curves, shares, stages, validations. Functions of its rows; numpy only."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy import ndarray

from auscult.evaluate.summary import Estimate, estimate
from auscult.plain import leaves

Row = Mapping[str, Any]
STAGES = ("early", "middle", "late")


@dataclass(frozen=True)
class Series:
    """Values against steps; what was recorded as not finite is NaN: a gap."""

    steps: ndarray
    values: ndarray

    @property
    def gaps(self) -> ndarray:
        """Steps without a finite value."""
        return self.steps[~np.isfinite(self.values)]

    def within(self, low: float, high: float) -> Series:
        """The part after ``low`` up to ``high``."""
        inside = (self.steps > low) & (self.steps <= high)
        return Series(self.steps[inside], self.values[inside])

    @property
    def mean(self) -> float:
        """Mean of the finite values; NaN where there is none."""
        finite = self.values[np.isfinite(self.values)]
        return float(finite.mean()) if finite.size else math.nan

    @property
    def trend(self) -> float:
        """Least-squares slope over 1000 steps; NaN for fewer than two finite values."""
        finite = np.isfinite(self.values)
        steps = self.steps[finite] - self.steps[finite].mean() if finite.any() else np.zeros(0)
        squares = float(steps @ steps)
        return 1000 * float(steps @ self.values[finite]) / squares if squares > 0 else math.nan


@dataclass(frozen=True)
class Validation:
    """One validation: means, and every item's scores and failures. An item named twice gets a number."""

    step: int
    means: Mapping[str, float]
    scores: Mapping[str, Mapping[str, float]]
    failures: Mapping[str, Mapping[str, str]]
    lost: Mapping[str, int] = field(default_factory=dict)
    """Items by metric that the net failed on although the noisy input has a score."""
    calibration: Mapping[str, float] = field(default_factory=dict)
    """How well a metric discriminator foresaw its metric."""

    def estimate(self, metric: str) -> Estimate:
        """Mean over the items that have a score, with its interval."""
        return estimate([scores[metric] for scores in self.scores.values() if metric in scores])


@dataclass(frozen=True)
class History:
    """The rows of a run, parsed."""

    rows: tuple[Row, ...]
    """One a logged step."""
    validations: tuple[Validation, ...]
    _known: dict[tuple[str, ...], Series] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, rows: Sequence[Row]) -> History:
        """Sort rows by what they are.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: these are no rows of a run.
        """
        steps = [row for row in rows if row["kind"] == "step"]
        for row in steps:
            int(row["step"]), float(row["items"]), row["skipped"].items(), [turn.items() for turn in _turns(row)]
        return cls(tuple(steps), tuple(_validation(row) for row in rows if row["kind"] == "validation"))

    @property
    def last(self) -> int:
        """The last step that was logged or validated."""
        ends = [int(row["step"]) for row in self.rows[-1:]] + [one.step for one in self.validations[-1:]]
        return max(ends, default=0)

    @cached_property
    def turns(self) -> tuple[str, ...]:
        """Who learned, in order."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row["turns"]))

    def parts(self, turn: str) -> tuple[str, ...]:
        """Names of the parts of a turn's loss."""
        return self.named(turn, "parts")

    def named(self, turn: str, kind: str) -> tuple[str, ...]:
        """Names of what a turn logs of a kind: ``parts``, ``notes``, ``gradient_share``, ``gradient_cosine``."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row["turns"].get(turn, {}).get(kind, {})))

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics of the validations."""
        return tuple(dict.fromkeys(name for one in self.validations for name in one.means))

    def series(self, *path: str) -> Series:
        """What lies at ``path`` in the rows that have it: ``("turns", "net", "loss")``."""
        if path not in self._known:
            found = [(int(row["step"]), value) for row in self.rows if (value := _at(row, path)) is not None]
            steps, values = [step for step, _ in found], [number(value) for _, value in found]
            self._known[path] = Series(np.array(steps, int), np.array(values, float))
        return self._known[path]

    def means(self, metric: str) -> Series:
        """Means of a metric over the validations."""
        found = [(one.step, one.means[metric]) for one in self.validations if metric in one.means]
        return Series(np.array([step for step, _ in found], int), np.array([value for _, value in found], float))

    @cached_property
    def calibrations(self) -> tuple[str, ...]:
        """What validations say of a discriminator."""
        return tuple(dict.fromkeys(name for one in self.validations for name in one.calibration))

    def calibration(self, name: str) -> Series:
        """One of these, over the validations."""
        found = [(one.step, number(one.calibration[name])) for one in self.validations if name in one.calibration]
        return Series(np.array([step for step, _ in found], int), np.array([value for _, value in found], float))

    def pulls(self, turn: str) -> dict[str, Series]:
        """Each part's share of the gradient norms at the estimate, where it was sampled."""
        parts = self.named(turn, "gradient_share")
        return {part: self.series("turns", turn, "gradient_share", part) for part in parts}

    def shares(self, turn: str) -> dict[str, Series]:
        """What part of a turn's loss each of its parts is: the size of weight x value, over the sum of these."""
        parts = self.parts(turn)
        of_turn = [(row["step"], row["turns"][turn]) for row in self.rows if turn in row["turns"]]
        table = np.array([[_weighted(one, part) for part in parts] for _, one in of_turn]).reshape(-1, len(parts))
        with np.errstate(invalid="ignore", divide="ignore"):
            table = table / table.sum(axis=1, keepdims=True)
        steps = np.array([step for step, _ in of_turn], int)
        return {part: Series(steps, table[:, i]) for i, part in enumerate(parts)}

    @cached_property
    def spans(self) -> ndarray:
        """How many steps each row speaks for."""
        return np.diff([int(row["step"]) for row in self.rows], prepend=0)

    def clipped_share(self, turn: str) -> float:
        """Share of all steps whose gradient was clipped."""
        shares = [number(row["turns"].get(turn, {}).get("clipped_share", math.nan)) for row in self.rows]
        known = np.isfinite(shares)
        return float(np.average(np.array(shares)[known], weights=self.spans[known])) if known.any() else math.nan

    def unstepped(self, turn: str) -> int:
        """Steps that were left out, for want of items or for a gradient that was not finite."""
        return sum(int(row["turns"].get(turn, {}).get("unstepped", 0)) for row in self.rows)

    @property
    def skipped(self) -> Counter[str]:
        """Draws that could not be used, by cause."""
        return sum((Counter(row["skipped"]) for row in self.rows), Counter())

    @property
    def items(self) -> int:
        """Items learned from."""
        return int(sum(row["items"] for row in self.rows))

    @property
    def learning_s(self) -> float:
        """Time spent on learning, without validations and saves."""
        speeds = [(float(row["items"]), number(row.get("items_per_s", math.nan))) for row in self.rows]
        return sum(items / speed for items, speed in speeds if speed > 0)


@dataclass(frozen=True)
class Stage:
    """A third of the steps."""

    name: str
    low: float
    high: float


def stages(last: int) -> list[Stage]:
    """Thirds of the steps done."""
    return [Stage(name, last * i / 3, last * (i + 1) / 3) for i, name in enumerate(STAGES)]


def number(value: Any) -> float:
    """A recorded number; text such as "nan" is what JSON has no number for."""
    found = float(value)
    return found if math.isfinite(found) else math.nan


def smoothed(series: Series, window: int, geometric: bool = False) -> Series:
    """Running mean over ``window`` values; gaps stay gaps.

    Towards the start, where curves are steep, it covers fewer values rather than be off centre; at the end it covers
    the values before. ``geometric`` averages logarithms, if all values are positive: single peaks weigh less.
    """
    finite = np.isfinite(series.values)
    logs = geometric and bool((series.values[finite] > 0).all())
    known = np.where(finite, series.values, 1.0)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, np.log(known) if logs else known, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    at = np.arange(known.size)
    before = np.minimum(window // 2, at)
    first, past = at - before, np.minimum(at + before, known.size - 1) + 1
    means = (sums[past] - sums[first]) / np.maximum(counts[past] - counts[first], 1)
    return Series(series.steps, np.where(finite, np.exp(means) if logs else means, np.nan))


def thinned(series: Series, most: int) -> Series:
    """At most about ``most`` points: the least and the largest value of each stretch, both ends, and every gap once."""
    if series.values.size <= most:
        return series
    kept = {0, series.values.size - 1}
    for places in np.array_split(np.arange(series.values.size), max(1, most // 2)):
        values = series.values[places]
        finite = np.isfinite(values)
        if finite.any():
            kept.add(int(places[np.where(finite, values, np.inf).argmin()]))
            kept.add(int(places[np.where(finite, values, -np.inf).argmax()]))
        if not finite.all():
            kept.add(int(places[finite.argmin()]))
    order = sorted(kept)
    return Series(series.steps[order], series.values[order])


def paired(later: Validation, earlier: Validation, metric: str) -> Estimate:
    """Later minus earlier, item by item, over the items that have a score in both."""
    both = [name for name in later.scores if metric in later.scores[name] and metric in earlier.scores.get(name, {})]
    differences = [later.scores[name][metric] - earlier.scores[name][metric] for name in both]
    return estimate([value for value in differences if math.isfinite(value)])


def ranked(
    history: History, metric: str, higher: bool, selected: Mapping[int, float] | None = None
) -> list[tuple[Validation, float]]:
    """Validations with what they are ranked by, the best first; undefined ones are left out.

    ``selected`` holds what checkpoints were ranked by, which also counts items that the net lost: where it is known
    it is the rank. A validation with lost items whose checkpoint is gone was not among the best: its mean over the
    other items would flatter it, so it comes after all others.
    """
    sign, known = (1.0 if higher else -1.0), selected or {}
    found = []
    for one in history.validations:
        value = known.get(one.step, sign * one.means.get(metric, math.nan))
        if math.isfinite(value):
            flattered = one.step not in known and one.lost.get(metric, 0) > 0
            found.append((flattered, -value, one))
    found.sort(key=lambda entry: entry[:2])
    return [(one, -value) for _, value, one in found]


def last_third(history: History, metric: str) -> tuple[Validation, Validation, Estimate] | None:
    """The last validation, the one that the last third began with, and their paired difference."""
    before = [one for one in history.validations if one.step <= history.last * 2 / 3]
    if not before or history.validations[-1] is before[-1]:
        return None
    last = history.validations[-1]
    return last, before[-1], paired(last, before[-1], metric)


def unlike(nodes: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Leaves that are not the same in all of ``nodes``: name and each one's value, None where it has none."""
    flat = [dict(leaves(node)) for node in nodes]
    names = dict.fromkeys(name for one in flat for name in one)
    rows = [(name, [one.get(name) for one in flat]) for name in names]
    return [(name, values) for name, values in rows if any(value != values[0] for value in values)]


def _turns(row: Row) -> list[Mapping[str, Any]]:
    return list(row["turns"].values())


def _validation(row: Row) -> Validation:
    scores: dict[str, dict[str, float]] = {}
    failures: dict[str, dict[str, str]] = {}
    seen: Counter[str] = Counter()
    for item in row["items"]:
        seen[item["item"]] += 1
        name = item["item"] if seen[item["item"]] == 1 else f"{item['item']} ({seen[item['item']]})"
        scores[name] = {key: float(value) for key, value in item.items() if key not in ("item", "failed")}
        failures[name] = dict(item["failed"])
    means = {name: float(value) for name, value in row["means"].items()}
    return Validation(int(row["step"]), means, scores, failures, row.get("lost", {}), row.get("calibration", {}))


def _at(row: Any, path: Sequence[str]) -> Any:
    for key in path:
        row = row.get(key) if isinstance(row, Mapping) else None
    return row


def _weighted(turn: Mapping[str, Any], part: str) -> float:
    value, weight = turn.get("parts", {}).get(part, 0.0), turn.get("weights", {}).get(part, 1.0)
    return abs(number(value) * number(weight))
