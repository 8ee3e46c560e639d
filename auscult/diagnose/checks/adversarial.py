"""Runs with a discriminator: did it learn, of what labels, does it know the metric, and does its voice count?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from auscult.diagnose.check import Check
from auscult.diagnose.evidence import Curve, Curves
from auscult.diagnose.finding import Finding, Measured, Verdict
from auscult.hub.runs import HISTORY, read_history

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

SKIPPED, MANY_SKIPPED = 0.02, 0.2
FAILED, MANY_FAILED = 0.05, 0.2
FEWEST_ROWS = 10
EARLY_STEPS = 300
"""Until then a discriminator need not know anything: healthy small runs reach a correlation of 0.7 by step 150."""
UNRELATED, WEAK = 0.3, 0.5
OFF_CLEAN, OPTIMISTIC = 0.1, 0.25
WEAKEST, STRONGEST = 1e-3, 0.97
ALIKE = 1e-6
FEWEST_RATINGS, UNMOVED = 4, 0.02
"""Ratings of clean speech by discriminators that learn move by 0.1 and more on their way to 1."""
LABEL = re.compile(r"utterance|label|finite|metric|pesq|worker|short", re.IGNORECASE)
"""Causes of dropped items that are a label's."""


def check_skipped(case: Case) -> Finding | None:
    """Rows in which the discriminator's loss is exactly zero: nothing was learned in them."""
    curve = case.curves.curves.get("discriminator.loss")
    losses = _finite(curve)
    if losses.size < FEWEST_ROWS:
        return None
    share = float(np.mean(losses == 0.0))
    numbers = [Measured("rows with a discriminator loss of exactly 0", 100 * share, "%", "0")]
    if share <= SKIPPED:
        words = f"the discriminator learned in all but {100 * share:.1f} % of {losses.size} logged rows"
        return Finding("discriminator-steps", "healthy", ("discriminator-skipped",), words, numbers)
    words = (
        f"the discriminator's loss is exactly 0 in {100 * share:.0f} % of {losses.size} logged rows: it was left out"
    )
    verdict: Verdict = "fault" if share > MANY_SKIPPED else "suspect"
    return Finding("discriminator-steps", verdict, ("discriminator-skipped", "labels-failed"), words, numbers)


def check_labels(case: Case) -> Sequence[Finding] | None:
    """Labels that failed, by cause; labels that all items of a batch share."""
    curves: Curves = case.curves
    if "discriminator.loss" not in curves.curves:
        return None
    return [one for one in (_failed(curves), _averaged(case)) if one is not None]


def _failed(curves: Curves) -> Finding | None:
    items = float(_finite(curves.curves.get("items")).sum())
    dropped = {
        name.removeprefix("dropped."): float(_finite(curve).sum())
        for name, curve in curves.curves.items()
        if name.startswith("dropped.") and LABEL.search(name)
    }
    if items == 0:
        return None
    share = sum(dropped.values()) / items
    numbers = [Measured(f"labels failed: {cause}", count, "items") for cause, count in dropped.items()]
    if share <= FAILED:
        words = (
            f"{100 * share:.1f} % of {items:.0f} items had no label of the metric (normal: below {100 * FAILED:g} %)"
        )
        return Finding("labels", "healthy", ("labels-failed",), words, numbers)
    worst = max(dropped, key=lambda cause: dropped[cause])
    words = f"{100 * share:.0f} % of {items:.0f} items had no label of the metric, most often: {worst}"
    return Finding("labels", "fault" if share > MANY_FAILED else "suspect", ("labels-failed",), words, numbers)


def _averaged(case: Case) -> Finding | None:
    """The spread of labels within batches, which our histories note; single items have none."""
    run = case.get("run")
    if run is None or int(case.facts.value("batch", 1)) < 2 or not (run.path / HISTORY).is_file():
        return None
    rows = read_history(run.path / HISTORY)
    notes = [row["turns"].get("discriminator", {}).get("notes", {}) for row in rows if row.get("kind") == "step"]
    spreads = np.array([float(note["label_sd"]) for note in notes if "label_sd" in note])
    if spreads.size < FEWEST_ROWS:
        return None
    share, typical = float(np.mean(spreads < ALIKE)), float(np.median(spreads))
    numbers = [Measured("median spread of labels within a batch", typical, "", "0.05 to 0.15")]
    if share > 0.9:
        words = f"the labels of a batch are all the same in {100 * share:.0f} % of {spreads.size} logged steps"
        return Finding("labels", "fault", ("labels-averaged",), words, numbers)
    words = f"items of a batch have labels of their own: their spread is {typical:.3f} (0 if they shared one)"
    return Finding("labels", "healthy", ("labels-averaged",), words, numbers)


