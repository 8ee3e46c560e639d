"""The curves of a run from its history, whoever wrote it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from auscult.diagnose.evidence import Absent, Curve, Curves
from auscult.diagnose.gather.history_columns import axes, mapped
from auscult.diagnose.gather.history_formats import Table, read_table
from auscult.diagnose.gather.history_own import is_own, read_own
from auscult.errors import DataError
from auscult.hub.runs import HISTORY

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

Unit = Literal["step", "epoch"]


def gather_curves(case: Case) -> Curves:
    """The history that was given, or that of the run folder.

    Raises:
        Absent: none was given. DataError: it cannot be read, or no column of it is known. MissingExtra: see
        :func:`auscult.diagnose.gather.history_formats.read_table`.
    """
    curves = read_curves(_path(case), case.given.columns)
    case.notes.append(_told(curves))
    return curves


def read_curves(path: Path, columns: Mapping[str, str] | None = None) -> Curves:
    """Read a history; ``columns`` names columns by curve where names alone do not tell.

    Raises:
        DataError, MissingExtra: as :func:`gather_curves`.
    """
    if not path.exists():
        raise DataError(f"{path}: no such history")
    inside = path / HISTORY if path.is_dir() else path
    if inside.is_file() and inside.suffix == ".jsonl" and is_own(inside):
        return _of_ours(inside)
    return of_table(read_table(path), str(path), columns or {})


def _path(case: Case) -> Path:
    if case.given.history is not None:
        return case.given.history
    run = case.get("run")
    if run is None:
        raise Absent("no history was given (--history FILE, or --run DIR)")
    if not (run.path / HISTORY).is_file() or not (run.path / HISTORY).stat().st_size:
        raise Absent(f"{run.path}: no history yet; its first row comes with the first logged step")
    return run.path / HISTORY


def _of_ours(path: Path) -> Curves:
    own = read_own(path)
    names = {name: name for name in own.table.names if name != "step"}
    if not names:
        raise DataError(f"{path}: no row in it yet; the first comes with the first logged step")
    at, unit, starts = _positions(own.table, "step", None)
    return Curves(
        dict(_curves(own.table, names, at, unit)),
        unit,
        str(path),
        per_item=own.per_item(),
        ranks=tuple(own.ranks),
        starts=starts,
        last=float(np.nanmax(at)),
    )


def of_table(table: Table, source: str, columns: Mapping[str, str]) -> Curves:
    """Curves of a foreign table."""
    chosen = mapped(table, columns, source)
    step, epoch = axes(table.names)
    at, unit, starts = _positions(table, chosen.pop("step", step), chosen.pop("epoch", epoch))
    curves = dict(_curves(table, chosen, at, unit))
    if not curves:
        raise DataError(f"{source}: no row of it says at which step or epoch it is")
    unmapped = [name for name in table.names if name not in {*chosen.values(), step, epoch}]
    last = max(float(curve.at[-1]) for curve in curves.values())
    return Curves(curves, unit, source, {name: chosen[name] for name in curves}, unmapped, starts=starts, last=last)


def _curves(
    table: Table, chosen: Mapping[str, str], at: Float[ndarray, " rows"], unit: Unit
) -> Iterator[tuple[str, Curve]]:
    for name, column in chosen.items():
        rows, values = table.column(column)
        place = _spread(at[rows]) if unit == "epoch" else at[rows]
        known = np.isfinite(place) & ~_fillers(values)
        if known.any():
            yield name, _curve(place[known], values[known])


def _curve(at: Float[ndarray, " n"], values: Float[ndarray, " n"]) -> Curve:
    """In order; of places that come again (work done again after a resume) the last."""
    order = np.argsort(at, kind="stable")
    at, values = at[order], values[order]
    last = np.append(np.diff(at) > 0, True)
    return Curve(at[last], values[last])


def _fillers(values: Float[ndarray, " n"]) -> Bool[ndarray, " n"]:
    """NaN between finite values again and again is how tables write an empty cell, not a loss that broke."""
    gaps = np.isnan(values)
    returns = int(np.sum(gaps[:-1] & ~gaps[1:]))
    return gaps & (returns >= 5 and gaps.mean() >= 0.2)


def _spread(at: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
    """Rows of one epoch share its number: spread them over it."""
    if at.size < 2:
        return at
    first = np.append(True, np.diff(at) != 0)
    group = np.cumsum(first) - 1
    counts = np.bincount(group)
    place = np.arange(at.size) - np.flatnonzero(first)[group]
    return at + place / counts[group]


def _positions(
    table: Table, step: str | None, epoch: str | None
) -> tuple[Float[ndarray, " rows"], Unit, tuple[float, ...]]:
    """Where each row is, in what unit, and where the run was started again."""
    steps, epochs = (_filled(table, name) for name in (step, epoch))
    if steps is not None and epochs is not None and _within_epochs(steps, epochs):
        span = np.nanmax(steps) - np.nanmin(steps) + 1
        at, unit = epochs + np.nan_to_num((steps - np.nanmin(steps)) / span), "epoch"
    elif steps is not None and (epochs is None or _distinct(steps) >= _distinct(epochs)):
        at, unit = steps, "step"
    elif epochs is not None:
        at, unit = epochs, "epoch"
    else:
        at, unit = np.arange(table.rows, dtype=float), "step"
    backwards = np.flatnonzero(np.diff(at) < 0) + 1
    rows = sorted({*backwards.tolist(), *table.restarts})
    starts = tuple(float(at[row]) for row in rows if row < at.size and math.isfinite(at[row]))
    return at, "epoch" if unit == "epoch" else "step", starts


def _within_epochs(steps: Float[ndarray, " rows"], epochs: Float[ndarray, " rows"]) -> bool:
    """Whether steps are counted anew in every epoch."""
    resets = np.diff(steps) < 0
    return int(resets.sum()) >= 2 and bool((np.diff(epochs)[resets] > 0).mean() > 0.8)


def _distinct(values: Float[ndarray, " rows"]) -> int:
    return int(np.unique(values[np.isfinite(values)]).size)


def _filled(table: Table, name: str | None) -> Float[ndarray, " rows"] | None:
    """A column on every row: the last value before; NaN before the first."""
    if name is None:
        return None
    rows, values = table.column(name)
    rows, values = rows[np.isfinite(values)], values[np.isfinite(values)]
    place = np.searchsorted(rows, np.arange(table.rows), side="right") - 1
    return np.where(place >= 0, values[np.maximum(place, 0)], np.nan) if rows.size else None


def _told(curves: Curves) -> str:
    if not curves.mapping:
        return f"{curves.source}: our own history, {curves.last:.0f} steps"
    read = ", ".join(f"{name} from '{column}'" for name, column in curves.mapping.items())
    unused = f"; not used: {', '.join(curves.unmapped[:20])}" if curves.unmapped else ""
    return f"{curves.source}: by {curves.unit}, {read}{unused}; --column NAME=COLUMN says otherwise"
