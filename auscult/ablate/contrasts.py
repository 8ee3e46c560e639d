"""What paired scores of several trainings say of a factor: an effect, none that matters, or too few runs to say.

Conventions. Scores are paired by training seed and item: the seed fixes the first weights, the data and the noise of
both arms. The bootstrap is hierarchical. Speakers are drawn with replacement and keep their items (Davison & Hinkley
1997, ch. 3.8: drawing the items anew as well would count their chance twice); items are drawn where fewer than
``FEWEST_CLUSTERS`` speakers are known. Of seeds there are too few to draw from (three have ten different draws):
their deviation has Student's t with seeds - 1 degrees of freedom. Interval, p and equivalence test (TOST, Schuirmann
1987) come from the same draws; p is corrected by Holm over the declared contrasts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from auscult.evaluate.rows import Item
from auscult.evaluate.statistics import (
    DRAWS,
    FEWEST_CLUSTERS,
    LEVEL,
    Components,
    Labels,
    Units,
    Values,
    components,
    effect_size,
    holm,
    items_needed,
    seeds_needed,
)
from auscult.evaluate.summary import Estimate
from auscult.rng import Key

ALPHA = 1 - LEVEL
POWER = 0.8
EFFECT, NONE, FEW, INCOMPLETE = "effect", "no effect larger than the margin", "not enough runs", "incomplete"
Table = Float[ndarray, "items seeds"]
Scores = Mapping[tuple[str, int], Mapping[str, float]]
"""Scores of items by arm and training seed."""


@dataclass(frozen=True)
class Question:
    """One contrast in one metric, as it was declared."""

    factor: str
    arm: str
    against: str
    metric: str
    margin: float | None
    higher_is_better: bool
    unit: str = ""
    same_training: bool = False
    """Both arms restore with the same checkpoints."""
    declared: bool = True
    """Written down before there were scores; others are exploratory and in no correction."""


@dataclass(frozen=True)
class Answer:
    """What the scores say. ``difference`` is arm minus against, with its 95 % interval; None: incomplete."""

    question: Question
    verdict: str
    words: str
    difference: Estimate | None = None
    equivalence: tuple[float, float] = (math.nan, math.nan)
    """The 90 % interval: within the margin, both one-sided tests reject at 5 %."""
    p: float = math.nan
    p_holm: float = math.nan
    effect: float = math.nan
    """Cohen's d of the items' differences."""
    win_share: float = math.nan
    by_seed: tuple[float, ...] = ()
    lost: int = 0
    """Items that an arm has no score of with some seed; they are in no number."""


def answers(
    questions: Sequence[Question], scores: Mapping[str, Scores], items: Sequence[Item], seeds: Sequence[int]
) -> list[Answer]:
    """Every question answered, p corrected over the declared ones. ``scores`` are by metric."""
    found = [_measured(question, scores.get(question.metric, {}), items, seeds) for question in questions]
    family = [i for i, one in enumerate(found) if one.question.declared and one.difference is not None]
    for i, p_holm in zip(family, holm([found[i].p for i in family]), strict=True):
        found[i] = replace(found[i], p_holm=p_holm)
    return [_worded(one, scores.get(one.question.metric, {}), items, seeds) for one in found]


def table_of(
    question: Question, scores: Scores, items: Sequence[Item], seeds: Sequence[int]
) -> tuple[Table, Labels | None]:
    """Differences of the items that both arms have a score of with every seed, and those items' speakers."""
    both = [[scores[side, seed] for seed in seeds] for side in (question.arm, question.against)]
    rows = [[a.get(item.name, np.nan) - b.get(item.name, np.nan) for a, b in zip(*both, strict=True)] for item in items]
    table = np.array(rows, float).reshape(len(items), len(seeds))
    known = np.isfinite(table).all(axis=1)
    return table[known], _speakers([item for item, own in zip(items, known, strict=True) if own])


def drawn(table: Table, speakers: Labels | None = None) -> Values:
    """Draws of the mean difference, as the chances of items (or speakers) and of seeds make it vary."""
    rng = Key(0).child("ladder", *table.shape).numpy()
    units = Units.of(table.mean(axis=1), speakers)
    weights = rng.multinomial(units.count, np.full(units.count, 1 / units.count), DRAWS).astype(float)
    shift = weights @ (units.sums - units.mean * units.sizes) / (weights @ units.sizes)
    # Percentiles of few units are too narrow: the variance has count - 1 degrees of freedom, and so Student's tails.
    freedom = max(units.count - 1, 1)
    shift *= math.sqrt(units.count / freedom) * np.sqrt(freedom / rng.chisquare(freedom, DRAWS))
    by_seed = table.mean(axis=0)
    if by_seed.size > 1:
        error = float(by_seed.std(ddof=1)) / math.sqrt(by_seed.size)
        shift = shift + error * rng.standard_t(by_seed.size - 1, DRAWS)
    return units.mean + shift


def spread_of(table: Table) -> Components | None:
    """Where differences vary; None for fewer than two items or seeds."""
    return components(table) if min(table.shape) > 1 else None


