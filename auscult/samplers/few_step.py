"""Few-step solvers, exact for a constant clean estimate on every linear path.

They step e = (x_t - b y) / a at values of s = sigma / a that are uniform in ln s, from the path's ``t_start`` to
``t_eps`` (see :mod:`auscult.samplers.ratio`).

On a bridge that ends in y itself (SBVE) s grows without bound towards t = 1, where x = y says nothing of x_0. The
solvers start just below, from y + sigma z, which is off the marginal by a(t_start) (x_0 - y) alone; so they sample,
where the bridge's own flow starts from y and gives one answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from auscult.bounds import Count
from auscult.paths.base import LinearPath, times
from auscult.rng import Draws
from auscult.samplers.base import Predict, Walk
from auscult.samplers.ratio import Clock, clean_at


@dataclass(frozen=True)
class Grid:
    """Times from ``first`` to ``t_eps``, uniform in ln(sigma / a), and the ratio s at each; ends with t = 0, s = 0."""

    t: list[float]
    s: list[float]

    @classmethod
    def of(cls, path: LinearPath, steps: int, t_eps: float, first: float = 1.0) -> Grid:
        clock = Clock.of(path, t_eps, first)
        wanted = torch.linspace(float(clock.log_s[-1]), float(clock.log_s[0]), steps, dtype=torch.float64)
        return cls([*clock.at(wanted).tolist(), 0.0], [*wanted.exp().tolist(), 0.0])


@dataclass(frozen=True)
class FewStep(Walk):
    """What the solvers share: their settings, one net call a step, and where they start."""

    steps: Count = 10

    @property
    def calls(self) -> int:
        return self.steps

    def _start(self, anchor: Tensor, path: LinearPath, draws: Draws) -> tuple[Grid, Tensor]:
        """The grid, and e = (x - b y) / a at its first time."""
        first = self.reverse_start or path.t_start
        grid = Grid.of(path, self.steps, self.t_eps, first)
        x = path.start(anchor, draws, first)
        return grid, path.clean_from_mean(x, anchor, times(grid.t[0], anchor))


@dataclass(frozen=True)
class DDIM(FewStep):
    """Deterministic first-order steps: e' = x_0 + (s' / s) (e - x_0); the last gives the clean estimate itself."""

    def __call__(self, predict: Predict, anchor: Tensor, path: LinearPath, draws: Draws) -> Tensor:
        grid, e = self._start(anchor, path, draws)
        for i in range(self.steps):
            clean = clean_at(predict, e, anchor, path, times(grid.t[i], e))
            e = clean + grid.s[i + 1] / grid.s[i] * (e - clean)
        return e


@dataclass(frozen=True)
class Ancestral(FewStep):
    """Stochastic first-order steps: the exact conditional of e' given e and x_0."""

    steps: Count = 20

    def __call__(self, predict: Predict, anchor: Tensor, path: LinearPath, draws: Draws) -> Tensor:
        grid, e = self._start(anchor, path, draws)
        for i in range(self.steps):
            clean = clean_at(predict, e, anchor, path, times(grid.t[i], e))
            kept = (grid.s[i + 1] / grid.s[i]) ** 2
            noise = grid.s[i + 1] * math.sqrt(1 - kept) * draws.normal_like(e)
            e = clean + kept * (e - clean) + noise
        return e


@dataclass(frozen=True)
class Multistep(FewStep):
    """Second-order multistep in ln s (DPM-Solver++ 2M): the clean estimate is extrapolated from the last two."""

    steps: Count = 8

    def __call__(self, predict: Predict, anchor: Tensor, path: LinearPath, draws: Draws) -> Tensor:
        grid, e = self._start(anchor, path, draws)
        before: Tensor | None = None
        for i in range(self.steps - 1):
            clean = clean_at(predict, e, anchor, path, times(grid.t[i], e))
            # The grid is uniform in ln s, so the ratio of successive steps h / h_before is one.
            ahead = clean if before is None else clean + 0.5 * (clean - before)
            decay = grid.s[i + 1] / grid.s[i]
            e = decay * e + (1 - decay) * ahead
            before = clean
        return clean_at(predict, e, anchor, path, times(grid.t[self.steps - 1], e))


@dataclass(frozen=True)
class Heun(FewStep):
    """Second-order steps of the flow de/ds = (e - x_0) / s: Euler, corrected by the slope at its end.

    Algorithm 1 of Karras et al. (2022) without churn: two calls a step, one at the last, which gives the clean
    estimate itself.
    """

    steps: Count = 5

    @property
    def calls(self) -> int:
        return 2 * self.steps - 1

    def __call__(self, predict: Predict, anchor: Tensor, path: LinearPath, draws: Draws) -> Tensor:
        grid, e = self._start(anchor, path, draws)
        for i in range(self.steps - 1):
            s, after = grid.s[i], grid.s[i + 1]
            slope = (e - clean_at(predict, e, anchor, path, times(grid.t[i], e))) / s
            ahead = e + (after - s) * slope
            slope_ahead = (ahead - clean_at(predict, ahead, anchor, path, times(grid.t[i + 1], e))) / after
            e = e + 0.5 * (after - s) * (slope + slope_ahead)
        return clean_at(predict, e, anchor, path, times(grid.t[self.steps - 1], e))
