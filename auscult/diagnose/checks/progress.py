"""Checks on how far a run came: whether it still improves, and how it lies beside healthy runs of its recipe."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from auscult.diagnose.check import Check
from auscult.diagnose.checks import curve_reading as reading
from auscult.diagnose.finding import Finding, Measured
from auscult.diagnose.measure import trend
from auscult.diagnose.reference import SETTINGS, Placed, Reference, load, place

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

ENVIRONMENT = "environment.json"


def still_improving(case: Case) -> Finding | None:
    """Whether validations still improve at the end: a run may be short without anything being wrong with it."""
    metric = reading.judged(case)
    if metric is None or metric.curve.values.size < 8:
        return None
    late = metric.oriented
    end = trend.change(trend.within(late, 0.5 * case.curves.last, float("inf")), 0.5, 0.5)
    gained = float(late.values.max() - late.values[0])
    stated = case.facts.value("steps")
    measured = [Measured(f"gain of {metric.name} over the second half", end.difference, "", "", *end.interval)]
    if isinstance(stated, int) and case.curves.unit == "step":
        measured.append(Measured("steps done", case.curves.last, f"of {stated}"))
    if end.z > 4 and end.difference > 0.1 * gained > 0:
        says = f"{metric.name} still improves at the end ({end.z:.0f} standard errors over the second half)"
        return Finding("run-length", "cannot tell", ("run-too-short",), says, measured)
    says = f"{metric.name} hardly improves over the second half ({end.difference:+.2g}, {end.z:.1f} standard errors)"
    return Finding("run-length", "healthy", ("run-too-short",), says, measured) if abs(end.z) < 2 else None


RUN_LENGTH = Check(
    "run-length", "optimisation", "Was the run long enough?", ("curves",), 0.1,
    "never an alarm by itself: short runs improve to their end and are healthy; see the reference curve",
    "Definition: change over the second half against its scatter", still_improving,
)  # fmt: skip


def beside_reference(case: Case) -> Finding | None:
    """The run's curves against the band of healthy runs of the same recipe."""
    name = (case.recipe or {}).get("name")
    known = load(name) if isinstance(name, str) else None
    if known is None:
        return None
    placed = {
        curve: found
        for curve, band in known.curves.items()
        if curve in case.curves.curves and (found := place(case.curves.curves[curve], band)) is not None
    }
    if not placed:
        return None
    measured = [
        Measured(curve, one.value, "at its last point", f"{one.low:.4g} to {one.high:.4g} ({known.runs} seeds)")
        for curve, one in placed.items()
    ]
    if unlike := _unlike(case, known):
        says = f"cannot be compared with healthy runs of {name}: {unlike}"
        return Finding("reference", "cannot tell", ("abnormal-run",), says, measured)
    return _judged(case, known, placed, measured)


def _unlike(case: Case, known: Reference) -> str:
    """What differs from the runs of the reference; empty where nothing does."""
    for fact in SETTINGS:
        value = case.facts.value(fact)
        if fact in known.settings and value is not None and value != known.settings[fact]:
            return f"{fact} is {value}, there {known.settings[fact]}"
    recordings = _recordings(case)
    return "" if recordings in ("", known.recordings) else "it learns from other recordings"


def _recordings(case: Case) -> str:
    """What the run says of the recordings that it learns from; empty where that is not known."""
    run = case.get("run")
    try:
        starts = json.loads((run.path / ENVIRONMENT).read_bytes()) if run is not None else []
        return str(starts[-1]["recordings"]["training"])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return ""


def _judged(case: Case, known: Reference, placed: dict[str, Placed], measured: list[Measured]) -> Finding | None:
    worse = {curve: one.below if _higher(curve) else one.above for curve, one in placed.items()}
    bad = [curve for curve, share in worse.items() if share >= 0.8 and placed[curve].points >= 3]
    if bad:
        one = placed[bad[0]]
        says = (
            f"{bad[0]} is {one.value:.4g} where {known.runs} healthy runs of {known.recipe} have {one.low:.4g} to "
            f"{one.high:.4g}, and was so for {100 * worse[bad[0]]:.0f} % of the later half"
        )
        return Finding("reference", "suspect", ("abnormal-run", "low-metric"), says, measured)
    if max(worse.values()) < 0.3:
        says = f"the curves lie where {known.runs} healthy runs of {known.recipe} lie"
        return Finding("reference", "healthy", ("abnormal-run", "rate-too-low", "rate-too-high"), says, measured)
    return None


def _higher(curve: str) -> bool:
    metric = curve.removeprefix("valid.")
    return metric != curve and metric != "loss" and reading.is_higher_better(metric)


REFERENCE = Check(
    "reference", "optimisation", "Is the curve that of a healthy run of this recipe?", ("curves",), 0.1,
    "suspect: worse than twice the band of the healthy seeds at 80 % of the points of the later half, with the same "
    "settings and recordings; the band is the 95 % prediction interval of one further run",
    "Healthy histories of the shipped recipes; docs/histories.md", beside_reference,
)  # fmt: skip
