"""Ways for a noise reference to enter a U-Net of the NCSN++ family; all start without effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor, nn

from auscult.bounds import Count
from auscult.nets.blocks import Map, fir_down, group_norm
from auscult.nets.reference import Encoded
from auscult.nets.sites import Injection, Sizes

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)
PLANES = 3
"""Maps that the spectral channel lays beside the input: the noise's spectrum, its level, whether there is any."""


class Additive(Injection):
    """temb + W z. It reaches each residual block as a bias of its channels, and cannot scale them."""

    site, takes = "time", "z"

    def leads(self, net: Sizes) -> str:
        return f"Additive -> time embedding of {net.embedding}"

    def misfit(self, net: Sizes) -> str:
        return "" if net.embedding else "Additive needs a time embedding, and this net is not timed; use AdaGN"

    def attach(self, width: int, net: Sizes) -> None:
        self.project = zeroed(nn.Linear(width, net.embedding))

    def prepare(self, told: Encoded, frames: int) -> Sequence[Tensor]:
        return [self.project(told.z)]

    def forward(self, h: Float[Tensor, "B D"], made: Sequence[Tensor], place: int) -> Float[Tensor, "B D"]:
        return h + made[0]


class AdaGN(Injection):
    """FiLM on the second norm of each residual block: (1 + gamma) GN(h) + beta, [gamma, beta] = A SiLU(P z).

    Adaptive group normalisation (Dhariwal & Nichol 2021; Perez et al. 2018).

    Args:
        width: of P z, which all blocks share.
    """

    site, takes = "norm", "z"

    def __init__(self, width: Count = 128):
        super().__init__()
        self.width = width

    def leads(self, net: Sizes) -> str:
        return f"AdaGN {self.width} -> {len(net.blocks)} blocks of {min(net.blocks)}..{max(net.blocks)}"

    def attach(self, width: int, net: Sizes) -> None:
        self.project = nn.Linear(width, self.width)
        self.films = nn.ModuleList(zeroed(nn.Linear(self.width, 2 * channels)) for channels in net.blocks)

    def prepare(self, told: Encoded, frames: int) -> Sequence[Tensor]:
        shared = F.silu(self.project(told.z))
        return [film(shared)[:, :, None, None] for film in self.films]

    def forward(self, h: Map, made: Sequence[Tensor], place: int) -> Map:
        gamma, beta = made[place].chunk(2, dim=1)
        return h * (1 + gamma) + beta


class CrossAttention(Injection):
    """h + O attention(Q GN(h), K tokens, V tokens) at the end of the levels of given heights, down and up.

    Args:
        heights: levels by their number of bins.
        heads: of attention; they divide the width of the levels.
    """

    site, takes = "level", "tokens"

    def __init__(self, heights: tuple[Count, ...] = (16, 4), heads: Count = 4):
        super().__init__()
        self.heights, self.heads = heights, heads

    def leads(self, net: Sizes) -> str:
        widths = sorted({width for height, width in net.levels if height in self.heights})
        return f"CrossAttention of {self.heads} heads -> heights {_listed(self.heights)} of {_listed(widths) or '?'}"

    def misfit(self, net: Sizes) -> str:
        there = list(dict.fromkeys(height for height, _ in net.levels))
        if not self.heights or not set(self.heights) <= set(there):
            return f"heights: {_listed(self.heights) or 'none'} asked for, the net's levels have {_listed(there)}"
        odd = [width for height, width in net.levels if height in self.heights and width % self.heads]
        return f"heads: {self.heads} do not divide a width of {odd[0]}" if odd else ""

    def attach(self, width: int, net: Sizes) -> None:
        places = {str(i): size[1] for i, size in enumerate(net.levels) if size[0] in self.heights}
        self.layers = nn.ModuleDict({place: _Attending(width, size, self.heads) for place, size in places.items()})

    def prepare(self, told: Encoded, frames: int) -> Sequence[Tensor]:
        assert told.tokens is not None
        return [told.tokens]

    def forward(self, h: Map, made: Sequence[Tensor], place: int) -> Map:
        return self.layers[str(place)](h, made[0]) if str(place) in self.layers else h


class _Attending(nn.Module):
    """A map that attends to tokens, and adds what it finds."""

    def __init__(self, tokens: int, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm, self.query = group_norm(width), nn.Conv2d(width, width, 1)
        self.key, self.value = nn.Linear(tokens, width), nn.Linear(tokens, width)
        self.out = zeroed(nn.Conv2d(width, width, 1))

    def forward(self, h: Map, tokens: Float[Tensor, "B K D"]) -> Map:
        query = self.query(self.norm(h)).flatten(2).transpose(1, 2)
        projected = (query, self.key(tokens), self.value(tokens))
        q, k, v = (x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in projected)
        found = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2).transpose(1, 2)
        return h + self.out(found.reshape(h.shape))


class SpectralChannel(Injection):
    """The noise's spectrum as more channels of the input: the same in every frame, aligned with the bins.

    It widens the convolutions of the stem and of the input pyramid by three channels (spectrum at unit RMS, level,
    whether there is a reference), with weights of zero.
    """

    site, takes = "entry", "psd"

    def leads(self, net: Sizes) -> str:
        return f"SpectralChannel of {net.bins} bins -> {len(net.entries)} convolutions of the input"

    def attach(self, width: int, net: Sizes) -> None:
        stem, *joins = net.entries
        self.stem = zeroed(nn.Conv2d(PLANES, stem, 3, padding=1, bias=False))
        self.joins = nn.ModuleList(zeroed(nn.Conv2d(PLANES, channels, 1, bias=False)) for channels in joins)

    def prepare(self, told: Encoded, frames: int) -> Sequence[Tensor]:
        flat = [x[:, None].expand_as(told.psd) for x in (told.level, told.present.to(told.psd.dtype))]
        planes = torch.stack([told.psd, *flat], dim=1)[..., None].expand(-1, -1, -1, frames)
        pyramid = [planes.contiguous(memory_format=torch.channels_last)]
        for _ in self.joins:
            pyramid.append(fir_down(pyramid[-1]))
        return pyramid

    def forward(self, h: Map, made: Sequence[Tensor], place: int) -> Map:
        conv = self.joins[place - 1] if place else self.stem
        return h + conv(made[place])


class NASEAddition(Injection):
    """W z, one number a bin, added to the complex spectra that come in (NASE: Hu et al. 2023, ``addition``)."""

    site, takes = "input", "z"

    def leads(self, net: Sizes) -> str:
        return f"NASEAddition -> {net.bins} bins"

    def attach(self, width: int, net: Sizes) -> None:
        self.project = zeroed(nn.Linear(width, net.bins))

    def prepare(self, told: Encoded, frames: int) -> Sequence[Tensor]:
        return [self.project(told.z).float()[:, None, :, None]]

    def forward(self, h: Complex[Tensor, "B S F N"], made: Sequence[Tensor], place: int) -> Complex[Tensor, "B S F N"]:
        return h + made[0]


def zeroed(layer: Layer) -> Layer:
    """A layer that gives zero."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
