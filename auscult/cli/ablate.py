"""``auscult ablate``: what is a ladder, what does it cost and show, train its arms, and say what they say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auscult.cli.ablate_plan import arm_row, as_data, print_details
from auscult.cli.shared import Json, Set, print_json, print_table

if TYPE_CHECKING:
    from auscult.ablate.contrasts import Answer
    from auscult.ablate.findings import ArmFinding
    from auscult.ablate.ladder import Ladder
    from auscult.ablate.results import Results

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Find out what each part of a model is worth: arms that differ in one thing, trained and judged alike.

`auscult ablate plan LADDER` says what every arm changes, costs and could show; `run` trains and scores;
`report` gives a verdict for each factor. LADDER is a shipped name (`auscult ablate ladders`) or a YAML file.
""",
)

Given = Annotated[str, typer.Argument(metavar="LADDER", help="A shipped ladder's name, or a YAML file.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", "-d", help="Folder that the recipe's manifests and folders are relative to."),
]
Runs = Annotated[Path, typer.Option(help="Folder in which runs are kept; what is there is used again.")]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder of the ladder. Default: ablations/NAME; the same continues.")
]


@app.command()
def plan(
    ladder: Given,
    data: Data = None,
    runs: Runs = Path("runs"),
    out: Out = None,
    settings: Set = None,
    json: Json = False,
) -> None:
    """Say what every arm changes and costs, and what the ladder could show; nothing is trained.

    auscult ablate plan score-sampling --data FOLDER

    auscult ablate plan my-ladder.yaml --data FOLDER --set seeds=[0,1,2,3,4]
    """
    from auscult.ablate.plan import lines_of
    from auscult.ablate.plan import plan as planned_of

    read = _ladder(ladder, settings)
    planned = planned_of(read, data, runs, _folder(read, out))
    if json:
        print_json(as_data(planned))
        return
    columns = ["arm", "differs from", "in", "parameters", "frozen", "GFLOP/s", "GFLOP/step", "MiB/step", "learning"]
    print_table(columns, [arm_row(one, planned) for one in planned.arms], read.name, numeric=3, folds=2)
    print_details(planned)
    for line in lines_of(planned):
        typer.echo(line)


@app.command()
def run(
    ladder: Given,
    data: Data = None,
    runs: Runs = Path("runs"),
    out: Out = None,
    settings: Set = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at once, and processes that score.")] = 1,
    devices: Annotated[
        str, typer.Option("--devices", "--device", help="Comma-separated: auto, cpu, cuda:0,cuda:1. Jobs take turns.")
    ] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare batches, for each training.")] = 1,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between saves.")] = 500,
    ray: Annotated[bool, typer.Option("--ray", help="Train on a Ray cluster that shares these folders.")] = False,
    report: Annotated[bool, typer.Option(help="Write the report at the end.")] = True,
    force: Annotated[
        bool, typer.Option("--force", help="Train even where the check before the first step finds a certain fault.")
    ] = False,
) -> None:
    """Train what is not trained yet, restore and score, and report. The same command continues after any stop.

    auscult ablate run score-sampling --data FOLDER --jobs 2 --devices cuda:0,cuda:1
    """
    from auscult.ablate.run import climb
    from auscult.ablate.trainings import Conduct
    from auscult.errors import TrainingError, need
    from auscult.restore.models import pick_device

    for module in ("torch", "accelerate", *(["ray"] if ray else [])):
        need(module, "auscult ablate run" + (" --ray" if module == "ray" else ""))
    named = tuple(name.strip() for name in devices.split(","))
    if jobs == 1 and not ray and named[0].startswith("cuda:") and named[0] != "cuda:0":
        raise TrainingError(f"--devices {devices}: one job trains on the first GPU; choose it by CUDA_VISIBLE_DEVICES")
    for name in named:
        pick_device(name)
    read = _ladder(ladder, settings)
    folder = _folder(read, out)
    conduct = Conduct(jobs, named, workers, save_every, ray)
    _look(read, data, runs, force)
    climbed = climb(read, data, runs, folder, conduct, lambda line: typer.echo(line, err=True))
    if climbed.stopped:
        typer.echo(f"stopped and saved; the same command continues in {folder}", err=True)
        raise typer.Exit(130)
    if report:
        _report(folder, listen=True, findings=True, json=False)
    for failure in climbed.failures:
        typer.secho(f"failed: {failure}", fg="red", err=True)
    if climbed.failures:
        raise typer.Exit(1)


