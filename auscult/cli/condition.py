"""``auscult condition``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auscult.cli.shared import Device, Json, Trust, as_json, print_table, seconds_of

if TYPE_CHECKING:
    from auscult.diagnose.condition.verdicts import Verdict


def condition(
    model: Annotated[Path, typer.Argument(metavar="CHECKPOINT|RUN", help="A checkpoint, or a run folder.")],
    data: Annotated[
        Path, typer.Option("--data", "-d", help="Folder that the recipe's manifests and folders are relative to.")
    ],
    items: Annotated[int, typer.Option(min=1, help="Items to draw.")] = 200,
    budget: Annotated[str, typer.Option(help="Time to spend: 90s, 10m, 2h. Cheap instruments come first.")] = "10m",
    recipe: Annotated[
        str | None, typer.Option(help="Recipe whose data is used. Default: that of the run; its validation data.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Override a value of the data: crop_s=2. Repeatable."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for condition.json and condition.html.")] = Path(
        "condition"
    ),
    seed: Annotated[int, typer.Option(help="Draws items, times and noise.")] = 0,
    device: Device = "auto",
    trust: Trust = None,
    json: Json = False,
) -> None:
    """Show whether a model's noise condition works: is it used, does it help, or leak, or say what is known anyway?

    Every number is a paired difference over items, with the same random numbers on both sides, and has an interval;
    verdicts follow from intervals by stated rules.

        auscult condition runs/noise-small-1a2b3c4d --data FOLDER

        auscult condition model.safetensors --recipe noise-small --data FOLDER --budget 2m --json
    """
    from auscult.diagnose.condition.examination import examine
    from auscult.diagnose.condition.items import draw
    from auscult.diagnose.condition.recordings import Recordings, run_of, section_of
    from auscult.diagnose.condition.subject import open_subject
    from auscult.diagnose.condition.verdicts import verdicts
    from auscult.files import write_bytes
    from auscult.hub.runs import HISTORY, read_history
    from auscult.report.condition import as_data, sections, write_condition
    from auscult.restore.models import checkpoint_of, pick_device
    from auscult.rng import Key

    budget_s, path = seconds_of(budget), checkpoint_of(model)
    subject, run, key = open_subject(path, pick_device(device), trust or ()), run_of(path), Key(seed).child("condition")
    section = section_of(run, recipe, settings or (), trust or ())
    drawn = draw(Recordings.of(section.content, data), subject.method.normalise, items, key)
    history = read_history(run / HISTORY) if run else None
    found = examine(subject, drawn, key, budget_s, history)
    judged, document = verdicts(found), as_data(found, section.name)
    write_bytes(out / "condition.json", as_json(document).encode())
    if json:
        typer.echo(as_json(document))
    else:
        for table in sections(found):
            print_table(list(table.columns), [list(row) for row in table.rows], title=table.title)
            typer.echo()
        _print_verdicts(judged)
    for name, reason in found.left_out.items():
        typer.secho(f"{name}: left out: {reason}", fg="yellow", err=True)
    for note in found.notes:
        typer.secho(note, fg="yellow", err=True)
    write_condition(out / "condition.html", found, section.name)
    typer.echo(f"page: {out / 'condition.html'}", err=json)


def _print_verdicts(judged: tuple[Verdict, ...]) -> None:
    print_table(
        ["question", "answer", ""], [[one.question, one.answer, one.words] for one in judged], numeric=3, folds=2
    )
