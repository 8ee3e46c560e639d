"""``auscult train``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auscult.cli.preflight import looked_before
from auscult.cli.shared import Device, Set

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auscult.diagnose.preflight import Preflight
    from auscult.train.loop import Ending, Trainer
    from auscult.train.run import RunFolder
    from auscult.train.setup import RunPlan


def train(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name, or a YAML file.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", help="Folder that the recipe's manifests and folders are relative to."),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder in which runs are kept.")] = Path("runs"),
    settings: Set = None,
    init_from: Annotated[Path | None, typer.Option(help="Start a new run from this checkpoint's weights.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare batches; 0 prepares in place.")] = 1,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between saves.")] = 500,
    log_every: Annotated[int, typer.Option(min=1, help="Steps between rows of the history.")] = 10,
    keep_newest: Annotated[int, typer.Option(min=1, help="Newest checkpoints that stay, beside the best.")] = 1,
    keep_states: Annotated[
        bool, typer.Option("--keep-states", help="Keep the optimiser's state of every checkpoint, to resume from any.")
    ] = False,
    resume_from: Annotated[
        int | None,
        typer.Option(min=1, help="Go back to the save of this step; what was done after it is set aside."),
    ] = None,
    stop_after: Annotated[
        int | None, typer.Option(min=1, help="Save and stop after this step; the same command without it goes on.")
    ] = None,
    track: Annotated[
        list[str] | None, typer.Option("--track", help="csv, tensorboard or wandb, beside the history. Repeatable.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Train even where the check before step 0 finds a certain fault.")
    ] = False,
    device: Device = "auto",
) -> None:
    """Train a recipe; the same command resumes it.

    A run lives in RUNS/NAME-HASH, where the hash covers all that changes the result. Killed at any moment, it loses
    only the steps since the last save. Ctrl-C saves and stops. `--resume-from STEP` goes back to an earlier save.
    Before step 0 data and loss are looked at for some seconds; a certain fault ends it there (see `auscult audit`). For
    several GPUs or machines, launch with `accelerate launch -m auscult train ...`.

        auscult recipes
        auscult train bandgru --data corpus/
        auscult train my.yaml --set training.steps=2000 --set optimiser.lr=3e-4
    """
    from auscult import recipe as recipes
    from auscult.errors import TrainingError, need

    need("torch", "training")
    need("accelerate", "training")
    from auscult.restore.models import pick_device
    from auscult.train.run import RunFolder
    from auscult.train.settings import Options
    from auscult.train.setup import plan_run

    if device != "auto":
        device = pick_device(device)
        if device.startswith("cuda:") and device != "cuda:0":
            raise TrainingError(f"--device {device}: choose GPUs with CUDA_VISIBLE_DEVICES, then --device cuda")
    if init_from is not None and not init_from.is_file():
        raise TrainingError(f"--init-from {init_from}: no such checkpoint")
    raw = recipes.read(recipe, settings or ())
    if init_from is not None and resume_from is not None:
        raise TrainingError("--init-from starts a new run, --resume-from goes back in an old one; give one of them")
    options = Options(
        workers, save_every, log_every, device, tuple(track or ()), keep_newest, keep_states, resume_from, stop_after
    )
    plan = plan_run(raw, options, data, init_from)
    run = RunFolder(runs / plan.folder_name)
    if _trained(plan, run, _preflight(raw, plan, run.path, force), force).reason == "stopped":
        raise typer.Exit(130)


def _trained(plan: RunPlan, run: RunFolder, looked: Preflight | None, force: bool) -> Ending:
    """Train, and say how it began and ended."""
    from auscult.diagnose.preflight import record
    from auscult.train.loop import Trainer

    try:
        with _Lines(plan) as lines:
            trainer = Trainer(plan, run, lines.row)
            if looked is not None:
                record(run.path, looked, force)
            if trainer.accelerator.is_main_process:
                typer.echo(_opening(plan, run.path, trainer))
            ending = trainer.fit()
    finally:
        run.close()
    if trainer.accelerator.is_main_process:
        typer.echo(_closing(ending, run.path))
    return ending


def _preflight(raw: Mapping[str, Any], plan: RunPlan, run: Path, force: bool) -> Preflight | None:
    """Look at data and loss once per run folder, in the first process alone; None where that was done before.

    Raises:
        TrainingError: a certain fault, and no ``force``.
    """
    from auscult.diagnose.preflight import done

    first = int(os.environ.get("RANK", "0")) == 0
    return looked_before(raw, plan, force) if first and not done(run) else None


class _Lines:
    """Progress as a bar on a terminal, and a line a validation."""

    def __init__(self, plan: RunPlan):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True)
        self._bar = Progress(
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=plan.training.steps, state="")

    def row(self, row: Mapping[str, Any]) -> None:
        if row["kind"] == "step":
            losses = "  ".join(f"{turn} {values['loss']:.4g}" for turn, values in row["turns"].items())
            state = f"loss {losses}  {row['items_per_s']:.1f} items/s"
            self._bar.update(self._task, completed=row["step"], state=state)
            if not self._console.is_terminal:
                typer.echo(f"step {row['step']}  {state}", err=True)
            return
        means = "  ".join(f"{name} {value:.3f}" for name, value in row["means"].items())
        failed = sum(bool(item["failed"]) for item in row["items"])
        note = f"  ({failed} of {len(row['items'])} items with a failed metric)" if failed else ""
        self._console.print(f"validation at step {row['step']}:  {means}{note}", highlight=False)

    def __enter__(self) -> _Lines:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()


def _opening(plan: RunPlan, run: Path, trainer: Trainer) -> str:
    from auscult.methods.chains import chains_of

    step, left_out = trainer.state.step, plan.data.unreadable()
    lines = [f"{run}: {'resuming at step ' + str(step) if step else 'new run'}, {plan.training.steps} steps"]
    lines += chains_of(trainer.method.nets().values())
    if trainer.set_aside is not None:
        lines.append(f"WENT BACK to step {step}: all that was done after it now lies in {trainer.set_aside}")
    if left_out:
        name, reason = next(iter(left_out.items()))
        lines.append(f"{len(left_out)} unreadable files are left out, the first: {name} ({reason})")
    if trainer.started_from is not None and step == 0:
        for what, names in zip(("not in", "of it unused by"), trainer.started_from, strict=True):
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            lines.append(f"{len(names)} tensors {what} {plan.init_from}{': ' if names else ''}{shown}")
    return "\n".join(lines)


def _closing(ending: Ending, run: Path) -> str:
    words = {
        "finished": "finished",
        "stopped": "stopped and saved",
        "paused": "saved and stopped as asked",
        "early": "ended early, no new best",
    }[ending.reason]
    best = f"; best validation at step {ending.best[0]}" if ending.best else ""
    return f"{words} at step {ending.step}{best}. Restore with:  auscult enhance my.wav --model {run}"
