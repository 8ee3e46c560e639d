"""An evaluation's folder: what it is of, the rows as they come, and reading it back.

<folder>/
    evaluation.json      items, metrics, systems, protocol, fingerprint: written before anything is computed
    rows.jsonl           one row an item, system and seed, as they finish
    restored/            what models made of the noisy files, a folder a system and state of it; never deleted here
    scores.csv, scores.parquet, summary.json, summary.md, summary.tex, report.html
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pydantic

from auscult.errors import EvaluationError
from auscult.evaluate.protocol import differences
from auscult.evaluate.rows import Evaluation, Item, MetricFacts, Row
from auscult.files import lock, sweep, write_bytes

HEAD, ROWS, RESTORED = "evaluation.json", "rows.jsonl", "restored"


class Store:
    """The folder of one evaluation, held by one process; made for one plan and no other."""

    def __init__(self, folder: Path, head: Evaluation, overwrite: bool = False):
        self.folder, self._head, self._overwrite = folder, head, overwrite
        self.rows: list[Row] = []
        self._open = ExitStack()

    def __enter__(self) -> Store:
        """Open or continue.

        Raises:
            EvaluationError: the folder holds another evaluation, is in use, or cannot be written.
        """
        try:
            held = lock(self.folder)
        except BlockingIOError as error:
            raise EvaluationError(f"{self.folder}: another process evaluates in this folder; wait for it") from error
        except OSError as error:
            raise EvaluationError(
                f"{self.folder}: cannot be written ({error.strerror}); choose another --out"
            ) from error
        with ExitStack() as stack:
            stack.enter_context(held)
            self._continue()
            self._file: IO[str] = stack.enter_context(open(self.folder / ROWS, "a", encoding="utf-8"))
            self._open = stack.pop_all()
        return self

    def _continue(self) -> None:
        """What is there must be of this plan; a line that a crash cut short goes."""
        sweep(self.folder)
        there = (self.folder / HEAD).exists()
        if there and self._overwrite and _unlike(self.folder, self._head):
            (self.folder / ROWS).unlink(missing_ok=True)
            there = False
        if there:
            _refuse_others(self.folder, self._head)
        else:
            write_bytes(self.folder / HEAD, json.dumps(_plain(self._head, self.folder), indent=1).encode())
        self.rows = _read_rows(self.folder)
        lines = [json.dumps(_plain(row, self.folder)) + "\n" for row in self.rows]
        write_bytes(self.folder / ROWS, "".join(lines).encode())

    def add(self, row: Row) -> None:
        """Keep a finished row."""
        self._file.write(json.dumps(_plain(row, self.folder)) + "\n")
        self._file.flush()
        self.rows.append(row)

    def evaluation(self) -> Evaluation:
        """What is known so far, in the order of the plan; measured facts go to their items."""
        return _assembled(self._head, self.rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()


def load(folder: Path) -> Evaluation:
    """A finished or unfinished evaluation from its folder.

    Raises:
        EvaluationError: no evaluation there, or it is damaged.
    """
    return _assembled(read_head(folder), _read_rows(folder))


def read_head(folder: Path) -> Evaluation:
    """An evaluation without its rows.

    Raises:
        EvaluationError: no evaluation there, or it is damaged.
    """
    path = folder / HEAD
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        items = [_absolute(item, folder, ("clean", "noisy")) for item in fields["items"]]
        return Evaluation(
            tuple(pydantic.TypeAdapter(list[Item]).validate_python(items)),
            (),
            tuple(pydantic.TypeAdapter(list[MetricFacts]).validate_python(fields["metrics"])),
            fields["systems"],
            fields["protocol"],
            str(fields["fingerprint"]),
        )
    except FileNotFoundError as error:
        raise EvaluationError(f"{folder}: no evaluation in it; `auscult evaluate --out FOLDER` writes one") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"{path}: damaged ({type(error).__name__}); evaluate again into another folder"
        ) from error


def join(own: Evaluation, others: Mapping[str, Evaluation], mixed: bool) -> tuple[Evaluation, list[str]]:
    """Put systems of other evaluations beside our own; with ``mixed`` also those measured otherwise, marked.

    Returns the whole and notes about marks.

    Raises:
        EvaluationError: another protocol (unless ``mixed``), other items, or a system of the same name.
    """
    rows, systems, notes = list(own.rows), dict(own.systems), []
    known = {(item.data, item.name) for item in own.items}
    for origin, other in others.items():
        mark = ""
        if other.fingerprint != own.fingerprint:
            what = "; ".join(differences(own.protocol, other.protocol)[:3])
            if not mixed:
                raise EvaluationError(
                    f"{origin}: measured by another protocol ({other.fingerprint}, here {own.fingerprint}): {what}; "
                    "score its files again here, or add --mixed to show its numbers marked"
                )
            mark = "†"
            notes.append(f"† from {origin}, measured by another protocol ({other.fingerprint}): {what}")
        for name, facts in other.systems.items():
            if name == "noisy" and name in systems:
                continue
            if name + mark in systems:
                raise EvaluationError(f"{origin}: has a system '{name}' as we do; rename one of them")
            systems[name + mark] = {**facts, "protocol": other.fingerprint} if mark else facts
            fitting = [row for row in other.rows if row.system == name and (row.data, row.item) in known]
            if not fitting:
                raise EvaluationError(f"{origin}: none of the items of '{name}' is among ours; are the data the same?")
            rows += [dataclasses.replace(row, system=name + mark) for row in fitting]
    return dataclasses.replace(own, rows=tuple(rows), systems=systems), notes


def _unlike(folder: Path, asked: Evaluation) -> list[str]:
    """What the evaluation in the folder and the one asked for differ in."""
    sides = [{"protocol": e.protocol, "systems": _plain(e.systems, folder)} for e in (read_head(folder), asked)]
    return differences(*sides)


def _refuse_others(folder: Path, asked: Evaluation) -> None:
    """Refuse to continue an evaluation of something else."""
    if found := _unlike(folder, asked):
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise EvaluationError(
            f"{folder}: holds an evaluation with other settings ({'; '.join(found[:3])}{more}); choose another --out, "
            "or --overwrite it"
        )


def _assembled(head: Evaluation, rows: Sequence[Row]) -> Evaluation:
    systems = {name: i for i, name in enumerate(head.systems)}
    places = {(item.data, item.name): i for i, item in enumerate(head.items)}
    measured = {(row.data, row.item): row.facts for row in rows if row.facts}
    items = [
        dataclasses.replace(item, facts={**measured.get((item.data, item.name), {}), **item.facts})
        for item in head.items
    ]
    ordered = sorted(rows, key=lambda row: (systems[row.system], row.seed or 0, places[row.data, row.item]))
    return dataclasses.replace(head, items=tuple(items), rows=tuple(ordered))


def _read_rows(folder: Path) -> list[Row]:
    """Rows so far; a last line that a crash cut short is left out."""
    path = folder / ROWS
    rows: list[Row] = []
    if not path.exists():
        return rows
    adapter = pydantic.TypeAdapter(Row)
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(adapter.validate_python(_absolute(json.loads(line), folder, ("estimate",))))
        except (ValueError, TypeError) as error:
            if number == len(lines):
                break
            raise EvaluationError(f"{path}:{number}: damaged; evaluate again into another folder") from error
    return rows


def _plain(value: Any, folder: Path) -> Any:
    """A record as JSON; paths inside the folder are relative to it, so that it can be moved."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name), folder) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item, folder) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, folder) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no infinity
    if isinstance(value, Path):
        whole, inside = value.resolve(), folder.resolve()
        return os.path.relpath(whole, inside) if inside in whole.parents else str(whole)
    return value


def _absolute(record: dict[str, Any], folder: Path, fields: Sequence[str]) -> dict[str, Any]:
    there = {name: str(folder.resolve() / record[name]) for name in fields if record.get(name) is not None}
    return {**record, **there}
