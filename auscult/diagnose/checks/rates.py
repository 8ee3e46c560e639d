"""Checks on the size of steps: losses that leave their level upward, weights that move too much or hardly at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from auscult.diagnose.check import Check
from auscult.diagnose.checks import curve_reading as reading
from auscult.diagnose.evidence import Curve
from auscult.diagnose.finding import Finding, Measured
from auscult.diagnose.measure import trend
from auscult.diagnose.measure.trend import Change

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

WILD_RATIO = 0.1
"""Update over weights of one step; 1e-4 to 1e-2 is usual."""
WILD_DISTANCE = 0.5
"""Weights' distance from their average; healthy runs stay below 0.08."""
STILL = 1e-6
"""Relative movement a step below which nothing gets anywhere; healthy runs have 5e-5 to 2e-4."""


def diverged(case: Case) -> Finding | None:
    """A loss that gives back what it had gained, or ends above where it began."""
    loss = reading.training(case)
    if loss is None or loss.curve.values.size < 12:
        return None
    cost = loss.oriented
    flat = trend.smooth(Curve(cost.at, -cost.values), max(3, cost.values.size // 20))
    low = int(flat.values.argmin())
    width = max(3, flat.values.size // 10)
    lowest = trend.level(flat.values[max(0, low - width // 2) : low + width // 2 + 1])
    first, end = trend.level(flat.values[:width]), trend.level(flat.values[-max(3, flat.values.size // 4) :])
    lost, gained = Change(lowest, end), first.mean - lowest.mean
    noise = trend.scatter(cost.values)
    above, given_back = Change(first, end), lost.difference / gained if gained > 2 * noise else 0.0
    measured = [
        Measured("loss that was gained and lost again", given_back, "of the fall", "below 0.3"),
        Measured("rise from the lowest level", lost.difference, "", "within noise", *lost.interval),
    ]
    if _resumed_there(case, float(flat.at[low])):
        return None
    if above.z > 6 and trend.relative(above) > 0.1 and above.difference > 4 * noise:
        how = f"({above.z:.0f} standard errors)"
        says = f"the training loss ends at {end.mean:.4g}, above the {first.mean:.4g} it began with {how}"
        return _rise(case, says, measured, certain=True)
    if given_back > 0.5 and lost.z > 6 and lost.difference > 3 * noise:
        how = f"{100 * given_back:.0f} % of the fall is lost"
        says = f"the training loss fell to {lowest.mean:.4g} and rose again to {end.mean:.4g}: {how}"
        return _rise(case, says, measured, certain=False)
    if first.mean > end.mean and given_back < 0.3:
        how = f"within {100 * max(given_back, 0):.0f} % of its fall from {first.mean:.4g}"
        says = f"the training loss ends at {end.mean:.4g}, {how}"
        return Finding("loss-rises", "healthy", ("rate-too-high",), says, measured)
    return None


def _rise(case: Case, says: str, measured: list[Measured], certain: bool) -> Finding | None:
    """A generator's loss may rise as its discriminator learns: then only with validations that worsen."""
    metric = reading.judged(case)
    change = trend.change(metric.oriented, 0.2) if metric is not None and metric.curve.values.size >= 6 else None
    worse = change is not None and change.z < -4
    better = change is not None and change.z > 3
    if better or (reading.adversarial(case) and not worse):
        return None
    fault = certain and not reading.adversarial(case)
    return Finding("loss-rises", "fault" if fault else "suspect", ("rate-too-high", "abnormal-run"), says, measured)


def _resumed_there(case: Case, at: float) -> bool:
    return any(abs(start - at) <= 0.1 * case.curves.last for start in case.curves.starts)


LOSS_RISES = Check(
    "loss-rises", "optimisation", "Does the training loss leave its level upward?", ("curves",), 0.1,
    "fault: ends above its beginning by 10 %, 6 standard errors and 4 times the scatter; suspect: more than half of "
    "the fall is lost. Not of a generator whose validations do not worsen. Healthy: at most 6 % (8 runs).",
    "Smith and Topin 2019; Definition: a loss that leaves its level upward", diverged,
)  # fmt: skip


def movement(case: Case) -> Finding | None:
    """How far weights move: too far (updates, distance from the average), or hardly, while the loss still falls."""
    curves, steps = case.curves.curves, case.curves.last
    ratio = _late(curves.get("update_ratio.all"))
    distance = _late(curves.get("ema_distance"))
    if ratio is not None and ratio > WILD_RATIO:
        return _wild("the update of one step is {:.2g} of the weights", ratio, WILD_RATIO, ("rate-too-high",))
    if distance is not None and distance > WILD_DISTANCE:
        causes = ("rate-too-high", "ema-too-slow")
        return _wild("the weights are {:.2g} of their size away from their average", distance, WILD_DISTANCE, causes)
    decay = case.facts.value("ema_decay")
    lag = min(steps / 10, 1 / (1 - decay)) if isinstance(decay, float) and 0 < decay < 1 else None
    a_step = ratio if ratio is not None else distance / lag if distance is not None and lag else None
    if a_step is None or a_step == 0:
        return None
    measured = [Measured("relative movement of the weights a step", a_step, "", "1e-5 to 1e-2")]
    if a_step < STILL and (slope := _still_falls(case)):
        says = f"weights move by {a_step:.1g} of their size a step while the loss {slope}"
        return Finding("movement", "suspect", ("rate-too-low",), says, measured)
    if a_step > 10 * STILL:
        says = f"weights move by {a_step:.1g} of their size a step"
        return Finding("movement", "healthy", ("rate-too-low", "model-disconnected"), says, measured)
    return None


def _late(curve: Curve | None) -> float | None:
    known = trend.finite(curve).values if curve is not None else np.zeros(0)
    return float(np.median(known[known.size // 2 :])) if known.size >= 6 else None


def _wild(words: str, value: float, limit: float, causes: tuple[str, ...]) -> Finding:
    measured = [Measured("movement of the weights", value, "of their size", f"below {limit:g}")]
    return Finding("movement", "suspect", causes, words.format(value), measured)


def _still_falls(case: Case) -> str:
    """Words for a loss that falls in its last third nearly as fast as in its first; empty otherwise."""
    loss = reading.training(case)
    if loss is None or loss.curve.values.size < 24:
        return ""
    thirds = [trend.level(part) for part in np.array_split(loss.oriented.values, 6)]
    late, early = Change(thirds[4], thirds[5]), Change(thirds[0], thirds[1])
    steady = late.difference > 0.5 * early.difference > 0
    return "still falls as fast as at the start" if steady and Change(thirds[3], thirds[5]).z > 4 else ""


MOVEMENT = Check(
    "movement", "optimisation", "Do the weights move by a sensible amount?", ("curves",), 0.1,
    "suspect: updates above 0.1 of the weights, or weights more than 0.5 of their size from their average; or below "
    "1e-6 a step while the loss falls as at the start. Healthy: 5e-5 to 2e-4 a step, distance at most 0.08 (6 runs).",
    "Ratio of updates to weights: CS231n course notes (Karpathy)", movement,
)  # fmt: skip
