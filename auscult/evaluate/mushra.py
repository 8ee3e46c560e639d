"""MUSHRA-like tests (BS.1534-3): how good each system is against the reference."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from auscult.errors import DataError, few
from auscult.evaluate.answers import ANCHOR, REFERENCE, Answers, Trial
from auscult.evaluate.listeners import (
    ALPHA,
    clustered_by,
    notes_on,
    p_words,
    spread,
)
from auscult.evaluate.statistics import holm

REFERENCE_FLOOR, REFERENCE_MISSES = 90.0, 0.15
"""BS.1534-3, post-screening: who rates the hidden reference below 90 on more than 15 % of the trials is left out."""


@dataclass(frozen=True)
class MushraLine:
    """Mean rating of one system."""

    system: str
    ratings: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class MushraComparison:
    """Ratings of ``a`` minus those of ``b`` in the same trials; p of the Wilcoxon signed-rank test."""

    a: str
    b: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float


@dataclass(frozen=True)
class MushraReport:
    """How good each system is against the reference."""

    listeners: tuple[str, ...]
    excluded: Mapping[str, str]
    """Listeners left out by the post-screening, with why."""
    systems: tuple[MushraLine, ...]
    comparisons: tuple[MushraComparison, ...]
    items: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...]
    verdicts: tuple[str, ...]


def analyse_mushra(answers: Answers, screening: bool = True) -> MushraReport:
    """Post-screening, means by system and item, and paired comparisons of the systems.

    Raises:
        DataError: the post-screening leaves nobody.
    """
    excluded = screened(answers) if screening else {}
    kept = Answers(tuple(s for s in answers.sessions if s.listener not in excluded), answers.notes)
    if not kept.sessions:
        raise DataError(
            f"the post-screening leaves nobody: {few(excluded)} did not find the hidden reference; check the page, "
            "or use --no-screening to see the ratings all the same"
        )
    trials = kept.trials()
    who = [listener for listener, _ in trials]
    table = {name: np.array([trial.ratings[name] for _, trial in trials]) for name in _rated(kept)}
    lines = tuple(_mushra_line(name, values, who) for name, values in table.items())
    compared = _compared(table, kept.systems, who)
    notes = (*notes_on(kept), *(f"{name} is left out: {reason}" for name, reason in excluded.items()))
    words = tuple(_mushra_words(comparison, clustered_by(who)) for comparison in compared)
    return MushraReport(
        tuple(kept.listeners), excluded, lines, compared, _item_means(trials, list(table)), notes, words
    )


def _rated(answers: Answers) -> list[str]:
    return [REFERENCE, *answers.systems, ANCHOR]


def screened(answers: Answers) -> dict[str, str]:
    """Listeners who do not find the hidden reference (BS.1534-3, section 4.1.2), with why."""
    excluded = {}
    for name in answers.listeners:
        ratings = [trial.ratings[REFERENCE] for _, trial in answers.trials(name)]
        misses = sum(rating < REFERENCE_FLOOR for rating in ratings)
        if misses > REFERENCE_MISSES * len(ratings):
            excluded[name] = f"hidden reference rated below {REFERENCE_FLOOR:g} on {misses} of {len(ratings)} trials"
    return excluded


def _mushra_line(name: str, values: ndarray, listeners: Sequence[str]) -> MushraLine:
    return MushraLine(name, values.size, float(values.mean()), *spread(values, listeners, 0.0, 100.0))


def _compared(
    table: Mapping[str, ndarray], systems: Sequence[str], listeners: Sequence[str]
) -> tuple[MushraComparison, ...]:
    """All pairs of systems; a single one is compared with the hidden reference and the anchor."""
    pairs = list(itertools.combinations(systems, 2)) or [(systems[0], REFERENCE), (systems[0], ANCHOR)]
    differences = [table[a] - table[b] for a, b in pairs]
    p_values = [wilcoxon_p(values) for values in differences]
    rows = zip(pairs, differences, p_values, holm(p_values), strict=True)
    return tuple(
        MushraComparison(a, b, float(values.mean()), *spread(values, listeners, -100.0, 100.0), p, p_holm)
        for (a, b), values, p, p_holm in rows
    )


def wilcoxon_p(differences: ndarray) -> float:
    """Two-sided p of the Wilcoxon signed-rank test; equal ratings are left out, as Wilcoxon did."""
    from scipy.stats import wilcoxon

    nonzero = differences[differences != 0]
    return float(wilcoxon(nonzero).pvalue) if nonzero.size else 1.0


def _item_means(trials: Sequence[tuple[str, Trial]], names: Sequence[str]) -> dict[str, dict[str, float]]:
    items = sorted({trial.item for _, trial in trials})
    own = {item: [trial.ratings for _, trial in trials if trial.item == item] for item in items}
    return {
        item: {name: math.fsum(ratings[name] for ratings in rows) / len(rows) for name in names}
        for item, rows in own.items()
    }


def _mushra_words(comparison: MushraComparison, clustered: bool) -> str:
    first = comparison.difference >= 0
    a, b = (comparison.a, comparison.b) if first else (comparison.b, comparison.a)
    low, high = sorted((comparison.low, comparison.high) if first else (-comparison.low, -comparison.high))
    found = f"by {abs(comparison.difference):.1f} points ({low:.1f} to {high:.1f}), {p_words(comparison.p_holm)}"
    if comparison.p_holm >= ALPHA:
        return f"no difference shown between {comparison.a} and {comparison.b}: {a} is higher {found}"
    if clustered and low <= 0 <= high:
        return f"{a} is rated higher than {b} {found}, but listeners differ too much to be sure of it"
    return f"{a} is rated higher than {b} {found}"
