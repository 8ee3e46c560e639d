"""Restored files at the place of their references: in time, sign, level, length and rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.checks.evaluation import FEWEST, MOST, SHARE, exhibit
from auscult.diagnose.finding import Finding, Measured
from auscult.diagnose.measure.agreement import Agreement, Heard, agreement, level_off_db, listen
from auscult.evaluate.statistics import interval

SURE = 1e-6
"""Chance below which a relation is none."""
LATE_S = 0.5e-3
LEVEL_DB, SUSPECT_DB = 3.0, 1.5
SHRUNK_DB, SHRUNK_SUSPECT_DB = 9.0, 7.0
ALIKE_DB = 1.0
"""Between quartiles of the items. Weak nets make everything quieter (300 steps of a compressed loss: by 7 dB), mostly
each item by another factor; a wrong scale is the same everywhere."""
LENGTH_S = 0.1
RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


def check_place(case: Case) -> Sequence[Finding]:
    """Do outputs lie where their references lie, in time, sign, level, length and rate?"""
    heard = [one for one in listen(case.outputs)[0] if one.clean is not None]
    if len(heard) < FEWEST:
        return []
    if (rates := _rates(heard)) is not None:
        return [rates]
    found = [agreement(one) for one in heard]
    sure = [a for a in found if a.to_clean is not None and a.to_clean.p < SURE and abs(a.to_clean.peak) > 0.3]
    answers: list[Finding] = [_lengths(heard)]
    if len(sure) >= FEWEST:
        answers += [_lag(heard, sure), _polarity(sure), _level(heard, sure)]
    return answers


def _rates(heard: Sequence[Heard]) -> Finding | None:
    """Files whose content runs at another rate than their header says."""
    ratios = np.array([one.samples / one.rate_hz / (one.clean_samples / one.clean_hz) for one in heard])
    factor = float(np.median(ratios))
    known = {a / b for a in RATES for b in RATES if a != b}
    near = min(known, key=lambda one: abs(one / factor - 1))
    if abs(near / factor - 1) < 2e-3 and np.mean(np.abs(ratios / factor - 1) < 5e-3) > MOST:
        says = (
            f"outputs last {factor:.3f} times as long as their references: they are written or read at a rate that is "
            f"not theirs ({heard[0].rate_hz} Hz in the header)"
        )
        measured = [Measured("duration of outputs over that of references", factor, "", "1")]
        return Finding("output-rate", "fault", ("rate-mismatch-evaluation",), says, measured, certain=True)
    other = [one for one in heard if one.rate_hz != one.clean_hz]
    if len(other) > MOST * len(heard):
        says = (
            f"outputs are at {other[0].rate_hz} Hz, references at {other[0].clean_hz} Hz: scores depend on a resampling"
        )
        return Finding("output-rate", "suspect", ("rate-mismatch-evaluation", "resampler"), says)
    return None


def _lengths(heard: Sequence[Heard]) -> Finding:
    off = np.array([one.samples - one.expected for one in heard])
    seconds = np.abs(off) / heard[0].rate_hz
    limit = 1 if heard[0].rate_hz == heard[0].clean_hz else 2
    bad = np.abs(off) >= limit
    says = (
        f"{bad.sum()} of {len(heard)} outputs differ in length from their reference, by {np.median(off):+.0f} samples"
    )
    measured = [Measured("output - reference, median", float(np.median(off)), "samples", "0")]
    order = np.argsort(-np.abs(off))[:5]
    exhibits = [exhibit(heard[i].item, f"{off[i]:+d} samples") for i in order if bad[i]]
    if np.mean(seconds > LENGTH_S) > SHARE:
        return Finding("output-length", "fault", ("output-length",), says, measured, exhibits=exhibits)
    if bad.any():
        return Finding("output-length", "suspect", ("output-length",), says, measured, exhibits=exhibits)
    says = f"all {len(heard)} outputs have the length and rate of their references"
    return Finding("output-length", "healthy", ("output-length", "rate-mismatch-evaluation"), says, measured)


def _lag(heard: Sequence[Heard], sure: Sequence[Agreement]) -> Finding:
    """Beside the lag that the input has already."""
    lags = np.array([_lag_of(a) for a in sure])
    common, hz = int(np.median(lags)), heard[0].rate_hz
    share = float(np.mean(np.abs(lags - common) <= 1))
    measured = [
        Measured("lag of outputs, median", common, "samples", "0"),
        Measured("items of that lag", 100 * share, "%", ""),
    ]
    late_ms = 1000 * common / hz
    says = f"{share:.0%} of {len(sure)} outputs lag {common} samples ({late_ms:.2f} ms) behind their references"
    if share > MOST and abs(common) >= max(2, LATE_S * hz):
        return Finding("output-lag", "fault", ("output-lag",), says, measured)
    if share > MOST and abs(common) >= 2:
        return Finding("output-lag", "suspect", ("output-lag",), says, measured)
    if np.mean(np.abs(lags) > max(2, LATE_S * hz)) > 0.5:
        spread = np.percentile(lags, [10, 90])
        says = f"outputs lag by {spread[0]:.0f} to {spread[1]:.0f} samples, differently from item to item"
        return Finding("output-lag", "fault", ("output-lag",), says, measured)
    return Finding(
        "output-lag",
        "healthy",
        ("output-lag",),
        f"{np.mean(lags == 0):.0%} of {len(sure)} outputs have no lag",
        measured,
    )


def _lag_of(of: Agreement) -> int:
    before = of.input_to_clean
    own = before.lag_samples if before is not None and before.p < SURE else 0
    return (of.to_clean.lag_samples if of.to_clean else 0) - own


def _polarity(sure: Sequence[Agreement]) -> Finding:
    def sign(of: Agreement) -> int:
        before = of.input_to_clean
        own = before.polarity if before is not None and before.p < SURE else 1
        return (1 if of.to_clean is not None and of.to_clean.peak > 0 else -1) * own

    share = float(np.mean([sign(a) < 0 for a in sure]))
    measured = [Measured("outputs turned over", 100 * share, "%", "0")]
    says = f"{share:.0%} of {len(sure)} outputs have their sign turned over; SI-SDR and PESQ do not show it"
    if share > MOST:
        return Finding("output-polarity", "fault", ("output-polarity",), says, measured)
    if share > SHARE:
        return Finding("output-polarity", "suspect", ("output-polarity",), says, measured)
    return Finding(
        "output-polarity", "healthy", ("output-polarity",), f"{1 - share:.0%} of the outputs have their sign", measured
    )


def _level(heard: Sequence[Heard], sure: Sequence[Agreement]) -> Finding:
    off = np.array([_level_of(a) for a in sure])
    low, high = interval(off) if np.ptp(off) else (off[0], off[0])
    wild = float(np.mean(np.abs(off) > LEVEL_DB))
    measured = [
        Measured("level of outputs against references", float(np.median(off)), "dB", "within 1.5", low, high),
        Measured("outputs off by more than 3 dB", 100 * wild, "%", "0"),
    ]
    order = np.argsort(-np.abs(off))[:5]
    items = {one.item.name: one.item for one in heard}
    exhibits = [exhibit(items[sure[i].name], f"{off[i]:+.1f} dB") for i in order if abs(off[i]) > SUSPECT_DB]
    says = f"outputs are {np.median(off):+.1f} dB off their references' level in the median of {len(sure)} items"
    shown = min(abs(low), abs(high)) if low * high > 0 else 0.0
    quieter = float(np.median(off)) < 0
    shrunk = quieter and float(np.subtract(*np.percentile(off, [75, 25]))) > ALIKE_DB
    fault, suspect = SHRUNK_DB if quieter else LEVEL_DB, SHRUNK_SUSPECT_DB if shrunk else SUSPECT_DB
    if shown > fault:
        says += "; SI-SDR and PESQ do not show it"
        return Finding("output-level", "fault", ("output-level",), says, measured, exhibits=exhibits)
    if shown > suspect or (wild > SHARE and not shrunk):
        return Finding("output-level", "suspect", ("output-level",), says, measured, exhibits=exhibits)
    return Finding("output-level", "healthy", ("output-level",), says, measured)


def _level_of(of: Agreement) -> float:
    """Beside the level that the input has already."""
    before = of.input_to_clean
    own = before.gain if before is not None and before.p < SURE and not 0.8 < abs(before.gain) < 1.25 else 1.0
    gain = max(abs(own), 1e-6)
    return level_off_db(of.up * gain, of.down / gain)


PLACE = Check(
    "output-place",
    "evaluation",
    "Do outputs have the place, sign, level, length and rate of their references?",
    ("outputs",),
    6.0,
    "fault: four of five have the same lag of 0.5 ms or more, or their sign turned over; the 95 % interval of the "
    f"level lies beyond {LEVEL_DB:g} dB ({SHRUNK_DB:g} where outputs are quieter); a fifth "
    f"differs in length by {LENGTH_S:g} s; durations differ by a ratio of "
    f"rates. suspect: a lag of 2 samples, {SUSPECT_DB:g} dB, one sample of length, another rate than the references. A "
    "level is off only beyond every gain between Wiener's and the true one, so that shrinkage of weak nets is none",
    "GCC-PHAT (Knapp and Carter 1976); an estimate x of s has <x, s> at most <x, x> and <s, s>",
    check_place,
)
