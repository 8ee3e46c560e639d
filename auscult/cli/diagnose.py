"""``auscult diagnose``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
import yaml

from auscult.cli import diagnose_options as options
from auscult.cli.shared import Device, as_json, seconds_of

if TYPE_CHECKING:
    from auscult.diagnose.case import Given
    from auscult.diagnose.check import Check
    from auscult.diagnose.examine import Diagnosis
    from auscult.diagnose.finding import Finding
    from auscult.diagnose.ranking import Ranked

COLOURS = {"fault": "red", "suspect": "yellow", "healthy": "green"}
SHOWN = 12
"""Checks that are named of those that could not be run for one reason."""


def diagnose(
    data: options.Data = None,
    recipe: options.Recipe = None,
    settings: options.Settings = None,
    run: options.Run = None,
    checkpoint: options.Checkpoint = None,
    outputs: options.Outputs = None,
    history: options.History = None,
    scores: options.Scores = None,
    columns: options.Columns = None,
    facts: options.Facts = None,
    loader: options.Loader = None,
    loss: options.Loss = None,
    model: options.Model = None,
    trust: options.Trust = None,
    budget: options.Budget = "5m",
    only: options.Only = None,
    device: Device = "cpu",
    seed: options.Seed = 0,
    listed: options.Listed = False,
    json: options.JsonFile = None,
    html: options.Html = None,
) -> None:
    """Name the cause of a bad result: in the data, the loss, the run, the model, or how it was scored.

    Whatever is given is used; what is missing is listed with what it would allow. Exit code 0: no fault, 1: faults,
    2: nothing could be examined.

        auscult diagnose --data corpus/ --recipe bandgru

        auscult diagnose --run runs/bandgru-1a2b3c4d --data corpus/ --html why.html

        auscult diagnose --loader my.data:batches --loss my.train:loss --trust my --fact rate_hz=16000

        auscult diagnose --scores scores.csv
    """
    if listed:
        _print_checks()
        return
    from auscult.diagnose.case import Given
    from auscult.diagnose.examine import examine

    given = Given(
        data=dict(splits_of(data or ())),
        recipe=recipe,
        settings=tuple(settings or ()),
        run=run,
        checkpoint=checkpoint,
        outputs=outputs,
        history=history,
        scores=scores,
        columns=dict(_assignments("--column", columns or ())),
        facts={name: yaml.safe_load(value) for name, value in _assignments("--fact", facts or ())},
        loader=loader,
        loss=loss,
        model=model,
        trust=tuple(trust or ()),
        device=device,
        seed=seed,
    )
    _check(given)
    budget_s = seconds_of(budget)
    with naming_checks() as told:
        found = examine(given, budget_s, _families(only), told)
    _give(found, json, html)
    raise typer.Exit(found.exit_code)


def _give(found: Diagnosis, json: Path | None, html: Path | None) -> None:
    """Words for people, unless the output is for programs; and the files that were asked for."""
    from auscult.files import write_bytes
    from auscult.report.diagnosis import as_data, write_diagnosis

    printed = json is not None and str(json) == "-"
    if printed:
        typer.echo(as_json(as_data(found)))
    else:
        print_diagnosis(found)
    if json is not None and not printed:
        write_bytes(json, as_json(as_data(found)).encode())
    if html is not None:
        write_diagnosis(html, found)
        typer.echo(f"page: {html}", err=True)


def _check(given: Given) -> None:
    """Refuse an empty order and paths that do not exist.

    Raises:
        DataError: either.
    """
    from auscult.errors import DataError

    paths = {"run": given.run, "checkpoint": given.checkpoint, "outputs": given.outputs, "history": given.history,
             "scores": given.scores}  # fmt: skip
    if not any((given.data, given.recipe, given.loader, given.loss, given.model, *paths.values())):
        raise DataError(
            "diagnose: nothing was given; give at least one of --data, --recipe, --run, --checkpoint, --outputs, "
            "--history, --scores, --loader, --loss, --model"
        )
    for option, path in [*paths.items(), *(("data", path) for path in given.data.values())]:
        if path is not None and not path.exists():
            raise DataError(f"--{option} {path}: no such file or folder")


def splits_of(given: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """``train=PATH`` or a path; an existing path may hold an equals sign."""
    for one in given:
        name, sign, path = one.partition("=")
        named = sign and not Path(one).exists() and "/" not in name
        yield (name, Path(path)) if named else ("data", Path(one))


def _assignments(option: str, given: Sequence[str]) -> Iterator[tuple[str, str]]:
    from auscult.errors import DataError

    for one in given:
        name, sign, value = one.partition("=")
        if not sign or not name:
            raise DataError(f"{option} {one}: NAME=VALUE is needed")
        yield name, value


def _families(only: Sequence[str] | None) -> tuple[str, ...] | None:
    from auscult.diagnose.causes import FAMILIES
    from auscult.errors import DataError, nearest

    for one in only or ():
        if one not in FAMILIES:
            raise DataError(f"--only {one}: unknown{nearest(one, FAMILIES)}; families are {', '.join(FAMILIES)}")
    return tuple(only) if only else None


def naming_checks() -> Any:
    """A line that names the check at work, on terminals only."""
    from contextlib import contextmanager

    from rich.console import Console

    @contextmanager
    def line() -> Iterator[Callable[[Check], None] | None]:
        console = Console(stderr=True)
        if not console.is_terminal:
            yield None
            return
        with console.status("looking at what was given") as status:
            yield lambda check: status.update(f"{check.family}: {check.asks}")

    return line()


def print_diagnosis(found: Diagnosis) -> None:
    """The verdict first; then each finding in a few lines; then what was ruled out and what could not be run."""
    from auscult.report.diagnosis import headline, reasons, summary

    typer.secho(headline(found), bold=True, fg="red" if found.faults else "green" if found.ran else "yellow")
    typer.secho(summary(found), dim=True)
    for note in found.notes:
        typer.secho(f"note: {note}", dim=True)
    for one in found.ranked:
        _print_finding(one)
    _print_section("Ruled out", found.ruled_out)
    _print_section("Could not tell", found.open)
    if found.not_run:
        typer.secho("\nNot run", bold=True)
    for reason, names in reasons(found.not_run):
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        typer.echo(f"  {reason}\n    would allow: {', '.join(names[:SHOWN])}{more}")


def _print_finding(one: Ranked) -> None:
    from auscult.diagnose.causes import BY_ID
    from auscult.report.diagnosis import measured, remedy

    found = one.finding
    first, *others = (BY_ID[cause].title for cause in found.causes)
    typer.echo()
    typer.secho(f"{found.verdict.upper():8}", fg=COLOURS[found.verdict], bold=True, nl=False)
    typer.secho(first, bold=True)
    lines = [("", found.says), *(("or", other) for other in others)]
    lines += [("measured", measured(number)) for number in found.measured]
    lines += [("do", line) for line in remedy(found)]
    lines += [("listen", f"{exhibit.name}: {exhibit.shows}") for exhibit in found.exhibits[:3]]
    lines += [("explains", folded.says) for folded in one.folded]
    before = None
    for label, text in lines:
        typer.echo(f"  {label if label != before else '':10}{text}")
        before = label


def _print_section(title: str, findings: Sequence[Finding]) -> None:
    from auscult.diagnose.causes import BY_ID

    if findings:
        typer.secho(f"\n{title}", bold=True)
    for one in findings:
        typer.echo(f"  {', '.join(one.causes) if one.causes[0] in BY_ID else one.check}: {one.says}")


def _print_checks() -> None:
    """Every check with what its answer is worth."""
    from auscult.diagnose.causes import FAMILIES
    from auscult.diagnose.checks import checks
    from auscult.diagnose.rates import rates_of

    family = ""
    for one in sorted(checks(), key=lambda check: FAMILIES.index(check.family)):
        if one.family != family:
            typer.secho(f"\n{one.family}", bold=True)
            family = one.family
        typer.secho(f"  {one.id}", fg="cyan", nl=False)
        typer.echo(f"  {one.asks}")
        needs = ", ".join(one.needs) or "nothing in particular"
        lines = {"says": one.threshold, "needs": f"{needs}; about {one.cost_s:g} s", "measured": rates_of(one.id),
                 "after": one.source}  # fmt: skip
        for label, text in lines.items():
            typer.echo(f"    {label:10}{text}")
