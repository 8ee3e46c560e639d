"""Checks on learning: did anything happen, where was the best, did the learning rate let it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from auscult.diagnose.check import Check
from auscult.diagnose.checks import curve_reading as reading
from auscult.diagnose.checks.curve_reading import UNRELATED_DB, Reading
from auscult.diagnose.evidence import Curve
from auscult.diagnose.finding import Finding, Measured, Verdict
from auscult.diagnose.measure import trend
from auscult.diagnose.measure.trend import Change

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

FEWEST = 12
FLAT = 0.05
LONG = 30
DEAD = 0.01
"""A learning rate below this share of its peak teaches nothing."""


def _state(change: Change, flat: float) -> str:
    """``better``, ``flat``, ``worse`` or ``open`` of a curve whose more is better; ``flat``: relative, both bounds."""
    size = max(abs(change.before.mean), abs(change.after.mean), 1e-30)
    z, share = abs(change.z), trend.relative(change)
    if (z >= 8 and share >= 0.02) or (z >= 3 and share >= 0.1):
        return "better" if change.difference > 0 else "worse"
    bounded = max(abs(bound) for bound in change.interval) <= flat * size
    return "flat" if bounded and abs(change.z) < 4 else "open"


def _of_valid(metric: Reading | None) -> tuple[str, Change | None]:
    """What validations say: a level within noise of the first ones is flat."""
    if metric is None or metric.curve.values.size < 6:
        return "open", None
    change = trend.change(metric.oriented, 0.2)
    if abs(change.z) < 2.5:
        return "flat", change
    return ("better" if change.difference > 0 else "worse"), change


def never_learned(case: Case) -> Finding | None:
    """Training loss and validations that stay where they began."""
    loss, metric = reading.training(case), reading.judged(case)
    logged = loss is not None and loss.curve.values.size >= FEWEST and reading.begins(case, loss.curve)
    fall = trend.change(loss.oriented) if loss is not None and logged else None
    train = _state(fall, FLAT) if fall is not None else "open"
    valid, rise = _of_valid(metric)
    one, change = (loss, fall) if fall is not None else (metric, rise)
    if one is None or change is None:
        return None
    if train == "better" or (fall is None and valid == "better"):
        return _did_learn(one, change)
    if train in ("flat", "open") and valid in ("flat", "open") and "flat" in (train, valid):
        return _flat(case, one, change, metric, train, valid)
    return None


def _did_learn(one: Reading, change: Change) -> Finding:
    sign = 1 if one.higher else -1
    before, after = sign * change.before.mean, sign * change.after.mean
    says = (
        f"{one.name} went from {before:.4g} to {after:.4g}, {abs(change.z):.0f} standard errors: something was learned"
    )
    return Finding("learned", "healthy", ("never-learned", "model-disconnected"), says, _numbers(one, change))


def _flat(case: Case, one: Reading, change: Change, metric: Reading | None, train: str, valid: str) -> Finding | None:
    level = reading.si_sdr_level(case)
    unrelated = level is not None and level < UNRELATED_DB
    long_flat = valid == "flat" and metric is not None and metric.curve.values.size >= LONG and train != "better"
    dead = _share_below(case.curves.curves.get("lr")) > 0.3
    if unrelated or (long_flat and dead and not reading.warm_started(case)):
        verdict: Verdict = "fault"
    elif train == "flat" and not reading.warm_started(case):
        verdict = "suspect"
    else:
        return _open(one, change)
    sign = 1 if one.higher else -1
    says = (
        f"{one.name} begins at {sign * change.before.mean:.4g} and ends at {sign * change.after.mean:.4g}: a change of "
        f"{change.difference * sign:+.2g}, {abs(change.z):.1f} standard errors"
    )
    if unrelated:
        says += f"; an SI-SDR of {level:.1f} dB is that of signals which have nothing in common"
    measured = [*_numbers(one, change), *(_chance(metric) if metric is not None else ())]
    causes = ("never-learned", *(("input-not-related",) if unrelated else ()), "model-disconnected", "rate-too-low")
    return Finding("learned", verdict, causes, says, measured)


def _open(one: Reading, change: Change) -> Finding:
    says = f"{one.name} stays near {abs(change.before.mean):.4g}, but this can be a run that began where it could end"
    return Finding("learned", "cannot tell", ("never-learned",), says, _numbers(one, change))


def _numbers(one: Reading, change: Change) -> list[Measured]:
    low, high = change.interval
    sign = "" if one.higher else ", counted so that more is better"
    return [
        Measured(f"change of {one.name}{sign}", change.difference, "", "clear of zero", low, high),
        Measured("in standard errors", change.z, "", "above 3"),
    ]


def _chance(metric: Reading) -> list[Measured]:
    """Best of n beside what the best of n draws of noise is (extreme values)."""
    if metric.curve.values.size < 6:
        return []
    best, expected, probability = trend.best_by_chance(metric.curve.values, metric.higher)
    return [
        Measured(f"best {metric.name}", best, "", f"of {metric.curve.values.size} draws of noise: {expected:.2f}"),
        Measured("probability that noise alone reaches it", probability, "", "below 0.01"),
    ]


LEARNED = Check(
    "learned", "optimisation", "Did the run learn anything?", ("curves",), 0.2,
    "fault: flat (change within 5 % and 4 standard errors) at an SI-SDR below -20 dB, or over 30 validations with a "
    "learning rate that died; suspect: flat from the first row in a run that began from nothing. Healthy runs fall by "
    "31 to 97 % (4 to 12 standard errors, 17 runs).",
    "Law of SI-SNR of unrelated signals, extreme values of n draws; docs/cases/tfgridnet-crops.md", never_learned,
)  # fmt: skip


def early_best(case: Case) -> Finding | None:
    """The best validation came early, and the later ones are worse by more than noise."""
    metric = reading.judged(case)
    if metric is None or metric.curve.values.size < 10:
        return None
    curve = metric.oriented
    best, count = int(curve.values.argmax()), curve.values.size
    window = curve.values[max(0, best - 1) : best + 2]
    late = trend.level(trend.tail(curve, 1 / 3))
    noise = trend.scatter(curve.values)
    fall = float(window.mean()) - late.mean
    error = math.hypot(noise / math.sqrt(window.size), late.error)
    place = f"validation {best + 1} of {count}"
    measured = [Measured("place of the best validation", (best + 1) / count, "of all", "late"),
                Measured("fall from there to the last third", fall, "", "within noise", fall - 1.96 * error,
                         fall + 1.96 * error)]  # fmt: skip
    if best / count < 0.2 and fall > 5 * error:
        worse = f"{fall:.3g} ({fall / error:.0f} standard errors)"
        says = f"{metric.name} was best at {place}, and the last third is worse by {worse}"
        return Finding("best-epoch", "suspect", ("early-best", "overfitting", "loss-metric-divergence"), says, measured)
    if best / count >= 0.5:
        says = f"{metric.name} was best at {place}"
        return Finding("best-epoch", "healthy", ("early-best",), says, measured)
    return None


BEST_EPOCH = Check(
    "best-epoch", "optimisation", "Did the best validation come early?", ("curves",), 0.1,
    "suspect: in the first fifth of at least 10 validations, and the last third is worse by 5 standard errors",
    "Without learning the best place is anywhere; docs/cases/tfgridnet-crops.md", early_best,
)  # fmt: skip


def _share_below(lr: Curve | None) -> float:
    """Share of the run that is spent below a hundredth of the peak, after the peak."""
    known = trend.finite(lr) if lr is not None else None
    if known is None or known.values.size < 3 or known.values.max() <= 0:
        return 0.0
    peak = int(known.values.argmax())
    spans = np.diff(known.at, append=known.at[-1])
    low = known.values < DEAD * known.values[peak]
    low[:peak] = False
    total = known.at[-1] - known.at[0]
    return float(spans[low].sum() / total) if total > 0 else 0.0


def rate_decay(case: Case) -> Finding | None:
    """A learning rate that died while most steps were to come; and whether a plateau scheduler killed it."""
    lr = case.curves.curves.get("lr")
    if lr is None or trend.finite(lr).values.size < 6:
        return None
    known, share = trend.finite(lr), _share_below(lr)
    peak, last = float(known.values.max()), float(known.values[-1])
    measured = [Measured("share of the run below 1 % of the highest learning rate", share, "", "below 0.1"),
                Measured("learning rate at the end over the highest", last / peak if peak else 0.0)]  # fmt: skip
    if share < 0.15:
        says = f"the learning rate is below 1 % of its peak for {100 * share:.0f} % of the run"
        return Finding("rate-decay", "healthy", ("rate-decayed-out",), says, measured)
    if share < 0.35:
        return None
    cuts = math.log2(peak / last) if last > 0 else math.inf
    says = (
        f"the learning rate fell {peak / max(last, 1e-300):.0f}-fold ({cuts:.1f} halvings) and is below 1 % of its "
        f"peak for {100 * share:.0f} % of the run"
    )
    if symptom := _plateau_fired(case, known):
        says += f"; {symptom}"
    return Finding("rate-decay", "fault" if share >= 0.45 else "suspect", ("rate-decayed-out",), says, measured)


def _plateau_fired(case: Case, lr: Curve) -> str:
    """Cuts at even distances after the best validation are a plateau scheduler at every chance it had."""
    metric = reading.judged(case)
    drops = lr.at[1:][np.diff(lr.values) < -0.05 * lr.values[:-1]]
    if metric is None or drops.size < 3:
        return ""
    gaps, best = np.diff(drops), float(metric.oriented.at[metric.oriented.values.argmax()])
    if np.ptp(gaps) > 0.25 * gaps.mean() or drops[0] < best:
        return ""
    return (
        f"{drops.size} cuts, one every {gaps.mean():.4g} {case.curves.unit}s since the best at {best:.4g}: a plateau "
        "scheduler at every chance it had, so the decay is a symptom"
    )


RATE_DECAY = Check(
    "rate-decay", "optimisation", "Did the learning rate die early?", ("curves",), 0.1,
    "fault: below 1 % of its peak for 45 % of the run; suspect: for 35 %. A cosine to zero spends 6 % there.",
    "Definition: the schedule against the steps; docs/cases/tfgridnet-crops.md", rate_decay,
)  # fmt: skip
