"""What a net's output means: small classes that scale its input and output and name what it predicts.

sigma is the path's standard deviation at t. Which prediction a net is trained to give is the objective's matter;
samplers read any of them as the score or the clean estimate they need.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from auscult.bounds import Positive
from auscult.paths.base import LinearPath, Prediction, Times
from auscult.shapes import bcast

Net = Callable[[Tensor, Times], Tensor]
"""(inputs [B, maps, F, N], t or what stands for it [B]) -> output [B, 1, F, N]: a net, with all else it is told."""
NetworkScaling = Literal["none", "1/sigma", "1/t"]
InputScale = Literal["1", "edm"]
OutputScale = Literal["1", "sigma", "1/sigma", "edm"]
SkipScale = Literal["0", "edm"]


class Parametrisation(ABC):
    """Subclasses are frozen dataclasses."""

    @abstractmethod
    def predict(
        self, net: Net, x: Tensor, anchor: Tensor, t: Times, path: LinearPath, condition: Tensor | None = None
    ) -> Prediction:
        """Call ``net`` on [x_t, condition] and say what its output predicts.

        ``condition`` is what the net sees beside x_t, [B, sources, F, N]: the path's anchor y where nothing is given.
        """


@dataclass(frozen=True)
class NegativeScore(Parametrisation):
    """score = -F(x_t, y, t): SGMSE+ with NCSN++ v1 or 48k, whose nets divide by t themselves."""

    def predict(
        self, net: Net, x: Tensor, anchor: Tensor, t: Times, path: LinearPath, condition: Tensor | None = None
    ) -> Prediction:
        return Prediction(path, x, anchor, t, "score", -net(beside(x, anchor, condition), t))


@dataclass(frozen=True)
class Scaling:
    """EDM-style scalings around a net (Karras et al. 2022; the journal version of SGMSE+ with NCSN++ v2).

    The input is multiplied by ``c_in``, the net's output by ``network`` and ``c_out``, and ``c_skip`` x_t is added.
    """

    c_in: InputScale = "1"
    c_out: OutputScale = "1"
    c_skip: SkipScale = "0"
    network: NetworkScaling = "none"
    sigma_data: Positive = 0.1

    def __call__(self, net: Net, x: Tensor, condition: Tensor, t: Times, path: LinearPath) -> Tensor:
        """c_skip x_t + c_out F."""
        sigma = path.std(t)
        output = self.net_output(net, x, condition, t, sigma) * bcast(self._out(sigma), x)
        return output + bcast(self._skip(sigma), x) * x if self.c_skip == "edm" else output

    def net_output(self, net: Net, x: Tensor, condition: Tensor, t: Times, sigma: Times) -> Tensor:
        """F, with the input and network scalings alone."""
        inputs = torch.cat([x, condition], dim=1)
        if self.c_in == "edm":
            inputs = inputs * bcast((sigma**2 + self.sigma_data**2).rsqrt(), inputs)
        output: Tensor = net(inputs, t)
        if self.network == "none":
            return output
        return output / bcast(sigma if self.network == "1/sigma" else t, output)

    def _out(self, sigma: Times) -> Times:
        if self.c_out == "edm":
            return sigma * self.sigma_data * (sigma**2 + self.sigma_data**2).rsqrt()
        return {"1": torch.ones_like(sigma), "sigma": sigma, "1/sigma": 1 / sigma}[self.c_out]

    def _skip(self, sigma: Times) -> Times:
        return self.sigma_data**2 / (sigma**2 + self.sigma_data**2)


@dataclass(frozen=True)
class ScaledScore(Parametrisation):
    """score = c_skip x_t + c_out F."""

    scaling: Scaling = Scaling()

    def predict(
        self, net: Net, x: Tensor, anchor: Tensor, t: Times, path: LinearPath, condition: Tensor | None = None
    ) -> Prediction:
        output = self.scaling(net, x, anchor if condition is None else condition, t, path)
        return Prediction(path, x, anchor, t, "score", output)


@dataclass(frozen=True)
class Denoiser(Parametrisation):
    """mean = F: the net gives the denoised x_t itself; c_out and c_skip do not apply."""

    scaling: Scaling = Scaling()

    def predict(
        self, net: Net, x: Tensor, anchor: Tensor, t: Times, path: LinearPath, condition: Tensor | None = None
    ) -> Prediction:
        output = self.scaling.net_output(net, x, anchor if condition is None else condition, t, path.std(t))
        return Prediction(path, x, anchor, t, "mean", output)


@dataclass(frozen=True)
class DataPrediction(Parametrisation):
    """clean = c_skip x_t + c_out F."""

    scaling: Scaling = Scaling()

    def predict(
        self, net: Net, x: Tensor, anchor: Tensor, t: Times, path: LinearPath, condition: Tensor | None = None
    ) -> Prediction:
        output = self.scaling(net, x, anchor if condition is None else condition, t, path)
        return Prediction(path, x, anchor, t, "clean", output)


@dataclass(frozen=True)
class Residual(Parametrisation):
    """clean = y + c_skip u + c_out F(c_in u, c_y y): EDM's scalings for the residual d = x_0 - y (Karras et al. 2022).

    On every linear path u = (x_t - b y) / a - y is d + s z with s = sigma / a. A net that gives zero leaves y as it
    is where the noise says nothing: a small net starts from the noisy recording, not from silence.

    Args:
        sigma_data: root mean square of d in the compressed domain.
        anchor_rms: root mean square of y there.
    """

    sigma_data: Positive = 0.1
    anchor_rms: Positive = 0.1

    def predict(
        self, net: Net, x: Tensor, anchor: Tensor, t: Times, path: LinearPath, condition: Tensor | None = None
    ) -> Prediction:
        u = path.clean_from_mean(x, anchor, t) - anchor
        s = path.std(t) / path.clean_weight(t)
        norm = (s**2 + self.sigma_data**2).rsqrt()
        output = net(beside(bcast(norm, u) * u, anchor, condition, 1 / self.anchor_rms), t)
        residual = bcast((self.sigma_data * norm) ** 2, u) * u + bcast(s * self.sigma_data * norm, output) * output
        return Prediction(path, x, anchor, t, "clean", anchor + residual)


def beside(x: Tensor, anchor: Tensor, condition: Tensor | None, scale: float | Tensor = 1.0) -> Tensor:
    """What a net is given: x_t and, scaled, the condition (the anchor where there is none)."""
    return torch.cat([x, scale * (anchor if condition is None else condition)], dim=1)
