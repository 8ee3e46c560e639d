"""BBED: the Brownian bridge with exponential diffusion (Lay et al. 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from auscult.bounds import Positive, Time
from auscult.paths.base import LinearPath, Times, times
from auscult.rng import Draws
from auscult.shapes import bcast

_EULER_GAMMA = 0.577215664901532860606512
_TERMS = 60


@dataclass(frozen=True)
class BBED(LinearPath):
    """dx = (y - x) / (1 - t) dt + sqrt(theta) k^t dw; the mean goes from x_0 to y on a straight line.

    sigma^2 = (1 - t) theta [k^{2t} - 1 + t + 2 k^2 ln k (1 - t) (Ei(2 (t - 1) ln k) - Ei(-2 ln k))]

    The bridge ends in y itself at t = 1, so training and sampling stop short of it, at ``t_max``; the prior is
    y + sigma(t_max) z. Old checkpoints name this path ``bbve`` and k sigma_max (their sigma_min is 1).
    """

    theta: Positive = 0.52
    k: Positive = 2.6
    t_max: Time = 0.999

    def __post_init__(self) -> None:
        if self.k <= 1:
            raise ValueError(f"k {self.k} must exceed 1")

    def clean_weight(self, t: Times) -> Times:
        return 1 - t

    def anchor_weight(self, t: Times) -> Times:
        return t

    def std(self, t: Times) -> Times:
        log_k, at = math.log(self.k), t.double()
        rest = 1 - at
        inner = _exponential_integral(2 * (at - 1) * log_k) - _exponential_integral(torch.full_like(at, -2 * log_k))
        variance = rest * self.theta * (self.k ** (2 * at) - 1 + at + 2 * self.k**2 * log_k * rest * inner)
        return variance.clamp_min(0).sqrt().to(t.dtype)

    def drift(self, x: Tensor, anchor: Tensor, t: Times) -> Tensor:
        return (anchor - x) / bcast(1 - t, x)

    def diffusion(self, t: Times) -> Times:
        return math.sqrt(self.theta) * self.k**t

    def prior(self, anchor: Tensor, draws: Draws) -> Tensor:
        return anchor + bcast(self.std(times(self.t_max, anchor)), anchor) * draws.normal_like(anchor)


def _exponential_integral(u: Tensor) -> Tensor:
    """Ei(u) = gamma + ln |u| + sum_n u^n / (n n!) of negative u in float64 (to 1e-8 down to u = -10)."""
    n = torch.arange(1, _TERMS + 1, dtype=u.dtype, device=u.device)
    series = (u[:, None] ** n * torch.exp(-torch.lgamma(n + 1)) / n).sum(1)
    return _EULER_GAMMA + u.abs().clamp_min(1e-300).log() + series
