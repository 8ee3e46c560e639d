"""What outputs show and neither input nor reference has: seams of chunks, a splice of bands, a lost band."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy import ndarray

from auscult.audio.band import band_edge
from auscult.audio.clip import probe, read
from auscult.audio.resample import resample
from auscult.audio.splice import SpliceLine, splice_line
from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.checks.evaluation import exhibit
from auscult.diagnose.evidence import OutputItem
from auscult.diagnose.finding import Exhibit, Finding, Measured, Verdict
from auscult.diagnose.measure.agreement import Heard, listen
from auscult.diagnose.measure.seams import Seams, seams
from auscult.errors import AudioError

FILES, LONGEST_S = 16, 60.0
"""Files that seams are sought in, and how much of each."""
SEAM_Z, SUSPECT_Z = 6.5, 5.0
LINES, NEAR_HZ = 12, 200.0
LOST, MOST = 0.7, 0.8


def check_seams(case: Case) -> Finding | None:
    """Are there steps or clicks at one period in all outputs?"""
    pairs = list(_long(case.outputs.items, case))
    if len(pairs) < 2:
        return None
    rates = [rate for _, _, _, rate in pairs]
    usual = max(set(rates), key=rates.count)
    same = [pair for pair in pairs if pair[3] == usual]
    found = seams([(enhanced, beside) for _, enhanced, beside, _ in same], usual)
    exhibits = [exhibit(item, f"at {found.period_s:.2f} s and its multiples") for item, *_ in same[:3]]
    return _seamed(found, len(same), exhibits)


def _long(items: Sequence[OutputItem], case: Case) -> Iterator[tuple[OutputItem, ndarray, ndarray, int]]:
    """Outputs with their inputs (else references), longer stretches than other checks hear."""
    known = [(one, path) for one in items if (path := one.noisy or one.clean) is not None]
    for item, other in [known[i] for i in _spread(len(known))]:
        if case.clock.left <= 0:
            return
        try:
            enhanced, hz = _beginning(item.enhanced)
            beside, own_hz = _beginning(other)
        except AudioError:
            continue
        yield item, np.nan_to_num(enhanced), resample(beside[None], own_hz, hz)[0], hz


def _spread(count: int) -> list[int]:
    return sorted({int(i) for i in np.linspace(0, count - 1, FILES)}) if count else []


def _beginning(path: Path) -> tuple[ndarray, int]:
    info = probe(path)
    clip = read(path, 0, min(info.samples, round(LONGEST_S * info.rate_hz)))
    return clip.wave[0], clip.rate_hz


def _seamed(found: Seams, files: int, exhibits: Sequence[Exhibit]) -> Finding:
    measured = [
        Measured("period", found.period_s, "s", ""),
        Measured("roughness at its multiples, standard deviations above chance", found.z, "", f"below {SUSPECT_Z}"),
        Measured("mean rank of these places in their files", found.rank, "", "0.5"),
    ]
    if found.z <= SUSPECT_Z:
        says = f"no period of 0.2 s or more has steps or clicks in {files} outputs"
        return Finding("chunk-seams", "healthy", ("chunk-seams",), says, measured)
    says = (
        f"a {found.kind} every {found.period_s:.2f} s in all outputs: {found.places} such places rank at "
        f"{found.rank:.0%} of their files' roughness, {found.z:.1f} standard deviations above chance"
    )
    verdict: Verdict = "fault" if found.z > SEAM_Z else "suspect"
    return Finding("chunk-seams", verdict, ("chunk-seams",), says, measured, exhibits=exhibits)


def check_splice(case: Case) -> Finding | None:
    """Is there a line across the spectrograms of outputs that their inputs have not?"""
    heard = [one for one in listen(case.outputs)[0] if one.enhanced.size >= one.rate_hz][:LINES]
    if len(heard) < 2:
        return None
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


SEAMS = Check(
    "chunk-seams",
    "evaluation",
    "Are there seams where chunks were joined?",
    ("outputs",),
    4.0,
    f"fault: steps or clicks at one period, {SEAM_Z:g} standard deviations of ranks above chance over all files; "
    f"suspect: {SUSPECT_Z:g}. Four models on 24 files of speech: no period at all",
    "Definition: ranks of roughness within files, stacked over files by place",
    check_seams,
)
SPLICE = Check(
    "splice-line",
    "evaluation",
    "Is there a bright line at one frequency?",
    ("outputs",),
    6.0,
    "fault: half of the outputs have a steady upward step at one frequency that input and reference have not; suspect: "
    "one has",
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
