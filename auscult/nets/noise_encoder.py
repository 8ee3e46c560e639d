"""Encoders of a noise reference: from its spectrum to tokens that say what kind of noise it is, not how loud."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from auscult.bounds import Count
from auscult.nets.reference import NoiseReference

STEPS = ((2, 2), (2, 2), (2, 1), (2, 1))
"""Strides of the convolutions, in bins and frames."""
TINY = 1e-5
HIDDEN = 128
"""Width of the layer that weighs frames."""


class Encoder(nn.Module, ABC):
    """``count`` tokens of ``width`` for every item; 0 and 0 of one that learns nothing.

    It has no parameters before :meth:`attach`. What it says of an item without reference is not used.
    """

    count: int
    width: int

    @abstractmethod
    def attach(self, bins: int) -> None:
        """Make the parameters, for spectra of so many bins."""

    @abstractmethod
    def forward(self, reference: NoiseReference) -> Float[Tensor, "B K D"] | None:
        """Tokens; of padding behind a reference's end they know nothing."""


class ConvStatistics(Encoder):
    """One token: convolutions over the compressed magnitude, then attentive statistics (mean and deviation) over time.

    Args:
        width: of the token.
        channels: of the first two convolutions; the last two have twice as many.
    """

    count = 1

    def __init__(self, width: Count = 512, channels: Count = 64):
        super().__init__()
        self.width, self.channels = width, channels

    def attach(self, bins: int) -> None:
        self.trunk, self.pool = Trunk(bins, self.channels, self.width), Pooling(self.width, 1, self.width)

    def forward(self, reference: NoiseReference) -> Float[Tensor, "B K D"]:
        return self.pool(*self.trunk(reference.spectrum.abs(), reference.frames))


class TokenEncoder(Encoder):
    """Several tokens, each of its own weighing of the frames: what cross-attention can choose from.

    Args:
        count: tokens an item.
        width, channels: as in :class:`ConvStatistics`.
    """

    def __init__(self, count: Count = 8, width: Count = 256, channels: Count = 64):
        super().__init__()
        self.count, self.width, self.channels = count, width, channels

    def attach(self, bins: int) -> None:
        self.trunk, self.pool = Trunk(bins, self.channels, self.width), Pooling(self.width, self.count, self.width)

    def forward(self, reference: NoiseReference) -> Float[Tensor, "B K D"]:
        return self.pool(*self.trunk(reference.spectrum.abs(), reference.frames))


class LightEncoder(Encoder):
    """One token from single frames: a layer over the bins, then attentive statistics over time."""

    count = 1

    def __init__(self, width: Count = 128):
        super().__init__()
        self.width = width

    def attach(self, bins: int) -> None:
        self.layer, self.pool = nn.Linear(bins, self.width), Pooling(self.width, 1, self.width)

    def forward(self, reference: NoiseReference) -> Float[Tensor, "B K D"]:
        frames = reference.spectrum[:, 0].abs().transpose(1, 2)
        return self.pool(F.silu(self.layer(frames)), reference.frames)


class PSDEncoder(Encoder):
    """No token, nothing learned: for nets that are told of the noise's power spectrum alone."""

    count = width = 0

    def attach(self, bins: int) -> None:
        pass

    def forward(self, reference: NoiseReference) -> None:
        return None


class Trunk(nn.Module):
    """Four strided convolutions, each normalised over its channels, and a layer over what is left of the bins."""

    def __init__(self, bins: int, channels: int, width: int):
        super().__init__()
        widths = (1, channels, channels, 2 * channels, 2 * channels)
        sides = zip(widths, widths[1:], STEPS, strict=False)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, stride, padding=1) for a, b, stride in sides)
        self.norms = nn.ModuleList(nn.LayerNorm(after) for after in widths[1:])
        self.out = nn.Linear(widths[-1] * -(-bins // 16), width)

    def forward(
        self, x: Float[Tensor, "B 1 F R"], frames: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B N D"], Int[Tensor, " B"]]:
        for conv, norm, (_, step) in zip(self.convs, self.norms, STEPS, strict=True):
            x = conv(x * within(frames, x.shape[-1])[:, None, None])  # behind its end a reference is zero everywhere
            x = F.silu(norm(x.movedim(1, -1)).movedim(-1, 1))
            frames = -(-frames // step)
        return self.out(x.flatten(1, 2).transpose(1, 2)), frames


class Pooling(nn.Module):
    """Attentive statistics (Okabe et al. 2018): weighted mean and deviation over time, a token for every weighing."""

    def __init__(self, width_in: int, count: int, width: int):
        super().__init__()
        self.score = nn.Sequential(nn.Linear(width_in, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, count))
        self.out, self.norm = nn.Linear(2 * width_in, width), nn.LayerNorm(width)

    def forward(self, h: Float[Tensor, "B N _"], frames: Int[Tensor, " B"]) -> Float[Tensor, "B K D"]:
        heard = within(frames.clamp_min(1), h.shape[1])[:, :, None]
        weights = self.score(h).masked_fill(~heard, -torch.inf).softmax(1).transpose(1, 2)[..., None]
        mean = (weights * h[:, None]).sum(2)
        variance = (weights * (h[:, None] - mean[:, :, None]).square()).sum(2)
        return self.norm(self.out(torch.cat([mean, variance.clamp_min(TINY).sqrt()], dim=-1)))


def within(frames: Int[Tensor, " B"], total: int) -> Bool[Tensor, "B N"]:
    """Which of so many frames lie within each reference."""
    return torch.arange(total, device=frames.device) < frames[:, None]
