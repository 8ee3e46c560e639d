"""Means with 95 % intervals by bootstrap over items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def interval(values: Sequence[float], draws: int = 4_000, seed: int = 0) -> tuple[float, float, float]:
    """Mean, lower and upper end (percentile bootstrap)."""
    array = np.asarray(values)
    index = np.random.default_rng(seed).integers(array.size, size=(draws, array.size))
    low, high = np.quantile(array[index].mean(axis=1), [0.025, 0.975])
    return float(array.mean()), float(low), float(high)


def cell(values: Sequence[float], digits: int) -> str:
    """``2.31 [2.20, 2.43]``."""
    mean, low, high = interval(values)
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
