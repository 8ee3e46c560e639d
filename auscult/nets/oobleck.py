"""Oobleck: the variational autoencoder of waveforms of stable-audio-tools and Stable Audio Open (Evans et al. 2024).

Strided convolutions between residual units with Snake activations; every convolution is weight-normalised. The
published net (156.1 M parameters) takes 44.1 kHz stereo to 64 channels at 1/2048 of the rate; its sizes are arguments,
so that a small codec is the same class.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from auscult.bounds import Count
from auscult.errors import RecipeError
from auscult.rng import Draws

DILATIONS = (1, 3, 9)
"""Of the three residual units in every block."""
SMALLEST_STD = 1e-4
TINY = 1e-9
"""Keeps Snake's divisor from zero."""

Map = Float[Tensor, "B _ _"]
"""[B, channels, samples]; blocks change channels and resolution, never the batch."""


@dataclass(frozen=True)
class Posterior:
    """What the encoder says of a wave: a normal distribution for every element of the latent."""

    mean: Float[Tensor, "B D N"]
    std: Float[Tensor, "B D N"]

    def sample(self, draws: Draws) -> Float[Tensor, "B D N"]:
        """One draw an item. stable-audio-tools always encodes so; for evaluation take the mean."""
        return self.mean + self.std * draws.normal_like(self.mean)


