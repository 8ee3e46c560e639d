"""Attention of the DiT: self-attention with rotary positions (Su et al. 2021), grouped cross-attention to tokens.

What the tokens are does not change from step to step of a sampler, so keys and values are made apart from the
attention and can be used again; and of padding tokens, which are zeros that take part in the softmax, one is enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from auscult.errors import RecipeError

BASE = 10_000.0
LEAST_ROTATED = 32
"""Channels of a head that turn: half of them, but at least so many."""

Hidden = Float[Tensor, "B L E"]


@dataclass(frozen=True)
class Rotation:
    """Angles of every position: the first half of the turned channels turns against the second."""

    cosine: Float[Tensor, "L D"]
    sine: Float[Tensor, "L D"]

    @classmethod
    def of(cls, length: int, head: int, device: torch.device) -> Rotation:
        """Positions 0, 1, ... for heads of so many channels; always in float32."""
        half = max(head // 2, LEAST_ROTATED) // 2
        rates = BASE ** (-torch.arange(half, dtype=torch.float32, device=device) / half)
        angles = torch.arange(length, dtype=torch.float32, device=device)[:, None] * rates
        return cls(angles.cos(), angles.sin())

    def turned(self, x: Float[Tensor, "*h L d"]) -> Float[Tensor, "*h L d"]:
        """Queries or keys at their positions."""
        half = self.cosine.shape[1]
        a, b, still = x.float().split([half, half, x.shape[-1] - 2 * half], dim=-1)
        both = [a * self.cosine - b * self.sine, b * self.cosine + a * self.sine, still]
        return torch.cat(both, dim=-1).to(x.dtype)


class SelfAttention(nn.Module):
    """Query, key and value from one product; no bias anywhere. Its output starts at zero."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = silent(nn.Linear(width, width, bias=False))

    def forward(self, x: Hidden, rotation: Rotation) -> Hidden:
        parts = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # 3 B H L d
        q, k = rotation.turned(parts[:2])
        return self.out(F.scaled_dot_product_attention(q, k, parts[2]).transpose(1, 2).flatten(2))


@dataclass(frozen=True)
class Memory:
    """Keys and values of the tokens that one block attends to.

    ``bias`` is added to the logits, None: nothing. ``rows`` are the items that have tokens, None: all.
    """

    key: Float[Tensor, "R G P d"]
    value: Float[Tensor, "R G P d"]
    bias: Float[Tensor, "R P"] | None
    rows: Int[Tensor, " R"] | None


@dataclass(frozen=True)
class Tokens:
    """Tokens of a batch and what is known of them, as in :class:`Memory`."""

    values: Float[Tensor, "R P D"]
    bias: Float[Tensor, "R P"] | None = None
    rows: Int[Tensor, " R"] | None = None

    @classmethod
    def merged(cls, values: Float[Tensor, "B P D"], present: Bool[Tensor, "B P"], every_item: bool) -> Tokens:
        """Tokens that are not present count as zeros: P of them become one, its logit raised by ln P.

        Exact, as each has the logit 0 and the value 0. An item of zeros alone hears nothing; unless ``every_item``
        is asked for (a training step leaves no parameter without a gradient) it is left out.
        """
        rows = None
        if not every_item and not present.any(1).all():
            rows = present.any(1).nonzero()[:, 0]
            values, present = values[rows], present[rows]
        count = present.sum(1)
        most = int(count.max()) if len(count) else 0
        order = present.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :most]
        values = values.gather(1, order[..., None].expand(-1, -1, values.shape[2]))
        within = torch.arange(most, device=count.device) < count[:, None]
        values = F.pad(torch.where(within[..., None], values, 0.0), (0, 0, 0, 1))
        shut = torch.zeros_like(within, dtype=torch.float32).masked_fill(~within, -torch.inf)
        padding = (present.shape[1] - count)[:, None].float().log()
        return cls(values, torch.cat([shut, padding], dim=1), rows)


class CrossAttention(nn.Module):
    """Queries from the signal, grouped keys and values from tokens (GQA); no bias anywhere, output zero at first.

    Heads are as wide as the signal's, so tokens of ``width_tokens`` have fewer of them; each serves the same number
    of query heads, which stand one after the other along its axis of queries.
    """

    def __init__(self, width: int, heads: int, width_tokens: int):
        super().__init__()
        self.head = width // heads
        self.groups = width_tokens // self.head
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width_tokens, 2 * width_tokens, bias=False)
        self.out = silent(nn.Linear(width, width, bias=False))

    def memory(self, tokens: Tokens) -> Memory:
        """Keys and values of tokens."""
        key, value = self.key_value(tokens.values).unflatten(-1, (2, self.groups, self.head)).permute(2, 0, 3, 1, 4)
        return Memory(key, value, tokens.bias, tokens.rows)

    def forward(self, x: Hidden, memory: Memory) -> Hidden:
        length = x.shape[1]
        q = self.query(x).unflatten(-1, (self.groups, -1, self.head)).permute(0, 2, 3, 1, 4).flatten(2, 3)  # B G rL d
        bias = None if memory.bias is None else memory.bias[:, None, None].to(q.dtype)
        mixed = F.scaled_dot_product_attention(q, memory.key, memory.value, attn_mask=bias)
        return self.out(mixed.unflatten(2, (-1, length)).permute(0, 3, 1, 2, 4).flatten(2))


def silent(layer: nn.Linear) -> nn.Linear:
    """A layer that gives zero until it has learned."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def check_heads(width: int, heads: int, width_tokens: int) -> None:
    """Refuse a chain of sizes by which attention cannot be shared out.

    The reference repeats key-value heads heads // (width_tokens / head) times: with width 512, 8 heads and tokens of
    768 that is 0 times, and its cross-attention is silently zero.

    Raises:
        RecipeError: with the chain of sizes.
    """
    chain = f"width {width} / {heads} heads = {width / heads:g} channels a head"
    if width % heads or width // heads < LEAST_ROTATED:
        raise RecipeError(f"{chain}: a whole number of at least {LEAST_ROTATED} is needed; take other heads or width")
    chain = f"{chain}, tokens of {width_tokens} / {width // heads} = {width_tokens * heads / width:g} key-value heads"
    if width_tokens * heads % width:
        raise RecipeError(f"{chain}: not whole; make the tokens' width a multiple of {width // heads}")
    groups = width_tokens * heads // width
    if groups and heads % groups:
        raise RecipeError(
            f"{chain}, {heads} query heads / {groups} = {heads / groups:g} each: not whole, and without it the "
            "condition would not be heard; project the tokens to the net's width, or take another width for them"
        )
