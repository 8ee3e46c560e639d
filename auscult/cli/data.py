"""``auscult data``: published corpora of pairs, made from their sources, and captions made of manifests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auscult.cli.shared import Json, Set, print_json, print_table

if TYPE_CHECKING:
    from auscult.data.corpora.base import Corpus
    from auscult.data.corpora.prepare import Outcome

app = typer.Typer(
    help="List and prepare published corpora of clean and degraded speech; make captions of labels.",
    no_args_is_help=True,
)


@app.command("list")
def list_(json: Json = False) -> None:
    """List the corpora that can be prepared, their sources and settings."""
    import dataclasses

    from auscult.data.corpora import CORPORA, corpus_named

    rows: list[dict[str, Any]] = []
    for name in CORPORA:
        kind = corpus_named(name)
        fields = [field.name for field in dataclasses.fields(kind)]
        rows.append({"name": name, "title": kind.title, "sources": dict(kind.sources), "settings": fields})
    if json:
        print_json(rows)
        return
    for row in rows:
        sources = [[f"--source {source}=DIR", what] for source, what in row["sources"].items()]
        print_table(["", ""], [*sources, ["--set", ", ".join(row["settings"])]], f"{row['name']}: {row['title']}", 9, 1)
        typer.echo()


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The corpus: see auscult data list.")],
    source: Annotated[
        list[str], typer.Option(metavar="[NAME=]DIR", help="Where a source is; with its name where there are several.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to. Nothing in it is ever deleted.")],
    seed: Annotated[int, typer.Option(help="Draws everything that is random.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes; they change nothing but the time.")] = min(
        8, os.cpu_count() or 1
    ),
    limit: Annotated[int, typer.Option(min=0, help="For a trial: make only so many pairs of each split.")] = 0,
    snr: Annotated[
        str | None, typer.Option(help="SNRs in dB: lowest,highest of the draw; for esc50-ood all of them.")
    ] = None,
    types: Annotated[str | None, typer.Option(help="esc50-ood: held-out noise types, a file or siren,rooster.")] = None,
    settings: Set = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out source files that cannot be read.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hash finished files again; mend those that differ.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a corpus of pairs from its downloaded sources; the same command resumes it.

    auscult data prepare vbdmd --source downloads/ --out vbdmd16

    auscult data prepare wsj0-chime3 --source wsj0=WSJ0 --source chime3=CHiME3 -o wsj0-chime3 --workers 8

    auscult data prepare esc50-ood --source esc50=ESC-50 --source speech=clean --types siren,rooster -o ood
    """
    from auscult.data.corpora.prepare import Order
    from auscult.data.corpora.prepare import prepare as run

    corpus = _corpus(name, snr, types, settings or [])
    order = Order(name, corpus, _sources(name, corpus, source), out, seed, workers, limit, skip_unreadable, verify)
    with _Progress(quiet=json) as progress:
        outcome = run(order, progress.step)
    if json:
        print_json(_facts(out, outcome))
    else:
        _tell(out, outcome)


@app.command()
def captions(
    manifests: Annotated[list[Path], typer.Argument(metavar="MANIFEST...", help="JSONL lists of recordings.")],
    columns: Annotated[
        list[str], typer.Option("--from", metavar="COLUMN", help="Whose values make the caption. Repeatable.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The table to write, JSONL.")],
    say: Annotated[
        list[str] | None, typer.Option("--say", metavar="VALUE=TEXT", help="What is said for a value. Repeatable.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option("--where", metavar="COLUMN=VALUE", help="Rows to take. Repeatable.")
    ] = None,
    json: Json = False,
) -> None:
    """Write a table of captions that are labels: what models that hear text are told of each recording.

    auscult data captions train.jsonl valid.jsonl --from source --where kind=speech -o captions.jsonl

    auscult data captions train.jsonl --from source --from accent --say alnum=dictation -o captions.jsonl
    """
    from collections import Counter

    from auscult.data.labels import labelled, write_table

    rows = labelled(manifests, columns, _assigned(say, "--say"), _assigned(where, "--where"))
    write_table(rows, out)
    counts = Counter(row["caption"] for row in rows)
    if json:
        print_json({"table": str(out), "captions": counts})
        return
    print_table(["caption", "recordings"], [[text, str(count)] for text, count in counts.most_common()])
    typer.echo(f"{out}: {len(rows)} recordings, {len(counts)} captions")


def _assigned(given: list[str] | None, option: str) -> dict[str, str]:
    """``name=value`` options."""
    from auscult.errors import DataError

    pairs = [text.partition("=") for text in given or ()]
    if wrong := [text for text, (name, equals, _) in zip(given or (), pairs, strict=True) if not (name and equals)]:
        raise DataError(f"{option} {wrong[0]}: give a name and a value, such as kind=speech")
    return {name: value for name, _, value in pairs}


def _corpus(name: str, snr: str | None, types: str | None, settings: list[str]) -> Corpus:
    """The corpus with its settings checked."""
    from auscult import recipe
    from auscult.data.corpora import corpus_named
    from auscult.data.corpora.esc50 import read_names
    from auscult.errors import DataError

    kind = corpus_named(name)
    given: dict[str, Any] = {}
    if snr is not None:
        try:
            given["snr_db"] = [float(part) for part in snr.split(",")]
        except ValueError as error:
            raise DataError(f"--snr {snr}: give numbers with commas between, such as -5,0,5,10") from error
    if types is not None:
        given["types"] = read_names(types)
    corpus: Corpus = recipe.plan(recipe.override(given, settings), kind, name).build()
    return corpus


def _sources(name: str, corpus: Corpus, given: list[str]) -> dict[str, Path]:
    """Folders by the corpus's name for them; a corpus of one source needs no name."""
    from auscult.errors import DataError

    sources: dict[str, Path] = {}
    for text in given:
        label, _, path = ("", "", text) if Path(text).exists() else text.partition("=")
        if not path or (not label and len(corpus.sources) > 1):
            wanted = " ".join(f"--source {source}=DIR" for source in corpus.sources)
            raise DataError(f"--source {text}: no such folder, or which source is it? {name} needs {wanted}")
        label = label or next(iter(corpus.sources))
        if label in sources:
            raise DataError(f"source '{label}' is given twice: {sources[label]} and {path}")
        sources[label] = Path(path)
    return sources


def _facts(out: Path, outcome: Outcome) -> dict[str, Any]:
    from dataclasses import asdict

    return {"folder": str(out), **asdict(outcome)}


def _tell(out: Path, outcome: Outcome) -> None:
    from auscult.units import duration

    rows = [
        [split, str(found.items), duration(found.duration_s), str(found.speakers or "")]
        for split, found in outcome.splits.items()
    ]
    print_table(["split", "pairs", "length", "speakers"], rows)
    for label, why in (("left out", outcome.left_out), ("unreadable", outcome.unreadable)):
        for item, reason in sorted(why.items())[:10]:
            typer.secho(f"{label}: {item}: {reason}", fg="yellow", err=True)
        if len(why) > 10:
            typer.secho(f"{label}: {len(why) - 10} more; see {out / 'provenance.json'}", fg="yellow", err=True)
    typer.echo(
        f"{out}: {outcome.made} made, {outcome.kept} kept; check with: cd {out} && sha256sum -c checksums.sha256"
    )


class _Progress:
    """A bar for each stage, on the terminal only."""

    def __init__(self, quiet: bool):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)
        self._task = self._bar.add_task("", total=1)

    def step(self, what: str, done: int, total: int) -> None:
        """How far a stage is."""
        self._bar.update(self._task, description=what, completed=done, total=total)

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()
