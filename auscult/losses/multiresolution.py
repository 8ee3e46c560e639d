"""L1 losses of spectra at several resolutions and of one compressed spectrum, as TF-GridNet and its heirs train."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Complex
from torch import Tensor

from auscult.bounds import Count, NotNegative, Positive
from auscult.errors import RecipeError
from auscult.losses.base import Loss, Wave, WaveLoss

SILENT = 1e-8
"""Least energy of an estimate whose level is matched. A bound, not added as published: a perfect estimate stays so."""


@dataclass(frozen=True)
class MultiResolutionL1(WaveLoss):
    """|s a - x| over samples, and ||S a| - |X|| over bins and frames, a mean over windows (Lu et al. 2022, ESPnet).

    ``a = <s, x> / |s|^2`` brings the estimate s to the level of the target x, so the loss does not see its gain (with
    ``match_level: false`` it does). Windows are rectangular, hops half of them. The sums run over an item, as
    published, so values grow with its length; ``per_sample`` divides both by the samples.

    Args:
        samples, magnitude: weights of the two parts.
        windows: n_fft of each resolution.
    """

    samples: NotNegative = 0.5
    magnitude: NotNegative = 0.5
    windows: tuple[Count, ...] = (256, 512, 768, 1024)
    match_level: bool = True
    per_sample: bool = False

    def __post_init__(self) -> None:
        if not self.windows:
            raise RecipeError("MultiResolutionL1.windows: none given; give at least one n_fft, such as 512")

    def __call__(self, estimate: Wave, target: Wave) -> Loss:
        if self.match_level:
            energy = estimate.square().sum(-1, keepdim=True).clamp_min(SILENT)
            estimate = (estimate * target).sum(-1, keepdim=True) / energy * estimate
        pair = torch.stack([estimate, target])
        unit = target.shape[-1] if self.per_sample else 1
        apart = [_apart(magnitude(_spectrum(pair, n_fft))) for n_fft in self.windows]
        parts = {"samples_l1": _apart(pair) / unit, "resolutions_l1": torch.stack(apart).mean() / unit}
        return Loss(parts, {"samples_l1": self.samples, "resolutions_l1": self.magnitude})


@dataclass(frozen=True)
class SpectrumL1(WaveLoss):
    """Mean of |Re S - Re X| + |Im S - Im X| and of ||S| - |X|| on spectra of compressed magnitude |S|^exponent.

    With the exponent 1 it is the loss of the TF-GridNet papers for enhancement (Wang et al. 2023). ``floor`` is added
    to the power, so that silence has a finite gradient.
    """

    complex: NotNegative = 1.0
    magnitude: NotNegative = 1.0
    exponent: Positive = 1.0
    n_fft: Count = 512
    hop: Count = 256
    floor: Positive = 1e-8

    def __call__(self, estimate: Wave, target: Wave) -> Loss:
        window = torch.hann_window(self.n_fft, dtype=target.dtype, device=target.device)
        z = _spectrum(torch.stack([estimate, target]), self.n_fft, self.hop, window)
        size = magnitude(z, self.floor)
        parts = torch.view_as_real(z) * size.pow(self.exponent - 1)[..., None]
        size = size.pow(self.exponent)
        values = {
            "complex_l1": (parts[0] - parts[1]).abs().sum(-1).mean(),
            "magnitude_l1": (size[0] - size[1]).abs().mean(),
        }
        return Loss(values, {"complex_l1": self.complex, "magnitude_l1": self.magnitude})


def magnitude(z: Complex[Tensor, "*S"], floor: float = 1e-12) -> Tensor:
    """The root of the power plus ``floor``: finite in its gradient at zero."""
    return (torch.view_as_real(z).square().sum(-1) + floor).sqrt()


def _spectrum(waves: Tensor, n_fft: int, hop: int | None = None, window: Tensor | None = None) -> Tensor:
    """Centred transform [2, B, C, F, N] of both signals at once; rectangular window and half overlap by default."""
    window = torch.ones(n_fft, dtype=waves.dtype, device=waves.device) if window is None else window
    padding = "reflect" if waves.shape[-1] > n_fft // 2 else "constant"
    flat = waves.flatten(0, -2)
    z = torch.stft(flat, n_fft, hop or n_fft // 2, window=window, pad_mode=padding, return_complex=True)
    return z.unflatten(0, waves.shape[:-1])


def _apart(pair: Tensor) -> Tensor:
    """Sum of absolute differences an item, averaged over items."""
    return (pair[0] - pair[1]).abs().flatten(1).sum(1).mean()
