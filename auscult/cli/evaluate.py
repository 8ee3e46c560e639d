"""``auscult evaluate``."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from auscult.cli import evaluate_options as options
from auscult.cli.shared import Json, Trust, as_json, print_json, print_table

if TYPE_CHECKING:
    from auscult.evaluate.datasets import DataSet
    from auscult.evaluate.rows import Evaluation, Row
    from auscult.evaluate.study import Study
    from auscult.evaluate.summary import Comparison, Standing, Summary


def evaluate(
    clean: options.Clean = None,
    noisy: options.Noisy = None,
    data: options.Data = None,
    enhanced: options.Enhanced = None,
    model: options.Models = None,
    settings: options.Settings = None,
    noise_reference: options.NoiseReference = None,
    matrix: options.Matrix = None,
    metrics: options.MetricNames = "",
    facts: options.FactsFile = None,
    group: options.Groups = None,
    out: options.Out = Path("evaluation"),
    workers: options.Workers = os.cpu_count() or 1,
    devices: options.Devices = "auto",
    common: options.Common = False,
    anchors: options.Anchors = True,
    beside: options.Beside = None,
    mixed: options.Mixed = False,
    form: options.Form = None,
    overwrite: options.Overwrite = False,
    export: options.Export = None,
    report: options.WithReport = True,
    weights: options.AskedWeights = None,
    precision: options.AskedPrecision = None,
    trust: Trust = None,
    json: Json = False,
) -> None:
    """Score restored files, or models, against clean references: numbers with intervals, and whether they differ.

    Files are matched by name; what does not match, differs in length or rate or cannot be read stops the evaluation
    before it starts. A metric that fails on an item is named and counted, never scored zero. An interrupted
    evaluation is continued by the same command.

        auscult evaluate --clean test/clean --noisy test/noisy --enhanced restored/ --enhanced other/=baseline
        auscult evaluate --data test/ --model default --model runs/score-small-1a2b3c4d --set seed=0,1,2
        auscult evaluate --matrix study.yaml
    """
    from auscult.errors import check_installed
    from auscult.evaluate.anchors import in_words
    from auscult.evaluate.conduct import Conduct, carry_out
    from auscult.evaluate.store import Store, join, load
    from auscult.evaluate.study import Study, plan
    from auscult.evaluate.summary import summarise

    for module in ("pyarrow", "jinja2", "matplotlib") if report else ("pyarrow",):
        check_installed(module, "auscult evaluate")  # before the work, not after it
    told = noise_reference.split(",") if noise_reference else ()
    given = _Given(clean, noisy, data or (), enhanced or (), model or (), settings or (), told, facts, group or ())
    if matrix is not None:
        given.refuse(matrix)
    study = _opened(given.study() if matrix is None else Study.read(matrix), weights, precision, trust)
    planned = plan(replace(study, metrics=_metrics(study, metrics, form)), out, common)
    others = {str(folder): load(folder) for folder in beside or ()}
    join(planned.evaluation, others, mixed)  # what cannot be joined is refused before the work
    conduct = Conduct(workers, tuple(name.strip() for name in devices.split(",")), anchors)
    with (
        Store(out, planned.evaluation, overwrite) as store,
        _Progress(len(planned.tasks), len(store.rows), quiet=json) as bar,
    ):
        checked = carry_out(planned, store, conduct, bar.done)
        whole, marks = join(store.evaluation(), others, mixed)
    summary = summarise(whole, [*marks, *in_words(checked)])
    written = _write(out, whole, summary, report, export, form)
    if json:
        print_json({"folder": str(out), "fingerprint": whole.fingerprint, **asdict(summary)})
        return
    _print(whole, summary)
    typer.echo(f"in {out}: {', '.join(written)}")


def _opened(study: Study, weights: options.AskedWeights, precision: options.AskedPrecision, trust: Trust) -> Study:
    """How the study's models are opened; whom to trust is said here, for no file trusts itself."""
    opened = {name: choice.value for name, choice in (("weights", weights), ("precision", precision)) if choice}
    return replace(study, opening=replace(study.opening, trust=tuple(trust or ()), **opened))


