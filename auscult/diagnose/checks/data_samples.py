"""Whether recordings are sound at all, whatever is wrong with them: laws that any recorded sound keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from auscult.data.audit.levels import levels
from auscult.data.audit.samples import Samples, samples_law
from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.evidence import HeardItem
from auscult.diagnose.finding import Exhibit, Finding, Measured, graded

ID = "data-samples"
FLATTEST, ACROSS = 0.6, 1e-3
"""Of 900 healthy recordings of 29 kinds the flattest has 1.08; one has more than 0.001 of its steps across."""
_FAULT, _SUSPECT = 0.4, 0.15
_MOST = 40


def run(case: Case) -> list[Finding]:
    """One finding a side."""
    found = []
    for side in ("clean", "noisy"):
        rows = [(law, one.name) for one in case.items.items[:_MOST] if (law := _law(one, side)) is not None]
        if len(rows) >= 3:
            found.append(_judged(side, rows))
    return found


def _law(one: HeardItem, side: str) -> Samples | None:
    """None also of recordings that are clipped or not finite: these break the laws, and have names."""
    wave = getattr(one, side)[: one.length or None]
    if not np.isfinite(wave).all() or levels(wave, one.rate_hz).is_clipped:
        return None
    return samples_law(wave)


def _judged(side: str, rows: Sequence[tuple[Samples, str]]) -> Finding:
    odd = [(one, name) for one, name in rows if one.peaked < FLATTEST or one.across > ACROSS]
    share = len(odd) / len(rows)
    peaked, across = (float(np.median([getattr(one, name) for one, _ in rows])) for name in ("peaked", "across"))
    says = (
        f"{len(odd)} of {len(rows)} {side} recordings have samples that no recorded sound has: the density near zero "
        f"is {peaked:.1f} times that around it, and {across:.2%} of the steps span the range (medians)"
    )
    numbers = (
        Measured("density near zero over that around it", peaked, "", "above 1"),
        Measured("share of steps between neighbours that span the range", across, "", "below 0.0001"),
    )
    exhibits = [Exhibit(name, f"density {one.peaked:.2f}, steps {one.across:.2%}") for one, name in odd[:5]]
    return Finding(ID, graded(share, _FAULT, _SUSPECT), ("abnormal-recordings",), says, numbers, exhibits=exhibits)


SAMPLES = Check(
    ID,
    "data",
    "Are samples distributed like those of recorded sound?",
    ("items",),
    1.0,
    f"a recording counts where the density near zero is below {FLATTEST} of that around it, or more than {ACROSS:g} of "
    f"its steps span 1.5 times its peak; fault: {_FAULT:.0%} of a side, suspect: {_SUSPECT:.0%} (36 healthy "
    "corpora: no corpus has two)",
    "Sums of sounds have one mode; measured on healthy mixtures",
    run,
)
