"""The oracle: is the perfect estimate the best one? The target is fed through the loss as if it were the estimate.

A distance is zero there; other losses (plain SI-SDR, PESQ) have their own lowest value. For both, nothing that is worse
than the target may have less loss: not the target at another level, place or sign, not the input, not another item.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from auscult.diagnose.check import Check
from auscult.diagnose.evidence import Absent, Practice, Step
from auscult.diagnose.finding import Finding, Measured, Remedy
from auscult.diagnose.measure.loss_survey import GAINS, TOTAL, Survey, gradient, likeness, mixed, survey
from auscult.errors import few

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

MARGIN = 0.002
"""Of the way from the target's loss to the input's: so much less than the target's loss is less."""
LEVEL = (0.9, 1.1)
"""Best gains that are taken for 1."""
FAR = 3.0
"""The same for a best gain at the upper end of the grid, towards which a loss with a floor under its ratio drifts."""
ZERO = 1e-3
"""Of the input's loss: so little is zero."""
NEGLIGIBLE = 1e-5
"""Of the spread of the whole loss: a term that varies less is not judged."""
NEARLY = 0.5
"""Of the loss at the target: a distance that loses more at another level is one to the target at that level."""
SAME = 1e-6
ONE = 0.99
"""Cosines above are those of the same direction."""
APART = 0.02
"""Of the way to the input: so far from zero is a loss that is not zero."""
ITEMS, MOST_STEPS = 4, 8
_SURVEYS: WeakKeyDictionary[Practice, Survey] = WeakKeyDictionary()
RULED_OUT = ("target-scale", "target-misaligned", "loss-sign", "loss-ignores-estimate", "loss-floor")


@dataclass(frozen=True)
class Better:
    """What has less loss than the target: the cause it points at, in words, and by how much of the way to the input."""

    cause: str
    words: str
    share: float


def check_oracle(case: Case) -> Finding | Sequence[Finding]:
    """The oracle's finding, of the whole loss and of each term."""
    practice: Practice = case.practice
    found = surveyed(practice)
    if (
        broken := _not_a_number(practice, found) or _ignores(practice, found) or _averages(practice, found)
    ) is not None:
        return broken
    whole = better(found, TOTAL)
    terms = {name: one for name in found.terms if (one := _of_term(found, name)) is not None}
    if whole is None and not terms:
        return _healthy(found)
    if whole is not None:
        return _at_fault(found, whole, terms)
    elsewhere = next((name for name, one in terms.items() if _elsewhere(found, name, one)), None)
    return _suspected(found, terms) if elsewhere is None else _at_another_level(found, elsewhere, terms[elsewhere])


def surveyed(practice: Practice) -> Survey:
    """What its loss says of known estimates; asked once a practice."""
    if practice not in _SURVEYS:
        _SURVEYS[practice] = survey(practice, _some(practice))
    return _SURVEYS[practice]


def _some(practice: Practice) -> list[Step]:
    """The first batches, as many as a few items take.

    Raises:
        Absent: the loader gives none.
    """
    found: list[Step] = []
    for count in range(1, MOST_STEPS + 1):
        found = list(practice.steps(count))
        if len(found) < count or sum(len(step.clean) for step in found) >= ITEMS:
            break
    if not found:
        raise Absent("the loader gives no batch")
    return found


def better(found: Survey, term: str) -> Better | None:
    """What beats the target in a term, or None."""
    perfect, span = found.perfect[term], max(found.span(term), 1e-30)
    mixes = [found.mixes[share][term] for share in (0.0, 0.5, 1.0, 2.0)]
    if all(less > more for less, more in pairwise(mixes)):
        share = (perfect - mixes[-1]) / span
        return Better("loss-sign", "the more noise is left in the estimate, the less the loss", share)
    other = found.exchanged
    if other is not None and abs(other[term] - perfect) <= ZERO * span:
        words = "the target of another item is as good: items are averaged, or compared with one another"
        return Better("target-misaligned", words, 0.0)
    rivals = [
        (found.shifts[k][term], "target-misaligned", f"the target {_moved(k)} has less loss")
        for k in [found.best_shift(term)]
        if k
    ]
    rivals += [(found.negated[term], "target-misaligned", "the target with its sign turned over has less loss")]
    rivals += [(found.noisy[term], "target-misaligned", "the noisy input has less loss than the target")]
    rivals += [(other[term], "target-misaligned", "the target of another item has less loss")] if other else []
    rivals += _levels(found, term, span)
    value, cause, words = min(rivals, key=lambda rival: rival[0] if not math.isnan(rival[0]) else math.inf)
    share = (perfect - value) / span
    return Better(cause, words, share) if value < perfect and share > MARGIN else None


