"""How far the net's two answers lie apart: gap(t) = E |F_told - F_null| / E |F_null|."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from auscult.diagnose.clock import Clock
from auscult.diagnose.condition.answers import BATCH, batches, example_at, said
from auscult.diagnose.condition.items import Items
from auscult.diagnose.condition.paired import ratio
from auscult.diagnose.condition.subject import Subject
from auscult.evaluate.summary import Estimate

SHARES = (0.03, 0.1, 0.25, 0.5, 0.75, 1.0)
"""Of the path's last time that has noise."""
ITEMS = 4 * BATCH
"""The gap is nearly the same for all items; more of them add little."""


@dataclass(frozen=True)
class Gap:
    """At one time of the path."""

    t: float
    of: Estimate


@torch.inference_mode()
def gap(subject: Subject, items: Items, clock: Clock) -> tuple[Gap, ...]:
    """The gap over a grid of times, with intervals over items."""
    times = [share * subject.method.path.t_start for share in SHARES]
    norms: dict[float, list[np.ndarray]] = {t: [] for t in times}
    for places in batches(items.some(np.arange(min(len(items), ITEMS))), clock):
        some = items.some(places)
        told, null = subject.encode(some.own), subject.encode(some.own.none())
        for t in times:
            at = example_at(subject, some, t)
            without = said(subject, at, null)
            apart = said(subject, at, told) - without
            norms[t].append(np.stack([x.abs().square().sum((1, 2, 3)).sqrt().cpu().numpy() for x in (apart, without)]))
    found = {t: np.concatenate(parts, axis=1).astype(float) for t, parts in norms.items()}
    return tuple(Gap(t, ratio(*found[t])) for t in times)
