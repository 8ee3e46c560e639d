"""One gain for a pair, taken from the noisy (or clean) signal, returned so that it can be undone. numpy.

The statistics are of the whole signal. A restoration engine that sees a long file in pieces gathers them in a first
pass (:class:`Statistics` adds up), so that chunks get the gain of the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from auscult.bounds import Positive

Kind = Literal["none", "peak", "rms", "std"]


@dataclass(frozen=True)
class Statistics:
    """Peak, sum, energy and count of samples, per item; ``+`` joins consecutive parts."""

    peak: Float[ndarray, " B"]
    total: Float[ndarray, " B"]
    energy: Float[ndarray, " B"]
    count: int

    @classmethod
    def of(cls, wave: Float32[ndarray, "B C T"]) -> Statistics:
        axes = (1, 2)
        wide = wave.astype(np.float64)
        return cls(np.abs(wide).max(axes, initial=0.0), wide.sum(axes), np.square(wide).sum(axes), wide[0].size)

    def __add__(self, other: Statistics) -> Statistics:
        peak = np.maximum(self.peak, other.peak)
        return Statistics(peak, self.total + other.total, self.energy + other.energy, self.count + other.count)


@dataclass(frozen=True)
class Normalise:
    """Scale to ``target`` by peak, RMS or standard deviation; digital silence keeps the gain 1.

    ``by="clean"`` takes the clean signal's statistic in training; restoration has only the noisy one. ``per`` matters
    for recordings that are restored in pieces: one gain of the whole ``file``, or one of each ``piece``, for nets that
    are published with the normalisation inside.
    """

    kind: Kind = "none"
    by: Literal["noisy", "clean"] = "noisy"
    target: Positive = 1.0
    per: Literal["file", "piece"] = "file"

    def gain(self, statistics: Statistics) -> Float32[ndarray, " B"]:
        """Factor to multiply by, one an item; finite and positive."""
        count = max(statistics.count, 1)
        size = {
            "none": np.full_like(statistics.peak, self.target),
            "peak": statistics.peak,
            "rms": np.sqrt(statistics.energy / count),
            "std": np.sqrt(np.maximum(statistics.energy / count - (statistics.total / count) ** 2, 0.0)),
        }[self.kind]
        safe = np.where(size > 1e-8, size, self.target)
        return (self.target / safe).astype(np.float32)
