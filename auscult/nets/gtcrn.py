"""GTCRN: grouped temporal convolutional recurrent network (Rong et al., ICASSP 2024), 23 669 trainable parameters.

Complex spectrum of 257 bins (512-point square-root Hann, hop 256, 16 kHz) in, enhanced spectrum out. Strictly
causal: a frame never depends on later ones. The net depends on the input's level, as published. All memory is the
last frames that the dilated convolutions look back on and the hidden states of the recurrences over time.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from auscult.bounds import Count
from auscult.nets.bands import Bands
from auscult.nets.streaming import StreamingNet, complex_product

Map = Float[Tensor, "B _ N _"]
"""[B, channels, N, bands]; blocks change channels and bands, never batch or frames."""
Memory = Float[Tensor, "B _"]
"""What a block keeps of past frames, flat; zeros before the first."""


class GTCRN(StreamingNet):
    """Encoder, dual-path recurrent blocks, decoder with additive skips; the output is a complex mask.

    Input and output: complex spectrum [B, 1, F=257, N]. The defaults are the published net.

    Args:
        dilations: in frames, of the encoder's temporal blocks; the decoder's are the same, reversed.
        dual_paths: number of recurrent blocks.
    """

    n_fft, hop, rate_hz = 512, 256, 16_000

    def __init__(self, dilations: tuple[Count, ...] = (1, 2, 5), dual_paths: Count = 2):
        super().__init__()
        self.bands = Bands(low_bins=65, bands=64, n_fft=self.n_fft, rate_hz=self.rate_hz)
        self.encoder = nn.ModuleList(
            [
                ConvBlock(nn.Conv2d(9, 16, (1, 5), (1, 2), (0, 2)), nn.PReLU()),
                ConvBlock(nn.Conv2d(16, 16, (1, 5), (1, 2), (0, 2), groups=2), nn.PReLU()),
                *(TemporalBlock(33, dilation, nn.Conv2d) for dilation in dilations),
            ]
        )
        self.recurrent = nn.ModuleList(DualPath(16, 33) for _ in range(dual_paths))
        self.decoder = nn.ModuleList(
            [
                *(TemporalBlock(33, dilation, nn.ConvTranspose2d) for dilation in reversed(dilations)),
                ConvBlock(nn.ConvTranspose2d(16, 16, (1, 5), (1, 2), (0, 2), groups=2), nn.PReLU()),
                ConvBlock(nn.ConvTranspose2d(16, 2, (1, 5), (1, 2), (0, 2)), nn.Tanh()),
            ]
        )
        self.sizes = [block.memory for block in (*self.encoder, *self.recurrent, *self.decoder)]

    def initial_state(self, batch: int) -> Float[Tensor, "B S"]:
        """Zeros: the memories of all blocks, in their order."""
        return torch.zeros(batch, sum(self.sizes))

    def step(
        self, frames: Float[Tensor, "B N F 2"], state: Float[Tensor, "B S"]
    ) -> tuple[Float[Tensor, "B N F 2"], Float[Tensor, "B S"]]:
        memories, after, skips = iter(state.split(self.sizes, dim=1)), [], []
        h = self._features(frames)
        for block in self.encoder:
            h, memory = block(h, next(memories))
            after.append(memory)
            skips.append(h)
        for block in self.recurrent:
            h, memory = block(h, next(memories))
            after.append(memory)
        for block in self.decoder:
            h, memory = block(h + skips.pop(), next(memories))
            after.append(memory)
        mask = self.bands.spread(h).permute(0, 2, 3, 1)
        return complex_product(frames, mask), torch.cat(after, dim=1)

    def _features(self, frames: Float[Tensor, "B N F 2"]) -> Map:
        """Magnitude, real and imaginary part over the bands, each with its neighbours."""
        parts = frames.permute(0, 3, 1, 2)
        magnitude = parts.square().sum(1, keepdim=True).add(1e-12).sqrt()
        return neighbours(self.bands.merge(torch.cat([magnitude, parts], dim=1)))


class ConvBlock(nn.Module):
    """Convolution over frequency, batch norm, activation; it remembers nothing."""

    memory = 0

    def __init__(self, conv: nn.Module, act: nn.Module):
        super().__init__()
        self.conv, self.act = conv, act
        self.norm = nn.BatchNorm2d(int(conv.out_channels))  # type: ignore[arg-type]

    def forward(self, x: Map, memory: Memory) -> tuple[Map, Memory]:
        return self.act(self.norm(self.conv(x))), memory


class TemporalBlock(nn.Module):
    """Half of the channels pass a dilated causal depthwise convolution and temporal attention; then interleaving.

    It remembers the convolution's last ``2 * dilation`` input frames and the attention's hidden state.
    """

    def __init__(self, bands: int, dilation: int, conv: type[nn.Conv2d] | type[nn.ConvTranspose2d]):
        super().__init__()
        self.reach = 2 * dilation
        self.past = (16, self.reach, bands)
        # A transposed convolution cuts the causal padding back itself; a plain one must not pad time again.
        pad = (self.reach if conv is nn.ConvTranspose2d else 0, 1)
        self.point_in = conv(24, 16, 1)
        self.norm_in, self.act_in = nn.BatchNorm2d(16), nn.PReLU()
        self.depthwise = conv(16, 16, 3, padding=pad, dilation=(dilation, 1), groups=16)
        self.norm_depth, self.act_depth = nn.BatchNorm2d(16), nn.PReLU()
        self.point_out = conv(16, 8, 1)
        self.norm_out = nn.BatchNorm2d(8)
        self.attention = TemporalAttention(8)
        self.memory = math.prod(self.past) + self.attention.memory

    def forward(self, x: Map, memory: Memory) -> tuple[Map, Memory]:
        past, hidden = memory.split([math.prod(self.past), self.attention.memory], dim=1)
        treated, kept = x.chunk(2, dim=1)
        h = self.act_in(self.norm_in(self.point_in(neighbours(treated))))
        h = torch.cat([past.unflatten(1, self.past), h], dim=2)
        past = h[:, :, -self.reach :].flatten(1)
        h = self.act_depth(self.norm_depth(self.depthwise(h)))
        h, hidden = self.attention(self.norm_out(self.point_out(h)), hidden)
        return torch.stack([h, kept], dim=2).flatten(1, 2), torch.cat([past, hidden], dim=1)


class TemporalAttention(nn.Module):
    """A gate a frame and channel, from the energy so far (temporal recurrent attention)."""

    def __init__(self, channels: int):
        super().__init__()
        self.memory = 2 * channels
        self.gru = nn.GRU(channels, self.memory, batch_first=True)
        self.linear = nn.Linear(self.memory, channels)

    def forward(self, x: Map, memory: Memory) -> tuple[Map, Memory]:
        energy = x.square().mean(dim=3).transpose(1, 2)
        out, last = self.gru(energy, memory[None].contiguous())
        gate = torch.sigmoid(self.linear(out))
        return x * gate.transpose(1, 2)[..., None], last[0]


class DualPath(nn.Module):
    """Recurrence over frequency (both directions), then over time (forwards), each with a residual.

    It remembers the hidden states of the recurrence over time, one a band.
    """

    def __init__(self, channels: int, bands: int):
        super().__init__()
        self.memory = bands * channels
        self.intra = GroupedGRU(channels, channels // 2, bidirectional=True)
        self.intra_linear = nn.Linear(channels, channels)
        self.intra_norm = nn.LayerNorm((bands, channels), eps=1e-8)
        self.inter = GroupedGRU(channels, channels, bidirectional=False)
        self.inter_linear = nn.Linear(channels, channels)
        self.inter_norm = nn.LayerNorm((bands, channels), eps=1e-8)

    def forward(self, x: Map, memory: Memory) -> tuple[Map, Memory]:
        batch, channels, frames, bands = x.shape
        x = x.permute(0, 2, 3, 1)  # B N F C
        both_ways = x.new_zeros(2, batch * frames, channels // 2)
        across, _ = self.intra(x.reshape(-1, bands, channels), both_ways)
        x = x + self.intra_norm(self.intra_linear(across).view(batch, frames, bands, channels))
        hidden = memory.reshape(1, batch * bands, channels)
        along, hidden = self.inter(x.transpose(1, 2).reshape(-1, frames, channels), hidden)
        along = self.inter_linear(along).view(batch, bands, frames, channels)
        x = x + self.inter_norm(along.transpose(1, 2))
        return x.permute(0, 3, 1, 2), hidden.view(batch, -1)


class GroupedGRU(nn.Module):
    """Two GRUs, each on half of the features."""

    def __init__(self, features: int, hidden: int, bidirectional: bool):
        super().__init__()
        half = (features // 2, hidden // 2)
        self.parts = nn.ModuleList(nn.GRU(*half, batch_first=True, bidirectional=bidirectional) for _ in range(2))

    def forward(
        self, x: Float[Tensor, "S L D"], hidden: Float[Tensor, "W S H"]
    ) -> tuple[Float[Tensor, "S L D2"], Float[Tensor, "W S H"]]:
        halves = zip(x.chunk(2, dim=-1), hidden.chunk(2, dim=-1), strict=True)
        made = [gru(half, start.contiguous()) for gru, (half, start) in zip(self.parts, halves, strict=True)]
        out, last = zip(*made, strict=True)
        return torch.cat(out, dim=-1), torch.cat(last, dim=-1)


def neighbours(x: Map) -> Map:
    """Every channel beside itself shifted by one bin either way (subband feature extraction), channel-major."""
    padded = F.pad(x, (1, 1))
    bins = x.shape[3]
    return torch.stack([padded[..., i : i + bins] for i in range(3)], dim=2).flatten(1, 2)
