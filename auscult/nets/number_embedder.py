"""Numbers as tokens: how a net is told of roll-off frequencies, the input's and the one it shall reach.

A roll-off is given as a share of half the rate. Learned frequencies are those of the published SAGA-SR and of Stable
Audio's seconds; fixed, log-spaced ones are a variant to compare with: at 10 000 periods over the range, their upper
features change completely between neighbouring bins of any spectrum that a roll-off is measured on.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from auscult.bounds import Count, Positive, Range
from auscult.errors import RecipeError


@dataclass(frozen=True)
class Told:
    """Embedded numbers: tokens for cross-attention and one vector for the whole signal."""

    tokens: Float[Tensor, "B K D"]
    global_cond: Float[Tensor, "B G"]


class NumberEmbedder(nn.Module):
    """r in [0, 1] -> [r, sin 2 pi r w, cos 2 pi r w] -> linear, with learned frequencies w ~ N(0, 1).

    Args:
        width: of the embedding.
        features: how many frequencies.
        span: lowest and highest number, which become 0 and 1; what is beyond counts as the nearer of them.

    Raises:
        RecipeError: a span of one number.
    """

    def __init__(self, width: Count = 768, features: Count = 128, span: Range = (0.0, 1.0)):
        super().__init__()
        if span[0] == span[1]:
            raise RecipeError(
                f"span: {span} holds one number, which tells a net nothing; give a lower and a higher one"
            )
        self.span = span
        self.frequencies = nn.Parameter(torch.randn(features))
        self.linear = nn.Linear(2 * features + 1, width)

    def forward(self, value: Float[Tensor, " B"]) -> Float[Tensor, "B D"]:
        low, high = self.span
        share = ((value.clamp(low, high) - low) / (high - low))[:, None]
        angles = 2 * math.pi * share * self.frequencies
        return self.linear(torch.cat([share, angles.sin(), angles.cos()], dim=1))


class RolloffEmbedder(nn.Module, ABC):
    """Roll-offs of the input and of what is asked for, as tokens and as a vector."""

    aims: bool = True
    """Whether it tells of what is asked for; else of the input alone."""

    @abstractmethod
    def forward(self, source: Float[Tensor, " B"], target: Float[Tensor, " B"]) -> Told:
        """Both roll-offs lie in [0, 1]."""


class LearnedRolloff(RolloffEmbedder):
    """The published form: an embedder each, a token each; the vector is both, one after the other (2 ``width``).

    Args:
        width: of an embedding. features: frequencies of each.
        target: tell of what is asked for too; without, one token and a vector of ``width`` tell of the input alone.
    """

    def __init__(self, width: Count = 768, features: Count = 128, target: bool = True):
        super().__init__()
        self.aims, self.source = target, NumberEmbedder(width, features)
        self.target = NumberEmbedder(width, features) if target else None

    def forward(self, source: Float[Tensor, " B"], target: Float[Tensor, " B"]) -> Told:
        embedded = [self.source(source), *([] if self.target is None else [self.target(target)])]
        return Told(torch.stack(embedded, dim=1), torch.cat(embedded, dim=1))


class FixedRolloff(RolloffEmbedder):
    """One fixed map for both numbers, then a linear layer and layer norm for the token, and others for the vector.

    Args:
        width: of the token and of the vector; even.
        highest: periods over the range of the highest frequency; the lowest has one.

    Raises:
        RecipeError: an odd width.
    """

    frequencies: Tensor

    def __init__(self, width: Count = 512, highest: Positive = 10_000.0):
        super().__init__()
        if width % 2:
            raise RecipeError(f"width: sines and cosines share {width} features; give an even number")
        self.register_buffer("frequencies", torch.logspace(0, math.log10(highest), width // 2))
        self.token, self.vector = (nn.Sequential(nn.Linear(2 * width, width), nn.LayerNorm(width)) for _ in range(2))

    def forward(self, source: Float[Tensor, " B"], target: Float[Tensor, " B"]) -> Told:
        both = torch.cat([self._map(source), self._map(target)], dim=1)
        return Told(self.token(both)[:, None], self.vector(both))

    def _map(self, value: Float[Tensor, " B"]) -> Float[Tensor, "B D"]:
        angles = 2 * math.pi * value[:, None] * self.frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)
