"""What a check says: a verdict, what was measured against what is normal, likely causes, a remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Verdict = Literal["fault", "suspect", "healthy", "cannot tell"]
"""``fault``: healthy set-ups do not show this, and the threshold's false alarms are known. ``suspect``: some do.

``healthy``: measured and normal, so that the finding's causes are ruled out. ``cannot tell``: looked, and it is open.
"""


@dataclass(frozen=True)
class Measured:
    """One number beside what is normal: ``lag 480 samples (normal: 0)``.

    ``low`` and ``high`` bound the 95 % interval where there is one; ``normal`` is in the same unit, in words.
    """

    what: str
    value: float
    unit: str = ""
    normal: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Remedy:
    """What to do. ``settings`` are overrides of a recipe (``--set NAME=VALUE``), ``command`` is one to run."""

    words: str
    settings: tuple[str, ...] = ()
    command: str = ""


@dataclass(frozen=True)
class Exhibit:
    """An item to listen to or look at, and what it shows; a page plays and draws the files that are given."""

    name: str
    shows: str
    clean: Path | None = None
    noisy: Path | None = None
    enhanced: Path | None = None


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Args:
        causes: ids of :mod:`auscult.diagnose.causes`, the likeliest first; of a healthy finding those it rules out.
        says: one sentence with the decisive number.
        certain: it follows from a definition (an oracle's loss is not zero), not from statistics of runs.
        remedy: None: the remedy of the first cause.
        exhibits: what to listen to; the worst first.
    """

    check: str
    verdict: Verdict
    causes: tuple[str, ...]
    says: str
    measured: Sequence[Measured] = ()
    certain: bool = False
    remedy: Remedy | None = None
    exhibits: Sequence[Exhibit] = field(default=())


def graded(value: float, fault: float, suspect: float) -> Verdict:
    """By two thresholds of a number that is the worse the larger it is."""
    return "fault" if value >= fault else "suspect" if value >= suspect else "healthy"
