"""Scores of items: evaluation folders of ours, and tables of anybody (CSV, TSV, JSONL) with guessed columns."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from auscult.diagnose.evidence import Absent, Scores
from auscult.diagnose.gather.columns import Meaning, meanings
from auscult.errors import DataError
from auscult.evaluate.rows import Evaluation
from auscult.evaluate.store import HEAD, load
from auscult.plain import leaves

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

NAMES = ("item", "uttid", "utt", "utt_id", "filename", "file", "name", "id", "key", "wav", "path", "")
"""Columns that name items, in this order."""
REPEATS = {"repeat": "repeat", "run": "repeat", "repetition": "repeat", "trial": "repeat", "seed": "seed"}
"""Columns that count scorings of the same item: each is another row of ``seeds``."""
SUMMARY = ("mean", "average", "avg", "std", "sd", "median", "total", "overall", "min", "max")
"""Rows that sum up the others."""
NOISY, ENHANCED, IMPROVEMENT = "noisy", "enhanced", "improvement"


def gather_scores(case: Case) -> Scores:
    """Scores of the table or evaluation folder that was given.

    Raises:
        Absent: none was given. DataError: it cannot be read, or no column of it is a score.
    """
    path = case.given.scores
    if path is None:
        raise Absent("no scores of items were given (--scores TABLE or evaluation folder)")
    if path.is_dir():
        return _of_evaluations(path)
    return _of_table(path, case.given.columns)


def _of_table(path: Path, columns: Mapping[str, str]) -> Scores:
    rows = list(_rows(path))
    if not rows:
        raise DataError(f"{path}: no row in it; a table of scores has a row an item")
    present = dict.fromkeys(column for row in rows for column in row)
    numeric = [column for column in present if any(math.isfinite(_number(row.get(column))) for row in rows)]
    named = next((column for name in NAMES for column in present if column.strip().lower() == name), None)
    counts = next((column for column in present if column.strip().lower() in REPEATS), None)
    read = meanings([c for c in numeric if c not in (named, counts)], columns)
    if not read:
        raise DataError(
            f"{path}: no column is known as a score ({', '.join(present)}); say what they are: --columns "
            "'COLUMN=si_sdr.noisy'"
        )
    items = [_item(row.get(named) if named is not None else None, place) for place, row in enumerate(rows)]
    kept = [place for place, item in enumerate(items) if item.lower() not in SUMMARY]
    repeats = [str(rows[place][counts]) for place in kept] if counts is not None else [""] * len(kept)
    names = list(dict.fromkeys(items[place] for place in kept))
    tables = {one: _filled(rows, kept, items, names, repeats, column) for column, one in read.items()}
    values = {one: _mean(table) for one, table in tables.items()}
    return Scores(
        names,
        _with_improvements(values),
        str(path),
        {column: ".".join(one) for column, one in read.items()} | _counting(counts),
        {one: table for one, table in tables.items() if len(table) > 1},
    )


def _counting(column: str | None) -> dict[str, str]:
    return {} if column is None else {column: REPEATS[column.strip().lower()]}


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """Rows of a table.

    Raises:
        DataError: it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            for line in text.splitlines():
                if line.strip():
                    yield dict(leaves(json.loads(line)))
            return
        first = text.partition("\n")[0]
        delimiter = max(",\t;", key=first.count)
        yield from csv.DictReader(text.splitlines(), delimiter=delimiter)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table of scores ({error}); give CSV, TSV or JSONL") from error


def _filled(
    rows: Sequence[Mapping[str, Any]],
    kept: Sequence[int],
    items: Sequence[str],
    names: Sequence[str],
    repeats: Sequence[str],
    column: str,
) -> ndarray:
    """Values [repeats, items]; NaN where a cell is missing or no number."""
    place = {name: i for i, name in enumerate(names)}
    turn = {repeat: i for i, repeat in enumerate(dict.fromkeys(repeats))}
    table = np.full((len(turn), len(names)), np.nan)
    for at, repeat in zip(kept, repeats, strict=True):
        table[turn[repeat], place[items[at]]] = _number(rows[at].get(column))
    return table


def _of_evaluations(folder: Path) -> Scores:
    """One evaluation of ours, or several in a folder: the same weights in two of them are scorings of one system."""
    folders = [folder] if (folder / HEAD).is_file() else sorted(path.parent for path in folder.glob(f"*/{HEAD}"))
    if not folders:
        raise DataError(f"{folder}: no {HEAD} in it or in a folder of it; --scores takes a table or such a folder")
    evaluations = [load(one) for one in folders]
    items = list(dict.fromkeys(_place(one.data, one.name) for each in evaluations for one in each.items))
    tables: dict[Meaning, list[ndarray]] = {}
    for each in evaluations:
        for system in each.systems:
            for seed in sorted({row.seed or 0 for row in each.rows if row.system == system}):
                for metric in each.metrics:
                    values = _scored(each, system, seed, metric.name, items)
                    if np.isfinite(values).any():
                        tables.setdefault((metric.name, system), []).append(values)
    known = {one: np.stack(found) for one, found in _renamed(tables).items()}
    means = {one: _mean(table) for one, table in known.items()}
    seeds = {one: table for one, table in known.items() if len(table) > 1}
    return Scores(items, _with_improvements(means), str(folder), _sides(tables), seeds)


def _scored(of: Evaluation, system: str, seed: int, metric: str, items: Sequence[str]) -> ndarray:
    found = {
        _place(row.data, row.item): row.scores[metric]
        for row in of.rows
        if row.system == system and (row.seed or 0) == seed and metric in row.scores
    }
    return np.array([found.get(item, math.nan) for item in items])


def _sides(tables: Iterable[Meaning]) -> dict[str, str]:
    """A single system beside the noisy input is ``enhanced``; several keep their names."""
    systems = list(dict.fromkeys(system for _, system in tables if system != NOISY))
    return {NOISY: NOISY} | ({systems[0]: ENHANCED} if len(systems) == 1 else {name: name for name in systems})


def _renamed(tables: Mapping[Meaning, list[ndarray]]) -> dict[Meaning, list[ndarray]]:
    sides = _sides(tables)
    return {(metric, sides[system]): found for (metric, system), found in tables.items()}


def _with_improvements(values: Mapping[Meaning, ndarray]) -> dict[Meaning, ndarray]:
    """Improvements where a table has both sides and does not say them."""
    found = dict(values)
    for metric, side in values:
        if side == ENHANCED and (metric, NOISY) in values:
            found.setdefault((metric, IMPROVEMENT), values[metric, ENHANCED] - values[metric, NOISY])
    return found


def _mean(table: ndarray) -> ndarray:
    """Mean over repeats of what is known."""
    counts = np.isfinite(table).sum(0)
    total = np.where(np.isfinite(table), table, 0.0).sum(0)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


def _place(data: str, item: str) -> str:
    return f"{data}/{item}"


def _item(cell: Any, place: int) -> str:
    """A name without folder endings that differ between tables: no audio suffix."""
    text = str(cell).strip() if cell not in (None, "") else str(place)
    return text.rpartition(".")[0] if text.lower().endswith((".wav", ".flac", ".ogg", ".mp3")) else text


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return math.nan
