"""A folder of restored files beside the pairs that were given, matched by name; what does not match is evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from auscult.audio.clip import find_audio
from auscult.diagnose.evidence import Absent, FilePair, OutputItem, Outputs
from auscult.errors import DataError

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

_SNR = re.compile(r"_-?[\d.]+db$")
"""EARS-WHAM writes the SNR behind the noisy file's name."""


def gather_outputs(case: Case) -> Outputs:
    """The restored files that were given, with references of the split that most of them match.

    Raises:
        Absent: none were given. DataError: no such folder, or no audio in it.
    """
    folder = case.given.outputs
    if folder is None:
        raise Absent("no restored files were given (--outputs FOLDER)")
    files = find_audio(folder) if folder.is_dir() else []
    if not files:
        raise DataError(f"{folder}: no audio file in it; --outputs takes a folder of restored files")
    names = {path.relative_to(folder).with_suffix("").as_posix(): path for path in files}
    matches = [_matched(names, pairs) for pairs in _splits(case)]
    best = max(matches, key=len, default={})
    items = tuple(_item(name, path, best.get(name)) for name, path in names.items())
    return Outputs(items, str(folder), tuple(name for name in names if name not in best))


def _splits(case: Case) -> list[Sequence[FilePair]]:
    """Pairs by split; speech and noise that are mixed on the fly are none."""
    files = case.get("files") if case.given.data or case.given.recipe else None
    return [] if files is None or files.mixed else list(files.splits.values())


def _item(name: str, path: Path, pair: FilePair | None) -> OutputItem:
    clean = pair.clean.path if pair is not None and pair.clean is not None else None
    noisy = pair.noisy.path if pair is not None and pair.noisy is not None else None
    return OutputItem(name, path, clean, noisy)


def _matched(names: Mapping[str, Path], pairs: Sequence[FilePair]) -> dict[str, FilePair]:
    """Pairs by the output's name: the same name, the same file name, or one within the other."""
    by_name = {key: pair for pair in pairs for key in reversed(_keys(pair))}
    found: dict[str, FilePair] = {}
    for name in names:
        whole = name.lower()
        short = whole.rpartition("/")[2]
        key = next((one for one in (whole, short, _SNR.sub("", short)) if one in by_name), None) or _part(
            short, by_name
        )
        if key is not None:
            found[name] = by_name[key]
    return found


def _keys(pair: FilePair) -> list[str]:
    """Names that a pair goes by, the surest first."""
    paths = [side.path.stem.lower() for side in (pair.clean, pair.noisy) if side is not None]
    names = [re.sub(r"\.(wav|flac|ogg|mp3)$", "", pair.name.lower())]
    return list(dict.fromkeys([*names, *(one.rpartition("/")[2] for one in names), *paths]))


def _part(name: str, keys: Mapping[str, FilePair]) -> str | None:
    """The longest key with a digit within the name, words' ends on both sides: ``p232_001`` of ``enh_p232_001_16k``."""
    parts = re.split(r"([^a-z0-9]+)", name)
    places = range(0, len(parts), 2)
    spans = sorted(((start, end) for start in places for end in places if end >= start), key=lambda s: s[0] - s[1])
    words = ("".join(parts[start : end + 1]) for start, end in spans)
    return next((word for word in words if word in keys and any(map(str.isdigit, word))), None)
