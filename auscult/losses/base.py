"""What a loss returns: its parts with their weights, so that gradient shares can be measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Complex, Float
from torch import Tensor

Wave = Float[Tensor, "B C T"]
Spectrum = Complex[Tensor, "B C F N"]


@dataclass(frozen=True)
class Loss:
    """Named parts (scalars with a graph, each a mean over the items) and the weight of each in the total.

    ``estimate`` is the tensor of the graph in which the gradients of the parts are compared, where there is one;
    ``notes`` are numbers to be logged that nothing is learned from; ``dropped`` counts items left out, by cause.
    """

    parts: Mapping[str, Tensor]
    weights: Mapping[str, float]
    estimate: Tensor | None = None
    notes: Mapping[str, float] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        """The weighted sum."""
        return torch.stack([self.weights[name] * part for name, part in self.parts.items()]).sum()

    @classmethod
    def joined(
        cls, losses: Iterable[Loss], estimate: Tensor | None = None, notes: Mapping[str, float] | None = None
    ) -> Loss:
        """Several losses as one; their parts must have different names."""
        parts: dict[str, Tensor] = {}
        weights: dict[str, float] = {}
        for loss in losses:
            if twice := parts.keys() & loss.parts.keys():
                raise ValueError(f"two losses have a part named {', '.join(twice)}")
            parts |= loss.parts
            weights |= loss.weights
        return cls(parts, weights, estimate, notes or {})


class WaveLoss(ABC):
    """A loss in the time domain: both signals at the same level, [B, C, T]. Subclasses are frozen dataclasses."""

    @abstractmethod
    def __call__(self, estimate: Wave, target: Wave) -> Loss:
        """Compare; every part is zero at ``estimate == target``."""


class SpectrumLoss(ABC):
    """A loss on compressed complex spectra of signals at the same level. Subclasses are frozen dataclasses."""

    @abstractmethod
    def __call__(self, estimate: Spectrum, target: Spectrum) -> Loss:
        """Compare; every part is zero at ``estimate == target``."""
