"""Discriminators that learn to predict a metric (MetricGAN, Fu et al. 2019), as CMGAN and MP-SENet use them."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from auscult.bounds import Count, Share

Magnitude = Float[Tensor, "B 1 F N"]


class MetricDiscriminator(nn.Module):
    """How good a candidate is next to the clean signal: a number from 0 to 1 an item, 1 for the best score.

    Four strided convolutions over both compressed magnitudes, their largest answers, two linear layers; all weights
    under spectral normalisation (Miyato et al. 2018). Cao et al. 2022 train it on (PESQ - 1) / 3.5.

    Args:
        channels: of the first convolution; each further one doubles them.
        dropout: between the linear layers.
    """

    smallest = 16
    """Fewest bins and frames that four halvings leave something of."""

    def __init__(self, channels: Count = 16, dropout: Share = 0.3):
        super().__init__()
        widths = (2, *(channels * 2**i for i in range(4)))
        self.stages = nn.Sequential(*(_stage(before, after) for before, after in pairwise(widths)))
        self.wide = spectral_norm(nn.Linear(8 * channels, 4 * channels))
        self.dropout, self.act = nn.Dropout(dropout), nn.PReLU(4 * channels)
        self.score = spectral_norm(nn.Linear(4 * channels, 1))
        self.slope = nn.Parameter(torch.ones(1))

    def forward(self, clean: Magnitude, candidate: Magnitude) -> Float[Tensor, " B"]:
        if min(clean.shape[2:]) < self.smallest:
            raise ValueError(f"at least {self.smallest} bins and frames are needed, the input is {tuple(clean.shape)}")
        h = self.stages(torch.cat([clean, candidate], dim=1)).amax(dim=(2, 3))
        h = self.act(self.dropout(self.wide(h)))
        return torch.sigmoid(self.slope * self.score(h))[:, 0]


def _stage(before: int, after: int) -> nn.Sequential:
    """Half the bins and frames."""
    conv = spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False))
    return nn.Sequential(conv, nn.InstanceNorm2d(after, affine=True), nn.PReLU(after))
