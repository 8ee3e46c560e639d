"""A training step of ours that can be asked questions: the recipe's method, its nets, and batches of its data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from auscult import recipe
from auscult.catalogue import check_trust
from auscult.conditions.noise_reference import KEYS, OTHER
from auscult.data.captions import as_bytes
from auscult.data.loader import collate
from auscult.data.pairs import PairBatch, PairSource
from auscult.diagnose.evidence import Absent, Practice, Step
from auscult.diagnose.gather.calling import same_draws
from auscult.diagnose.gather.foreign import gather_foreign
from auscult.diagnose.gather.oracle import way_of
from auscult.diagnose.gather.synthetic import synthetic_pairs
from auscult.errors import AuscultError
from auscult.hub.opening import open_method
from auscult.methods.base import Batch, Method
from auscult.methods.conditioning import CLASS
from auscult.rng import Draws, Key
from auscult.train.setup import rooted

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

BATCH, LONGEST_S = 4, 1.0
"""Batches are small and short: what a loss compares shows in a second of speech."""
CAPTION = "a voice speaks in noise"
SMALLER = 2
"""A net is asked about one item of a batch, over this part of its length."""
Batches = Callable[[int, int], PairBatch | None]
"""By epoch and place in it; None where it has ended."""


def gather_practice(case: Case) -> Practice:
    """The practice of foreign functions where any was given, else of the recipe, run or checkpoint.

    Raises:
        Absent: nothing was given that trains, or it cannot be built.
    """
    given = case.given
    if given.loader or given.loss or given.model:
        return gather_foreign(case)
    try:
        build, name = _method(case)
        method = built(build)
        return Ours(method, build, _batches(case, method), name, case.key.child("practice"))
    except AuscultError as error:
        raise Absent(f"the training step cannot be built: {error}") from error


def built(build: Callable[[], Method], generation: int = 0) -> Method:
    """A method with nets that are the same at each call, and others in each generation."""
    with same_draws(generation):
        return build()


class Ours(Practice):
    """A method with nets of its own."""

    def __init__(
        self, method: Method, build: Callable[[], Method], batches: Batches, name: str, key: Key, generation: int = 0
    ):
        self.name, self.rate_hz, self.method, self._generation = name, method.rate_hz, method, generation
        self._build, self._batches, self._key, self._way = build, batches, key, way_of(method)
        self._nets = method.nets()
        for net in self._nets.values():
            net.train()
        self._steps: dict[tuple[int, int], Step] = {}

    def steps(self, count: int, epoch: int = 0) -> Sequence[Step]:
        found = [self._step(epoch, place) for place in range(count)]
        return [step for step in found if step is not None]

    def loss(self, step: Step, estimate: Tensor | None = None) -> Mapping[str, Tensor]:
        own: Own = step.own
        with same_draws():
            if estimate is None:
                found = self._way.own(self.method, self._nets, own.batch, own.draws())
            else:
                wave = (estimate * own.batch.gain[:, None])[:, None]
                found = self._way.supposed(self.method, self._nets, own.batch, wave, own.draws())
        return {name: found.weights[name] * part for name, part in found.parts.items()}

    def estimate(self, step: Step) -> Tensor:
        own: Own = step.own
        with same_draws():
            wave = self._way.seen(self.method, self._nets, own.batch, own.draws())
        return wave[:, 0] / own.batch.gain[:, None]

    def nets(self) -> Mapping[str, nn.Module]:
        return {name: self._nets[name] for name in self._way.learn}

    def part(self, step: Step) -> Step:
        own: Own = step.own
        samples = step.clean.shape[1] // SMALLER
        clean, noisy = step.clean[:1, :samples], step.noisy[:1, :samples]
        return Step(clean, noisy, step.names[:1], own.first(samples), step.starts[:1], (samples,))

    def fresh(self) -> Practice:
        following = self._generation + 1
        method = built(self._build, following)
        other = Ours(method, self._build, self._batches, self.name, self._key, following)
        other._steps = self._steps
        return other

    def _step(self, epoch: int, place: int) -> Step | None:
        if (epoch, place) not in self._steps:
            pairs = self._batches(epoch, place)
            if pairs is None:
                return None
            batch = Batch.of(pairs, self.method.normalise)
            keys = tuple(self._key.child("draws", epoch, place, item) for item in range(len(batch.gain)))
            clean, noisy = (wave[:, 0] / batch.gain[:, None] for wave in (batch.clean, batch.noisy))
            names = tuple(name for name, valid in zip(pairs.names, pairs.valid, strict=True) if valid)
            starts = tuple(int(start) for start in batch.crop_start)
            lengths = tuple(map(int, batch.lengths))
            self._steps[epoch, place] = Step(clean, noisy, names, Own(batch, keys), starts, lengths, batch.conditions)
        return self._steps[epoch, place]


@dataclass(frozen=True)
class Own:
    """A step as a method takes it."""

    batch: Batch
    keys: tuple[Key, ...]

    def first(self, samples: int) -> Own:
        """The beginning of the first item."""
        whole = self.batch
        cut = replace(
            whole,
            clean=whole.clean[:1, :, :samples],
            noisy=whole.noisy[:1, :, :samples],
            gain=whole.gain[:1],
            lengths=whole.lengths[:1].clamp(max=samples),
            crop_start=whole.crop_start[:1],
            conditions={name: value[:1] for name, value in whole.conditions.items()},
            provenance=whole.provenance[:1],
        )
        return Own(cut, self.keys[:1])

    def draws(self) -> Draws:
        """From the start of their streams, at each asking."""
        return Draws.of(self.keys)


def _method(case: Case) -> tuple[Callable[[], Method], str]:
    """How the method is built with fresh nets; of a checkpoint without recipe, with its own."""
    given, raw = case.given, case.recipe
    if raw is not None and "method" in raw:
        check_trust(recipe.class_names(raw["method"]), given.trust, "the recipe")
        plan = recipe.plan(raw["method"], Method, "method")
        return plan.build, f"the recipe {raw.get('name', '')}".strip()
    if given.checkpoint is not None:
        path = given.checkpoint
        return lambda: open_method(path, given.trust)[0], f"the checkpoint {path.name}"
    raise Absent("no training step was given (--recipe, --run, --checkpoint, or --loader, --loss, --model)")


def _batches(case: Case, method: Method) -> Batches:
    """Short batches of the recipe's data below ``--data``, else synthetic ones."""
    data, raw = case.given.data, case.recipe or {}
    root = data.get("train", data.get("data"))
    if root is not None and "data" in raw:
        try:
            source = _source(raw["data"], root, case.given.trust)
            first = _real(source, case.key.child("items"), method)
            if (found := first(0, 0)) is not None and found.valid.any():
                return first
            reason = "none of its first items is usable"
        except AuscultError as error:
            reason = str(error)
        case.notes.append(f"the loss is asked with synthetic speech and noise, not with {root}: {reason}")
    return synthetic_batches(method.rate_hz)


