"""Instruments on the loss: the item's reference exchanged for others, shortened, or taken from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from auscult.diagnose.clock import Clock
from auscult.diagnose.condition.answers import losses
from auscult.diagnose.condition.items import FEWEST, Items
from auscult.diagnose.condition.paired import Difference, differences
from auscult.diagnose.condition.references import References, of_another_type, swapped
from auscult.diagnose.condition.subject import Subject
from auscult.evaluate.summary import Estimate, estimate
from auscult.rng import Key
from auscult.units import samples

NULL, SILENT, SHUFFLED, WRONG = "none", "silence", "another item's", "another type's"
LOUDER, FASTER, TILTED = "1 dB louder", "2 % faster", "filtered"
DISJOINT, OVERLAPPING, REALISTIC = "disjoint", "overlapping", "noise_only:auto"
LENGTHS_S = (0.1, 0.25, 0.5, 1.0, 2.0)

Losses = dict[str, Float[ndarray, " I"]]


@dataclass(frozen=True)
class Exchange:
    """Loss with another reference minus loss with the item's own: above zero the own one serves better."""

    own: Estimate
    differences: tuple[Difference, ...]


def exchange(subject: Subject, items: Items, key: Key, clock: Clock) -> Exchange:
    """The item's reference against none, silence, others' and slightly changed ones."""
    own = items.own
    given = {
        SILENT: own.silent(),
        SHUFFLED: own.at(swapped(len(items), key.child("swapped"))),
        WRONG: of_another_type(own, items.kinds, key.child("another type")),
        LOUDER: own.louder(),
        FASTER: own.faster(items.rate_hz),
        TILTED: own.tilted(),
    }
    given = {name: references for name, references in given.items() if references.present.sum() >= FEWEST}
    found = losses(subject, items, {"own": own, **_null(subject, own), **given}, clock)
    base = found.pop("own")
    gaps = {name: _counted(found[name] - base, given.get(name)) for name in found}
    return Exchange(estimate(base), differences(gaps))


def lengths(subject: Subject, items: Items, clock: Clock) -> tuple[Difference, ...]:
    """What a reference of each length saves: loss without any minus loss with its first seconds."""
    given = {f"{length_s:g} s": items.longest.first(samples(length_s, items.rate_hz)) for length_s in LENGTHS_S}
    found = _losses_of_many(subject, items, given, clock)
    return differences({name: found[NULL] - values for name, values in found.items() if name != NULL})


def origins(subject: Subject, items: Items, clock: Clock) -> tuple[Difference, ...]:
    """What a reference of each origin saves over none; and realistic and overlapping ones against disjoint ones.

    The last two are losses of the disjoint minus losses of the other: above zero the other serves better.
    """
    found = _losses_of_many(subject, items, dict(items.origins), clock)
    gaps = {name: found[NULL] - found[name] for name in items.origins if name in found and NULL in found}
    if DISJOINT in found:
        others = [name for name in (OVERLAPPING, REALISTIC) if name in found]
        gaps |= {over(name): found[DISJOINT] - found[name] for name in others}
    return differences(gaps)


def over(origin: str) -> str:
    """The name of a comparison with disjoint references."""
    return f"{origin} over {DISJOINT}"


def _losses_of_many(subject: Subject, items: Items, given: dict[str, References], clock: Clock) -> Losses:
    """Losses under sets of references that at least ``FEWEST`` items have, NaN for items that have none."""
    given = {name: references for name, references in given.items() if references.present.sum() >= FEWEST}
    found = losses(subject, items, {**_null(subject, items.own), **given}, clock)
    return {name: _counted(values, given.get(name)) for name, values in found.items()}


def _null(subject: Subject, own: References) -> dict[str, References]:
    return {NULL: own.none()} if subject.has_null else {}


def _counted(values: Float[ndarray, " I"], references: References | None) -> Float[ndarray, " I"]:
    """NaN for items that such a reference could not be had of."""
    return values if references is None else np.where(references.present, values, np.nan)
