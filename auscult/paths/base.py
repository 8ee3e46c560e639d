"""Linear Gaussian paths: x_t = a(t) x_0 + b(t) y + sigma(t) z, with t = 0 clean and t = t_max where sampling starts.

y is the *anchor* of the path: the noisy spectrum, a predictor's estimate, or zero. z is standard normal, complex where
x is (E|z|^2 = 1). What a net predicts is turned into the score, the clean estimate or the velocity here, and only
here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.rng import Draws
from auscult.shapes import bcast

Times = Float[Tensor, " B"]


@dataclass(frozen=True)
class Marginal:
    """Mean and standard deviation of x_t given x_0 and y; ``std`` is one number an item, [B]."""

    mean: Tensor
    std: Times


class LinearPath(ABC):
    """A path is its three coefficients, its drift and its diffusion. Subclasses are frozen dataclasses.

    Drift and diffusion are those of the process whose marginals are a, b and sigma; then s = sigma / a grows with t.
    """

    @property
    def t_max(self) -> float:
        """The last time: training draws times up to it, sampling starts at it."""
        return 1.0

    @property
    def t_start(self) -> float:
        """The last time at which x_t holds noise and something of x_0, so that score and sigma / a exist.

        It is ``t_max``, unless the path ends in the anchor itself: there samplers that need either start here.
        """
        return self.t_max

    @abstractmethod
    def clean_weight(self, t: Times) -> Times:
        """a(t)."""

    @abstractmethod
    def anchor_weight(self, t: Times) -> Times:
        """b(t)."""

    @abstractmethod
    def std(self, t: Times) -> Times:
        """sigma(t)."""

    @abstractmethod
    def drift(self, x: Tensor, anchor: Tensor, t: Times) -> Tensor:
        """f(x, y, t) of dx = f dt + g dw."""

    @abstractmethod
    def diffusion(self, t: Times) -> Times:
        """g(t)."""

    @abstractmethod
    def prior(self, anchor: Tensor, draws: Draws) -> Tensor:
        """Where sampling starts, at t_max."""

    def start(self, anchor: Tensor, draws: Draws, t: float) -> Tensor:
        """Where sampling starts that begins at ``t``: below t_max, x_t with the anchor in place of the clean signal.

        Where a + b = 1 this is y + sigma(t) z, the reverse starting point of Lay et al. (2023); with b = 0 it is the
        start of SDEdit (Meng et al. 2022).
        """
        if t == self.t_max:
            return self.prior(anchor, draws)
        at = times(t, anchor)
        return self.mean(anchor, anchor, at) + bcast(self.std(at), anchor) * draws.normal_like(anchor)

    def marginal(self, clean: Tensor, anchor: Tensor, t: Times) -> Marginal:
        """Distribution of x_t."""
        return Marginal(self.mean(clean, anchor, t), self.std(t))

    def mean(self, clean: Tensor, anchor: Tensor, t: Times) -> Tensor:
        """a(t) x_0 + b(t) y."""
        return bcast(self.clean_weight(t), clean) * clean + bcast(self.anchor_weight(t), anchor) * anchor

    def mean_from_score(self, score: Tensor, x: Tensor, t: Times) -> Tensor:
        """Tweedie's formula: x_t + sigma^2 score."""
        return x + bcast(self.std(t) ** 2, x) * score

    def clean_from_mean(self, mean: Tensor, anchor: Tensor, t: Times) -> Tensor:
        """x_0 from an estimate of the mean.

        Raises:
            ValueError: a(t) is zero.
        """
        weight = self.clean_weight(t)
        if (weight == 0).any():
            raise ValueError(
                "no clean estimate exists where the path has forgotten x_0 (a(t) = 0); sample from a smaller t"
            )
        return (mean - bcast(self.anchor_weight(t), mean) * anchor) / bcast(weight, mean)

    def score_from_mean(self, mean: Tensor, x: Tensor, t: Times) -> Tensor:
        """-(x_t - mean) / sigma^2.

        Raises:
            ValueError: sigma(t) is zero, where no score exists.
        """
        std = self.std(t)
        if (std == 0).any():
            raise ValueError(
                "no score exists where the path has no noise (sigma(t) = 0); predict the clean signal there"
            )
        return (mean - x) / bcast(std**2, x)


@dataclass(frozen=True)
class Prediction:
    """What a net said about x_t, in its own terms; the other readings follow through the path.

    ``kind`` tells what ``value`` is: the score, the clean estimate, or the estimate of the marginal's mean.
    """

    path: LinearPath
    x: Tensor
    anchor: Tensor
    t: Times
    kind: Literal["score", "clean", "mean"]
    value: Tensor

    @property
    def score(self) -> Tensor:
        """Gradient of the log density at x_t."""
        if self.kind == "score":
            return self.value
        return self.path.score_from_mean(self.mean, self.x, self.t)

    @property
    def clean(self) -> Tensor:
        """The estimate of x_0."""
        return self.value if self.kind == "clean" else self.path.clean_from_mean(self.mean, self.anchor, self.t)

    @property
    def mean(self) -> Tensor:
        """The estimate of the marginal's mean: the denoised x_t."""
        if self.kind == "mean":
            return self.value
        if self.kind == "clean":
            return self.path.mean(self.value, self.anchor, self.t)
        return self.path.mean_from_score(self.value, self.x, self.t)

    @property
    def velocity(self) -> Tensor:
        """Drift of the probability-flow ODE at x_t: f - g^2 score / 2."""
        drift = self.path.drift(self.x, self.anchor, self.t)
        return drift - 0.5 * bcast(self.path.diffusion(self.t) ** 2, self.x) * self.score


def times(t: float, like: Tensor) -> Times:
    """One time for every item of a batch."""
    return torch.full((like.shape[0],), t, dtype=torch.float32, device=like.device)
