"""Many files: where each goes, which are done, and going on when one of them is broken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from auscult.audio.clip import find_audio, probe
from auscult.audio.writer import FORMATS
from auscult.errors import AudioError, AuscultError, MissingExtra, OutputError
from auscult.restore.engine import Job, Progress, Report, Restorer, Settings, ignore, refuse_overwriting


@dataclass(frozen=True)
class Skipped:
    """A file whose output exists already."""

    job: Job


@dataclass(frozen=True)
class Failed:
    """A file that could not be restored, and why."""

    job: Job
    error: AuscultError


Outcome = Report | Skipped | Failed


def plan(inputs: Sequence[Path], output: Path | None) -> list[Job]:
    """Where every input goes. Folders are searched recursively and mirrored.

    Without ``output``, ``a.wav`` becomes ``a-enhanced.wav`` beside it and ``talks/`` becomes ``talks-enhanced/``.
    What cannot be written in its own format (m4a ...) is written as wav.

    Raises:
        AudioError: an input does not exist, or a folder holds no audio.
        OutputError: one output name for several inputs, or two inputs that would become one output.
    """
    jobs: list[Job] = []
    for source in inputs:
        if source.is_dir():
            whole = source.resolve()
            jobs += _folder(source, output or whole.with_name(f"{whole.name}-enhanced"))
        elif source.exists():
            jobs.append(Job(source, _file(source, output, alone=len(inputs) == 1)))
        else:
            raise AudioError(f"{source}: no such file or folder")
    sources: dict[Path, Path] = {}
    for job in jobs:
        if (other := sources.setdefault(job.output, job.source)) != job.source:
            raise OutputError(
                f"{other} and {job.source} would both become {job.output}; restore them to different folders"
            )
        refuse_overwriting(job.source, job.output)
    if both := {job.output.resolve() for job in jobs} & {job.source.resolve() for job in jobs}:
        raise OutputError(f"{min(both)} is an input and would be an output too; choose another folder with -o")
    return jobs


def run(
    restorer: Restorer,
    jobs: Sequence[Job],
    settings: Settings,
    batch: int = 1,
    overwrite: bool = False,
    on_progress: Progress = ignore,
) -> Iterator[Outcome]:
    """Restore files, up to ``batch`` of equal form side by side; a broken one is reported and the rest go on."""
    waiting = []
    for job in jobs:
        if job.output.exists() and not overwrite:
            yield Skipped(job)
        else:
            waiting.append(job)
    for group in _groups(waiting, batch):
        try:
            yield from restorer.enhance_files(group, settings, on_progress)
        except AuscultError as error:
            if len(group) == 1:
                yield Failed(group[0], error)
                continue
            for job in group:  # one of them is broken: find out which
                yield from run(restorer, [job], settings, overwrite=True)


def _groups(jobs: Sequence[Job], batch: int) -> Iterator[list[Job]]:
    """Neighbours of equal rate, channels and length, at most ``batch`` together."""

    def form(job: Job) -> tuple[object, ...]:
        try:
            info = probe(job.source)
        except (AudioError, MissingExtra):
            return (str(job.source),)
        return info.rate_hz, info.channels, info.samples

    if batch == 1:
        yield from ([job] for job in jobs)
        return
    forms = {job: form(job) for job in jobs}
    for _, same in groupby(sorted(jobs, key=lambda job: str(forms[job])), key=forms.__getitem__):
        members = list(same)
        yield from (members[i : i + batch] for i in range(0, len(members), batch))


def _folder(source: Path, output: Path) -> Iterator[Job]:
    whole, inside = source.resolve(), output.resolve()
    nested = whole in inside.parents  # outputs of an earlier call are no inputs of this one
    found = [path for path in find_audio(source) if not (nested and inside in path.resolve().parents)]
    if not found:
        raise AudioError(f"{source}: no audio file in this folder")
    return (Job(path, _writable(output / path.relative_to(source))) for path in found)


def _file(source: Path, output: Path | None, alone: bool) -> Path:
    if output is None:
        return _writable(source.with_name(f"{source.stem}-enhanced{source.suffix}"))
    if output.is_dir() or output.suffix == "":
        return _writable(output / source.name)
    if not alone:
        raise OutputError(f"{output}: several inputs need a folder as output, this is a file name")
    return output


def _writable(path: Path) -> Path:
    return path if path.suffix.lower() in FORMATS else path.with_suffix(".wav")
