"""MP-SENet: magnitude and phase estimated side by side (Lu et al., Interspeech 2023; arXiv 2308.08926), 2.26 M.

A dense encoder over magnitude and phase, transformers along both axes whose feed-forward is a recurrence, one decoder
for a bounded magnitude mask and one for the phase. The weights published by the authors fit ``axes="legacy"``.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from auscult.bounds import Count, Positive
from auscult.errors import RecipeError
from auscult.nets.dense import DenseDecoder, DenseEncoder, odd_bins

Axes = Literal["legacy", "named"]
Grid = Float[Tensor, "B N F C"]
Tokens = Float[Tensor, "S L C"]


class MPSENet(nn.Module):
    """Compressed complex spectrum [B, 1, F, N] in and out: |Z| times a mask up to ``mask_limit``, and a new phase.

    Args:
        channels, blocks, heads: of the transformers; the recurrences are twice as wide in each direction.
        n_fft, hop, rate_hz: the transform that the net is made for, n_fft // 2 + 1 bins.
        axes: which way the first transformer of a block runs. ``named``: along time, as in the paper. ``legacy``: along
            frequency, as the published code does: its sequence-first modules get batch-first maps, so its "time"
            transformer runs along the bins (and from item to item of a batch, which is not repeated here).
        checkpointing: keep only the inputs of blocks for the backward pass and compute the rest again.

    Raises:
        RecipeError: bins that cannot be halved and doubled again; channels that the heads cannot share.
    """

    def __init__(
        self,
        channels: Count = 64,
        blocks: Count = 4,
        heads: Count = 4,
        n_fft: Count = 400,
        hop: Count = 100,
        rate_hz: Count = 16_000,
        mask_limit: Positive = 2.0,
        axes: Axes = "legacy",
        checkpointing: bool = False,
    ):
        super().__init__()
        if channels % heads:
            raise RecipeError(f"heads: {heads} cannot share {channels} channels; make channels a multiple of heads")
        self.n_fft, self.hop, self.rate_hz = n_fft, hop, rate_hz
        self.checkpointing = checkpointing
        self.bins = odd_bins(n_fft, "MPSENet")
        self.encoder = DenseEncoder(2, channels)
        self.blocks = nn.ModuleList(Block(channels, heads, axes) for _ in range(blocks))
        self.mask_decoder = DenseDecoder(channels, 1)
        self.sigmoid = BoundedSigmoid(self.bins, mask_limit)
        self.phase_decoder = DenseDecoder(channels, 2)

    def forward(self, z: Complex[Tensor, "B 1 F N"]) -> Complex[Tensor, "B 1 F N"]:
        if z.shape[2] != self.bins:
            raise ValueError(f"MPSENet with n_fft {self.n_fft} takes {self.bins} bins, the input is {tuple(z.shape)}")
        magnitude = z.abs()
        h = self.encoder(torch.cat([magnitude, z.angle()], dim=1).transpose(2, 3))
        h = h.permute(0, 2, 3, 1)  # B N F C
        for block in self.blocks:
            h = self._through(block, h)
        h = h.permute(0, 3, 1, 2)
        mask = self.sigmoid(self.mask_decoder(h).transpose(2, 3))
        # cos and sin of atan2(i, r) are r and i over their norm.
        direction = F.normalize(self.phase_decoder(h).permute(0, 3, 2, 1), dim=-1)
        return torch.view_as_complex(direction.contiguous())[:, None] * (magnitude * mask)

    def _through(self, block: nn.Module, x: Grid) -> Grid:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(block, x, use_reentrant=False, preserve_rng_state=False)
        return block(x)


class BoundedSigmoid(nn.Module):
    """limit * sigmoid(slope * x) with a slope a bin."""

    def __init__(self, bins: int, limit: float):
        super().__init__()
        self.limit = limit
        self.slope = nn.Parameter(torch.ones(bins, 1))

    def forward(self, x: Float[Tensor, "B 1 F N"]) -> Float[Tensor, "B 1 F N"]:
        return self.limit * torch.sigmoid(self.slope * x)


class Block(nn.Module):
    """Two transformers, one along each axis, each with a residual around it (TS-Transformer)."""

    def __init__(self, channels: int, heads: int, axes: Axes):
        super().__init__()
        self.first, self.second = Transformer(channels, heads), Transformer(channels, heads)
        self.bins_first = axes == "legacy"

    def forward(self, x: Grid) -> Grid:
        if self.bins_first:
            return along_frames(self.second, along_bins(self.first, x))
        return along_bins(self.second, along_frames(self.first, x))


def along_bins(layer: nn.Module, x: Grid) -> Grid:
    """A residual layer over the bins of every frame."""
    return x + layer(x.flatten(0, 1)).view(x.shape)


def along_frames(layer: nn.Module, x: Grid) -> Grid:
    """A residual layer over the frames of every bin."""
    return along_bins(layer, x.transpose(1, 2)).transpose(1, 2)


class Transformer(nn.Module):
    """Attention and a recurrent feed-forward, each normed before and with a residual; normed again at the end."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))
        self.attention = Attention(channels, heads)
        self.gru = nn.GRU(channels, 2 * channels, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(4 * channels, channels)

    def forward(self, x: Tokens) -> Tokens:
        x = x + self.attention(self.norm1(x))
        x = x + self.linear(F.leaky_relu(self.gru(self.norm2(x))[0]))
        return self.norm3(x)


class Attention(nn.Module):
    """Multi-head self-attention without positions; no score matrix is kept."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x: Tokens) -> Tokens:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
