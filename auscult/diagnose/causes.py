"""The causes of bad results that a finding may name: ``causes.yaml`` beside this file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ANY_FAILURE = "any-failure"
"""Among what a cause explains: what any broken supervision looks like from outside."""
LOOKS = ("never-learned", "early-best", "rate-decayed-out", "low-metric", "loss-metric-divergence", "plateau")


@dataclass(frozen=True)
class Cause:
    """``title`` completes "the cause is: ..."; ``remedy`` says what to do about it."""

    id: str
    family: str
    title: str
    remedy: str
    explains: tuple[str, ...] = ()


def _read() -> dict[str, Cause]:
    families: dict[str, dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "causes.yaml").read_text("utf-8"))
    return {
        name: Cause(name, family, row["title"], row["remedy"], _spelt_out(row.get("explains", ())))
        for family, rows in families.items()
        for name, row in rows.items()
    }


def _spelt_out(explains: list[str]) -> tuple[str, ...]:
    return tuple(name for one in explains for name in (LOOKS if one == ANY_FAILURE else (one,)))


BY_ID = _read()
"""From the wells of a run to its mouth: findings are ranked in this order."""
FAMILIES = tuple(dict.fromkeys(cause.family for cause in BY_ID.values()))


def explained(by: str) -> frozenset[str]:
    """Everything that a cause explains, also through others."""
    found: set[str] = set()
    waiting = list(BY_ID[by].explains)
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += BY_ID[one].explains
    return frozenset(found - {by})
