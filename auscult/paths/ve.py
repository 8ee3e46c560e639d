"""VE: variance exploding, from clean to noise (Song et al. 2021); the recording is the net's condition alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from auscult.bounds import Positive
from auscult.paths.base import LinearPath, Times, times
from auscult.rng import Draws
from auscult.shapes import bcast


@dataclass(frozen=True)
class VE(LinearPath):
    """dx = sigma(t) sqrt(2 ln(sigma_max / sigma_min)) dw, sigma(t) = sigma_min (sigma_max / sigma_min)^t, a = 1.

    sigma(t) is the marginal's standard deviation as published, so sigma_min is left at t = 0. The prior is
    sigma_max z; the recording is no part of the path.
    """

    sigma_min: Positive = 0.01
    sigma_max: Positive = 50.0

    def __post_init__(self) -> None:
        if not self.sigma_min < self.sigma_max:
            raise ValueError(f"sigma_max {self.sigma_max} must exceed sigma_min {self.sigma_min}")

    def clean_weight(self, t: Times) -> Times:
        return torch.ones_like(t)

    def anchor_weight(self, t: Times) -> Times:
        return torch.zeros_like(t)

    def std(self, t: Times) -> Times:
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** t

    def drift(self, x: Tensor, anchor: Tensor, t: Times) -> Tensor:
        return torch.zeros_like(x)

    def diffusion(self, t: Times) -> Times:
        return self.std(t) * math.sqrt(2 * math.log(self.sigma_max / self.sigma_min))

    def prior(self, anchor: Tensor, draws: Draws) -> Tensor:
        return bcast(self.std(times(1.0, anchor)), anchor) * draws.normal_like(anchor)
