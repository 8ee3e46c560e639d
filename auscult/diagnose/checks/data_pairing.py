"""Where pairs do not fit: whether whole files do, whether another file does, whether another rate does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from auscult.audio.info import Info
from auscult.audio.resample import resample
from auscult.data.audit.relation import RELATED, relation
from auscult.diagnose.case import Case
from auscult.diagnose.evidence import FilePair, HeardItem
from auscult.diagnose.gather.files import sample
from auscult.diagnose.gather.items import excerpt, stretch
from auscult.errors import AudioError

RATIOS = ((3, 1), (2, 1), (3, 2), (441, 160), (441, 320), (160, 147), (1, 3), (1, 2), (2, 3), (160, 441), (320, 441),
          (147, 160), (1001, 1000), (1000, 1001))  # fmt: skip
"""Rates that are mistaken for each other; 1001 to 1000 is that of film and video."""
_OFFSETS = (1, -1, 2, -2)
_WHOLE_S = 20.0


def _pairs(case: Case) -> list[FilePair]:
    files = case.get("files")
    if files is None or files.mixed:
        return []
    return [one for rows in files.splits.values() for one in rows if one.clean and one.noisy]


def files_relate(case: Case, most: int = 8) -> tuple[int, int] | None:
    """How many of so many pairs of whole files are related; None where there are no pairs of files."""
    found = [one for pair in sample(_pairs(case), most, case.key.child("whole")) if (one := excerpt(pair)) is not None]
    relations = [r for one in found if (r := relation(one.clean, one.noisy, one.rate_hz)) is not None]
    return (sum(r.z > RELATED for r in relations), len(relations)) if relations else None


def better_partners(case: Case, names: Sequence[str]) -> tuple[int, int, int] | None:
    """The place in the list, relative to its own, where most of these items' noisy files are; None where nowhere."""
    pairs = _pairs(case)
    place = _places(pairs)
    looked = [place[name] for name in names if name in place]
    hits = Counter(
        offset
        for i in looked
        for offset in _OFFSETS
        if 0 <= i + offset < len(pairs) and _fits(pairs[i], pairs[i + offset])
    )
    if not hits:
        return None
    offset, count = hits.most_common(1)[0]
    return offset, count, len(looked)


def exchanged(case: Case, names: Sequence[str]) -> int | None:
    """How many of these items' noisy files belong to the clean file of another of them; None where none does."""
    pairs = _pairs(case)
    place = _places(pairs)
    chosen = [pairs[place[name]] for name in names if name in place]
    hits = sum(any(_fits(one, other) for one in chosen if one is not other) for other in chosen)
    return hits or None


def fit_own_file(case: Case, items: Sequence[HeardItem]) -> tuple[int, int] | None:
    """How many of these items' noisy sides are in the clean file of their name; None where most are not."""
    pairs = _pairs(case)
    place = _places(pairs)
    known = [(item, pairs[place[item.name]].clean) for item in items if item.name in place]
    hits = sum(info is not None and _is_in(item, info) for item, info in known)
    return (hits, len(known)) if hits >= 2 and 2 * hits >= len(known) else None


def _places(pairs: Sequence[FilePair]) -> dict[str, int]:
    """Where pairs are in the list, by their names and, as loaders call items, by those of their clean files."""
    named = {f"{pair.name}{pair.clean.path.suffix}": i for i, pair in enumerate(pairs) if pair.clean is not None}
    return named | {pair.name: i for i, pair in enumerate(pairs)}


def _is_in(item: HeardItem, info: Info) -> bool:
    try:
        clean = resample(stretch(info, 0.0, _WHOLE_S)[None], info.rate_hz, item.rate_hz)[0]
    except AudioError:
        return False
    size = max(clean.size, item.noisy.size)
    whole, part = (np.pad(side, (0, size - side.size)) for side in (clean, item.noisy))
    found = relation(whole, part, item.rate_hz)
    return found is not None and found.z > RELATED


def _fits(one: FilePair, other: FilePair) -> bool:
    mixed = excerpt(FilePair(one.name, one.clean, other.noisy))
    found = relation(mixed.clean, mixed.noisy, mixed.rate_hz) if mixed is not None else None
    return found is not None and found.z > RELATED


def rate_ratio(items: Sequence[HeardItem]) -> tuple[float, int, int] | None:
    """The ratio at which noisy must be played to fit, and for how many of the items; None where none fits half."""
    best: tuple[float, int, int] | None = None
    for up, down in RATIOS:
        hits = sum(_fits_at(item, up, down) for item in items)
        if hits * 2 >= max(2, len(items)) and (best is None or hits > best[1]):
            best = up / down, hits, len(items)
    return best


def _fits_at(item: HeardItem, up: int, down: int) -> bool:
    noisy = resample(item.noisy[None], up, down)[0]
    found = relation(item.clean[: noisy.size], noisy[: item.clean.size], item.rate_hz)
    return found is not None and found.z > RELATED
