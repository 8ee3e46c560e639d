"""Whether files lost samples: stretches where both sides of a pair are digital silence."""

from __future__ import annotations

from auscult.data.audit.gaps import HOLE_S, holes
from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.finding import Exhibit, Finding, Measured, Verdict

ID = "data-holes"
_HOLED = 0.05
"""Share of a pair's time that makes it a holed one."""
_FAULT, _SUSPECT = 0.1, 0.02


def run(case: Case) -> Finding | None:
    """The share of pairs with holes."""
    rows = []
    for one in case.items.items:
        if case.clock.left <= 0:
            break
        size = one.length or one.clean.size
        rows.append((holes(one.clean[:size], one.noisy[:size], one.rate_hz), one.name))
    if len(rows) < 3:
        return None
    holed = sorted((row for row in rows if row[0] > _HOLED), reverse=True)
    share = len(holed) / len(rows)
    several = len(holed) >= 2
    verdict: Verdict = "fault" if several and share >= _FAULT else "suspect" if share >= _SUSPECT else "healthy"
    says = f"in {len(holed)} of {len(rows)} pairs both sides are digital silence for {_HOLED:.0%} of the time or more"
    measured = (Measured("share of pairs with holes", share, "", "0"),)
    exhibits = [Exhibit(name, f"{lost:.0%} of its time") for lost, name in holed[:5]]
    return Finding(ID, verdict, ("silent-items",), says, measured, exhibits=exhibits)


HOLES = Check(
    ID,
    "data",
    "Did files lose samples?",
    ("items",),
    0.5,
    f"fault: in {_FAULT:.0%} of the pairs, two at least, both sides are exactly zero for {_HOLED:.0%} of the time, in "
    f"stretches of {1e3 * HOLE_S:.0f} ms or more that break a sound off; suspect: in {_SUSPECT:.0%} (36 healthy "
    "corpora: none)",
    "Definition: noise that was added sounds in pauses too",
    run,
)
