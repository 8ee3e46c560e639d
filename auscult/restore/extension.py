"""Super-resolution of whole recordings: to the model's rate, generated, the given band put back, and out again.

The splice lies where generated and given spectra cease to agree over the whole recording (:mod:`replacement`), which
is known only at its end. So both signals wait in a file without a name, and memory does not grow with their length.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from auscult.audio.band import band_edge
from auscult.audio.resample import StreamResampler
from auscult.audio.rolloff import LAST_BELOW, Reading
from auscult.data.captions import as_bytes
from auscult.errors import RestorationError
from auscult.features.normalise import Statistics
from auscult.restore.references import Survey, Told
from auscult.restore.replacement import OFF, Fade, KneeMeter, Replacement, Splice, below, fade_of
from auscult.restore.stream import BLOCK, Queue, Stream, Wave, Wrapper

LISTENED_S = 60.0
"""Roll-off and band are measured on this much of a recording's beginning."""
KEEP = below(np.inf)
"""All of what was given."""


@dataclass(frozen=True)
class ExtensionRequest:
    """What a recording is extended to.

    Args:
        target_rate_hz: of the result; None: the model's.
        caption: what is to be heard in it, for models that hear text.
        rolloff: how far up its energy shall reach, a share of half the model's rate; None: the model's default.
        splice: where what was given ends and what is generated begins.

    Raises:
        RestorationError: a roll-off outside [0, 1], or no rate.
    """

    target_rate_hz: int | None = None
    caption: str | None = None
    rolloff: float | None = None
    splice: Splice = "knee"

    def __post_init__(self) -> None:
        if self.rolloff is not None and not 0.0 <= self.rolloff <= 1.0:
            raise RestorationError(
                f"a roll-off of {self.rolloff:g} is not allowed; give 0 to 1, a share of half the rate"
            )
        if self.target_rate_hz is not None and self.target_rate_hz < 1_000:
            raise RestorationError(f"a target rate of {self.target_rate_hz} Hz is no audio rate; give it in hertz")

    def rate_out(self, rate_hz: int, model_hz: int, model: str) -> int:
        """The rate of the result.

        Raises:
            RestorationError: a recording, or a wish, above the model's rate, or a result below the recording's.
        """
        out_hz = self.target_rate_hz or model_hz
        if rate_hz > model_hz:
            raise RestorationError(
                f"{model} works at {model_hz} Hz and this recording has {rate_hz}: what is above would be lost; "
                f"convert it to {model_hz} Hz first, or take a model of a higher rate"
            )
        if not rate_hz <= out_hz <= model_hz:
            raise RestorationError(
                f"a target rate of {out_hz} Hz is not allowed; {model} takes this recording from {rate_hz} to at most "
                f"{model_hz} Hz"
            )
        return out_hz

    def check(self, text: bool, rolloff: bool, model: str) -> None:
        """Refuse what a model would not heed.

        Raises:
            RestorationError: naming it.
        """
        if self.caption is not None and not text:
            raise RestorationError(f"{model} has no text encoder, so a caption cannot be heard: leave it out")
        if self.rolloff is not None and not rolloff:
            raise RestorationError(f"{model} is not told of roll-offs: leave the roll-off out")


@dataclass(frozen=True)
class Extended:
    """What was done to a recording: where its band ended, and the splice; ``fade`` None: it was left as it was."""

    edge_hz: float
    fade: Fade | None

    def in_words(self) -> str:
        """For people."""
        if self.fade is None:
            return f"nothing to do: its band reaches {self.edge_hz:.0f} Hz already"
        if self.fade == OFF:
            return f"extended from {self.edge_hz:.0f} Hz; all of it generated"
        if not np.isfinite(self.fade.high_hz):
            return f"nothing added: what was generated above {self.edge_hz:.0f} Hz is no louder than what was there"
        low_hz, high_hz = self.fade.low_hz, self.fade.high_hz
        return f"extended from {self.edge_hz:.0f} Hz; as it was up to {low_hz:.0f} Hz, generated from {high_hz:.0f} Hz"

    def as_data(self) -> dict[str, float | None]:
        """For programs; infinite where the splice lies above all that is there."""
        low_hz, high_hz = (None, None) if self.fade is None else (self.fade.low_hz, self.fade.high_hz)
        return {"edge_hz": self.edge_hz, "given_up_to_hz": low_hz, "generated_from_hz": high_hz}


