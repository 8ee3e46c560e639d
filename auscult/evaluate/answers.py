"""Answers of listeners to a page of ``auscult listen``: the records, read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from auscult.errors import DataError, few

SCHEMA, VERSION = "auscult-listening-results", 1
REFERENCE, ANCHOR = "reference", "anchor"
LABELS = {"abx": {"A", "B", "X"}, "ab": {"A", "B"}}
CHOICES = {"abx": {"A", "B"}, "ab": {"A", "B", "none"}}

Kind = Literal["abx", "ab", "mushra"]


@dataclass(frozen=True)
class Trial:
    """One trial: which system was behind each label, and the answer (a label, ``none``, or ratings by label)."""

    item: str
    truth: Mapping[str, str]
    answer: str | Mapping[str, float]

    @property
    def right(self) -> bool:
        """Whether an ABX answer is right."""
        return self.truth[str(self.answer)] == self.truth["X"]

    @property
    def preferred(self) -> str | None:
        """The preferred system of a preference trial."""
        return None if self.answer == "none" else self.truth[str(self.answer)]

    @property
    def ratings(self) -> dict[str, float]:
        """Ratings by system of a MUSHRA trial."""
        if isinstance(self.answer, str):
            return {}
        return {self.truth[label]: value for label, value in self.answer.items()}


@dataclass(frozen=True)
class Session:
    """All trials of one listener in one go."""

    file: str
    page: str
    kind: Kind
    systems: tuple[str, ...]
    listener: str
    session: str
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Answers:
    """Sessions of one page."""

    sessions: tuple[Session, ...]
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        return self.sessions[0].kind

    @property
    def systems(self) -> tuple[str, ...]:
        return self.sessions[0].systems

    @property
    def listeners(self) -> list[str]:
        return list(dict.fromkeys(session.listener for session in self.sessions))

    def trials(self, listener: str | None = None) -> list[tuple[str, Trial]]:
        """Trials with their listener; of one listener, or of all."""
        own = [session for session in self.sessions if listener in (None, session.listener)]
        return [(session.listener, trial) for session in own for trial in session.trials]


def read_results(paths: Sequence[Path]) -> Answers:
    """Read what listeners saved. The same session given twice counts once, with a note.

    Raises:
        DataError: a file that is damaged or something else, or files of different pages or kinds; named.
    """
    sessions: dict[tuple[str, str], Session] = {}
    notes = []
    for path in paths:
        new = read_session(path)
        old = sessions.setdefault((new.listener, new.session), new)
        if old is new:
            continue
        if old.trials != new.trials or old.page != new.page:
            raise DataError(f"{path}: the same session as {old.file}, but with other answers; one of them was changed")
        notes.append(f"{path} is the same session as {old.file} ({new.listener}) and counts once")
    if not sessions:
        raise DataError("no results given; name the files that listeners saved")
    read = tuple(sessions.values())
    _check_one_page(read)
    return Answers(read, tuple(notes))


def _check_one_page(sessions: Sequence[Session]) -> None:
    first = sessions[0]
    for other in sessions:
        for what, a, b in (("kind", first.kind, other.kind), ("page", first.page, other.page)):
            if a != b:
                raise DataError(
                    f"{other.file} answers another {what} ({b}) than {first.file} ({a}); analyse each page by itself"
                )


def read_session(path: Path) -> Session:
    """One file of results.

    Raises:
        DataError: missing, not JSON, not results of ours, or damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise DataError(f"{path}: damaged or not JSON ({error}); give a file saved by a listening test") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise DataError(f"{path}: not a result of a listening test; give a file saved by a page of auscult listen")
    if found.get("version") != VERSION:
        raise DataError(f"{path}: results of version {found.get('version')}, this auscult reads version {VERSION}")
    try:
        return _session(path, found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise DataError(f"{path}: damaged ({reason}); ask the listener to save it again") from error


def _session(path: Path, found: Mapping[str, Any]) -> Session:
    kind: Kind | None = next((k for k in ("abx", "ab", "mushra") if k == found["kind"]), None)
    if kind is None:
        raise ValueError(f"unknown kind {found['kind']!r}")
    systems = tuple(map(str, found["systems"]))
    texts = [found[name] for name in ("page", "listener", "session")]
    if not all(isinstance(text, str) and text for text in texts):
        raise ValueError("page, listener and session must be text")
    if not found["trials"]:
        raise ValueError("no trials")
    trials = tuple(_trial(kind, number, row, systems) for number, row in enumerate(found["trials"], start=1))
    return Session(str(path), texts[0], kind, systems, texts[1], texts[2], trials)


def _trial(kind: Kind, number: int, row: Mapping[str, Any], systems: Sequence[str]) -> Trial:
    truth = {str(label): str(system) for label, system in row["truth"].items()}
    unknown = set(truth.values()) - {*systems, *((REFERENCE, ANCHOR) if kind == "mushra" else ())}
    if unknown:
        raise ValueError(f"trial {number}: unknown system {few(unknown)}")
    if kind == "mushra":
        return Trial(str(row["item"]), truth, _ratings(number, row["answer"], truth, systems))
    if truth.keys() != LABELS[kind] or row["answer"] not in CHOICES[kind]:
        raise ValueError(f"trial {number}: labels {few(truth)}, answer {row['answer']!r}")
    if truth["A"] == truth["B"] or truth.get("X", truth["A"]) not in (truth["A"], truth["B"]):
        raise ValueError(f"trial {number}: A, B and X do not fit together")
    return Trial(str(row["item"]), truth, str(row["answer"]))


def _ratings(number: int, answer: Any, truth: Mapping[str, str], systems: Sequence[str]) -> dict[str, float]:
    if answer.keys() != truth.keys() or sorted(truth.values()) != sorted({*systems, REFERENCE, ANCHOR}):
        raise ValueError(f"trial {number}: not every version is rated once")
    for value in answer.values():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
            raise ValueError(f"trial {number}: a rating of {value!r}, allowed are 0 to 100")
    return {label: float(value) for label, value in answer.items()}
