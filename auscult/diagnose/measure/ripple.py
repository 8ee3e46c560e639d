"""Ripple at the frame step: an envelope that rises and falls with the same phase in every file.

Frames that are put together with windows whose overlapping products do not add up to a constant (Griffin and Lim 1984)
leave a gain of the period of the hop, which begins with the file. Speech has no such thing: its periods begin anywhere,
so that over files they cancel. The envelopes of all files, each over its own slow course, are added from their
beginnings; one Fourier transform of the sum shows what they have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

SHORTEST_S, LONGEST_S = 0.002, 0.04
"""Periods that are hops of speech models."""
_SLOW_S = 0.1
_LOUDEST = 8.0
"""Times its slow course: what is louder is an onset."""
_QUIET = 1e-4
"""Of a file's mean power: quieter stretches are left out."""
_FILES = 4
"""At a time there must be so many to count."""


@dataclass(frozen=True)
class Ripple:
    """The clearest common period: ``depth`` of the power's first harmonic over its mean, ``z`` over that of the others.

    ``beside`` is the depth of the same period in the signals beside them. By chance z is below 5.
    """

    period_s: float
    depth: float
    beside: float
    z: float


NOTHING = Ripple(0.0, 0.0, 0.0, 0.0)


def ripple(files: Sequence[tuple[Float32[ndarray, " T"], Float32[ndarray, " T2"]]], rate_hz: int) -> Ripple:
    """Look for a ripple in outputs beside their references (or inputs), all at one rate and from their beginnings."""
    if len(files) < _FILES:
        return NOTHING
    outputs, others = ([_envelope(wave, rate_hz) for wave in side] for side in zip(*files, strict=True))
    size = max(wave.size for wave in (*outputs, *others))
    hertz = np.fft.rfftfreq(size, 1 / rate_hz)
    band = (hertz > 1 / LONGEST_S) & (hertz < min(1 / SHORTEST_S, rate_hz / 8))
    found, beside = (_spectrum(side, size)[band] for side in (outputs, others))
    if not found.size or (usual := float(np.median(found))) == 0.0:
        return NOTHING
    best = int(np.argmax(found))
    # of a Rayleigh distribution the median is sqrt(2 ln 2) of the deviation of either part
    return Ripple(
        float(1 / hertz[band][best]), float(found[best]), float(beside[best]), float(found[best] / usual * 1.1774)
    )


def _envelope(wave: ndarray, rate_hz: int) -> Float[ndarray, " T"]:
    """Power over its own slow course, less one; 0 where it is quiet."""
    from scipy.ndimage import uniform_filter1d

    power = np.square(wave.astype(np.float64))
    slow = uniform_filter1d(power, max(1, round(_SLOW_S * rate_hz)), mode="nearest")
    heard = slow > _QUIET * float(power.mean() or 1.0)
    course: ndarray = np.where(heard, np.minimum(power / np.where(heard, slow, 1.0), _LOUDEST) - 1.0, 0.0)
    return course


def _spectrum(envelopes: Sequence[ndarray], size: int) -> Float[ndarray, " F"]:
    """Depth of every period in the sum of the envelopes."""
    total, heard = np.zeros(size), 0
    for one in envelopes:
        total[: one.size] += one
        heard += int(np.count_nonzero(one))
    depth: ndarray = 2 * np.abs(np.fft.rfft(total)) / max(heard, 1)
    return depth
