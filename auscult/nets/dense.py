"""Dense convolutional encoder and decoder parts of CMGAN and MP-SENet (Cao et al. 2022; Lu et al. 2023).

Maps are [B, C, N, F]: time before frequency. Convolutions reach back in time only, but the instance norms take their
statistics over the whole map of an item, so what comes out depends on all of its frames.
"""

from __future__ import annotations

import functools
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from auscult.errors import RecipeError

Map = Float[Tensor, "B _ N _"]
"""[B, channels, N, F]; layers change channels and bins, never batch or frames."""

BIN_STEP = 4
"""n_fft must be a multiple: halving and doubling the bins again gives the same number only where it is odd."""


def odd_bins(n_fft: int, name: str) -> int:
    """Bins of a transform that the encoder can halve and :class:`SubPixel` with a head of two bins restores.

    Raises:
        RecipeError: n_fft is not a multiple of 4.
    """
    if n_fft < BIN_STEP or n_fft % BIN_STEP:
        raise RecipeError(
            f"{name} halves and doubles an odd number of bins: n_fft {n_fft} gives {n_fft // 2 + 1}; "
            f"make n_fft a multiple of {BIN_STEP}"
        )
    return n_fft // 2 + 1


class NormedConv(nn.Module):
    """Convolution, instance norm with gain and bias, PReLU with a slope a channel."""

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        self.conv = conv
        self.norm = nn.InstanceNorm2d(conv.out_channels, affine=True)
        self.act = nn.PReLU(conv.out_channels)

    def forward(self, x: Map) -> Map:
        return self.act(self.norm(self.conv(x)))


class DilatedDense(nn.Module):
    """Every layer sees the outputs of all before it, newest first, and the input last; dilations 1, 2, 4, ... in time.

    A convolution of joined maps is the sum of convolutions of each. Without a gradient the maps are therefore never
    joined, which halves the peak; with a gradient they are, and padded first: the backward pass of one convolution
    without padding of its own takes half as long.
    """

    def __init__(self, channels: int, depth: int = 4):
        super().__init__()
        self.channels = channels
        self.layers = nn.ModuleList(
            NormedConv(nn.Conv2d(channels * (i + 1), channels, (2, 3), padding=(2**i, 1), dilation=(2**i, 1)))
            for i in range(depth)
        )

    def forward(self, x: Map) -> Map:
        seen = [x]
        for layer in cast("list[NormedConv]", self.layers):
            x = layer.act(layer.norm(self._convolved(layer.conv, seen)))
            seen.insert(0, x)
        return x

    def _convolved(self, conv: nn.Conv2d, seen: list[Map]) -> Map:
        """Where padding is on both sides in time, the frames that look ahead are the last ones, and are cut off."""
        reach = conv.dilation[0]
        if torch.is_grad_enabled():
            padded = F.pad(torch.cat(seen, dim=1), (1, 1, reach, 0))
            return F.conv2d(padded, conv.weight, conv.bias, dilation=conv.dilation)
        weights = conv.weight.split(self.channels, dim=1)
        terms = (
            F.conv2d(x, weight, bias, padding=conv.padding, dilation=conv.dilation)[:, :, :-reach]
            for x, weight, bias in zip(seen, weights, [conv.bias, *[None] * (len(seen) - 1)], strict=True)
        )
        return functools.reduce(torch.add, terms)


class SubPixel(nn.Module):
    """Twice the bins: a convolution to two channels for each, the first of which become the even bins."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * channels, (1, 3), padding=(0, 1))

    def forward(self, x: Map) -> Map:
        even, odd = self.conv(x).chunk(2, dim=1)
        return torch.stack([even, odd], dim=-1).flatten(-2)


class DenseEncoder(nn.Module):
    """Maps of an odd number of bins F to ``channels`` maps of (F + 1) / 2 bins."""

    def __init__(self, inputs: int, channels: int):
        super().__init__()
        self.stem = NormedConv(nn.Conv2d(inputs, channels, 1))
        self.dense = DilatedDense(channels)
        self.shrink = NormedConv(nn.Conv2d(channels, channels, (1, 3), stride=(1, 2), padding=(0, 1)))

    def forward(self, x: Map) -> Map:
        return self.shrink(self.dense(self.stem(x)))


class DenseDecoder(nn.Module):
    """``channels`` maps of (F + 1) / 2 bins to ``outputs`` maps of F bins."""

    def __init__(self, channels: int, outputs: int):
        super().__init__()
        self.dense = DilatedDense(channels)
        self.grow = SubPixel(channels)
        self.norm, self.act = nn.InstanceNorm2d(channels, affine=True), nn.PReLU(channels)
        self.head = nn.Conv2d(channels, outputs, (1, 2))

    def forward(self, x: Map) -> Map:
        return self.head(self.act(self.norm(self.grow(self.dense(x)))))
