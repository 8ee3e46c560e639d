"""The probability-flow ODE with adaptive steps (Song et al. 2021; Dormand and Prince 1980)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from auscult.bounds import Count, Positive
from auscult.paths.base import LinearPath, Times, times
from auscult.rng import Draws
from auscult.samplers.base import Predict, Walk
from auscult.samplers.ratio import Clock, clean_at
from auscult.shapes import bcast

# Dormand and Prince's pair of orders 5 and 4: nodes, stage weights (the last row is the step), error weights.
_NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1)
_STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERROR = (71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
_CALLS = len(_STAGES)  # the first stage of a step is the last of the one before
_FIRST_STEP = -0.7  # of ln s: s halves


@dataclass(frozen=True)
class Solved:
    """The clean estimate; the net calls each item needed; whether it came down to t_eps within max_calls."""

    clean: Tensor
    calls: Int[Tensor, " B"]
    finished: Bool[Tensor, " B"]


@dataclass(frozen=True)
class ProbabilityFlow(Walk):
    """The flow de / d ln s = e - x_0(e, s) from the first time to ``t_eps``, then the clean estimate there.

    It is dx / dt = f - g^2 score / 2 in other coordinates: errors of x grow by 1 / a on their way to the estimate,
    those of e do not. Each item has its own steps: one is accepted where the root mean square over the item of
    |error| / (atol + rtol |e|) is at most one. So an item's answer does not depend on its neighbours; a batch costs
    the calls of its slowest item. An item that ``max_calls`` leaves unfinished gives the clean estimate at the time
    it has come to.
    """

    rtol: Positive = 1e-3
    atol: Positive = 1e-3
    max_calls: Count = 500

    @property
    def calls(self) -> int:
        return self.max_calls

    def __call__(self, predict: Predict, anchor: Tensor, path: LinearPath, draws: Draws) -> Tensor:
        return self.solve(predict, anchor, path, draws).clean

    def solve(self, predict: Predict, anchor: Tensor, path: LinearPath, draws: Draws) -> Solved:
        """Sample, and say what it took."""
        first = self.reverse_start or path.t_start
        at = times(first, anchor)
        clock = Clock.of(path, self.t_eps, first).to(at)
        end = clock.log_s[0].repeat(len(at))

        def clean_of(e: Tensor, log_s: Times) -> Tensor:
            return clean_at(predict, e, anchor, path, clock.at(log_s))

        e, log_s = path.clean_from_mean(path.start(anchor, draws, first), anchor, at), clock.log_s[-1].repeat(len(at))
        clean = clean_of(e, log_s)
        slope, step = e - clean, torch.full_like(at, _FIRST_STEP)
        used, walking = torch.ones_like(at, dtype=torch.long), torch.ones_like(at, dtype=torch.bool)
        while walking.any() and int(used.max()) + _CALLS <= self.max_calls:
            last = log_s + step <= end
            h = torch.where(last, end - log_s, step)
            ahead, slopes, clean_ahead = _advance(clean_of, e, log_s, h, slope)
            size = self._size(bcast(h, e) * _weighted(slopes, _ERROR), e, ahead)
            used = used + _CALLS * walking
            accepted = walking & (size <= 1)
            keep = bcast(accepted, e)
            e, slope = torch.where(keep, ahead, e), torch.where(keep, slopes[-1], slope)
            clean = torch.where(keep, clean_ahead, clean)
            log_s = torch.where(accepted, torch.where(last, end, log_s + h), log_s)
            step = h * (0.9 * size.clamp_min(1e-10) ** -0.2).clamp(0.2, 5.0)
            walking = walking & ~(accepted & last)
        return Solved(clean, used, ~walking)

    def _size(self, error: Tensor, before: Tensor, after: Tensor) -> Times:
        scale = self.atol + self.rtol * torch.maximum(before.abs(), after.abs())
        return (error.abs() / scale).flatten(1).square().mean(1).sqrt().to(torch.float32)


def _advance(
    clean_of: Callable[[Tensor, Times], Tensor], e: Tensor, log_s: Times, h: Times, slope: Tensor
) -> tuple[Tensor, list[Tensor], Tensor]:
    """One step of every item: the new state, the slopes of all stages, and the clean estimate at the new state."""
    slopes, state, clean = [slope], e, e
    for node, weights in zip(_NODES, _STAGES, strict=True):
        state = e + bcast(h, e) * _weighted(slopes, weights)
        clean = clean_of(state, log_s + node * h)
        slopes.append(state - clean)
    return state, slopes, clean


def _weighted(slopes: list[Tensor], weights: tuple[float, ...]) -> Tensor:
    total = weights[0] * slopes[0]
    for weight, slope in zip(weights[1:], slopes[1:], strict=True):
        total = total + weight * slope
    return total