def check_calibration(case: Case) -> Finding | None:
    """Whether the discriminator's ratings follow the metric on held-out items, once it has had time to learn."""
    curves = case.curves.curves
    curve = curves.get("calibration.pearson")
    if curve is None:
        return None
    late = curve.at >= EARLY_STEPS if case.curves.unit == "step" else np.ones(curve.at.shape, bool)
    pearson = curve.values[late & np.isfinite(curve.values)][-3:]
    if pearson.size == 0:
        words = (
            f"the discriminator was not rated after step {EARLY_STEPS}; before, healthy ones need not know the metric"
        )
        return Finding("calibration", "cannot tell", ("discriminator-uncalibrated",), words)
    counts = _finite(curves.get("calibration.candidates"))
    upper = _upper(float(pearson.max()), int(counts[-1]) if counts.size else 4)
    of_clean, slope, optimism = (_last(curves.get(f"calibration.{name}")) for name in ("of_clean", "slope", "optimism"))
    numbers = [
        Measured("correlation of ratings with the metric", float(pearson[-1]), "", "0.7 to 0.9", high=upper),
        Measured("rating of clean speech", of_clean, "", "0.98 to 1.02"),
        Measured("rating less label of restorations", optimism, "", "-0.1 to 0.1"),
    ]
    said = f"the discriminator's ratings correlate by {pearson[-1]:.2f} with the metric"
    if abs(slope) < 0.01 and upper < WEAK:
        words = f"{said} and hardly differ (slope {slope:.3f}): it says the same of everything"
        return Finding("calibration", "fault", ("discriminator-collapsed", "labels-averaged"), words, numbers)
    if pearson.size > 1 and upper < WEAK and float(pearson.max()) < UNRELATED:
        words = f"{said} in the last {pearson.size} validations (normal: 0.7 to 0.9)"
        return Finding("calibration", "fault", ("discriminator-uncalibrated", "labels-averaged"), words, numbers)
    if float(pearson[-1]) < WEAK or abs(of_clean - 1) > OFF_CLEAN or optimism > OPTIMISTIC:
        words = f"{said}, rate clean speech {of_clean:.2f} and restorations {optimism:+.2f} off their labels"
        return Finding("calibration", "suspect", ("discriminator-uncalibrated",), words, numbers)
    words = f"{said}, and it rates clean speech {of_clean:.3f}: it knows the metric"
    causes = ("discriminator-uncalibrated", "discriminator-collapsed", "discriminator-wins")
    return Finding("calibration", "healthy", causes, words, numbers)


def check_idle(case: Case) -> Finding | None:
    """Whether the discriminator changes its mind at all: its rating of the same clean speech over the validations."""
    curves = case.curves.curves
    ratings, losses = _finite(curves.get("calibration.of_clean")), _finite(curves.get("discriminator.loss"))
    if ratings.size < FEWEST_RATINGS or losses.size < FEWEST_ROWS:
        return None
    moved = float(np.ptp(ratings))
    numbers = [
        Measured("range of the rating of the same clean speech", moved, "", f"above {UNMOVED:g} until it is 1"),
        Measured("discriminator's loss at first", float(np.median(losses[:5]))),
        Measured("at the end", float(np.median(losses[-5:]))),
    ]
    words = (
        f"the discriminator rates the same clean speech {ratings[0]:.3f} at first and {ratings[-1]:.3f} after "
        f"{ratings.size} validations (range {moved:.2g})"
    )
    if moved < UNMOVED and abs(float(ratings[-1]) - 1) > OFF_CLEAN:
        causes = ("discriminator-uncalibrated", "frozen-module", "rate-too-low")
        return Finding("discriminator-idle", "fault", causes, f"{words}: it does not learn", numbers)
    if moved > 2 * UNMOVED:
        return Finding("discriminator-idle", "healthy", ("discriminator-collapsed",), f"{words}: it learns", numbers)
    return None


