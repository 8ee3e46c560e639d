"""The compression of MP-SENet: magnitude and phase apart, each with offsets that keep them differentiable at zero."""

from __future__ import annotations

import torch
from jaxtyping import Complex
from torch import Tensor

POWER_OFFSET, PHASE_OFFSET = 1e-9, complex(1e-5, 1e-10)
"""Digital silence becomes the magnitude 1e-9^(exponent / 2), 0.045 for the exponent 0.3, and the phase 1e-5."""
TINY = 1e-30


def polar(spectrum: Complex[Tensor, "*S"], exponent: float) -> Complex[Tensor, "*S"]:
    """(|S|^2 + 1e-9)^{exponent / 2} e^{i arg(S + 1e-5 + 1e-10 i)}, without angle, cosine or sine."""
    shifted = spectrum + PHASE_OFFSET
    power, length = (torch.view_as_real(part).square().sum(-1) for part in (spectrum, shifted))
    return shifted * ((power + POWER_OFFSET).pow(exponent / 2) * length.clamp_min(TINY).rsqrt())
