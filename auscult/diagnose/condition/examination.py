"""All instruments on one model, the cheap ones first, within a time that is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from auscult.diagnose.clock import Clock
from auscult.diagnose.condition import embedding, exchange
from auscult.diagnose.condition.embedding import Alike, Picture, Space, Types
from auscult.diagnose.condition.exchange import Exchange
from auscult.diagnose.condition.gap import Gap, gap
from auscult.diagnose.condition.gradients import DropOut, Gradient, dropout, gradients
from auscult.diagnose.condition.items import Items
from auscult.diagnose.condition.paired import Difference
from auscult.diagnose.condition.redundancy import redundancy
from auscult.diagnose.condition.restoration import Restoration, restoration
from auscult.diagnose.condition.subject import Subject
from auscult.errors import MissingExtra
from auscult.evaluate.summary import Estimate
from auscult.rng import Key

RESTORED = 40
"""Items to restore at most: a sampler asks the net many times."""

SHORT = "the references are too short to be halved"
UNTOLD = f"the data names no two types of noise (noise_type) of at least {embedding.FOLDS} items each"

T = TypeVar("T")


@dataclass(frozen=True)
class Examination:
    """What the instruments found; None of those that were left out, ``left_out`` says why."""

    name: str
    items: int
    kinds: int
    space: Space | None
    alike: Alike | None
    types: Types | None
    redundancy: Estimate | None
    picture: Picture | None
    gradients: tuple[Gradient, ...] | None
    dropout: DropOut | None
    gap: tuple[Gap, ...] | None
    exchange: Exchange | None
    origins: tuple[Difference, ...] | None
    lengths: tuple[Difference, ...] | None
    restoration: Restoration | None
    left_out: Mapping[str, str]
    notes: tuple[str, ...]
    elapsed_s: float


def examine(
    subject: Subject, items: Items, key: Key, budget_s: float, history: Sequence[Mapping[str, Any]] | None = None
) -> Examination:
    """Examine a model.

    Args:
        history: rows of the run it comes from; None: it comes from none.
        budget_s: seconds; an instrument that the time runs out on has fewer items, later ones are left out.
    """
    started, bench = time.monotonic(), _Bench(Clock.lasting(budget_s))
    z, some = embedding.vectors(subject, items.own), items.some(np.arange(min(len(items), RESTORED)))
    null = "" if subject.has_null else "trained without drop-out (conditioning.drop 0), it has no answer without one"
    run = "" if history is not None else "the checkpoint lies in no run folder, which would hold a history"
    return Examination(
        name=subject.name,
        items=len(items),
        kinds=len(set(items.kinds) - {None}),
        space=bench.use("embedding", lambda _: embedding.space(subject, z)),
        alike=bench.use("pieces of one recording", lambda _: embedding.alike(subject, items, key), none=SHORT),
        types=bench.use("types of noise", lambda _: embedding.types(z, items.kinds, key), none=UNTOLD),
        redundancy=bench.use("redundancy", lambda _: redundancy(items.noisy, z)),
        picture=bench.use("picture", lambda _: embedding.picture(z, items.kinds, key.seed)),
        gradients=bench.use("gradients", lambda _: gradients(subject, items)),
        dropout=bench.use("drop-out", lambda _: dropout(subject, history or ()), run, "the run logged none"),
        gap=bench.use("gap", lambda clock: gap(subject, items, clock.share(0.2)), null),
        exchange=bench.use("exchange", lambda clock: exchange.exchange(subject, items, key, clock.share(0.4))),
        origins=bench.use("origins", lambda clock: exchange.origins(subject, items, clock.share(0.3))),
        lengths=bench.use("lengths", lambda clock: exchange.lengths(subject, items, clock.share(0.3)), null),
        restoration=bench.use("restoration", lambda clock: restoration(subject, some, key, clock)),
        left_out=bench.left_out,
        notes=items.notes,
        elapsed_s=time.monotonic() - started,
    )


class _Bench:
    """Where instruments are used one after the other; what is left out is noted with the reason."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self.left_out: dict[str, str] = {}

    def use(self, name: str, instrument: Callable[[Clock], T | None], unless: str = "", none: str = "") -> T | None:
        """What an instrument finds; None where a reason speaks against it, time is up, or it finds ``none``."""
        reason, found = unless or ("" if self._clock.left > 0 else "the time was up; raise --budget"), None
        try:
            found = None if reason else instrument(self._clock)
        except MissingExtra as error:
            reason = str(error)
        if found is None:
            self.left_out[name] = reason or none
        return found
