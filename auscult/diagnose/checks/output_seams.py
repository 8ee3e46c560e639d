"""What the waves of outputs show and neither input nor reference has: seams of chunks, a ripple at the frame step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy import ndarray

from auscult.audio.clip import probe, read
from auscult.audio.resample import resample
from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.checks.evaluation import exhibit
from auscult.diagnose.evidence import OutputItem
from auscult.diagnose.finding import Exhibit, Finding, Measured, Verdict
from auscult.diagnose.measure.agreement import listen
from auscult.diagnose.measure.ripple import Ripple, ripple
from auscult.diagnose.measure.seams import Seams, seams
from auscult.errors import AudioError

FILES, LONGEST_S = 48, 60.0
"""Files that seams are sought in, and how much of each."""
SECONDS = 900.0
"""Of all files together."""
SEAM_Z, SUSPECT_Z = 6.5, 5.0
RIPPLE_Z, DEPTH, BESIDE, RIPPLED = 8.0, 0.15, 1 / 3, 4


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
    left_s = SECONDS
    for item, other in [known[i] for i in _spread(len(known))]:
        if case.clock.left <= 0 or left_s <= 0:
            return
        try:
            enhanced, hz = _beginning(item.enhanced)
            beside, own_hz = _beginning(other)
        except AudioError:
            continue
        left_s -= enhanced.size / hz
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


def check_ripple(case: Case) -> Finding | None:
    """Does the level of all outputs rise and fall at one short period, with one phase?"""
    known = [(one, side) for one in listen(case.outputs)[0] if (side := one.noisy if one.clean is None else one.clean)
             is not None]  # fmt: skip
    rates = [one.rate_hz for one, _ in known]
    usual = max(set(rates), key=rates.count, default=0)
    same = [(one, side) for one, side in known if one.rate_hz == usual]
    if len(same) < RIPPLED:
        return None
    found = ripple([(np.nan_to_num(one.enhanced), side) for one, side in same], usual)
    return _rippled(found, len(same), usual)


def _rippled(found: Ripple, files: int, rate_hz: int) -> Finding:
    at = f"every {1000 * found.period_s:.1f} ms ({found.period_s * rate_hz:.0f} samples)"
    measured = [
        Measured("period", 1000 * found.period_s, "ms", ""),
        Measured("depth of the common ripple of power", 100 * found.depth, "%", f"below {100 * DEPTH:g}"),
        Measured("depth in the references", 100 * found.beside, "%", ""),
        Measured("over what other periods have by chance", found.z, "", f"below {RIPPLE_Z}"),
    ]
    if found.z <= RIPPLE_Z or found.depth <= DEPTH or found.beside >= BESIDE * found.depth:
        says = f"the levels of {files} outputs have no short period in common"
        return Finding("frame-ripple", "healthy", ("chunk-seams",), says, measured)
    says = (
        f"{at} the power of all {files} outputs rises and falls by {100 * found.depth:.0f} % with one phase: frames "
        "are put together with windows that do not add up"
    )
    return Finding("frame-ripple", "fault", ("chunk-seams", "transform-mismatch"), says, measured)


SEAMS = Check(
    "chunk-seams",
    "evaluation",
    "Are there seams where chunks were joined?",
    ("outputs",),
    5.0,
    f"fault: steps or clicks at one period, {SEAM_Z:g} standard deviations above the chance of ranks over all files; "
    f"suspect: {SUSPECT_Z:g}",
    "Ranks of roughness within files, combined over files by place (Fisher 1932)",
    check_seams,
)
RIPPLE = Check(
    "frame-ripple",
    "evaluation",
    "Does the level ripple at the frame step?",
    ("outputs",),
    2.0,
    f"fault: over {RIPPLED} files or more the power has a common period of 2 to 40 ms with a depth above "
    f"{100 * DEPTH:g} %, {RIPPLE_Z:g} times what other periods have, and three times that of the references",
    "Windows that add up: Griffin and Lim 1984",
    check_ripple,
)
