"""Restored files by themselves and beside references: of the same items, sound, and no copies?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.evidence import OutputItem
from auscult.diagnose.finding import Exhibit, Finding, Measured, Verdict
from auscult.diagnose.measure.agreement import (
    Agreement,
    Heard,
    agreement,
    fingerprint,
    likeness,
    listen,
)
from auscult.evaluate.statistics import interval

FEWEST = 3
"""Items without which nothing is said of a set."""
BETTER, LIKE = 0.3, 0.6
MOST = 0.8
SHARE = 0.2


def exhibit(item: OutputItem, shows: str) -> Exhibit:
    """An output with its sides, to be played."""
    return Exhibit(item.name, shows, item.clean, item.noisy, item.enhanced)


def check_pairs(case: Case) -> Finding | None:
    """Is each output most like its own reference?"""
    heard = [one for one in listen(case.outputs)[0] if one.clean is not None]
    if len(heard) < FEWEST:
        return None
    outputs = [fingerprint(np.nan_to_num(one.enhanced), one.rate_hz) for one in heard]
    references = [fingerprint(one.clean, one.rate_hz) for one in heard if one.clean is not None]
    table = np.array([[likeness(a, b) for b in references] for a in outputs])
    own, others = np.diag(table), np.where(np.eye(len(table), dtype=bool), -1.0, table)
    wrong = np.flatnonzero((others.max(1) > own + BETTER) & (others.max(1) > LIKE))
    low, high = interval(own)
    measured = [
        Measured("likeness of outputs and their references", float(own.mean()), "", "0.5-1", low, high),
        Measured("likeness of the most alike other", float(others.max(1).mean()), "", "below the own one's"),
    ]
    says = f"{len(wrong)} of {len(heard)} outputs are more like another item's reference than their own"
    if wrong.size >= max(2, SHARE * len(heard)):
        exhibits = [
            exhibit(heard[i].item, f"{own[i]:.2f} like its own reference, {others[i].max():.2f} like "
                    f"that of {heard[int(others[i].argmax())].item.name}") for i in wrong[:5]
        ]  # fmt: skip
        return Finding("output-pairs", "fault", ("wrong-file-pairs",), says, measured, exhibits=exhibits)
    if wrong.size:
        exhibits = [exhibit(heard[i].item, "more like another reference") for i in wrong]
        return Finding("output-pairs", "suspect", ("wrong-file-pairs",), says, measured, exhibits=exhibits)
    if high < 0.2 and (before := _input_likeness(heard, references)) > 0.5:
        causes = ("wrong-file-pairs", "abnormal-output")
        says = f"outputs are {own.mean():.2f} like their references, where the noisy inputs are {before:.2f}"
        return Finding("output-pairs", "suspect", causes, says, measured)
    if low > 0.3:
        says = f"every output is most like its own reference ({own.mean():.2f} against {others.max(1).mean():.2f})"
        return Finding("output-pairs", "healthy", ("wrong-file-pairs", "null-scores"), says, measured)
    return Finding(
        "output-pairs", "cannot tell", ("wrong-file-pairs",), f"outputs are {own.mean():.2f} like theirs", measured
    )


def _input_likeness(heard: Sequence[Heard], references: Sequence[np.ndarray]) -> float:
    found = [
        likeness(fingerprint(one.noisy, one.rate_hz), reference)
        for one, reference in zip(heard, references, strict=True)
        if one.noisy is not None
    ]
    return float(np.mean(found)) if found else 0.0


def check_sound(case: Case) -> Sequence[Finding]:
    """Are outputs sound at all: not silent, finite, unclipped, and neither a copy of the input nor of the target?"""
    heard, unreadable = listen(case.outputs)
    found = [agreement(one) for one in heard]
    answers = [_empty(heard, found, unreadable), _clipped(heard, found), _copied(heard, found)]
    return [one for one in answers if one is not None]


def _empty(heard: Sequence[Heard], found: Sequence[Agreement], unreadable: Sequence[tuple[str, str]]) -> Finding:
    bad = [(h, "not finite") for h, a in zip(heard, found, strict=True) if a.levels.not_finite]
    bad += [(h, "silent") for h, a in zip(heard, found, strict=True) if _silent(a)]
    count = len(heard) + len(unreadable)
    exhibits = [exhibit(one.item, what) for one, what in bad[:5]]
    exhibits += [Exhibit(name, why) for name, why in unreadable[:3]]
    says = f"{len(bad) + len(unreadable)} of {count} outputs are silent, unreadable or hold NaN"
    if bad or unreadable:
        verdict: Verdict = "fault" if len(bad) + len(unreadable) > max(1, 0.02 * count) or count == 1 else "suspect"
        return Finding("output-sound", verdict, ("output-silent",), says, exhibits=exhibits)
    return Finding("output-sound", "healthy", ("output-silent",), f"all {count} outputs hold sound, and no NaN")


def _silent(of: Agreement) -> bool:
    expected = of.clean_levels or of.noisy_levels
    return of.levels.rms_db < -75.0 and not of.levels.not_finite and (expected is None or expected.rms_db > -50.0)


def _clipped(heard: Sequence[Heard], found: Sequence[Agreement]) -> Finding:
    def worse(of: Agreement) -> bool:
        sides = [one for one in (of.clean_levels, of.noisy_levels) if one is not None]
        beside = max((one.clipped for one in sides), default=0.0)
        return of.levels.clipped > max(2e-5, 3 * beside) and of.levels.longest_run >= 4

    bad = [(h, a) for h, a in zip(heard, found, strict=True) if worse(a)]
    share = len(bad) / max(len(heard), 1)
    says = f"{len(bad)} of {len(heard)} outputs are clipped where neither their reference nor their input is"
    measured = [Measured("clipped outputs", 100 * share, "%", "0")]
    exhibits = [exhibit(h.item, f"{a.levels.longest_run} samples at {a.levels.peak:.2f}") for h, a in bad[:5]]
    if len(bad) >= 2 and share >= 0.1:
        return Finding("output-clipped", "fault", ("output-clipped",), says, measured, exhibits=exhibits)
    if bad:
        return Finding("output-clipped", "suspect", ("output-clipped",), says, measured, exhibits=exhibits)
    return Finding(
        "output-clipped", "healthy", ("output-clipped",), f"none of {len(heard)} outputs is clipped", measured
    )


def _copied(heard: Sequence[Heard], found: Sequence[Agreement]) -> Finding | None:
    """Outputs that are the noisy input, or the clean reference."""
    noisy = [a.to_noisy.aligned_db for a in found if a.to_noisy and not _same(a.input_to_clean)]
    clean = [a.to_clean.aligned_db for a in found if a.to_clean and not _same(a.input_to_clean)]
    for values, what, cause in (
        (noisy, "the noisy inputs", "output-is-input"),
        (clean, "the references", "abnormal-output"),
    ):
        if len(values) >= FEWEST and np.mean(np.array(values) > 40.0) > MOST:
            says = f"{len(values)} outputs are {what}: {min(np.median(values), 99.0):.0f} dB alike in the median"
            measured = [Measured(f"SI-SDR against {what}, median", float(np.median(values)), "dB", "below 30")]
            return Finding("output-copied", "fault", (cause,), says, measured)
    if len(noisy) < FEWEST:
        return None
    says = f"outputs differ from the noisy inputs by {np.median(noisy):.0f} dB in the median"
    return Finding("output-copied", "healthy", ("output-is-input",), says)


def _same(before: object) -> bool:
    """Whether input and reference are one recording anyway."""
    return getattr(before, "si_sdr_db", 0.0) > 35.0


PAIRS = Check(
    "output-pairs",
    "evaluation",
    "Is each output most like its own reference?",
    ("outputs",),
    5.0,
    f"fault: {SHARE:.0%} of the outputs, and two at least, are like another item's reference by more than {LIKE} and "
    f"by {BETTER} more than like their own (correlation of band energies); suspect: one is",
    "Definition: correlation of log band energies, 12 bands to 4 kHz, frames of 20 ms",
    check_pairs,
)
SOUND = Check(
    "output-sound",
    "evaluation",
    "Are outputs finite, not silent, unclipped, and no copy of the input?",
    ("outputs",),
    6.0,
    "fault: more than one output in fifty is silent (below -75 dB) or holds NaN; a tenth is clipped (runs of four "
    "samples) where reference and input are not; four of five are their input within 40 dB. suspect: single ones",
    "Definitions: runs of samples at an extreme; SI-SDR against the input",
    check_sound,
)
