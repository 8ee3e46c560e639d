"""Data sets: files paired by name, checked by their headers before anything is computed."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from auscult.audio.clip import find_audio, probe
from auscult.audio.info import Info
from auscult.data.corrections import AS_IT_STANDS, Correction
from auscult.data.manifest import located, read_rows
from auscult.errors import AudioError, DataError, few
from auscult.evaluate.rows import Fact, Item
from auscult.plain import leaves

LAYOUTS = (
    ("clean", "noisy"),
    ("clean_testset_wav", "noisy_testset_wav"),
    ("test/clean", "test/noisy"),
    ("clean_test", "noisy_test"),
)
"""Sub-folders that a folder of pairs is known by; the second is VoiceBank-DEMAND's."""

SPEAKERS = (
    re.compile(r"(?:^|/)(p\d{3})[_/]"),  # VCTK, VoiceBank, EARS: p257_001, p102/00001
    re.compile(r"(?:^|/)(\d{2,5})-\d{3,7}-\d{4}"),  # LibriSpeech: 1089-134686-0000
)
_SNR_SUFFIX = re.compile(r"_-?[\d.]+dB$")
"""EARS-WHAM writes the SNR behind the noisy file's name: 00001_12.3dB is the mixture of 00001."""

Names = Mapping[str, Path]
Sides = dict[str, Names]


@dataclass(frozen=True)
class Contents:
    """The items of a data set, and each system's restored file of every item."""

    items: tuple[Item, ...]
    estimates: Mapping[str, Names]


@dataclass(frozen=True)
class DataSet:
    """Where the files of a data set are, and what is known of its items.

    Give ``clean`` and ``noisy`` folders (either may be missing), or a ``folder`` with both in a known layout, or a
    ``manifest`` (JSONL with ``clean`` and ``noisy``, relative to it; its other columns become facts).

    Args:
        facts: a table of what is known about items: CSV with a column ``item``, or VoiceBank's list of lines
            ``p257_001 bus 7.5``.
        patterns: facts read off names, ``speaker: '^(p\\d+)_'``.
    """

    folder: Path | None = None
    clean: Path | None = None
    noisy: Path | None = None
    manifest: Path | None = None
    facts: Path | None = None
    patterns: dict[str, str] = field(default_factory=dict)

    def below(self, base: Path) -> DataSet:
        """The same with paths relative to a folder."""

        def at(path: Path | None) -> Path | None:
            return None if path is None else base / path

        return DataSet(
            at(self.folder), at(self.clean), at(self.noisy), at(self.manifest), at(self.facts), self.patterns
        )

    def contents(self, name: str, estimates: Mapping[str, Path], common: bool = False) -> Contents:
        """The items; ``estimates`` are folders of restored files that must hold each of them.

        ``common`` keeps the items that every side has, instead of refusing.

        Raises:
            DataError: sides that do not match, files that cannot be read or differ in rate or length; all are named.
        """
        sides, facts = self._sides()
        restored = {system: audio_names(folder) for system, folder in estimates.items()}
        sides |= restored
        names = _matched(name, sides, common)
        infos = _headers(name, {side: {item: sides[side][item] for item in names} for side in sides})
        known = _table(self.facts) if self.facts is not None else {}
        if known and not known.keys() & set(names):
            raise DataError(f"{self.facts}: none of its {len(known)} items is in {name}; it knows {few(known)}")
        items = [
            Item(
                name,
                item,
                sides.get("clean", {}).get(item),
                sides.get("noisy", {}).get(item),
                {"duration_s": round(infos[item].duration_s, 3), **self._read_off(item), **facts.get(item, {})}
                | known.get(item, {}),
                infos[item].rate_hz,
                infos[item].samples,
            )
            for item in names
        ]
        return Contents(tuple(items), restored)

    def _sides(self) -> tuple[Sides, Mapping[str, Mapping[str, Fact]]]:
        if self.manifest is not None:
            return _manifest(self.manifest)
        clean, noisy = self.clean, self.noisy
        if self.folder is not None:
            clean, noisy = _layout(self.folder)
        sides: Sides = {
            role: audio_names(path) for role, path in (("clean", clean), ("noisy", noisy)) if path is not None
        }
        if "noisy" in sides and "clean" in sides:
            sides["noisy"] = _without_snr(sides["noisy"], sides["clean"])
        return sides, {}

    def _read_off(self, item: str) -> dict[str, Fact]:
        facts: dict[str, Fact] = {}
        speaker = next((found[1] for pattern in SPEAKERS if (found := pattern.search(item))), None)
        if speaker is not None:
            facts["speaker"] = speaker
        for fact, pattern in self.patterns.items():
            if (found := _compiled(fact, pattern).search(item)) is not None:
                facts[fact] = _value(found[1])
        return facts


