"""What rows say: means with intervals, comparisons of systems, groups, seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy import ndarray

from auscult.evaluate.grouping import groupings
from auscult.evaluate.rows import Evaluation, Item, MetricFacts, Row
from auscult.evaluate.statistics import (
    FEWEST_CLUSTERS,
    LEVEL,
    Components,
    Labels,
    Values,
    components,
    effect_size,
    holm,
    interval,
    items_needed,
    seed_error,
    seeds_needed,
    sign_flip,
    widened,
)

ALPHA = 1 - LEVEL


@dataclass(frozen=True)
class Estimate:
    """A mean over items with its 95 % interval."""

    items: int
    mean: float
    low: float
    high: float
    sd: float
    median: float


def estimate(values: Sequence[float] | Values) -> Estimate:
    """A mean over items with its 95 % interval; no interval for fewer than two items or an infinite score."""
    known = np.array([value for value in values if not math.isnan(value)], float)
    if not known.size:
        return Estimate(0, *[math.nan] * 5)
    mean, median = float(known.mean()), float(np.median(known))
    if not math.isfinite(mean):
        return Estimate(known.size, mean, math.nan, math.nan, math.nan, median)
    sd = float(known.std(ddof=1)) if known.size > 1 else math.nan
    return Estimate(known.size, mean, *interval(known), sd, median)


@dataclass(frozen=True)
class Standing:
    """How one system stands in one metric on one data set."""

    data: str
    system: str
    metric: str
    estimate: Estimate
    failed: int
    """Items on which the metric failed; they are in no mean."""
    seeds: int
    seed_sd: float | None
    """Standard deviation of the data set's mean over seeds; None for a single seed."""
    split: Components | None = None
    """Where the scores vary: between items, between seeds, or neither; None for a single seed."""


@dataclass(frozen=True)
class Comparison:
    """System ``a`` minus system ``b``, item by item."""

    data: str
    metric: str
    a: str
    b: str
    difference: Estimate
    p: float
    p_holm: float
    effect: float
    """Cohen's d of the paired differences."""
    win_share: float
    """Share of items on which ``a`` is the better one; ties count half."""
    verdict: str
    """better, worse, equal, or no difference shown: of ``a`` against ``b``."""
    words: str
    """The verdict as a sentence, with what it would take to see more."""


@dataclass(frozen=True)
class GroupStanding:
    """A standing within one group of items: noise_type = bus."""

    data: str
    group: str
    value: str
    system: str
    metric: str
    estimate: Estimate


@dataclass(frozen=True)
class Summary:
    """All of it. ``notes`` are sentences that a reader must see beside the numbers."""

    standings: tuple[Standing, ...]
    comparisons: tuple[Comparison, ...]
    groups: tuple[GroupStanding, ...]
    notes: tuple[str, ...]


def summarise(evaluation: Evaluation, notes: Sequence[str] = ()) -> Summary:
    """Everything a report says about the numbers of an evaluation; ``notes`` come before its own."""
    tables = [_Table(evaluation, data) for data in dict.fromkeys(item.data for item in evaluation.items)]
    comparisons = [comparison for table in tables for comparison in table.comparisons()]
    corrected = holm([comparison.p for comparison in comparisons])
    facts = {metric.name: metric for metric in evaluation.metrics}
    worded = [
        _worded(comparison, p_holm, facts[comparison.metric], table)
        for (table, comparison), p_holm in zip(_with_table(tables, comparisons), corrected, strict=True)
    ]
    return Summary(
        tuple(standing for table in tables for standing in table.standings()),
        tuple(worded),
        tuple(group for table in tables for group in table.groups()),
        (*notes, *dict.fromkeys(note for table in tables for note in table.notes())),
    )


