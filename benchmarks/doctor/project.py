"""Somebody's project around the package: a data source and a loss with habits of their own, named by dotted names.

A recipe names :class:`Handled` and :class:`Compared` in every code case, healthy or not; ``way`` is an opaque word for
the habit (:func:`word`), so that nothing that is given to a doctor tells the label.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from auscult.audio.resample import fit_length, resample
from auscult.data.pairs import Pair, PairSource
from auscult.losses.base import Loss, WaveLoss
from auscult.rng import Key

Source = Callable[[PairSource, int, Key, float], Pair]
Habit = Callable[[WaveLoss, Tensor, Tensor, float], Loss]


def word(name: str) -> str:
    """What a recipe calls a habit."""
    return hashlib.sha256(f"way of {name}".encode()).hexdigest()[:6]


class Handled(PairSource):
    """Another source, handled in some way."""

    def __init__(self, source: PairSource, way: str = word("plain"), amount: float = 0.0):
        self._source, self._way, self._amount = source, SOURCES[way], amount
        self.rate_hz, self.crop_s = source.rate_hz, source.crop_s

    def __len__(self) -> int:
        return len(self._source)

    def unreadable(self) -> Mapping[str, str]:
        return self._source.unreadable()

    def digest(self) -> str:
        return self._source.digest()

    def no_conditions(self) -> Mapping[str, np.ndarray]:
        return self._source.no_conditions()

    def noise_type(self, index: int) -> str | None:
        return self._source.noise_type(index)

    def alike(self, index: int) -> Sequence[int]:
        return self._source.alike(index)

    def pair(self, index: int, key: Key) -> Pair:
        return self._way(self._source, index, key, self._amount)


def plain(source: PairSource, index: int, key: Key, amount: float) -> Pair:
    return source.pair(index, key)


def independent_crops(source: PairSource, index: int, key: Key, amount: float) -> Pair:
    return replace(source.pair(index, key), clean=source.pair(index, key.child("again")).clean)


def late_noisy(source: PairSource, index: int, key: Key, amount: float) -> Pair:
    pair = source.pair(index, key)
    return replace(pair, noisy=np.roll(pair.noisy, round(amount), axis=1))


def jittered(source: PairSource, index: int, key: Key, amount: float) -> Pair:
    shift = int(key.child("jitter").numpy().integers(-int(amount), int(amount) + 1))
    return late_noisy(source, index, key, shift)


def other_item(source: PairSource, index: int, key: Key, amount: float) -> Pair:
    """With some probability the target is another item's."""
    pair = source.pair(index, key)
    if key.child("other").numpy().random() >= amount:
        return pair
    return replace(pair, clean=source.pair((index + 1) % len(source), key).clean)


def swapped_returns(source: PairSource, index: int, key: Key, amount: float) -> Pair:
    pair = source.pair(index, key)
    return replace(pair, clean=pair.noisy, noisy=pair.clean)


def peaks_apart(source: PairSource, index: int, key: Key, amount: float) -> Pair:
    pair = source.pair(index, key)
    clean, noisy = (amount * side / max(float(np.abs(side).max()), 1e-6) for side in (pair.clean, pair.noisy))
    return replace(pair, clean=clean, noisy=noisy)


def stretched(source: PairSource, index: int, key: Key, amount: float) -> Pair:
    """Content of a higher rate is read as if it were the recipe's own."""
    pair = source.pair(index, key)
    sides = (resample(side, source.rate_hz, round(amount * source.rate_hz)) for side in (pair.clean, pair.noisy))
    clean, noisy = (fit_length(side, pair.clean.shape[1]) for side in sides)
    return replace(pair, clean=clean, noisy=noisy)


def same_crop(source: PairSource, index: int, key: Key, amount: float) -> Pair:
    """A cache of prepared items: the first draw of each serves for ever (and one item serves for ``amount``)."""
    return source.pair(index - index % max(1, round(amount)), Key(0).child("cached"))


def padded(source: PairSource, index: int, key: Key, amount: float) -> Pair:
    """Most of the crop is zeros."""
    pair = source.pair(index, key)
    keep = round((1 - amount) * pair.clean.shape[1])
    sides = (np.pad(side[:, :keep], ((0, 0), (0, side.shape[1] - keep))) for side in (pair.clean, pair.noisy))
    clean, noisy = sides
    return replace(pair, clean=clean, noisy=noisy, length=keep)


