"""The TF-GridNet block (Wang et al. 2023): recurrence over frequency, recurrence over time, attention across frames.

Maps are channels-last, [B, N, F, C], so that windows, projections and norms all work on rows of channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from auscult.nets.windows import overlap_add, windows

EPS = 1e-5
Map = Float[Tensor, "B N F C"]
Heads = Float[Tensor, "B H N F E"]


@dataclass(frozen=True)
class Grid:
    """Sizes of a block and what tells the three versions apart.

    ``qk_channels``: channels of query and key a head and bin. ``bins``: attention norms run over channels and these
    bins jointly (None: over channels alone). ``pad_before``: zeros at both ends of either axis, not at the end alone.
    ``tied_bias``: one bias a channel behind each recurrence, as a transposed convolution has it, not one for each
    position of a window. ``attention_frames``: queries at a time.
    """

    embedding: int
    hidden: int
    heads: int
    qk_channels: int
    kernel: int
    stride: int
    bins: int | None
    pad_before: bool
    tied_bias: bool
    attention_frames: int

    def padding(self, length: int) -> tuple[int, int]:
        """Zeros before and after an axis, so that windows fit and their last ends with it."""
        before = self.kernel - self.stride if self.pad_before else 0
        reached = max(length + 2 * before - self.kernel, 0)
        return before, math.ceil(reached / self.stride) * self.stride + self.kernel - before - length


class GridBlock(nn.Module):
    """Full-band and sub-band recurrence and cross-frame attention, each with a residual."""

    def __init__(self, grid: Grid):
        super().__init__()
        self.grid = grid
        self.across, self.along = Recurrence(grid), Recurrence(grid)
        self.attention = FrameAttention(grid)

    def forward(self, x: Map) -> Map:
        frames, bins = x.shape[1:3]
        around_frames, around_bins = self.grid.padding(frames), self.grid.padding(bins)
        h = F.pad(x, (0, 0, *around_bins, *around_frames)) if any(around_frames + around_bins) else x
        h = self.across(h.permute(2, 0, 1, 3)).permute(1, 2, 0, 3)
        h = self.along(h.transpose(0, 1)).transpose(0, 1)
        h = h[:, around_frames[0] :, around_bins[0] :][:, :frames, :bins]
        return h + self.attention(h)


class Recurrence(nn.Module):
    """Bidirectional LSTM over windows along the first axis, projected and overlap-added onto its input.

    The projection and the overlap-add are the transposed convolution of the paper.
    """

    def __init__(self, grid: Grid):
        super().__init__()
        self.kernel, self.stride, width = grid.kernel, grid.stride, grid.kernel * grid.embedding
        self.norm = nn.LayerNorm(grid.embedding, eps=EPS)
        self.lstm = nn.LSTM(width, grid.hidden, bidirectional=True)
        self.linear = nn.Linear(2 * grid.hidden, width, bias=False)
        self.bias = nn.Parameter(torch.zeros(grid.embedding if grid.tied_bias else width))

    def forward(self, x: Float[Tensor, "L S1 S2 C"]) -> Float[Tensor, "L S1 S2 C"]:
        seen = windows(in_float32(self.norm, x), self.kernel, self.stride)
        out = self.lstm(seen.flatten(1, 2))[0]
        tied = self.bias.shape[0] < self.linear.out_features
        parts = self.linear(out) if tied else F.linear(out, self.linear.weight, self.bias)
        base = x + self.bias if tied else x
        return overlap_add(base, parts.view(-1, *seen.shape[1:]), self.stride)


class FrameAttention(nn.Module):
    """Self-attention across frames: a head's query, key or value is its channels of all bins of a frame."""

    def __init__(self, grid: Grid):
        super().__init__()
        widths = (grid.qk_channels, grid.qk_channels, grid.embedding // grid.heads)
        self.heads, self.queries_at_once = grid.heads, grid.attention_frames
        self.split = [grid.heads * width for width in widths]
        self.mix = nn.Linear(grid.embedding, sum(self.split))
        self.query, self.key, self.value = (HeadNorm(grid.heads, width, grid.bins) for width in widths)
        self.out = nn.Linear(grid.embedding, grid.embedding)
        self.out_norm = HeadNorm(1, grid.embedding, grid.bins)

    def forward(self, x: Map) -> Map:
        norms = (self.query, self.key, self.value)
        parts = [self._heads(part) for part in self.mix(x).split(self.split, dim=-1)]
        query, key, value = (norm(part).flatten(3) for norm, part in zip(norms, parts, strict=True))
        # The default scale, one over the root of a query's length, is the paper's. Queries in turn bound the scores.
        turns = query.split(self.queries_at_once, dim=2)
        mixed = torch.cat([F.scaled_dot_product_attention(turn, key, value) for turn in turns], dim=2)
        joined = mixed.unflatten(3, (x.shape[2], -1)).permute(0, 2, 3, 1, 4).flatten(3)
        return self.out_norm(self.out(joined)[:, None])[:, 0]

    def _heads(self, part: Float[Tensor, "B N F HE"]) -> Heads:
        return part.unflatten(3, (self.heads, -1)).permute(0, 3, 1, 2, 4)


class HeadNorm(nn.Module):
    """PReLU with a slope a head, then normalisation of each frame over bins and channels (V3: channels alone)."""

    def __init__(self, heads: int, channels: int, bins: int | None):
        super().__init__()
        self.axes = [channels] if bins is None else [bins, channels]
        self.slope = nn.Parameter(torch.full((heads,), 0.25))
        self.weight = nn.Parameter(torch.ones(heads, bins or 1, channels))
        self.bias = nn.Parameter(torch.zeros(heads, bins or 1, channels))

    def forward(self, x: Heads) -> Heads:
        return in_float32(self._normalised, F.prelu(x, self.slope.to(x.dtype)))

    def _normalised(self, x: Heads) -> Heads:
        return torch.addcmul(self.bias[:, None], F.layer_norm(x, self.axes, eps=EPS), self.weight[:, None])


def in_float32(norm: Callable[[Tensor], Tensor], x: Float[Tensor, "*S"]) -> Float[Tensor, "*S"]:
    """A norm in single precision, also under autocast: squares of large maps overflow and blur in half precision."""
    with torch.autocast(x.device.type, enabled=False):
        return norm(x.float())
