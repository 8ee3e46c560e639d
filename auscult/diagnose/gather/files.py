"""Files from folders and manifests: known layouts, splits as sub-folders, lists of pairs, speech and noise to mix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from auscult.audio.clip import find_audio, probe
from auscult.audio.info import Info
from auscult.data.corrections import Correction
from auscult.data.manifest import read_rows
from auscult.diagnose.evidence import Absent, FilePair, Files
from auscult.diagnose.gather.naming import matched
from auscult.errors import AudioError, DataError, few
from auscult.evaluate.datasets import LAYOUTS
from auscult.rng import Key

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

Row = TypeVar("Row")

SPLITS = ("train", "valid", "test")
_SYNONYMS = {"dev": "valid", "val": "valid", "validation": "valid", "eval": "test", "tr": "train", "cv": "valid",
             "tt": "test"}  # fmt: skip
_TRAINING = (("clean_trainset_28spk_wav", "noisy_trainset_28spk_wav"), ("clean_trainset_56spk_wav",
             "noisy_trainset_56spk_wav"), ("clean_trainset_wav", "noisy_trainset_wav"))  # fmt: skip
"""VoiceBank-DEMAND's names of its training set; that of its test set is among the layouts."""
_OWN = ("line", "item", "split", "clean", "noisy", "path")
"""Columns that say which files a row means; all others are facts about them."""


@dataclass(frozen=True)
class Listed:
    """A pair (or one side of it) before its headers are read."""

    name: str
    clean: Path | None
    noisy: Path | None
    facts: Mapping[str, str | float] = field(default_factory=dict)


@dataclass
class Found:
    """What is listed, by split, and what has no partner."""

    splits: dict[str, list[Listed]] = field(default_factory=dict)
    unmatched: dict[str, list[str]] = field(default_factory=dict)
    mixed: bool = False

    def add(self, split: str, rows: Sequence[Listed], alone: Sequence[str] = ()) -> None:
        """More of a split."""
        self.splits.setdefault(split, []).extend(rows)
        if alone:
            self.unmatched.setdefault(split, []).extend(alone)


def gather_files(case: Case) -> Files:
    """The files below ``--data``.

    Raises:
        Absent: no data were given; or nothing in them is known, and a recipe says what they are.
        DataError: nothing in them is known, and nobody says what they are.
    """
    if not case.given.data:
        raise Absent("no data were given (--data FOLDER or MANIFEST)")
    found = Found()
    try:
        for split, path in case.given.data.items():
            _list(found, split, path)
    except DataError as error:
        if case.recipe is None:
            raise
        raise Absent(str(error)) from error
    return _probed(found, case.given.most_files, case.key.child("files"))


def _list(found: Found, split: str, path: Path) -> None:
    """What a folder or a manifest holds; ``data`` leaves the splits to what is found."""
    if path.is_file():
        _list_manifest(found, path, split)
    elif not path.is_dir():
        raise DataError(f"{path}: no such folder or manifest; --data takes either")
    elif not any([*_list_layouts(found, split, path), *_list_manifests(found, split, path)]):
        if within := [str(below.relative_to(path)) for below in _below(path) if _holds_pairs(below)]:
            raise DataError(f"{path}: no pairs in it, but in its {few(within)}; give one, or several: NAME=PATH")
        audio = {p.relative_to(path).with_suffix("").as_posix(): p for p in find_audio(path)}
        if not audio:
            layouts = "; ".join(f"{clean} and {noisy}" for clean, noisy in LAYOUTS)
            raise DataError(f"{path}: no pairs, manifest or audio in it; known are {layouts}, and JSONL manifests")
        found.add(split, [Listed(name, p, None) for name, p in sorted(audio.items())])


def _below(folder: Path) -> Iterator[Path]:
    """Folders one and two levels down."""
    for level in ("*/", "*/*/"):
        yield from islice(folder.glob(level), 1_000)


def _holds_pairs(folder: Path) -> bool:
    return any((folder / clean).is_dir() and (folder / noisy).is_dir() for clean, noisy in LAYOUTS)


