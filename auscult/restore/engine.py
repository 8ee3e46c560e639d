"""The engine: any rate, channels and length; original level, exact length; files that cannot be half-written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy import ndarray

from auscult.audio.clip import as_wave, blocks, check_finite, probe
from auscult.audio.resample import StreamResampler
from auscult.audio.writer import OnClip, Overs, Writer
from auscult.data.references import Reference
from auscult.degrade.base import Drawn
from auscult.errors import AudioError, OutputError, RestorationError
from auscult.restore.adapted import LevelledStream, MixedStream
from auscult.restore.extension import LISTENED_S as MEASURED_S
from auscult.restore.extension import Extended, ExtendedStream, ExtensionRequest, Subject, UnchangedStream, shared
from auscult.restore.fullband import FullBandStream
from auscult.restore.meter import Levels, Meter
from auscult.restore.models import Model
from auscult.restore.references import AUTO, LISTENED_S, ReferenceRequest, Survey, told, unconditioned
from auscult.restore.stream import Seam, Stream, Wave
from auscult.rng import Key

Progress = Callable[[float], None]

BLOCK_S = 5.0
"""Length of the blocks a file is read in."""


def ignore(seconds: float) -> None:
    """The progress nobody asked for."""


@dataclass(frozen=True)
class Settings:
    """How a restoration is carried out.

    ``strength`` mixes the restored signal (1) with the original (0). ``seed`` matters for generative models; the
    same seed gives the same answer, whatever else is restored beside it. ``reference`` is for models that are
    conditioned on noise: None is the default request for them, and nothing for the others. ``extension`` is the same
    for models of super-resolution.
    """

    strength: float = 1.0
    seed: int = 0
    on_clip: OnClip = "limit"
    reference: ReferenceRequest | None = None
    extension: ExtensionRequest | None = None


@dataclass(frozen=True)
class Job:
    """One file to restore, and where to."""

    source: Path
    output: Path


@dataclass(frozen=True)
class Report:
    """What was done to a file, and what it changed.

    ``references``: where each channel's noise reference comes from; empty for models that take none. ``rate_hz`` is
    that of the output; ``extended`` what a model of super-resolution did.
    """

    job: Job
    rate_hz: int
    channels: int
    duration_s: float
    elapsed_s: float
    before: Levels
    after: Levels
    overs: Overs
    seams: tuple[Seam, ...] = ()
    references: tuple[Drawn, ...] = ()
    extended: Extended | None = None

    @property
    def speed(self) -> float:
        """Times faster than real time."""
        return self.duration_s / max(self.elapsed_s, 1e-9)


class Restorer:
    """A model ready to restore arrays and files: see :func:`auscult.load`."""

    def __init__(self, model: Model):
        self.model = model

    @property
    def rate_hz(self) -> int:
        """The rate the model works at; other rates are converted there and back."""
        return self.model.rate_hz

    def enhance(
        self,
        wave: ndarray,
        rate_hz: int,
        strength: float = 1.0,
        seed: int = 0,
        reference: ReferenceRequest | None = None,
        extension: ExtensionRequest | None = None,
    ) -> ndarray:
        """Restore an array of shape (samples,) or (channels, samples); the result has the same shape and level.

        ``reference`` is for models that are conditioned on noise; None: a stretch of the signal without speech.
        ``extension`` is for models of super-resolution, whose result has the rate it asks for; None: the model's.

        Raises:
            AudioError: not finite, empty, not one or two axes, or a senseless rate; a reference that is no use.
            DataError: a reference that is not there.
            RestorationError: a reference for a model that takes none.
        """
        return self.enhance_batch([wave], rate_hz, strength, seed, reference, extension)[0]

    def enhance_batch(
        self,
        waves: Sequence[ndarray],
        rate_hz: int,
        strength: float = 1.0,
        seed: int = 0,
        reference: ReferenceRequest | None = None,
        extension: ExtensionRequest | None = None,
    ) -> list[ndarray]:
        """Restore several arrays; those of equal shape share calls of the net, each answer as if it were alone."""
        _check(rate_hz, strength)
        extension, _ = self._extension(extension, rate_hz)
        clips = [as_wave(wave) for wave in waves]
        groups: dict[tuple[int, ...], list[int]] = {}
        for i, clip in enumerate(clips):
            check_finite(clip, f"array {i}" if len(clips) > 1 else "array")
            groups.setdefault(clip.shape, []).append(i)
        results = list(waves)
        for (channels, _), members in groups.items():
            stacked = np.concatenate([clips[i] for i in members])
            keys = self._keys(seed, channels) * len(members)
            survey = self._survey(len(keys), rate_hz, [stacked])
            references = self._references(reference, survey, ["array"] * len(keys))
            stream = self._adapted(keys, rate_hz, strength, survey, references, extension, channels)
            restored = stream.whole(stacked)
            if not np.isfinite(restored).all():
                raise RestorationError(f"{self.model.name} gives NaN or infinity: its settings or weights are unusable")
            for i, out in zip(members, np.split(restored, len(members)), strict=True):
                results[i] = out.reshape(*np.shape(waves[i])[:-1], -1)
        return results

    def check_extension(self, request: ExtensionRequest) -> None:
        """Refuse what the model would not heed.

        Raises:
            RestorationError: no model of super-resolution, or one without the conditions that are asked for.
        """
        takes, name = self.model.extension, self.model.name
        if takes is None:
            raise RestorationError(
                f"{name} is no model of super-resolution: leave target rate, caption and roll-off out"
            )
        request.check(takes.text, takes.rolloff, name)

    def stream(self, channels: int, rate_hz: int, seed: int = 0) -> Stream:
        """A live restoration: push blocks, get what is ready, finish. Models that could be told of a noise are not.

        Raises:
            AudioError: no audio rate. RestorationError: a model that normalises by the level of the whole signal.
        """
        _check(rate_hz)
        if self.model.extension is not None:
            raise RestorationError(f"{self.model.name} splices by the spectrum of the whole signal: it cannot run live")
        return self._stream(self._keys(seed, channels), rate_hz, 1.0, None, ())

    def enhance_file(self, source: Path, output: Path, settings: Settings = Settings()) -> Report:
        """Restore a file into another: see :meth:`enhance_files`."""
        return self.enhance_files([Job(source, output)], settings)[0]

    def enhance_files(
        self, jobs: Sequence[Job], settings: Settings = Settings(), on_progress: Progress = ignore
    ) -> list[Report]:
        """Restore files of equal rate, channels and length side by side, each as if it were alone.

        Outputs keep rate, channels, length and level. Files are read in blocks, so memory does not grow with length.
        ``on_progress`` is told the seconds done so far.

        Raises:
            AudioError: a source cannot be used. OutputError: an output cannot be written, or is its own source.
            DataError: a noise reference that is not there. RestorationError: one for a model that takes none.
        """
        infos = [probe(job.source) for job in jobs]
        for job in jobs:
            refuse_overwriting(job.source, job.output)
        if len({(info.rate_hz, info.channels, info.samples) for info in infos}) > 1:
            raise AudioError("files restored side by side must agree in rate, channels and length; restore them apart")
        rate_hz, channels = infos[0].rate_hz, infos[0].channels
        _check(rate_hz, settings.strength)
        extension, out_hz = self._extension(settings.extension, rate_hz)
        started = time.perf_counter()
        block = round(BLOCK_S * rate_hz)

        def signal() -> Iterator[Wave]:
            parts = (_finite(job.source, block) for job in jobs)
            return (_stacked(side) for side in zip_longest(*parts))

        keys = self._keys(settings.seed, channels) * len(jobs)
        survey = self._survey(len(keys), rate_hz, signal())
        names = [job.source.name for job in jobs for _ in range(channels)]
        references = self._references(settings.reference, survey, names)
        stream = self._adapted(keys, rate_hz, settings.strength, survey, references, extension, channels)
        heard, restored = ([Meter(hz) for _ in jobs] for hz in (rate_hz, out_hz))
        with ExitStack() as stack:
            writers = [
                stack.enter_context(Writer(job.output, out_hz, channels, info, settings.on_clip))
                for job, info in zip(jobs, infos, strict=True)
            ]
            taken = 0
            for wave in signal():
                for meter, part in zip(heard, np.split(wave, len(jobs)), strict=True):
                    meter.add(part)
                taken += wave.shape[1]
                _emit(stream.push(wave), writers, restored)
                on_progress(taken / rate_hz)
            if taken == 0:
                raise AudioError(f"{jobs[0].source}: no samples in this file; give a recording of at least one sample")
            for wave in stream.rest():
                _emit(wave, writers, restored)
        elapsed_s = (time.perf_counter() - started) / len(jobs)
        said = (settings.reference or AUTO).said_of
        return [
            Report(
                job,
                out_hz,
                channels,
                taken / rate_hz,
                elapsed_s,
                before.levels,
                after.levels,
                writer.overs,
                tuple(seam.of(range(i * channels, (i + 1) * channels)) for seam in stream.seams),
                tuple(map(said, references[i * channels : (i + 1) * channels])),
                stream.done[i] if stream.done else None,
            )
            for i, (job, before, after, writer) in enumerate(zip(jobs, heard, restored, writers, strict=True))
        ]

    def _survey(self, channels: int, rate_hz: int, signal: Iterable[Wave]) -> Survey | None:
        """A first pass over the signal, where the model must know something of the whole."""
        listened_s = LISTENED_S if self.model.conditions else MEASURED_S if self.model.extension else 0.0
        if self.model.normalise.kind == "none" and not listened_s:
            return None
        down = StreamResampler(rate_hz, self.rate_hz, channels)

        def lowered() -> Iterator[Wave]:
            yield from map(down.push, signal)
            yield down.finish(channels)

        return Survey.of(lowered(), self.rate_hz, channels, listened_s)

    def _references(
        self, request: ReferenceRequest | None, survey: Survey | None, names: Sequence[str]
    ) -> Sequence[Reference | None]:
        """The noise reference of every channel; empty where the model takes none."""
        if not self.model.conditions:
            if request is not None:
                raise unconditioned(self.model.name)
            return ()
        assert survey is not None
        return survey.references(request or AUTO, names)

    def _extension(self, request: ExtensionRequest | None, rate_hz: int) -> tuple[ExtensionRequest | None, int]:
        """What a recording is extended to, None where the model does not; and the rate of the result.

        Raises:
            RestorationError: a request that the model cannot meet.
        """
        if request is not None:
            self.check_extension(request)
        if self.model.extension is None:
            return None, rate_hz
        request = request or ExtensionRequest()
        return request, request.rate_out(rate_hz, self.rate_hz, self.model.name)

    def _keys(self, seed: int, channels: int) -> list[Key]:
        """A key a channel; bands are extended with one noise, so that channels that are equal stay equal."""
        own = range(channels) if self.model.extension is None else [0] * channels
        return [Key(seed).child("restore", number) for number in own]

    def _adapted(
        self,
        keys: list[Key],
        rate_hz: int,
        strength: float,
        survey: Survey | None,
        references: Sequence[Reference | None],
        extension: ExtensionRequest | None,
        channels: int,
    ) -> Stream:
        """The stream of recordings of so many channels: restored, or extended where that is asked for."""
        if extension is None:
            return self._stream(keys, rate_hz, strength, survey, references)
        assert survey is not None
        assert self.model.extension is not None
        subject = Subject.of(survey, channels)
        out_hz = extension.rate_out(rate_hz, self.rate_hz, self.model.name)
        if all(subject.full):
            return UnchangedStream(rate_hz, out_hz, subject)
        wanted = self.model.extension.channels
        together = wanted if channels % wanted == 0 else 1
        stream = self.model.stream(keys, subject.told(extension), together)
        stream = LevelledStream(stream, self.model.normalise.gain(shared(survey.statistics, channels)))
        stream = stream if strength == 1.0 else MixedStream(stream, strength, len(keys))
        return ExtendedStream(stream, rate_hz, self.rate_hz, out_hz, subject, extension.splice)

    def _stream(
        self,
        keys: list[Key],
        rate_hz: int,
        strength: float,
        survey: Survey | None,
        references: Sequence[Reference | None],
    ) -> Stream:
        """The model's stream inside what adapts it to a signal."""
        channels = len(keys)
        if survey is not None:
            stream = self.model.stream(keys, told(references, survey.statistics.peak))
            stream = LevelledStream(stream, self.model.normalise.gain(survey.statistics))
        elif self.model.normalise.kind == "none":
            stream = self.model.stream(keys)
        else:
            raise RestorationError(f"{self.model.name} normalises by the level of the whole signal: it cannot run live")
        if rate_hz != self.rate_hz:
            stream = FullBandStream(stream, rate_hz, self.rate_hz, channels)
        return stream if strength == 1.0 else MixedStream(stream, strength, channels)


