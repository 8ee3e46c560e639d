"""Losses on compressed spectra, of waves or as they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from auscult.features.spectral import CompressedSTFT, WindowKind, magnitude
from auscult.losses.base import Loss, Spectrum, SpectrumLoss, Wave, WaveLoss


@dataclass(frozen=True)
class CompressedSpectrum(WaveLoss):
    """Mean squared error of the compressed magnitude and of the compressed complex spectrum.

    |S|^c against |X|^c, and S |S|^{c-1} against X |X|^{c-1} (Braun & Tashev 2021; with c = 0.3 and the weights 70 and
    30 as GTCRN was trained). ``floor`` is added to the power, so that silence has a finite gradient.
    """

    magnitude: float = 70.0
    complex: float = 30.0
    exponent: float = 0.3
    n_fft: int = 512
    hop: int = 256
    window: WindowKind = "sqrthann"
    floor: float = 1e-8

    def __call__(self, estimate: Wave, target: Wave) -> Loss:
        stft = CompressedSTFT(self.n_fft, self.hop, self.window, transform="none").to(estimate.device)
        magnitudes, spectra = zip(*(self._compressed(stft, wave) for wave in (estimate, target)), strict=True)
        parts = {
            "magnitude": (magnitudes[0] - magnitudes[1]).square().mean(),
            "complex": (spectra[0] - spectra[1]).square().sum(-1).mean(),
        }
        return Loss(parts, {"magnitude": self.magnitude, "complex": self.complex})

    def _compressed(self, stft: CompressedSTFT, wave: Wave) -> tuple[Tensor, Tensor]:
        parts = torch.view_as_real(stft.spectrum(wave))
        power = parts.square().sum(-1) + self.floor
        return power.pow(self.exponent / 2), parts * power.pow((self.exponent - 1) / 2)[..., None]


@dataclass(frozen=True)
class MagnitudeError(SpectrumLoss):
    """Mean squared error of the magnitude (CMGAN, MP-SENet)."""

    weight: float = 0.9

    def __call__(self, estimate: Spectrum, target: Spectrum) -> Loss:
        error = magnitude(estimate) - magnitude(target)
        return Loss({"magnitude": error.square().mean()}, {"magnitude": self.weight})


@dataclass(frozen=True)
class ComplexError(SpectrumLoss):
    """Mean squared errors of the real and of the imaginary part, added (CMGAN, MP-SENet)."""

    weight: float = 0.1

    def __call__(self, estimate: Spectrum, target: Spectrum) -> Loss:
        error = torch.view_as_real(estimate - target)
        return Loss({"complex": error.square().sum(-1).mean()}, {"complex": self.weight})
