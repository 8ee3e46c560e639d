"""Speech-like signals in noise, to ask a loss with where no data are at hand: every item has its own level."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.rng import Key

ITEMS, DURATION_S, SNR_DB = 4, 1.0, 5.0
LEVELS = (0.02, 0.05, 0.1, 0.2)
"""RMS of the items, full scale 1: gains of normalisation are far from 1, and unlike from item to item."""
BATCHES = 16


def synthetic_pairs(rate_hz: int) -> Iterator[dict[str, Float32[ndarray, "B T"]]]:
    """Batches of ``clean`` and ``noisy``: voiced syllables (a harmonic series under a falling envelope) in noise."""
    for number in range(BATCHES):
        clean = np.stack([_voiced(Key(0).child("synthetic", number, item), rate_hz) for item in range(ITEMS)])
        clean *= np.array(LEVELS)[:, None] / np.sqrt((clean**2).mean(1, keepdims=True))
        noise = Key(0).child("synthetic-noise", number).numpy().standard_normal(clean.shape)
        noise *= np.array(LEVELS)[:, None] * 10 ** (-SNR_DB / 20)
        yield {"clean": clean.astype(np.float32), "noisy": (clean + noise).astype(np.float32)}


def _voiced(key: Key, rate_hz: int) -> ndarray:
    rng = key.numpy()
    t = np.arange(round(DURATION_S * rate_hz)) / rate_hz
    pitch = rng.uniform(90, 220) * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * t + rng.uniform(0, 6)))
    phase = 2 * np.pi * np.cumsum(pitch) / rate_hz
    harmonics = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 24))
    syllables = np.clip(np.sin(2 * np.pi * rng.uniform(3, 5) * t + rng.uniform(0, 6)), 0, None) ** 0.5
    return harmonics * syllables + 1e-3 * rng.standard_normal(t.size)
