"""ERB bands: bins of a spectrum merged into bands, and band values spread back over bins."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn


def erb_matrix(low_bins: int, bands: int, n_fft: int, rate_hz: int) -> Float[ndarray, "bands high"]:
    """Triangular bank over the bins from ``low_bins`` to Nyquist, centres equally spaced on the ERB-rate scale.

    ERB-rate is 21.4 log10(1 + 0.00437 f) (Glasberg & Moore 1990). The weights of every bin over the bands sum to
    one; rows are sums, not means. The layout is that of GTCRN (Rong et al. 2024).
    """
    edges_hz = np.array([low_bins / n_fft * rate_hz, rate_hz / 2])
    low, high = 21.4 * np.log10(0.00437 * edges_hz + 1)
    rates = np.linspace(low, high, bands)
    centres = np.round((10 ** (rates / 21.4) - 1) / 0.00437 / rate_hz * n_fft).astype(int)
    bank = np.zeros((bands, n_fft // 2 + 1))
    for band in range(bands - 1):
        left, right = centres[band], centres[band + 1]
        falling = (right - np.arange(left, right) + 1e-12) / (right - left + 1e-12)
        bank[band, left:right] = falling
        bank[band + 1, left:right] = 1 - falling
    bank[-1, centres[-1]] = 1.0
    return np.abs(bank[:, low_bins:])


class Bands(nn.Module):
    """Keep the lowest bins, merge the rest into ERB bands; both directions on the last axis.

    For n_fft 512 at 16 kHz with 65 bins kept and 64 bands: 257 bins to 129 values. The matrices are fixed and
    computed, not stored.
    """

    merge_matrix: Tensor

    def __init__(self, low_bins: int = 65, bands: int = 64, n_fft: int = 512, rate_hz: int = 16_000):
        super().__init__()
        self.low_bins = low_bins
        matrix = torch.from_numpy(erb_matrix(low_bins, bands, n_fft, rate_hz)).float()
        self.register_buffer("merge_matrix", matrix, persistent=False)

    def merge(self, x: Float[Tensor, "... bins"]) -> Float[Tensor, "... bands"]:
        """Bins to bands."""
        low, high = x[..., : self.low_bins], x[..., self.low_bins :]
        return torch.cat([low, high @ self.merge_matrix.T], dim=-1)

    def spread(self, x: Float[Tensor, "... bands"]) -> Float[Tensor, "... bins"]:
        """Bands to bins."""
        low, high = x[..., : self.low_bins], x[..., self.low_bins :]
        return torch.cat([low, high @ self.merge_matrix], dim=-1)
