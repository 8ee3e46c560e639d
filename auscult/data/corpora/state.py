"""What a target folder remembers between runs: hashes of sources, and which items are made of what."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from auscult.data.corpora.base import Item
from auscult.data.corpora.library import Library
from auscult.errors import DataError, OutputError
from auscult.files import lock, sweep, write_bytes

FOLDER = ".auscult"
"""Below the target folder."""
_PLAN, _HASHES, _MADE = "plan.json", "hashes.jsonl", "made.jsonl"


@dataclass(frozen=True)
class Record:
    """An item that was dealt with: its files with size and hash and its facts, or why it was left out.

    ``stamp`` is a hash of all that it was made from.
    """

    split: str
    name: str
    stamp: str
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    left_out: str = ""


class State:
    """The memory of a target folder that this process holds."""

    def __init__(self, out: Path):
        self.out, self._folder = out, out / FOLDER
        self._hashes = {
            (source, name): (stamp, sha256) for source, name, stamp, sha256 in _lines(self._folder / _HASHES)
        }
        records = [_record(row) for row in _lines(self._folder / _MADE)]
        self.records = {(record.split, record.name): record for record in records}
        self._journals: dict[str, IO[str]] = {}

    def belongs_to(self, plan: Mapping[str, Any]) -> None:
        """Make the folder that of a plan, or see that it is already.

        Raises:
            OutputError: it is that of another plan.
        """
        path = self._folder / _PLAN
        if path.is_file():
            other = json.loads(path.read_text(encoding="utf-8"))
            if other != plan:
                what = [key for key in plan if other.get(key) != plan[key]]
                raise OutputError(
                    f"{self.out}: was made from something else ({', '.join(what)} differ); choose another --out"
                )
            return
        write_bytes(path, json.dumps(plan, indent=1).encode())

    def hash_of(self, library: Library, source: str, name: str) -> str | None:
        """The hash of a source file, if it is known and the file has not changed since."""
        stamp, sha256 = self._hashes.get((source, name), (None, None))
        return sha256 if stamp == library.stamp(source, name) else None

    def note_hash(self, library: Library, source: str, name: str, sha256: str) -> None:
        """Remember the hash of a source file."""
        stamp = library.stamp(source, name)
        self._hashes[source, name] = (stamp, sha256)
        self._append(_HASHES, [source, name, stamp, sha256])

    def note(self, record: Record) -> None:
        """Remember an item that is dealt with."""
        self.records[record.split, record.name] = record
        self._append(_MADE, asdict(record))

    def kept(self, item: Item, stamp: str, verify: bool) -> bool:
        """Whether an item is made of the same and its files are still there; ``verify`` hashes them again."""
        record = self.records.get((item.split, item.name))
        if record is None or record.stamp != stamp:
            return False
        return all(_same(self.out / name, *facts, verify) for name, facts in record.files.items())

    def _append(self, name: str, row: object) -> None:
        if name not in self._journals:
            path = self._folder / name
            if path.is_file() and not path.read_bytes().endswith(b"\n"):
                _cut_torn(path)
            self._journals[name] = open(path, "a", encoding="utf-8")  # noqa: SIM115  closed by close()
        self._journals[name].write(json.dumps(row) + "\n")
        self._journals[name].flush()

    def close(self) -> None:
        """Close the journals."""
        for file in self._journals.values():
            file.close()


@contextmanager
def held(out: Path) -> Iterator[State]:
    """The state of a folder, for this process alone; what a killed run left half written is removed.

    Raises:
        OutputError: it holds something else, another process works there, or it cannot be written.
    """
    strays = [] if not out.is_dir() else [entry.name for entry in out.iterdir() if entry.name != FOLDER]
    if strays and not (out / FOLDER / _PLAN).is_file():
        raise OutputError(f"{out}: is not empty (it holds {min(strays)}) and no corpus; choose another --out")
    try:
        lock_file = lock(out / FOLDER)
    except BlockingIOError as error:
        raise OutputError(
            f"{out}: another process prepares a corpus there; wait for it or choose another --out"
        ) from error
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror or error}); choose another --out") from error
    with lock_file:
        for folder in (out, *(path for path in out.rglob("*") if path.is_dir())):
            sweep(folder)
        state = State(out)
        try:
            yield state
        finally:
            state.close()


def _record(row: Mapping[str, Any]) -> Record:
    files = {name: (size, sha256) for name, (size, sha256) in row["files"].items()}
    return Record(**{**row, "files": files})


def _same(path: Path, size: int, sha256: str, verify: bool) -> bool:
    if not path.is_file() or path.stat().st_size != size:
        return False
    return not verify or hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _lines(path: Path) -> list[Any]:
    """The rows of a journal; a last line that was cut off does not count.

    Raises:
        DataError: a line in the middle is damaged.
    """
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    try:
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    except ValueError as error:
        raise DataError(
            f"{path}: damaged ({error}); remove {path.parent} and the files made so far, and start anew"
        ) from error


def _cut_torn(path: Path) -> None:
    whole = path.read_bytes()
    with open(path, "rb+") as file:
        file.truncate(whole.rfind(b"\n") + 1)
