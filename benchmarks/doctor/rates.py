"""How often each check was wrong and right: ``rates.json`` of the doctor, which ``auscult diagnose --list`` prints."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from auscult.diagnose.examine import examine
from auscult.diagnose.rates import FILE
from benchmarks.doctor import figures
from benchmarks.doctor.cases import injected
from benchmarks.doctor.figures import Judged
from benchmarks.doctor.materials import Shelf, made
from benchmarks.doctor.verdict import BUDGET_S


def rates(judged: Judged, shelf: Shelf) -> dict[str, dict[str, int]]:
    """By check: healthy cases that it looks at, alarms and suspicions there, faults named, and named rightly."""
    healthy, found = figures.healthy(judged), Counter[tuple[str, str]]()
    for part in figures.by(healthy, lambda case: f"{case.material}, {case.given}").values():
        for check, _ in examine(made(part[0][0], shelf), BUDGET_S).ran:
            found[check, "healthy"] += len(part)
    for _, verdict in healthy:
        for one in verdict.heads:
            found[one.check, "alarms" if one.verdict == "fault" else "suspicions"] += 1
    for case, verdict in figures.faulty(judged):
        for one in verdict.heads:
            found[one.check, "named"] += 1
            found[one.check, "right"] += one.causes[0] in injected(case).accepted
    names = ("healthy", "alarms", "suspicions", "named", "right")
    return {check: {name: found[check, name] for name in names} for check in sorted({check for check, _ in found})}


def write(judged: Judged, shelf: Shelf, split: str, path: Path = FILE) -> None:
    """Write them into the package."""
    told: dict[str, Any] = {"split": split, "cases": len(judged), "checks": rates(judged, shelf)}
    path.write_text(json.dumps(told, indent=1) + "\n")
