"""Groups of items: categories as they are, few numbers as they are, many numbers in bins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from auscult.evaluate.rows import Fact, Item

MOST_GROUPS = 30
MOST_VALUES = 8
"""Numbers with more distinct values than this are binned."""
SNR_STEP_DB = 5


@dataclass(frozen=True)
class Grouping:
    """One way to divide items: the group of each (None: not known), and the groups in order."""

    name: str
    labels: tuple[str | None, ...]
    values: tuple[str, ...]


def groupings(items: Sequence[Item]) -> Iterator[Grouping]:
    """One for every fact that divides the items."""
    for name in dict.fromkeys(name for item in items for name in item.facts):
        grouping = _grouping(name, [item.facts.get(name) for item in items])
        if 2 <= len(grouping.values) <= MOST_GROUPS:
            yield grouping


def _grouping(name: str, facts: Sequence[Fact | None]) -> Grouping:
    numbers = [fact for fact in facts if isinstance(fact, int | float)]
    if len(numbers) < sum(fact is not None for fact in facts):
        labels = [None if fact is None else str(fact) for fact in facts]
        return Grouping(name, tuple(labels), tuple(sorted({label for label in labels if label is not None})))
    if len(set(numbers)) <= MOST_VALUES:
        labels = [None if fact is None else f"{fact:g}" for fact in facts]
    else:
        edges = _edges(name, np.array(numbers, float))
        labels = [None if fact is None else _bin(float(fact), edges) for fact in facts]
    first = {label: fact for fact, label in zip(facts, labels, strict=True) if isinstance(fact, int | float)}
    return Grouping(name, tuple(labels), tuple(str(label) for label in sorted(first, key=first.__getitem__)))


def _edges(name: str, numbers: np.ndarray) -> np.ndarray:
    """Round steps for an SNR, quartiles for anything else."""
    if name.endswith("snr_db"):
        first, last = np.floor(np.array([numbers.min(), numbers.max()]) / SNR_STEP_DB)
        return SNR_STEP_DB * np.arange(first, last + 2)
    return np.unique(np.quantile(numbers, [0, 0.25, 0.5, 0.75, 1]))


def _bin(value: float, edges: np.ndarray) -> str:
    place = int(np.clip(np.searchsorted(edges, value, side="right") - 1, 0, len(edges) - 2))
    return f"{edges[place]:.3g} to {edges[place + 1]:.3g}"
