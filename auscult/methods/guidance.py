"""Classifier-free guidance (Ho & Salimans 2022): w (F_told - F_null) + F_null on what a net says.

Every parametrisation is affine in the net's output F, and so are score, clean estimate and velocity in each other:
guiding F guides all of them, whatever the sampler reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from auscult.methods.parametrisation import Net
from auscult.nets.reference import Encoded
from auscult.paths.base import LinearPath, Times
from auscult.shapes import bcast

Axis = Literal["sigma", "t"]
ToldNet = Callable[[Tensor, Times, Encoded], Tensor]
"""A net with a condition."""


@dataclass(frozen=True)
class Guidance:
    """How far restoration goes from the unconditional answer (0) to the conditional one (1) and beyond it.

    Args:
        scale: w.
        interval: guide only where the noise lies between these, and take the conditional answer elsewhere
            (Kynkaanniemi et al. 2024); None: everywhere.
        axis: what the interval is in: ``sigma``, the noise beside the clean signal, s = sigma / a; or the time ``t``.
    """

    scale: float = 1.0
    interval: tuple[float, float] | None = None
    axis: Axis = "sigma"

    def weights(self, path: LinearPath, t: Times) -> Times:
        """w of each item."""
        everywhere = torch.full_like(t, self.scale)
        if self.interval is None:
            return everywhere
        level = t if self.axis == "t" else path.std(t) / path.clean_weight(t)
        inside = (level >= self.interval[0]) & (level <= self.interval[1])
        return torch.where(inside, everywhere, 1.0)


@dataclass(frozen=True)
class Guide:
    """A reference for one sampling run, encoded once, and its absence beside it."""

    guidance: Guidance
    told: Encoded
    null: Encoded

    def leading(self, net: ToldNet, path: LinearPath, t: Times) -> Net:
        """The net to ask at the times t. It makes one call, of twice the batch where both answers are needed."""
        weights = self.guidance.weights(path, t)
        wanted = weights[self.told.present]  # without a reference both answers are the same
        if bool((wanted == 1).all()):
            return Telling(net, self.told)
        if bool((wanted == 0).all()):
            return Telling(net, self.null)
        return Guided(net, Encoded.joined([self.null, self.told]), weights)


@dataclass(frozen=True)
class Telling:
    """A net that is told of a noise."""

    net: ToldNet
    told: Encoded

    def __call__(self, inputs: Complex[Tensor, "B S F N"], t: Times) -> Complex[Tensor, "B 1 F N"]:
        return self.net(inputs, t, self.told)


@dataclass(frozen=True)
class Guided:
    """A net that is asked twice in one batch: without the reference, and with it."""

    net: ToldNet
    both: Encoded
    weights: Float[Tensor, " B"]

    def __call__(self, inputs: Complex[Tensor, "B S F N"], t: Times) -> Complex[Tensor, "B 1 F N"]:
        null, told = self.net(torch.cat([inputs, inputs]), torch.cat([t, t]), self.both).chunk(2)
        return null + bcast(self.weights, null) * (told - null)
