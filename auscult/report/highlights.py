"""Which items to look at and listen to, and why: one selection for the page and for the exported folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, pstdev

from auscult.evaluate.rows import Evaluation, Item, MetricFacts, Row
from auscult.evaluate.summary import Summary

NOISY = "noisy"
"""The system that is the unprocessed input."""
MOST = 5


@dataclass(frozen=True)
class Entry:
    """All that was measured of one item: scores by system and metric, means over seeds."""

    item: Item
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    failures: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    estimates: Mapping[str, Path] = field(default_factory=dict)
    """The scored file of every system, of its first seed."""

    def score(self, system: str, metric: str) -> float | None:
        """The score, or None where there is none."""
        return self.scores.get(system, {}).get(metric)


@dataclass(frozen=True)
class Pick:
    """One highlighted item. ``kind`` is best, worst, systems differ, metrics differ or typical."""

    entry: Entry
    kind: str
    why: str


@dataclass(frozen=True)
class Highlights:
    """The selection for one metric and one system; ``listen`` is the short list, in the order to hear it."""

    metric: MetricFacts
    system: str
    best: tuple[Pick, ...]
    worst: tuple[Pick, ...]
    listen: tuple[Pick, ...]

    @property
    def picks(self) -> tuple[Pick, ...]:
        """Every highlighted item once, with all reasons: the short list, then the other worst and best."""
        once: dict[tuple[str, str], Pick] = {}
        for pick in (*self.listen, *self.worst, *self.best):
            key = (pick.entry.item.data, pick.entry.item.name)
            first = once.setdefault(key, pick)
            if pick.why not in first.why:
                once[key] = replace(first, why=f"{first.why}; {pick.why}")
        return tuple(once.values())


def highlights(
    evaluation: Evaluation, summary: Summary, metric: str | None = None, system: str | None = None
) -> Highlights:
    """Choose items by their gain over the noisy input (by the score itself where no noisy input was scored).

    By default the metric is the first that has a direction and scores, and the system the one with the best mean.
    """
    facts = _main_metric(evaluation, metric)
    name = system or main_system(evaluation, summary, facts)
    all_entries = entries(evaluation)
    ranked = _ranked(all_entries, name, facts)
    count = min(MOST, max(1, len(ranked) // 2))
    shown = metric_decimals(all_entries, evaluation.metrics)
    digits = shown[facts.name]
    worst = _extremes(ranked[:count], "worst", name, facts, digits)
    best = _extremes(ranked[::-1][: min(count, len(ranked) - len(worst))], "best", name, facts, digits)
    others = [
        _systems_differ(all_entries, systems_of(evaluation), facts, digits),
        _metrics_differ(all_entries, name, evaluation.metrics, shown),
        _typical(ranked, name, facts, digits),
    ]
    listen = (*worst[:1], *best[:1], *(pick for pick in others if pick is not None))
    return Highlights(facts, name, best, worst, listen)


def entries(evaluation: Evaluation) -> tuple[Entry, ...]:
    """The rows gathered by item, seeds averaged, in the order of the items."""
    rows: dict[tuple[str, str], list[Row]] = {(item.data, item.name): [] for item in evaluation.items}
    for row in evaluation.rows:
        rows.setdefault((row.data, row.item), []).append(row)
    known = {(item.data, item.name): item for item in evaluation.items}
    return tuple(_entry(known.get(key) or Item(*key), of_item) for key, of_item in rows.items())


def systems_of(evaluation: Evaluation) -> list[str]:
    """Names of the systems, the noisy input first."""
    names = dict.fromkeys([*evaluation.systems, *(row.system for row in evaluation.rows)])
    return sorted(names, key=lambda name: name != NOISY)


def gain(entry: Entry, system: str, metric: MetricFacts) -> float | None:
    """How much better than the noisy input, positive is better; the signed score itself where there is no input.

    None where a score is missing or infinite (SI-SDR of a perfect estimate).
    """
    value, start = entry.score(system, metric.name), entry.score(NOISY, metric.name)
    if value is None or (system != NOISY and NOISY in entry.scores and start is None):
        return None
    sign = -1.0 if metric.higher_is_better is False else 1.0
    found = sign * (value - (start if start is not None and system != NOISY else 0.0))
    return found if math.isfinite(found) else None


def main_system(evaluation: Evaluation, summary: Summary, metric: MetricFacts) -> str:
    """The processed system with the best mean over data sets; the first where nothing was scored."""
    names = [name for name in systems_of(evaluation) if name != NOISY] or systems_of(evaluation)
    sign = -1.0 if metric.higher_is_better is False else 1.0

    def standing(name: str) -> float:
        means = [s.estimate.mean for s in summary.standings if s.system == name and s.metric == metric.name]
        means = [mean for mean in means if math.isfinite(mean)]
        return sign * fmean(means) if means else -math.inf

    return max(names, key=standing, default=NOISY)


def decimals(values: Iterable[float]) -> int:
    """Decimals that show a hundredth of the spread of ``values``."""
    numbers = [value for value in values if math.isfinite(value)]
    spread = max(numbers) - min(numbers) if numbers else 0.0
    return min(4, max(0, 2 - math.floor(math.log10(spread)))) if spread > 0 else 2


def metric_decimals(all_entries: Iterable[Entry], metrics: Iterable[MetricFacts]) -> dict[str, int]:
    """:func:`decimals` of each metric's scores."""
    known = list(all_entries)
    return {m.name: decimals(by[m.name] for e in known for by in e.scores.values() if m.name in by) for m in metrics}


