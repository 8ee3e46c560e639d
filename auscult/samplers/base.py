"""What a sampler is given and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor

from auscult.paths.base import LinearPath, Prediction, Times
from auscult.rng import Draws

Predict = Callable[[Tensor, Times], Prediction]
"""(x_t, t) -> prediction: the net with everything else it needs already bound."""


class Sampler(ABC):
    """Settings of a sampler; calling it samples. Subclasses are frozen dataclasses."""

    @abstractmethod
    def __call__(self, predict: Predict, anchor: Tensor, path: LinearPath, draws: Draws) -> Tensor:
        """Sample a clean estimate of the shape of ``anchor``, [B, C, F, N]."""

    @property
    @abstractmethod
    def calls(self) -> int:
        """Net calls a sample costs."""
