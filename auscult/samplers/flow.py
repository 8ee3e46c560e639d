"""Samplers of rectified flow: from noise at t = 1 to t = 0, on grids that spend every call where it counts.

With the clean estimate x^ = x - t v a step of Euler, x + (t' - t) v, is (t' / t) x + (1 - t' / t) x^: no division by
a small t. The last step ends in x^ itself.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from auscult.bounds import Count
from auscult.errors import RecipeError
from auscult.paths.base import LinearPath, times
from auscult.paths.linear import RectifiedFlow
from auscult.rng import Draws
from auscult.samplers.base import Needs, Predict, Sampler


class TimeGrid(ABC):
    """Times that fall from 1 to 0. Subclasses are frozen dataclasses."""

    @abstractmethod
    def at(self, share: float, steps: int) -> float:
        """The time after a share of the steps, strictly falling in it; 1 at 0 and 0 at 1."""

    def times(self, steps: int) -> list[float]:
        """``steps`` + 1 times from 1 to 0, no two alike: no call is spent on a step of length zero."""
        return [1.0, *(self.at(i / steps, steps) for i in range(1, steps)), 0.0]


@dataclass(frozen=True)
class UniformGrid(TimeGrid):
    """Steps of one length."""

    def at(self, share: float, steps: int) -> float:
        return 1 - share


@dataclass(frozen=True)
class LinearQuadratic(TimeGrid):
    """The first half of the steps as short as those of a linear grid of ``linear_steps``, then t_mid (1 - s^2).

    Of Movie Gen (Polyak et al. 2024), as SAGA-SR has it: of 100 steps 50 lie above t = 0.95.
    """

    linear_steps: Count = 1000

    def at(self, share: float, steps: int) -> float:
        if self.linear_steps < steps:
            raise RecipeError(
                f"grid.linear_steps: {self.linear_steps} are fewer than the sampler's {steps} steps; give at least that"
            )
        first = steps // 2
        done = share * steps
        if done <= first:
            return 1 - done / self.linear_steps
        return (1 - first / self.linear_steps) * (1 - ((done - first) / (steps - first)) ** 2)


@dataclass(frozen=True)
class LogSNR(TimeGrid):
    """t = 1 / (1 + e^lambda) with lambda = ln((1 - t) / t) evenly from ``first`` to ``last``; both ends forced."""

    first: float = -6.0
    last: float = 2.0

    def __post_init__(self) -> None:
        if self.first >= self.last:
            raise RecipeError(f"grid: the ratio of signal to noise rises from {self.first:g} to a higher last value")

    def at(self, share: float, steps: int) -> float:
        return 1 / (1 + math.exp(self.first + share * (self.last - self.first)))


@dataclass(frozen=True)
class FlowSampler(Sampler, ABC):
    """What they share: steps and grid."""

    steps: Count = 16
    grid: TimeGrid = LogSNR()

    @property
    def needs(self) -> Needs:
        return Needs(RectifiedFlow, instead="take DDIM, Multistep or Heun, which walk every path")

    @property
    def calls(self) -> int:
        return self.steps


@dataclass(frozen=True)
class FlowEuler(FlowSampler):
    """First order: SAGA-SR's own with 100 steps on :class:`LinearQuadratic`."""

    def __call__(self, predict: Predict, anchor: Tensor, path: LinearPath, draws: Draws) -> Tensor:
        x = path.prior(anchor, draws)
        for t, after in pairwise(self.grid.times(self.steps)):
            clean = predict(x, times(t, x)).clean
            x = clean + after / t * (x - clean)
        return x


@dataclass(frozen=True)
class FlowHeun(FlowSampler):
    """Second order: Euler, corrected by the velocity at its end; two calls a step, one at the last."""

    @property
    def calls(self) -> int:
        return 2 * self.steps - 1

    def __call__(self, predict: Predict, anchor: Tensor, path: LinearPath, draws: Draws) -> Tensor:
        x = path.prior(anchor, draws)
        for t, after in pairwise(self.grid.times(self.steps)):
            clean = predict(x, times(t, x)).clean
            ahead = clean + after / t * (x - clean)
            if after > 0:
                velocity = (x - clean) / t
                velocity_ahead = (ahead - predict(ahead, times(after, x)).clean) / after
                ahead = x + 0.5 * (after - t) * (velocity + velocity_ahead)
            x = ahead
        return x


@dataclass(frozen=True)
class FlowMultistep(FlowSampler):
    """Second order with one call a step: DPM-Solver++ (2M) of Lu et al. (2022) with alpha = 1 - t and sigma = t.

    x' = (t' / t) x - (1 - t') (e^-h - 1) D with h the step in lambda = ln((1 - t) / t), and D the clean estimate,
    extrapolated from the last two. The first step, from lambda = -inf, and the last, to +inf, take it as it is, for
    which the order on uniform grids comes near 2 slowly (1.8 between 128 and 512 steps on Gaussians).
    """

    def __call__(self, predict: Predict, anchor: Tensor, path: LinearPath, draws: Draws) -> Tensor:
        x, before, last = path.prior(anchor, draws), None, math.inf
        for t, after in pairwise(self.grid.times(self.steps)):
            clean = predict(x, times(t, x)).clean
            h = _rise(t, after)
            ahead = clean
            if before is not None and math.isfinite(h + last):
                ahead = clean + 0.5 * h / last * (clean - before)
            x = after / t * x - (1 - after) * math.expm1(-h) * ahead
            before, last = clean, h
        return x


def _rise(t: float, after: float) -> float:
    """lambda(t') - lambda(t), infinite where it leaves t = 1 or comes to t = 0."""
    return math.inf if t == 1.0 or after == 0.0 else math.log((1 - after) * t / (after * (1 - t)))
