"""Checks on training against validation: overfitting, and a loss that falls while the metric falls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from auscult.diagnose.check import Check
from auscult.diagnose.checks import curve_reading as reading
from auscult.diagnose.checks.curve_reading import Reading
from auscult.diagnose.finding import Finding, Measured
from auscult.diagnose.measure import trend
from auscult.diagnose.measure.trend import Change

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

FEWEST = 6
BY_HEART = 0.3
"""Share of the training loss that is learned after the validations turned: more looks like learning by heart."""


@dataclass(frozen=True)
class Turned:
    """Validations that got worse for good: where they were best, by how much, of how much gained."""

    peak: int
    at: float
    fall: Change
    gained: float

    @property
    def share(self) -> float:
        """Of what had been gained; of nothing gained, 1."""
        return -self.fall.difference / self.gained if self.gained > 0 else 1.0


def turned(metric: Reading) -> Turned | None:
    """The best stretch of three validations against the last third, unless the best is late."""
    curve = metric.oriented
    count = curve.values.size
    if count < FEWEST:
        return None
    means = np.convolve(curve.values, np.ones(3) / 3, "valid")
    peak = int(means.argmax()) + 1
    last = max(3, count // 3)
    if peak + 1 >= count - last:
        return None
    noise = trend.scatter(curve.values)
    before = trend.Level(float(means.max()), noise / 3**0.5, 3)
    after = trend.level(curve.values[-last:])
    gained = before.mean - float(curve.values[0]) if peak > 1 else 0.0
    return Turned(peak, float(curve.at[peak]), Change(before, after), gained)


def divergence(case: Case) -> Finding | None:
    """Training loss and metric over the validations: they should move together."""
    loss, metric = reading.training(case), reading.judged(case)
    if loss is None or metric is None or metric.name == "valid.loss":
        return None
    if metric.curve.values.size < FEWEST:
        return _too_few(case, metric)
    beside = _beside(loss, metric)
    known = np.isfinite(beside)
    if known.sum() < FEWEST:
        return None
    together = trend.agreement(beside[known], metric.oriented.values[known])
    turn = turned(metric)
    measured = [Measured(f"Spearman of falling loss and {metric.name}", together, "", "above 0.5 while both move")]
    if turn is not None and -turn.fall.z > 5:
        return _fallen(case, loss, metric, turn, measured)
    if together > 0.5:
        says = (
            f"{metric.name} improves as the training loss does (Spearman {together:.2f} over {known.sum()} validations)"
        )
        causes = ("loss-metric-divergence", "overfitting", "loss-sign")
        return Finding("loss-and-metric", "healthy", causes, says, measured)
    return None


def _too_few(case: Case, metric: Reading) -> Finding | None:
    """A fall below everything before it, in a history too short to know the metric's scatter."""
    values, count = metric.oriented.values, metric.curve.values.size
    if count < 4 or values[-1] >= values[:-1].min():
        return None
    best = int(values.argmax())
    says = (
        f"{metric.name} falls from {metric.curve.values[best]:.3g} at {case.curves.unit} {metric.curve.at[best]:.0f} "
        f"to {metric.curve.values[-1]:.3g}, lower than ever, but {count} validations do not tell how far it scatters: "
        "log every validation, or have the loss asked itself (--loss)"
    )
    return Finding("loss-and-metric", "cannot tell", ("loss-metric-divergence", "overfitting", "target-scale"), says)


def _beside(loss: Reading, metric: Reading) -> np.ndarray:
    """The loss around each validation: the mean since the one before."""
    curve = loss.oriented
    width = float(np.median(np.diff(metric.curve.at)))
    return trend.at_places(curve, metric.curve.at, width)