class Oobleck(nn.Module):
    """Waves [B, audio_channels, T] to latents [B, latent, T / hop] and back; T is a multiple of ``hop``.

    Args:
        audio_channels: of the waves.
        channels: after the first convolution.
        multipliers: of ``channels``, after each block of the encoder.
        strides: of the encoder's blocks, even; ``hop`` is their product. The decoder mirrors both.
        latent: channels of the latent.

    Raises:
        RecipeError: multipliers and strides that are not as many, or an odd stride.
    """

    def __init__(
        self,
        audio_channels: Count = 2,
        channels: Count = 128,
        multipliers: tuple[Count, ...] = (1, 2, 4, 8, 16),
        strides: tuple[Count, ...] = (2, 4, 4, 8, 8),
        latent: Count = 64,
    ):
        super().__init__()
        _check(multipliers, strides)
        widths = [channels, *(channels * factor for factor in multipliers)]
        steps = list(zip(widths, widths[1:], strides, strict=False))
        self.sizes = (audio_channels, channels, multipliers, strides, latent)
        self.audio_channels, self.latent, self.hop = audio_channels, latent, math.prod(strides)
        self.encoder = nn.Sequential(
            conv(audio_channels, widths[0], 7),
            *(down(narrow, wide, stride) for narrow, wide, stride in steps),
            Snake(widths[-1]),
            conv(widths[-1], 2 * latent, 3),
        )
        self.decoder = nn.Sequential(
            conv(latent, widths[-1], 7),
            *(up(wide, narrow, stride) for narrow, wide, stride in reversed(steps)),
            Snake(widths[0]),
            conv(widths[0], audio_channels, 7, bias=False),
        )
        first, last = reach(self.encoder, 0, 0)
        self.encode_context = -(-max(-first, last - self.hop + 1) // self.hop)
        first, last = reach(self.decoder, 0, self.hop - 1)
        self.decode_context = max(-first, last)

    def encode(self, wave: Float[Tensor, "B C T"], frames_at_once: int | None = None) -> Posterior:
        """The posterior of a wave; ``frames_at_once`` bounds the memory of long ones and changes nothing else.

        Raises:
            ValueError: other channels than the net's, or a length that is no multiple of ``hop``.
        """
        if wave.shape[1] != self.audio_channels or wave.shape[2] % self.hop:
            raise ValueError(
                f"waves of {self.audio_channels} channels and a multiple of {self.hop} samples are encoded, "
                f"this one is {tuple(wave.shape[1:])}; pad it with zeros"
            )
        pieces = Pieces(self.hop, 1, self.encode_context, frames_at_once)
        mean, scale = pieces.run(self.encoder, wave).chunk(2, dim=1)
        return Posterior(mean, F.softplus(scale) + SMALLEST_STD)

    def decode(self, z: Float[Tensor, "B D N"], frames_at_once: int | None = None) -> Float[Tensor, "B C T"]:
        """The wave of a latent; ``frames_at_once`` as in :meth:`encode`."""
        return Pieces(1, self.hop, self.decode_context, frames_at_once).run(self.decoder, z)

    def folded(self) -> Oobleck:
        """A copy for inference: weights multiplied out, Snake's exponentials taken once. It does not learn."""
        with torch.device("meta"):
            fast = Oobleck(*self.sizes)  # a deep copy would share the classes that removing parametrizations changes
        fast.load_state_dict({name: tensor.clone() for name, tensor in self.state_dict().items()}, assign=True)
        fast.requires_grad_(False).eval()
        for parent in list(fast.modules()):
            if is_parametrized(parent, "weight"):
                remove_parametrizations(parent, "weight")
            for name, child in parent.named_children():
                if isinstance(child, Snake):
                    setattr(parent, name, FoldedSnake(child))
        return fast


class Snake(nn.Module):
    """y = x + sin^2(a x) / b (Ziyin et al. 2020), with a = e^alpha and b = e^beta of each channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha, self.beta = nn.Parameter(torch.zeros(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Map) -> Map:
        wave = torch.sin(x * self.alpha.exp()[:, None])
        return x + wave.square() / (self.beta.exp() + TINY)[:, None]


class FoldedSnake(nn.Module):
    """The same with a and 1 / b at hand, and one map of fresh memory beside its output."""

    frequency: Tensor
    gain: Tensor

    def __init__(self, snake: Snake):
        super().__init__()
        self.register_buffer("frequency", snake.alpha.exp()[:, None])
        self.register_buffer("gain", 1 / (snake.beta.exp() + TINY)[:, None])

    def forward(self, x: Map) -> Map:
        return torch.addcmul(x, (x * self.frequency).sin_().square_(), self.gain)


class ResidualUnit(nn.Sequential):
    """Snake, dilated convolution, Snake, 1x1 convolution; added to what came in."""

    def __init__(self, channels: int, dilation: int):
        super().__init__(Snake(channels), conv(channels, channels, 7, dilation), Snake(channels),
                         conv(channels, channels, 1))  # fmt: skip

    def forward(self, x: Map) -> Map:
        return x + super().forward(x)


def conv(channels_in: int, channels: int, kernel: int, dilation: int = 1, bias: bool = True) -> nn.Module:
    """A weight-normalised convolution that keeps the length."""
    padding = dilation * (kernel // 2)
    return weight_norm(nn.Conv1d(channels_in, channels, kernel, padding=padding, dilation=dilation, bias=bias))


def down(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    """A block of the encoder: residual units at the width that comes in, Snake, strided convolution."""
    units = [ResidualUnit(channels_in, dilation) for dilation in DILATIONS]
    shrink = weight_norm(nn.Conv1d(channels_in, channels, 2 * stride, stride, padding=stride // 2))
    return nn.Sequential(*units, Snake(channels_in), shrink)


def up(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    """A block of the decoder: Snake, transposed convolution, residual units at the width that leaves."""
    grow = weight_norm(nn.ConvTranspose1d(channels_in, channels, 2 * stride, stride, padding=stride // 2))
    return nn.Sequential(Snake(channels_in), grow, *(ResidualUnit(channels, dilation) for dilation in DILATIONS))


def reach(layers: nn.Module, first: int, last: int) -> tuple[int, int]:
    """First and last position of the input that the outputs ``first`` to ``last`` depend on, far from the ends."""
    found = [layer for layer in layers.modules() if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d)]
    for layer in reversed(found):
        kernel, stride, padding = layer.kernel_size[0], layer.stride[0], int(layer.padding[0])
        if isinstance(layer, nn.ConvTranspose1d):
            first, last = -(-(first + padding - kernel + 1) // stride), (last + padding) // stride
        else:
            first, last = first * stride - padding, last * stride - padding + layer.dilation[0] * (kernel - 1)
    return first, last


@dataclass(frozen=True)
class Pieces:
    """A convolutional net run on a long signal piece by piece; what comes out is what the whole gives.

    Every piece is given with ``context`` frames on either side, or as many as there are, and what they become is
    cut off. A frame is ``frame_in`` positions of the input and ``frame_out`` of the output.
    """

    frame_in: int
    frame_out: int
    context: int
    at_once: int | None

    def run(self, net: Callable[[Tensor], Tensor], x: Map) -> Map:
        """The net's output for the whole of ``x``, computed ``at_once`` frames at a time."""
        frames = x.shape[2] // self.frame_in
        if self.at_once is None or frames <= self.at_once:
            return net(x)
        starts = range(0, frames, self.at_once)
        return torch.cat([self._piece(net, x, start, min(start + self.at_once, frames)) for start in starts], dim=2)

    def _piece(self, net: Callable[[Tensor], Tensor], x: Map, start: int, stop: int) -> Map:
        begin = max(0, start - self.context)
        out = net(x[:, :, begin * self.frame_in : (stop + self.context) * self.frame_in])
        return out[:, :, (start - begin) * self.frame_out : (stop - begin) * self.frame_out].clone()


def _check(multipliers: tuple[int, ...], strides: tuple[int, ...]) -> None:
    if len(multipliers) != len(strides) or not strides:
        raise RecipeError(
            f"a block has a multiplier and a stride, these are {len(multipliers)} and {len(strides)}; give as many"
        )
    if any(stride % 2 for stride in strides):
        raise RecipeError(
            f"strides: {strides}; an odd one loses a sample in every block of the decoder, give even ones"
        )