def check_weight(case: Case) -> Finding | None:
    """The adversarial term's share of the gradient at the estimate, over the second half of the run."""
    curves = case.curves.curves
    shares = [
        _finite(curve) for name, curve in curves.items() if name in ("share.adversarial", "share.gan", "share.adv")
    ]
    if not shares or shares[0].size < FEWEST_ROWS:
        return None
    half = shares[0][shares[0].size // 2 :]
    share = float(np.median(half))
    numbers = [Measured("the adversarial term's share of the gradient", 100 * share, "%", "5 to 60")]
    words = f"the adversarial term has {100 * share:.3g} % of the gradient at the estimate"
    if WEAKEST < share < STRONGEST:
        return Finding("gan-weight", "healthy", ("gan-weight",), words, numbers)
    effect = "nothing follows from it" if share <= WEAKEST else "hardly anything else is heeded"
    return Finding("gan-weight", "suspect", ("gan-weight",), f"{words}: {effect}", numbers)


def _finite(curve: Curve | None) -> Float[ndarray, " n"]:
    return np.empty(0) if curve is None else curve.values[np.isfinite(curve.values)]


def _last(curve: Curve | None) -> float:
    values = _finite(curve)
    return float(values[-1]) if values.size else float("nan")


def _upper(correlation: float, candidates: int) -> float:
    """97.5 % bound of a correlation of so many pairs (Fisher's z)."""
    z = np.arctanh(np.clip(correlation, -0.999999, 0.999999)) + 1.96 / np.sqrt(max(candidates - 3, 1))
    return float(np.tanh(z))


SKIPPED_STEPS = Check(
    "discriminator-steps",
    "adversarial",
    "Was the discriminator left out of steps?",
    ("curves",),
    0.1,
    f"fault where over {100 * MANY_SKIPPED:g} % of the logged rows have a discriminator loss of exactly 0, suspect "
    f"over {100 * SKIPPED:g} %. Healthy runs: 0 of 245 rows.",
    "Fu et al. 2019 (MetricGAN); docs/systems/cmgan.md",
    check_skipped,
)
LABELS = Check(
    "labels",
    "adversarial",
    "Has every item a label of its own?",
    ("curves",),
    0.2,
    f"fault where over {100 * MANY_FAILED:g} % of the items have no label (suspect: {100 * FAILED:g} %; healthy: 1 %), "
    "or all labels of a batch are the same in over 90 % of the rows (healthy: their spread is 0.04 to 0.14).",
    "Fu et al. 2019 (MetricGAN); docs/systems/cmgan.md",
    check_labels,
)
CALIBRATION = Check(
    "calibration",
    "adversarial",
    "Does the discriminator know the metric?",
    ("curves",),
    0.1,
    f"fault where the last validations after step {EARLY_STEPS} have correlations below {UNRELATED:g} whose upper "
    f"bound is below {WEAK:g}; suspect below {WEAK:g}, or where clean speech is rated {OFF_CLEAN:g} off 1, or "
    f"restorations {OPTIMISTIC:g} above their labels. Healthy: 0.73 to 0.88, 0.99 to 1.00, below 0.13.",
    "Fu et al. 2019 (MetricGAN); docs/systems/cmgan.md",
    check_calibration,
)
IDLE = Check(
    "discriminator-idle",
    "adversarial",
    "Does the discriminator learn at all?",
    ("curves",),
    0.1,
    f"fault where its rating of the same clean speech, which should become 1, stays within {UNMOVED:g} over at least "
    f"{FEWEST_RATINGS} validations and {OFF_CLEAN:g} off 1. Healthy: moves by 0.35 in 60 steps.",
    "Fu et al. 2019 (MetricGAN); docs/systems/cmgan.md",
    check_idle,
)
GAN_WEIGHT = Check(
    "gan-weight",
    "adversarial",
    "Does the adversarial term count?",
    ("curves",),
    0.1,
    f"suspect where its median share of the gradient is below {100 * WEAKEST:g} % or above {100 * STRONGEST:g} %. "
    "Healthy: 25 to 57 %.",
    "docs/systems/cmgan.md",
    check_weight,
)
