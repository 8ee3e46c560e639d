"""Losses on the phase of spectra, which is known up to whole turns (Ai & Ling 2023; MP-SENet, Lu et al. 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.losses.base import Loss, Spectrum, SpectrumLoss

AUDIBLE = 1e-6
"""Bins below this compressed magnitude have no phase: it counts as zero, and nothing is learned from it."""


@dataclass(frozen=True)
class PhaseLoss(SpectrumLoss):
    """Anti-wrapped errors of the phase and of its differences, each a mean in radians under the same weight.

    ``phase``: of the phase itself. ``group_delay``: of its difference from bin to bin. ``angular_frequency``: of its
    difference from frame to frame, for which two frames are needed. Random phases cost pi / 2 in each.
    """

    weight: float = 0.3

    def __call__(self, estimate: Spectrum, target: Spectrum) -> Loss:
        error = phase(estimate) - phase(target)
        parts = {
            "phase": anti_wrapped(error),
            "group_delay": anti_wrapped(error.diff(dim=-2)),
            "angular_frequency": anti_wrapped(error.diff(dim=-1)),
        }
        return Loss({name: part.mean() for name, part in parts.items()}, dict.fromkeys(parts, self.weight))


def phase(z: Spectrum) -> Float[Tensor, "B C F N"]:
    """arg z in (-pi, pi], with a finite gradient everywhere."""
    parts = torch.view_as_real(z)
    silent = parts.detach().square().sum(-1) < AUDIBLE**2
    real, imaginary = parts.unbind(-1)
    return torch.atan2(imaginary.masked_fill(silent, 0.0), real.masked_fill(silent, 1.0))


def anti_wrapped(error: Float[Tensor, "*S"]) -> Float[Tensor, "*S"]:
    """|x - 2 pi round(x / 2 pi)|: the size of an angle without its whole turns, 0 to pi."""
    return (error - 2 * math.pi * torch.round(error / (2 * math.pi))).abs()