def _elsewhere(found: Survey, term: str, one: Better) -> bool:
    """Whether a term measures the distance to the target at another level: there it loses most of its value.

    Silence must not have as little (a prior on energy prefers that), and the whole loss must not be near zero at the
    target: then the term is one of those that do not matter.
    """
    if one.cause != "target-scale" or found.perfect[TOTAL] < APART * abs(found.noisy[TOTAL]):
        return False
    least = found.gains[found.best_gain(term)][term]
    return 0 <= least < NEARLY * found.perfect[term] and found.silent[term] > 2 * least


def _levels(found: Survey, term: str, span: float) -> list[tuple[float, str, str]]:
    gain = found.best_gain(term)
    if LEVEL[0] <= gain <= LEVEL[1]:
        return []
    value = found.gains[gain][term]
    if gain >= max(GAINS) and (found.perfect[term] - value) / span < FAR:
        return []
    return [(value, "target-scale", f"the target at {gain:.2g} times its level has less loss")]


def _of_term(found: Survey, term: str) -> Better | None:
    if len(found.terms) == 1 or found.spread(term) < NEGLIGIBLE * found.spread(TOTAL):
        return None
    return better(found, term)


def _not_a_number(practice: Practice, found: Survey) -> Finding | None:
    """A loss that has no value for real items, such as a ratio of energies where the target is silent."""
    if not math.isnan(found.noisy[TOTAL]):
        return None
    silent = [
        name
        for step in _some(practice)
        for name, quiet in zip(step.names, (step.clean == 0).all(1).tolist(), strict=True)
        if quiet
    ]
    terms = ", ".join(name for name in found.terms if math.isnan(found.noisy[name]))
    words = f"the loss of the noisy input is not a number (terms: {terms})"
    words += f"; {len(silent)} of the items have a silent target: {few(silent)}" if silent else ""
    return Finding("oracle", "fault", ("not-finite-loss", "silent-items"), words, certain=True)


def _ignores(practice: Practice, found: Survey) -> Finding | None:
    """Whether the loss moves with the estimate, and whether its gradient reaches it."""
    size = max(abs(found.noisy[TOTAL]), abs(found.silent[TOTAL]), 1e-30)
    constant = found.spread(TOTAL) <= SAME * size
    step = practice.steps(1)[0]
    gradients = gradient(practice, step, mixed(step, 0.5))
    if not constant and any(float(one.abs().max()) > 0 for one in gradients.values()):
        return None
    words = "is the same for every estimate" if constant else "changes with the estimate but has no gradient there"
    return Finding(
        "oracle",
        "fault",
        ("loss-ignores-estimate",),
        f"the loss {words} (target {found.perfect[TOTAL]:.3g}, input {found.noisy[TOTAL]:.3g}): nothing can be learned",
        _numbers(found),
        certain=True,
    )


def _averages(practice: Practice, found: Survey) -> Finding | None:
    """Whether items are told apart: of their mean, every item's gradient is the same but for its gain."""
    import torch

    step = practice.steps(1)[0]
    along = likeness(torch.stack(list(gradient(practice, step, mixed(step, 0.5)).values())).sum(0))
    if along < ONE or likeness(step.clean) > ONE / 2:
        return None
    words = f"the gradients of all {len(step.clean)} items of a batch are the same but for their size"
    return Finding(
        "oracle",
        "fault",
        ("target-misaligned", "loss-floor"),
        f"{words} (|cosine| {along:.3f}): items are averaged before they are compared",
        [Measured("least |cosine| of the gradients of two items", along, "", "near 0"), *_numbers(found)],
        certain=True,
    )


