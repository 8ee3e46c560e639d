"""Laws of the times that a flow is trained at. One uniform number an item decides: a law moves no other draw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from auscult.bounds import Positive, Time
from auscult.paths.base import Times
from auscult.rng import Draws

EDGE = 1e-5
"""Times stay this far from 0 and 1, where there is nothing to undo or nothing left."""


class TimeLaw(ABC):
    """Subclasses are frozen dataclasses."""

    def draw(self, draws: Draws, device: torch.device) -> Times:
        """A time in (0, 1) for every item."""
        share = draws.uniform(0.0, 1.0).double().clamp(EDGE, 1 - EDGE)
        return self.quantile(share).float().clamp(EDGE, 1 - EDGE).to(device)

    @abstractmethod
    def quantile(self, share: Tensor) -> Tensor:
        """The time below which a share of all times lies, or above which, where the law runs that way."""


@dataclass(frozen=True)
class UniformTimes(TimeLaw):
    """All times alike."""

    def quantile(self, share: Tensor) -> Tensor:
        return share


@dataclass(frozen=True)
class LogitNormal(TimeLaw):
    """t = sigmoid(mean + std n) (Esser et al. 2024); SAGA-SR's, with 0 and 1: one time in 600 lies above 0.95."""

    mean: float = 0.0
    std: Positive = 1.0

    def quantile(self, share: Tensor) -> Tensor:
        return torch.sigmoid(self.mean + self.std * torch.special.ndtri(share))


@dataclass(frozen=True)
class TruncatedLogitNormal(TimeLaw):
    """Logit-normal above ``left``, stretched to 0 to 1 and turned round: more noise (stable-audio-tools)."""

    left: Time = 0.075

    def quantile(self, share: Tensor) -> Tensor:
        lowest = torch.special.ndtr(torch.logit(torch.tensor(self.left, dtype=share.dtype)))
        kept = torch.sigmoid(torch.special.ndtri(lowest + share * (1 - lowest)))
        return 1 - (kept - self.left) / (1 - self.left)


@dataclass(frozen=True)
class LogSNRTimes(TimeLaw):
    """lambda = ln((1 - t) / t) normal; mean -1.2 and deviation 2 in stable-audio-tools."""

    mean: float = -1.2
    std: Positive = 2.0

    def quantile(self, share: Tensor) -> Tensor:
        return torch.sigmoid(-(self.mean + self.std * torch.special.ndtri(share)))
