"""What a diffusion net is trained to match. Sums run over channels, bins and frames; then the mean over items.

The values are those of SGMSE+ (Richter et al. 2023), so that losses can be compared with published logs. With
``per_bin`` they are divided by the number of bins and frames instead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from auscult.bounds import Positive
from auscult.losses.base import Loss, Wave, WaveLoss
from auscult.paths.base import Prediction, Times
from auscult.shapes import bcast


@dataclass(frozen=True)
class Truth:
    """What a prediction at x_t = mean + sigma z is compared with.

    Args:
        clean: x_0, [B, C, F, N].
        noise: z.
        wave: x_0 as a wave, [B, C, T].
        decode: from a spectrum to its wave of T samples.
    """

    clean: Tensor
    noise: Tensor
    wave: Wave
    decode: Callable[[Tensor], Wave]


class Objective(ABC):
    """Subclasses are frozen dataclasses."""

    @abstractmethod
    def __call__(self, prediction: Prediction, truth: Truth) -> Loss:
        """Compare; every part is a mean over items, and zero at the true prediction."""


@dataclass(frozen=True)
class ScoreMatching(Objective):
    """1/2 |sigma score + z|^2: denoising score matching, weighted by sigma^2."""

    per_bin: bool = False

    def __call__(self, prediction: Prediction, truth: Truth) -> Loss:
        sigma = prediction.path.std(prediction.t)
        error = 0.5 * energy(bcast(sigma, truth.noise) * prediction.score + truth.noise, self.per_bin)
        return Loss({"score": error.mean()}, {"score": 1.0})


@dataclass(frozen=True)
class DenoiserMatching(Objective):
    """w/2 |D - mean|^2 of the denoised x_t, w = 1, sigma^2 or edm: (sigma^2 + sigma_data^2) / (sigma sigma_data)^2.

    ``edm-as-published`` is what the reference implementation computes: mean_b(w_b) sum_b(l_b) in place of
    mean_b(w_b l_b), because a broadcast multiplies every item's weight with every item's loss. It loses the weighting
    of noise levels and grows with the batch; use it only to repeat published runs.
    """

    weighting: Literal["1", "sigma^2", "edm", "edm-as-published"] = "1"
    sigma_data: Positive = 0.1
    per_bin: bool = False

    def __call__(self, prediction: Prediction, truth: Truth) -> Loss:
        sigma = prediction.path.std(prediction.t)
        edm = edm_weight(sigma, self.sigma_data)
        weight = {
            "1": torch.ones_like(sigma),
            "sigma^2": sigma**2,
            "edm": edm,
            "edm-as-published": edm.sum().expand_as(edm),
        }[self.weighting]
        mean = prediction.path.mean(truth.clean, prediction.anchor, prediction.t)
        error = 0.5 * weight * energy(prediction.mean - mean, self.per_bin)
        return Loss({"denoiser": error.mean()}, {"denoiser": 1.0})


@dataclass(frozen=True)
class DataMatching(Objective):
    """w/2 |x^ - x_0|^2 of the clean estimate, w = 1 or edm: (s^2 + sigma_data^2) / (s sigma_data)^2, s = sigma / a.

    Args:
        waves: losses on the clean estimate as a wave, added. The published L1 term is half a mean: its weight 0.001
            is ``{type: L1, weight: 0.0005}`` here (Richter et al. 2024).
    """

    weighting: Literal["1", "edm"] = "1"
    sigma_data: Positive = 0.1
    per_bin: bool = True
    waves: tuple[WaveLoss, ...] = ()

    def __call__(self, prediction: Prediction, truth: Truth) -> Loss:
        estimate = prediction.clean
        error = 0.5 * energy(estimate - truth.clean, self.per_bin)
        if self.weighting == "edm":
            path, t = prediction.path, prediction.t
            error = error * edm_weight(path.std(t) / path.clean_weight(t), self.sigma_data)
        spectral = Loss({"data": error.mean()}, {"data": 1.0})
        if not self.waves:
            return spectral
        wave = truth.decode(estimate)
        return Loss.joined([spectral, *(loss(wave, truth.wave) for loss in self.waves)])


def edm_weight(sigma: Times, sigma_data: float) -> Times:
    """One over c_out^2: every noise level counts alike at the start of training (Karras et al. 2022)."""
    return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2


def energy(z: Tensor, per_bin: bool) -> Tensor:
    """Squared magnitude of each item, summed or averaged over its elements."""
    squares = torch.view_as_real(z).square().sum(-1).flatten(1)
    return squares.mean(1) if per_bin else squares.sum(1)
