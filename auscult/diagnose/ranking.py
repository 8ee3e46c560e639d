"""The order of findings: upstream and harmful first, the certain before the likely, what they explain folded under."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auscult.diagnose.causes import BY_ID, FAMILIES, explained
from auscult.diagnose.finding import Finding

_PLACE = {cause: place for place, cause in enumerate(BY_ID)}


@dataclass(frozen=True)
class Ranked:
    """A finding with those that its first cause explains."""

    finding: Finding
    folded: tuple[Finding, ...] = ()


def rank(findings: Sequence[Finding]) -> tuple[Ranked, ...]:
    """Faults, then suspicions; within these upstream to downstream by family, consequences folded.

    Of a family, what can make results bad comes before what cannot (a validation set that is the test set), then the
    certain before the likely.

    A finding is folded under the first one before it whose cause explains its own. A mere suspicion explains no fault.
    """
    ordered = sorted((one for one in findings if one.verdict in ("fault", "suspect")), key=_order)
    heads: list[Finding] = []
    below: dict[int, list[Finding]] = {}
    for one in ordered:
        for place, head in enumerate(heads):
            if _explains(head, one):
                below.setdefault(place, []).append(one)
                break
        else:
            heads.append(one)
    return tuple(Ranked(head, tuple(below.get(place, ()))) for place, head in enumerate(heads))


def _order(one: Finding) -> tuple[bool, int, bool, bool, int]:
    cause = BY_ID[one.causes[0]]
    harmless = "low-metric" not in explained(cause.id)
    return one.verdict != "fault", FAMILIES.index(cause.family), harmless, not one.certain, _PLACE[cause.id]


def _explains(head: Finding, one: Finding) -> bool:
    if head.verdict == "suspect" and one.verdict == "fault":
        return False
    return one.causes[0] == head.causes[0] or one.causes[0] in explained(head.causes[0])
