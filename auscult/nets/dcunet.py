"""DCUNet with dilations, the first backbone of SGMSE (DilDCUNet-v2; Welker et al. 2022, after Choi et al. 2019).

A complex layer holds two real ones, F(a + ib) = (re a - im b) + i (re b + im a). Complex maps are kept as real ones
with all real parts first, [B, 2, C, F, N], so that each complex convolution is one real convolution with a block of
weights, and the batch norms and activations that act on both parts apart are single real ones.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor, nn

from auscult.bounds import Count, Positive

Halves = Float[Tensor, "B 2 _ _ _"]
"""A complex map: real and imaginary part [B, 2, C, F, N]."""
Axes = tuple[int, int]
Activation = Literal["leaky_relu", "relu"]

KERNEL, PADDING = 4, 2
LAYERS: tuple[tuple[Axes, Axes], ...] = (
    ((1, 1), (1, 1)),
    ((1, 1), (1, 1)),
    ((1, 1), (1, 1)),
    ((2, 1), (2, 1)),
    ((2, 2), (4, 1)),
    ((2, 2), (8, 1)),
)
"""Stride and dilation over (F, N) of each encoder layer; the decoder mirrors them."""
PUBLISHED: dict[str, Any] = {"time_layers": 1, "activation": "leaky_relu"}
"""As trained by the published scripts."""
CONSTRUCTOR: dict[str, Any] = {"time_layers": 2, "activation": "relu"}
"""As the published class is built where nothing is said."""


class DCUNet(nn.Module):
    """Complex U-Net over compressed complex spectra, conditioned on the time in every layer.

    ``forward(inputs, t)``: ``inputs`` are ``sources`` complex maps [B, sources, F, N] (x_t, then y), ``t`` is one time
    an item; returns one complex map [B, 1, F, N]. F - 1 must be a multiple of ``bin_step``; frames are padded here.

    Args:
        widths: complex channels of the six encoder layers.
        embedding: width of the time embedding.
        time_layers: complex linear layers on the time embedding.
        activation: of the layers; the time embedding has SiLU.
        sources: complex input maps.
    """

    bin_step, frame_step = 8, 4

    def __init__(
        self,
        widths: tuple[Count, Count, Count, Count, Count, Count] = (32, 32, 32, 64, 128, 256),
        embedding: Count = 128,
        time_layers: Count = 1,
        activation: Activation = "leaky_relu",
        sources: Count = 2,
        fourier_scale: Positive = 16.0,
    ):
        super().__init__()
        self.frequencies = nn.Parameter(torch.randn(embedding // 2) * fourier_scale, requires_grad=False)
        self.time = nn.ModuleList(ComplexLinear(embedding, embedding) for _ in range(time_layers))
        befores = (sources, *widths[:-1])
        self.down = nn.ModuleList(
            Block(before, width, embedding, *layer, activation)
            for before, width, layer in zip(befores, widths, LAYERS, strict=True)
        )
        joined = (widths[-1], *(2 * width for width in widths[-2::-1]))
        self.up = nn.ModuleList(
            Block(before, width, embedding, *layer, activation, transposed=True)
            for before, width, layer in zip(joined[:-1], widths[-2::-1], LAYERS[:0:-1], strict=True)
        )
        self.output = ComplexConv(joined[-1], 1, *LAYERS[0], transposed=True, bias=True)

    def forward(self, inputs: Complex[Tensor, "B sources F N"], t: Float[Tensor, " B"]) -> Complex[Tensor, "B 1 F N"]:
        if (inputs.shape[2] - 1) % self.bin_step:
            raise ValueError(f"bins must be a multiple of {self.bin_step} plus one, the input is {tuple(inputs.shape)}")
        frames = inputs.shape[3]
        x: Halves = torch.view_as_real(inputs).permute(0, 4, 1, 2, 3)
        x = F.pad(x, (0, -(frames - 1) % self.frame_step))
        embedding = self._embedding(t)
        maps = [x]
        for block in self.down:
            maps.append(block(maps[-1], embedding))
        h = maps.pop()
        for block in self.up:
            skip = maps.pop()
            h = torch.cat([block(h, embedding, _size(skip)), skip], dim=2)
        out = self.output(h, _size(x))[..., :frames].float()
        return torch.view_as_complex(out.permute(0, 2, 3, 4, 1).contiguous())

    def _embedding(self, t: Float[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Real and imaginary parts, one after the other; Fourier features of t itself, in float32."""
        with torch.autocast(t.device.type, enabled=False):
            angles = t.float()[:, None] * self.frequencies * (2 * math.pi)
            waves = torch.cat([angles.sin(), angles.cos()], dim=1)
            embedding = torch.cat([waves, torch.zeros_like(waves)], dim=1)
            for layer in self.time:
                embedding = F.silu(layer(embedding))
        return embedding


