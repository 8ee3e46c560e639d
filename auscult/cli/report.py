"""``auscult report``: the page of training runs, or that of an evaluation again."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from auscult.evaluate.rows import Evaluation
    from auscult.evaluate.summary import Summary


class Audio(Enum):
    """Where the sound of players goes."""

    embed = "embed"
    beside = "beside"
    none = "none"


def report(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Run folders, or evaluation folders.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The page. Default: FOLDER/report.html; runs-report.html for several runs."),
    ] = None,
    audio: Annotated[
        Audio, typer.Option(help="Recordings inside the page, in the folder report-audio beside it, or none.")
    ] = Audio.embed,
    metric: Annotated[str | None, typer.Option(help="Of an evaluation: the metric that highlights are about.")] = None,
    system: Annotated[str | None, typer.Option(help="Of an evaluation: the system that highlights are about.")] = None,
) -> None:
    """Write the page of a training run, of several runs compared, or of an evaluation.

    A page is one file that works offline. Runs need not be finished: the page shows what there is so far.

        auscult report runs/bandgru-6397588b

        auscult report runs/a-1a2b3c4d runs/b-5e6f7a8b -o compared.html

        auscult report evaluation/ --audio beside --metric estoi
    """
    from auscult.errors import DataError
    from auscult.evaluate.store import HEAD

    evaluations = [folder for folder in folders if (folder / HEAD).is_file()]
    if evaluations and len(evaluations) < len(folders):
        run = next(folder for folder in folders if folder not in evaluations)
        raise DataError(f"{evaluations[0]} is an evaluation, {run} is not; a page is of runs or of an evaluation")
    if evaluations:
        _evaluations(folders, out, audio, metric, system)
        return
    for name, given in (("--metric", metric), ("--system", system)):
        if given is not None:
            raise DataError(f"{name} is for evaluations, {folders[0]} is none")
    from auscult.report.runs import write_runs

    path = out or (folders[0] / "report.html" if len(folders) == 1 else Path("runs-report.html"))
    write_runs(path, folders, audio.value)
    _say(path)


def _evaluations(
    folders: Sequence[Path], out: Path | None, audio: Audio, metric: str | None, system: str | None
) -> None:
    from dataclasses import replace

    from auscult.errors import DataError
    from auscult.evaluate.store import load
    from auscult.evaluate.summary import summarise
    from auscult.report.evaluation import write_report
    from auscult.report.highlights import systems_of

    if out is not None and len(folders) > 1:
        raise DataError(f"--out {out} is one page, {len(folders)} evaluations have one each; leave it out")
    for folder in folders:
        evaluation = load(folder)
        _check(metric, "metric", [one.name for one in evaluation.metrics], folder)
        _check(system, "system", systems_of(evaluation), folder)
        summary = summarise(evaluation)
        notes = (*_kept(folder, evaluation, summary), *summary.notes)
        path = out or folder / "report.html"
        write_report(path, evaluation, replace(summary, notes=notes), audio.value, metric, system)
        _say(path)


def _check(name: str | None, what: str, known: Sequence[str], folder: Path) -> None:
    from auscult.errors import DataError, nearest

    if name is not None and name not in known:
        raise DataError(f"{folder}: no {what} '{name}'{nearest(name, known)}; there are {', '.join(known)}")


def _kept(folder: Path, evaluation: Evaluation, summary: Summary) -> list[str]:
    """Notes of the evaluation that its numbers alone do not tell: how known data were recognised."""
    import json

    try:
        said = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        notes, systems = said["notes"], {one["system"] for one in said["standings"]}
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if others := systems - set(evaluation.systems):
        words = f"{folder}: {', '.join(sorted(others))} came from other evaluations and are left out; "
        typer.secho(words + "`auscult evaluate --with` shows them", fg="yellow", err=True)
        return []
    return [note for note in notes if note not in summary.notes]


def _say(path: Path) -> None:
    typer.echo(f"page: {path} ({path.stat().st_size / 1e6:.1f} MB)")
