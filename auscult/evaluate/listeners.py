"""What the analyses of all listening tests share: exact intervals, tests against guessing, units, words.

Listeners differ more from each other than one listener's answers do, so intervals draw listeners, not answers, once
there are enough of them (:data:`~auscult.evaluate.statistics.FEWEST_CLUSTERS`); with fewer, answers are the units and
a note says so. Tests (binomial, Wilcoxon) take answers as independent; where intervals are by listener, a verdict
needs both to agree.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy import ndarray

from auscult.evaluate.answers import Answers
from auscult.evaluate.statistics import FEWEST_CLUSTERS, LEVEL, interval

ALPHA = 1 - LEVEL


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


def spread(values: ndarray, listeners: Sequence[str], low: float, high: float) -> tuple[float, float]:
    """95 % interval of a mean within bounds; by listener where they are enough."""
    _, clusters = np.unique(listeners, return_inverse=True)
    bounds = interval(values, clusters if clustered_by(listeners) else None)
    return float(np.clip(bounds[0], low, high)), float(np.clip(bounds[1], low, high))


def clustered_by(listeners: Sequence[str]) -> bool:
    """Whether there are listeners enough to be the units of intervals."""
    return len(set(listeners)) >= FEWEST_CLUSTERS


def notes_on(answers: Answers) -> tuple[str, ...]:
    """What limits a test with few listeners, in words."""
    count = len(answers.listeners)
    if count >= FEWEST_CLUSTERS:
        return answers.notes
    who = "one listener" if count == 1 else f"{count} listeners"
    return (
        *answers.notes,
        f"{who}: the intervals take single answers as independent and speak of these listeners only; with "
        f"{FEWEST_CLUSTERS} or more they are drawn by listener",
    )


def p_words(p: float) -> str:
    """``p = 0.012``, ``p < 0.001``."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def percent(low: float, high: float) -> str:
    """An interval of shares: ``40 to 60 %``."""
    return f"{100 * low:.0f} to {100 * high:.0f} %"
