"""Losses on samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from auscult.losses.base import Loss, Wave, WaveLoss


@dataclass(frozen=True)
class LimitedSISDR(WaveLoss):
    """How far the SI-SDR stays below ``limit_db``, in dB: 10 log10(1 + 10^{limit/10} |e|^2 / |s|^2).

    s is the projection of the estimate on the target, e the rest (Le Roux et al. 2019, without removing means). Far
    from the limit this is ``limit_db - SI-SDR``; at the perfect estimate it is zero, where the plain ratio would run
    away (the thresholded SNR of Wisdom et al. 2020). Items whose target is silent contribute zero; a silent estimate of
    a target that is not costs ``limit_db``.
    """

    weight: float = 0.1
    limit_db: float = 40.0

    def __call__(self, estimate: Wave, target: Wave) -> Loss:
        energy = target.square().sum(-1, keepdim=True)
        scale = (estimate * target).sum(-1, keepdim=True) / energy.clamp_min(1e-8)
        wanted = (scale * target).square().sum(-1)
        error = (estimate - scale * target).square().sum(-1)
        silent = error + wanted <= 1e-8 * energy[..., 0]  # an estimate of nothing has no error: not a merit
        ratio = torch.where(silent, 1.0, error / torch.maximum(wanted, 1e-8 * energy[..., 0]).clamp_min(1e-20))
        below_db = torch.log1p(10 ** (self.limit_db / 10) * ratio) * (10 / math.log(10))
        audible = (energy[..., 0] > 1e-6).to(below_db.dtype)
        return Loss({"si_sdr": (below_db * audible).mean()}, {"si_sdr": self.weight})


@dataclass(frozen=True)
class L1(WaveLoss):
    """Mean absolute difference of the samples."""

    weight: float = 1.0

    def __call__(self, estimate: Wave, target: Wave) -> Loss:
        return Loss({"l1": (estimate - target).abs().mean()}, {"l1": self.weight})
