"""Does one term of the loss drown the others, pull against them, or not pull at all?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from auscult.diagnose.check import Check
from auscult.diagnose.checks.loss_oracle import NEGLIGIBLE, surveyed
from auscult.diagnose.evidence import Practice
from auscult.diagnose.finding import Finding, Measured
from auscult.diagnose.measure.loss_survey import TOTAL

if TYPE_CHECKING:
    from auscult.diagnose.case import Case
    from auscult.diagnose.measure.pulls import Pull

LEFT = (0.1, 0.3, 1.0)
"""Shares of the noise in the estimates at which gradients are taken: after training, during, before."""
DOMINANT, AGREEING, OPPOSED = 0.97, 0.5, -0.5


def check_terms(case: Case) -> Finding | None:
    """Whether one term drowns the others at every stage, two pull against each other, or one does not pull."""
    from auscult.diagnose.measure.pulls import pull

    practice: Practice = case.practice
    step = next(iter(practice.steps(1)), None)
    pulls = [] if step is None else [pull(practice, step, left) for left in LEFT]
    known = [one for one in pulls if one is not None]
    if len(known) < len(LEFT):
        return None
    if cut := _cut(practice, known):
        words = f"{', '.join(cut)}: of the loss, and changing with the estimate, but without a gradient at any stage"
        return Finding("terms", "suspect", ("loss-ignores-estimate",), words, _numbers(known[1]))
    strongest = max(known[1].shares, key=lambda name: known[1].shares[name])
    share = min(one.shares[strongest] for one in known)
    cosine = max(abs(one.cosines[strongest]) for one in known)
    pair = min(known[1].pairs, key=lambda names: max(one.pairs[names] for one in known))
    against = max(one.pairs[pair] for one in known)
    numbers = _numbers(known[1])
    if against < OPPOSED:
        words = (
            f"the terms {pair[0]} and {pair[1]} pull against each other at every stage (cosine {against:.2f} or less)"
        )
        return Finding("terms", "suspect", ("contradictory-terms",), words, numbers)
    if share > DOMINANT and cosine < AGREEING:
        alone = f"does not pull as they do (|cosine| {cosine:.2f})"
        words = (
            f"the term {strongest} has {100 * share:.1f} % of the gradient, which leaves nothing to the others, and "
        )
        words += alone
        return Finding("terms", "suspect", ("term-dominates",), words, numbers)
    words = (
        f"the strongest term, {strongest}, has {100 * known[1].shares[strongest]:.0f} % of the gradient at the estimate"
    )
    return Finding("terms", "healthy", ("term-dominates", "contradictory-terms"), words, numbers)


def _cut(practice: Practice, pulls: Sequence[Pull]) -> list[str]:
    """Terms that a graph was cut under, or that have none; not those that hardly change."""
    found = surveyed(practice)
    least = NEGLIGIBLE * found.spread(TOTAL)
    return [name for name in pulls[0].shares if found.spread(name) > least and not any(p.shares[name] for p in pulls)]


def _numbers(one: Pull) -> list[Measured]:
    shares = [Measured(f"gradient of {name}", 100 * share, "%") for name, share in one.shares.items()]
    return shares + [Measured(f"cosine of {a} and {b}", cosine) for (a, b), cosine in one.pairs.items()]


TERMS = Check(
    "terms",
    "loss",
    "Does one term of the loss drown the others, pull against them, or not pull at all?",
    ("practice",),
    1.0,
    f"suspect where, with 10, 30 and 100 % of the noise left, one term has over {100 * DOMINANT:g} % of the summed "
    f"gradient norms and |cosine| below {AGREEING:g} with the rest, two terms a cosine below {OPPOSED:g}, or a term "
    "changes with the estimate and has no gradient there. In shipped recipes no term has over 75 %.",
    "Definition: gradients of terms and their angles; docs/cases/cmgan-level.md",
    check_terms,
)
