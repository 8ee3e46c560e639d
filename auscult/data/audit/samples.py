"""Whether samples are distributed like those of recorded sound, whatever was recorded.

Sounds that add up have an amplitude density that is highest near zero and falls to both sides (of Gaussian noise the
density near zero is 1.3 times that between half a standard deviation and one, of speech 5 to 20 times, of a lone sine,
the flattest of sounds, 0.8 times), and a band limit, because of which neighbours seldom lie at opposite
extremes. Codes, bytes and integers that are taken for samples, or overflow, break these laws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

_CENTRE, _SIDE = 0.1, (0.5, 1.0)
"""Standard deviations from the median."""
_ACROSS = 1.5
"""Peaks that a step between neighbours spans: white noise makes one such step in 100 000."""


@dataclass(frozen=True)
class Samples:
    """Of one recording.

    Args:
        peaked: density within 0.1 standard deviations of the median over that between 0.5 and 1.
        across: share of the steps between neighbours that span more than 1.5 times the peak.
    """

    peaked: float
    across: float


def samples_law(wave: Float32[ndarray, " T"]) -> Samples | None:
    """Measure a recording that is finite; None of silence or less than 1000 samples."""
    around = (wave - np.median(wave)).astype(np.float64)
    deviation = float(around.std())
    if wave.size < 1_000 or deviation < 1e-6:
        return None
    away = np.abs(around) / deviation
    centre = float(np.mean(away < _CENTRE)) / _CENTRE
    side = float(np.mean((away >= _SIDE[0]) & (away < _SIDE[1]))) / (_SIDE[1] - _SIDE[0])
    steps = np.abs(np.diff(around))
    return Samples(centre / max(side, 1e-6), float(np.mean(steps > _ACROSS * np.abs(around).max())))
