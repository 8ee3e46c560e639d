"""Scores that cannot be what their columns say, that do not repeat, or that miss a known number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy import ndarray

from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.evidence import Scores
from auscult.diagnose.finding import Finding, Measured, Verdict
from auscult.evaluate.anchors import Checked, known, recognised
from auscult.evaluate.rows import Item
from auscult.evaluate.statistics import interval

RANGES = {"pesq": (1.0, 4.65), "pesq_nb": (1.0, 4.56), "stoi": (-1.0, 1.0), "estoi": (-1.0, 1.0)}
"""MOS-LQO of P.862.2 and P.862.1 end there; raw P.862 scores go from -0.5 to 4.5."""
ORDERED = (("estoi", "stoi"), ("pesq", "pesq_nb"))
"""On speech in noise the first is below the second."""
FAILED = (0.0, -1.0)
"""Values that stand for a metric that failed."""
WIDELY = 3.0
"""Tolerances by which an anchor is missed for certain."""


def check_ranges(case: Case) -> Sequence[Finding]:
    """Are values possible, and consistent with each other?"""
    scores = case.scores
    found = [*_impossible(scores), *_exchanged(scores), *_not_differences(scores)]
    if found or not any(metric in RANGES for metric, _ in scores.values):
        return found
    says = "all values lie in the ranges of their metrics, and ESTOI below STOI, wide-band below narrow-band PESQ"
    return [Finding("score-ranges", "healthy", ("metric-mixup",), says)]


def _impossible(scores: Scores) -> Iterator[Finding]:
    for (metric, side), values in scores.values.items():
        if metric not in RANGES or side == "improvement":
            continue
        finite = values[np.isfinite(values)]
        failed, real = finite[np.isin(finite, FAILED)], finite[~np.isin(finite, FAILED)]
        low, high = RANGES[metric]
        if metric.endswith("stoi") and real.size and 10 < np.median(real) <= 100:
            real = real / 100  # per cent
        outside = real[(real < low) | (real > high)]
        if outside.size:
            yield _outside(f"{metric} of {side}", outside, real.size, low, high)
        elif metric.startswith("pesq") and failed.size:
            yield _failures(f"{metric} of {side}", failed, finite)


def _outside(what: str, outside: ndarray, count: int, low: float, high: float) -> Finding:
    value = float(outside[np.argmax(np.abs(outside - (low + high) / 2))])
    raw = "; raw P.862 scores go from -0.5 to 4.5" if what.startswith("pesq") and value < low else ""
    says = f"{outside.size} of {count} values of {what} lie outside {low:g} to {high:g}, such as {value:.3g}{raw}"
    measured = [Measured(what, value, "", f"{low:g} to {high:g}")]
    return Finding("score-ranges", "fault", ("metric-mixup",), says, measured, certain=True)


def _failures(what: str, failed: ndarray, values: ndarray) -> Finding:
    with_them, without = float(values.mean()), float(values[~np.isin(values, FAILED)].mean())
    says = (
        f"{failed.size} of {values.size} values of {what} are exactly {failed[0]:g}, a metric that failed: they turn "
        f"the mean of {without:.3f} into {with_them:.3f}"
    )
    measured = [Measured("values that stand for a failure", failed.size, "items", "left out of means")]
    return Finding("score-ranges", "fault", ("metric-mixup", "labels-failed"), says, measured, certain=True)


def _exchanged(scores: Scores) -> Iterator[Finding]:
    for below, above in ORDERED:
        for side in ("noisy", "enhanced"):
            if (below, side) not in scores.values or (above, side) not in scores.values:
                continue
            difference = scores.values[below, side] - scores.values[above, side]
            difference = difference[np.isfinite(difference)]
            if difference.size < 8 or interval(difference)[0] <= 0:
                continue
            low, high = interval(difference)
            says = f"{below} of {side} lies above {above} by {difference.mean():.3f}: the columns are exchanged"
            measured = [Measured(f"{below} - {above}", float(difference.mean()), "", "below 0", low, high)]
            yield Finding("score-ranges", "fault", ("metric-mixup",), says, measured)


def _not_differences(scores: Scores) -> Iterator[Finding]:
    """Improvements that are not enhanced minus noisy."""
    for metric in dict.fromkeys(metric for metric, _ in scores.values):
        sides = [scores.values.get((metric, side)) for side in ("noisy", "enhanced", "improvement")]
        if any(side is None for side in sides):
            continue
        noisy, enhanced, said = (np.asarray(side) for side in sides)
        kept = np.isfinite(noisy) & np.isfinite(enhanced) & np.isfinite(said)
        true = (enhanced - noisy)[kept]
        off = float(np.median(np.abs(said[kept] - true))) if kept.any() else 0.0
        if off <= 0.02 * max(float(np.std(true)), 0.5):
            continue
        turned = float(np.median(np.abs(said[kept] + true))) < 0.1 * off
        what = "noisy minus enhanced" if turned else "not enhanced minus noisy"
        says = (
            f"the improvement of {metric} is {what}: it differs from the columns beside it by {off:.2f} in the median"
        )
        measured = [Measured("improvement - (enhanced - noisy), median", off, "", "0")]
        yield Finding("score-ranges", "fault" if turned else "suspect", ("metric-mixup",), says, measured)


def check_repeats(case: Case) -> Finding | None:
    """Does the same material score the same again?"""
    scores = case.scores
    found = [(*one, _within(table), table) for one, table in scores.seeds.items()]
    if not found:
        return None
    noisy = [one for one in found if one[1] == "noisy" and one[2] > 1e-6 * max(1.0, float(np.nanstd(one[3])))]
    metric, side, spread, table = max(noisy or found, key=lambda one: one[2] / max(float(np.nanstd(one[3])), 1e-12))
    error = spread / np.sqrt(table.shape[1])
    means = np.nanmean(table, 1)
    between = float(means.max() - means.min())
    measured = [
        Measured(f"deviation of {metric} within an item", spread, "", "0 for whole files scored alike"),
        Measured("standard error of the mean that it makes", float(error), "", ""),
        Measured("largest difference of means", between, "", f"not to be read below {2 * error:.3g}"),
    ]
    says = f"{len(table)} scorings of {side} differ by {spread:.3g} of {metric} within an item"
    if noisy:
        return Finding(
            "score-repeats",
            "fault",
            ("scores-not-repeatable",),
            f"{says}: the noisy files themselves score otherwise",
            measured,
        )
    if spread < 1e-9:
        return Finding("score-repeats", "healthy", ("scores-not-repeatable", "unseeded"), f"{says}", measured)
    if len(table) > 1 and "repeat" in scores.mapping.values():
        causes = ("scores-not-repeatable", "unseeded")
        return Finding(
            "score-repeats", "suspect", causes, f"{says}; means closer than {2 * error:.2g} say nothing", measured
        )
    return None


def _within(table: ndarray) -> float:
    """Deviation between the scorings of an item, pooled."""
    variance = np.nanvar(table, axis=0, ddof=1)
    return float(np.sqrt(np.nanmean(variance)))


def check_anchor(case: Case) -> Finding | None:
    """Do the noisy files score what they are known to score?"""
    scores = case.scores
    name = recognised([Item("", item) for item in scores.items])
    if name is None:
        return None
    anchor = known().anchors[name]
    checked = [
        Checked(name, metric, value, float(np.nanmean(scores.values[metric, "noisy"])), tolerance, anchor.quoted)
        for metric, (value, tolerance) in anchor.scores.items()
        if (metric, "noisy") in scores.values
    ]
    return _anchored(name, checked, anchor.quoted) if checked else None


def _anchored(name: str, checked: Sequence[Checked], quoted: bool) -> Finding:
    measured = [Measured(one.metric, one.measured, "", f"{one.known:g} ± {one.tolerance:g}") for one in checked]
    wrong = [one for one in checked if not one.agrees]
    if not wrong:
        says = f"the noisy files score as {name} is known to: {', '.join(map(str, checked))}"
        causes = ("anchor-off", "rate-mismatch-evaluation", "metric-mixup", "resampler")
        return Finding("anchor", "healthy", causes, says, measured)
    far = [one for one in wrong if abs(one.measured - one.known) > WIDELY * one.tolerance]
    verdict: Verdict = "fault" if far and not quoted else "suspect"
    causes = ("anchor-off", "metric-mixup", "rate-mismatch-evaluation", "resampler")
    says = f"the noisy files do not score what {name} is known to: {', '.join(map(str, wrong))}"
    return Finding("anchor", verdict, causes, says, measured)


RANGE = Check(
    "score-ranges",
    "evaluation",
    "Can the values be what their columns say?",
    ("scores",),
    0.1,
    "fault: values outside the range of a metric (PESQ 1-4.65, STOI -1 to 1 or per cent), failures counted as 0 or -1, "
    "ESTOI above STOI or wide-band above narrow-band PESQ (interval of at least 8 items), an improvement with its sign "
    "turned; suspect: an improvement that is no difference",
    "ITU-T P.862, P.862.1, P.862.2; Jensen and Taal 2016",
    check_ranges,
)
REPEATS = Check(
    "score-repeats",
    "evaluation",
    "Does the same material score the same again?",
    ("scores",),
    0.1,
    "fault: the noisy input differs between scorings; suspect: a table's repetitions of one system differ",
    "PESQ of 2 s crops of a clip deviates by 0.17-0.20; docs/cases/cmgan-level.md",
    check_repeats,
)
ANCHOR = Check(
    "anchor",
    "evaluation",
    "Do the noisy files score what they are known to score?",
    ("scores",),
    0.2,
    f"fault: a mean differs from a measured anchor by more than {WIDELY:g} tolerances; suspect: by more than one, or "
    "the anchor is quoted from papers",
    "Published scores of test sets, each with its source in auscult/evaluate/known.yaml",
    check_anchor,
)
