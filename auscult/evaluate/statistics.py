"""Statistics of paired scores: is it a difference, could it be chance, what would it take to know?

Conventions. Items are the units, unless they fall into at least ``FEWEST_CLUSTERS`` clusters (speakers, files cut
into pieces): then clusters are. Intervals are studentised bootstrap intervals (Efron & Tibshirani 1993, ch. 12.5),
which hold their level for skewed scores and few clusters better than percentiles do; p-values come from sign-flip
permutation of paired differences, corrected by Holm (1979) over all comparisons that are shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from auscult.rng import Key

LEVEL = 0.95
DRAWS = 9_999
FEWEST_CLUSTERS = 6
"""Fewer speakers say nothing of speakers in general: items are the units then, and reports say so."""

Values = Float[ndarray, " _"]
Labels = Int[ndarray, " _"]


@dataclass(frozen=True)
class Units:
    """Sums and sizes of the units that are drawn with replacement: items, or clusters of them."""

    sums: Values
    sizes: Values

    @classmethod
    def of(cls, values: Values, clusters: Labels | None = None) -> Units:
        """One unit an item, or one a cluster."""
        if clusters is None:
            return cls(values, np.ones(values.size))
        _, index = np.unique(clusters, return_inverse=True)
        return cls(np.bincount(index, values), np.bincount(index).astype(float))

    @property
    def count(self) -> int:
        return self.sums.size

    @property
    def mean(self) -> float:
        return float(self.sums.sum() / self.sizes.sum())

    @property
    def standard_error(self) -> float:
        """Of the mean over all items: linearised ratio estimator, with the small-sample factor."""
        residual = self.sums - self.mean * self.sizes
        return float(math.sqrt((residual @ residual) * self.count / max(self.count - 1, 1)) / self.sizes.sum())


def interval(values: Values, clusters: Labels | None = None, level: float = LEVEL) -> tuple[float, float]:
    """Studentised bootstrap interval of the mean; NaN for fewer than two units. Equal scores give equal intervals.

    Fewer than ``FEWEST_CLUSTERS`` units have too few distinct draws: Student's t then.
    """
    units = Units.of(values, clusters)
    if units.count < 2:
        return math.nan, math.nan
    error = units.standard_error
    if error <= 1e-12 * max(abs(units.mean), 1e-300):
        return units.mean, units.mean
    if units.count < FEWEST_CLUSTERS:
        from scipy.stats import t

        half = float(t.ppf((1 + level) / 2, units.count - 1)) * error
        return units.mean - half, units.mean + half
    drawn = _studentised(units)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return units.mean - float(high) * error, units.mean - float(low) * error


def _studentised(units: Units) -> Values:
    """(mean* - mean) / error* of bootstrap draws; draws of a single repeated unit have no error and are left out."""
    count, rest, sizes = units.count, units.sums - units.mean * units.sizes, units.sizes
    weights = _weights(count)
    drawn_sizes = weights @ sizes
    shift = (weights @ rest) / drawn_sizes
    squares = weights @ rest**2 - 2 * shift * (weights @ (rest * sizes)) + shift**2 * (weights @ sizes**2)
    errors = np.sqrt(np.maximum(squares, 0) * count / (count - 1)) / drawn_sizes
    usable = errors > 1e-3 * units.standard_error
    return shift[usable] / errors[usable]


@lru_cache(maxsize=2)
def _weights(count: int) -> Float[ndarray, "draws units"]:
    """How often each unit is drawn; the same for all numbers of one size, so that they share their chance."""
    rng = Key(0).child("bootstrap", count).numpy()
    return rng.multinomial(count, np.full(count, 1 / count), DRAWS).astype(float)


@lru_cache(maxsize=2)
def _signs(count: int) -> Float[ndarray, "draws units"]:
    """Flips of the units' signs: all of them where they are few, else drawn ones."""
    if 2**count <= DRAWS:
        return 1.0 - 2.0 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
    return 1.0 - 2.0 * Key(0).child("flips", count).numpy().integers(0, 2, (DRAWS, count))


def widened(bounds: tuple[float, float], mean: float, seeds: Sequence[Values]) -> tuple[float, float]:
    """95 % bounds that also count the chance of the seeds.

    Variances add; the quantile is Student's t with the degrees of freedom of Welch and Satterthwaite, to which few
    seeds contribute few. ``seeds`` holds, for every system in the number, the means of its seeds; a single seed adds
    nothing.
    """
    error, freedom = seed_error(seeds)
    if error == 0.0 or not all(map(math.isfinite, bounds)):
        return bounds
    low, high = (_joint_reach(bound - mean, error, freedom) for bound in bounds)
    return mean - low, mean + high


