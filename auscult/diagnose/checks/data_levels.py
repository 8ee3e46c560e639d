"""What single recordings look like: numbers that are none, clipping, offsets, silence, padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from auscult.data.audit.levels import Levels, levels
from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.evidence import FilePair
from auscult.diagnose.finding import Exhibit, Finding, Measured, Verdict, graded
from auscult.diagnose.gather.files import sample
from auscult.diagnose.gather.items import stretch
from auscult.errors import AudioError

ID, PADDING = "data-levels", "data-padding"
Named = tuple[str, Levels]
_OFFSET = 0.1
_OFFSET_FAULT = 0.8
"""Share of the noisy recordings with an offset of one sign from which no chance draws it."""
_SILENT = 0.08
"""No healthy recording is silent; of three a share of 0.08 is no slip of a single file."""
FAR_DB = 40.0
"""A recording so far below the median of its kind is silent, however quiet the others are."""
_MOST_FILES, _SECONDS = 60, 5.0


def measured_sides(case: Case) -> dict[str, list[Named]]:
    """Levels by side: of files where there are any (a loader drops what is broken), else of items."""
    files = case.get("files")
    if files is None:
        items = case.items.items
        return {side: [(one.name, levels(getattr(one, side)[: one.length or None], one.rate_hz)) for one in items]
                for side in ("clean", "noisy")}  # fmt: skip
    pairs = [pair for rows in files.splits.values() for pair in rows]
    return {side: _of_files(case, side, pairs) for side in ("clean", "noisy")}


def _of_files(case: Case, side: str, pairs: Sequence[FilePair]) -> list[Named]:
    infos = [info for pair in pairs if (info := getattr(pair, side)) is not None]
    found = []
    for info in sample(infos, _MOST_FILES, case.key.child("levels", side)):
        if case.clock.left <= 0:
            break
        try:
            found.append((str(info.path), levels(stretch(info, 0.0, _SECONDS), info.rate_hz)))
        except AudioError:
            continue  # data-files says so
    return found


def run(case: Case) -> list[Finding]:
    """One finding a kind of fault."""
    if case.why_absent("files") and case.why_absent("items"):
        return []
    sides = measured_sides(case)
    if not sides["clean"]:
        return []
    return [_finite(sides), _clipping(sides["clean"]), _offset(sides), _silence(sides["clean"])]


def _finite(sides: dict[str, list[Named]]) -> Finding:
    everything = [one for side in sides.values() for one in side]
    bad = [(name, one.not_finite) for name, one in everything if one.not_finite]
    says = f"{len(bad)} of {len(everything)} recordings hold NaN or infinity"
    measured = (Measured("recordings with NaN or infinity", len(bad), "", "0"),)
    exhibits = [Exhibit(name, f"{count} samples") for name, count in sorted(bad, key=lambda row: -row[1])[:5]]
    verdict: Verdict = "fault" if bad else "healthy"
    return Finding(ID, verdict, ("not-finite-data",), says, measured, bool(bad), exhibits=exhibits)


def _clipping(clean: Sequence[Named]) -> Finding:
    bad = sorted(((one.clipped, name) for name, one in clean if one.is_clipped), reverse=True)
    share = len(bad) / len(clean)
    says = f"{len(bad)} of {len(clean)} clean recordings are clipped (runs of 3 samples or more at their own extreme)"
    measured = (Measured("share of clipped clean recordings", share, "", "below 0.05"),)
    exhibits = [Exhibit(name, f"{clipped:.2%} of its samples") for clipped, name in bad[:5]]
    return _graded(("clipping",), share, 0.2, 0.05, says, measured, exhibits)


def _offset(sides: dict[str, list[Named]]) -> Finding:
    clean, noisy = ([(abs(one.dc), name) for name, one in sides[side]] for side in ("clean", "noisy"))
    shares = [float(np.mean([dc > _OFFSET for dc, _ in side])) if side else 0.0 for side in (clean, noisy)]
    worst = sorted(clean + noisy, reverse=True)[:5]
    says = (
        f"the offset exceeds {_OFFSET} of the RMS in {shares[0]:.0%} of the clean and {shares[1]:.0%} of the noisy "
        f"recordings; the largest is {worst[0][0]:.2f}"
    )
    measured = (Measured("clean recordings with an offset", shares[0], "", "0"),
                Measured("noisy recordings with an offset", shares[1], "", "below 0.5"))  # fmt: skip
    exhibits = [Exhibit(name, f"offset {dc:.2f} of its RMS") for dc, name in worst if dc > _OFFSET]
    signs = np.sign([one.dc for _, one in sides["noisy"] if abs(one.dc) > _OFFSET])
    systematic = signs.size > 0 and abs(float(signs.mean())) > 0.9  # drawn offsets have either sign
    if shares[0] < 0.05 and shares[1] >= 0.5 and systematic:
        verdict: Verdict = "fault" if shares[1] >= _OFFSET_FAULT and signs.size >= 8 else "suspect"
        return Finding(ID, verdict, ("dc-offset",), says, measured, exhibits=exhibits)
    return _graded(("dc-offset",), shares[0], 0.3, 0.05, says, measured, exhibits)


def _silence(clean: Sequence[Named]) -> Finding:
    usual_db = float(np.median([one.rms_db for _, one in clean]))
    silent = [(one.rms_db, name) for name, one in clean if one.is_silent or one.rms_db < usual_db - FAR_DB]
    share = len(silent) / len(clean)
    says = f"{len(silent)} of {len(clean)} clean recordings are silent"
    measured = (Measured("share of silent clean recordings", share, "", "below 0.05"),)
    exhibits = [Exhibit(name, f"{db:.0f} dB re full scale") for db, name in sorted(silent)[:5]]
    certain = _SILENT if len(silent) >= 3 else 0.2
    return _graded(("silent-items",), share, certain, 0.05, says, measured, exhibits)


def _graded(
    causes: tuple[str, ...], share: float, fault: float, suspect: float, says: str,
    measured: Sequence[Measured], exhibits: Sequence[Exhibit],
) -> Finding:  # fmt: skip
    return Finding(ID, graded(share, fault, suspect), causes, says, measured, exhibits=exhibits)


def padding(case: Case) -> Finding | None:
    """How much of the items of a loader is padding."""
    items = case.items.items
    if not case.items.through_loader or len(items) < 8:
        return None
    shares = np.array([1 - _sounding(one.clean, one.length) / one.clean.size for one in items])
    share = float(shares.mean())
    says = (
        f"{share:.0%} of what a step hears of clean is padding; {np.mean(shares > 0.5):.0%} of the items are mostly so"
    )
    measured = (Measured("share of padding", share, "", "below 0.4"),)
    worst = np.argsort(-shares)[:5]
    exhibits = [Exhibit(items[i].name, f"{shares[i]:.0%} padding") for i in worst if shares[i] > 0.5]
    return Finding(PADDING, graded(share, 0.75, 0.4), ("short-items",), says, measured, exhibits=exhibits)


def _sounding(clean: np.ndarray, length: int | None) -> int:
    """Samples before the zeros at the end."""
    last = np.flatnonzero(clean)
    return min(length or clean.size, int(last[-1]) + 1 if last.size else 0)


LEVELS = Check(
    ID,
    "data",
    "Are recordings finite, unclipped, free of offset and not silent?",
    (),
    2.0,
    "fault: any NaN; 20 % of clean recordings with 0.05 % of the samples in runs at their extreme, "
    "8 % (three at least) silent, "
    "30 % with an offset above 0.1 of the RMS; suspect from 5 % (900 real recordings: none clipped so, none "
    "silent, offsets below "
    "0.002). Noisy may be clipped or offset by design, so an offset is a suspicion there, from half of them on, and a "
    "fault where four of five have it with one sign",
    "Definitions: runs at a recording's extreme, offset over RMS, digital zeros",
    run,
)
SHORT = Check(
    PADDING,
    "data",
    "Are clips long enough for the crop?",
    ("items",),
    0.5,
    "suspect: 40 % of the samples of items are padding or more, fault: 75 %",
    "Definition: zeros over samples of an item",
    padding,
)
