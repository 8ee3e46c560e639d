"""``auscult audit``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auscult.cli.diagnose import naming_checks, print_diagnosis, splits_of
from auscult.cli.shared import as_json, print_table, seconds_of

if TYPE_CHECKING:
    from auscult.diagnose.audit import Audit


def audit(
    data: Annotated[
        Path | None, typer.Argument(help="Folder or manifest; splits in it are found by their names.", show_default="")
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option("--split", metavar="NAME=PATH", help="train=A valid=B test=C apart. Repeatable.")
    ] = None,
    items: Annotated[int, typer.Option(min=3, help="Pairs that are listened to; of larger sets a sample.")] = 100,
    rate: Annotated[int | None, typer.Option(min=1, metavar="HZ", help="Rate that the files should have.")] = None,
    fix: Annotated[
        Path | None, typer.Option(metavar="OUT.jsonl", help="Write a manifest that mends what was found.")
    ] = None,
    budget: Annotated[str, typer.Option(help="Time to spend on looking: 90s, 5m, 1h.")] = "5m",
    seed: Annotated[int, typer.Option(help="Draws the pairs that are listened to.")] = 0,
    json: Annotated[Path | None, typer.Option("--json", help="Write the audit for programs; - prints it.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with the worst pairs to hear.")] = None,
) -> None:
    """Examine a data set: do clean and noisy belong together, and are they what they are said to be?

    `--fix` writes a manifest in which lags, gains, signs and exchanged sides are corrected and unusable pairs left
    out; no file is touched. Exit code 0: no fault, 1: faults, 2: nothing could be examined.

        auscult audit corpus/

        auscult audit --split train=train.jsonl --split test=test.jsonl --html audit.html

        auscult audit corpus/ --fix fixed.jsonl
    """
    from auscult.diagnose.audit import audit as audited
    from auscult.files import write_bytes
    from auscult.report.audit import audit_as_data, write_audit

    given = _given(data, split)
    with naming_checks() as told:
        found = audited(given, items=items, rate_hz=rate, seed=seed, budget_s=seconds_of(budget), told=told)
    printed = json is not None and str(json) == "-"
    if printed:
        typer.echo(as_json(audit_as_data(found)))
    else:
        _print(found)
    if json is not None and not printed:
        write_bytes(json, as_json(audit_as_data(found)).encode())
    if html is not None:
        write_audit(html, found)
        typer.echo(f"page: {html}", err=True)
    if fix is not None:
        _fix(given, found, fix)
    raise typer.Exit(found.diagnosis.exit_code)


def _given(data: Path | None, split: list[str] | None) -> dict[str, Path]:
    """Folders and manifests by split.

    Raises:
        DataError: none or both forms were given, a split without a name, or a path that does not exist.
    """
    from auscult.errors import DataError

    if (data is None) == (not split):
        raise DataError("audit: give either one folder or manifest, or --split NAME=PATH for each split")
    given = {"data": data} if data is not None else dict(splits_of(split or ()))
    if split and "data" in given:
        raise DataError(f"--split {given['data']}: NAME=PATH is needed, such as train=corpus/train")
    for path in given.values():
        if not path.exists():
            raise DataError(f"{path}: no such folder or manifest")
    return given


def _print(found: Audit) -> None:
    from auscult.report.audit import tables

    for columns, rows in tables(found):
        print_table(columns, rows, folds=None)
        typer.echo()
    print_diagnosis(found.diagnosis)


def _fix(given: dict[str, Path], found: Audit, out: Path) -> None:
    """Write the corrected manifest, and say what it mends and what it cannot."""
    from auscult.diagnose.causes import BY_ID
    from auscult.diagnose.fix import fixed, write_fixed

    causes = dict.fromkeys(one.causes[0] for head in found.diagnosis.ranked for one in (head.finding, *head.folded))
    with _counting() as told:
        mended = fixed(given, tuple(causes), out, told)
    beside = write_fixed(out, mended)
    lines = [f"{out}: {len(mended.rows)} rows, {mended.changed} corrected, {len(mended.left_out)} left out"]
    if beside is not None:
        lines.append(f"{beside}: what was left out, and why")
    lines += [f"not mended, files must change: {BY_ID[cause].title}" for cause in mended.beyond]
    lines.append(f"check it with:  auscult audit {out}")
    typer.echo("\n" + "\n".join(lines), err=True)


@contextmanager
def _counting() -> Iterator[Callable[[int, int], None] | None]:
    """A line that counts pairs, on terminals only."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with console.status("measuring every pair") as status:
        yield lambda done, total: status.update(f"measuring every pair: {done} of {total}")