class _Table:
    """The scores of one data set, as arrays of items by seeds."""

    def __init__(self, evaluation: Evaluation, data: str):
        self.data, self.metrics = data, evaluation.metrics
        self.items: list[Item] = [item for item in evaluation.items if item.data == data]
        self.rows = [row for row in evaluation.rows if row.data == data]
        self.systems = [name for name in evaluation.systems if any(row.system == name for row in self.rows)]
        self.clusters = _clusters(self.items)
        self._scores = {
            (s, m.name): _scores(self.items, self.rows, s, m.name) for s in self.systems for m in self.metrics
        }

    def scores(self, system: str, metric: str) -> ndarray:
        """(items, seeds); NaN where the metric failed."""
        return self._scores[system, metric]

    def by_item(self, system: str, metric: str) -> Values:
        """Mean over the seeds that have a score; NaN where none has."""
        table = self.scores(system, metric)
        known = ~np.isnan(table)
        return np.where(known, table, 0).sum(axis=1) / np.where(known.any(axis=1), known.sum(axis=1), np.nan)

    def by_seed(self, system: str, metric: str) -> Values:
        """The data set's mean for every seed, over items that have a score with all of them."""
        table = self.scores(system, metric)
        whole = table[~np.isnan(table).any(axis=1)]
        return whole.mean(axis=0) if len(whole) else np.zeros(0)

    def standings(self) -> Iterator[Standing]:
        for system, metric in self._pairs():
            values, seeds = self.by_item(system, metric), self.by_seed(system, metric)
            failed = sum(metric in row.failures for row in self.rows if row.system == system)
            sd = float(seeds.std(ddof=1)) if seeds.size > 1 else None
            split = self._split(system, metric)
            count = self.scores(system, metric).shape[1]
            yield Standing(self.data, system, metric, self._estimate(values, [seeds]), failed, count, sd, split)

    def comparisons(self) -> Iterator[Comparison]:
        """Every pair of systems in every metric; words come once all p-values are known."""
        for metric in self.metrics:
            for b, a in combinations(self.systems, 2):
                values = self.by_item(a, metric.name) - self.by_item(b, metric.name)
                known = ~np.isnan(values)
                if known.sum() < 2 or not np.isfinite(values[known]).all():
                    continue
                seeds = [self.by_seed(system, metric.name) for system in (a, b)]
                better = values[known] * (-1 if metric.higher_is_better is False else 1)
                yield Comparison(
                    self.data,
                    metric.name,
                    a,
                    b,
                    self._estimate(values, seeds),
                    sign_flip(values[known], self._of(known)),
                    math.nan,
                    effect_size(values[known]),
                    float(np.mean(better > 0) + np.mean(better == 0) / 2),
                    "",
                    "",
                )

    def groups(self) -> Iterator[GroupStanding]:
        for grouping in groupings(self.items):
            for value in grouping.values:
                chosen = np.array([label == value for label in grouping.labels])
                for system, metric in self._pairs():
                    values = np.where(chosen, self.by_item(system, metric), np.nan)
                    yield GroupStanding(self.data, grouping.name, value, system, metric, self._estimate(values, []))

    def notes(self) -> Iterator[str]:
        """What a reader must know before reading a number."""
        speakers = {item.facts["speaker"] for item in self.items if "speaker" in item.facts}
        if len(self.items) == 1:
            yield f"{self.data}: one item says nothing of others; there are no intervals"
        elif self.clusters is not None:
            yield f"{self.data}: intervals and tests are over {len(speakers)} speakers, not over single items"
        elif speakers:
            these = "one speaker is" if len(speakers) == 1 else f"{len(speakers)} speakers are"
            yield f"{self.data}: {these} too few to speak of others; intervals and tests are over items"
        else:
            yield f"{self.data}: speakers are not known; intervals and tests take items as independent"
        for system, metric in self._pairs():
            failed = [row for row in self.rows if row.system == system and metric in row.failures]
            if failed:
                why = failed[0].failures[metric]
                yield f"{self.data}: {metric} failed on {len(failed)} of {system}'s rows, first {failed[0].item}: {why}"

    def _pairs(self) -> Iterator[tuple[str, str]]:
        return ((system, metric.name) for system in self.systems for metric in self.metrics)

    def _estimate(self, values: Values, seeds: Sequence[Values]) -> Estimate:
        known = ~np.isnan(values)
        values = values[known]
        if not values.size:
            return Estimate(0, *[math.nan] * 5)
        mean = float(values.mean())
        if not math.isfinite(mean):  # a perfect estimate has an infinite SI-SDR: no spread to speak of
            return Estimate(int(values.size), mean, math.nan, math.nan, math.nan, float(np.median(values)))
        low, high = widened(interval(values, self._of(known)), mean, seeds)
        sd = float(values.std(ddof=1)) if values.size > 1 else math.nan
        return Estimate(int(values.size), mean, low, high, sd, float(np.median(values)))

    def _split(self, system: str, metric: str) -> Components | None:
        """Variance of the items that have a score with every seed."""
        table = self.scores(system, metric)
        whole = table[np.isfinite(table).all(axis=1)]
        return components(whole) if min(whole.shape) > 1 else None

    def _of(self, known: ndarray) -> Labels | None:
        """Clusters of some items; None where too few clusters are left among them."""
        if self.clusters is None or np.unique(self.clusters[known]).size < FEWEST_CLUSTERS:
            return None
        return self.clusters[known]

    def equal(self, comparison: Comparison, margin: float) -> bool:
        """Two one-sided tests at 5 %: the 90 % interval of the difference lies within the margin."""
        values, known = self._differences(comparison)
        seeds = [self.by_seed(system, comparison.metric) for system in (comparison.a, comparison.b)]
        bounds = interval(values, self._of(known), 1 - 2 * ALPHA)
        low, high = widened(bounds, float(values.mean()), seeds)
        return -margin < low and high < margin

    def wanting(self, comparison: Comparison, margin: float) -> str:
        """What it would take to see a difference of ``margin``."""
        values, known = self._differences(comparison)
        needed = items_needed(values, margin, self._of(known))
        seeds = [self.by_seed(system, comparison.metric) for system in (comparison.a, comparison.b)]
        if 2 * seed_error(seeds)[0] > margin:
            return f"{seeds_needed(seeds, margin)} seeds a system are needed"
        if needed <= values.size:
            return f"these {values.size} items are enough"
        return f"{needed - values.size} more items are needed"

    def _differences(self, comparison: Comparison) -> tuple[Values, ndarray]:
        values = self.by_item(comparison.a, comparison.metric) - self.by_item(comparison.b, comparison.metric)
        known = ~np.isnan(values)
        return values[known], known


