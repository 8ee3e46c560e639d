"""The references of many items, and what they are exchanged for to see whether they matter.

A reference is a wave at unit RMS and, apart from it, a level: ln(RMS over the peak of the noisy signal).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from auscult.audio.resample import resample
from auscult.conditions.noise_reference import KEYS
from auscult.rng import Key

LOUDER = math.log(10) / 20
"""One decibel, as levels count."""
FASTER = 0.98
"""Share of its length that a slightly faster reference keeps."""
TILT = 0.1
"""Of the filter 1 + 0.1 / z: 1.7 dB from the lowest to the highest frequency."""

Places = Int[ndarray, " I"]


@dataclass(frozen=True)
class References:
    """A reference for each of I items; of ``samples`` 0: none. Waves are zero behind their end. On the CPU."""

    wave: Float[Tensor, "I 1 T"]
    samples: Int[Tensor, " I"]
    level: Float[Tensor, " I"]

    @property
    def present(self) -> Bool[ndarray, " I"]:
        """Which items have one."""
        return (self.samples > 0).numpy()

    def at(self, places: Places | Tensor) -> References:
        """Those of other items, or of some."""
        index = torch.as_tensor(places)
        return References(self.wave[index], self.samples[index], self.level[index])

    def conditions(self, device: torch.device) -> dict[str, Tensor]:
        """As a method is told of them."""
        return dict(zip(KEYS, (x.to(device) for x in (self.wave, self.samples, self.level)), strict=True))

    def none(self) -> References:
        """No reference: the net is told so."""
        return replace(self, samples=torch.zeros_like(self.samples))

    def silent(self) -> References:
        """A reference of digital silence, present and at its level."""
        return replace(self, wave=torch.zeros_like(self.wave))

    def louder(self) -> References:
        """The same by 1 dB louder."""
        return replace(self, level=self.level + LOUDER)

    def faster(self, rate_hz: int) -> References:
        """The same resampled, so that it sounds 2 % faster and higher."""
        return self._each(lambda wave: resample(wave, rate_hz, round(FASTER * rate_hz)))

    def tilted(self) -> References:
        """The same through a gentle filter."""
        return self._each(lambda wave: wave + TILT * np.pad(wave, ((0, 0), (1, 0)))[:, :-1])

    def first(self, samples: int) -> References:
        """Their first samples, at the level of that piece; none where a reference is shorter."""
        return self.piece(torch.zeros_like(self.samples), torch.full_like(self.samples, samples))

    def halves(self) -> tuple[References, References]:
        """Two pieces of the same recording that share no sample."""
        half = self.samples // 2
        return self.piece(torch.zeros_like(half), half), self.piece(half, half)

    def piece(self, start: Int[Tensor, " I"], length: Int[Tensor, " I"]) -> References:
        """A piece of each, at unit RMS with its own level; none where a reference ends before the piece does."""
        within = (start + length <= self.samples) & (length > 0)
        wave = torch.zeros_like(self.wave)
        for i in torch.nonzero(within).flatten().tolist():
            n = int(length[i])
            wave[i, :, :n] = self.wave[i, :, int(start[i]) : int(start[i]) + n]
        rms = (wave.square().sum((1, 2)) / length.clamp_min(1)).sqrt().clamp_min(1e-9)
        return References(wave / rms[:, None, None], length * within, self.level + rms.log() * within)

    def _each(self, change: Callable[[Float[ndarray, "1 T"]], Float[ndarray, "1 T2"]]) -> References:
        """Every wave changed, at unit RMS again; it may become shorter."""
        wave, samples = torch.zeros_like(self.wave), self.samples.clone()
        for i in np.flatnonzero(self.present):
            changed = torch.from_numpy(change(self.wave[i, :, : int(samples[i])].numpy()).astype(np.float32))
            samples[i] = changed.shape[1]
            wave[i, :, : changed.shape[1]] = changed / changed.square().mean().sqrt().clamp_min(1e-9)
        return replace(self, wave=wave, samples=samples)


def swapped(count: int, key: Key) -> Places:
    """Another item for each, every item once."""
    order = key.numpy().permutation(count)
    places = np.empty(count, int)
    places[order] = np.roll(order, 1)
    return places


def of_another_type(references: References, kinds: Sequence[str | None], key: Key) -> References:
    """The sound of an item with another type of noise, at the item's own level; none where no type is known."""
    rng, places = key.numpy(), np.arange(len(kinds))
    known = [i for i, here in enumerate(references.present) if here and kinds[i] is not None]
    found = np.zeros(len(kinds), bool)
    for i in known:
        others = [j for j in known if kinds[j] != kinds[i]]
        if others:
            places[i], found[i] = others[int(rng.integers(len(others)))], True
    other = references.at(places)
    return References(other.wave, other.samples * torch.from_numpy(found), references.level)
