"""Conformer block (Gulati et al. 2020) with relative positions in the keys (Shaw et al. 2018), as CMGAN uses it.

Sequences are [S, L, D]. The position score q_i . E[i - j] needs neither an L x L x d table of gathered embeddings nor a
copy to bring it into place: q times the window of the table gives it by distance, and shifting row i by i, which is a
view, gives it by key. It goes to the attention kernel as an additive mask.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from auscult.errors import RecipeError

Tokens = Float[Tensor, "S L D"]
"""S independent sequences of L tokens."""

QUERIES_AT_ONCE = 64
"""Attention goes by blocks of so many queries: memory grows with the length, not its square, and of the distances that
a block reaches few are computed in vain."""


class Conformer(nn.Module):
    """Half a feed-forward step, attention, convolution, half a feed-forward step, each with a residual; layer norm.

    Args:
        features: width D of the tokens.
        heads: of the attention.
        kernel: taps of the depthwise convolution, an odd number.
        max_distance: positions farther apart than this share an embedding.
        dropout: after both feed-forward layers and the attention.
    """

    def __init__(self, features: int, heads: int, kernel: int, max_distance: int, dropout: float):
        super().__init__()
        self.step_in = FeedForward(features, dropout)
        self.attention = RelativeAttention(features, heads, max_distance, dropout)
        self.convolution = ConvolutionModule(features, kernel)
        self.step_out = FeedForward(features, dropout)
        self.norm = nn.LayerNorm(features)

    def forward(self, x: Tokens) -> Tokens:
        x = torch.add(x, self.step_in(x), alpha=0.5)
        x = x + self.attention(x)
        x = x + self.convolution(x)
        x = torch.add(x, self.step_out(x), alpha=0.5)
        return self.norm(x)


class FeedForward(nn.Module):
    """Layer norm and two linear layers, four times as wide between."""

    def __init__(self, features: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.wide, self.narrow = nn.Linear(features, 4 * features), nn.Linear(4 * features, features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tokens) -> Tokens:
        h = self.dropout(F.silu(self.wide(self.norm(x))))
        return self.dropout(self.narrow(h))


class ConvolutionModule(nn.Module):
    """Layer norm, gated linear unit to twice the width, depthwise convolution along the sequence, batch norm.

    The convolution is two-dimensional, one row high, because tokens are then its channels-last order as they are, and
    there kernels for depthwise convolution are many times faster than those on sequences.
    """

    def __init__(self, features: int, kernel: int):
        super().__init__()
        if kernel % 2 == 0:
            raise RecipeError(f"kernel: an even number of taps ({kernel}) shifts the sequence; take an odd one")
        width = 2 * features
        self.norm = nn.LayerNorm(features)
        self.gated = nn.Linear(features, 2 * width)
        self.depthwise = nn.Conv2d(width, width, (1, kernel), padding=(0, kernel // 2), groups=width)
        self.batch_norm = nn.BatchNorm2d(width)
        self.narrow = nn.Linear(width, features)

    def forward(self, x: Tokens) -> Tokens:
        h = F.glu(self.gated(self.norm(x)), dim=-1)
        h = h[:, None].permute(0, 3, 1, 2)  # S D 1 L
        h = F.silu(self.batch_norm(self.depthwise(h)))
        return self.narrow(h.permute(0, 2, 3, 1)[:, 0])


class RelativeAttention(nn.Module):
    """Scores (q_i . k_j + q_i . E[i - j]) / sqrt(d), the distance clamped; the table E is shared by the heads."""

    def __init__(self, features: int, heads: int, max_distance: int, dropout: float):
        super().__init__()
        if features % heads:
            raise RecipeError(f"heads: {heads} do not share {features} channels evenly; take a divisor")
        self.heads, self.max_distance = heads, max_distance
        self.norm = nn.LayerNorm(features)
        self.query = nn.Linear(features, features, bias=False)
        self.key_value = nn.Linear(features, 2 * features, bias=False)
        self.out = nn.Linear(features, features)
        self.positions = nn.Parameter(torch.randn(2 * max_distance + 1, features // heads))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tokens) -> Tokens:
        x = self.norm(x)
        q = self.query(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # S H L d
        k, v = self.key_value(x).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        blocks = q.split(QUERIES_AT_ONCE, dim=2)
        starts = range(0, q.shape[2], QUERIES_AT_ONCE)
        mixed = [
            F.scaled_dot_product_attention(block, k, v, attn_mask=self._position_scores(block, start, k.shape[2]))
            for start, block in zip(starts, blocks, strict=True)
        ]
        return self.dropout(self.out(torch.cat(mixed, dim=2).transpose(1, 2).flatten(-2)))

    def _position_scores(self, q: Float[Tensor, "S H R d"], start: int, length: int) -> Float[Tensor, "S H R L"]:
        """Of the queries from row ``start`` on, to all keys.

        Column c of q times the window is the distance i - j = start + R - 1 - c, so row i begins R - 1 - (i - start)
        columns in: rows of one column less, read from column R - 1 on, are aligned.
        """
        rows, width = q.shape[2], length + q.shape[2]
        distance = torch.arange(start + rows - 1, start - length - 1, -1, device=q.device)
        window = self.positions[distance.clamp(-self.max_distance, self.max_distance) + self.max_distance]
        scores = q @ (window * q.shape[-1] ** -0.5).T
        shifted = scores.flatten(-2)[..., rows - 1 : rows - 1 + rows * (width - 1)]
        return shifted.unflatten(-1, (rows, width - 1))[..., :length]