def _metrics(study: Study, asked: str, form: options.Format | None) -> tuple[str, ...]:
    """What is asked for, else what the study names; and what another project's files hold."""
    from auscult.report import sgmse_results

    names = tuple(name.strip() for name in asked.split(",")) if asked else study.metrics
    return names if form is None else tuple(dict.fromkeys([*names, *sgmse_results.METRICS]))


@dataclass(frozen=True)
class _Given:
    """The options that say what is to be compared."""

    clean: Path | None
    noisy: Path | None
    data: Sequence[str]
    enhanced: Sequence[str]
    model: Sequence[str]
    settings: Sequence[str]
    noise_reference: Sequence[str]
    facts: Path | None
    group: Sequence[str]

    def refuse(self, matrix: Path) -> None:
        """A matrix file says all of this itself.

        Raises:
            RecipeError: some of it is said here too.
        """
        from auscult.errors import RecipeError

        if given := [name for name, value in vars(self).items() if value]:
            option = f"--{given[0].replace('_', '-')}"
            raise RecipeError(f"{option} and --matrix {matrix} both say what is compared; put it into the file")

    def study(self) -> Study:
        """The study these options describe."""
        from auscult.evaluate.references import SOURCE
        from auscult.evaluate.study import Study, System

        systems = {name: System(folder=path) for name, path in _named(self.enhanced, "systems").items()}
        for name, path in _named(self.model, "systems", taken=systems).items():
            systems[name] = System(model=path)
        settings: dict[str, Any] = dict(map(_setting, self.settings))
        if self.noise_reference:
            settings[SOURCE] = list(self.noise_reference)
        return Study(self._data(), systems, settings)

    def _data(self) -> dict[str, DataSet]:
        from auscult.evaluate.datasets import DataSet

        patterns = dict(_halves(given, "--group", "speaker=^(p\\d+)_") for given in self.group)
        sets = {}
        for name, given in _named(self.data, "data sets").items():
            path = Path(given)
            at = {"folder": path} if path.is_dir() else {"manifest": path}
            sets[name] = DataSet(**at, facts=self.facts, patterns=patterns)
        if self.clean is not None or self.noisy is not None:
            known = (self.clean or self.noisy or Path()).resolve()
            sets[known.parent.name] = DataSet(clean=self.clean, noisy=self.noisy, facts=self.facts, patterns=patterns)
        elif not sets:
            sets["files"] = DataSet(facts=self.facts, patterns=patterns)  # restored files alone: no reference
        return sets


def _named(given: Sequence[str], what: str, taken: Collection[str] = ()) -> dict[str, str]:
    """Paths by name: PATH=NAME, or the path's own last name; a name given twice would hide one of two."""
    from auscult.errors import DataError

    named: dict[str, str] = {}
    for one in given:
        path, _, name = (one, "", "") if Path(one).exists() else one.rpartition("=")
        path, name = (path, name) if path else (one, "")
        label = name or Path(path).resolve().stem
        if label in named or label in taken:
            raise DataError(
                f"two {what} are called '{label}': {named.get(label, 'another')} and {path}; say {path}=NAME"
            )
        named[label] = path
    return named


def _setting(given: str) -> tuple[str, list[Any]]:
    """``steps=30,50`` as a name and its values; a YAML list or mapping is one value."""
    name, text = _halves(given, "--set", "steps=30,50")
    parts = [text] if text[:1] in "[{" else text.split(",")
    return name, [_yaml(part, given) for part in parts]


def _yaml(text: str, given: str) -> Any:
    import yaml

    from auscult.errors import RecipeError

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {given}: '{text}' is not a YAML value") from error


