"""DiT: the diffusion transformer of stable-audio-tools and Stable Audio Open (Evans et al. 2024) on latents.

Frames of a noisy latent, with another beside them on the channels, pass blocks of self-attention, cross-attention to
tokens and gated feed-forward. A vector for the whole signal joins the time as the last token before the frames
(``prepend``), or modulates the norms (``adaLN``, Peebles and Xie 2023).

A sampler calls the net many times with the same conditions: :meth:`DiT.context` computes once what does not depend on
the step, every block's keys and values among it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from auscult.bounds import Count, Whole
from auscult.nets.rotary_attention import (
    CrossAttention,
    Memory,
    Rotation,
    SelfAttention,
    Tokens,
    check_heads,
    silent,
)

GlobalConditioning = Literal["prepend", "adaLN"]
TIME_FEATURES = 128
Hidden = Float[Tensor, "B L E"]
Vector = Float[Tensor, "B E"]


@dataclass(frozen=True)
class Context:
    """Conditions of a batch as the net hears them, the same at every step; :meth:`DiT.context` makes it.

    ``memories`` has one for every block, or none where no item has tokens.
    """

    memories: tuple[Memory, ...] = ()
    vector: Vector | None = None
    prefix: Hidden | None = None


class DiT(nn.Module):
    """Noisy latents [B, channels, N] and times [B] to velocities of the same shape.

    Args:
        channels: of the latent.
        concat_channels: of the latent that is given beside the noisy one, 0: none.
        width, depth, heads: of the transformer.
        token_width: of the tokens that cross-attention hears, 0: none. Its key-value heads are as wide as the others.
        project_tokens: take tokens to ``width`` first; else they keep theirs.
        global_width: of the vector for the whole signal, 0: none.
        prefix_width: of tokens that stand before the frames, 0: none.
        global_conditioning: how time and vector enter.

    Raises:
        RecipeError: heads that do not share the widths evenly.
    """

    def __init__(
        self,
        channels: Count = 64,
        concat_channels: Whole = 64,
        width: Count = 1536,
        depth: Count = 24,
        heads: Count = 24,
        token_width: Whole = 768,
        project_tokens: bool = False,
        global_width: Whole = 1536,
        prefix_width: Whole = 0,
        global_conditioning: GlobalConditioning = "prepend",
    ):
        super().__init__()
        heard = width if project_tokens and token_width else token_width
        check_heads(width, heads, heard)
        self.channels, self.concat_channels, self.head = channels, concat_channels, width // heads
        self.time = Time(width)
        self.token_embed = mlp(token_width, heard, heard) if token_width else None
        self.global_embed = mlp(global_width, width, width) if global_width else None
        self.prefix_embed = mlp(prefix_width, width, width) if prefix_width else None
        self.modulate = mlp(width, width, 6 * width, bias=True) if global_conditioning == "adaLN" else None
        joined = channels + concat_channels
        self.stem = silent(nn.Linear(joined, joined, bias=False))
        self.project_in = nn.Linear(joined, width, bias=False)
        modulated = self.modulate is not None
        self.blocks = nn.ModuleList(Block(width, heads, heard, modulated) for _ in range(depth))
        self.project_out = nn.Linear(width, channels, bias=False)
        self.last = silent(nn.Linear(channels, channels, bias=False))

    def context(
        self,
        tokens: Float[Tensor, "B P D"] | None = None,
        present: Bool[Tensor, "B P"] | None = None,
        global_cond: Float[Tensor, "B G"] | None = None,
        prefix: Float[Tensor, "B K Q"] | None = None,
    ) -> Context:
        """What the net hears of conditions, once for all steps.

        ``present`` marks the tokens that are there; the others count as zeros, as padding does in the published
        models. An item without any is not told of tokens at all, which is the null of classifier-free guidance.

        Raises:
            ValueError: a condition that the net has no use for, or none where it needs one; ``present`` alone.
        """
        _expect("tokens", tokens is not None, self.token_embed is not None, required=False)
        if present is not None and tokens is None:
            raise ValueError("present marks tokens, and none are given; give both or neither")
        _expect("global_cond", global_cond is not None, self.global_embed is not None)
        _expect("prefix", prefix is not None, self.prefix_embed is not None)
        vector = self.global_embed(global_cond) if self.global_embed is not None else None
        first = self.prefix_embed(prefix) if self.prefix_embed is not None else None
        return Context(self._memories(tokens, present), vector, first)

    def forward(
        self,
        x: Float[Tensor, "B C N"],
        t: Float[Tensor, " B"],
        context: Context = Context(),
        concat: Float[Tensor, "B Q N"] | None = None,
    ) -> Float[Tensor, "B C N"]:
        """One evaluation.

        Raises:
            ValueError: no latent beside the noisy one where the net takes one, or the other way round; a context
                that lacks what the net needs.
        """
        _expect("concat", concat is not None, self.concat_channels > 0)
        _expect("context.vector", context.vector is not None, self.global_embed is not None)
        _expect("context.prefix", context.prefix is not None, self.prefix_embed is not None)
        h = (x if concat is None else torch.cat([x, concat], dim=1)).transpose(1, 2)
        out = self._transformed(self.project_in(h + self.stem(h)), t, context)
        return (out + self.last(out)).transpose(1, 2)

    def _transformed(self, frames: Hidden, t: Float[Tensor, " B"], context: Context) -> Float[Tensor, "B L C"]:
        told = self.time(t) if context.vector is None else self.time(t) + context.vector
        before = [] if context.prefix is None else [context.prefix]
        modulation = None
        if self.modulate is None:
            before.append(told[:, None])
        else:
            modulation = self.modulate(told)
        h = torch.cat([*before, frames], dim=1)
        rotation = Rotation.of(h.shape[1], self.head, h.device)
        memories = context.memories or (None,) * len(self.blocks)
        for block, memory in zip(self.blocks, memories, strict=True):
            h = block(h, rotation, memory, modulation)
        return self.project_out(h[:, -frames.shape[1] :])

    def _memories(
        self, given: Float[Tensor, "B P D"] | None, present: Bool[Tensor, "B P"] | None
    ) -> tuple[Memory, ...]:
        if given is None or self.token_embed is None:
            return ()
        tokens = Tokens(given)
        if present is not None:
            tokens = Tokens.merged(given, present, every_item=torch.is_grad_enabled())
        if not len(tokens.values):
            return ()
        embedded = Tokens(self.token_embed(tokens.values), tokens.bias, tokens.rows)
        return tuple(cast(Block, block).cross_attention.memory(embedded) for block in self.blocks)


class Time(nn.Module):
    """Fourier features of t with learned frequencies, cosines first; then two linear layers."""

    def __init__(self, width: int):
        super().__init__()
        self.frequencies = nn.Parameter(torch.randn(TIME_FEATURES))
        self.embed = mlp(2 * TIME_FEATURES, width, width, bias=True)

    def forward(self, t: Float[Tensor, " B"]) -> Vector:
        angles = 2 * math.pi * t[:, None] * self.frequencies
        return self.embed(torch.cat([angles.cos(), angles.sin()], dim=1))


@dataclass(frozen=True)
class Modulation:
    """How the time changes a branch of a block, in the form adaLN; nothing otherwise."""

    scale: Float[Tensor, "B 1 E"] | None = None
    shift: Float[Tensor, "B 1 E"] | None = None
    gate: Float[Tensor, "B 1 E"] | None = None

    def before(self, x: Hidden) -> Hidden:
        """The normalised input of a branch, scaled and shifted."""
        return x if self.scale is None or self.shift is None else torch.addcmul(self.shift, x, 1 + self.scale)

    def after(self, x: Hidden) -> Hidden:
        """The output of a branch through its gate."""
        return x if self.gate is None else x * torch.sigmoid(1 - self.gate)


class Block(nn.Module):
    """Self-attention, cross-attention if there are tokens to hear, gated feed-forward; each behind a norm, added."""

    def __init__(self, width: int, heads: int, token_width: int, modulated: bool):
        super().__init__()
        self.norm_self = nn.LayerNorm(width, bias=False)
        self.self_attention = SelfAttention(width, heads)
        if token_width:
            self.norm_cross = nn.LayerNorm(width, bias=False)
            self.cross_attention = CrossAttention(width, heads, token_width)
        self.norm_feed = nn.LayerNorm(width, bias=False)
        self.feed = FeedForward(width)
        self.modulation = nn.Parameter(torch.randn(6 * width) / width**0.5) if modulated else None

    def forward(
        self, x: Hidden, rotation: Rotation, memory: Memory | None, modulation: Float[Tensor, "B M"] | None
    ) -> Hidden:
        own, feed = self._modulations(modulation)
        x = x + own.after(self.self_attention(own.before(self.norm_self(x)), rotation))
        x = x if memory is None else self._heard(x, memory)
        return x + feed.after(self.feed(feed.before(self.norm_feed(x))))

    def _heard(self, x: Hidden, memory: Memory) -> Hidden:
        if memory.rows is None:
            return x + self.cross_attention(self.norm_cross(x), memory)
        return x.index_add(0, memory.rows, self.cross_attention(self.norm_cross(x[memory.rows]), memory))

    def _modulations(self, modulation: Float[Tensor, "B M"] | None) -> tuple[Modulation, Modulation]:
        if self.modulation is None or modulation is None:
            return Modulation(), Modulation()
        parts = (self.modulation + modulation)[:, None].chunk(6, dim=2)
        return Modulation(*parts[:3]), Modulation(*parts[3:])


class FeedForward(nn.Module):
    """Four times as wide between, one half times the SiLU of the other (SwiGLU, Shazeer 2020)."""

    def __init__(self, width: int):
        super().__init__()
        self.gated, self.narrow = nn.Linear(width, 8 * width), silent(nn.Linear(4 * width, width))

    def forward(self, x: Hidden) -> Hidden:
        value, gate = self.gated(x).chunk(2, dim=-1)
        return self.narrow(value * F.silu(gate))


def mlp(width_in: int, hidden: int, width: int, bias: bool = False) -> nn.Sequential:
    """Two linear layers with a SiLU between."""
    return nn.Sequential(nn.Linear(width_in, hidden, bias), nn.SiLU(), nn.Linear(hidden, width, bias))


def _expect(name: str, given: bool, taken: bool, required: bool = True) -> None:
    if given and not taken:
        raise ValueError(f"{name} is given, and this net takes none; make it with a width for it")
    if taken and required and not given:
        raise ValueError(f"{name} is missing, which this net was made for")
