"""Measures on curves: levels with their uncertainty, falls, turning points, what noise alone would give.

Uncertainty comes from the curve's own scatter, or where it is larger from the spread within a window, so that slow
wandering is not taken for certainty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import norm, spearmanr

from auscult.diagnose.evidence import Curve

Values = Float[ndarray, " n"]


@dataclass(frozen=True)
class Level:
    """Mean of a stretch of a curve with the standard error of it."""

    mean: float
    error: float
    count: int


@dataclass(frozen=True)
class Change:
    """From one level to another; ``z`` is the difference over its standard error."""

    before: Level
    after: Level

    @property
    def difference(self) -> float:
        """After minus before."""
        return self.after.mean - self.before.mean

    @property
    def error(self) -> float:
        """Standard error of the difference."""
        return math.hypot(self.before.error, self.after.error)

    @property
    def z(self) -> float:
        """In standard errors; 0 where nothing changed at all."""
        if self.error > 0:
            return self.difference / self.error
        return math.copysign(math.inf, self.difference) if self.difference else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference."""
        return self.difference - 1.96 * self.error, self.difference + 1.96 * self.error


def finite(curve: Curve) -> Curve:
    """Without gaps."""
    known = np.isfinite(curve.values)
    return Curve(curve.at[known], curve.values[known])


def within(curve: Curve, low: float, high: float) -> Curve:
    """The part after ``low`` up to ``high``."""
    inside = (curve.at > low) & (curve.at <= high)
    return Curve(curve.at[inside], curve.values[inside])


def scatter(values: Values) -> float:
    """Standard deviation of a value about its neighbours: from second differences, whatever the curve does slowly."""
    if values.size < 3:
        return float(np.std(values)) if values.size else 0.0
    bends = values[1:-1] - (values[:-2] + values[2:]) / 2
    return float(1.4826 * np.median(np.abs(bends)) / math.sqrt(1.5)) or float(np.std(bends) / math.sqrt(1.5))


def level(values: Values) -> Level:
    """Mean with its error; a single value has that of nothing known (infinite)."""
    if values.size < 2:
        return Level(float(values.mean()) if values.size else math.nan, math.inf, values.size)
    spread = max(scatter(values), float(np.std(values, ddof=1)))
    return Level(float(values.mean()), spread / math.sqrt(values.size), values.size)


def head(curve: Curve, share: float, fewest: int = 3) -> Values:
    """The first values: a share of all, but not fewer than some."""
    return curve.values[: max(fewest, round(share * curve.values.size))]


def tail(curve: Curve, share: float, fewest: int = 3) -> Values:
    """The last values."""
    return curve.values[-max(fewest, round(share * curve.values.size)) :]


def change(curve: Curve, first: float = 0.05, last: float = 1 / 3) -> Change:
    """From the first values to the last ones."""
    return Change(level(head(curve, first)), level(tail(curve, last)))


def relative(one: Change) -> float:
    """Size of a change relative to the larger of the two levels."""
    size = max(abs(one.before.mean), abs(one.after.mean))
    return abs(one.difference) / size if size > 0 else 0.0


def smooth(curve: Curve, width: int) -> Curve:
    """Running median over ``width`` values: spikes vanish, levels stay."""
    if curve.values.size < 3 or width < 2:
        return curve
    width = min(width | 1, curve.values.size - (1 - curve.values.size % 2))
    padded = np.pad(curve.values, width // 2, mode="edge")
    return Curve(curve.at, np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1))


def agreement(one: Values, other: Values) -> float:
    """Spearman's correlation; 0 where one of both is constant."""
    if one.size < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other).statistic)


def at_places(curve: Curve, places: Values, width: float) -> Values:
    """Mean of a curve in the ``width`` before each place; NaN where there is nothing."""
    ends = np.searchsorted(curve.at, places, side="right")
    starts = np.searchsorted(curve.at, places - width, side="right")
    sums = np.concatenate([[0.0], np.cumsum(curve.values)])
    with np.errstate(invalid="ignore"):
        return np.where(ends > starts, (sums[ends] - sums[starts]) / np.maximum(ends - starts, 1), np.nan)


def best_of_noise(count: int) -> tuple[float, float]:
    """Expectation and standard deviation of the largest of ``count`` standard normal draws.

    Blom's approximation of the expectation; the deviation is that of the Gumbel limit (about 0.3 at 1000 draws).
    """
    expected = float(norm.ppf((count - 0.375) / (count + 0.25)))
    return expected, math.pi / math.sqrt(6) / math.sqrt(2 * math.log(max(count, 2)))


def best_by_chance(values: Values, higher: bool) -> tuple[float, float, float]:
    """Best value, what the best of as many draws of noise would be, and how probable one at least as good is."""
    oriented = values if higher else -values
    spread = float(np.std(oriented, ddof=1))
    expected, deviation = best_of_noise(values.size)
    best = float(oriented.max())
    reach = (best - float(oriented.mean())) / spread if spread > 0 else 0.0
    beta = deviation * math.sqrt(6) / math.pi
    probability = -math.expm1(-math.exp(-(reach - expected + beta * 0.5772) / beta))
    sign = 1.0 if higher else -1.0
    return sign * best, sign * (float(oriented.mean()) + spread * expected), probability