def _at_fault(found: Survey, whole: Better, terms: dict[str, Better]) -> Finding:
    own = {one.cause for one in terms.values()}
    cause = own.pop() if len(own) == 1 else whole.cause
    culprit = max((name for name in terms if terms[name].cause == cause), key=lambda n: found.span(n), default="")
    named = f"; the term {culprit}: {terms[culprit].words}" if culprit else ""
    remedy = Remedy(f"mend the term {culprit}: it must be lowest at the target") if culprit else None
    return Finding(
        "oracle",
        "fault",
        (cause,),
        f"the perfect estimate has a loss of {_value(found)} and is not the best: {whole.words}{named}",
        _numbers(found, terms),
        certain=True,
        remedy=remedy,
    )


def _at_another_level(found: Survey, term: str, one: Better) -> Finding:
    gain = found.best_gain(term)
    lost = 1 - found.gains[gain][term] / found.perfect[term]
    return Finding(
        "oracle",
        "fault",
        (one.cause,),
        f"the perfect estimate has a loss of {_value(found)}: the term {term} compares with another level of the "
        f"target, for at {gain:.2g} times its level it is {lost:.0%} lower",
        _numbers(found, {term: one}),
        certain=True,
        remedy=Remedy(f"mend the term {term}: it must be lowest at the target"),
    )


def _suspected(found: Survey, terms: dict[str, Better]) -> list[Finding]:
    return [
        Finding(
            "oracle",
            "suspect",
            (one.cause,),
            f"the perfect estimate is the best for the whole loss, but not for its term {name}: {one.words}",
            _numbers(found, {name: one}),
        )
        for name, one in terms.items()
    ]


def _healthy(found: Survey) -> Finding:
    zero = abs(found.perfect[TOTAL]) <= ZERO * abs(found.noisy[TOTAL])
    return Finding(
        "oracle",
        "healthy",
        RULED_OUT if zero else RULED_OUT[:-1],
        f"the perfect estimate has a loss of {_value(found)}, and no other level, place, sign or item has less (best "
        "gain 1.00, best shift 0)",
        _numbers(found),
    )


def _numbers(found: Survey, terms: dict[str, Better] | None = None) -> list[Measured]:
    return [
        Measured("loss of the perfect estimate", found.perfect[TOTAL], "", "lowest of all; 0 for a distance"),
        Measured("loss of the noisy input", found.noisy[TOTAL]),
        Measured("loss of silence", found.silent[TOTAL]),
        Measured("gain on the target with the least loss", found.best_gain(), "", "1"),
        Measured("shift of the target with the least loss", found.best_shift(), "samples", "0"),
        *(Measured(f"{name} at the perfect estimate", found.perfect[name]) for name in terms or ()),
        *(Measured(f"{name} at the noisy input", found.noisy[name]) for name in terms or ()),
    ]


def _value(found: Survey) -> str:
    """A distance as a share of the input's; what is none, or larger, as it is."""
    perfect, noisy = found.perfect[TOTAL], found.noisy[TOTAL]
    if not 0 <= perfect < noisy:
        return f"{perfect:.3g} (the noisy input's: {noisy:.3g})"
    share = 100 * perfect / noisy
    return f"{share:.0f} % of the noisy input's" if share >= 1 else f"{perfect / noisy:.1e} of the noisy input's"


def _moved(samples: int) -> str:
    return f"{abs(samples)} sample{'s' if abs(samples) > 1 else ''} {'later' if samples > 0 else 'earlier'}"


ORACLE = Check(
    "oracle",
    "loss",
    "Is the perfect estimate the best one for the loss?",
    ("practice",),
    4.0,
    "fault where another estimate (level, shift, sign, input, other item) has less loss than the target by over "
    "0.2 % of the way to the input's, or a term loses half of its value at another level of the target; suspect where "
    "another estimate is better for one term only. Of all shipped recipes the target's "
    "loss is below 2e-6 of the input's, and nothing has less.",
    "Definition: a loss is lowest at its target; docs/cases/cmgan-level.md",
    check_oracle,
)
