"""TSCNet, the generator of CMGAN (Cao et al. 2022): two-stage conformers between a dense encoder and two decoders.

Compressed complex spectrum in and out. As published, 64 channels and 4 blocks on 201 bins (400-point Hamming, hop 100,
16 kHz): 1 834 833 parameters. The output is mask * input + complex map; multiplying the magnitude by the mask and
keeping the phase is the same as multiplying the spectrum, so no angle is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from auscult.bounds import Count, Decay
from auscult.nets.conformer import Conformer, Tokens
from auscult.nets.dense import DenseDecoder, DenseEncoder, DilatedDense, Map, SubPixel, odd_bins

TOKENS_AT_ONCE = 4096
"""Sequences go through a conformer in groups of about this many tokens where they are independent, so that what is
computed between its layers stays in the cache."""


class TSCNet(nn.Module):
    """Time-frequency conformer net.

    Input and output: complex spectrum [B, 1, F, N], F = n_fft / 2 + 1. The instance norms see all frames of an item:
    a clip in pieces is not the clip as a whole.

    Args:
        channels: of all maps between encoder and decoders.
        blocks: two-stage conformers.
        heads: of their attention.
        kernel: taps of their depthwise convolution.
        max_distance: frames or bins beyond which relative positions are alike.
        dropout: in their feed-forward layers and attention.
        n_fft, hop, rate_hz: the transform that the net is made for.
        checkpointing: compute the conformers again in the backward pass instead of keeping what they computed.
    """

    def __init__(
        self,
        channels: Count = 64,
        blocks: Count = 4,
        heads: Count = 4,
        kernel: Count = 31,
        max_distance: Count = 512,
        dropout: Decay = 0.2,
        n_fft: Count = 400,
        hop: Count = 100,
        rate_hz: Count = 16_000,
        checkpointing: bool = False,
    ):
        super().__init__()
        self.n_fft, self.hop, self.rate_hz, self.checkpointing = n_fft, hop, rate_hz, checkpointing
        self.bins = odd_bins(n_fft, "TSCNet")
        self.encoder = DenseEncoder(3, channels)
        self.blocks = nn.ModuleList(
            TwoStage(*(Conformer(channels, heads, kernel, max_distance, dropout) for _ in range(2)))
            for _ in range(blocks)
        )
        self.mask = MaskDecoder(channels, self.bins)
        self.complex = DenseDecoder(channels, 2)

    def forward(self, z: Complex[Tensor, "B 1 F N"]) -> Complex[Tensor, "B 1 F N"]:
        if z.shape[2] != self.bins:
            raise ValueError(f"TSCNet with n_fft {self.n_fft} takes {self.bins} bins, the input is {tuple(z.shape)}")
        parts = torch.view_as_real(z[:, 0]).permute(0, 3, 2, 1)  # B 2 N F
        magnitude = parts.square().sum(1, keepdim=True).clamp_min(1e-24).sqrt()
        h = self.encoder(torch.cat([magnitude, parts], dim=1))
        for block in self.blocks:
            h = self._again_later(block, h) if self.checkpointing and torch.is_grad_enabled() else block(h)
        out = self.mask(h) * parts + self.complex(h)
        return torch.view_as_complex(out.permute(0, 3, 2, 1).contiguous())[:, None]

    @staticmethod
    def _again_later(block: nn.Module, h: Map) -> Map:
        """A block whose insides are computed anew in the backward pass."""
        return checkpoint(block, h, use_reentrant=False, context_fn=lambda: (nullcontext(), _counted_once(block)))


@contextmanager
def _counted_once(block: nn.Module) -> Iterator[None]:
    """Batch norm as before, but leaving its running statistics alone: this batch is in them already."""
    norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count


class TwoStage(nn.Module):
    """A conformer along time, then one along frequency, each with a residual around it."""

    def __init__(self, time: Conformer, frequency: Conformer):
        super().__init__()
        self.time, self.frequency = time, frequency

    def forward(self, x: Map) -> Map:
        x = x.permute(0, 3, 2, 1)  # B F N C
        x = x + _along(self.time, x)
        x = x.transpose(1, 2)  # B N F C
        x = x + _along(self.frequency, x)
        return x.permute(0, 3, 1, 2)


def _along(conformer: Conformer, x: Float[Tensor, "B G L D"]) -> Float[Tensor, "B G L D"]:
    """Every row as a sequence. Batch norm ties them together in training; otherwise groups give the same."""
    sequences: Tokens = x.flatten(0, 1)
    if conformer.training:
        return conformer(sequences).view(x.shape)
    together = max(1, TOKENS_AT_ONCE // x.shape[2])
    return torch.cat([conformer(group) for group in sequences.split(together)]).view(x.shape)


class MaskDecoder(nn.Module):
    """A real mask for each bin and frame, [B, 1, N, F]; each bin has a last slope, negative at first: mask >= 0."""

    def __init__(self, channels: int, bins: int):
        super().__init__()
        self.dense = DilatedDense(channels)
        self.grow = SubPixel(channels)
        self.head = nn.Conv2d(channels, 1, (1, 2))
        self.norm, self.act = nn.InstanceNorm2d(1, affine=True), nn.PReLU(1)
        self.last = nn.Conv2d(1, 1, 1)
        self.last_act = nn.PReLU(bins, init=-0.25)

    def forward(self, x: Map) -> Map:
        h = self.last(self.act(self.norm(self.head(self.grow(self.dense(x))))))
        return self.last_act(h.transpose(1, 3)).transpose(1, 3)  # PReLU's channels are the bins
