"""``auscult fetch``: published checkpoints, downloaded and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from auscult.cli.shared import Json, print_json, print_table


def fetch(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="What to get; without it all are listed.")
    ] = None,
    to: Annotated[Path, typer.Option(help="Folder to save it in.")] = Path("checkpoints"),
    json: Json = False,
) -> None:
    """Download a published checkpoint; what broke off is resumed, and its hash is checked.

    auscult fetch

    auscult fetch sgmse-vbdmd --to checkpoints
    """
    from dataclasses import asdict

    from auscult.hub.fetch import address_named
    from auscult.hub.fetch import fetch as run

    if name is None:
        _list(json)
        return
    address = address_named(name)
    with _Progress(address.file, quiet=json) as progress:
        got = run(address, to, progress.bytes)
    if json:
        print_json(asdict(got))
        return
    there = "downloaded" if got.new else "was there already"
    typer.echo(f"{got.path}: {there}, {got.bytes / 1e6:.1f} MB, {got.check}\nsha256 {got.sha256}")
    typer.echo(f"then: auscult convert {got.path}")


def _list(json: bool) -> None:
    from dataclasses import asdict

    from auscult.hub.fetch import addresses

    known = addresses().values()
    if json:
        print_json([asdict(address) for address in known])
        return
    rows = [[address.name, address.what, "yes" if address.sha256 else "no"] for address in known]
    print_table(["name", "what it is", "hash known"], rows, numeric=9, folds=1)
    typer.echo("\nauscult fetch NAME --to FOLDER")


class _Progress:
    """A bar of bytes, on the terminal only."""

    def __init__(self, name: str, quiet: bool):
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)
        self._task = self._bar.add_task(name, total=None)

    def bytes(self, here: int, total: int | None) -> None:
        """How much is there."""
        self._bar.update(self._task, completed=here, total=total)

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()
