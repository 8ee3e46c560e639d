"""Our own histories: rows of :mod:`auscult.train.tally` and of :class:`auscult.diagnose.recorder.Recorder`."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from auscult.diagnose.gather.history_formats import Table
from auscult.errors import DataError
from auscult.train.history import number

KINDS = ("step", "validation", "start")
MAIN = "net"
MOST_RANK_ROWS = 20_000
"""Rows of processes that are kept, the newest."""
OF_TURN = ("lr", "grad_norm", "grad_norm_mean", "clipped_share", "unstepped", "ema_distance", "ema_updates")
OF_ROW = {"loader_wait_share": "loader_wait", "items": "items", "loss_scale": "loss_scale"}


@dataclass
class Own:
    """What a history of ours holds: curves as columns, scores of items, what processes say of themselves."""

    table: Table = field(default_factory=Table)
    validations: list[Mapping[str, Mapping[str, float]]] = field(default_factory=list)
    ranks: deque[Mapping[str, object]] = field(default_factory=lambda: deque(maxlen=MOST_RANK_ROWS))
    memory_mib: float = 0.0

    def per_item(self) -> dict[str, list[Float[ndarray, " items"]]]:
        """Scores of every item at every validation; NaN where there is none."""
        names = dict.fromkeys(name for scores in self.validations for name in scores)
        metrics = dict.fromkeys(m for scores in self.validations for item in scores.values() for m in item)
        empty: Mapping[str, float] = {}
        return {
            metric: [np.array([s.get(n, empty).get(metric, np.nan) for n in names]) for s in self.validations]
            for metric in metrics
        }


def is_own(path: Path) -> bool:
    """Whether the first row of a file of JSON lines is of a kind that we write."""
    with path.open(encoding="utf-8", errors="replace") as file:
        head = file.readline()
    try:
        row = json.loads(head)
    except json.JSONDecodeError:
        return False
    return isinstance(row, dict) and row.get("kind") in KINDS and "step" in row


def read_own(path: Path) -> Own:
    """Read a history of ours; a last line that was cut short is left out. Files of other ranks beside it are joined.

    Raises:
        DataError: rows are damaged.
    """
    own = Own()
    try:
        for row in _rows(path):
            _take(own, row)
        for beside in sorted(path.parent.glob(f"{path.stem}.rank*{path.suffix}")):
            own.ranks.extend(rank for row in _rows(beside) for rank in row.get("ranks", ()))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: not the history of a run ({type(error).__name__}: {error})") from error
    return own


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                return


def _take(own: Own, row: Mapping[str, Any]) -> None:
    if row["kind"] == "step":
        memory = float(row.get("peak_memory_mib", 0.0))
        if memory < own.memory_mib and own.table.rows:  # a peak falls only where a new process begins
            own.table.restarts.append(own.table.rows)
        own.memory_mib = memory
        own.ranks.extend(row.get("ranks", ()))
        own.table.add({"step": float(row["step"])} | dict(_of_step(row)))
    elif row["kind"] == "validation":
        own.validations.append({item["item"]: _scores(item) for item in row["items"]})
        own.table.add({"step": float(row["step"])} | dict(_of_validation(row)))
    elif row["kind"] == "start" and own.table.rows:
        own.table.restarts.append(own.table.rows)


def _of_step(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    turns = row["turns"]
    main = turns[MAIN if MAIN in turns else next(iter(turns))]
    yield "train.loss", number(main["loss"])
    for name in OF_TURN:
        if name in main:
            yield name, number(main[name])
    groups = {"parts": "train.loss.", "gradient_share": "share.", "gradient_cosine": "cosine."}
    for group, prefix in (groups | {"update_ratio": "update_ratio."}).items():
        for name, value in main.get(group, {}).items():
            yield prefix + name, number(value)
    if "gain" in main.get("notes", {}):
        yield "gain", number(main["notes"]["gain"])
    if "discriminator" in turns:
        yield "discriminator.loss", number(turns["discriminator"]["loss"])
    for turn in turns.values():
        yield from ((f"dropped.{cause}", number(count)) for cause, count in turn.get("dropped", {}).items())
    for name, curve in OF_ROW.items():
        if name in row:
            yield curve, number(row[name])


def _of_validation(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    yield from ((f"valid.{name}", number(value)) for name, value in row["means"].items())
    yield from ((f"calibration.{name}", number(value)) for name, value in row.get("calibration", {}).items())


def _scores(item: Mapping[str, Any]) -> dict[str, float]:
    return {name: number(value) for name, value in item.items() if name not in ("item", "failed")}
