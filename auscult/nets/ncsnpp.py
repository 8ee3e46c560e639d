"""NCSN++, the U-Net of SGMSE+ (Richter et al. 2023), in one implementation.

Its published variants are configurations: ``V1``, ``V2`` (v1 without the division by t), ``V48K`` (no pyramids, no
attention in the levels, division after the output layer) and the smaller nets of StoRM (Lemercier et al. 2023):
``STORM`` and, without time, ``STORM_PREDICTOR``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from auscult.bounds import Count, Decay
from auscult.nets.blocks import (
    Attention,
    Join,
    Map,
    ResBlock,
    TimeEmbedding,
    activated,
    channels_last,
    conv3,
    fir_down,
    fir_up,
    group_norm,
)
from auscult.nets.condition import NoiseCondition
from auscult.nets.reference import Encoded
from auscult.nets.sites import Context, Prepared, Sizes
from auscult.shapes import bcast

TimeScaling = Literal["none", "before_output", "after_output"]
Stack = list[Tensor]
"""Skips, and on top of them the map so far: what is taken off is held by nobody else, and freed once it is used."""

V1: dict[str, Any] = {"time_scaling": "before_output"}
V2: dict[str, Any] = {"time_scaling": "none"}
V48K: dict[str, Any] = {"time_scaling": "after_output", "pyramid": False, "attention_heights": (), "bins": 768}
STORM: dict[str, Any] = {"multipliers": (1, 2, 2, 2), "blocks": 1, "attention_heights": (), "centered": False}
STORM_PREDICTOR: dict[str, Any] = {**STORM, "time_scaling": "none", "timed": False, "sources": 1}


class NCSNpp(nn.Module):
    """U-Net with input and output pyramids over compressed complex spectra.

    ``forward(inputs, t, told)``: ``inputs`` are ``sources`` complex maps [B, sources, F, N] (x_t first, then y), ``t``
    is one time an item (not needed with ``timed=False``), ``told`` is what ``cond`` made of a noise reference; returns
    one complex map [B, 1, F, N]. F and N must be multiples of ``grid``.

    Args:
        channels: width of the first level.
        multipliers: width of each level over ``channels``; the number of levels.
        blocks: residual blocks a level.
        attention_heights: levels with this many bins get attention.
        bins: frequency bins the net is made for (decides which levels have these heights).
        pyramid: feed the downsampled input to every level, and sum an output from every level.
        centered: False feeds 2x - 1 (the published reverberation checkpoint and the nets of StoRM need it).
        time_scaling: where the output is divided by t.
        sources: complex input maps.
        timed: False leaves the time embedding out: a net that maps spectra in one call.
        cond: a noise condition. Its parameters, ``cond.*``, come on top of the others, and have no effect at first.

    Raises:
        ValueError: a division by t without a time.
        RecipeError: a condition whose parts do not fit.
    """

    def __init__(
        self,
        channels: Count = 128,
        multipliers: tuple[Count, ...] = (1, 1, 2, 2, 2, 2, 2),
        blocks: Count = 2,
        attention_heights: tuple[int, ...] = (16,),
        bins: Count = 256,
        pyramid: bool = True,
        centered: bool = True,
        time_scaling: TimeScaling = "before_output",
        sources: Count = 2,
        fourier_scale: float = 16.0,
        dropout: Decay = 0.0,
        timed: bool = True,
        cond: NoiseCondition | None = None,
    ):
        super().__init__()
        if not timed and time_scaling != "none":
            raise ValueError("a net without time (timed: false) cannot divide by it: set time_scaling to none")
        self.grid = 2 ** (len(multipliers) - 1)
        self.pyramid, self.centered, self.time_scaling = pyramid, centered, time_scaling
        real = 2 * sources
        widths = [channels * m for m in multipliers]
        attends = [bins >> level in attention_heights for level in range(len(widths))]
        deepest, embedding = len(widths) - 1, 4 * channels if timed else 0
        sizes = sizes_of(channels, widths, blocks, bins, embedding, pyramid)
        if cond is not None:
            cond.check(sizes)

        self.time = TimeEmbedding(channels, fourier_scale) if timed else None
        self.stem = conv3(real, channels)
        self.down = nn.ModuleList()
        skips = [channels]
        for level, (before, width) in enumerate(pairwise([channels, *widths])):
            shrink = level < deepest
            down = Encoder(level, before, width, embedding, blocks, attends[level], shrink, pyramid, real, dropout)
            self.down.append(down)
            skips += [width] * (blocks + shrink)
        self.middle = Middle(widths[-1], embedding, dropout)
        self.up = nn.ModuleList()
        below = widths[-1]
        for level in range(deepest, -1, -1):
            joined = [skips.pop() for _ in range(blocks + 1)]
            tap = real if pyramid or level == 0 else 0
            place = 2 * deepest + 1 - level
            up = Decoder(place, below, widths[level], embedding, joined, attends[level], level > 0, tap, dropout)
            self.up.append(up)
            below = widths[level]
        self.output = nn.Conv2d(real, 2, 1)
        for place, block in enumerate(part for part in self.modules() if isinstance(part, ResBlock)):
            block.place = place
        self.cond = cond
        if cond is not None:
            cond.attach(sizes)
        channels_last(self)

    def forward(
        self,
        inputs: Complex[Tensor, "B sources F N"],
        t: Float[Tensor, " B"] | None = None,
        told: Encoded | None = None,
    ) -> Complex[Tensor, "B 1 F N"]:
        if inputs.shape[2] % self.grid or inputs.shape[3] % self.grid:
            raise ValueError(f"bins and frames must be multiples of {self.grid}, the input is {tuple(inputs.shape)}")
        injections = self._injections(told, inputs.shape[3])
        inputs = Context(None, injections).at("input", inputs)
        x = torch.view_as_real(inputs).permute(0, 1, 4, 2, 3).flatten(1, 2)
        x = x.contiguous(memory_format=torch.channels_last)
        x = x if self.centered else 2.0 * x - 1.0
        context = Context(self._embedding(t, injections), injections)

        maps = [context.at("entry", self.stem(x))]
        for encoder in self.down:
            x = encoder(maps, x, context)
        maps.append(self.middle(maps[-1], context))
        total: Map | None = None
        for decoder in self.up:
            total = decoder(maps, total, context)
        assert total is not None

        out = total.float()
        if t is not None and self.time_scaling == "before_output":
            out = out / bcast(t, out)
        out = self.output(out).float()
        if t is not None and self.time_scaling == "after_output":
            out = out / bcast(t, out)
        return torch.view_as_complex(out.permute(0, 2, 3, 1).contiguous())[:, None]

    def _injections(self, told: Encoded | None, frames: int) -> Prepared:
        if self.cond is None and told is None:
            return ()
        if self.cond is None or told is None:
            raise ValueError("a net is told of a noise (told) if, and only if, it has a noise condition (cond)")
        return self.cond.prepared(told, frames)

    def _embedding(self, t: Float[Tensor, " B"] | None, injections: Prepared) -> Float[Tensor, "B D"] | None:
        if self.time is None:
            return None
        if t is None:
            raise ValueError("this net needs one time an item (it is not timed: false)")
        return Context(None, injections).at("time", self.time(t))


def sizes_of(stem: int, widths: Sequence[int], blocks: int, bins: int, embedding: int, pyramid: bool) -> Sizes:
    """What a condition must fit: residual blocks, entries of the input and ends of levels, in their order."""
    deepest = len(widths) - 1
    down = [width for level, width in enumerate(widths) for _ in range(blocks + (level < deepest))]
    up = [widths[level] for level in range(deepest, -1, -1) for _ in range(blocks + 1 + (level > 0))]
    levels = [(bins >> level, width) for level, width in enumerate(widths)]
    return Sizes(
        bins=bins,
        embedding=embedding,
        entries=(stem, *(widths[:-1] if pyramid else ())),
        blocks=(*down, widths[-1], widths[-1], *up),
        levels=(*levels, *levels[::-1]),
    )


class Encoder(nn.Module):
    """One level on the way down: residual blocks (with attention), halving, and the input pyramid joining in.

    ``place`` is its number among the levels, those on the way up counted after those on the way down.
    """

    def __init__(
        self,
        place: int,
        before: int,
        width: int,
        embedding: int,
        blocks: int,
        attends: bool,
        shrink: bool,
        pyramid: bool,
        real: int,
        dropout: float,
    ):
        super().__init__()
        self.place = place
        widths = [before] + [width] * (blocks - 1)
        self.blocks = nn.ModuleList(ResBlock(w, width, embedding, dropout=dropout) for w in widths)
        self.attentions = nn.ModuleList(Attention(width) if attends else nn.Identity() for _ in widths)
        self.shrink = ResBlock(width, width, embedding, "down", dropout) if shrink else None
        self.join = Join(real, width) if shrink and pyramid else None

    def forward(self, maps: Stack, x: Map, context: Context) -> Map:
        for block, attention in zip(self.blocks, self.attentions, strict=True):
            maps.append(attention(block(maps[-1], context)))
        maps.append(context.at("level", maps.pop(), self.place))
        if self.shrink is not None:
            h = self.shrink(maps[-1], context)
            if self.join is not None:
                x = fir_down(x)
                h = context.at("entry", self.join(h, x), self.place + 1)  # the stem is the first entry
            maps.append(h)
        return x


class Middle(nn.Module):
    """Residual block, attention, residual block at the deepest level."""

    def __init__(self, width: int, embedding: int, dropout: float):
        super().__init__()
        self.block_in = ResBlock(width, width, embedding, dropout=dropout)
        self.attention = Attention(width)
        self.block_out = ResBlock(width, width, embedding, dropout=dropout)

    def forward(self, h: Map, context: Context) -> Map:
        return self.block_out(self.attention(self.block_in(h, context)), context)


class Decoder(nn.Module):
    """One level on the way up: residual blocks on skips, attention, the output tap, doubling."""

    def __init__(
        self,
        place: int,
        below: int,
        width: int,
        embedding: int,
        joined: list[int],
        attends: bool,
        grow: bool,
        tap: int,
        dropout: float,
    ):
        super().__init__()
        self.place = place
        widths = [below] + [width] * (len(joined) - 1)
        self.blocks = nn.ModuleList(
            ResBlock(w + skip, width, embedding, dropout=dropout) for w, skip in zip(widths, joined, strict=True)
        )
        self.attention = Attention(width) if attends else nn.Identity()
        self.tap_norm = group_norm(width) if tap else None
        self.tap = conv3(width, tap, scale=0.0) if tap else None
        self.grow = ResBlock(width, width, embedding, "up", dropout) if grow else None

    def forward(self, maps: Stack, total: Map | None, context: Context) -> Map | None:
        for block in self.blocks:
            maps.append(block(torch.cat([maps.pop(), maps.pop()], dim=1), context))
        maps.append(self.attention(maps.pop()))
        maps.append(context.at("level", maps.pop(), self.place))
        if self.tap is not None and self.tap_norm is not None:
            here = self.tap(activated(self.tap_norm(maps[-1])))
            total = here if total is None else here.add_(fir_up(total))
        if self.grow is not None:
            maps.append(self.grow(maps.pop(), context))
        return total
