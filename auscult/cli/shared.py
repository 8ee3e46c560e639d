"""Options and output that several commands share."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import typer

from auscult.plain import without_gaps

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of tables for people.")]
Trust = Annotated[
    list[str] | None,
    typer.Option("--trust", metavar="PACKAGE", help="Allow a checkpoint to use classes of this package. Repeatable."),
]
Device = Annotated[str, typer.Option(help="Where torch runs: auto, cpu, cuda, cuda:1, mps.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Override a value by dotted name. Repeatable.")
]


def seconds_of(text: str) -> float:
    """``90s``, ``10m``, ``2h`` in seconds.

    Raises:
        DataError: neither.
    """
    from auscult.errors import DataError

    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h)", text)
    if not found:
        raise DataError(f"--budget {text}: a number with its unit is needed, such as 90s, 10m or 2h")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(as_json(value))


def as_json(value: Any) -> str:
    """JSON for programs: what does not exist is null."""
    return json.dumps(without_gaps(value), indent=1, default=str, allow_nan=False)


def print_table(
    columns: list[str], rows: list[list[str]], title: str = "", numeric: int = 1, folds: int | None = 0
) -> None:
    """A table; columns from number ``numeric`` on are right-aligned; column ``folds`` is broken where it is long."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=title or None,
        title_justify="left",
        header_style="bold",
        show_header=any(columns),
        box=None,
        pad_edge=False,
    )
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i >= numeric else "left", no_wrap=i != folds, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # as text: names may hold brackets, which rich would read as markup
    console = Console()
    if not console.is_terminal:  # a file or a pipe has no width that rows must be broken for
        console.width = max(console.width, 200)
    console.print(table)
