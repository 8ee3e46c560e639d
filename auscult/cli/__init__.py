"""The command line. Commands import what they need when they run, so that ``--help`` is immediate."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from auscult.cli import (
    ablate,
    audit,
    condition,
    convert,
    data,
    diagnose,
    enhance,
    evaluate,
    fetch,
    listen,
    report,
    show,
    train,
)
from auscult.errors import AuscultError
from auscult.version import __version__

app = typer.Typer(
    name="auscult",
    help="Restore degraded speech; train, score and inspect restoration models.",
    epilog="Start with:  auscult enhance my.wav      Then:  auscult COMMAND --help",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(enhance.enhance)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(report.report)
app.command()(diagnose.diagnose)
app.command()(audit.audit)
app.command()(condition.condition)
app.add_typer(ablate.app, name="ablate")
app.add_typer(listen.app, name="listen")
app.command()(show.models)
app.add_typer(show.recipes, name="recipes")
app.command()(show.info)
app.command()(convert.convert)
app.add_typer(data.app, name="data")
app.command()(fetch.fetch)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"auscult {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """Ctrl-C or SIGTERM: unwinds, so that what is half written is removed."""


def _stop(number: int, frame: FrameType | None) -> None:
    for again in SIGNALS:  # once is enough: a second one would interrupt the tidying up
        signal.signal(again, signal.SIG_IGN)
    raise Stopped


def main() -> None:
    """Run the command line; what a user can mend is printed in one line, with exit code 2."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # a shell's background job ignores Ctrl-C
            signal.signal(number, _stop)
    try:
        app()
    except Stopped:
        typer.secho("auscult: stopped", fg="red", err=True)
        sys.exit(130)
    except AuscultError as error:
        typer.secho(f"auscult: {error}", fg="red", err=True)
        sys.exit(2)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            sys.stderr.close()
            sys.exit(1)
        typer.secho(f"auscult: {error.filename or 'a file'}: {error.strerror or error}", fg="red", err=True)
        sys.exit(2)
