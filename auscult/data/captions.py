"""Captions of recordings: a table from names to texts, and texts as arrays that stack into batches.

What a model is told need not be a recording's own caption: controls of an experiment tell another one's, the same one
of all, or none (:data:`Say`).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from auscult.data.manifest import read_rows
from auscult.errors import DataError
from auscult.rng import Key

LONGEST = 512
"""Bytes of a caption; the rest of a longer one is not heard."""
Say = Literal["own", "exchanged", "constant", "none"]
"""Which caption is told of a recording: :func:`told`."""
CONSTANT = "sound"
"""What ``constant`` says of every recording."""


@dataclass(frozen=True)
class Captions:
    """Texts by the name of their recording: its path as in the table, else its file's name without a suffix."""

    texts: Mapping[str, str]

    @classmethod
    def read(cls, table: Path, column: str = "caption") -> Captions:
        """A table in JSONL or CSV with ``path`` and a column of captions or of transcripts.

        Raises:
            DataError: it cannot be read, or a row lacks one of the columns.
        """
        rows = _csv_rows(table) if table.suffix.lower() == ".csv" else read_rows(table)
        for row in rows:
            if missing := [name for name in ("path", column) if row.get(name) is None]:
                raise DataError(f"{table}: line {row['line']} has no {missing[0]}; each row needs path and {column}")
        return cls.by_name({str(row["path"]): str(row[column]) for row in rows})

    @classmethod
    def by_name(cls, whole: Mapping[str, str]) -> Captions:
        """Captions by the recordings' names, which are also known without folder and suffix."""
        return cls({PurePosixPath(name).stem: text for name, text in whole.items()} | dict(whole))

    def of(self, name: str) -> str:
        """The caption of a recording.

        Raises:
            DataError: the table has none of that name.
        """
        for key in (name, PurePosixPath(name).stem):
            if key in self.texts:
                return self.texts[key]
        raise DataError(
            f"{name}: no caption in the table, by its path or its file's name; add a row (an empty text is one)"
        )


def told(own: Mapping[str, str], say: Say) -> dict[str, str]:
    """What is said of each recording of a set, by its name.

    ``own``: its caption. ``exchanged``: :func:`exchanged`. ``constant``: :data:`CONSTANT` of all. ``none``: nothing.
    """
    if say == "exchanged":
        return exchanged(own)
    return {name: text if say == "own" else CONSTANT if say == "constant" else "" for name, text in own.items()}


def exchanged(own: Mapping[str, str]) -> dict[str, str]:
    """Captions dealt out anew among the recordings: as often said as before, and never of one whose own they are.

    The deal depends on names and texts alone. It is random beyond that, so that of many different captions the wrong
    one tells nothing; of two, it tells the right one. Where more than half of the recordings share a caption, some of
    these get a caption that another one has got too. Where all share it, they keep it.
    """
    names = sorted(own)
    codes = np.unique([own[name] for name in names], return_inverse=True)[1].ravel()
    draw = Key(0).child("captions", "exchanged").numpy()
    given = draw.permutation(len(names))
    for i in range(len(names)):
        if codes[given[i]] == codes[i]:
            free = np.flatnonzero((codes[given] != codes[i]) & (codes != codes[given[i]]))
            others = np.flatnonzero(codes != codes[i])
            if free.size:
                j = draw.choice(free)
                given[[i, j]] = given[[j, i]]
            elif others.size:
                given[i] = draw.choice(others)
    return {name: own[names[place]] for name, place in zip(names, given, strict=True)}


def as_bytes(text: str) -> Int64[ndarray, " L"]:
    """A text as :data:`LONGEST` bytes of UTF-8, zeros behind its end."""
    raw = np.frombuffer(text.encode()[:LONGEST], np.uint8)
    return np.pad(raw.astype(np.int64), (0, LONGEST - raw.size))


def as_text(raw: Int64[ndarray, " L"]) -> str:
    """The text that bytes hold."""
    return bytes(raw.astype(np.uint8)).rstrip(b"\0").decode(errors="replace")


def _csv_rows(table: Path) -> list[dict[str, object]]:
    try:
        with table.open(encoding="utf-8", newline="") as file:
            return [{**row, "line": number} for number, row in enumerate(csv.DictReader(file), start=2)]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table}: cannot be read as a table of captions ({error}); give CSV or JSONL") from error
