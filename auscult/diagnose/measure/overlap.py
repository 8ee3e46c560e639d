"""Whether a piece of noise is a piece of another recording, sample by sample. numpy only."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.signal import correlate

SAME, RIVAL = 0.98, 0.9
"""Correlation of one recording with itself; anywhere else a tone may have as much, noise has not."""
APART_S, PIECE_S = 0.004, 0.2


def overlaps(reference: Float[ndarray, " R"], noise: Float[ndarray, " T"], rate_hz: int) -> bool:
    """Whether the beginning, middle or end of a reference lies in the noise: at one place only, so no mere tone."""
    length = min(round(PIECE_S * rate_hz), reference.size)
    starts = sorted({0, (reference.size - length) // 2, reference.size - length})
    return any(_lies_in(reference[start : start + length], noise, round(APART_S * rate_hz)) for start in starts)


def _lies_in(piece: Float[ndarray, " P"], noise: Float[ndarray, " T"], apart: int) -> bool:
    if piece.size < 64 or noise.size < piece.size or not piece.any():
        return False
    found = np.abs(correlations(piece, noise))
    at = int(found.argmax())
    elsewhere = np.concatenate([found[: max(0, at - apart)], found[at + apart + 1 :]])
    return bool(found[at] > SAME and (elsewhere.size == 0 or elsewhere.max() < RIVAL))


def correlations(piece: Float[ndarray, " P"], noise: Float[ndarray, " T"]) -> Float[ndarray, " places"]:
    """Normalised correlation of a piece with the noise at every place where it lies within; 0 over silence."""
    piece, noise = piece.astype(np.float64), noise.astype(np.float64)
    products = correlate(noise, piece, "valid", "fft")
    energy = np.concatenate([[0.0], np.cumsum(noise**2)])
    local = energy[piece.size :] - energy[: -piece.size]
    heard = local > 1e-6 * max(float(local.max()), 1e-30)
    return np.where(heard, products / np.sqrt(np.maximum(local, 1e-30) * float(piece @ piece)), 0.0)
