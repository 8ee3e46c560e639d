"""Preference tests: which of two systems is liked better."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from auscult.evaluate.answers import Answers, Trial
from auscult.evaluate.listeners import (
    ALPHA,
    binomial_p,
    clopper_pearson,
    clustered_by,
    notes_on,
    p_words,
)
from auscult.evaluate.statistics import DRAWS, Units, holm
from auscult.rng import Key


@dataclass(frozen=True)
class Count:
    """Answers to one item."""

    item: str
    wins_a: int
    wins_b: int
    ties: int


@dataclass(frozen=True)
class Preference:
    """Two systems: ``share`` is that of ``a`` in all answers, no preference counting half."""

    a: str
    b: str
    wins_a: int
    wins_b: int
    ties: int
    share: float
    low: float
    high: float
    p: float
    p_holm: float
    items: tuple[Count, ...]


@dataclass(frozen=True)
class AbReport:
    """Which system is preferred."""

    systems: tuple[str, ...]
    listeners: tuple[str, ...]
    pairs: tuple[Preference, ...]
    notes: tuple[str, ...]
    verdicts: tuple[str, ...]


def analyse_ab(answers: Answers) -> AbReport:
    """Wins, ties, binomial test without ties and the share of preference, for every pair of systems."""
    compared = []
    for a, b in itertools.combinations(answers.systems, 2):
        trials = [(who, trial) for who, trial in answers.trials() if set(trial.truth.values()) == {a, b}]
        if trials:
            compared.append((a, b, trials))
    counts = [_count("", a, b, trials) for a, b, trials in compared]
    p_values = [binomial_p(count.wins_a, count.wins_a + count.wins_b, two_sided=True) for count in counts]
    rows = zip(compared, counts, p_values, holm(p_values), strict=True)
    pairs = tuple(_preference(a, b, trials, count, p, p_holm) for (a, b, trials), count, p, p_holm in rows)
    clustered = clustered_by(answers.listeners)
    words = tuple(_ab_words(pair, clustered) for pair in pairs)
    return AbReport(answers.systems, tuple(answers.listeners), pairs, notes_on(answers), words)


def _count(item: str, a: str, b: str, trials: Sequence[tuple[str, Trial]]) -> Count:
    votes = Counter(trial.preferred for _, trial in trials)
    return Count(item, votes[a], votes[b], votes[None])


def _preference(
    a: str, b: str, trials: Sequence[tuple[str, Trial]], count: Count, p: float, p_holm: float
) -> Preference:
    worth = {a: 1.0, None: 0.5, b: 0.0}
    values = np.array([worth[trial.preferred] for _, trial in trials])
    low, high = _share_interval(values, [who for who, _ in trials])
    items = sorted({trial.item for _, trial in trials})
    by_item = tuple(_count(item, a, b, [row for row in trials if row[1].item == item]) for item in items)
    share = float(values.mean())
    return Preference(a, b, count.wins_a, count.wins_b, count.ties, share, low, high, p, p_holm, by_item)


def _share_interval(values: ndarray, listeners: Sequence[str]) -> tuple[float, float]:
    """By bootstrap; where all answers agree there is nothing to draw, and the units (all alike) give an exact one."""
    _, clusters = np.unique(listeners, return_inverse=True)
    units = Units.of(values, clusters if clustered_by(listeners) else None)
    if values.min() < values.max():
        return _percentiles(units)
    if values[0] == 0.5:
        return 0.0, 1.0
    return clopper_pearson(round(units.count * float(values[0])), units.count)


def _percentiles(units: Units) -> tuple[float, float]:
    """Percentile bootstrap: for shares far from one half, the studentised one leaves 0 to 1 and leans the wrong way."""
    rng = Key(0).child("listening", units.count).numpy()
    weights = rng.multinomial(units.count, np.full(units.count, 1 / units.count), DRAWS)
    low, high = np.quantile((weights @ units.sums) / (weights @ units.sizes), [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)


def _ab_words(pair: Preference, clustered: bool) -> str:
    decided = pair.wins_a + pair.wins_b
    first = pair.wins_a >= pair.wins_b
    a, b = (pair.a, pair.b) if first else (pair.b, pair.a)
    found = f"{max(pair.wins_a, pair.wins_b)} of {decided} decided answers, {pair.ties} ties, {p_words(pair.p_holm)}"
    if pair.p_holm >= ALPHA:
        return f"no preference shown between {pair.a} and {pair.b} ({found})"
    if clustered and pair.low <= 0.5 <= pair.high:
        return f"{a} got more answers than {b} ({found}), but listeners differ too much to call it a preference"
    return f"{a} is preferred to {b} ({found})"
