"""BandGRU: a small causal net over ERB bands that recurs over time only. The built-in model's net.

Built from what small real-time nets have shown to work: a complex ratio mask over 65 bins and 64 ERB bands (GTCRN,
Rong et al. 2024), one recurrence shared by all bands (FullSubNet, Hao et al. 2021), and band mixing by linear maps
over the frequency axis instead of a recurrence (SpatialNet, Quan & Li 2024), so that training is parallel over bands.
The input is divided by a running level, so that output scales exactly with input: quiet and loud recordings are
treated alike. All memory is the running level and the recurrences' hidden states; latency is one window.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from auscult.bounds import Count, Positive
from auscult.nets.bands import Bands
from auscult.nets.blocks import channels_last
from auscult.nets.streaming import StreamingNet, complex_product

Map = Float[Tensor, "B _ N _"]
"""[B, channels, N, bands]."""


class BandGRU(StreamingNet):
    """Spectrum of a causal STFT in, enhanced spectrum out.

    Args:
        channels: features a band.
        hidden: hidden units of the recurrence, shared by the bands.
        blocks: number of band/time blocks.
        n_fft, hop, rate_hz: of the STFT (square-root Hann).
        level_s: time constant of the running level.
        low_bins, bands: bins kept as they are, and ERB bands above them; their sum less one divides by four.
    """

    def __init__(
        self,
        channels: Count = 32,
        hidden: Count = 48,
        blocks: Count = 3,
        n_fft: Count = 512,
        hop: Count = 256,
        rate_hz: Count = 16_000,
        level_s: Positive = 2.0,
        low_bins: int = 65,
        bands: int = 64,
    ):
        super().__init__()
        self.bands = Bands(low_bins, bands, n_fft, rate_hz)
        self.n_fft, self.hop, self.rate_hz = n_fft, hop, rate_hz
        self.decay = math.exp(-hop / (level_s * rate_hz))
        self.power_scale = 1.0 / n_fft
        self.width = (low_bins + bands - 1) // 4 + 1
        self.hidden = hidden
        self.conv_in = nn.Conv2d(3, channels, (1, 5), (1, 2), (0, 2))
        self.conv_narrow = nn.Conv2d(channels, channels, (1, 5), (1, 2), (0, 2))
        self.place = nn.Parameter(0.02 * torch.randn(channels, 1, self.width))
        self.blocks = nn.ModuleList(Block(channels, hidden, self.width) for _ in range(blocks))
        self.conv_widen = nn.ConvTranspose2d(channels, channels, (1, 5), (1, 2), (0, 2))
        self.conv_out = nn.ConvTranspose2d(channels, 2, (1, 5), (1, 2), (0, 2))
        self.acts = nn.ModuleList(nn.PReLU(channels) for _ in range(3))
        # Start near the identity: a real mask of tanh(1) and little else.
        self.conv_out.bias = nn.Parameter(torch.tensor([1.0, 0.0]))
        self.conv_out.weight = nn.Parameter(0.1 * self.conv_out.weight.detach())
        channels_last(self)

    def initial_state(self, batch: int) -> Float[Tensor, "B S"]:
        """Zeros: the level's numerator and weight, then a hidden state a block and band."""
        return torch.zeros(batch, 2 + len(self.blocks) * self.width * self.hidden)

    def step(
        self, frames: Float[Tensor, "B N F 2"], state: Float[Tensor, "B S"]
    ) -> tuple[Float[Tensor, "B N F 2"], Float[Tensor, "B S"]]:
        level, hidden = state[:, :2], state[:, 2:].unflatten(1, (len(self.blocks), self.width, self.hidden))
        power, level = self._running_level(frames, level)
        x = self._features(frames, power)

        wide = self.acts[0](self.conv_in(x))
        h = self.acts[1](self.conv_narrow(wide)) + self.place
        narrow, after = h, []
        h = h.permute(0, 2, 3, 1)
        for block, memory in zip(self.blocks, hidden.unbind(1), strict=True):
            h, memory = block(h, memory)
            after.append(memory)
        h = self.acts[2](self.conv_widen(h.permute(0, 3, 1, 2) + narrow))
        mask = torch.tanh(self.conv_out(h + wide))  # B 2 N bands

        out = complex_product(frames, self.bands.spread(mask).permute(0, 2, 3, 1))
        return out, torch.cat([level, torch.stack(after, dim=1).flatten(1)], dim=1)

    def _running_level(
        self, frames: Float[Tensor, "B N F 2"], level: Float[Tensor, "B 2"]
    ) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B 2"]]:
        """Exponentially weighted mean power up to each frame; exact from the first frame on (weights sum to one)."""
        count = frames.shape[1]
        now = frames.square().sum(-1).mean(-1) * self.power_scale
        ages = torch.arange(count, device=frames.device)[:, None] - torch.arange(count, device=frames.device)
        weights = torch.where(ages >= 0, (1 - self.decay) * self.decay ** ages.clamp_min(0).float(), 0.0)
        faded = self.decay ** torch.arange(1, count + 1, device=frames.device).float()
        sums = now @ weights.T + level[:, :1] * faded
        norms = weights.sum(1) + level[:, 1:] * faded
        return sums / norms, torch.stack([sums[:, -1], norms[:, -1]], dim=1)

    def _features(self, frames: Float[Tensor, "B N F 2"], power: Float[Tensor, "B N"]) -> Map:
        """Compressed magnitude, real and imaginary part over the bands, relative to the running level."""
        # Clamped, not offset: exporters drop the addition of a number they take for zero.
        x = frames * power.clamp_min(1e-10).rsqrt()[..., None, None]
        magnitude = (x.square().sum(-1) + 1e-6).sqrt()
        parts = x * magnitude.pow(-0.7)[..., None]
        return self.bands.merge(torch.cat([magnitude.pow(0.3)[..., None], parts], dim=-1).permute(0, 3, 1, 2))


class Block(nn.Module):
    """Mix neighbouring bands, mix all bands, recur over time; each on a normalised input, with a residual."""

    def __init__(self, channels: int, hidden: int, width: int):
        super().__init__()
        squeezed = channels // 4
        self.norm_near, self.norm_all, self.norm_time = (nn.LayerNorm(channels) for _ in range(3))
        self.near = nn.Conv2d(channels, channels, (1, 5), padding=(0, 2))
        self.squeeze = nn.Linear(channels, squeezed)
        self.across = nn.Parameter(torch.randn(squeezed, width, width) / math.sqrt(width))
        self.unsqueeze = nn.Linear(squeezed, channels)
        self.gru = nn.GRU(channels, hidden, batch_first=True)
        self.linear = nn.Linear(hidden, channels)

    def forward(
        self, x: Float[Tensor, "B N F C"], memory: Float[Tensor, "B F D"]
    ) -> tuple[Float[Tensor, "B N F C"], Float[Tensor, "B F D"]]:
        near = self.near(self.norm_near(x).permute(0, 3, 1, 2))
        x = x + F.relu(near).permute(0, 2, 3, 1)
        bands = F.silu(self.squeeze(self.norm_all(x)))
        x = x + self.unsqueeze(torch.einsum("bnfc,cfg->bngc", bands, self.across))
        batch, frames, width, channels = x.shape
        sequences = self.norm_time(x).transpose(1, 2).reshape(batch * width, frames, channels)
        out, last = self.gru(sequences, memory.reshape(1, batch * width, -1))
        x = x + self.linear(out).view(batch, width, frames, channels).transpose(1, 2)
        return x, last.view(batch, width, -1)
