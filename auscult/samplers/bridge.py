"""Samplers of the Schroedinger bridge (Jukic et al. 2024): first-order steps on a uniform grid."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor

from auscult.bounds import Count
from auscult.paths.base import LinearPath, Times, times
from auscult.paths.sbve import SBVE
from auscult.rng import Draws
from auscult.samplers.base import Needs, Predict, Sampler
from auscult.shapes import bcast


@dataclass(frozen=True)
class Bridge(Sampler):
    """From y at t = 1 towards the clean estimates, one net call a step.

    ``time_label`` says which time the net is told with the state x_p, on the step from p to t:

    ``next``  t, on the grid from 1 to 1e-4, and the last state is the result: the published code. The label is one
              step ahead of the state; published scores are made so.
    ``prev``  p, on the grid from 1 to 0, and the last clean estimate is the result: the state's own time, as the net
              learnt it.

    With few steps they differ much: with one, ``next`` asks about y as if it were almost clean.
    """

    steps: Count = 50
    time_label: Literal["next", "prev"] = "next"

    @property
    def calls(self) -> int:
        return self.steps

    @property
    def needs(self) -> Needs:
        return Needs(kind=SBVE, instead="use DDIM or Ancestral, which take the same steps on any linear path")

    def __call__(self, predict: Predict, anchor: Tensor, path: LinearPath, draws: Draws) -> Tensor:
        self.check(path)
        bridge, ahead = cast(SBVE, path), self.time_label == "next"
        grid = torch.linspace(1.0, 1e-4 if ahead else 0.0, self.steps + 1).tolist()
        x = clean = bridge.prior(anchor, draws)
        for now, after in pairwise(grid):
            p, t = times(now, x), times(after, x)
            clean = predict(x, t if ahead else p).clean
            x = self._step(x, clean, anchor, bridge, p, t)
            if (spread := self._spread(bridge, p, t)) is not None:
                z = draws.normal_like(x)
                x = x + bcast(spread, x) * z if after != grid[-1] else x
        return x if ahead else clean

    @abstractmethod
    def _step(self, x: Tensor, clean: Tensor, anchor: Tensor, path: SBVE, p: Times, t: Times) -> Tensor:
        """The mean of x_t given x_p and the clean estimate."""

    @abstractmethod
    def _spread(self, path: SBVE, p: Times, t: Times) -> Times | None:
        """Standard deviation of x_t given x_p, where there is one; the last step has none."""


@dataclass(frozen=True)
class BridgeODE(Bridge):
    """The flow: x_t = w_p x_p + w_x x_0 + w_y y with

    w_p = sigma_t bar_t / (sigma_p bar_p + eps)
    w_x = (bar_t^2 - bar_p sigma_t bar_t / (sigma_p + eps)) / (sigma_1^2 + eps)
    w_y = (sigma_t^2 - sigma_p sigma_t bar_t / (bar_p + eps)) / (sigma_1^2 + eps)

    But for eps this is DDIM's step. At p = 1, where bar_p^2 = eps, eps leaves an error of 6e-4 of y in the first step.
    """

    def _step(self, x: Tensor, clean: Tensor, anchor: Tensor, path: SBVE, p: Times, t: Times) -> Tensor:
        (sigma_p, bar_p), (sigma, bar), eps = path.scales(p), path.scales(t), path.eps
        total = path.end_std(t) ** 2 + eps
        of_state = sigma * bar / (sigma_p * bar_p + eps)
        of_clean = (bar**2 - bar_p * sigma * bar / (sigma_p + eps)) / total
        of_anchor = (sigma**2 - sigma_p * sigma * bar / (bar_p + eps)) / total
        return bcast(of_state, x) * x + bcast(of_clean, x) * clean + bcast(of_anchor, x) * anchor

    def _spread(self, path: SBVE, p: Times, t: Times) -> None:
        return None


@dataclass(frozen=True)
class BridgeSDE(Bridge):
    """The process: x_t = r x_p + (1 - r) x_0 + sigma_t sqrt(1 - r) z with r = sigma_t^2 / (sigma_p^2 + eps).

    But for eps this is the ancestral step. The last step draws, and adds nothing.
    """

    def _step(self, x: Tensor, clean: Tensor, anchor: Tensor, path: SBVE, p: Times, t: Times) -> Tensor:
        kept = bcast(self._kept(path, p, t), x)
        return kept * x + (1 - kept) * clean

    def _spread(self, path: SBVE, p: Times, t: Times) -> Times:
        return path.scales(t)[0] * (1 - self._kept(path, p, t)).sqrt()

    def _kept(self, path: SBVE, p: Times, t: Times) -> Times:
        return path.scales(t)[0] ** 2 / (path.scales(p)[0] ** 2 + path.eps)