def _joint_reach(reach: float, error: float, freedom: int) -> float:
    """Half-width from that of the items and the standard error of the seeds."""
    from scipy.stats import norm, t

    of_items = (reach / norm.ppf((1 + LEVEL) / 2)) ** 2
    both = (of_items + error**2) ** 2 / (error**4 / freedom)
    return float(t.ppf((1 + LEVEL) / 2, both) * math.sqrt(of_items + error**2))


def seed_error(seeds: Sequence[Values]) -> tuple[float, int]:
    """Standard error due to seeds alone, and its degrees of freedom; 0 where no system has several."""
    several = [means for means in seeds if means.size > 1]
    if not several:
        return 0.0, 0
    error = math.sqrt(sum(float(means.var(ddof=1)) / means.size for means in several))
    return error, min(means.size for means in several) - 1


def sign_flip(differences: Values, clusters: Labels | None = None) -> float:
    """Two-sided permutation p of paired differences: under no difference, each unit's sign is a coin.

    Exact up to 13 units (all flips), else 9 999 drawn flips or, where it is smaller than these can show, Hoeffding's
    bound on what all flips would give (so that many comparisons do not run out of resolution).
    """
    sums = Units.of(differences, clusters).sums
    sums = sums[sums != 0]
    if sums.size == 0:
        return 1.0
    signs = _signs(sums.size)
    as_far = int(np.count_nonzero(np.abs(signs @ sums) >= abs(sums.sum()) * (1 - 1e-12)))
    if len(signs) == 2**sums.size:
        return as_far / len(signs)
    bound = 2 * math.exp(-(float(sums.sum()) ** 2) / (2 * float(sums @ sums)))
    return min((1 + as_far) / (1 + len(signs)), bound)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction, in the order given; NaN stays NaN and counts for nothing."""
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    corrected, floor = [math.nan] * len(p_values), 0.0
    for rank, i in enumerate(order):
        floor = max(floor, min(1.0, (len(order) - rank) * p_values[i]))
        corrected[i] = floor
    return corrected


def effect_size(differences: Values) -> float:
    """Cohen's d of paired differences: mean over standard deviation."""
    sd = float(differences.std(ddof=1)) if differences.size > 1 else math.nan
    return float(differences.mean()) / sd if sd > 0 else math.nan


def items_needed(differences: Values, margin: float, clusters: Labels | None = None, power: float = 0.8) -> int:
    """Items for a mean paired difference of ``margin`` to be shown with this power, two-sided at 5 %.

    Normal approximation; clustering enters by its design effect, so the answer counts items of more clusters of the
    same size.
    """
    from scipy.stats import norm

    reach = norm.ppf((1 + LEVEL) / 2) + norm.ppf(power)
    spread = Units.of(differences, clusters).standard_error * math.sqrt(differences.size)
    return math.ceil((reach * spread / margin) ** 2)


def seeds_needed(seeds: Sequence[Values], margin: float, power: float = 0.8) -> int:
    """Seeds a system for ``margin`` to be shown with this power, if items cost nothing."""
    from scipy.stats import norm

    reach = norm.ppf((1 + LEVEL) / 2) + norm.ppf(power)
    variance = sum(float(means.var(ddof=1)) for means in seeds if means.size > 1)
    return max(2, math.ceil((reach / margin) ** 2 * variance))


@dataclass(frozen=True)
class Components:
    """Standard deviations of a score: between items, between seeds, and what is left (item by seed)."""

    items: float
    seeds: float
    rest: float


def components(table: Float[ndarray, "items seeds"]) -> Components:
    """Split the variance of a full table of items and seeds (two-way ANOVA without replication).

    Raises:
        ValueError: fewer than two items or two seeds.
    """
    items, seeds = table.shape
    if items < 2 or seeds < 2:
        raise ValueError("at least two items and two seeds are needed")
    by_item, by_seed, mean = table.mean(axis=1), table.mean(axis=0), table.mean()
    rest = table - by_item[:, None] - by_seed[None] + mean
    rest_square = float((rest**2).sum()) / ((items - 1) * (seeds - 1))
    item_square, seed_square = seeds * float(by_item.var(ddof=1)), items * float(by_seed.var(ddof=1))
    return Components(
        math.sqrt(max(item_square - rest_square, 0) / seeds),
        math.sqrt(max(seed_square - rest_square, 0) / items),
        math.sqrt(rest_square),
    )
