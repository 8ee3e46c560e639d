"""How often each check was wrong and right in the benchmark: ``rates.json``, which the benchmark writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).parent / "rates.json"


@dataclass(frozen=True)
class Rate:
    """Cases: healthy ones of the kinds that the check looks at, alarms and suspicions among them; faulty ones that it
    named, and named rightly."""

    healthy: int
    alarms: int
    suspicions: int
    named: int
    right: int


@cache
def rates() -> dict[str, Rate]:
    """By check."""
    return {check: Rate(**row) for check, row in json.loads(FILE.read_text("utf-8"))["checks"].items()}


def rates_of(check: str) -> str:
    """``0 false alarms and 1 suspicion in 210 healthy cases; named 12 faults, 11 rightly``."""
    found = rates().get(check)
    if found is None or not (found.healthy or found.named):
        return "not measured"
    wrong = f"{_counted(found.alarms, 'false alarm')} and {_counted(found.suspicions, 'suspicion')}"
    return f"{wrong} in {found.healthy} healthy cases; named {_counted(found.named, 'fault')}, {found.right} rightly"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
