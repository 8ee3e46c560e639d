"""Magnitude-preserving U-Net: the architecture of EDM2 (Karras et al. 2024), as EDM2SE has it for speech.

No biases, no norm layers: weights are normalised where they are used, and sums, concatenations and activations are
scaled so that maps keep unit magnitude. The noisy spectrum enters every encoder block.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor, nn

from auscult.bounds import Count
from auscult.nets.blocks import Map, Resample, channels_last

TINY = 1e-4
"""Added to magnitudes that are divided by; also where learnt gains start, so that the parts behind them learn."""
SILU_MAGNITUDE = 0.596
"""Of SiLU on standard normal numbers."""
BALANCE = 0.3
"""Share of the branch that joins the main one, where it is not learnt."""
CLIP = 256.0
HEAD = 64
"""Channels of an attention head."""


class MPUNet(nn.Module):
    """U-Net over compressed complex spectra, conditioned on the noise level and on a second spectrum.

    ``forward(inputs, level)``: ``inputs`` are x_t and y [B, 2, F, N], scaled to unit variance by whoever calls;
    ``level`` is one number an item that says how much noise there is (EDM2SE: ln(sigma) / 4). Returns one complex map
    [B, 1, F, N]. F and N must be multiples of ``grid``.

    Args:
        channels: width of the first level.
        multipliers: width of each level over ``channels``; the number of levels.
        blocks: encoder blocks a level; the decoder has one more.
        attention_heights: levels with this many bins get attention; the middle always has it.
        bins: frequency bins the net is made for (decides which levels have these heights).
    """

    def __init__(
        self,
        channels: Count = 128,
        multipliers: tuple[Count, ...] = (1, 1, 2, 2, 2, 2, 2),
        blocks: Count = 2,
        attention_heights: tuple[int, ...] = (16, 8),
        bins: Count = 256,
    ):
        super().__init__()
        self.grid, self.bins = 2 ** (len(multipliers) - 1), bins
        widths = [channels * m for m in multipliers]
        attends = [bins >> level in attention_heights for level in range(len(widths))]
        self.level = LevelEmbedding(widths[0], max(widths))
        self.stem = MPConv(3, widths[0], 3)  # x_t and a map of ones
        self.down, skips = nn.ModuleList(), [widths[0]]
        width, embedding = widths[0], max(widths)
        for level, wider in enumerate(widths):
            if level:
                self.down.append(Encoder(width, width, embedding, "down"))
                skips.append(width)
            for _ in range(blocks):
                self.down.append(Encoder(width, wider, embedding, attends=attends[level]))
                width = wider
                skips.append(width)
        self.middle = nn.ModuleList(Decoder(width, 0, width, embedding, attends=first) for first in (True, False))
        self.up = nn.ModuleList()
        for level in range(len(widths) - 1, -1, -1):
            if level < len(widths) - 1:
                self.up.append(Decoder(width, 0, width, embedding, "up"))
            for _ in range(blocks + 1):
                self.up.append(Decoder(width, skips.pop(), widths[level], embedding, attends=attends[level]))
                width = widths[level]
        self.output = MPConv(width, 2, 3)
        self.gain = nn.Parameter(torch.tensor(TINY))
        channels_last(self)

    def forward(self, inputs: Complex[Tensor, "B 2 F N"], level: Float[Tensor, " B"]) -> Complex[Tensor, "B 1 F N"]:
        if inputs.shape[2] % self.grid or inputs.shape[3] % self.grid:
            raise ValueError(f"bins and frames must be multiples of {self.grid}, the input is {tuple(inputs.shape)}")
        x, y = (torch.view_as_real(part).permute(0, 3, 1, 2).contiguous() for part in inputs.unbind(1))
        embedding = self.level(level)
        h = self.stem(torch.cat([x, torch.ones_like(x[:, :1])], dim=1))
        skips = [h]
        for encoder in self.down:
            if encoder.resample == "down":
                y = halved(y)
            h = encoder(h, y, embedding)
            skips.append(h)
        for decoder in self.middle:
            h = decoder(h, embedding)
        for decoder in self.up:
            h = decoder(joined(h, skips.pop()) if decoder.skip else h, embedding)
        out = self.output(h, self.gain).float()
        return torch.view_as_complex(out.permute(0, 2, 3, 1).contiguous())[:, None]


class LevelEmbedding(nn.Module):
    """Cosine features of a number, one linear layer, SiLU; always in float32."""

    def __init__(self, features: int, width: int):
        super().__init__()
        self.frequencies: Tensor
        self.phases: Tensor
        self.register_buffer("frequencies", 2 * math.pi * torch.randn(features))
        self.register_buffer("phases", 2 * math.pi * torch.rand(features))
        self.linear = MPLinear(features, width)

    def forward(self, level: Float[Tensor, " B"]) -> Float[Tensor, "B D"]:
        with torch.autocast(level.device.type, enabled=False):
            waves = torch.cos(level.float()[:, None] * self.frequencies + self.phases) * math.sqrt(2)
            return silu(self.linear(waves))


class MPLinear(nn.Module):
    """Linear layer without bias, its rows normalised when used."""

    def __init__(self, width_in: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, width_in))

    def forward(self, x: Float[Tensor, "B _"], gain: Tensor | float = 1.0) -> Float[Tensor, "B _"]:
        return F.linear(x, unit_rows(self.weight) * gain)


class MPConv(nn.Module):
    """Convolution without bias, its filters normalised when used."""

    def __init__(self, width_in: int, width: int, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, width_in, size, size))

    def forward(self, x: Map, gain: Tensor | float = 1.0) -> Map:
        return F.conv2d(x, unit_rows(self.weight) * gain, padding=self.weight.shape[-1] // 2)


class Residual(nn.Module):
    """The residual branch of a block: two convolutions, scaled by the noise level between them."""

    def __init__(self, width_in: int, width: int, embedding: int):
        super().__init__()
        self.conv_in, self.conv_out = MPConv(width_in, width, 3), MPConv(width, width, 3)
        self.scale = MPLinear(embedding, width)
        self.gain = nn.Parameter(torch.tensor(TINY))

    def forward(self, x: Map, embedding: Float[Tensor, "B D"]) -> Map:
        scale = 1 + self.scale(embedding, self.gain)
        return self.conv_out(silu(self.conv_in(silu(x)) * scale[:, :, None, None].to(x.dtype)))


class Encoder(nn.Module):
    """Projection and pixel norm, residual branch, the second spectrum, attention."""

    def __init__(self, width_in: int, width: int, embedding: int, resample: Resample = "none", attends: bool = False):
        super().__init__()
        self.resample = resample
        self.project = MPConv(width_in, width, 1) if width_in != width else None
        self.residual = Residual(width, width, embedding)
        self.condition = MPConv(2, width, 1)
        self.balance = nn.Parameter(torch.tensor(BALANCE))
        self.attention = Attention(width) if attends else None

    def forward(self, x: Map, y: Map, embedding: Float[Tensor, "B D"]) -> Map:
        x = halved(x) if self.resample == "down" else x
        x = unit(x if self.project is None else self.project(x))
        x = blended(x, self.residual(x, embedding), BALANCE)
        x = blended(x, unit(self.condition(y)), self.balance)
        return (x if self.attention is None else self.attention(x)).clamp(-CLIP, CLIP)


class Decoder(nn.Module):
    """Residual branch, projection, attention; on the map joined with a skip where ``skip`` is not 0."""

    def __init__(
        self, width_in: int, skip: int, width: int, embedding: int, resample: Resample = "none", attends: bool = False
    ):
        super().__init__()
        self.skip, self.resample = skip, resample
        self.project = MPConv(width_in + skip, width, 1) if width_in + skip != width else None
        self.residual = Residual(width_in + skip, width, embedding)
        self.attention = Attention(width) if attends else None

    def forward(self, x: Map, embedding: Float[Tensor, "B D"]) -> Map:
        x = doubled(x) if self.resample == "up" else x
        branch = self.residual(x, embedding)
        x = blended(x if self.project is None else self.project(x), branch, BALANCE)
        return (x if self.attention is None else self.attention(x)).clamp(-CLIP, CLIP)


class Attention(nn.Module):
    """Self-attention over all positions of a map, heads of 64 channels, with queries, keys and values normalised."""

    def __init__(self, width: int):
        super().__init__()
        self.heads = max(1, width // HEAD)
        self.mix, self.out = MPConv(width, 3 * width, 1), MPConv(width, width, 1)

    def forward(self, x: Map) -> Map:
        parts = self.mix(x).reshape(x.shape[0], self.heads, -1, 3, x.shape[2] * x.shape[3])
        query, key, value = unit(parts, 2).permute(3, 0, 1, 4, 2).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(2, 3).reshape(x.shape)
        return blended(x, self.out(mixed), BALANCE)


def silu(x: Tensor) -> Tensor:
    """SiLU of unit magnitude."""
    return F.silu(x) / SILU_MAGNITUDE


def unit(x: Tensor, dim: int = 1) -> Tensor:
    """Divide by the root mean square along an axis (pixel norm)."""
    return x / (x.float().square().mean(dim, keepdim=True).sqrt() + TINY).to(x.dtype)


def unit_rows(weight: Tensor) -> Tensor:
    """Rows of unit norm: the response to unit-magnitude input has unit magnitude."""
    flat = weight.float().flatten(1)
    size = flat.square().mean(1).sqrt() + TINY
    return (flat / (size[:, None] * math.sqrt(flat.shape[1]))).view_as(weight)


def blended(a: Tensor, b: Tensor, share: Tensor | float) -> Tensor:
    """(1 - share) a + share b, of unit magnitude for independent parts."""
    size = ((1 - share) ** 2 + share**2) ** 0.5
    return a * ((1 - share) / size) + b * (share / size)


def joined(a: Map, b: Map) -> Map:
    """Concatenation that gives both maps equal weight, whatever their widths."""
    width_a, width_b = a.shape[1], b.shape[1]
    half = math.sqrt((width_a + width_b) / 2)
    return torch.cat([a * (half / math.sqrt(width_a)), b * (half / math.sqrt(width_b))], dim=1)


def halved(x: Map) -> Map:
    """Means of 2x2 positions."""
    return F.avg_pool2d(x, 2)


def doubled(x: Map) -> Map:
    """Every position twice along both axes."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
