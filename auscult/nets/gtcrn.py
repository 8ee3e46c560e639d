"""GTCRN: grouped temporal convolutional recurrent network (Rong et al., ICASSP 2024), 23 669 trainable parameters.

Complex spectrum of 257 bins (512-point square-root Hann, hop 256, 16 kHz) in, enhanced spectrum out. Strictly
causal: a frame never depends on later ones. The net depends on the input's level, as published.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor, nn

from auscult.nets.bands import Bands

Map = Float[Tensor, "B _ N _"]
"""[B, channels, N, bands]; blocks change channels and bands, never batch or frames."""


class GTCRN(nn.Module):
    """Encoder, two dual-path recurrent blocks, decoder with additive skips; the output is a complex mask.

    Input and output: complex spectrum [B, 1, F=257, N].
    """

    n_fft, hop, rate_hz = 512, 256, 16_000

    def __init__(self) -> None:
        super().__init__()
        self.bands = Bands(low_bins=65, bands=64, n_fft=self.n_fft, rate_hz=self.rate_hz)
        self.encoder = nn.ModuleList(
            [
                ConvBlock(nn.Conv2d(9, 16, (1, 5), (1, 2), (0, 2)), nn.PReLU()),
                ConvBlock(nn.Conv2d(16, 16, (1, 5), (1, 2), (0, 2), groups=2), nn.PReLU()),
                *(TemporalBlock(dilation, nn.Conv2d) for dilation in (1, 2, 5)),
            ]
        )
        self.recurrent = nn.Sequential(DualPath(16, 33), DualPath(16, 33))
        self.decoder = nn.ModuleList(
            [
                *(TemporalBlock(dilation, nn.ConvTranspose2d) for dilation in (5, 2, 1)),
                ConvBlock(nn.ConvTranspose2d(16, 16, (1, 5), (1, 2), (0, 2), groups=2), nn.PReLU()),
                ConvBlock(nn.ConvTranspose2d(16, 2, (1, 5), (1, 2), (0, 2)), nn.Tanh()),
            ]
        )

    def forward(self, z: Complex[Tensor, "B 1 F N"]) -> Complex[Tensor, "B 1 F N"]:
        parts = torch.view_as_real(z[:, 0]).permute(0, 3, 2, 1)  # B 2 N F
        magnitude = parts.square().sum(1, keepdim=True).add(1e-12).sqrt()
        h = neighbours(self.bands.merge(torch.cat([magnitude, parts], dim=1)))
        skips = []
        for block in self.encoder:
            h = block(h)
            skips.append(h)
        h = self.recurrent(h)
        for block in self.decoder:
            h = block(h + skips.pop())
        mask = self.bands.spread(h).permute(0, 3, 2, 1).contiguous()  # B F N 2
        return z * torch.view_as_complex(mask)[:, None]


class ConvBlock(nn.Module):
    """Convolution over frequency, batch norm, activation."""

    def __init__(self, conv: nn.Module, act: nn.Module):
        super().__init__()
        self.conv, self.act = conv, act
        self.norm = nn.BatchNorm2d(int(conv.out_channels))  # type: ignore[arg-type]

    def forward(self, x: Map) -> Map:
        return self.act(self.norm(self.conv(x)))


class TemporalBlock(nn.Module):
    """Half of the channels pass a dilated causal depthwise convolution and temporal attention; then interleaving."""

    def __init__(self, dilation: int, conv: type[nn.Conv2d] | type[nn.ConvTranspose2d]):
        super().__init__()
        self.reach = 2 * dilation
        # A transposed convolution cuts the causal padding back itself; a plain one must not pad time again.
        pad = (self.reach if conv is nn.ConvTranspose2d else 0, 1)
        self.point_in = conv(24, 16, 1)
        self.norm_in, self.act_in = nn.BatchNorm2d(16), nn.PReLU()
        self.depthwise = conv(16, 16, 3, padding=pad, dilation=(dilation, 1), groups=16)
        self.norm_depth, self.act_depth = nn.BatchNorm2d(16), nn.PReLU()
        self.point_out = conv(16, 8, 1)
        self.norm_out = nn.BatchNorm2d(8)
        self.attention = TemporalAttention(8)

    def forward(self, x: Map) -> Map:
        treated, kept = x.chunk(2, dim=1)
        h = self.act_in(self.norm_in(self.point_in(neighbours(treated))))
        h = self.act_depth(self.norm_depth(self.depthwise(F.pad(h, (0, 0, self.reach, 0)))))
        h = self.attention(self.norm_out(self.point_out(h)))
        return torch.stack([h, kept], dim=2).flatten(1, 2)


class TemporalAttention(nn.Module):
    """A gate a frame and channel, from the energy so far (temporal recurrent attention)."""

    def __init__(self, channels: int):
        super().__init__()
        self.gru = nn.GRU(channels, 2 * channels, batch_first=True)
        self.linear = nn.Linear(2 * channels, channels)

    def forward(self, x: Map) -> Map:
        energy = x.square().mean(dim=3).transpose(1, 2)
        gate = torch.sigmoid(self.linear(self.gru(energy)[0]))
        return x * gate.transpose(1, 2)[..., None]


class DualPath(nn.Module):
    """Recurrence over frequency (both directions), then over time (forwards), each with a residual."""

    def __init__(self, channels: int, bands: int):
        super().__init__()
        self.intra = GroupedGRU(channels, channels // 2, bidirectional=True)
        self.intra_linear = nn.Linear(channels, channels)
        self.intra_norm = nn.LayerNorm((bands, channels), eps=1e-8)
        self.inter = GroupedGRU(channels, channels, bidirectional=False)
        self.inter_linear = nn.Linear(channels, channels)
        self.inter_norm = nn.LayerNorm((bands, channels), eps=1e-8)

    def forward(self, x: Map) -> Map:
        batch, channels, frames, bands = x.shape
        x = x.permute(0, 2, 3, 1)  # B N F C
        across = self.intra_linear(self.intra(x.reshape(-1, bands, channels)))
        x = x + self.intra_norm(across.view(batch, frames, bands, channels))
        along = self.inter_linear(self.inter(x.transpose(1, 2).reshape(-1, frames, channels)))
        x = x + self.inter_norm(along.view(batch, bands, frames, channels).transpose(1, 2))
        return x.permute(0, 3, 1, 2)


class GroupedGRU(nn.Module):
    """Two GRUs, each on half of the features."""

    def __init__(self, features: int, hidden: int, bidirectional: bool):
        super().__init__()
        half = (features // 2, hidden // 2)
        self.parts = nn.ModuleList(nn.GRU(*half, batch_first=True, bidirectional=bidirectional) for _ in range(2))

    def forward(self, x: Float[Tensor, "S L D"]) -> Float[Tensor, "S L D2"]:
        return torch.cat([gru(half)[0] for gru, half in zip(self.parts, x.chunk(2, dim=-1), strict=True)], dim=-1)


def neighbours(x: Map) -> Map:
    """Every channel beside itself shifted by one bin either way (subband feature extraction), channel-major."""
    padded = F.pad(x, (1, 1))
    bins = x.shape[3]
    return torch.stack([padded[..., i : i + bins] for i in range(3)], dim=2).flatten(1, 2)