class Block(nn.Module):
    """Complex convolution (or its transpose), shift by the time, batch norm, activation."""

    def __init__(
        self,
        width_in: int,
        width: int,
        embedding: int,
        stride: Axes,
        dilation: Axes,
        activation: Activation,
        transposed: bool = False,
    ):
        super().__init__()
        self.conv = ComplexConv(width_in, width, stride, dilation, transposed)
        self.shift = ComplexLinear(embedding, width)
        self.norm = nn.BatchNorm2d(2 * width)
        self.activation = nn.LeakyReLU() if activation == "leaky_relu" else nn.ReLU()

    def forward(self, x: Halves, embedding: Float[Tensor, "B D"], size: Axes | None = None) -> Halves:
        h = self.conv(x, size).flatten(1, 2)
        h = h + F.silu(self.shift(embedding))[:, :, None, None]
        return self.activation(self.norm(h)).unflatten(1, (2, -1))


class ComplexConv(nn.Module):
    """Complex 4x4 convolution or its transpose, computed as one real convolution of twice the channels."""

    def __init__(
        self, width_in: int, width: int, stride: Axes, dilation: Axes, transposed: bool = False, bias: bool = False
    ):
        super().__init__()
        self.stride, self.dilation, self.transposed = stride, dilation, transposed
        shape = (width_in, width) if transposed else (width, width_in)
        self.real, self.imaginary = (nn.Parameter(torch.empty(*shape, KERNEL, KERNEL)) for _ in range(2))
        self.bias = nn.Parameter(torch.zeros(2, width)) if bias else None
        for weight in (self.real, self.imaginary):
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))

    def forward(self, x: Halves, size: Axes | None = None) -> Halves:
        """``size`` is that of the result, which only a transpose leaves open."""
        bias = None if self.bias is None else _rotated(*self.bias)
        if not self.transposed:
            weight = _block(self.real, self.imaginary)
            h = F.conv2d(x.flatten(1, 2), weight, bias, self.stride, PADDING, self.dilation)
            return h.unflatten(1, (2, -1))
        weight = _block(self.real, -self.imaginary)  # inputs come first in the weights of a transpose
        extra = (0, 0) if size is None else self._extra(_size(x), size)
        h = F.conv_transpose2d(x.flatten(1, 2), weight, bias, self.stride, PADDING, extra, 1, self.dilation)
        return h.unflatten(1, (2, -1))

    def _extra(self, before: Axes, after: Axes) -> Axes:
        """Rows and frames that a transpose must add to reach a size."""
        reach = [
            (n - 1) * s - 2 * PADDING + d * (KERNEL - 1) + 1
            for n, s, d in zip(before, self.stride, self.dilation, strict=True)
        ]
        return after[0] - reach[0], after[1] - reach[1]


class ComplexLinear(nn.Module):
    """Complex linear layer on vectors that hold the real parts, then the imaginary ones."""

    def __init__(self, width_in: int, width: int):
        super().__init__()
        self.real, self.imaginary = (nn.Parameter(torch.empty(width, width_in)) for _ in range(2))
        self.bias = nn.Parameter(torch.zeros(2, width))
        for weight in (self.real, self.imaginary):
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))

    def forward(self, x: Float[Tensor, "B _"]) -> Float[Tensor, "B _"]:
        return F.linear(x, _block(self.real, self.imaginary), _rotated(*self.bias))


def _block(real: Tensor, imaginary: Tensor) -> Tensor:
    """[[re, -im], [im, re]] over the first two axes."""
    return torch.cat([torch.cat([real, -imaginary], 1), torch.cat([imaginary, real], 1)])


def _rotated(real: Tensor, imaginary: Tensor) -> Tensor:
    """The bias of both parts: re - im and re + im, as both real layers add theirs."""
    return torch.cat([real - imaginary, real + imaginary])


def _size(x: Halves) -> Axes:
    return x.shape[3], x.shape[4]
