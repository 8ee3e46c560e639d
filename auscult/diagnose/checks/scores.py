"""What a table of scores says by itself: does the input belong to its reference, are there enough items?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy import ndarray

from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.evidence import Scores
from auscult.diagnose.finding import Exhibit, Finding, Measured, Verdict
from auscult.diagnose.measure.null_law import Bounded, Fit, correlation, fit
from auscult.evaluate.statistics import interval, items_needed, sign_flip

RATIOS = ("si_sdr", "si_snr")
"""Metrics whose null law is known."""
UNRELATED = ("unrelated-pairs", "independent-crops", "lag", "varying-lag")
UNRELATED_OUTPUTS = ("wrong-file-pairs", "output-lag")
FEWEST, ENOUGH = 10, 30
"""Items without which nothing is said of a distribution; with which a fault may be."""
FAR_DB, NEAR_DB = -18.0, -10.0
SPREAD_DB, NARROW_DB = 5.0, 8.0
REJECTED = 1.63
ALIKE = 0.75
FEW = 20


def check_null_law(case: Case) -> Sequence[Finding]:
    """Are scores those of signals that have nothing in common?"""
    scores = case.scores
    return [found for metric in RATIOS for found in _of_metric(scores, metric)][:2]


def _of_metric(scores: Scores, metric: str) -> Iterator[Finding]:
    known = {side: v for side in ("noisy", "enhanced") if (v := _finite(scores, metric, side)).size >= FEWEST}
    noisy = fit(known["noisy"]) if "noisy" in known else None
    if noisy is not None:
        yield _of_input(noisy, scores, metric)
    enhanced = fit(known["enhanced"]) if "enhanced" in known else None
    if enhanced is not None and (noisy is None or noisy.mean.low > FAR_DB):
        yield _of_outputs(enhanced, metric, noisy)


def _of_input(noisy: Fit, scores: Scores, metric: str) -> Finding:
    says = f"the noisy input's {_name(metric)} averages {noisy.mean.value:.1f} dB over {noisy.items} items"
    measured = _numbers(noisy, metric, "noisy")
    if _null(noisy) and (pairs := _paired(scores, metric)) is not None:
        beside, independent = _beside(*pairs)
        verdict: Verdict = "fault" if independent and noisy.items >= ENOUGH else "suspect"
        law = f"and spreads by {noisy.sd.value:.1f} dB: {noisy.independent:.0%} of the items fit signals that have "
        words = f"{says} {law}nothing in common; {_regression(*pairs)}"
        return Finding("null-scores", verdict, (*UNRELATED, "null-scores"), words, [*measured, *beside])
    if _null(noisy) or noisy.mean.high < FAR_DB - 2:
        words = f"{says}, which no mixture has; unrelated signals spread by 9.65 dB and more, these by"
        low = ("input-not-related", *UNRELATED)
        return Finding("null-scores", "suspect", low, f"{words} {noisy.sd.value:.1f} dB", measured)
    if found := _outsiders(scores, metric):
        return _some(found, noisy, metric, measured)
    if noisy.mean.low > NEAR_DB or noisy.sd.high < NARROW_DB:
        words = f"{says} and spreads by {noisy.sd.value:.1f} dB; unrelated signals lie below -20 dB and spread by 9.65"
        causes = ("unrelated-pairs", "independent-crops", "null-scores", "input-not-related")
        return Finding("null-scores", "healthy", causes, words, measured)
    return Finding(
        "null-scores", "cannot tell", ("input-not-related",), f"{says}: low, yet not without doubt", measured
    )


def _of_outputs(enhanced: Fit, metric: str, noisy: Fit | None) -> Finding:
    """Outputs whose input is a mixture, or unknown."""
    says = f"the outputs' {_name(metric)} averages {enhanced.mean.value:.1f} dB over {enhanced.items} items"
    measured = _numbers(enhanced, metric, "enhanced")
    causes = (*UNRELATED_OUTPUTS, "null-scores") if noisy else (*UNRELATED_OUTPUTS, *UNRELATED, "null-scores")
    if _null(enhanced):
        than = f", where their input has {noisy.mean.value:.1f} dB" if noisy else ""
        fits = enhanced.distance < REJECTED and enhanced.items >= ENOUGH
        words = f"{says}{than}, and spreads by {enhanced.sd.value:.1f} dB, as of signals that have nothing in common"
        return Finding("null-scores", "fault" if fits and noisy else "suspect", causes, words, measured)
    if enhanced.mean.low > NEAR_DB:
        words = f"{says}; outputs compared with other items' references lie below -20 dB"
        return Finding("null-scores", "healthy", ("wrong-file-pairs", "null-scores"), words, measured)
    return Finding("null-scores", "cannot tell", causes, f"{says}: low, yet not without doubt", measured)


def _null(of: Fit) -> bool:
    """Far below mixtures, and as wide as chance is."""
    return of.mean.high < FAR_DB and of.sd.low > SPREAD_DB


def _paired(scores: Scores, metric: str) -> tuple[ndarray, ndarray] | None:
    if (metric, "enhanced") not in scores.values:
        return None
    noisy, enhanced = scores.values[metric, "noisy"], scores.values[metric, "enhanced"]
    both = np.isfinite(noisy) & np.isfinite(enhanced)
    return (noisy[both], enhanced[both]) if both.sum() >= FEWEST else None


def _beside(noisy: ndarray, enhanced: ndarray) -> tuple[list[Measured], bool]:
    """Whether the outputs are of the law too and hardly follow their input."""
    gain, alike, back = enhanced - noisy, correlation(noisy, enhanced), correlation(noisy, enhanced - noisy)
    low, high = interval(gain)
    t = float(gain.mean() / (gain.std(ddof=1) / math.sqrt(gain.size)))
    measured = [
        Measured("improvement", float(gain.mean()), "dB", "several dB, all above zero", low, high),
        Measured("its deviation", float(gain.std(ddof=1)), "dB", "13.64 for unrelated signals, 2-5 else"),
        Measured("t of the improvement", t, "", "far above 2"),
        Measured("correlation of noisy and improvement", back.value, "", "-0.71 if unrelated", back.low, back.high),
        Measured("correlation of noisy and enhanced", alike.value, "", "above 0.75", alike.low, alike.high),
    ]
    return measured, alike.high < ALIKE and _null(fit(enhanced)) and fit(noisy).distance < REJECTED


def _regression(noisy: ndarray, enhanced: ndarray) -> str:
    gain = enhanced - noisy
    low, high = interval(gain)
    back = correlation(noisy, gain).value
    return (
        f"the improvement of {gain.mean():+.1f} dB [{low:.1f}, {high:.1f}] with deviation {gain.std(ddof=1):.1f} and "
        f"correlation {back:.2f} with the input is regression to the mean"
    )


def _outsiders(scores: Scores, metric: str) -> list[tuple[str, float]]:
    """Items far below all others, the worst first; few of them prove nothing."""
    values = scores.values[metric, "noisy"]
    known = np.isfinite(values)
    limit = min(-20.0, float(np.median(values[known])) - 25.0)
    found = sorted((float(v), name) for name, v in zip(scores.items, values, strict=True) if v < limit)
    return [(name, v) for v, name in found] if len(found) >= max(3, 0.02 * known.sum()) else []


def _some(found: list[tuple[str, float]], noisy: Fit, metric: str, measured: list[Measured]) -> Finding:
    says = (
        f"{len(found)} of {noisy.items} noisy items lie more than 25 dB below the median {_name(metric)}, down to "
        f"{found[0][1]:.0f} dB: their pairs hardly belong together"
    )
    exhibits = [Exhibit(name, f"{value:.1f} dB") for name, value in found[:5]]
    return Finding("null-scores", "suspect", ("unrelated-pairs", "varying-lag"), says, measured, exhibits=exhibits)


def _numbers(of: Fit, metric: str, side: str) -> list[Measured]:
    def row(what: str, one: Bounded, unit: str, normal: str) -> Measured:
        return Measured(f"{what} of {side} {_name(metric)}", one.value, unit, normal, one.low, one.high)

    return [
        row("mean", of.mean, "dB", "above -18 for any mixture in use"),
        row("deviation", of.sd, "dB", "2-8; 9.65 and more if unrelated"),
        row("skewness", of.skewness, "", "about 0; to -1.54 if unrelated"),
        Measured("effective samples by the law of unrelated signals", of.effective, "", ""),
        Measured("spread between items beside that law", of.spread_db, "dB", ""),
        Measured("distance from that law", of.distance, "", f"below {REJECTED} it is not rejected"),
        Measured("items that fit independence", 100 * of.independent, "%", "0"),
    ]


def _name(metric: str) -> str:
    return metric.upper().replace("_", "-")


def _finite(scores: Scores, metric: str, side: str) -> ndarray:
    values = scores.values.get((metric, side), np.zeros(0))
    finite: ndarray = values[np.isfinite(values)]
    return finite


def check_power(case: Case) -> Sequence[Finding]:
    """Are there enough items for the differences that the table holds?"""
    return [_powered(*one) for one in _contrasts(case.scores)][:4]


def _contrasts(scores: Scores) -> Iterator[tuple[str, str, ndarray]]:
    """Differences that a reader of the table would claim: systems against the input, else against each other."""
    for metric in dict.fromkeys(metric for metric, _ in scores.values):
        sides = [s for m, s in scores.values if m == metric and s not in ("noisy", "improvement")]
        named = {f"{a} - {b}": scores.values[metric, a] - scores.values[metric, b] for a, b in pairwise(sides)}
        if (metric, "improvement") in scores.values:
            named = {"enhanced - noisy": scores.values[metric, "improvement"]}
        for name, difference in named.items():
            known = difference[np.isfinite(difference)]
            if known.size >= 2 and known.std() > 0:
                yield metric, name, known


def _powered(metric: str, name: str, difference: ndarray) -> Finding:
    low, high = interval(difference)
    mean, count = float(difference.mean()), difference.size
    needed = items_needed(difference, abs(mean) or 1e-9)
    p = sign_flip(difference)
    shown = p < 0.05 and low * high > 0
    measured = [
        Measured(f"{_name(metric)}, {name}", mean, "", "", low, high),
        Measured("items needed for such a difference", min(needed, 10**9), "", f"at most {count}"),
    ]
    says = f"{_name(metric)}, {name}: {mean:+.3g} [{low:.3g}, {high:.3g}] over {count} items"
    if shown:
        return Finding("too-few-items", "healthy", ("too-few-items",), f"{says}, p = {p:.2g}", measured)
    words = f"{says} is not shown; it would take about {min(needed, 10**6):,} items"
    verdict: Verdict = "suspect" if count < FEW and needed > 2 * count else "cannot tell"
    return Finding("too-few-items", verdict, ("too-few-items",), words, measured)


NULL_LAW = Check(
    "null-scores",
    "evaluation",
    "Are the scores those of signals that have nothing in common?",
    ("scores",),
    0.5,
    f"fault: over {ENOUGH} items or more SI-SDR averages below {FAR_DB:g} dB and spreads by more than {SPREAD_DB:g} dB "
    f"(both by the 95 % interval), the law of unrelated signals is not rejected at 1 %, and input and output correlate "
    f"by less than {ALIKE}; suspect: only some of these, or some items far below all others. Mixtures in use lie above "
    "-18 dB; at -15 dB they spread by 2-5 dB",
    "Unrelated signals: SI-SDR = 10 lg(rho^2 / (1 - rho^2)), rho ~ N(0, 1/N); docs/cases/tfgridnet-crops.md",
    check_null_law,
)
POWER = Check(
    "too-few-items",
    "evaluation",
    "Are there enough items for the difference that is claimed?",
    ("scores",),
    0.5,
    f"suspect: fewer than {FEW} items, the interval of the difference holds zero, and 80 % power takes more than twice "
    "as many; with more items such a difference is called open",
    "Sign flips and studentised bootstrap; docs/evaluating.md",
    check_power,
)
