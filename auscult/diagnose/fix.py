"""A corrected manifest: what findings name is mended row by row, without touching a file; the rest is left out.

Only what the audit blames is changed, so that the natural delays of rooms and sensors stay. What no training can use
(files that cannot be read, NaN, silence) is left out in any case. Every row that differs says ``why``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path
from typing import Any

from auscult.audio.clip import read
from auscult.audio.info import Info
from auscult.data.audit.levels import Levels, levels
from auscult.data.audit.relation import UNRELATED
from auscult.data.corrections import GAIN, LAG, Correction
from auscult.diagnose.case import Case, Given
from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import FilePair, Files
from auscult.diagnose.gather.items import excerpt
from auscult.diagnose.measure.copying import leaked, repeated
from auscult.diagnose.measure.pairing import Paired, paired
from auscult.errors import AudioError, DataError
from auscult.files import write_bytes

LAGS = frozenset({"lag", "varying-lag", "independent-crops"})
UNRELATES = frozenset({"unrelated-pairs", "independent-crops"})
COPIES, LEAKS = "duplicates", frozenset({"leaked-split", "valid-is-test"})
ALWAYS = frozenset({"unreadable-files", "not-finite-data", "silent-items"})
MENDS = LAGS | UNRELATES | LEAKS | ALWAYS | {COPIES, "length-mismatch", "swapped-sides", "polarity", "pair-gain",
                                            "clipping", "no-noise"}  # fmt: skip
"""Causes that a manifest can mend."""
_LONGEST_S = 60.0
"""Of a recording whose samples are looked at."""
_SAME_DB = 60.0
_TURNED = -0.1
_STALE = ("duration_s", "why")
"""Columns that may be wrong of the corrected row."""


@dataclass(frozen=True)
class Fixed:
    """Rows of the corrected manifest, rows that were left out, and causes that only a change of files can mend."""

    rows: tuple[Mapping[str, Any], ...]
    left_out: tuple[Mapping[str, Any], ...]
    changed: int
    beyond: tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """A pair that stays, as it is to be used, and why it is changed (empty: it is not)."""

    split: str
    pair: FilePair
    why: str = ""


@dataclass(frozen=True)
class Dropped:
    """A pair that is left out, and why."""

    split: str
    pair: FilePair
    why: str


def fixed(
    data: Mapping[str, Path], causes: Collection[str], out: Path, told: Callable[[int, int], None] | None = None
) -> Fixed:
    """Measure every pair and mend what ``causes`` name.

    Args:
        causes: ids of what the audit found.
        out: where the manifest will be; paths in its rows are relative to its folder.
        told: called with how many pairs are done, of how many.

    Raises:
        DataError: the data cannot be listed, or nothing is left of them.
    """
    case = Case(Given(data=data, most_files=2**62), Clock.lasting(float("inf")))
    if why := case.why_absent("files"):
        raise DataError(why)
    judged = list(_judged(case.files, frozenset(causes), told))
    kept = [one for one in judged if isinstance(one, Kept)]
    dropped = [one for one in judged if isinstance(one, Dropped)]
    copies = _copies(kept, frozenset(causes))
    dropped += [Dropped(kept[i].split, kept[i].pair, why) for i, why in sorted(copies.items())]
    kept = [one for i, one in enumerate(kept) if i not in copies]
    if not kept:
        raise DataError(f"--fix: nothing is left of {len(dropped)} pairs; the commonest reason: {_commonest(dropped)}")
    folder = out.resolve().parent
    return Fixed(
        tuple(_row(one.split, one.pair, folder, one.why) for one in kept),
        (*(_row(one.split, one.pair, folder, one.why) for one in dropped), *_unusable(case.files, folder)),
        sum(bool(one.why) for one in kept),
        tuple(cause for cause in causes if cause not in MENDS),
    )


def write_fixed(out: Path, found: Fixed) -> Path | None:
    """Write the manifest, and beside it what was left out; returns the path of the latter, None where there is none.

    Raises:
        OutputError: it cannot be written.
    """
    write_bytes(out, _lines(found.rows))
    if not found.left_out:
        return None
    beside = out.with_name(f"{out.stem}.left-out.jsonl")
    write_bytes(beside, _lines(found.left_out))
    return beside


def _judged(files: Files, causes: frozenset[str], told: Callable[[int, int], None] | None) -> Iterator[Kept | Dropped]:
    """Every pair, in order; a few are measured at a time, so that memory does not grow with their number."""
    rows = [(split, pair) for split, pairs in files.splits.items() for pair in pairs]
    at_once = 16 * (os.cpu_count() or 1)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, len(rows), at_once):
            yield from pool.map(lambda row: judge(row[0], row[1], causes), rows[first : first + at_once])
            if told is not None:
                told(min(first + at_once, len(rows)), len(rows))


def judge(split: str, pair: FilePair, causes: frozenset[str]) -> Kept | Dropped:
    """Keep, mend or leave out one pair."""
    if (why := _unfit(pair, causes)) is not None:
        return Dropped(split, pair, why)
    if pair.clean is None or pair.noisy is None:
        return Kept(split, pair)
    if pair.clean.rate_hz != pair.noisy.rate_hz:
        return Dropped(split, pair, f"clean has {pair.clean.rate_hz} Hz, noisy {pair.noisy.rate_hz} Hz")
    if (found := _measured(pair)) is None:
        return Dropped(split, pair, "the sides share nothing that can be read")
    whys = []
    if "swapped-sides" in causes and not _forward(found):
        pair, whys = FilePair(pair.name, pair.noisy, pair.clean, _uncorrected(pair.facts)), ["sides exchanged"]
        found = _measured(pair) or found
    if UNRELATES & causes and (found.relation is None or found.relation.z < UNRELATED):
        return Dropped(split, pair, "clean and noisy have nothing in common")
    if "no-noise" in causes and found.fit is not None and found.fit.snr_db > _SAME_DB:
        return Dropped(split, pair, "clean and noisy are the same")
    if LAGS & causes and not found.related:
        return Dropped(split, pair, "too little in common to measure its lag")
    return _mended(split, pair, found, causes, whys)


def _mended(split: str, pair: FilePair, found: Paired, causes: frozenset[str], whys: list[str]) -> Kept:
    """The pair with its lag and gain; what an earlier correction says is added to."""
    before, facts = Correction.of(pair.facts, pair.name), dict(pair.facts)
    lag = found.relation.lag_samples if LAGS & causes and found.relation is not None else 0
    if lag or (_unequal(pair) and before.lag_samples is None):
        facts[LAG] = (before.lag_samples or 0) + lag
        whys.append(f"lag {lag} samples" if lag else "lengths differ")
    gain = _gain(found, causes)
    if gain != 1.0:
        facts[GAIN] = float(f"{before.gain * gain:.5g}")
        whys.append(f"clean within noisy at {gain:.3g}")
    if whys:
        facts = {name: value for name, value in facts.items() if name not in _STALE}
    if (earlier := pair.facts.get("why")) is not None:
        whys.insert(0, str(earlier))
    return Kept(split, FilePair(pair.name, pair.clean, pair.noisy, facts), "; ".join(whys))


def _gain(found: Paired, causes: frozenset[str]) -> float:
    """What clean is to be multiplied by."""
    if not found.plain or found.fit is None:
        return 1.0
    sign = -1.0 if "polarity" in causes and found.fit.gain < _TURNED else 1.0
    return sign * abs(found.fit.gain) if "pair-gain" in causes else sign


def _unfit(pair: FilePair, causes: frozenset[str]) -> str | None:
    """Why no training can use a pair by its samples alone; None where one can."""
    for side, info in (("clean", pair.clean), ("noisy", pair.noisy)):
        if info is None:
            continue
        try:
            one = _levels(info)
        except AudioError as error:
            return f"{side}: {error}"
        if one.not_finite:
            return f"{side} holds NaN or infinity"
        if side == "clean" and one.is_silent:
            return "clean is silent"
        if side == "clean" and "clipping" in causes and one.is_clipped:
            return f"clean is clipped ({one.clipped:.2%} of its samples)"
    return None


def _levels(info: Info) -> Levels:
    wave = read(info.path, 0, min(info.samples, round(_LONGEST_S * info.rate_hz))).wave
    return levels(wave[0], info.rate_hz)


def _measured(pair: FilePair) -> Paired | None:
    item = excerpt(pair)
    return None if item is None or not item.clean.size else paired(item)


def _forward(found: Paired) -> bool:
    """Whether the difference of the sides belongs to noisy."""
    return found.fit is not None and abs(found.fit.side - 1) < 0.15


def _unequal(pair: FilePair) -> bool:
    return pair.clean is not None and pair.noisy is not None and pair.clean.samples != pair.noisy.samples


def _uncorrected(facts: Mapping[str, str | float]) -> dict[str, str | float]:
    return {name: value for name, value in facts.items() if name not in (LAG, GAIN)}


def _copies(kept: Sequence[Kept], causes: frozenset[str]) -> dict[int, str]:
    """Places of pairs that are copies of others, with the reason."""
    found: dict[int, str] = {}
    if LEAKS & causes:
        found |= leaked([(one.split, one.pair) for one in kept])
    if COPIES in causes:
        found = repeated([(one.split, one.pair) for one in kept]) | found
    return found


def _row(split: str, pair: FilePair, folder: Path, why: str) -> dict[str, Any]:
    """A line of a manifest: of a pair, or of a recording that is to be mixed."""
    sides = {role: relpath(info.path.resolve(), folder) for role in ("clean", "noisy")
             if (info := getattr(pair, role)) is not None}  # fmt: skip
    files = sides if len(sides) == 2 else {"path": next(iter(sides.values()))}
    named = {"item": pair.name} if len(sides) == 2 else {}
    facts = {name: value for name, value in pair.facts.items() if name != "why"}
    of_split = {} if split == "data" else {"split": split}
    return {**named, **files, **of_split, **facts} | ({"why": why} if why else {})


def _unusable(files: Files, folder: Path) -> Iterator[dict[str, Any]]:
    for path, why in sorted(files.unreadable.items()):
        yield {"path": relpath(Path(path).resolve(), folder), "why": why}
    for split, names in files.unmatched.items():
        for name in names:
            yield {"item": name, "split": split, "why": "no partner of its name"}


def _commonest(dropped: Sequence[Dropped]) -> str:
    whys = [one.why for one in dropped] or ["no file can be read"]
    return max(set(whys), key=whys.count)


def _lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
