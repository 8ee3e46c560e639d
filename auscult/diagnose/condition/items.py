"""The items that a condition is examined on: pairs with references of every origin, the same crops for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from auscult.conditions.noise_reference import KEYS
from auscult.data.loader import ATTEMPTS, permutation
from auscult.data.pairs import Pair, PairSource, heard_type
from auscult.degrade.base import Unusable
from auscult.diagnose.condition.recordings import ORIGINS, Recordings
from auscult.diagnose.condition.references import Places, References
from auscult.errors import DataError, RecipeError
from auscult.features.normalise import Normalise, Statistics
from auscult.rng import Key

FEWEST = 8
"""Fewer items bear no statement."""

Place = tuple[int, Key]
"""An index and a key, by which every source that differs in references alone gives the same item."""


@dataclass(frozen=True)
class Items:
    """Normalised waves on the CPU, with what is known of each item.

    Args:
        own: the references as the recipe draws them; every item has one.
        longest: the same at the longest duration that the recipe draws.
        origins: references of every origin that the data can give.
        kinds: type of noise; None where nothing says so.
        keys: name each item's random numbers, the same under every reference.
        notes: what could not be had.
    """

    clean: Float[Tensor, "I C T"]
    noisy: Float[Tensor, "I C T"]
    rate_hz: int
    own: References
    longest: References
    origins: Mapping[str, References]
    names: tuple[str, ...]
    kinds: tuple[str | None, ...]
    keys: tuple[Key, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def some(self, places: Places) -> Items:
        """Some of them."""
        return replace(
            self,
            clean=self.clean[places],
            noisy=self.noisy[places],
            own=self.own.at(places),
            longest=self.longest.at(places),
            origins={name: references.at(places) for name, references in self.origins.items()},
            names=tuple(self.names[i] for i in places),
            kinds=tuple(self.kinds[i] for i in places),
            keys=tuple(self.keys[i] for i in places),
        )


def draw(recordings: Recordings, normalise: Normalise, count: int, key: Key) -> Items:
    """Draw items that have a reference.

    Raises:
        DataError: fewer than ``FEWEST`` of them.
    """
    own = recordings.referenced()
    drawn = [found for position in range(count) if (found := _drawn(own, key, position))]
    heard = [(place, pair) for place, pair in drawn if pair.conditions["noise_samples"] > 0]
    if len(heard) < FEWEST:
        raise DataError(
            f"{len(heard)} of {count} items have a noise reference; at least {FEWEST} are needed: raise --items, or "
            f"give longer recordings than '{recordings.origin}' references could be had of"
        )
    places, pairs = [place for place, _ in heard], [pair for _, pair in heard]
    origins, notes = _by_origin(recordings, places)
    if missing := count - len(heard):
        notes = (f"{missing} of {count} items are left out: no reference of origin '{recordings.origin}'", *notes)
    clean, noisy = (np.stack(side) for side in zip(*((p.clean, p.noisy) for p in pairs), strict=True))
    gain = normalise.gain(Statistics.of(noisy if normalise.by == "noisy" else clean))[:, None, None]
    return Items(
        torch.from_numpy(clean * gain),
        torch.from_numpy(noisy * gain),
        own.rate_hz,
        _references(pairs),
        _references([recordings.referenced(longest=True).pair(*place) for place in places]),
        origins,
        tuple(pair.name for pair in pairs),
        tuple(heard_type(recordings.source, index, pair) for pair, (index, _) in zip(pairs, places, strict=True)),
        tuple(key.child("chance", position) for position in range(len(pairs))),
        notes,
    )


def _drawn(source: PairSource, key: Key, position: int) -> tuple[Place, Pair] | None:
    """A usable item."""
    epoch, place = divmod(position, len(source))
    for attempt in range(ATTEMPTS):
        index = int(permutation(key, epoch, len(source))[(place + attempt) % len(source)])
        found = index, key.child("item", epoch, place, attempt)
        try:
            return found, source.pair(*found)
        except Unusable:
            continue
    return None


def _by_origin(recordings: Recordings, places: Sequence[Place]) -> tuple[dict[str, References], tuple[str, ...]]:
    """References of every origin, and why there are none of some."""
    found: dict[str, References] = {}
    notes = []
    for origin in ORIGINS:
        try:
            source = recordings.referenced(origin)
        except RecipeError as error:
            notes.append(f"no '{origin}' references: {error}")
            continue
        found[origin] = _references([source.pair(*place) for place in places])
    return found, tuple(notes)


def _references(pairs: Sequence[Pair]) -> References:
    return References(*(torch.from_numpy(np.stack([pair.conditions[key] for pair in pairs])) for key in KEYS))
