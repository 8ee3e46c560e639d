"""What a diffusion net is trained to match. Sums run over channels, bins and frames; then the mean over items.

The values are those of SGMSE+ (Richter et al. 2023), so that losses can be compared with published logs. With
``per_bin`` they are divided by the number of bins and frames instead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from auscult.bounds import Positive
from auscult.losses.base import Loss
from auscult.paths.base import Prediction, Times
from auscult.shapes import bcast


class Objective(ABC):
    """Subclasses are frozen dataclasses."""

    @abstractmethod
    def __call__(self, prediction: Prediction, clean: Tensor, noise: Tensor) -> Loss:
        """Compare a prediction at x_t = mean + sigma z with the clean spectrum and the noise z it was made from."""


@dataclass(frozen=True)
class ScoreMatching(Objective):
    """1/2 |sigma score + z|^2: denoising score matching, weighted by sigma^2."""

    per_bin: bool = False

    def __call__(self, prediction: Prediction, clean: Tensor, noise: Tensor) -> Loss:
        sigma = prediction.path.std(prediction.t)
        error = 0.5 * energy(bcast(sigma, noise) * prediction.score + noise, self.per_bin)
        return Loss({"score": error.mean()}, {"score": 1.0})


@dataclass(frozen=True)
class DenoiserMatching(Objective):
    """w/2 |D - mean|^2 of the denoised x_t, w = 1, sigma^2 or edm: (sigma^2 + sigma_data^2) / (sigma sigma_data)^2."""

    weighting: Literal["1", "sigma^2", "edm"] = "1"
    sigma_data: Positive = 0.1
    per_bin: bool = False

    def __call__(self, prediction: Prediction, clean: Tensor, noise: Tensor) -> Loss:
        sigma = prediction.path.std(prediction.t)
        weight = {
            "1": torch.ones_like(sigma),
            "sigma^2": sigma**2,
            "edm": edm_weight(sigma, self.sigma_data),
        }[self.weighting]
        mean = prediction.path.mean(clean, prediction.anchor, prediction.t)
        error = 0.5 * weight * energy(prediction.mean - mean, self.per_bin)
        return Loss({"denoiser": error.mean()}, {"denoiser": 1.0})


@dataclass(frozen=True)
class DataMatching(Objective):
    """w/2 |x^ - x_0|^2 of the clean estimate, w = 1 or edm: (s^2 + sigma_data^2) / (s sigma_data)^2, s = sigma / a."""

    weighting: Literal["1", "edm"] = "1"
    sigma_data: Positive = 0.1
    per_bin: bool = True

    def __call__(self, prediction: Prediction, clean: Tensor, noise: Tensor) -> Loss:
        error = 0.5 * energy(prediction.clean - clean, self.per_bin)
        if self.weighting == "edm":
            path, t = prediction.path, prediction.t
            error = error * edm_weight(path.std(t) / path.clean_weight(t), self.sigma_data)
        return Loss({"data": error.mean()}, {"data": 1.0})


def edm_weight(sigma: Times, sigma_data: float) -> Times:
    """One over c_out^2: every noise level counts alike at the start of training (Karras et al. 2022)."""
    return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2


def energy(z: Tensor, per_bin: bool) -> Tensor:
    """Squared magnitude of each item, summed or averaged over its elements."""
    squares = torch.view_as_real(z).square().sum(-1).flatten(1)
    return squares.mean(1) if per_bin else squares.sum(1)
