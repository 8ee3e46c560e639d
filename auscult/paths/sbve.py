"""SBVE: the Schroedinger bridge with variance-exploding reference (Chen et al. 2023, Jukic et al. 2024)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from auscult.bounds import Positive
from auscult.paths.base import LinearPath, Times
from auscult.rng import Draws
from auscult.shapes import bcast


@dataclass(frozen=True)
class SBVE(LinearPath):
    """The process dx = g(t) dw, g(t) = sqrt(c) k^t, tied to x_0 at t = 0 and to y at t = 1.

    With sigma_t^2 = c (k^{2t} - 1) / (2 ln k), the variance of the untied process, and
    sigma_bar_t^2 = sigma_1^2 - sigma_t^2 + eps:

        a = sigma_bar_t^2 / (sigma_1^2 + eps)
        b = sigma_t^2 / ((1 + eps) (sigma_1^2 + eps))
        sigma = sigma_bar_t sigma_t / (sigma_1 + eps)

    eps stands where the published code has it; without it the noise is zero at both ends. Tied at its end, the
    process has the drift g^2 (y - x) / sigma_bar^2 (Doob's transform), and sampling starts from y itself: there is no
    noise, hence no score, at t = 1.
    """

    k: Positive = 2.6
    c: Positive = 0.4
    eps: Positive = 1e-8

    def __post_init__(self) -> None:
        if self.k <= 1:
            raise ValueError(f"k {self.k} must exceed 1")

    @property
    def t_start(self) -> float:
        return 0.99

    def scales(self, t: Times) -> tuple[Times, Times]:
        """sigma_t and sigma_bar_t."""
        sigma = self._free_std(t)
        return sigma, (self.end_std(t) ** 2 - sigma**2 + self.eps).sqrt()

    def end_std(self, like: Times) -> Times:
        """sigma_1 for every item."""
        return self._free_std(torch.ones_like(like))

    def clean_weight(self, t: Times) -> Times:
        return self.scales(t)[1] ** 2 / (self.end_std(t) ** 2 + self.eps)

    def anchor_weight(self, t: Times) -> Times:
        return self.scales(t)[0] ** 2 / (1 + self.eps) / (self.end_std(t) ** 2 + self.eps)

    def std(self, t: Times) -> Times:
        sigma, rest = self.scales(t)
        return rest * sigma / (self.end_std(t) + self.eps)

    def drift(self, x: Tensor, anchor: Tensor, t: Times) -> Tensor:
        pull = self.diffusion(t) ** 2 / self.scales(t)[1] ** 2
        return bcast(pull, x) * (anchor - x)

    def diffusion(self, t: Times) -> Times:
        return math.sqrt(self.c) * self.k**t

    def prior(self, anchor: Tensor, draws: Draws) -> Tensor:
        return anchor

    def _free_std(self, t: Times) -> Times:
        return (self.c / (2 * math.log(self.k)) * (self.k ** (2 * t) - 1)).sqrt()
