"""Captions of recordings: a table from names to texts, and texts as arrays that stack into batches."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from auscult.data.manifest import read_rows
from auscult.errors import DataError

LONGEST = 512
"""Bytes of a caption; the rest of a longer one is not heard."""


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
        whole = {str(row["path"]): str(row[column]) for row in rows}
        return cls({PurePosixPath(name).stem: text for name, text in whole.items()} | whole)

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
