"""Holes in a pair: stretches of digital silence on both sides at once that break a sound off.

Noise that was added sounds in pauses too, so a pair is digitally silent only where a file lost its samples. Silence
that a recording fades into (a gated pause, the end of a noise clip) is no hole.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32
from numpy import ndarray

HOLE_S = 0.05
"""Shorter ones are those of coders and of quiet 16-bit files."""
_BESIDE_S = 0.005
_CUT_DB = -30.0
"""A sound that lies at an edge no further below the recording's RMS is broken off there."""


def holes(clean: Float32[ndarray, " T"], noisy: Float32[ndarray, " T"], rate_hz: int) -> float:
    """Share of a pair's time that lies in holes, silence at its ends left out."""
    sounding = (clean != 0) | (noisy != 0)
    places = np.flatnonzero(sounding)
    if places.size < 2:
        return 0.0
    apart = np.diff(places) > HOLE_S * rate_hz
    starts, ends = ((side[apart] + k).tolist() for side, k in ((places[:-1], 1), (places[1:], 0)))
    lost = [end - start for start, end in zip(starts, ends, strict=True) if _cut(noisy, sounding, start, end, rate_hz)]
    return float(sum(lost)) / clean.size


def _cut(noisy: Float32[ndarray, " T"], sounding: Bool[ndarray, " T"], start: int, end: int, rate_hz: int) -> bool:
    """Whether a sound is broken off where a hole starts, or set in at full level where it ends."""
    beside = round(_BESIDE_S * rate_hz)
    power = float(np.mean(np.square(noisy[sounding], dtype=np.float64)))
    edges = noisy[max(0, start - beside) : start], noisy[end : end + beside]
    loudest = max(float(np.mean(np.square(edge, dtype=np.float64))) for edge in edges)
    return loudest > power * 10 ** (_CUT_DB / 10)
