"""How often each check was wrong and right in the benchmark: ``rates.json``, which the benchmark writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).parent / "rates.json"


@dataclass(frozen=True)
class Rate:
    """Counted over cases in which the check could be run; ``faulty`` are cases with a fault that it is for."""

    healthy: int
    alarms: int
    faulty: int
    detected: int


@cache
def rates() -> dict[str, Rate]:
    """By check."""
    return {check: Rate(**row) for check, row in json.loads(FILE.read_text("utf-8"))["checks"].items()}


def rates_of(check: str) -> str:
    """``0 false alarms in 210 healthy cases, 11 of 12 faults found``."""
    found = rates().get(check)
    if found is None or not (found.healthy or found.faulty):
        return "not measured"
    alarms = f"{found.alarms} false alarm{'s' * (found.alarms != 1)} in {found.healthy} healthy cases"
    return alarms + (f", {found.detected} of {found.faulty} faults found" if found.faulty else "")