def detectable(spread: Components, items: int, seeds: int, contrasts: int = 1) -> float:
    """The smallest true difference that is shown with a power of 80 %, at the strictest level of Holm's correction.

    Infinite for one seed where seeds differ: nothing is known of their chance then.
    """
    from scipy.stats import norm, t

    level, of_items = 1 - ALPHA / (2 * contrasts), spread.items**2 / items + spread.rest**2 / (items * seeds)
    of_seeds = spread.seeds**2 / seeds
    if of_seeds == 0:
        return float((norm.ppf(level) + norm.ppf(POWER)) * math.sqrt(of_items))
    if seeds == 1:
        return math.inf
    freedom = (of_items + of_seeds) ** 2 / (of_seeds**2 / (seeds - 1))
    return float((t.ppf(level, freedom) + t.ppf(POWER, freedom)) * math.sqrt(of_items + of_seeds))


def _measured(question: Question, scores: Scores, items: Sequence[Item], seeds: Sequence[int]) -> Answer:
    missing = [f"{side} seed {seed}" for side in (question.arm, question.against) for seed in seeds
               if (side, seed) not in scores]  # fmt: skip
    if missing:
        return Answer(question, INCOMPLETE, f"incomplete: {', '.join(missing)} missing; nothing is averaged over it")
    table, speakers = table_of(question, scores, items, seeds)
    if len(table) < 2:
        return Answer(question, INCOMPLETE, f"incomplete: {len(table)} of {len(items)} items have a score in both arms")
    found, by_item = drawn(table, speakers), table.mean(axis=1)
    low, high, *equal = np.quantile(found, [ALPHA / 2, 1 - ALPHA / 2, ALPHA, 1 - ALPHA])
    tails = (np.count_nonzero(found <= 0), np.count_nonzero(found >= 0))
    better = by_item if question.higher_is_better else -by_item
    sd, median = float(by_item.std(ddof=1)), float(np.median(by_item))
    return Answer(
        question,
        FEW,
        "",
        Estimate(len(table), float(by_item.mean()), float(low), float(high), sd, median),
        (float(equal[0]), float(equal[1])),
        min(1.0, 2 * (1 + min(tails)) / (1 + DRAWS)),
        math.nan,
        effect_size(by_item),
        float(np.mean(better > 0) + np.mean(better == 0) / 2),
        tuple(map(float, table.mean(axis=0))),
        len(items) - len(table),
    )


def _worded(answer: Answer, scores: Scores, items: Sequence[Item], seeds: Sequence[int]) -> Answer:
    """The verdict, as a word and as a sentence."""
    d, q = answer.difference, answer.question
    if d is None:
        return answer
    unit = f" {q.unit}" if q.unit else ""
    seen = f"{q.arm} - {q.against} in {q.metric}: {d.mean:+.3g}{unit} [{d.low:+.3g}, {d.high:+.3g}]"
    apart = not d.low <= 0 <= d.high
    alone = len(seeds) == 1 and not q.same_training
    if alone:
        words = f"{seen} over items; one seed says nothing of other trainings, not generalisable: 2 more seeds to begin"
        return replace(answer, verdict=FEW, words=words)
    if q.margin is not None and -q.margin < answer.equivalence[0] and answer.equivalence[1] < q.margin:
        also = ", though it is not zero" if apart else ""
        return replace(answer, verdict=NONE, words=f"{seen}: no effect larger than {q.margin:g}{unit}{also}")
    if apart and (not q.declared or answer.p_holm < ALPHA):
        direction = "better" if (d.mean > 0) == q.higher_is_better else "worse"
        return replace(answer, verdict=EFFECT, words=f"{seen}: {direction}")
    if q.margin is None:
        return replace(answer, verdict=FEW, words=f"{seen}: nothing is shown, and no margin says what would matter")
    wanting = _wanting(*table_of(q, scores, items, seeds), q.margin)
    words = f"{seen}: not enough runs to tell an effect from none of {q.margin:g}{unit}; {wanting}"
    return replace(answer, verdict=FEW, words=words)


def _wanting(table: Table, speakers: Labels | None, margin: float) -> str:
    """How many more seeds or items: of what the wider part of the interval comes from."""
    by_item, by_seed = table.mean(axis=1), table.mean(axis=0)
    of_items = Units.of(by_item, speakers).standard_error
    of_seeds = float(by_seed.std(ddof=1)) / math.sqrt(by_seed.size) if by_seed.size > 1 else 0.0
    if of_seeds > of_items:
        more = max(1, seeds_needed([by_seed], margin) - by_seed.size)
        return f"{more} more seed{'s' if more > 1 else ''} an arm are needed"
    more = max(1, items_needed(by_item, margin, speakers) - by_item.size)
    return f"{more} more items are needed"


def _speakers(items: Sequence[Item]) -> Labels | None:
    """Speakers as numbers, where every item has one and there are enough to speak of others."""
    names = [item.facts.get("speaker") for item in items]
    if None in names or len(set(names)) < FEWEST_CLUSTERS:
        return None
    return np.unique(np.array(names, dtype=str), return_inverse=True)[1]
