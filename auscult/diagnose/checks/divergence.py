"""A validation loss that falls while the metric of the same validations falls, and the place where they part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from auscult.diagnose.check import Check
from auscult.diagnose.checks import curve_reading as reading
from auscult.diagnose.checks.curve_reading import Reading
from auscult.diagnose.evidence import Curve
from auscult.diagnose.finding import Finding, Measured, Verdict
from auscult.diagnose.measure import trend
from auscult.diagnose.measure.bend import Bend, bend

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

FEWEST = 8
SURE, SEEN = 7.0, 4.5
"""Standard errors of the slope after the turn, whose place is the best of all."""
LOST = 0.2


def check_divergence(case: Case) -> Finding | None:
    """Whether loss and metric of the validations move together."""
    metric, loss = reading.judged(case), reading.metrics(case).get("loss")
    if metric is None or loss is None or metric.name == loss.name:
        return None
    both = _together(loss, metric)
    if both is None:
        return None
    falls, rises = both
    turn = bend(rises)
    if turn is not None and turn.z_after < -SEEN and turn.before > 0:
        return _parted(case, falls, rises, metric, turn)
    together = trend.agreement(falls.values, rises.values)
    if together > 0.5:
        says = f"{metric.name} improves as the validation loss does (Spearman {together:.2f})"
        measured = [Measured("Spearman of validation loss and metric, both turned to more is better", together)]
        return Finding("divergence", "healthy", ("loss-metric-divergence", "target-scale"), says, measured)
    return None


def _together(loss: Reading, metric: Reading) -> tuple[Curve, Curve] | None:
    """Both at the validations that have both, turned so that more is better."""
    at, ours, theirs = np.intersect1d(loss.curve.at, metric.curve.at, return_indices=True)
    if at.size < FEWEST:
        return None
    return Curve(at, loss.oriented.values[ours]), Curve(at, metric.oriented.values[theirs])


def _parted(case: Case, falls: Curve, rises: Curve, metric: Reading, turn: Bend) -> Finding | None:
    after = falls.at >= turn.at
    later, losses = Curve(rises.at[after], rises.values[after]), Curve(falls.at[after], falls.values[after])
    gained = float(rises.values.max() - rises.values[0])
    lost = -turn.after * float(rises.at[-1] - turn.at)
    together = trend.agreement(losses.values, later.values)
    improves = losses.values.size >= 3 and float(losses.values[-1]) > float(losses.values[0]) and together < -0.5
    if not improves or lost < LOST * gained or any(turn.at <= start <= rises.at[-1] for start in case.curves.starts):
        return None
    says = (
        f"from {case.curves.unit} {turn.at:.0f} on {metric.name} worsens ({-turn.z_after:.0f} standard errors) while "
        f"the validation loss improves from {-losses.values[0]:.4g} to {-losses.values[-1]:.4g}: they part there"
    )
    measured = [
        Measured(f"{case.curves.unit} of the turn", turn.at),
        Measured("Spearman of loss and metric after it, both turned to more is better", together, "", "above 0.5"),
        Measured("share of the metric's gain that was lost", lost / gained if gained > 0 else 1.0, "", "below 0.2"),
    ]
    verdict: Verdict = "fault" if turn.z_after < -SURE else "suspect"
    causes = ("loss-metric-divergence", "target-scale", "contradictory-terms")
    return Finding("divergence", verdict, causes, says, measured)


DIVERGENCE = Check(
    "divergence", "optimisation", "Do validation loss and metric part, and where?", ("curves",), 0.1,
    f"fault: of two lines that meet, the metric's later one worsens by {SURE:g} standard errors and {100 * LOST:.0f} % "
    f"of the gain over at least {FEWEST} validations, while the loss of the same validations improves (Spearman below "
    f"-0.5 after the turn); suspect: {SEEN:g} standard errors. Not after a resume.",
    "Change point of two lines; docs/cases/cmgan-level.md", check_divergence,
)  # fmt: skip
