"""The catalogue of checks: one literal list; a new check is a line here and a constant in its module."""

from __future__ import annotations

import importlib
from functools import cache

from auscult.diagnose.check import Check

CATALOGUE: tuple[str, ...] = ()
"""``module:NAME`` below this package."""


@cache
def checks() -> tuple[Check, ...]:
    """All checks."""
    found = []
    for line in CATALOGUE:
        module, _, name = line.partition(":")
        found.append(getattr(importlib.import_module(f"{__name__}.{module}"), name))
    return tuple(found)