def _scores(items: Sequence[Item], rows: Sequence[Row], system: str, metric: str) -> ndarray:
    own = [row for row in rows if row.system == system]
    seeds = {seed: j for j, seed in enumerate(dict.fromkeys(row.seed for row in own))}
    places = {item.name: i for i, item in enumerate(items)}
    table = np.full((len(items), max(len(seeds), 1)), np.nan)
    for row in own:
        table[places[row.item], seeds[row.seed]] = row.scores.get(metric, np.nan)
    return table


def _clusters(items: Sequence[Item]) -> Labels | None:
    """Speakers as numbers, where every item has one and there are enough."""
    names = [item.facts.get("speaker") for item in items]
    if None in names or len(set(names)) < FEWEST_CLUSTERS:
        return None
    return np.unique(np.array(names, dtype=str), return_inverse=True)[1]


def _with_table(tables: Sequence[_Table], comparisons: Sequence[Comparison]) -> Iterator[tuple[_Table, Comparison]]:
    by_data: Mapping[str, _Table] = {table.data: table for table in tables}
    return ((by_data[comparison.data], comparison) for comparison in comparisons)


def _worded(comparison: Comparison, p_holm: float, metric: MetricFacts, table: _Table) -> Comparison:
    """The comparison with its verdict: a difference, equality within the margin, or nothing shown."""
    d, margin, unit = comparison.difference, metric.matters, f" {metric.unit}" if metric.unit else ""
    of = f"{comparison.a} against {comparison.b} in {metric.name}"
    seen = f"{d.mean:+.3g}{unit} [{d.low:+.3g}, {d.high:+.3g}]"
    if p_holm < ALPHA and not d.low <= 0 <= d.high:
        verdict = _direction(d.mean, metric.higher_is_better)
        small = margin is not None and abs(d.mean) < margin
        words = f"{of}: {verdict}, {seen}" + (f", less than the {margin:g} that matters" if small else "")
    elif margin is not None and table.equal(comparison, margin):
        verdict, words = "equal", f"{of}: equal within {margin:g}{unit}, {seen}"
    else:
        verdict, words = "no difference shown", f"{of}: no difference shown, {seen}"
        if margin is not None:
            words += f"; to see {margin:g}{unit}, {table.wanting(comparison, margin)}"
    return replace(comparison, p_holm=p_holm, verdict=verdict, words=words)


def _direction(difference: float, higher_is_better: bool | None) -> str:
    if higher_is_better is None:
        return "higher" if difference > 0 else "lower"
    return "better" if (difference > 0) == higher_is_better else "worse"
