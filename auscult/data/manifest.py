"""Lists of recordings: JSONL manifests and plain folders, checked against the headers of the files they name.

A manifest has one JSON object a line. ``path`` is required and relative to the manifest's folder; ``rate_hz`` and
``duration_s``, where given, must agree with the file; everything else (speaker, noise_type, split ...) is kept and
can be selected by.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auscult.audio.clip import find_audio, probe
from auscult.audio.info import Info
from auscult.errors import AudioError, DataError, few

DURATION_TOLERANCE_S = 0.1
"""A manifest's duration may be off by this much, or by 1 % of it: lists round, some encoders pad."""

Wanted = str | float | bool | list[str] | list[float]


@dataclass(frozen=True)
class Entry:
    """One recording of a list, with what its header says and what the list says about it.

    It is used from sample ``first`` on, for ``info.samples`` samples, multiplied by ``gain``.
    """

    info: Info
    facts: Mapping[str, Any] = field(default_factory=dict)
    first: int = 0
    gain: float = 1.0

    @property
    def name(self) -> str:
        return str(self.facts.get("path", self.info.path.name))

    @property
    def identity(self) -> tuple[object, ...]:
        """Changes when what is heard of it does."""
        changes = (self.first, self.gain) if (self.first, self.gain) != (0, 1.0) else ()
        return (self.name, self.info.samples, self.info.rate_hz, *changes)


@dataclass(frozen=True)
class Listing:
    """Usable recordings, and the names of those that cannot be read, by reason."""

    entries: tuple[Entry, ...]
    unreadable: Mapping[str, str] = field(default_factory=dict)


def read_rows(manifest: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file, each with its ``line`` number.

    Raises:
        DataError: no such file, or a line that is not a JSON object.
    """
    try:
        text = manifest.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"{manifest}: cannot be read as a manifest ({reason}); give a JSONL file") from error
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{manifest}:{number}: not JSON ({error.msg}); one object a line is needed") from error
        if not isinstance(row, dict):
            raise DataError(f"{manifest}:{number}: a JSON object is needed, this is a {type(row).__name__}")
        rows.append({**row, "line": number})
    return rows


def select(
    rows: Iterable[dict[str, Any]], where: Mapping[str, Wanted], exclude: Mapping[str, Wanted]
) -> list[dict[str, Any]]:
    """Rows whose fields equal (one of) the wanted values and none of the excluded ones."""

    def fits(row: Mapping[str, Any], name: str, wanted: Wanted) -> bool:
        return row.get(name) in (wanted if isinstance(wanted, list) else [wanted])

    return [
        row
        for row in rows
        if all(fits(row, name, wanted) for name, wanted in where.items())
        and not any(fits(row, name, wanted) for name, wanted in exclude.items())
    ]


def from_manifest(
    manifest: Path, where: Mapping[str, Wanted] | None = None, exclude: Mapping[str, Wanted] | None = None
) -> Listing:
    """Recordings of a JSONL manifest.

    Raises:
        DataError: a row without path, a file that is missing or contradicts its row, or nothing selected.
    """
    rows = read_rows(manifest)
    chosen = select(rows, where or {}, exclude or {})
    if not chosen:
        raise DataError(f"{manifest}: none of its {len(rows)} rows fits where={where or {}}, exclude={exclude or {}}")
    entries, unreadable = [], {}
    for row in chosen:
        place = f"{manifest}:{row['line']}"
        path = located(manifest.parent, row, "path", place)
        try:
            info = probe(path)
        except AudioError as error:
            unreadable[row["path"]] = str(error)
            continue
        agree(row, info, place)
        entries.append(Entry(info, {k: v for k, v in row.items() if k != "line"}))
    return _listing(entries, unreadable, manifest)


def from_folder(folder: Path) -> Listing:
    """All audio files below a folder.

    Raises:
        DataError: no such folder, or no audio file in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    entries, unreadable = [], {}
    for path in find_audio(folder):
        try:
            entries.append(Entry(probe(path), {"path": str(path.relative_to(folder))}))
        except AudioError as error:
            unreadable[str(path.relative_to(folder))] = str(error)
    return _listing(entries, unreadable, folder)


def located(folder: Path, row: Mapping[str, Any], column: str, place: str) -> Path:
    """The existing file that a row names.

    Raises:
        DataError: the column is absent or not text, or the file does not exist.
    """
    if not isinstance(row.get(column), str):
        raise DataError(f"{place}: the row has no '{column}'; it has {', '.join(k for k in row if k != 'line')}")
    path = folder / row[column]
    if not path.is_file():
        raise DataError(f"{place}: {path} does not exist; paths are relative to the manifest's folder")
    return path


def match_names(
    clean: Sequence[Path], noisy: Sequence[Path], labels: tuple[str, str] = ("clean", "noisy")
) -> list[tuple[Path, Path]]:
    """Pair two lists of relative paths by name without suffix.

    Raises:
        DataError: files without a partner, or two files of one name; named, up to five a side.
    """
    by_name = [_by_stem(side) for side in (clean, noisy)]
    only_clean, only_noisy = (sorted(a.keys() - b.keys()) for a, b in (by_name, by_name[::-1]))
    if only_clean or only_noisy:
        raise DataError(
            f"{labels[0]} and {labels[1]} do not match by name: {len(only_clean)} only in {labels[0]} "
            f"({few(only_clean)}), {len(only_noisy)} only in {labels[1]} ({few(only_noisy)})"
        )
    return [(by_name[0][name], by_name[1][name]) for name in sorted(by_name[0])]


def _by_stem(paths: Sequence[Path]) -> dict[str, Path]:
    names: dict[str, Path] = {}
    for path in paths:
        stem = str(path.with_suffix(""))
        if stem in names:
            raise DataError(f"two files share the name '{stem}': {names[stem]} and {path}; pairs go by name")
        names[stem] = path
    return names


def agree(row: Mapping[str, Any], info: Info, place: str) -> None:
    """A row that contradicts its file would have the file misread: refuse."""
    said_hz, said_s = row.get("rate_hz", info.rate_hz), row.get("duration_s", info.duration_s)
    for column, value in (("rate_hz", said_hz), ("duration_s", said_s)):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(f"{place}: {column} must be a number, this is {value!r}")
    if said_hz != info.rate_hz:
        raise DataError(f"{place}: the row says {said_hz} Hz, {info.path.name} has {info.rate_hz} Hz; correct the row")
    if abs(said_s - info.duration_s) > max(DURATION_TOLERANCE_S, 0.01 * info.duration_s):
        raise DataError(
            f"{place}: the row says {said_s} s, {info.path.name} has {info.duration_s:.3f} s; correct the row"
        )


def _listing(entries: list[Entry], unreadable: dict[str, str], source: Path) -> Listing:
    if not entries:
        reason = f"; {len(unreadable)} are unreadable: {next(iter(unreadable.values()))}" if unreadable else ""
        raise DataError(f"{source}: no usable audio file in it{reason}")
    return Listing(tuple(entries), unreadable)
