"""What nets are told of a noise: the reference as tensors, and what an encoder makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class NoiseReference:
    """A piece of noise for every item of a batch: its shape at unit RMS, and its level apart from it.

    Args:
        wave: at unit RMS, zero behind its end.
        samples: length of each wave; 0: no reference.
        spectrum: compressed STFT of the wave.
        frames: how many of its frames lie within the wave; 0: no reference.
        psd: compressed root of the mean power of each bin over these frames.
        level: ln(RMS over the peak of the noisy signal).
    """

    wave: Float[Tensor, "B 1 T"]
    samples: Int[Tensor, " B"]
    spectrum: Complex[Tensor, "B 1 F R"]
    frames: Int[Tensor, " B"]
    psd: Float[Tensor, "B F"]
    level: Float[Tensor, " B"]

    @property
    def present(self) -> Bool[Tensor, " B"]:
        """Which items have a reference."""
        return self.frames > 0

    def without(self, dropped: Bool[Tensor, " B"]) -> NoiseReference:
        """The same, but nothing for the items marked."""
        kept = ~dropped
        return replace(self, samples=self.samples * kept, frames=self.frames * kept)

    def none(self) -> NoiseReference:
        """No reference for any item."""
        return self.without(torch.ones_like(self.present))


@dataclass(frozen=True)
class Encoded:
    """An encoded reference; ``tokens`` and ``shape`` are None where the encoder learns nothing.

    Args:
        present: which items have a reference.
        psd, level: of the reference; zero where there is none.
        tokens: what injections are told: shape and level, or the learned null element.
        shape: what the encoder said of the noise's shape alone, for every item.
    """

    present: Bool[Tensor, " B"]
    psd: Float[Tensor, "B F"]
    level: Float[Tensor, " B"]
    tokens: Float[Tensor, "B K D"] | None
    shape: Float[Tensor, "B K D"] | None

    @property
    def z(self) -> Float[Tensor, "B D"]:
        """One vector an item: the mean of its tokens."""
        return mean_token(self.tokens)

    @classmethod
    def joined(cls, parts: Sequence[Encoded]) -> Encoded:
        """Several batches as one."""
        told = [(part.tokens, part.shape) for part in parts if part.tokens is not None and part.shape is not None]
        return cls(
            torch.cat([part.present for part in parts]),
            torch.cat([part.psd for part in parts]),
            torch.cat([part.level for part in parts]),
            torch.cat([tokens for tokens, _ in told]) if told else None,
            torch.cat([shape for _, shape in told]) if told else None,
        )


def mean_token(tokens: Float[Tensor, "B K D"] | None) -> Float[Tensor, "B D"]:
    """The mean of an item's tokens.

    Raises:
        ValueError: there are none, as the encoder learns nothing.
    """
    if tokens is None:
        raise ValueError("this encoder gives no embedding")
    return tokens.mean(1)
