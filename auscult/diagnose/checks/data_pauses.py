"""Whether the target's pauses hold what the target should be free of."""

from __future__ import annotations

import numpy as np

from auscult.data.audit.pauses import pauses
from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.checks.data_additive import fitted
from auscult.diagnose.finding import Exhibit, Finding, Measured, graded

ID = "data-target-pauses"
_COPIED, _BELOW_DB = 0.2, -3.0
"""In healthy mixtures nothing is copied (95 % of items within 0.1); a copy at full level is clipping, or no noise."""
_FAULT, _SUSPECT = 0.4, 0.2
_MOST = 40


def run(case: Case) -> Finding | None:
    """The share of items whose target is a quieter copy of noisy in its pauses."""
    rows = []
    for one in fitted(case)[:_MOST]:
        found = pauses(*one.aligned, one.fit.gain, one.item.rate_hz)
        if found is not None:
            rows.append((found, one.item.name))
    if len(rows) < 5:
        return None
    copies = [(one, name) for one, name in rows if one.copied > _COPIED and one.level_db < _BELOW_DB]
    share = len(copies) / len(rows)
    middle = float(np.median([one.copied for one, _ in rows]))
    numbers = [Measured("share of items with a copy in their pauses", share, "", "0"),
               Measured("share of the pauses that is copied, median", middle, "", "below 0.1")]  # fmt: skip
    says = f"in {len(copies)} of {len(rows)} items the pauses of clean are a quieter copy of noisy"
    if copies:
        level_db = float(np.median([one.level_db for one, _ in copies]))
        says += f", {-level_db:.0f} dB below it"
        numbers.append(Measured("level of the copy", level_db, "dB"))
    worst = sorted(copies, key=lambda row: -row[0].level_db)[:5]
    exhibits = [Exhibit(name, f"a copy at {one.level_db:.0f} dB") for one, name in worst]
    return Finding(ID, graded(share, _FAULT, _SUSPECT), ("noisy-target",), says, numbers, exhibits=exhibits)


PAUSES = Check(
    ID,
    "data",
    "Is the target free of the noise that is to be removed?",
    ("items",),
    4.1,
    f"an item counts where the coherence of clean and noisy in the quietest tenth of clean exceeds that of a mixture "
    f"by {_COPIED} and the copy is {-_BELOW_DB:g} dB down or more; fault: {_FAULT:.0%} of the items, suspect: "
    f"{_SUSPECT:.0%} (36 healthy corpora: none)",
    "Coherence of a plain mixture is its regression times its gain",
    run,
)
