"""Histories as others write them: tables, JSON lines, TensorBoard events, logs. All become sparse columns of numbers.

Files are read as a stream, and numbers are kept in flat arrays (16 bytes each), so that a log of millions of rows fits.
"""

from __future__ import annotations

import csv
import json
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from auscult.errors import DataError, need

EVENTS = "events.out.tfevents"
TABLES = (".csv", ".tsv")
JSONS = (".jsonl", ".ndjson", ".json")
LOGS = (".log", ".txt", ".out")
OF_A_FOLDER = ("history.jsonl", "metrics.csv", "trainer_state.json", "history.csv", "log.csv", "progress.csv",
               "train.log", "log.txt")  # fmt: skip
"""Names that trainers give their history, the fullest first."""
NAME, VALUE = "name", "value"


class Table:
    """Columns of numbers that may have gaps: each holds the rows it has a value in, and the values."""

    def __init__(self) -> None:
        self._columns: dict[str, tuple[array[int], array[float]]] = {}
        self.rows = 0
        self.restarts: list[int] = []
        """Rows at which the file says that something was started anew."""

    def add(self, row: Mapping[str, float]) -> None:
        """A row; what it has no value for is left out."""
        for name, value in row.items():
            rows, values = self._columns.setdefault(name, (array("q"), array("d")))
            rows.append(self.rows)
            values.append(value)
        self.rows += 1

    @property
    def names(self) -> tuple[str, ...]:
        """Columns in the order in which they came."""
        return tuple(self._columns)

    def column(self, name: str) -> tuple[Int[ndarray, " n"], Float[ndarray, " n"]]:
        """Rows and values."""
        rows, values = self._columns[name]
        return np.array(rows, np.int64), np.array(values, float)


def read_table(path: Path) -> Table:
    """Read a history of any kind that is known.

    Raises:
        DataError: it cannot be read, is empty, or holds no numbers. MissingExtra: TensorBoard is not installed.
    """
    path = _in_folder(path) if path.is_dir() else path
    try:
        table = _read(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a history ({error})") from error
    if not table.rows:
        raise DataError(f"{path}: an empty history; its first row comes with the first step that is logged")
    return table


def _in_folder(folder: Path) -> Path:
    """The history in a folder of a trainer's."""
    for name in OF_A_FOLDER:
        if (folder / name).is_file():
            return folder / name
    if next(folder.rglob(f"{EVENTS}*"), None) is not None:
        return folder
    found = sorted(path for path in folder.iterdir() if path.suffix in (*TABLES, *JSONS, *LOGS))
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} files that may be it" if found else "no history in it"
    raise DataError(f"{folder}: {what}; name the file (--history FILE)")


def _read(path: Path) -> Table:
    from auscult.diagnose.gather.history_text import read_log

    if path.is_dir() or EVENTS in path.name:
        return _events(sorted(path.rglob(f"{EVENTS}*")) if path.is_dir() else [path])
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        if path.suffix in TABLES:
            return _table(file)
        if path.suffix in JSONS:
            return _whole(file, path) if path.suffix == ".json" else _lines(file, path)
        return read_log(file)


def _table(file: IO[str]) -> Table:
    """CSV or TSV; long tables (step, name, value) are spread out. A line that was cut short is left out."""
    head = file.readline()
    file.seek(0)
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(file, delimiter=delimiter)
    table, names = Table(), [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    for row in reader:
        if row.get(names[-1]) is None:
            continue
        if names[1:] == [NAME, VALUE]:
            row = {names[0]: row[names[0]], row[NAME]: row[VALUE]}
        table.add({name: value for name, text in row.items() if name and (value := _number(text)) is not None})
    return table


def _lines(file: IO[str], path: Path) -> Table:
    """JSON lines; a last line that was cut short is left out."""
    table, bad = Table(), 0
    for line in file:
        try:
            row = json.loads(line) if line.strip() else {}
        except json.JSONDecodeError:
            bad += 1
            continue
        if isinstance(row, dict) and row:
            table.add(dict(_flat(row)))
    if bad > 1 and bad > table.rows:
        raise DataError(f"{path}: not JSON lines ({bad} lines that are no JSON); give logs as .log or .txt")
    return table


def _whole(file: IO[str], path: Path) -> Table:
    """A list of rows, rows under ``log_history`` (Hugging Face), or a mapping of columns (Keras)."""
    try:
        found: Any = json.load(file)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: not JSON ({error}); it may be cut short") from error
    found = found.get("log_history", found) if isinstance(found, Mapping) else found
    if isinstance(found, Mapping):
        columns = {name: values for name, values in found.items() if isinstance(values, list)}
        length = max(map(len, columns.values()), default=0)
        found = [{name: v[i] for name, v in columns.items() if i < len(v)} for i in range(length)]
    table = Table()
    for row in found if isinstance(found, list) else ():
        if isinstance(row, Mapping):
            table.add(dict(_flat(row)))
    return table


def _flat(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Numbers of a nested row by path; of lists nothing."""
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}/")
        elif not isinstance(value, list) and (number := _number(value)) is not None:
            yield f"{prefix}{name}", number


def _number(value: Any) -> float | None:
    """A number; NaN for what is written as not finite; None for an empty cell and for text."""
    if value is None or isinstance(value, bool | list):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else math.nan


def _events(files: Iterable[Path]) -> Table:
    """TensorBoard scalars; every file after the first was begun by a new start."""
    need("tensorboard", "reading TensorBoard events")
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
    from tensorboard.util import tensor_util

    table = Table()
    for file in files:
        if table.rows:
            table.restarts.append(table.rows)
        for event in LegacyEventFileLoader(str(file)).Load():
            row = {"step": float(event.step)}
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    row[value.tag] = _finite(value.simple_value)
                elif value.HasField("tensor") and value.tensor.dtype in (1, 2) and not value.tensor.tensor_shape.dim:
                    row[value.tag] = _finite(float(tensor_util.make_ndarray(value.tensor)))
            if len(row) > 1:
                table.add(row)
    return table


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.nan