def _list_layouts(found: Found, split: str, folder: Path) -> Iterator[bool]:
    """Pairs of folders, here and in folders that are called as splits are."""
    several = split == "data"
    here = [("train", *pair) for pair in _TRAINING] + [
        ("test" if "test" in clean and several else split, clean, noisy) for clean, noisy in LAYOUTS if "/" not in clean
    ]
    for name, clean, noisy in here:
        if (folder / clean).is_dir() and (folder / noisy).is_dir():
            pairs, alone = matched(_names(folder / clean), _names(folder / noisy))
            found.add(name, [Listed(item, *sides) for item, sides in pairs.items()], alone)
            yield True
    for below in sorted(folder.iterdir()) if several else ():
        name = _SYNONYMS.get(below.name.lower(), below.name.lower())
        if below.is_dir() and name in SPLITS:
            yield from _list_layouts(found, name, below)


def _list_manifests(found: Found, split: str, folder: Path) -> Iterator[bool]:
    """``train.jsonl``, ``valid.jsonl``, ``test.jsonl`` in a folder that is called ``data``; of a split its own."""
    for name in SPLITS if split == "data" else (split,):
        if name not in found.splits and (folder / f"{name}.jsonl").is_file():
            _list_manifest(found, folder / f"{name}.jsonl", name)
            yield True


def _list_manifest(found: Found, manifest: Path, split: str) -> None:
    """Rows of pairs (``clean``, ``noisy``), or of recordings to be mixed (``path``, ``kind``)."""
    for row in read_rows(manifest):
        Correction.of(row, f"{manifest}:{row['line']}")
        name = str(row.get("split", split)) if split == "data" else split
        sides = {role: manifest.parent / row[role] for role in ("clean", "noisy") if isinstance(row.get(role), str)}
        if not sides and isinstance(row.get("path"), str):
            found.mixed = True
            sides = {"noisy" if row.get("kind") == "noise" else "clean": manifest.parent / row["path"]}
        if not sides:
            raise DataError(f"{manifest}:{row['line']}: the row names neither clean and noisy nor a path")
        item = str(row.get("item", row.get("path", Path(str(row.get("noisy", row.get("clean")))).stem)))
        if row.get("kind") in (None, "speech", "noise", "pair"):
            found.add(name, [Listed(item, sides.get("clean"), sides.get("noisy"), _facts(row))])


def _facts(row: Mapping[str, Any]) -> dict[str, str | float]:
    return {k: v for k, v in row.items() if k not in _OWN and isinstance(v, str | int | float)}


def _names(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in find_audio(folder)}


def _probed(found: Found, most: int, key: Key) -> Files:
    """Headers of what is listed, of very large splits of a sample."""
    unreadable: dict[str, str] = {}

    def header(path: Path | None) -> Info | None:
        try:
            return probe(path) if path is not None else None
        except AudioError as error:
            unreadable[str(path)] = str(error)
            return None

    def pair(one: Listed) -> FilePair | None:
        clean, noisy = header(one.clean), header(one.noisy)
        lost = (one.clean is not None and clean is None) or (one.noisy is not None and noisy is None)
        return None if lost else FilePair(one.name, clean, noisy, one.facts)

    splits: dict[str, list[FilePair]] = {}
    with ThreadPoolExecutor(2) as pool:
        for split, rows in found.splits.items():
            chosen = sample(rows, most, key.child(split))
            splits[split] = [one for one in pool.map(pair, chosen) if one is not None]
    counts = {split: len(rows) for split, rows in found.splits.items()}
    return Files(splits, unreadable, found.unmatched, mixed=found.mixed, listed=counts)


def sample(rows: Sequence[Row], most: int, key: Key) -> list[Row]:
    """So many of a sequence, in its order."""
    if len(rows) <= most:
        return list(rows)
    return [rows[i] for i in sorted(key.numpy().choice(len(rows), most, replace=False))]
