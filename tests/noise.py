"""Noise references and conditions of small nets, for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from auscult.conditions.noise_reference import noise_reference
from auscult.features.spectral import CompressedSTFT
from auscult.nets.condition import NoiseCondition
from auscult.nets.injection import AdaGN, Additive, CrossAttention, NASEAddition, SpectralChannel
from auscult.nets.noise_encoder import ConvStatistics, LightEncoder, PSDEncoder, TokenEncoder
from auscult.nets.reference import NoiseReference

FEATURES = CompressedSTFT(n_fft=62, hop=16)
"""32 bins."""
SMALL = {"channels": 16, "multipliers": (1, 2, 2), "blocks": 1, "attention_heights": (8,), "bins": 32}

CONDITIONS: dict[str, Callable[[], NoiseCondition]] = {
    "Additive": lambda: NoiseCondition(LightEncoder(16), (Additive(),)),
    "AdaGN": lambda: NoiseCondition(ConvStatistics(16, channels=4), (AdaGN(8),)),
    "CrossAttention": lambda: NoiseCondition(TokenEncoder(3, 16, channels=4), (CrossAttention((16, 8), heads=2),)),
    "SpectralChannel": lambda: NoiseCondition(PSDEncoder(), (SpectralChannel(),)),
    "NASEAddition": lambda: NoiseCondition(LightEncoder(16), (NASEAddition(),)),
    "all of them": lambda: NoiseCondition(
        TokenEncoder(3, 16, channels=4),
        (Additive(), AdaGN(8), CrossAttention((8,), heads=4), SpectralChannel(), NASEAddition()),
    ),
}


def conditions(lengths: Sequence[int], total: int | None = None, seed: int = 0) -> dict[str, Tensor]:
    """White noise of given lengths (0: none) in as many samples as the longest, or ``total``; an item a seed."""
    total = total or max(lengths)
    waves = torch.zeros(len(lengths), 1, total)
    for i, length in enumerate(lengths):
        wave = torch.randn(length, generator=torch.Generator().manual_seed(seed + i))
        waves[i, 0, :length] = wave / wave.square().mean().sqrt() if length else wave
    level = torch.tensor([-1.0 - 0.5 * i for i in range(len(lengths))])
    return {"noise": waves, "noise_samples": torch.tensor(lengths), "noise_level": level}


def reference(lengths: Sequence[int], total: int | None = None, seed: int = 0) -> NoiseReference:
    return noise_reference(conditions(lengths, total, seed), FEATURES)


def shaken(module: nn.Module, seed: int = 0) -> None:
    """Move every parameter: nets and conditions that start with zeros say something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.15 * torch.randn(parameter.shape, generator=generator))