def lost_noise(source: PairSource, index: int, key: Key, amount: float) -> Pair:
    pair = source.pair(index, key)
    return replace(pair, noisy=pair.clean)


def turned_over(source: PairSource, index: int, key: Key, amount: float) -> Pair:
    pair = source.pair(index, key)
    return replace(pair, noisy=-pair.noisy)


def told_the_same(source: PairSource, index: int, key: Key, amount: float) -> Pair:
    """Every item comes with the conditions of the first: an index that was not advanced."""
    return replace(source.pair(index, key), conditions=source.pair(0, Key(0).child("told")).conditions)


def upside_down(source: PairSource, index: int, key: Key, amount: float) -> Pair:
    """The target runs backwards: a flip along the wrong axis."""
    pair = source.pair(index, key)
    return replace(pair, clean=pair.clean[:, ::-1].copy())


@dataclass(frozen=True)
class Compared(WaveLoss):
    """Another loss, compared in some way; its parts keep their names."""

    loss: WaveLoss
    way: str = word("as it is")
    amount: float = 0.0

    def __call__(self, estimate: Tensor, target: Tensor) -> Loss:
        return HABITS[self.way](self.loss, estimate, target, self.amount)


def as_it_is(loss: WaveLoss, estimate: Tensor, target: Tensor, amount: float) -> Loss:
    return loss(estimate, target)


def other_level(loss: WaveLoss, estimate: Tensor, target: Tensor, amount: float) -> Loss:
    """The target as it came from disk: normalisation reached the estimate alone."""
    return loss(estimate, amount * target)


def own_peak(loss: WaveLoss, estimate: Tensor, target: Tensor, amount: float) -> Loss:
    return loss(estimate, target / target.abs().amax(-1, keepdim=True).clamp_min(1e-6))


def negated(loss: WaveLoss, estimate: Tensor, target: Tensor, amount: float) -> Loss:
    found = loss(estimate, target)
    return Loss({name: -part for name, part in found.parts.items()}, found.weights)


def shifted_target(loss: WaveLoss, estimate: Tensor, target: Tensor, amount: float) -> Loss:
    return loss(estimate, target.roll(round(amount), -1))


def neighbours_target(loss: WaveLoss, estimate: Tensor, target: Tensor, amount: float) -> Loss:
    return loss(estimate, target.roll(1, 0))


def detached(loss: WaveLoss, estimate: Tensor, target: Tensor, amount: float) -> Loss:
    found = loss(estimate.detach(), target)
    return Loss({name: part + 0.0 * estimate.sum() for name, part in found.parts.items()}, found.weights)


def overweight(loss: WaveLoss, estimate: Tensor, target: Tensor, amount: float) -> Loss:
    found = loss(estimate, target)
    return Loss(found.parts, {name: amount * weight for name, weight in found.weights.items()})


def quieted(loss: WaveLoss, estimate: Tensor, target: Tensor, amount: float) -> Loss:
    """The target lost its quiet parts to a gate."""
    gate = amount * target.square().mean(-1, keepdim=True).sqrt()
    return loss(estimate, torch.where(target.abs() > gate, target, 0.0 * target))


def averaged(loss: WaveLoss, estimate: Tensor, target: Tensor, amount: float) -> Loss:
    """Items were averaged before they were compared: a mean over the wrong axis."""
    return loss(estimate.mean(0, keepdim=True), target.mean(0, keepdim=True))


def backwards(loss: WaveLoss, estimate: Tensor, target: Tensor, amount: float) -> Loss:
    return loss(estimate, target.flip(-1))


SOURCES: dict[str, Source] = {
    word(name): way
    for name, way in {
        "plain": plain, "independent-crops": independent_crops, "late-noisy": late_noisy, "jittered": jittered,
        "other-item": other_item, "swapped-returns": swapped_returns, "peaks-apart": peaks_apart,
        "stretched": stretched, "same-crop": same_crop, "padded": padded, "lost-noise": lost_noise,
        "turned-over": turned_over, "upside-down": upside_down, "told-the-same": told_the_same,
    }.items()
}  # fmt: skip
HABITS: dict[str, Habit] = {
    word(name): way
    for name, way in {
        "as it is": as_it_is, "other-level": other_level, "own-peak": own_peak, "negated": negated,
        "shifted-target": shifted_target, "neighbours-target": neighbours_target, "detached": detached,
        "overweight": overweight, "quieted": quieted, "averaged": averaged, "backwards": backwards,
    }.items()
}  # fmt: skip
