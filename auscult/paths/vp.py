"""Paths with beta(t) = beta_min + t (beta_max - beta_min): VP, SubVP (Song et al. 2021) and OUVP as coded."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass

import torch
from torch import Tensor

from auscult.bounds import Positive
from auscult.paths.base import LinearPath, Times, times
from auscult.rng import Draws
from auscult.shapes import bcast


@dataclass(frozen=True)
class LinearBeta(LinearPath, ABC):
    """The rate beta(t) and its integral B(t) = t beta_min + t^2 (beta_max - beta_min) / 2."""

    beta_min: Positive = 0.1
    beta_max: Positive = 20.0

    def __post_init__(self) -> None:
        if not self.beta_min < self.beta_max:
            raise ValueError(f"beta_max {self.beta_max} must exceed beta_min {self.beta_min}")

    def _beta(self, t: Times) -> Times:
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def _integral(self, t: Times) -> Times:
        return 0.5 * t * (t * (self.beta_max - self.beta_min) + 2 * self.beta_min)


@dataclass(frozen=True)
class VP(LinearBeta):
    """Variance preserving: dx = -beta x / 2 dt + sqrt(beta) dw; a = e^{-B/2}, sigma^2 = 1 - e^{-B}.

    The prior is sigma(1) z, which is z to 2e-5; the recording is the net's condition alone.
    """

    def clean_weight(self, t: Times) -> Times:
        return torch.exp(-0.5 * self._integral(t))

    def anchor_weight(self, t: Times) -> Times:
        return torch.zeros_like(t)

    def std(self, t: Times) -> Times:
        return (-torch.expm1(-self._integral(t))).sqrt()

    def drift(self, x: Tensor, anchor: Tensor, t: Times) -> Tensor:
        return -0.5 * bcast(self._beta(t), x) * x

    def diffusion(self, t: Times) -> Times:
        return self._beta(t).sqrt()

    def prior(self, anchor: Tensor, draws: Draws) -> Tensor:
        return bcast(self.std(times(1.0, anchor)), anchor) * draws.normal_like(anchor)


@dataclass(frozen=True)
class SubVP(VP):
    """Variance below that of VP: the same drift, g^2 = beta (1 - e^{-2B}), sigma = 1 - e^{-B}."""

    def std(self, t: Times) -> Times:
        return -torch.expm1(-self._integral(t))

    def diffusion(self, t: Times) -> Times:
        return (-self._beta(t) * torch.expm1(-2 * self._integral(t))).sqrt()


@dataclass(frozen=True)
class OUVPAsCoded(LinearBeta):
    """Ornstein-Uhlenbeck, variance preserving, as the code of StoRM has it (Lemercier et al. 2023).

    dx = beta s (y - x) / 2 dt + sqrt(beta) dw with stiffness s; a = e^{-s B / 2}, b = 1 - a. The standard deviation
    (1 - e^{-s B}) / s is in truth the variance of this process: the published code lacks the root, and so does this
    class. It is here to read what was trained so. beta_min and beta_max have no published defaults.
    """

    stiffness: Positive = 1.0

    def clean_weight(self, t: Times) -> Times:
        return torch.exp(-0.5 * self.stiffness * self._integral(t))

    def anchor_weight(self, t: Times) -> Times:
        return 1 - self.clean_weight(t)

    def std(self, t: Times) -> Times:
        return -torch.expm1(-self.stiffness * self._integral(t)) / self.stiffness

    def drift(self, x: Tensor, anchor: Tensor, t: Times) -> Tensor:
        return 0.5 * self.stiffness * bcast(self._beta(t), x) * (anchor - x)

    def diffusion(self, t: Times) -> Times:
        return self._beta(t).sqrt()

    def prior(self, anchor: Tensor, draws: Draws) -> Tensor:
        return anchor + bcast(self.std(times(1.0, anchor)), anchor) * draws.normal_like(anchor)
