"""What spectra of outputs show and neither input nor reference has: a splice of bands, a lost band."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from auscult.audio.band import band_edge
from auscult.audio.splice import SpliceLine, splice_line
from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.checks.evaluation import exhibit
from auscult.diagnose.finding import Finding, Measured, Verdict
from auscult.diagnose.measure.agreement import Heard, listen
from auscult.diagnose.measure.ridge import ridge

LINES, NEAR_HZ = 12, 200.0
LOST, MOST = 0.7, 0.8
RIDGE_DB, RIDGED = 6.0, 4


def check_splice(case: Case) -> Sequence[Finding]:
    """Is there a step or a line across the spectrograms of outputs that their inputs have not?"""
    heard = [one for one in listen(case.outputs)[0] if one.enhanced.size >= one.rate_hz]
    if len(heard) < 2:
        return []
    steps, line = _steps(heard[:LINES], case), _line(heard)
    return [one for one in (steps, line) if one is not None]


def _steps(heard: Sequence[Heard], case: Case) -> Finding:
    lines = []
    for one in heard:
        if case.clock.left <= 0:
            break
        lines.append((one, splice_line(np.nan_to_num(one.enhanced), one.rate_hz)))
    own = [(one, line) for one, line in lines if line.found and not _shared(one, line)]
    share = len(own) / max(len(lines), 1)
    measured = [Measured("outputs with a line", 100 * share, "%", "0")]
    if not own:
        says = f"none of {len(lines)} outputs has a step at one frequency that its input has not"
        return Finding("splice-line", "healthy", ("splice-line",), says, measured)
    at_hz = float(np.median([line.frequency_hz for _, line in own]))
    step_db = float(np.median([line.step_db for _, line in own]))
    measured += [
        Measured("its frequency, median", at_hz, "Hz", ""),
        Measured("its step, median", step_db, "dB", "none"),
    ]
    says = f"{len(own)} of {len(lines)} outputs step up by {step_db:.0f} dB at one frequency (median: {at_hz:.0f} Hz)"
    shows = [(one.item, f"{line.step_db:.0f} dB at {line.frequency_hz:.0f} Hz") for one, line in own]
    exhibits = [exhibit(item, what) for item, what in shows]
    verdict: Verdict = "fault" if len(own) >= 2 and share >= 0.5 else "suspect"
    return Finding("splice-line", verdict, ("splice-line",), says, measured, exhibits=exhibits[:5])


def _line(heard: Sequence[Heard]) -> Finding | None:
    """A narrow line in all outputs, wherever it comes from."""
    usual = max(rates := [one.rate_hz for one in heard], key=rates.count)
    sides = [
        (np.nan_to_num(one.enhanced), one.noisy, one.clean)
        for one in heard
        if one.rate_hz == usual and one.noisy is not None and one.clean is not None
    ]
    found = ridge(sides, usual)
    if len(sides) < RIDGED:
        return None
    measured = [
        Measured("frequency of the clearest line", found.frequency_hz, "Hz", ""),
        Measured("over its surroundings, beyond input and reference", found.excess_db, "dB", f"below {RIDGE_DB:g}"),
        Measured("over the level of input and reference there", found.above_db, "dB", f"below {RIDGE_DB:g}"),
        Measured("outputs that have it", 100 * found.share, "%", "0"),
    ]
    if min(found.excess_db, found.above_db) < RIDGE_DB or found.share < MOST:
        says = f"no line at one frequency in {len(sides)} outputs that input and reference have not"
        return Finding("steady-line", "healthy", ("splice-line",), says, measured)
    says = (
        f"{found.share:.0%} of {len(sides)} outputs have a line at {found.frequency_hz:.0f} Hz, {found.excess_db:.0f} "
        "dB over its surroundings from beginning to end, which input and reference have not"
    )
    return Finding("steady-line", "fault", ("splice-line", "abnormal-output"), says, measured)


def _shared(one: Heard, line: SpliceLine) -> bool:
    """Whether the input or the reference has the line too, if only a third of it."""
    found = [splice_line(side, one.rate_hz) for side in (one.noisy, one.clean) if side is not None]
    near = [its for its in found if abs(its.frequency_hz - line.frequency_hz) < NEAR_HZ]
    return any(its.found or its.step_db > line.step_db / 3 for its in near)


def check_band(case: Case) -> Finding | None:
    """Do outputs reach as high as their references?"""
    known = [(one.enhanced, one.clean, one.rate_hz) for one in listen(case.outputs)[0] if one.clean is not None]
    long = [(enhanced, clean, hz) for enhanced, clean, hz in known if enhanced.size >= hz][:LINES]
    if len(long) < 3:
        return None
    edges = np.array(
        [[band_edge(np.nan_to_num(side), hz) for side in (enhanced, clean)] for enhanced, clean, hz in long]
    )
    own_hz, wanted_hz = np.median(edges, axis=0)
    lost = float(np.mean(edges[:, 0] < LOST * edges[:, 1]))
    measured = [
        Measured("band edge of outputs, median", float(own_hz), "Hz", f"that of references, {wanted_hz:.0f}"),
        Measured("outputs that end below 0.7 of it", 100 * lost, "%", "0"),
    ]
    says = f"outputs end at {own_hz / 1000:.1f} kHz, their references at {wanted_hz / 1000:.1f} kHz"
    if lost > MOST:
        causes = ("rate-mismatch-evaluation", "abnormal-output")
        return Finding("output-band", "suspect", causes, f"{says}: the upper band is lost", measured)
    return Finding("output-band", "healthy", ("rate-mismatch-evaluation",), says, measured) if lost == 0 else None


SPLICE = Check(
    "splice-line",
    "evaluation",
    "Is there a step or a bright line at one frequency?",
    ("outputs",),
    6.0,
    "fault: half of the outputs have a steady upward step at one frequency that input and reference have not, or four "
    f"of five a line of {RIDGE_DB:g} dB in the median frame; suspect: one has a step",
    "Definition: a steady step at one frequency; docs/cases/saga-line.md",
    check_splice,
)
BAND = Check(
    "output-band",
    "evaluation",
    "Do outputs reach as high as their references?",
    ("outputs",),
    2.0,
    "suspect: four of five outputs end in a cliff below 0.7 of their reference's band edge",
    "Definition: the highest frequency that holds energy",
    check_band,
)
