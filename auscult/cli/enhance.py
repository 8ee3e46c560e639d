"""``auscult enhance``."""

from __future__ import annotations

import os
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auscult.cli.extension import Caption, Rolloff, Splice, TargetRate, extension_request, extension_words
from auscult.cli.shared import Device, Json, Set, Trust, print_json, print_table

if TYPE_CHECKING:
    from auscult.restore.engine import Report
    from auscult.restore.folder import Outcome
    from auscult.restore.references import ReferenceRequest


class OnClip(str, Enum):
    """What to do with samples over full scale."""

    limit = "limit"
    float = "float"
    keep = "keep"


class Weights(str, Enum):
    """Which weights of a checkpoint to use."""

    auto = "auto"
    ema = "ema"
    net = "net"


class Precision(str, Enum):
    """How nets compute."""

    fp32 = "fp32"
    bf16 = "bf16"


Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="File or folder to write. Default: NAME-enhanced beside it.")
]
ModelToOpen = Annotated[str, typer.Option("--model", "-m", help="default (built in), a checkpoint, or a run folder.")]
Overs = Annotated[OnClip, typer.Option(help="Samples over full scale: bend them under it, write float, or clip them.")]
NoiseReference = Annotated[
    str | None,
    typer.Option(
        metavar="auto|none|FILE|FOLDER",
        help="For models conditioned on noise: a stretch of the recording without speech (default), none, the "
        "beginning of a file of noise, or a folder with one of each recording's name.",
    ),
]
ReferenceDuration = Annotated[float | None, typer.Option(help="Length of the noise reference, seconds. Default: 0.5.")]
GuidanceScale = Annotated[
    float | None,
    typer.Option(help="For the same models: 0 as without a reference, 1 as learned, more goes beyond."),
]
Compile = Annotated[
    bool, typer.Option("--compile", help="Let torch compile the nets: slow to start, for long work on GPUs.")
]


def enhance(
    inputs: Annotated[list[Path], typer.Argument(metavar="FILE|FOLDER...", help="Recordings, or folders of them.")],
    output: Output = None,
    model: ModelToOpen = "default",
    strength: Annotated[float, typer.Option(help="0 keeps the original, 1 restores fully, between mixes.")] = 1.0,
    seed: Annotated[int, typer.Option(help="For generative models: the same seed gives the same answer.")] = 0,
    on_clip: Overs = OnClip.limit,
    overwrite: Annotated[bool, typer.Option(help="Redo files whose output exists.")] = False,
    batch: Annotated[int, typer.Option(min=1, help="Files of equal length restored side by side.")] = 1,
    noise_reference: NoiseReference = None,
    reference_duration: ReferenceDuration = None,
    guidance_scale: GuidanceScale = None,
    target_rate: TargetRate = None,
    caption: Caption = None,
    rolloff: Rolloff = None,
    splice: Splice = None,
    settings: Set = None,
    device: Device = "auto",
    weights: Annotated[Weights, typer.Option(help="Averaged or raw weights of a checkpoint.")] = Weights.auto,
    chunk_s: Annotated[float, typer.Option(help="Chunk length for models that need whole signals, seconds.")] = 10.0,
    overlap_s: Annotated[float, typer.Option(help="Overlap of chunks, cross-faded, seconds.")] = 1.0,
    precision: Annotated[Precision, typer.Option(help="bf16: faster for models of whole signals.")] = Precision.fp32,
    compile: Compile = False,
    trust: Trust = None,
    json: Json = False,
) -> None:
    """Restore recordings: same rate, channels, length and level, cleaner speech.

    Any rate, any number of channels, any length (memory does not grow with it). The built-in model needs no GPU and
    no download. Finished files are skipped, so an interrupted folder is continued by the same command; a broken file
    does not stop the others (they are listed at the end, exit code 1).

        auscult enhance interview.wav
        auscult enhance talks/ -o clean/ --strength 0.8
        auscult enhance noisy.flac --model runs/score-small-1a2b3c4d --set sampler.steps=10
        auscult enhance talks/ --model runs/noise-small-1a2b3c4d --noise-reference room-tone.wav
        auscult enhance call.wav --model runs/flow-stft-small-1a2b3c4d --target-rate 16000
    """
    from auscult.restore import load
    from auscult.restore.engine import Settings
    from auscult.restore.folder import Failed, plan, run
    from auscult.restore.models import Cut, refuse_unconditioned

    jobs = plan(inputs, output)
    cut = Cut(chunk_s, overlap_s)
    request = _request(noise_reference, reference_duration)
    extension = extension_request(target_rate, caption, rolloff, splice)
    overrides = list(settings or ())
    if guidance_scale is not None:
        overrides.append(f"conditioning.guidance_scale={guidance_scale}")
    if request is not None or guidance_scale is not None:
        refuse_unconditioned(model)
    restorer = load(model, device, trust or (), overrides, weights.value, cut, precision.value, compile)
    if extension is not None:
        restorer.check_extension(extension)
    choices = Settings(strength, seed, on_clip.value, request and request.settled(restorer.rate_hz), extension)
    outcomes = []
    with _Progress(len(jobs), quiet=json) as progress:
        for outcome in run(restorer, jobs, choices, batch, overwrite, progress.seconds):
            outcomes.append(outcome)
            progress.done(outcome.job.source)
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    if len(jobs) == 1 and failures:
        raise failures[0].error
    if json:
        print_json([_as_json(outcome) for outcome in outcomes])
    else:
        _print(outcomes)
    if failures:
        raise typer.Exit(1)