def _look(ladder: Ladder, data: Path | None, runs: Path, force: bool) -> None:
    """Look at the base's data and loss, once for all arms; not again where its first run was begun.

    Raises:
        TrainingError: a certain fault, and no ``force``.
    """
    from auscult.ablate.arms import bind
    from auscult.ablate.ladder import BASE
    from auscult.cli.preflight import looked_before

    base = bind(ladder, data)[BASE]
    if not (runs / base.plan.folder_name).exists():
        looked_before(base.raw, base.plan, force)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a ladder.")],
    listen: Annotated[bool, typer.Option(help="Write a blind listening page for every contrast.")] = True,
    findings: Annotated[
        bool, typer.Option(help="Look at the run folders of all arms for faults (see `auscult diagnose`), up to 60 s.")
    ] = True,
    json: Json = False,
) -> None:
    """Say of every factor: an effect, none larger than the margin, or not enough runs. Needs no data and no GPU.

    auscult ablate report ablations/score-sampling
    """
    _report(folder, listen, findings, json)


@app.command()
def ladders(json: Json = False) -> None:
    """List the shipped ladders."""
    from auscult.ablate.ladder import read, shipped

    rows = [(name, read(name)) for name in shipped()]
    if json:
        print_json({name: one.question for name, one in rows})
        return
    listed = [[name, one.recipe, str(1 + len(one.arms) + len(one.controls)), one.question] for name, one in rows]
    print_table(["ladder", "recipe", "arms", "question"], listed, numeric=9, folds=3)


def _ladder(source: str, settings: list[str] | None) -> Ladder:
    from auscult.ablate.ladder import read
    from auscult.errors import need

    need("torch", "auscult ablate")
    return read(source, settings or ())


def _folder(ladder: Ladder, out: Path | None) -> Path:
    return out or Path("ablations") / ladder.name


def _report(folder: Path, listen: bool, findings: bool, json: bool) -> None:
    from dataclasses import asdict

    from auscult.ablate.findings import findings_of
    from auscult.ablate.results import Results
    from auscult.errors import check_installed
    from auscult.report.ablate import write_ablation

    for module in ("jinja2", "matplotlib", *(["pyloudnorm"] if listen else [])):
        check_installed(module, "the report of a ladder")
    results = Results.of(folder)
    seen = findings_of(results) if findings else []
    written = write_ablation(results, listen, seen)
    if json:
        print_json({"folder": str(folder), "incomplete": results.incomplete, "written": written,
                    "findings": [asdict(one) for one in seen],
                    "answers": [asdict(one) for one in (*results.answers, *results.exploratory)]})  # fmt: skip
        return
    _print_answers(results)
    for one in seen:
        _print_finding(one)
    typer.echo(f"in {folder}: {', '.join(written)}")


def _print_finding(one: ArmFinding) -> None:
    """A line a cause; what is expected of a control is no warning."""
    seeds = f"seed{'s' if len(one.seeds) > 1 else ''} {', '.join(map(str, one.seeds))}"
    note = ", expected of this control" if one.expected else ""
    quiet = one.expected or one.verdict != "fault"
    typer.secho(f"{one.arm} {seeds}: {one.verdict}{note}: {one.title}; {one.says}", fg=None if quiet else "red")


def _print_answers(results: Results) -> None:
    rows = [[one.question.factor, *_numbers(one), one.verdict] for one in results.answers]
    print_table(["factor", "difference [95 %]", "p (Holm)", "verdict"], rows, results.record.ladder.name, numeric=9)
    typer.echo()
    for one in results.answers:
        typer.echo(one.words)
    for name, seeds in results.incomplete.items():
        typer.secho(f"{name}: seeds {', '.join(map(str, seeds))} are missing; it is in no mean", fg="yellow", err=True)


def _numbers(one: Answer) -> list[str]:
    from auscult.report.tables import figures, p_value

    if one.difference is None:
        return ["–", "–"]
    d = one.difference
    shown = f"{figures(d.mean, 3, True)} [{figures(d.low, 3, True)}, {figures(d.high, 3, True)}]"
    return [shown, p_value(one.p_holm) if one.question.declared else f"{p_value(one.p)} (exploratory)"]
