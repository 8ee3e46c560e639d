"""Deterministic weights and inputs that the reference implementations were run with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_MASK = np.uint64(2**32)


def uniform(shape: tuple[int, ...], j: int) -> np.ndarray:
    """Hash noise in [-0.5, 0.5): the generator of the SGMSE goldens."""
    i = np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64)
    v = (i * np.uint64(2654435761) + np.uint64((j + 1) * 1013904223)) % _MASK
    for shift, factor in ((15, 2246822519), (13, 3266489917)):
        v ^= v >> np.uint64(shift)
        v = v * np.uint64(factor) % _MASK
    v ^= v >> np.uint64(16)
    return (v.astype(np.float64) / 2**32 - 0.5).reshape(shape)


def uniform_weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Weights of the SGMSE goldens by official key."""
    state = {}
    for j, key in enumerate(sorted(shapes)):
        shape = shapes[key]
        u = uniform(shape, j)
        if key.endswith("num_batches_tracked"):
            u = np.zeros(shape)
        elif key.endswith("running_var"):
            u = 1 + 0.2 * u
        elif key.endswith("running_mean"):
            u = 0.2 * u
        elif len(shape) == 1 and key.endswith(".W"):
            u = 16 * np.sqrt(12) * u
        elif len(shape) >= 2:
            u = u * np.sqrt(12 / (np.prod(shape) / shape[0]))
        elif key.endswith("weight"):
            u = 1 + 0.2 * u
        else:
            u = 0.2 * u
        state[key] = torch.tensor(u, dtype=torch.float32)
    return state


def uniform_spectrum(shape: tuple[int, ...], j: int) -> Tensor:
    """Complex input with real part number j, imaginary part j + 1."""
    return torch.complex(*(torch.tensor(uniform(shape, k), dtype=torch.float32) for k in (j, j + 1)))


def sine_weights(shapes: dict[str, tuple[int, ...]], fixed: set[str]) -> dict[str, Tensor]:
    """Weights of the discriminative goldens by official key; ``fixed`` keys keep their rank and are not filled."""
    state = {}
    for k, key in enumerate(sorted(shapes)):
        if key in fixed:
            continue
        shape = shapes[key]
        s = np.sin(0.73 * np.arange(int(np.prod(shape)), dtype=np.float64) + 0.31 * k)
        if key.endswith("running_var"):
            value = 1 + 0.1 * s
        elif key.endswith(("gamma", "slope")) or (len(shape) == 1 and key.endswith("weight")):
            value = 0.5 + 0.1 * s
        elif len(shape) == 1 or key.endswith("beta"):
            value = 0.1 * s
        else:
            value = s / np.sqrt(np.prod(shape[1:]))
        state[key] = torch.tensor(value.reshape(shape), dtype=torch.float32)
    return state


def sine_signal(shape: tuple[int, ...], a: float = 0.3, w: float = 0.37, b: float = 0.0) -> Tensor:
    """Input of the discriminative goldens."""
    i = np.arange(int(np.prod(shape)), dtype=np.float64)
    value = a * np.sin(w * i + b) + 0.5 * a * np.sin(0.0113 * 1.7 * i + 1.0)
    return torch.tensor(value.reshape(shape), dtype=torch.float32)