def _request(source: str | None, duration_s: float | None) -> ReferenceRequest | None:
    """The noise reference that is asked for; None: nothing is."""
    from auscult.restore.references import AUTO

    if source is None and duration_s is None:
        return None
    return replace(AUTO, source=source or AUTO.source, duration_s=AUTO.duration_s if duration_s is None else duration_s)


class _Progress:
    """A bar over files and seconds of audio, on the terminal only."""

    def __init__(self, files: int, quiet: bool):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)
        self._task = self._bar.add_task("restoring", total=files, state="")

    def seconds(self, seconds: float) -> None:
        """How far the current file is."""
        self._bar.update(self._task, state=f"{seconds:.0f} s of this file")

    def done(self, source: Path) -> None:
        """A file is finished."""
        from rich.markup import escape

        self._bar.update(self._task, advance=1, description=escape(source.name))

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()


def _print(outcomes: list[Outcome]) -> None:
    from auscult.restore.engine import Report
    from auscult.restore.folder import Failed, Skipped

    reports = [o for o in outcomes if isinstance(o, Report)]
    if reports:
        folder = Path(os.path.commonpath([report.job.output.parent.resolve() for report in reports]))
        columns = [_short(folder), "length", "rate", "level, dB", "noise floor, dB", "speed"]
        print_table(columns, [_row(report, folder) for report in reports])
    for report in reports:
        if report.overs.count:
            typer.echo(
                f"{report.job.output}: {report.overs.count} samples over full scale (peak {report.overs.peak:.2f}); "
                "see --on-clip"
            )
        if report.seams:
            worst = max(seam.disagreement_db for seam in report.seams)
            typer.echo(
                f"{report.job.output}: {len(report.seams)} seams between chunks, the worst disagrees by {worst:.0f} dB"
            )
        for words in _references(report):
            typer.echo(f"{report.job.output}: noise reference: {words}")
        for words in extension_words(report):
            typer.echo(f"{report.job.output}: {words}")
    if skipped := sum(isinstance(o, Skipped) for o in outcomes):
        typer.echo(f"{skipped} of {len(outcomes)} skipped: the output exists (--overwrite redoes them)")
    failures = [o for o in outcomes if isinstance(o, Failed)]
    for failure in failures:
        typer.secho(f"failed: {failure.error}", fg="red", err=True)
    if failures:
        typer.secho(f"{len(failures)} of {len(outcomes)} files failed", fg="red", err=True)


def _references(report: Report) -> list[str]:
    """Where the noise references of a file come from, channel by channel where they differ."""
    from auscult.restore.references import in_words

    each = [in_words(origin) for origin in report.references]
    return [f"channel {i}: {words}" for i, words in enumerate(each, 1)] if len(set(each)) > 1 else each[:1]


def _short(folder: Path) -> str:
    """A folder as seen from here, where that is shorter."""
    relative = os.path.relpath(folder)
    return f"file in {min(relative, str(folder), key=len)}"


def _row(report: Report, folder: Path) -> list[str]:
    from auscult.units import duration

    before, after = report.before, report.after
    return [
        str(report.job.output.resolve().relative_to(folder)),
        duration(report.duration_s),
        f"{report.rate_hz / 1000:g} kHz" + (f" x{report.channels}" if report.channels > 1 else ""),
        f"{before.mean_db:.1f} -> {after.mean_db:.1f}",
        f"{before.floor_db:.1f} -> {after.floor_db:.1f}",
        f"{report.speed:.0f}x",
    ]


def _as_json(outcome: Outcome) -> dict[str, Any]:
    from auscult.restore.engine import Report
    from auscult.restore.folder import Failed

    files = {"source": str(outcome.job.source), "output": str(outcome.job.output)}
    if isinstance(outcome, Failed):
        return {**files, "status": "failed", "error": str(outcome.error)}
    if not isinstance(outcome, Report):
        return {**files, "status": "skipped"}
    return {
        **files,
        "status": "restored",
        "rate_hz": outcome.rate_hz,
        "channels": outcome.channels,
        "duration_s": outcome.duration_s,
        "elapsed_s": outcome.elapsed_s,
        "before": vars(outcome.before),
        "after": vars(outcome.after),
        "over_full_scale": outcome.overs.count,
        "peak": outcome.overs.peak,
        "seams": [{"at_sample": s.at_sample, "disagreement_db": s.disagreement_db} for s in outcome.seams],
        "noise_references": list(outcome.references),
        "extended": outcome.extended and outcome.extended.as_data(),
    }
