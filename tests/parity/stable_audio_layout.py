"""Weights and inputs that AutoencoderOobleck and StableAudioDiTModel of diffusers 0.42.1 were run with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tests.parity.recipe import uniform


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Weights by their names in stable-audio-tools: hash noise, around one where it scales."""
    state = {}
    for j, key in enumerate(sorted(shapes)):
        u = uniform(shapes[key], j)
        if key.endswith(("gamma", "weight_g")):
            u = 1 + 0.2 * u
        else:
            u = u * (0.2 if u.ndim == 1 else np.sqrt(12 / (u.size / u.shape[0])))
        state[key] = torch.tensor(u, dtype=torch.float32)
    return state


def signal(shape: tuple[int, ...], j: int) -> Tensor:
    """Input number j, in [-1, 1)."""
    return 2 * torch.tensor(uniform(shape, j), dtype=torch.float32)
