"""ABX tests: whether a difference is heard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auscult.evaluate.answers import Answers
from auscult.evaluate.listeners import (
    ALPHA,
    binomial_p,
    clopper_pearson,
    hits_needed,
    p_words,
    percent,
)
from auscult.evaluate.statistics import holm


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
    found = f"{line.hits} of {line.trials} right, {p_words(line.p_holm)}"
    between = f"between {systems[0]} and {systems[1]}"
    if line.p_holm < ALPHA:
        return f"{line.listener}: a difference {between} was heard ({found})"
    if hits_needed(line.trials) is None:
        return f"{line.listener}: {line.trials} trials are too few to show anything; five are the least"
    reach = f"the share of right answers may be {percent(line.low, line.high)}"
    return f"{line.listener}: no difference {between} shown ({found}); {reach}"
