"""One pair, measured: levels of both sides, how they belong together, how noisy is made of clean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from auscult.data.audit.additive import Additive, additive, aligned
from auscult.data.audit.levels import Levels, levels
from auscult.data.audit.relation import RELATED, Relation, relation
from auscult.diagnose.checks.data_additive import PLAIN
from auscult.diagnose.evidence import HeardItem


@dataclass(frozen=True)
class Paired:
    """Numbers of one pair; ``relation`` is None of silence and of what is not finite, ``fit`` of unrelated sides."""

    name: str
    rate_hz: int
    clean: Levels
    noisy: Levels
    relation: Relation | None
    fit: Additive | None

    @property
    def related(self) -> bool:
        """Whether the sides have more in common than chance."""
        return self.relation is not None and self.relation.z > RELATED

    @property
    def plain(self) -> bool:
        """Whether noisy is clean at one gain with something added."""
        return self.fit is not None and bool(self.fit.flat >= PLAIN)


def paired(item: HeardItem) -> Paired:
    """Measure an item."""
    size = item.length or item.clean.size
    clean, noisy = item.clean[:size], item.noisy[:size]
    sides = levels(clean, item.rate_hz), levels(noisy, item.rate_hz)
    finite = np.isfinite(clean).all() and np.isfinite(noisy).all()
    how = relation(clean, noisy, item.rate_hz) if finite else None
    fit = None
    if how is not None and how.z > RELATED:
        fit = additive(*aligned(clean, noisy, how.lag_samples), item.rate_hz)
    return Paired(item.name, item.rate_hz, *sides, how, fit)
