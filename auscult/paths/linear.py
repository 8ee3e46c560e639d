"""Rectified flow: the straight path from data to noise (Liu et al. 2023, Lipman et al. 2023).

t = 0 is clean, t = 1 is noise, here as on every path; papers on flow matching often count the other way, where t and
the sign of the velocity change (v = x_1 - x_0 of theirs is -v of ours).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from auscult.paths.base import LinearPath, Times, times
from auscult.rng import Draws
from auscult.shapes import bcast

LEAST_CLEAN = 1e-3


@dataclass(frozen=True)
class RectifiedFlow(LinearPath):
    """x_t = (1 - t) x_0 + t z: a = 1 - t, b = 0, sigma = t; its velocity z - x_0 is the same at all t.

    As a process: f = -x / (1 - t) and g^2 = 2 t / (1 - t), without bound at t = 1, where x is noise alone; from
    ``t_start`` on both are held at their values there.
    """

    @property
    def t_start(self) -> float:
        """Below 1 by 0.001, where sigma / a is 999."""
        return 1 - LEAST_CLEAN

    def clean_weight(self, t: Times) -> Times:
        return 1 - t

    def anchor_weight(self, t: Times) -> Times:
        return torch.zeros_like(t)

    def std(self, t: Times) -> Times:
        return t

    def drift(self, x: Tensor, anchor: Tensor, t: Times) -> Tensor:
        return -x / bcast((1 - t).clamp_min(LEAST_CLEAN), x)

    def diffusion(self, t: Times) -> Times:
        return (2 * t / (1 - t).clamp_min(LEAST_CLEAN)).sqrt()

    def prior(self, anchor: Tensor, draws: Draws) -> Tensor:
        return bcast(self.std(times(1.0, anchor)), anchor) * draws.normal_like(anchor)

    def velocity_of(self, clean: Tensor, noise: Tensor) -> Tensor:
        """What a net learns: z - x_0."""
        return noise - clean

    def clean_from_velocity(self, velocity: Tensor, x: Tensor, t: Times) -> Tensor:
        """x_0 = x_t - t v."""
        return x - bcast(t, x) * velocity