def _emit(wave: Wave, writers: Sequence[Writer], meters: Sequence[Meter]) -> None:
    for writer, meter, part in zip(writers, meters, np.split(wave, len(writers)), strict=True):
        writer.write(part)
        meter.add(part)


def _check(rate_hz: int, strength: float = 1.0) -> None:
    if not 1_000 <= rate_hz <= 768_000:
        raise AudioError(f"a rate of {rate_hz} Hz is not an audio rate; allowed are 1 000 to 768 000 Hz")
    if not 0.0 <= strength <= 1.0:
        raise AudioError(f"a strength of {strength} is not allowed; give 0 (original) to 1 (restored)")


def refuse_overwriting(source: Path, output: Path) -> None:
    """Refuse an output that is the source itself.

    Raises:
        OutputError: it is.
    """
    if output.exists() and output.samefile(source):
        raise OutputError(f"{output}: would overwrite its own source; choose another name or folder")


def _finite(source: Path, block: int) -> Iterator[Wave]:
    """The blocks of a file; NaN and infinity are refused where they are reached."""
    taken = 0
    for wave in blocks(source, block):
        check_finite(wave, str(source), taken)
        taken += wave.shape[1]
        yield wave


def _stacked(side: Sequence[ndarray | None]) -> ndarray:
    """Blocks of several files as channels of one."""
    present = [wave for wave in side if wave is not None]
    if len(present) < len(side) or len({wave.shape for wave in present}) > 1:
        raise AudioError("files restored side by side turn out to differ in length: one of them is truncated")
    return np.concatenate(present)
