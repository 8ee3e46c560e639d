"""What a recording's channels are told of their noise, and how a first pass over the recording finds it. numpy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from auscult.audio.clip import Clip
from auscult.data.references import TYPE, Reference, conditions
from auscult.data.selection import select
from auscult.degrade.base import Drawn
from auscult.errors import RestorationError
from auscult.features.normalise import Statistics
from auscult.restore.stream import Queue
from auscult.units import samples

Told = Mapping[str, ndarray]
"""What a model is told beside the signal (:func:`auscult.data.references.conditions`), an axis of channels first."""
NOTHING: Told = MappingProxyType({})

LISTENED_S = 300.0
"""``auto`` looks for noise in this much of a recording's beginning, so that memory does not grow with its length."""


@dataclass(frozen=True)
class ReferenceRequest:
    """Which noise reference a recording is restored with.

    Args:
        source: ``auto``, ``none``, a file or a folder, as :func:`auscult.data.selection.select` takes them: of
            ``auto`` every channel gets its own. Or a reference at the model's rate, for every channel.
        duration_s: length of the reference; a reference that is given has its own.
    """

    source: str | Path | Reference = "auto"
    duration_s: float = 0.5

    def of(self, channel: Clip) -> Reference | None:
        """The reference of one channel, at the model's rate as the channel itself.

        Raises:
            DataError, AudioError: as :func:`auscult.data.selection.select`.
        """
        if isinstance(self.source, Reference):
            return self.source
        return select(self.source, channel, self.duration_s)

    def settled(self, rate_hz: int) -> ReferenceRequest:
        """The same for many recordings: a file is read now, once, and what could never be met is refused.

        Raises:
            DataError, AudioError: as :func:`auscult.data.selection.select`.
        """
        if isinstance(self.source, Reference):
            return self
        shared = "none" if Path(self.source).is_dir() else self.source  # of a folder each recording has its own file
        found = select(shared, Clip(np.zeros((1, 1), np.float32), rate_hz), self.duration_s)
        return replace(self, source=found) if found is not None else self

    def said_of(self, found: Reference | None) -> Drawn:
        """Where a reference comes from, or that there is none, for reports."""
        return found.origin if found is not None else {"type": TYPE, "origin": "none", "wanted": str(self.source)}


AUTO = ReferenceRequest()
"""What models that are conditioned on noise are given where nothing is asked for."""


@dataclass(frozen=True)
class Survey:
    """What a first pass over a signal tells, at the model's rate: every channel's statistics and beginning."""

    statistics: Statistics
    beginning: Float32[ndarray, "C T"]
    rate_hz: int

    @classmethod
    def of(cls, blocks: Iterable[Float32[ndarray, "C _"]], rate_hz: int, channels: int, listened_s: float) -> Survey:
        """The survey of a signal that comes in blocks, at least one."""
        parts, beginning, wanted = [], Queue(channels), samples(listened_s, rate_hz)
        for wave in blocks:
            parts.append(Statistics.of(wave[:, None]))
            if beginning.end < wanted:
                beginning.add(wave[:, : wanted - beginning.end])
        return cls(reduce(add, parts), beginning.take(wanted), rate_hz)

    def references(self, request: ReferenceRequest, names: Sequence[str]) -> list[Reference | None]:
        """The reference of every channel; ``names`` are those of the channels' recordings.

        Raises:
            DataError, AudioError: as :func:`auscult.data.selection.select`.
        """
        channels = zip(self.beginning, names, strict=True)
        return [request.of(Clip(wave[None], self.rate_hz, name)) for wave, name in channels]


def told(references: Sequence[Reference | None], peaks: Float[ndarray, " C"]) -> Told:
    """Channels' references as models take them; nothing where no channel has one.

    ``peaks`` are those of the channels over their whole length, at the model's rate and their own level: a net has
    learned levels relative to the peak of what it restores.
    """
    longest = max((reference.wave.shape[1] for reference in references if reference is not None), default=0)
    if not longest:
        return NOTHING
    each = [conditions(one, longest, float(peak)) for one, peak in zip(references, peaks, strict=True)]
    return {name: np.stack([one[name] for one in each]) for name in each[0]}


def recalled(of: Told, noisy_peak: float) -> Reference | None:
    """The reference that an item's conditions hold: the inverse of :func:`auscult.data.references.conditions`."""
    length = int(of["noise_samples"])
    rms = float(np.exp(of["noise_level"])) * noisy_peak
    return Reference(of["noise"][:, :length], rms, {"type": TYPE, "origin": "conditions"}) if length else None


def unconditioned(model: str) -> RestorationError:
    """The error of a model that is told of a noise and could not heed it."""
    return RestorationError(f"{model} is not conditioned on noise: leave the noise reference and its settings out")


def in_words(origin: Drawn) -> str:
    """Where a reference comes from, or why there is none, for people."""
    kind = origin["origin"]
    if kind == "none" and origin["wanted"] == "auto":
        return "no stretch without speech found: restored without a reference"
    if kind == "none":
        return "restored without a reference"
    place = f"{origin['duration_s']:g} s from {origin['start_s']:g} s on"
    if kind == "file":
        return f"{place} of {origin['file']}" + (f" ({origin['note']})" if "note" in origin else "")
    return f"{place} of the recording ({kind})"
