"""Where an estimate comes from: a file that is there, or a model that restores the noisy one now."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from auscult.audio.clip import Clip, read
from auscult.audio.resample import resample
from auscult.audio.rolloff import LAST_BELOW
from auscult.audio.writer import write
from auscult.data.references import Reference, located
from auscult.evaluate.rows import Item
from auscult.hub.bundle import Weights
from auscult.restore.extension import ExtensionRequest, respliced
from auscult.restore.models import Cut, Precision, load
from auscult.restore.references import ReferenceRequest
from auscult.units import samples

if TYPE_CHECKING:
    from auscult.restore.engine import Restorer

ORACLE = "oracle"
"""What only an evaluation can have: of noise references noisy - clean, of roll-offs that of the clean side."""


@dataclass(frozen=True)
class Heard:
    """An estimate as it is scored. ``speed`` is times faster than real time, where it was restored now."""

    clip: Clip
    path: Path
    speed: float | None = None


class Source(ABC):
    """A system's answer to an item. Sources are records: they travel to worker processes."""

    @abstractmethod
    def hear(self, item: Item, device: str) -> Heard:
        """The estimate.

        Raises:
            AudioError, RestorationError: there is none, and why.
        """


@dataclass(frozen=True)
class File(Source):
    """A file that is there already."""

    path: Path

    def hear(self, item: Item, device: str) -> Heard:
        return Heard(read(self.path), self.path)


@dataclass(frozen=True)
class Opening:
    """How a model is opened; what :func:`auscult.load` takes, but the device."""

    model: str = "default"
    overrides: tuple[str, ...] = ()
    weights: Weights = "auto"
    trust: tuple[str, ...] = ()
    cut: Cut = Cut()
    precision: Precision = "fp32"


@dataclass(frozen=True)
class Restored(Source):
    """What a model makes of the noisy file, kept as float samples under ``keep``: scored and heard are the same.

    ``reference`` is for a model that is conditioned on noise; its source may also be ``oracle``. ``extension`` is for
    a model of super-resolution; ``oracle`` asks for the roll-off of the clean file, and what is generated is kept
    under ``raw``, so that other splices of it need no call of the net.
    """

    opening: Opening
    keep: Path
    seed: int = 0
    strength: float = 1.0
    reference: ReferenceRequest | None = None
    extension: ExtensionRequest | None = None
    oracle: bool = False
    raw: Path | None = None

    def hear(self, item: Item, device: str) -> Heard:
        if self.keep.exists():  # restored before a stop, complete since it was renamed into place
            return Heard(read(self.keep), self.keep)
        assert item.noisy is not None
        noisy = read(item.noisy)
        restorer = _restorer(self.opening, device)
        if self.raw is not None and self.raw != self.keep and noisy.rate_hz == restorer.rate_hz:
            return self._spliced(item, noisy, device)
        started = time.perf_counter()
        request, extension = self._request(item, noisy, restorer.rate_hz), self._extension(item, restorer.rate_hz)
        wave = restorer.enhance(noisy.wave, noisy.rate_hz, self.strength, self.seed, request, extension)
        speed = noisy.duration_s / max(time.perf_counter() - started, 1e-9)
        clip = noisy.with_wave(wave)
        write(self.keep, clip, on_clip="float")
        return Heard(clip, self.keep, speed)

    def _spliced(self, item: Item, noisy: Clip, device: str) -> Heard:
        """What was generated before, or is now, spliced as asked for."""
        assert self.raw is not None
        assert self.extension is not None
        generated = replace(self, keep=self.raw, extension=replace(self.extension, splice="none")).hear(item, device)
        wave = respliced(noisy.wave, generated.clip.wave, noisy.rate_hz, self.extension.splice)
        clip = noisy.with_wave(wave)
        write(self.keep, clip, on_clip="float")
        return Heard(clip, self.keep, generated.speed)

    def _extension(self, item: Item, model_hz: int) -> ExtensionRequest | None:
        if self.extension is None or not self.oracle:
            return self.extension
        assert item.clean is not None
        clean = read(item.clean)
        ratio = LAST_BELOW.of(clean.wave.mean(axis=0), clean.rate_hz).ratio
        return replace(self.extension, rolloff=min(1.0, ratio * clean.rate_hz / model_hz))

    def _request(self, item: Item, noisy: Clip, model_hz: int) -> ReferenceRequest | None:
        if self.reference is None or self.reference.source != ORACLE:
            return self.reference
        assert item.clean is not None
        return ReferenceRequest(oracle(noisy, read(item.clean), model_hz, self.reference.duration_s) or "none")


def oracle(noisy: Clip, clean: Clip, rate_hz: int, duration_s: float) -> Reference | None:
    """A piece of the noise itself, noisy - clean, from the middle of an item; None where it is silent there.

    No restoration has it, and it overlaps what is restored: it bounds what a reference can give.
    """
    noise = noisy.wave.mean(0, keepdims=True) - clean.wave.mean(0, keepdims=True)
    noise = resample(noise, noisy.rate_hz, rate_hz)
    length = min(samples(duration_s, rate_hz), noise.shape[1])
    start = (noise.shape[1] - length) // 2
    return Reference.of(noise[:, start : start + length], {"origin": ORACLE, **located(start, length, rate_hz)})


@lru_cache(maxsize=1)
def _restorer(opening: Opening, device: str) -> Restorer:
    """The model, opened once a process; items come system by system."""
    return load(
        opening.model, device, opening.trust, opening.overrides, opening.weights, opening.cut, opening.precision
    )


def share_cores(workers: int) -> None:
    """Let torch use this process's part of the cores, if it is going to be used at all."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
