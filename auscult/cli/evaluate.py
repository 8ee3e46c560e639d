"""``auscult evaluate``."""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auscult.cli.shared import Json, print_json, print_table

if TYPE_CHECKING:
    from auscult.evaluate.score import Row


def evaluate(
    clean: Annotated[Path, typer.Option(help="Folder of clean references.")],
    enhanced: Annotated[
        list[str], typer.Option(help="Folder of restored files, DIR or DIR=NAME. Repeatable for several systems.")
    ],
    noisy: Annotated[Path | None, typer.Option(help="Folder of the inputs, scored as a system of its own.")] = None,
    metrics: Annotated[str, typer.Option(help="Comma-separated: pesq, estoi, si_sdr, or package.module.Class.")] = "",
    out: Annotated[Path, typer.Option("--out", "-o", help="CSV file with a row an item and system.")] = Path(
        "scores.csv"
    ),
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
    json: Json = False,
) -> None:
    """Score restored files against their clean references.

    Files are matched by name; what does not match, differs in length or rate stops the evaluation before it starts. A
    metric that fails on an item (silence, too short) is named, counted and left out of the mean, never scored zero.

        auscult evaluate --clean test/clean --noisy test/noisy --enhanced restored/
    """
    from rich.console import Console
    from rich.progress import track

    from auscult.evaluate.score import default_metrics, run, tasks_of

    systems = _systems(noisy, enhanced)
    names = [name.strip() for name in metrics.split(",")] if metrics else default_metrics()
    tasks = tasks_of(clean, systems)
    console = Console(stderr=True)
    quiet = json or not console.is_terminal
    scored = track(run(tasks, names, workers), "scoring", len(tasks), console=console, transient=True, disable=quiet)
    rows = list(scored)
    _write(out, rows)
    if json:
        print_json({"file": str(out), "systems": {system: _summary(rows, system) for system in systems}})
        return
    print_table(["system", "items", *rows_metrics(rows)], [_line(rows, system) for system in systems])
    for row in rows:
        for metric, reason in row.failures.items():
            typer.secho(f"no {metric} for {row.system}/{row.item}: {reason}", fg="yellow", err=True)
    typer.echo(f"per item: {out}")


def _systems(noisy: Path | None, enhanced: list[str]) -> dict[str, Path]:
    """Folders by name; a name given twice would hide one of two systems."""
    from auscult.errors import DataError

    systems = {"noisy": noisy} if noisy is not None else {}
    for given in enhanced:
        folder, _, name = (given, "", "") if Path(given).is_dir() else given.rpartition("=")
        path = Path(folder or name)
        label = (name if folder else "") or path.resolve().name
        if label in systems:
            raise DataError(f"two systems are called '{label}': {systems[label]} and {path}; name them as {path}=NAME")
        systems[label] = path
    return systems


def rows_metrics(rows: list[Row]) -> list[str]:
    """Names of all metrics that occur, in order."""
    return list(dict.fromkeys(name for row in rows for name in (*row.scores, *row.failures)))


def _summary(rows: list[Row], system: str) -> dict[str, object]:
    from auscult.evaluate.score import mean

    own = [row for row in rows if row.system == system]
    means = {name: value if math.isfinite(value := mean(own, name)) else None for name in rows_metrics(own)}
    return {"items": len(own), "means": means, "failed": {row.item: row.failures for row in own if row.failures}}


def _line(rows: list[Row], system: str) -> list[str]:
    from auscult.evaluate.score import mean

    own = [row for row in rows if row.system == system]
    cells = []
    for name in rows_metrics(rows):
        scored = sum(name in row.scores for row in own)
        note = "" if scored == len(own) else f" ({scored} of {len(own)})"
        cells.append(f"{mean(own, name):.3f}{note}")
    return [system, str(len(own)), *cells]


def _write(path: Path, rows: list[Row]) -> None:
    from auscult.files import aside

    columns = rows_metrics(rows)
    with aside(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["system", "item", *columns, "failed"])
        for row in rows:
            failed = "; ".join(f"{name}: {reason}" for name, reason in row.failures.items())
            writer.writerow([row.system, row.item, *(row.scores.get(name, "") for name in columns), failed])
