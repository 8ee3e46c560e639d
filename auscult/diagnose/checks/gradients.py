"""Checks on gradients and numbers: not finite, zero, exploding, always clipped, lost to a collapsed loss scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from auscult.diagnose.check import Check
from auscult.diagnose.checks.optimisation import never_learned
from auscult.diagnose.evidence import Curve
from auscult.diagnose.finding import Finding, Measured
from auscult.diagnose.measure import trend

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

ZERO, DIED = 1e-12, 1e-6
"""A gradient norm that is none: by itself, and of what it was in the first rows."""
HUGE, SPIKE = 1e5, 1e4
COLLAPSED = 1e-3


def not_finite(case: Case) -> Finding | None:
    """Rows whose loss is NaN or infinite; a run that ends in them is lost."""
    curve = case.curves.curves.get("train.loss")
    if curve is None or not curve.values.size:
        return None
    gaps = ~np.isfinite(curve.values)
    count, total = int(gaps.sum()), curve.values.size
    measured = [Measured("rows with a loss that is not finite", count, f"of {total}", "0")]
    if not count:
        says = f"the training loss is finite in all {total} rows"
        return Finding("finite-loss", "healthy", ("not-finite-loss",), says, measured)
    first, until_end = float(curve.at[int(gaps.argmax())]), bool(gaps[-1])
    where = (
        f"from {case.curves.unit} {first:.0f} to the end" if until_end else f"first at {case.curves.unit} {first:.0f}"
    )
    says = f"the training loss is not finite in {count} of {total} rows, {where}"
    lost = (until_end and gaps[-min(3, total) :].all()) or (count >= 3 and count / total > 0.02)
    return Finding("finite-loss", "fault" if lost else "suspect", ("not-finite-loss", "rate-too-high"), says, measured,
                   certain=bool(until_end))  # fmt: skip


FINITE_LOSS = Check(
    "finite-loss", "optimisation", "Is the loss finite?", ("curves",), 0.05,
    "fault: the last rows, or 3 and more than 2 % of all, are not finite; suspect: any. Healthy runs: none (17 runs).",
    "Definition: a loss is a number", not_finite,
)  # fmt: skip


def loss_scale(case: Case) -> Finding | None:
    """The factor of fp16 training that halves whenever a gradient overflows."""
    curve = case.curves.curves.get("loss_scale")
    known = trend.finite(curve).values if curve is not None else np.zeros(0)
    if known.size < 3 or np.ptp(known) == 0:
        return None
    last = float(np.median(known[-3:]))
    measured = [Measured("loss scale at the end", last, "", "above 1"), Measured("highest", float(known.max()))]
    if last < 1:
        says = f"the fp16 loss scale fell from {known.max():.3g} to {last:.2g}: gradients overflow again and again"
        return Finding(
            "loss-scale", "fault" if last < COLLAPSED else "suspect", ("loss-scale-collapse",), says, measured
        )
    says = f"the fp16 loss scale ends at {last:.3g}"
    return Finding("loss-scale", "healthy", ("loss-scale-collapse",), says, measured)


LOSS_SCALE = Check(
    "loss-scale", "optimisation", "Does the fp16 loss scale hold?", ("curves",), 0.05,
    "fault: below 0.001 at the end; suspect: below 1.",
    "Micikevicius et al. 2018", loss_scale,
)  # fmt: skip


def gradient_norms(case: Case) -> Finding | None:
    """Zero, exploding, or always clipped in a run that learns nothing."""
    norms = _known(case, "grad_norm_mean", "grad_norm")
    if norms is None or norms.values.size < 6:
        return None
    highest = _known(case, "grad_norm", "grad_norm_mean") or norms
    median, peak = float(np.median(norms.values)), float(highest.values.max())
    none = max(ZERO, DIED * float(np.median(norms.values[:3])))
    zero = float((norms.values < none).mean())
    measured = [Measured("median gradient norm", median), Measured("highest gradient norm", peak),
                Measured("share of rows without a gradient", zero, "", "0")]  # fmt: skip
    if zero > 0.2:
        died = bool(norms.values[0] >= none and norms.values[-1] < none)
        says = f"the gradient is zero in {100 * zero:.0f} % of the rows" + (", and was not at first" if died else "")
        unfit = ("rate-too-high",) if died else ()  # a step too far leaves nets where nothing moves
        causes = (*unfit, "vanishing-gradients", "model-disconnected")
        return Finding("gradients", "fault" if zero > 0.5 else "suspect", causes, says, measured)
    if spike := _spike(norms, highest, median):
        says = f"{spike} rows have gradients of up to {peak:.2g}, where the median is {median:.2g}"
        return Finding("gradients", "suspect", ("exploding-gradients", "rate-too-high"), says, measured)
    if clipped := _always_clipped(case, norms):
        says = f"{100 * clipped:.0f} % of the steps are clipped (median norm {median:.3g}), and the loss does not fall"
        return Finding("gradients", "suspect", ("clipped-always", "exploding-gradients"), says, measured)
    says = f"gradient norms have a median of {median:.2g} and reach {peak:.2g}; none is zero"
    return Finding("gradients", "healthy", ("vanishing-gradients", "exploding-gradients"), says, measured)


def _known(case: Case, *names: str) -> Curve | None:
    curve = next((case.curves.curves[name] for name in names if name in case.curves.curves), None)
    known = trend.finite(curve) if curve is not None else None
    return known if known is not None and known.values.size else None


def _spike(norms: Curve, highest: Curve, median: float) -> int:
    """Rows far above everything else; the first twentieth, where nets settle, does not count."""
    late = highest.values[highest.values.size // 20 :]
    wild = late > max(SPIKE * median, HUGE if median < HUGE / 100 else np.inf)
    return int(wild.sum()) if median > 0 else 0


def _always_clipped(case: Case, norms: Curve) -> float:
    """Share of clipped steps, where it is nearly all, by far, and nothing was learned; else 0."""
    shares, bound = _known(case, "clipped_share"), case.facts.value("clip_norm")
    late = norms.values[norms.values.size // 5 :]
    if shares is not None:
        share = float(np.mean(shares.values[shares.values.size // 5 :]))
    else:
        share = float((late > bound).mean()) if isinstance(bound, int | float) else 0.0
    far = not isinstance(bound, int | float) or float(np.median(late)) > 20 * bound
    if share < 0.95 or not far:
        return 0.0
    learned = never_learned(case)
    return share if learned is not None and learned.verdict in ("fault", "suspect") else 0.0


GRADIENTS = Check(
    "gradients", "optimisation", "Are the gradient norms those of a net that learns?", ("curves",), 0.1,
    "fault: zero (or a millionth of what it was) in half of the rows; suspect: in a fifth, or 10 000 times the median "
    "and above 100 000, or 95 % clipped by a factor of 20 while nothing is learned. Healthy runs spike to 500 times "
    "their median (bandgru: 286).",
    "The gradient of SI-SNR has no bound at small correlation; docs/cases/tfgridnet-crops.md", gradient_norms,
)  # fmt: skip


def left_out(case: Case) -> Finding | None:
    """Steps that were not taken for a gradient that was not finite, or for want of items."""
    curve = _known(case, "unstepped")
    if curve is None or case.curves.unit != "step":
        return None
    lost, steps = float(curve.values.sum()), case.curves.last
    share = lost / max(steps, 1.0)
    fp16 = case.facts.value("precision") == "fp16"
    measured = [Measured("steps that were left out", lost, f"of {steps:.0f}", "below 1 %, with fp16 below 5 %")]
    says = f"{lost:.0f} of {steps:.0f} steps were left out: their gradient was not finite, or no item was usable"
    if share > (0.2 if fp16 else 0.05):
        causes = ("loss-scale-collapse",) if fp16 else ("not-finite-loss", "silent-items")
        return Finding("left-out-steps", "fault" if share > 0.5 else "suspect", causes, says, measured)
    return Finding("left-out-steps", "healthy", ("not-finite-loss",), says, measured) if share < 0.01 else None


LEFT_OUT = Check(
    "left-out-steps", "optimisation", "Are steps left out?", ("curves",), 0.05,
    "fault: half of the steps; suspect: 5 % (fp16: 20 %). Healthy runs: none (17 runs).",
    "Definition: steps without an update, counted", left_out,
)  # fmt: skip
