"""What rows say: means with intervals, comparisons of systems, groups, seeds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A mean over items with its 95 % interval."""

    items: int
    mean: float
    low: float
    high: float
    sd: float
    median: float


@dataclass(frozen=True)
class Standing:
    """How one system stands in one metric on one data set."""

    data: str
    system: str
    metric: str
    estimate: Estimate
    failed: int
    """Items on which the metric failed; they are in no mean."""
    seeds: int
    seed_sd: float | None
    """Standard deviation of the data set's mean over seeds; None for a single seed."""


@dataclass(frozen=True)
class Comparison:
    """System ``a`` minus system ``b``, item by item."""

    data: str
    metric: str
    a: str
    b: str
    difference: Estimate
    p: float
    p_holm: float
    effect: float
    """Cohen's d of the paired differences."""
    win_share: float
    """Share of items on which ``a`` is the better one; ties count half."""
    verdict: str
    """better, worse, equal, or no difference shown: of ``a`` against ``b``."""
    words: str
    """The verdict as a sentence, with what it would take to see more."""


@dataclass(frozen=True)
class GroupStanding:
    """A standing within one group of items: noise_type = bus."""

    data: str
    group: str
    value: str
    system: str
    metric: str
    estimate: Estimate


@dataclass(frozen=True)
class Summary:
    """All of it. ``notes`` are sentences that a reader must see beside the numbers."""

    standings: tuple[Standing, ...]
    comparisons: tuple[Comparison, ...]
    groups: tuple[GroupStanding, ...]
    notes: tuple[str, ...]
