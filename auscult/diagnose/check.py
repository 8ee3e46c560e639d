"""A check: one question to a case, with the facts that tell what its answer is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auscult.diagnose.evidence import Need
from auscult.diagnose.finding import Finding

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

Answer = Finding | Sequence[Finding] | None


@dataclass(frozen=True)
class Check:
    """One check.

    Args:
        needs: evidence without which it is not run; it may look at more where that is there.
        cost_s: rough seconds on two cores, once the evidence is loaded; the cheap ones run first.
        threshold: in words, what makes it a fault and what a suspicion.
        source: where the test or its figures come from.
        run: gives what it found; None: the case has nothing that it could be asked of.
    """

    id: str
    family: str
    asks: str
    needs: tuple[Need, ...]
    cost_s: float
    threshold: str
    source: str
    run: Callable[[Case], Answer]
