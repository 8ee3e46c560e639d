"""Where an estimate comes from: a file that is there, or a model that restores the noisy one now."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from auscult.audio.clip import Clip, read
from auscult.audio.resample import resample
from auscult.audio.writer import write
from auscult.data.references import Reference, located
from auscult.evaluate.rows import Item
from auscult.hub.bundle import Weights
from auscult.restore.models import Cut, Precision, load
from auscult.restore.references import ReferenceRequest
from auscult.units import samples

if TYPE_CHECKING:
    from auscult.restore.engine import Restorer

ORACLE = "oracle"
"""The noise reference that only an evaluation can have: noisy - clean."""


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

    ``reference`` is for a model that is conditioned on noise; its source may also be ``oracle``.
    """

    opening: Opening
    keep: Path
    seed: int = 0
    strength: float = 1.0
    reference: ReferenceRequest | None = None

    def hear(self, item: Item, device: str) -> Heard:
        if self.keep.exists():  # restored before a stop, complete since it was renamed into place
            return Heard(read(self.keep), self.keep)
        assert item.noisy is not None
        noisy = read(item.noisy)
        restorer = _restorer(self.opening, device)
        started = time.perf_counter()
        request = self._request(item, noisy, restorer.rate_hz)
        wave = restorer.enhance(noisy.wave, noisy.rate_hz, self.strength, self.seed, request)
        speed = noisy.duration_s / max(time.perf_counter() - started, 1e-9)
        clip = noisy.with_wave(wave)
        write(self.keep, clip, on_clip="float")
        return Heard(clip, self.keep, speed)

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