@dataclass(frozen=True)
class Subject:
    """What a survey tells of recordings side by side, each of ``channels``: its band's edge and its roll-off."""

    channels: int
    edges_hz: tuple[float, ...]
    rolloffs: tuple[Reading, ...]
    half_rate_hz: float

    @classmethod
    def of(cls, survey: Survey, channels: int) -> Subject:
        """Measured on the mean of a recording's channels."""
        files = np.split(survey.beginning, len(survey.beginning) // channels)
        waves = [file.mean(axis=0) for file in files]
        edges = tuple(band_edge(wave, survey.rate_hz) for wave in waves)
        rolloffs = tuple(LAST_BELOW.of(wave, survey.rate_hz) for wave in waves)
        return cls(channels, edges, rolloffs, survey.rate_hz / 2)

    @property
    def full(self) -> tuple[bool, ...]:
        """Of each recording whether its band is as wide as the model's."""
        return tuple(edge >= self.half_rate_hz for edge in self.edges_hz)

    def told(self, request: ExtensionRequest) -> Told:
        """What a model is told of every channel."""
        items = len(self.edges_hz) * self.channels
        ratios = np.array([rolloff.ratio for rolloff in self.rolloffs], np.float32)
        found = {"rolloff_source": np.repeat(ratios, self.channels)}
        if request.rolloff is not None:
            found["rolloff_target"] = np.full(items, request.rolloff, np.float32)
        if request.caption is not None:
            found["text"] = np.tile(as_bytes(request.caption), (items, 1))
        return found


def shared(statistics: Statistics, channels: int) -> Statistics:
    """One level for all channels of a recording, so that the stereo image stays: of the loudest of them."""

    def loudest(values: Float[ndarray, " C"]) -> Float[ndarray, " C"]:
        return np.repeat(values.reshape(-1, channels).max(axis=1), channels)

    return Statistics(loudest(statistics.peak), loudest(statistics.total), loudest(statistics.energy), statistics.count)


class ExtendedStream(Wrapper):
    """Around a model's stream: there, generate, replace below the splice, and to the target rate.

    Nothing comes out before the end; :meth:`rest` then gives it block by block.
    """

    def __init__(
        self, inner: Stream, rate_hz: int, model_hz: int, out_hz: int, subject: Subject, splice: Splice = "knee"
    ):
        super().__init__(inner)
        self._rate_hz, self._model_hz, self._out_hz, self._subject = rate_hz, model_hz, out_hz, subject
        self._splice = splice
        self._files = len(subject.edges_hz)
        self._all = self._files * subject.channels
        self._there = StreamResampler(rate_hz, model_hz, self._all)
        self._given, self._spool = Queue(self._all), _Spool(2 * self._all)
        self._meters = [KneeMeter(model_hz) for _ in range(self._files)]

    def push(self, wave: Wave) -> Wave:
        self._keep(self._there.push(wave))
        return wave[:, :0]

    def finish(self) -> Wave:
        return np.concatenate(list(self.rest()), axis=1)

    def rest(self) -> Iterator[Wave]:
        self._keep(self._there.finish(self._all))
        self._wait(self._inner.finish())
        self.done = tuple(self._done(file) for file in range(self._files))
        spliced = [Replacement(one.fade or KEEP, self._model_hz, self._subject.channels) for one in self.done]
        back = StreamResampler(self._model_hz, self._out_hz, self._all)
        for block in self._spool:
            parts = zip(spliced, *self._by_file(*np.split(block, 2)), strict=True)
            yield back.push(np.concatenate([one.push(*sides) for one, *sides in parts]))
        yield back.push(np.concatenate([one.finish() for one in spliced]))
        yield back.finish(self._all)

    def _done(self, file: int) -> Extended:
        """What is done to a recording, all of it being heard."""
        edge_hz, full = self._subject.edges_hz[file], self._subject.full[file]
        fade = fade_of(self._splice, self._meters[file].finish(), self._subject.rolloffs[file].hz)
        return Extended(edge_hz, None if full else fade)

    def _keep(self, given: Wave) -> None:
        self._given.add(given)
        self._wait(self._inner.push(given))

    def _wait(self, generated: Wave) -> None:
        given = self._given.take(generated.shape[1])
        for meter, *sides in zip(self._meters, *self._by_file(given, generated), strict=True):
            meter.push(*sides)
        self._spool.add(np.concatenate([given, generated]))

    def _by_file(self, given: Wave, generated: Wave) -> tuple[list[ndarray], list[ndarray]]:
        return np.split(given, self._files), np.split(generated, self._files)


class GeneratedStream(Stream):
    """Stands in for a model: what it generated before, at its own rate and level."""

    def __init__(self, generated: Wave):
        self._left = generated

    def push(self, wave: Wave) -> Wave:
        ready, self._left = np.split(self._left, [wave.shape[1]], axis=1)
        return ready

    def finish(self) -> Wave:
        return self._left


class UnchangedStream(Stream):
    """Recordings whose band is full already: to the target rate, nothing else."""

    def __init__(self, rate_hz: int, out_hz: int, subject: Subject):
        self._channels = len(subject.edges_hz) * subject.channels
        self._resampler = StreamResampler(rate_hz, out_hz, self._channels)
        self.done = tuple(Extended(edge, None) for edge in subject.edges_hz)

    def push(self, wave: Wave) -> Wave:
        return self._resampler.push(wave)

    def finish(self) -> Wave:
        return self._resampler.finish(self._channels)


def respliced(given: Wave, generated: Wave, rate_hz: int, splice: Splice) -> Wave:
    """An answer with another splice, made of one without (``none``) at no call of a net; both at the model's rate.

    Raises:
        RestorationError: signals that differ in shape.
    """
    channels = given.shape[0]
    subject = Subject.of(Survey.of([given], rate_hz, channels, LISTENED_S), channels)
    return ExtendedStream(GeneratedStream(generated), rate_hz, rate_hz, rate_hz, subject, splice).whole(given)


class _Spool:
    """Samples that wait in a file without a name."""

    def __init__(self, channels: int):
        self._channels, self._file = channels, tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as this)
        weakref.finalize(self, self._file.close)

    def add(self, wave: Wave) -> None:
        self._file.write(np.ascontiguousarray(wave.T, dtype=np.float32).tobytes())

    def __iter__(self) -> Iterator[Wave]:
        self._file.seek(0)
        while raw := self._file.read(4 * self._channels * BLOCK):
            yield np.frombuffer(raw, np.float32).reshape(-1, self._channels).T
