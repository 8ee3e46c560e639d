"""``auscult listen``: a page with a listening test, and ``auscult listen score``: what the answers say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from auscult.cli.shared import Json, print_json, print_table

if TYPE_CHECKING:
    from auscult.evaluate.abx import AbxReport
    from auscult.evaluate.mushra import MushraReport
    from auscult.evaluate.preference import AbReport
    from auscult.report.listen import Built

DEFAULT = "page"


class WithDefault(TyperGroup):
    """What is not the name of a command belongs to the command ``page``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {*self.commands, *ctx.help_option_names, "--help"}
        return super().parse_args(ctx, args if not args or args[0] in known else [DEFAULT, *args])

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The group's help, then that of the command that needs no name."""
        super().format_help(ctx, formatter)
        page = self.commands[DEFAULT]
        page.format_help(type(ctx)(page, info_name=DEFAULT, parent=ctx), formatter)


app = typer.Typer(
    cls=WithDefault,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Compare systems by listening: make a test page, and analyse the answers.

`auscult listen A B` writes a self-contained page: ABX, preference (AB) or MUSHRA-like.

`auscult listen score results*.json` analyses what listeners saved there.
""",
)


@app.command(DEFAULT)
def page(
    systems: Annotated[list[str], typer.Argument(metavar="A B ...", help="Folders or files, PATH or PATH=NAME.")],
    reference: Annotated[Path | None, typer.Option(help="Folder or file of the clean references.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="abx, ab or mushra; by default mushra with a reference, ab without.")
    ] = None,
    items: Annotated[int, typer.Option(min=1, help="Recordings in the test, drawn by --seed.")] = 12,
    trials: Annotated[int, typer.Option(min=1, help="Trials of an abx test, spread over the items.")] = 16,
    seed: Annotated[int, typer.Option(help="Draws the items.")] = 0,
    max_s: Annotated[
        float | None, typer.Option(min=0.1, help="Cut longer items to the stretch of this length with most energy.")
    ] = None,
    level: Annotated[str, typer.Option(help="Loudness of all stimuli in LUFS, or 'reference'.")] = "-23",
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Listening test",
    out: Annotated[Path, typer.Option("--out", "-o", help="The page.")] = Path("listen.html"),
    json: Json = False,
) -> None:
    """Make a listening test: one HTML file that works offline and saves each listener's answers as a file.

    Files are matched by name. All versions of an item are matched in loudness, their order is drawn for every
    listener, and nothing in the page shows which is whose.

        auscult listen baseline/=base ours/ --kind abx

        auscult listen baseline/ ours/ --reference clean/
    """
    from auscult.report.listen import Request, build, kind_for, write

    named = _systems(systems)
    chosen = kind_for(kind, len(named), reference is not None)
    target = _level(level)
    built = build(Request(named, reference, chosen, items, seed, trials, max_s, target, title))
    size = write(out, built)
    facts = _facts(out, built, size, seed)
    if json:
        print_json(facts)
        return
    _tell(facts, built, target)


def _systems(given: list[str]) -> dict[str, Path]:
    """Paths by name; a name given twice would hide one of two systems."""
    from auscult.errors import DataError

    systems: dict[str, Path] = {}
    for text in given:
        before, _, name = (text, "", "") if Path(text).exists() else text.rpartition("=")
        path = Path(before or name)
        label = (name if before else "") or _own_name(path)
        if label in systems:
            raise DataError(f"two systems are called '{label}': {systems[label]} and {path}; name them as {path}=NAME")
        systems[label] = path
    return systems


def _own_name(path: Path) -> str:
    return path.resolve().name if path.is_dir() else path.stem


def _level(text: str) -> float | Literal["reference"]:
    from auscult.errors import DataError

    if text == "reference":
        return "reference"
    try:
        level = float(text)
    except ValueError:
        level = 1.0
    if not -60 <= level <= 0:
        raise DataError(f"--level {text}: give a loudness between -60 and 0 LUFS, or 'reference'")
    return level


def _facts(out: Path, built: Built, size: int, seed: int) -> dict[str, Any]:
    return {
        "file": str(out),
        "bytes": size,
        "page": built.page["page"],
        "kind": built.page["kind"],
        "trials": built.trials,
        "items": built.items,
        "items_available": built.available,
        "seed": seed,
        "attenuation_db": round(built.attenuation_db, 2),
        "excerpts_s": built.excerpts_s,
        "notes": built.notes,
        "stimuli": {name: asdict(stimulus) for name, stimulus in built.stimuli.items()},
    }


def _tell(facts: Mapping[str, Any], built: Built, level: float | str) -> None:
    from auscult.report.listen import LARGE_BYTES

    drawn = f"{len(built.items)} of {built.available} items, drawn with seed {facts['seed']}"
    gains = [stimulus.gain_db for stimulus in built.stimuli.values()]
    target = f"{level:g} LUFS" if isinstance(level, float) else "the reference"
    lines = [
        ["test", f"{facts['kind']}, {built.trials} trials, page {facts['page']}"],
        ["items", drawn if len(built.items) < built.available else f"all {built.available}"],
        ["level", f"matched to {target}, gains {min(gains):+.1f} to {max(gains):+.1f} dB"],
    ]
    if built.attenuation_db:
        lines.append(["", f"all turned down by {-built.attenuation_db:.1f} dB, so that none clips"])
    lines += [["excerpt", f"{item}: {a:.2f} to {b:.2f} s"] for item, (a, b) in built.excerpts_s.items()]
    print_table(["", ""], lines, numeric=9, folds=1)
    for note in built.notes:
        typer.secho(note, fg="yellow", err=True)
    if facts["bytes"] > LARGE_BYTES:
        typer.secho("the page is large: fewer --items or a --max-s make it smaller", fg="yellow", err=True)
    typer.echo(f"page: {facts['file']} ({facts['bytes'] / 1e6:.1f} MB); then: auscult listen score results-*.json")


@app.command()
def score(
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS...", help="Files that listeners saved.")],
    screening: Annotated[
        bool, typer.Option(help="Leave out mushra listeners who do not find the hidden reference (BS.1534-3).")
    ] = True,
    json: Json = False,
) -> None:
    """Analyse the answers to one page: intervals, tests, and what they say in words.

    auscult listen score results-*.json
    """
    from auscult.evaluate.abx import AbxReport
    from auscult.evaluate.answers import read_results
    from auscult.evaluate.listening import analyse
    from auscult.evaluate.preference import AbReport

    answers = read_results(results)
    report = analyse(answers, screening)
    if json:
        print_json({"kind": answers.kind, "page": answers.sessions[0].page, **asdict(report)})
        return
    if isinstance(report, AbxReport):
        _print_abx(report)
    elif isinstance(report, AbReport):
        _print_ab(report)
    else:
        _print_mushra(report)
    typer.echo()
    for note in report.notes:
        typer.secho(f"note: {note}", fg="yellow", err=True)
    for words in report.verdicts:
        typer.echo(words)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _share(low: float, high: float) -> str:
    return f"{100 * low:.0f} to {100 * high:.0f} %"


def _print_abx(report: AbxReport) -> None:
    lines = [*report.listeners, *([report.pooled] if len(report.listeners) > 1 else [])]
    rows = [
        [line.listener, f"{line.hits} of {line.trials}", _share(line.low, line.high), _p(line.p), _p(line.p_holm)]
        for line in lines
    ]
    print_table(["listener", "right", "95 % interval", "p", "p (Holm)"], rows)


def _print_ab(report: AbReport) -> None:
    rows = [
        [
            f"{pair.a} / {pair.b}",
            str(pair.wins_a),
            str(pair.wins_b),
            str(pair.ties),
            f"{100 * pair.share:.0f} % ({_share(pair.low, pair.high)})",
            _p(pair.p_holm),
        ]
        for pair in report.pairs
    ]
    print_table(["pair", "first", "second", "none", "share of the first", "p (Holm)"], rows)
    for pair in report.pairs:
        items = [[item.item, str(item.wins_a), str(item.wins_b), str(item.ties)] for item in pair.items]
        typer.echo()
        print_table(["item", pair.a, pair.b, "none"], items)


def _print_mushra(report: MushraReport) -> None:
    rows = [
        [line.system, str(line.ratings), f"{line.mean:.1f}", f"{line.low:.1f} to {line.high:.1f}"]
        for line in report.systems
    ]
    print_table(["system", "ratings", "mean", "95 % interval"], rows)
    compared = [
        [f"{c.a} - {c.b}", f"{c.difference:+.1f}", f"{c.low:+.1f} to {c.high:+.1f}", _p(c.p), _p(c.p_holm)]
        for c in report.comparisons
    ]
    typer.echo()
    print_table(["difference", "mean", "95 % interval", "p", "p (Holm)"], compared)
    names = [line.system for line in report.systems]
    typer.echo()
    print_table(
        ["item", *names],
        [[item, *(f"{means[name]:.1f}" for name in names)] for item, means in report.items.items()],
    )
