"""An audit as tables, as data for programs, and as one page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from auscult.diagnose.audit import Audit, Quantity, SplitLook
from auscult.report.diagnosis import Table, as_data, write_diagnosis
from auscult.report.tables import figures


def tables(found: Audit) -> list[Table]:
    """What was looked at: a row a split; then a row a number of the items that were heard."""
    out = [(["split", "pairs", "hours", "rate, Hz", "channels", "length, s"], [_split(one) for one in found.splits])]
    if found.quantities:
        out.append((["of items", "5 %", "median", "95 %", "items"], [_quantity(one) for one in found.quantities]))
    return out


def _split(one: SplitLook) -> list[str]:
    pairs = str(one.pairs) if one.looked == one.pairs else f"{one.pairs} ({one.looked} looked at)"
    low, middle, high = one.lengths_s
    lengths = f"{middle:.1f} ({low:.1f} to {high:.1f})"
    return [one.name, pairs, f"{one.hours:.2f}", _counts(one.rates), _counts(one.channels), lengths]


def _counts(found: Mapping[int, int]) -> str:
    if len(found) == 1:
        return str(next(iter(found)))
    return ", ".join(f"{value} ({count})" for value, count in found.items())


def _quantity(one: Quantity) -> list[str]:
    name = f"{one.what}, {one.unit}" if one.unit else one.what
    return [name, *(figures(value) for value in (one.low, one.middle, one.high)), str(one.items)]


def audit_as_data(found: Audit) -> dict[str, Any]:
    """For JSON: the diagnosis with ``splits`` and ``quantities``."""
    return {
        **as_data(found.diagnosis),
        "splits": [asdict(one) for one in found.splits],
        "quantities": [asdict(one) for one in found.quantities],
        "worst": [asdict(one) for one in found.worst],
    }


def write_audit(path: Path, found: Audit) -> None:
    """Write the page.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed. OutputError: the page cannot be written.
    """
    write_diagnosis(path, found.diagnosis, tables(found), found.worst)