def _source(node: Any, root: Any, trust: Sequence[str]) -> PairSource:
    check_trust(recipe.class_names(node), trust, "the recipe")
    source: PairSource = recipe.plan(rooted(node, root), PairSource, "data").build()
    return source


def _real(source: PairSource, key: Key, method: Method) -> Batches:
    longest = round(LONGEST_S * method.rate_hz)

    def batch(epoch: int, place: int) -> PairBatch | None:
        first = epoch * len(source) + place * BATCH
        return _shortened(collate(source, key, range(first, first + BATCH)), longest)

    return batch


def _shortened(pairs: PairBatch, longest: int) -> PairBatch:
    """The stretch of a batch in which the clean side has most energy."""
    surplus = pairs.clean.shape[-1] - longest
    if surplus <= 0:
        return pairs
    energy = np.concatenate([[0.0], np.cumsum(np.square(pairs.clean, dtype=np.float64).sum((0, 1)))])
    start = int(np.argmax(energy[longest:] - energy[:-longest]))
    clean, noisy = (wave[..., start : start + longest] for wave in (pairs.clean, pairs.noisy))
    lengths = np.clip(pairs.lengths - start, 1, longest)
    return replace(pairs, clean=clean, noisy=noisy, lengths=lengths, crop_start=pairs.crop_start + start)


def synthetic_batches(rate_hz: int) -> Batches:
    """Batches of speech-like signals in noise, with what every method may be told of them."""
    kept = list(synthetic_pairs(rate_hz))

    def batch(epoch: int, place: int) -> PairBatch | None:
        return _as_pairs(kept[place], place) if place < len(kept) else None

    return batch


def _as_pairs(waves: Mapping[str, np.ndarray], place: int) -> PairBatch:
    clean, noisy = (waves[side][:, None] for side in ("clean", "noisy"))
    items, samples = len(clean), clean.shape[-1]
    return PairBatch(
        clean,
        noisy,
        lengths=np.full(items, samples),
        crop_start=np.zeros(items, int),
        valid=np.ones(items, bool),
        positions=tuple(range(place * items, (place + 1) * items)),
        names=tuple(f"synthetic {place * items + i}" for i in range(items)),
        provenance=((),) * items,
        conditions=_told(noisy - clean, noisy),
    )


def _told(noise: np.ndarray, noisy: np.ndarray) -> dict[str, np.ndarray]:
    """For methods that are told of the noise: the noise played backwards; for those that hear text: a caption.

    Others do not look at them.
    """
    rms = np.sqrt(np.square(noise).mean((1, 2)))
    wave, count = noise[..., ::-1] / rms[:, None, None], np.full(len(noise), noise.shape[-1])
    level = np.log(rms / np.abs(noisy).max((1, 2))).astype(np.float32)
    told = dict(zip(KEYS, (wave, count, level), strict=True))
    other = dict(zip(OTHER, (np.roll(wave, wave.shape[-1] // 2, -1), count, level), strict=True))
    caption = np.stack([as_bytes(CAPTION)] * len(noise))
    return {**other, **told, CLASS: np.zeros(len(noise), int), "text": caption}