def _fallen(case: Case, loss: Reading, metric: Reading, turn: Turned, measured: list[Measured]) -> Finding | None:
    after = trend.within(loss.oriented, turn.at, np.inf)
    if after.values.size < 6 or turn.share < 0.2 or _lost_at_start(case, turn):
        return None
    gain = trend.change(after, 1 / 3)
    if gain.z < 3:
        return None
    by_heart = gain.difference / max(abs(gain.before.mean), 1e-30)
    first, last = turn.fall.before.mean, turn.fall.after.mean
    sign = 1 if metric.higher else -1
    says = (
        f"{metric.name} falls from {sign * first:.3g} to {sign * last:.3g} after {case.curves.unit} {turn.at:.0f} "
        f"({-turn.fall.z:.0f} standard errors) while the training loss improves by {100 * by_heart:.0f} %"
    )
    measured = [*measured, Measured("share of the gain that was lost again", turn.share, "", "below 0.2"),
                Measured("improvement of the training loss meanwhile", by_heart, "of its value")]  # fmt: skip
    causes = ("loss-metric-divergence", "overfitting", "target-scale", "contradictory-terms")
    if by_heart > BY_HEART:
        causes = ("overfitting", "loss-metric-divergence", "target-scale", "contradictory-terms")
    sure = -turn.fall.z > 8 and metric.curve.values.size >= 8 and not _others_rise(case, metric, turn)
    return Finding("loss-and-metric", "fault" if sure else "suspect", causes, says, measured)


def _others_rise(case: Case, metric: Reading, turn: Turned) -> bool:
    """Whether another metric improves meanwhile: then the two trade against each other."""
    for other in reading.metrics(case).values():
        later = trend.within(other.oriented, turn.at, np.inf)
        if other.name != metric.name and later.values.size >= FEWEST and trend.change(later, 1 / 3).z > 3:
            return True
    return False


def _lost_at_start(case: Case, turn: Turned) -> bool:
    """A fall that begins at a resume is the resume's."""
    return any(0 <= start - turn.at <= 0.2 * case.curves.last for start in case.curves.starts)


LOSS_AND_METRIC = Check(
    "loss-and-metric", "optimisation", "Does the metric follow the loss?", ("curves",), 0.2,
    "fault: the last third of at least 8 validations is 8 standard errors and 20 % of the gain below the best three "
    "while the loss improves by 3 standard errors; suspect: 5 standard errors, 6 validations, or another metric rises. "
    "Healthy runs have their best stretch late (7 runs of 3 to 12 validations).",
    "Rank correlation of loss and metric, and a turning point; docs/cases/cmgan-level.md", divergence,
)  # fmt: skip


def overfitting(case: Case) -> Finding | None:
    """A validation loss that rises for good while the training loss falls."""
    loss, held_out = reading.training(case), reading.metrics(case).get("loss")
    if loss is None or held_out is None or held_out.curve.values.size < 8:
        return None
    turn, judged = turned(held_out), reading.judged(case)
    if turn is None or -turn.fall.z < 3:
        says = f"the validation loss does not rise from its lowest level over {held_out.curve.values.size} validations"
        return Finding("overfitting", "healthy", ("overfitting",), says)
    after = trend.within(loss.oriented, turn.at, np.inf)
    falls = after.values.size >= 6 and trend.change(after, 1 / 3).z > 3
    improves = judged is not None and judged.name != "valid.loss" and _improves(judged, turn.at)
    if not falls or improves or turn.share < 0.25 or -turn.fall.z < 5:
        return None
    before, end = -turn.fall.before.mean, -turn.fall.after.mean
    low, high = turn.fall.interval
    says = (
        f"the validation loss rises from {before:.4g} at {case.curves.unit} {turn.at:.0f} to {end:.4g} "
        f"({-turn.fall.z:.0f} standard errors) while the training loss falls on"
    )
    measured = [Measured("rise of the validation loss", end - before, "", "none", -high, -low),
                Measured("share of its fall", turn.share, "", "below 0.25")]  # fmt: skip
    sure = turn.share > 0.5 and -turn.fall.z > 8
    return Finding(
        "overfitting", "fault" if sure else "suspect", ("overfitting", "loss-metric-divergence"), says, measured
    )


def _improves(metric: Reading, since: float) -> bool:
    later = trend.within(metric.oriented, since, np.inf)
    return later.values.size >= FEWEST and trend.change(later, 1 / 3).z > 0


OVERFITTING = Check(
    "overfitting", "optimisation", "Does the validation loss rise while the training loss falls?", ("curves",), 0.1,
    "fault: by half of its fall and 8 standard errors over at least 8 validations; suspect: by a quarter and 5 of "
    "them. Not where the metric improves meanwhile.",
    "Definition: training loss falls while validation loss rises", overfitting,
)  # fmt: skip