def _halves(given: str, option: str, example: str) -> tuple[str, str]:
    from auscult.errors import RecipeError

    name, equals, text = given.partition("=")
    if not equals or not name or not text:
        raise RecipeError(f"{option} {given}: give name=value, such as {example}")
    return name, text


class _Progress:
    """A bar over rows with rate and time left, on the terminal only."""

    def __init__(self, rows: int, done: int, quiet: bool):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (
            TextColumn("scoring"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)
        self._task = self._bar.add_task("", total=rows, completed=done, rate="")
        self._started, self._new = time.monotonic(), 0

    def done(self, row: Row) -> None:
        """A row is finished."""
        self._new += 1
        rate = self._new / max(time.monotonic() - self._started, 1e-9)
        self._bar.update(self._task, advance=1, rate=f"{rate:.1f}/s")

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()


def _write(
    out: Path,
    evaluation: Evaluation,
    summary: Summary,
    report: bool,
    export: Path | None,
    form: options.Format | None,
) -> list[str]:
    """All files of a finished evaluation; their names."""
    from auscult.files import write_bytes
    from auscult.report import sgmse_results, tables

    texts = {
        "scores.csv": tables.csv_text(evaluation),
        "summary.json": as_json({"fingerprint": evaluation.fingerprint, **asdict(summary)}),
        "summary.md": tables.markdown(evaluation, summary),
        "summary.tex": tables.latex(evaluation, summary),
    }
    for name, text in texts.items():
        write_bytes(out / name, text.encode())
    tables.write_parquet(out / "scores.parquet", evaluation)
    written = [*texts, "scores.parquet"]
    if report:
        from auscult.report.evaluation import write_report

        write_report(out / "report.html", evaluation, summary)
        written.append("report.html")
    if export is not None:
        from auscult.report.export import export as write_folder

        for missing in write_folder(evaluation, summary, export):
            typer.secho(missing, fg="yellow", err=True)
    if form is not None:
        written += sgmse_results.write_results(out, evaluation)
    return written


def _print(evaluation: Evaluation, summary: Summary) -> None:
    """Means with intervals, then what can be said of the differences, then what must be known beside them."""
    from auscult.report.tables import column_title, data_sets

    for data in data_sets(summary):
        standings = [standing for standing in summary.standings if standing.data == data]
        columns = ["system", "items", *(column_title(metric) for metric in evaluation.metrics)]
        rows = []
        for system in dict.fromkeys(standing.system for standing in standings):
            own = [standing for standing in standings if standing.system == system]
            items = str(max(s.estimate.items for s in own)) + (f" x {own[0].seeds} seeds" if own[0].seeds > 1 else "")
            rows.append([system, items, *(_cell(s) for s in own)])
        print_table(columns, rows, title=data if len(data_sets(summary)) > 1 else "")
        _print_comparisons([comparison for comparison in summary.comparisons if comparison.data == data])
    for note in summary.notes:
        typer.secho(note, fg="yellow", err=True)


def _print_comparisons(compared: list[Comparison]) -> None:
    """Every difference with its interval and verdict; a sentence where nothing is shown, on what it would take."""
    from auscult.report.tables import differences, p_value

    if not compared:
        return
    typer.echo()
    rows = [
        [f"{one.a} - {one.b}", one.metric, f"{mean} {bounds}", p_value(one.p_holm), one.verdict]
        for one, (mean, bounds) in zip(compared, differences(compared), strict=True)
    ]
    print_table(["difference", "in", "mean [95 %]", "p (Holm)", "verdict"], rows, numeric=2)
    for one in compared:
        if one.verdict == "no difference shown":
            typer.echo(one.words)


def _cell(standing: Standing) -> str:
    from auscult.report.tables import digits_of, number

    e = standing.estimate
    digits = digits_of([e])
    bounds = f" [{number(e.low, digits)}, {number(e.high, digits)}]" if e.low <= e.high else ""
    failed = f" ({standing.failed} failed)" if standing.failed else ""
    return f"{number(e.mean, digits)}{bounds}{failed}"
