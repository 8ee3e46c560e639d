"""Parts shared by U-Nets of the NCSN++ family: time embedding, FIR resampling, residual and attention blocks.

Facts from Song et al. 2021 (Score-Based Generative Modeling through SDEs) and Richter et al. 2023 (SGMSE+). All
maps are kept in channels-last order, which the convolutions of today's CPUs and GPUs prefer.
"""

from __future__ import annotations

import math
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from auscult.nets.sites import Context

Map = Float[Tensor, "B _ _ _"]
"""[B, channels, F, N]; blocks change channels and resolution, never the batch."""
Resample = Literal["none", "down", "up"]
Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def channels_last(net: nn.Module) -> None:
    """Store a net's convolutions in channels-last order, in place."""
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class TimeEmbedding(nn.Module):
    """Gaussian Fourier features of ln t, then two linear layers; always in float32, as ln t is scaled by about 100."""

    def __init__(self, features: int, scale: float):
        super().__init__()
        self.frequencies = nn.Parameter(torch.randn(features) * scale, requires_grad=False)
        self.linear_in = linear(2 * features, 4 * features)
        self.linear_out = linear(4 * features, 4 * features)

    def forward(self, t: Float[Tensor, " B"]) -> Float[Tensor, "B D"]:
        with torch.autocast(t.device.type, enabled=False):
            angles = t.float().log()[:, None] * self.frequencies * (2 * math.pi)
            waves = torch.cat([angles.sin(), angles.cos()], dim=1)
            return self.linear_out(F.silu(self.linear_in(waves)))


def fir_down(x: Map) -> Map:
    """Halve both axes with the separable filter [1, 3, 3, 1] / 8, zeros beyond the ends."""
    return F.conv2d(x, _fir(x), stride=2, padding=1, groups=x.shape[1])


def fir_up(x: Map) -> Map:
    """Double both axes with the separable filter [1, 3, 3, 1] / 4 on the zero-inserted map."""
    return F.conv_transpose2d(x, 4 * _fir(x), stride=2, padding=1, groups=x.shape[1])


def _fir(x: Map) -> Float[Tensor, "C 1 4 4"]:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device) / 8
    return torch.outer(taps, taps).expand(x.shape[1], 1, 4, 4).contiguous()


def activated(normalised: Map) -> Map:
    """SiLU of a normalised map; in place where no gradient needs what is overwritten, as fresh memory costs more."""
    return F.silu(normalised, inplace=not torch.is_grad_enabled())


class ResBlock(nn.Module):
    """BigGAN residual block, optionally resampling; the time embedding (if its width is not 0) shifts the middle.

    ``place`` is its number among the blocks of its net.
    """

    place = 0

    def __init__(self, width_in: int, width: int, embedding: int, resample: Resample = "none", dropout: float = 0.0):
        super().__init__()
        self.resample = {"none": nn.Identity(), "down": _Call(fir_down), "up": _Call(fir_up)}[resample]
        self.norm_in = group_norm(width_in)
        self.conv_in = conv3(width_in, width)
        self.shift = linear(embedding, width) if embedding else None
        self.norm_out = group_norm(width)
        self.dropout = nn.Dropout(dropout)
        self.conv_out = conv3(width, width, scale=0.0)
        self.skip = nn.Identity() if width_in == width and resample == "none" else conv1(width_in, width)

    def forward(self, x: Map, context: Context) -> Map:
        h = self.conv_in(self.resample(activated(self.norm_in(x))))
        if self.shift is not None and context.time is not None:
            h.add_(self.shift(F.silu(context.time))[:, :, None, None])
        h = self.norm_out(h)  # named h: the map before it is freed here
        h = context.at("norm", h, self.place)
        h = self.dropout(activated(h))
        h = self.conv_out(h)
        return h.add_(self.skip(self.resample(x))).mul_(math.sqrt(0.5))


class Attention(nn.Module):
    """Single-head self-attention over all positions of a map."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = group_norm(width)
        self.query, self.key, self.value = (conv1(width, width, scale=0.1) for _ in range(3))
        self.out = conv1(width, width, scale=0.0)

    def forward(self, x: Map) -> Map:
        h = self.norm(x)
        q, k, v = (f(h).flatten(2).transpose(1, 2)[:, None] for f in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(q, k, v)[:, 0].transpose(1, 2).reshape(x.shape)
        return self.out(mixed.contiguous(memory_format=torch.channels_last)).add_(x).mul_(math.sqrt(0.5))


class Join(nn.Module):
    """Add a projection of the (downsampled) network input to a map."""

    def __init__(self, width_in: int, width: int):
        super().__init__()
        self.conv = conv1(width_in, width)

    def forward(self, h: Map, x: Map) -> Map:
        return self.conv(x).add_(h)


class _Call(nn.Module):
    """A function as a module."""

    def __init__(self, function: object):
        super().__init__()
        self._function = function

    def forward(self, x: Map) -> Map:
        return self._function(x)  # type: ignore[operator]


def group_norm(width: int) -> nn.GroupNorm:
    """Group normalisation as in NCSN++: up to 32 groups of at least four channels."""
    return nn.GroupNorm(min(width // 4, 32), width, eps=1e-6)


def conv3(width_in: int, width: int, scale: float = 1.0) -> nn.Conv2d:
    """3x3 convolution, variance-scaling initialisation; ``scale=0`` starts at (almost) nothing."""
    return _initialised(nn.Conv2d(width_in, width, 3, padding=1), scale)


def conv1(width_in: int, width: int, scale: float = 1.0) -> nn.Conv2d:
    """1x1 convolution, initialised like :func:`conv3`."""
    return _initialised(nn.Conv2d(width_in, width, 1), scale)


def linear(width_in: int, width: int) -> nn.Linear:
    """Linear layer with variance-scaling initialisation."""
    return _initialised(nn.Linear(width_in, width), 1.0)


def _initialised(layer: Layer, scale: float) -> Layer:
    # Uniform with variance scale / fan-average (Glorot), as in the reference; scale 0 means 1e-10.
    nn.init.xavier_uniform_(layer.weight, gain=math.sqrt(scale or 1e-10))
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
