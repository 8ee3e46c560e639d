"""Options of ``auscult diagnose``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    list[str] | None,
    typer.Option("--data", "-d", metavar="[SPLIT=]PATH", help="Folder or manifest of pairs; train=A test=B apart."),
]
Recipe = Annotated[str | None, typer.Option(help="Recipe: a shipped one's name, or a YAML file.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Override a value of the recipe. Repeatable."),
]
Run = Annotated[Path | None, typer.Option(help="A run folder of auscult.")]
Checkpoint = Annotated[Path | None, typer.Option(help="A checkpoint, ours or converted.")]
Outputs = Annotated[Path | None, typer.Option(help="Folder of restored files, named as those of --data.")]
History = Annotated[Path | None, typer.Option(help="History of any trainer: CSV, JSONL, TensorBoard, a text log.")]
Scores = Annotated[Path | None, typer.Option(help="Scores of items: CSV, JSONL, a folder of auscult evaluate.")]
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="NAME=COLUMN", help="What a column is: valid.pesq='PESQ WB'."),
]
Facts = Annotated[
    list[str] | None, typer.Option("--fact", metavar="NAME=VALUE", help="What is known: rate_hz=16000. Repeatable.")
]
Loader = Annotated[str | None, typer.Option(metavar="PKG:FUNCTION", help="Your function that makes batches.")]
Loss = Annotated[str | None, typer.Option(metavar="PKG:FUNCTION", help="Your loss.")]
Model = Annotated[str | None, typer.Option(metavar="PKG:FUNCTION", help="Your function that builds the net.")]
Trust = Annotated[
    list[str] | None, typer.Option("--trust", metavar="PACKAGE", help="Run code of this package. Repeatable.")
]
Budget = Annotated[str, typer.Option(help="Time to spend: 90s, 5m, 1h. Cheap checks come first.")]
Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="FAMILY", help="Checks of this family alone. Repeatable.")
]
Seed = Annotated[int, typer.Option(help="Draws the items that are looked into.")]
Listed = Annotated[bool, typer.Option("--list", help="Explain every check: cost, threshold, error rates, source.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the diagnosis for programs; - prints it.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write a page with sound and spectrograms.")]
