"""Few-step solvers, exact for a constant clean estimate on every linear path.

With e = (x_t - b y) / a and s = sigma / a, a linear path is the variance-exploding process e = x_0 + s z whatever a,
b and sigma are; so the solvers of the EDM and DPM family apply to any checkpoint (Karras et al. 2022, Lu et al.
2022). Steps are uniform in ln s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from auscult.bounds import Count, Time
from auscult.paths.base import LinearPath, times
from auscult.rng import Draws
from auscult.samplers.base import Predict, Sampler


@dataclass(frozen=True)
class Grid:
    """Times from 1 to ``t_eps``, uniform in ln(sigma / a), and the ratio s at each; ends with t = 0, s = 0."""

    t: list[float]
    s: list[float]

    @classmethod
    def of(cls, path: LinearPath, steps: int, t_eps: float) -> Grid:
        fine = torch.linspace(t_eps, 1.0, 4001, dtype=torch.float64)
        ratio = (path.std(fine) / path.clean_weight(fine)).log()
        wanted = torch.linspace(float(ratio[-1]), float(ratio[0]), steps, dtype=torch.float64)
        at = torch.searchsorted(ratio, wanted).clamp(1, len(fine) - 1)
        share = ((wanted - ratio[at - 1]) / (ratio[at] - ratio[at - 1])).clamp(0.0, 1.0)
        t = fine[at - 1] + share * (fine[at] - fine[at - 1])
        return cls([*t.tolist(), 0.0], [*wanted.exp().tolist(), 0.0])


@dataclass(frozen=True)
class FewStep(Sampler):
    """What the solvers share: their settings, one net call a step, and where they start."""

    steps: Count = 10
    t_eps: Time = 0.03

    @property
    def calls(self) -> int:
        return self.steps

    def _start(self, anchor: Tensor, path: LinearPath, draws: Draws) -> tuple[Grid, Tensor]:
        """The grid, and e = (x - b y) / a at its first time."""
        grid = Grid.of(path, self.steps, self.t_eps)
        at = times(grid.t[0], anchor)
        x = path.prior(anchor, draws)
        return grid, path.clean_from_mean(x, anchor, at)


@dataclass(frozen=True)
class DDIM(FewStep):
    """Deterministic first-order steps: e' = x_0 + (s' / s) (e - x_0); the last gives the clean estimate itself."""

    def __call__(self, predict: Predict, anchor: Tensor, path: LinearPath, draws: Draws) -> Tensor:
        grid, e = self._start(anchor, path, draws)
        for i in range(self.steps):
            clean = _clean(predict, e, anchor, path, grid.t[i])
            e = clean + grid.s[i + 1] / grid.s[i] * (e - clean)
        return e


@dataclass(frozen=True)
class Ancestral(FewStep):
    """Stochastic first-order steps: the exact conditional of e' given e and x_0."""

    steps: Count = 20

    def __call__(self, predict: Predict, anchor: Tensor, path: LinearPath, draws: Draws) -> Tensor:
        grid, e = self._start(anchor, path, draws)
        for i in range(self.steps):
            clean = _clean(predict, e, anchor, path, grid.t[i])
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
            clean = _clean(predict, e, anchor, path, grid.t[i])
            # The grid is uniform in ln s, so the ratio of successive steps h / h_before is one.
            ahead = clean if before is None else clean + 0.5 * (clean - before)
            decay = grid.s[i + 1] / grid.s[i]
            e = decay * e + (1 - decay) * ahead
            before = clean
        return _clean(predict, e, anchor, path, grid.t[self.steps - 1])


def _clean(predict: Predict, e: Tensor, anchor: Tensor, path: LinearPath, t: float) -> Tensor:
    """The clean estimate at e: x_t = a e + b y through the net."""
    at = times(t, e)
    return predict(path.mean(e, anchor, at), at).clean
