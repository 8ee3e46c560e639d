"""What answers of listeners say: counts, intervals, tests and words for each kind of listening test.

Listeners differ more from each other than one listener's answers do, so intervals draw listeners, not answers, once
there are enough of them (:data:`~auscult.evaluate.statistics.FEWEST_CLUSTERS`); with fewer, answers are the units and
a note says so. Tests (binomial, Wilcoxon) take answers as independent; where intervals are by listener, a verdict
needs both to agree.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from auscult.errors import DataError, few
from auscult.evaluate.answers import ANCHOR, REFERENCE, Answers, Trial
from auscult.evaluate.statistics import DRAWS, FEWEST_CLUSTERS, LEVEL, Units, holm, interval
from auscult.rng import Key

ALPHA = 1 - LEVEL
REFERENCE_FLOOR, REFERENCE_MISSES = 90.0, 0.15
"""BS.1534-3, post-screening: who rates the hidden reference below 90 on more than 15 % of the trials is left out."""


# --- what all kinds need


def analyse(answers: Answers, screening: bool = True) -> AbxReport | AbReport | MushraReport:
    """The report for the kind of test that was answered.

    Raises:
        DataError: screening leaves nobody.
    """
    if answers.kind == "abx":
        return analyse_abx(answers)
    return analyse_ab(answers) if answers.kind == "ab" else analyse_mushra(answers, screening)


def clopper_pearson(hits: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Exact interval of a share (Clopper & Pearson 1934)."""
    from scipy.stats import beta

    tail = (1 - level) / 2
    low = float(beta.ppf(tail, hits, trials - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return low, high


def binomial_p(hits: int, trials: int, two_sided: bool = False) -> float:
    """Exact p of this many hits or more (or, two-sided, of a count as unlikely) under guessing."""
    from scipy.stats import binomtest

    return float(binomtest(hits, trials, 0.5, "two-sided" if two_sided else "greater").pvalue) if trials else 1.0


def hits_needed(trials: int) -> int | None:
    """Right answers of so many ABX trials that chance gives in less than 5 %; None where no count suffices."""
    return next((hits for hits in range(trials + 1) if binomial_p(hits, trials) < ALPHA), None)


def abx_power(trials: int, share: float) -> float:
    """How often a listener who is right on this share of the trials reaches :func:`hits_needed`."""
    from scipy.stats import binom

    needed = hits_needed(trials)
    return 0.0 if needed is None else float(binom.sf(needed - 1, trials, share))


def _spread(values: ndarray, listeners: Sequence[str], low: float, high: float) -> tuple[float, float]:
    """95 % interval of a mean within bounds; by listener where they are enough."""
    _, clusters = np.unique(listeners, return_inverse=True)
    bounds = interval(values, clusters if _clustered(listeners) else None)
    return float(np.clip(bounds[0], low, high)), float(np.clip(bounds[1], low, high))


def _clustered(listeners: Sequence[str]) -> bool:
    return len(set(listeners)) >= FEWEST_CLUSTERS


def _notes(answers: Answers) -> tuple[str, ...]:
    count = len(answers.listeners)
    if count >= FEWEST_CLUSTERS:
        return answers.notes
    who = "one listener" if count == 1 else f"{count} listeners"
    return (
        *answers.notes,
        f"{who}: the intervals take single answers as independent and speak of these listeners only; with "
        f"{FEWEST_CLUSTERS} or more they are drawn by listener",
    )


def _p_words(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _percent(low: float, high: float) -> str:
    return f"{100 * low:.0f} to {100 * high:.0f} %"


# --- ABX


@dataclass(frozen=True)
class AbxLine:
    """Right answers of one listener, or of all; one-sided p against guessing."""

    listener: str
    hits: int
    trials: int
    low: float
    high: float
    p: float
    p_holm: float


@dataclass(frozen=True)
class AbxReport:
    """Whether a difference was heard."""

    systems: tuple[str, ...]
    listeners: tuple[AbxLine, ...]
    pooled: AbxLine
    items: Mapping[str, tuple[int, int]]
    """Right answers and trials of each item."""
    notes: tuple[str, ...]
    verdicts: tuple[str, ...]


def analyse_abx(answers: Answers) -> AbxReport:
    """Hits, exact intervals and binomial tests, per listener and pooled."""
    own = {name: [trial.right for _, trial in answers.trials(name)] for name in answers.listeners}
    p_holm = holm([binomial_p(sum(right), len(right)) for right in own.values()])
    lines = tuple(_abx_line(name, right, p) for (name, right), p in zip(own.items(), p_holm, strict=True))
    everything = [right for rights in own.values() for right in rights]
    pooled = _abx_line("all", everything, binomial_p(sum(everything), len(everything)))
    notes = answers.notes
    if len(lines) > 1:
        notes = (*notes, "the pooled line takes all answers as independent; one sharp listener can carry it")
    words = [_abx_words(line, answers.systems) for line in ([*lines, pooled] if len(lines) > 1 else lines)]
    return AbxReport(answers.systems, lines, pooled, _abx_items(answers), notes, tuple(words))


def _abx_line(listener: str, right: Sequence[bool], p_holm: float) -> AbxLine:
    hits, trials = sum(right), len(right)
    return AbxLine(listener, hits, trials, *clopper_pearson(hits, trials), binomial_p(hits, trials), p_holm)


def _abx_items(answers: Answers) -> dict[str, tuple[int, int]]:
    hits: Counter[str] = Counter()
    trials: Counter[str] = Counter()
    for _, trial in answers.trials():
        trials[trial.item] += 1
        hits[trial.item] += trial.right
    return {item: (hits[item], trials[item]) for item in sorted(trials)}


def _abx_words(line: AbxLine, systems: Sequence[str]) -> str:
    found = f"{line.hits} of {line.trials} right, {_p_words(line.p_holm)}"
    between = f"between {systems[0]} and {systems[1]}"
    if line.p_holm < ALPHA:
        return f"{line.listener}: a difference {between} was heard ({found})"
    if hits_needed(line.trials) is None:
        return f"{line.listener}: {line.trials} trials are too few to show anything; five are the least"
    reach = f"the share of right answers may be {_percent(line.low, line.high)}"
    return f"{line.listener}: no difference {between} shown ({found}); {reach}"


# --- preference


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
    clustered = _clustered(answers.listeners)
    words = tuple(_ab_words(pair, clustered) for pair in pairs)
    return AbReport(answers.systems, tuple(answers.listeners), pairs, _notes(answers), words)


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
    units = Units.of(values, clusters if _clustered(listeners) else None)
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
    found = f"{max(pair.wins_a, pair.wins_b)} of {decided} decided answers, {pair.ties} ties, {_p_words(pair.p_holm)}"
    if pair.p_holm >= ALPHA:
        return f"no preference shown between {pair.a} and {pair.b} ({found})"
    if clustered and pair.low <= 0.5 <= pair.high:
        return f"{a} got more answers than {b} ({found}), but listeners differ too much to call it a preference"
    return f"{a} is preferred to {b} ({found})"


# --- MUSHRA


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
    notes = (*_notes(kept), *(f"{name} is left out: {reason}" for name, reason in excluded.items()))
    words = tuple(_mushra_words(comparison, _clustered(who)) for comparison in compared)
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
    return MushraLine(name, values.size, float(values.mean()), *_spread(values, listeners, 0.0, 100.0))


def _compared(
    table: Mapping[str, ndarray], systems: Sequence[str], listeners: Sequence[str]
) -> tuple[MushraComparison, ...]:
    """All pairs of systems; a single one is compared with the hidden reference and the anchor."""
    pairs = list(itertools.combinations(systems, 2)) or [(systems[0], REFERENCE), (systems[0], ANCHOR)]
    differences = [table[a] - table[b] for a, b in pairs]
    p_values = [wilcoxon_p(values) for values in differences]
    rows = zip(pairs, differences, p_values, holm(p_values), strict=True)
    return tuple(
        MushraComparison(a, b, float(values.mean()), *_spread(values, listeners, -100.0, 100.0), p, p_holm)
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
    found = f"by {abs(comparison.difference):.1f} points ({low:.1f} to {high:.1f}), {_p_words(comparison.p_holm)}"
    if comparison.p_holm >= ALPHA:
        return f"no difference shown between {comparison.a} and {comparison.b}: {a} is higher {found}"
    if clustered and low <= 0 <= high:
        return f"{a} is rated higher than {b} {found}, but listeners differ too much to be sure of it"
    return f"{a} is rated higher than {b} {found}"