def facts_in_words(facts: Mapping[str, str | float]) -> str:
    """``noise_type bus, snr_db 2.5``."""
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in facts.items()
    )


def _entry(item: Item, rows: Sequence[Row]) -> Entry:
    values: dict[str, dict[str, list[float]]] = {}
    failures: dict[str, dict[str, str]] = {}
    estimates: dict[str, Path] = {}
    for row in rows:
        of_system = values.setdefault(row.system, {})
        for name, score in row.scores.items():
            of_system.setdefault(name, []).append(score)
        if row.failures:
            failures.setdefault(row.system, {}).update(row.failures)
        if row.estimate is not None:
            estimates.setdefault(row.system, row.estimate)
    means = {system: {name: fmean(scores) for name, scores in by.items()} for system, by in values.items()}
    return Entry(item, means, failures, estimates)


def _main_metric(evaluation: Evaluation, name: str | None) -> MetricFacts:
    named = {metric.name: metric for metric in evaluation.metrics}
    if name is not None:
        return named[name]
    scored = {metric for row in evaluation.rows for metric in row.scores}
    usable = [m for m in evaluation.metrics if m.name in scored and m.higher_is_better is not None]
    return (usable or list(evaluation.metrics))[0]


def _ranked(all_entries: Sequence[Entry], system: str, metric: MetricFacts) -> list[tuple[Entry, float]]:
    gains = [(entry, gain(entry, system, metric)) for entry in all_entries]
    return sorted([(entry, value) for entry, value in gains if value is not None], key=lambda pair: pair[1])


def _extremes(
    ranked: Sequence[tuple[Entry, float]], kind: str, system: str, metric: MetricFacts, digits: int
) -> tuple[Pick, ...]:
    places = ["", "second ", "third ", "fourth ", "fifth "]
    return tuple(
        Pick(entry, kind, f"{_change(entry, system, metric, digits)}: the {place}{kind} of {system}")
        for place, (entry, _) in zip(places, ranked, strict=False)
    )


def _change(entry: Entry, system: str, metric: MetricFacts, digits: int) -> str:
    """``pesq 1.20 to 2.50 (+1.30)``."""
    value, start = entry.score(system, metric.name), entry.score(NOISY, metric.name)
    assert value is not None
    if start is None or system == NOISY:
        return f"{metric.name} {value:.{digits}f}"
    return f"{metric.name} {start:.{digits}f} to {value:.{digits}f} ({value - start:+.{digits}f})"


def _typical(ranked: Sequence[tuple[Entry, float]], system: str, metric: MetricFacts, digits: int) -> Pick | None:
    if len(ranked) < 3:
        return None
    entry = ranked[len(ranked) // 2][0]
    return Pick(entry, "typical", f"{_change(entry, system, metric, digits)}: the median item, what to expect")


def _systems_differ(
    all_entries: Sequence[Entry], systems: Sequence[str], metric: MetricFacts, digits: int
) -> Pick | None:
    """The item on which the processed systems are furthest apart."""
    found: list[tuple[float, Entry, str]] = []
    for entry in all_entries:
        scored = {name: entry.score(name, metric.name) for name in systems if name != NOISY}
        values = {name: value for name, value in scored.items() if value is not None and math.isfinite(value)}
        if len(values) > 1:
            high, low = max(values, key=values.__getitem__), min(values, key=values.__getitem__)
            words = f"{metric.name} {values[high]:.{digits}f} from {high}, {values[low]:.{digits}f} from {low}"
            found.append((values[high] - values[low], entry, words))
    if not found:
        return None
    _, entry, words = max(found, key=lambda one: one[0])
    return Pick(entry, "systems differ", f"{words}: where the systems are furthest apart")


def _metrics_differ(
    all_entries: Sequence[Entry], system: str, metrics: Sequence[MetricFacts], digits: Mapping[str, int]
) -> Pick | None:
    """The item on which one metric rises most while another falls, each in its own standard deviations."""
    directed = [metric for metric in metrics if metric.higher_is_better is not None]
    scaled = {metric.name: _scaled_gain(all_entries, system, metric) for metric in directed}
    found: list[tuple[float, Entry, MetricFacts, MetricFacts]] = []
    for entry in all_entries:
        values = {m.name: value for m in directed if (value := scaled[m.name](entry)) is not None}
        if NOISY not in entry.scores or len(values) < 2:
            continue
        up, down = max(values, key=values.__getitem__), min(values, key=values.__getitem__)
        by_name = {metric.name: metric for metric in directed}
        found.append((min(values[up], -values[down]), entry, by_name[up], by_name[down]))
    if system == NOISY or not found:
        return None
    strength, entry, up_metric, down_metric = max(found, key=lambda one: one[0])
    if strength <= 0:
        return None
    changes = [_change(entry, system, metric, digits[metric.name]) for metric in (up_metric, down_metric)]
    return Pick(entry, "metrics differ", f"{changes[0]}, but {changes[1]}: metrics disagree about {system}")


def _scaled_gain(all_entries: Sequence[Entry], system: str, metric: MetricFacts) -> Callable[[Entry], float | None]:
    gains = [value for entry in all_entries if (value := gain(entry, system, metric)) is not None]
    spread = pstdev(gains) if len(gains) > 1 else 0.0

    def scaled(entry: Entry) -> float | None:
        value = gain(entry, system, metric)
        return None if value is None or spread == 0.0 else value / spread

    return scaled
