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
from auscult.audio.writer import write
from auscult.evaluate.rows import Item
from auscult.hub.bundle import Weights
from auscult.restore.models import Cut, Precision, load

if TYPE_CHECKING:
    from auscult.restore.engine import Restorer


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
    """What a model makes of the noisy file, kept as float samples under ``keep``: scored and heard are the same."""

    opening: Opening
    keep: Path
    seed: int = 0
    strength: float = 1.0

    def hear(self, item: Item, device: str) -> Heard:
        if self.keep.exists():  # restored before a stop, complete since it was renamed into place
            return Heard(read(self.keep), self.keep)
        assert item.noisy is not None
        noisy = read(item.noisy)
        restorer = _restorer(self.opening, device)
        started = time.perf_counter()
        wave = restorer.enhance(noisy.wave, noisy.rate_hz, self.strength, self.seed)
        speed = noisy.duration_s / max(time.perf_counter() - started, 1e-9)
        clip = noisy.with_wave(wave)
        write(self.keep, clip, on_clip="float")
        return Heard(clip, self.keep, speed)


@lru_cache(maxsize=1)
def _restorer(opening: Opening, device: str) -> Restorer:
    """The model, opened once a process; items come system by system."""
    return load(
        opening.model, device, opening.trust, opening.overrides, opening.weights, opening.cut, opening.precision
    )


def share_cores(workers: int) -> None:
    """Let torch use this process's part of the cores, if it is going to be used at all."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
