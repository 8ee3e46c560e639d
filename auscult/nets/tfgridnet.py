"""TF-GridNet (Wang et al., ICASSP and TASLP 2023) in the three versions of ESPnet, one implementation.

Complex mapping: a spectrum in, the spectrum of each source out; not a mask. The net expects input of unit standard
deviation (``normalise: {kind: std, per: piece}`` of the method). Facts of the versions: ESPnet's V1 (TF-GridNet of the
papers), V2 (the paper's net faster) and V3 (norms that know no bins, so that one net serves every sampling rate).
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from auscult.bounds import Count
from auscult.errors import RecipeError
from auscult.nets.blocks import channels_last
from auscult.nets.gridblock import EPS, Grid, GridBlock, in_float32

Version = Literal["v1", "v2", "v3"]


class TFGridNet(nn.Module):
    """Input: complex spectrum [B, 1, F, N]. Output: [B, sources, F, N].

    Args:
        version: ``v1`` pads axes at the end, ``v2`` at both ends; ``v3`` is v2 with norms independent of ``bins``.
        layers: number of blocks.
        hidden: LSTM units a direction.
        heads: of the attention; divide ``embedding``.
        embedding: channels of the maps.
        kernel: neighbours the recurrences see at once (I of the paper, ``emb_ks``).
        stride: neighbours between windows (J, ``emb_hs``); at most ``kernel``.
        qk_channels: channels of query and key a head and bin; ESPnet takes ceil(512 / bins) in v1 and v2.
        bins: of the spectrum, which v1 and v2 are tied to; none for v3.
        sources: spectra returned; methods of restoration want one.
        checkpointing: keep only the blocks' inputs in training and compute the rest again in the backward pass.
        attention_frames: queries at a time; bounds the scores held at once, changes no result.

    Raises:
        RecipeError: sizes that do not fit each other.
    """

    def __init__(
        self,
        version: Version = "v3",
        layers: Count = 6,
        hidden: Count = 192,
        heads: Count = 4,
        embedding: Count = 48,
        kernel: Count = 4,
        stride: Count = 1,
        qk_channels: Count = 4,
        bins: Count | None = None,
        sources: Count = 1,
        checkpointing: bool = False,
        attention_frames: Count = 1_000,
    ):
        super().__init__()
        _check(version, heads, embedding, kernel, stride, bins)
        pad_before, tied_bias = version != "v1", version == "v1" or kernel != stride
        grid = Grid(
            embedding, hidden, heads, qk_channels, kernel, stride, bins, pad_before, tied_bias, attention_frames
        )
        self.bins, self.sources, self.checkpointing = bins, sources, checkpointing
        if bins is not None:
            self.n_fft = 2 * (bins - 1)  # what recipes are held to
        self.stem = nn.Conv2d(2, embedding, 3, padding=1)
        self.stem_norm = nn.GroupNorm(1, embedding, eps=EPS)
        self.blocks = nn.ModuleList(GridBlock(grid) for _ in range(layers))
        self.output = nn.Conv2d(embedding, 2 * sources, 3, padding=1)
        channels_last(self)

    def forward(self, z: Complex[Tensor, "B 1 F N"]) -> Complex[Tensor, "B sources F N"]:
        if self.bins is not None and z.shape[2] != self.bins:
            raise ValueError(f"this net is tied to {self.bins} bins, the spectrum has {z.shape[2]}")
        parts = torch.view_as_real(z[:, 0]).permute(0, 3, 2, 1)  # B 2 N F
        h = in_float32(self.stem_norm, self.stem(parts.contiguous(memory_format=torch.channels_last)))
        h = h.permute(0, 2, 3, 1).contiguous()
        for block in self.blocks:
            h = self._remembering(block, h) if self.checkpointing and torch.is_grad_enabled() else block(h)
        return self._spectra(self.output(h.permute(0, 3, 1, 2)).float())

    def _remembering(self, block: nn.Module, h: Float[Tensor, "B N F C"]) -> Float[Tensor, "B N F C"]:
        return checkpoint(block, h, use_reentrant=False)

    def _spectra(self, out: Float[Tensor, "B C2 N F"]) -> Complex[Tensor, "B sources F N"]:
        """Channels are real and imaginary part of each source in turn."""
        return torch.view_as_complex(out.unflatten(1, (self.sources, 2)).permute(0, 1, 4, 3, 2).contiguous())


def _check(version: Version, heads: int, embedding: int, kernel: int, stride: int, bins: int | None) -> None:
    if embedding % heads:
        raise RecipeError(f"an embedding of {embedding} cannot be shared by {heads} heads; give a multiple of {heads}")
    if stride > kernel:
        raise RecipeError(f"windows of {kernel} every {stride} leave gaps; give a stride of at most {kernel}")
    if version == "v3" and bins is not None:
        raise RecipeError(f"v3 takes spectra of any size, bins is {bins}; leave it out")
    if version != "v3" and bins is None:
        raise RecipeError(
            f"{version} is tied to the spectrum's size; give bins: n_fft / 2 + 1, 257 for an n_fft of 512"
        )