def audio_names(folder: Path) -> dict[str, Path]:
    """Audio files below a folder by relative path without suffix.

    Raises:
        DataError: no such folder, no audio in it, or two files of one name.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    names: dict[str, Path] = {}
    for path in find_audio(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in names:
            raise DataError(f"two files share the name '{name}': {names[name]} and {path}; items go by name")
        names[name] = path
    if not names:
        raise DataError(f"{folder}: no audio file in it")
    return names


def _layout(folder: Path) -> tuple[Path, Path]:
    for clean, noisy in LAYOUTS:
        if (folder / clean).is_dir() and (folder / noisy).is_dir():
            return folder / clean, folder / noisy
    known = "; ".join(f"{clean} and {noisy}" for clean, noisy in LAYOUTS)
    raise DataError(f"{folder}: no known layout in it; known are {known}; or give clean and noisy folders")


def _manifest(manifest: Path) -> tuple[Sides, Mapping[str, Mapping[str, Fact]]]:
    sides: dict[str, dict[str, Path]] = {}
    facts: dict[str, dict[str, Fact]] = {}
    for row in read_rows(manifest):
        place = f"{manifest}:{row['line']}"
        roles = [role for role in ("clean", "noisy") if role in row]
        if not roles:
            raise DataError(f"{place}: the row has neither 'clean' nor 'noisy'")
        if Correction.of(row, place) != AS_IT_STANDS:
            raise DataError(f"{place}: the row corrects a lag or gain; files are scored as they stand, so correct them")
        name = str(row.get("item", Path(row[roles[-1]]).stem))
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(f"{place}: the item '{name}' would leave its folder; give a relative name without '..'")
        if name in facts:
            raise DataError(f"{place}: a second item '{name}'; give each row an 'item' of its own")
        for role in roles:
            sides.setdefault(role, {})[name] = located(manifest.parent, row, role, place)
        facts[name] = _facts({k: v for k, v in row.items() if k not in ("line", "item", "clean", "noisy")})
    if not facts:
        raise DataError(f"{manifest}: no row in it")
    return dict(sides), facts


def _facts(row: Mapping[str, Any]) -> dict[str, Fact]:
    """Text and numbers of a row, nested ones by dotted name: ``noise.snr_db``."""
    known = ((name, value) for name, value in leaves(row) if isinstance(value, str | int | float))
    return {name: str(value) if isinstance(value, bool) else value for name, value in known}


def _without_snr(noisy: Names, clean: Names) -> Names:
    if noisy.keys() & clean.keys():
        return noisy
    return {_SNR_SUFFIX.sub("", name): path for name, path in noisy.items()}


def _matched(data: str, sides: Mapping[str, Names], common: bool) -> list[str]:
    """Names that all sides have.

    Raises:
        DataError: some have more than others (unless ``common``), or none is shared.
    """
    everyone: set[str] = set().union(*sides.values())
    shared = everyone.intersection(*sides.values())
    lacking = [
        f"{side} lacks {len(missing)} ({few(missing)})"
        for side, names in sides.items()
        if (missing := everyone - names.keys())
    ]
    if not shared:
        raise DataError(f"{data}: no item is in {' and '.join(sides)} alike: {'; '.join(lacking)}")
    if lacking and not common:
        raise DataError(f"{data}: the sides do not match: {'; '.join(lacking)}; add --common to score what all have")
    return sorted(shared)


def _headers(data: str, sides: Mapping[str, Names]) -> dict[str, Info]:
    """One header an item, once all its files are seen to agree.

    Raises:
        DataError: files that cannot be read, or differ in rate or length from the others of their item; named.
    """
    infos: dict[str, Info] = {}
    unreadable: list[str] = []
    misfits: list[str] = []
    for side, files in sides.items():
        for item, path in files.items():
            try:
                own = probe(path)
            except AudioError as error:
                unreadable.append(str(error))
                continue
            other = infos.setdefault(item, own)
            if (own.rate_hz, own.samples) != (other.rate_hz, other.samples):
                misfits.append(
                    f"{side}/{item} has {own.samples} samples at {own.rate_hz} Hz, "
                    f"{other.path.parent.name} {other.samples} at {other.rate_hz} Hz"
                )
    if unreadable:
        raise DataError(f"{data}: {len(unreadable)} files cannot be read: {'; '.join(unreadable[:3])}")
    if misfits:
        raise DataError(
            f"{data}: {len(misfits)} files differ from their partners: {'; '.join(misfits[:3])}; nothing is cut or "
            "resampled silently: make them equal first"
        )
    return infos


def _table(path: Path) -> dict[str, dict[str, Fact]]:
    """Facts by item, of a CSV with a column ``item`` or of VoiceBank's list.

    Raises:
        DataError: neither.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a table of facts ({error})") from error
    lines = text.splitlines()
    if lines and "item" in lines[0].split(","):
        rows = csv.DictReader(lines)
        return {row["item"]: {k: _value(v) for k, v in row.items() if k and k != "item" and v} for row in rows}
    words = [line.split() for line in lines if line.strip()]
    if not words or any(len(row) != 3 for row in words):
        raise DataError(f"{path}: a table of facts is a CSV with a column 'item', or lines such as 'p257_001 bus 7.5'")
    return {item: {"noise_type": noise, "snr_db": _value(snr)} for item, noise, snr in words}


@lru_cache
def _compiled(fact: str, pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DataError(f"patterns.{fact}: '{pattern}' is not a regular expression ({error})") from error
    if compiled.groups != 1:
        raise DataError(f"patterns.{fact}: '{pattern}' needs exactly one group in brackets")
    return compiled


def _value(text: str) -> Fact:
    try:
        return float(text)
    except ValueError:
        return text
