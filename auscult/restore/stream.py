"""Restoration as streams: blocks in, blocks out, bounded memory, exact length. numpy.

Every stream returns, over ``push`` and ``finish`` together, exactly as many samples as it was given, aligned with
them. A whole signal is one push and the finish.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.audio.stft import Analysis, Synthesis
from auscult.features.frames import FrameStep
from auscult.units import to_db

if TYPE_CHECKING:
    from auscult.restore.extension import Extended

Wave = Float32[ndarray, "C _"]
"""Channels and any number of samples."""

BLOCK = 80_000
"""Samples that are pushed at once."""


@dataclass(frozen=True)
class Seam:
    """How far two neighbouring chunks disagree where they overlap; energies of every channel."""

    at_sample: int
    error: tuple[float, ...]
    signal: tuple[float, ...]

    @property
    def disagreement_db(self) -> float:
        """Error power over signal power."""
        return to_db(sum(self.error) / max(sum(self.signal), 1e-12))

    def of(self, channels: Sequence[int]) -> Seam:
        """The same seam, in some of the channels alone."""
        return Seam(self.at_sample, *(tuple(side[c] for c in channels) for side in (self.error, self.signal)))


class Stream(ABC):
    """A restoration in progress."""

    done: tuple[Extended, ...] = ()
    """Of streams that extend the band, once they are through: what was done to each recording."""

    @property
    def seams(self) -> tuple[Seam, ...]:
        """Where chunks were joined so far, at the rate of the model; none for streams without chunks."""
        return ()

    @abstractmethod
    def push(self, wave: Wave) -> Wave:
        """Give the next samples, get those that are ready."""

    @abstractmethod
    def finish(self) -> Wave:
        """No more samples come: get the rest."""

    def rest(self) -> Iterator[Wave]:
        """The same in blocks, for streams that hold back more than memory should."""
        yield self.finish()

    def whole(self, wave: Wave) -> Wave:
        """A whole signal, in blocks: nets that look back over all frames of a call need memory for them."""
        parts = [self.push(wave[:, start : start + BLOCK]) for start in range(0, wave.shape[1], BLOCK)]
        return np.concatenate([*parts, *self.rest()], axis=1)


class Wrapper(Stream):
    """A stream around another."""

    def __init__(self, inner: Stream):
        self._inner = inner

    @property
    def seams(self) -> tuple[Seam, ...]:
        return self._inner.seams


class Queue:
    """Samples waiting for others: appended at the end, taken from the front, counted from the stream's start."""

    def __init__(self, channels: int):
        self._wave = np.zeros((channels, 0), np.float32)
        self.end = 0

    def add(self, wave: Wave) -> None:
        self._wave = np.concatenate([self._wave, wave], axis=1)
        self.end += wave.shape[1]

    def take(self, count: int) -> Wave:
        taken, self._wave = self._wave[:, :count], self._wave[:, count:]
        return taken

    @property
    def waiting(self) -> int:
        return int(self._wave.shape[1])


class FrameStream(Stream):
    """A causal net, frame by frame with its state: equal to the whole however the signal is cut."""

    def __init__(self, step: FrameStep, channels: int):
        self._step = step
        self._analysis, self._synthesis = Analysis(step.stft), Synthesis(step.stft, channels)
        self._state = step.initial_state(channels)
        self._samples, self._frames = 0, 0

    def push(self, wave: Wave) -> Wave:
        self._samples += wave.shape[1]
        return self._synthesis.push(self._restore(self._analysis.push(wave)))

    def finish(self) -> Wave:
        frames = self._analysis.finish(self._samples, self._frames)
        ready = self._synthesis.push(self._restore(frames))
        return np.concatenate([ready, self._synthesis.finish(self._samples)], axis=1)

    def _restore(self, frames: ndarray) -> ndarray:
        self._frames += frames.shape[1]
        if frames.shape[1] == 0:
            return frames
        real = np.stack([frames.real, frames.imag], axis=-1)
        out, self._state = self._step(real, self._state)
        return np.ascontiguousarray(out).view(np.complex64)[..., 0]


class ChunkStream(Stream):
    """A net that needs context on both sides: overlapping chunks, cross-faded linearly.

    ``restore(wave, index)`` restores one chunk; a signal of up to ``chunk`` samples is one call.
    """

    def __init__(self, restore: Callable[[Wave, int], Wave], chunk: int, overlap: int, channels: int):
        if not 0 <= overlap < chunk:
            raise ValueError(f"an overlap of {overlap} samples does not fit chunks of {chunk}")
        self._restore, self._chunk, self._overlap = restore, chunk, overlap
        self._waiting = np.zeros((channels, 0), np.float32)
        self._tail: Wave | None = None  # the last chunk's end, to be faded into the next
        self._index, self._position = 0, 0
        self._seams: list[Seam] = []

    @property
    def seams(self) -> tuple[Seam, ...]:
        return tuple(self._seams)

    def push(self, wave: Wave) -> Wave:
        self._waiting = np.concatenate([self._waiting, wave], axis=1)
        ready = [self._waiting[:, :0]]
        while self._waiting.shape[1] > self._chunk:
            out = self._joined(self._waiting[:, : self._chunk])
            step = self._chunk - self._overlap
            self._tail = out[:, step:]
            self._waiting = self._waiting[:, step:]
            self._position += step
            ready.append(out[:, :step])
        return np.concatenate(ready, axis=1)

    def finish(self) -> Wave:
        return self._joined(self._waiting)

    def _joined(self, wave: Wave) -> Wave:
        out = self._restore(wave, self._index)
        self._index += 1
        if self._tail is None or self._overlap == 0:
            return out
        ahead, before = out[:, : self._overlap], self._tail
        error, signal = (tuple(np.square(w).sum(axis=1).tolist()) for w in (ahead - before, before))
        self._seams.append(Seam(self._position, error, signal))
        fade = np.linspace(0.0, 1.0, self._overlap, dtype=np.float32)
        return np.concatenate([before * (1 - fade) + ahead * fade, out[:, self._overlap :]], axis=1)
