"""What the target holds in its pauses: a noise of its own, or a quieter copy of what it should be free of.

Let y = g s + n be a mixture of a target s with noise n. Between them, coherence and regression are tied: with
b = <s, y> / <y, y> the coherence is |<s, y>|^2 / (<s, s> <y, y>) = g b, in pauses as in speech. A target that was
denoised, gated, or mixed from the same noise holds a y in its pauses, a < 1, though 1 in speech: there the coherence
is 1 and the regression a. What the coherence exceeds g b by tells such a copy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.data.audit.additive import spectra
from auscult.units import to_db

_QUIET = 0.1
_AUDIBLE = 1e-9
_FEWEST = 4


@dataclass(frozen=True)
class Pauses:
    """Of the quietest tenth of a target's frames that are not digital silence.

    Args:
        copied: what the coherence of target and mixture, all bins together, exceeds that of a plain mixture by: 0
            without a copy, 1 - a with one of level a.
        level_db: of the target under the mixture there, as far as they cohere.
    """

    copied: float
    level_db: float


def pauses(clean: Float32[ndarray, " T"], noisy: Float32[ndarray, " T"], gain: float, rate_hz: int) -> Pauses | None:
    """Measure an aligned pair that holds its target at ``gain``; None of silence or less than 40 frames."""
    x, y = (spectra(side, rate_hz) for side in (clean, noisy))
    energy = np.sum(np.abs(x) ** 2, axis=1)
    sounding = np.flatnonzero(energy > _AUDIBLE * energy.max(initial=0.0))
    count = int(_QUIET * sounding.size)
    if count < _FEWEST:
        return None
    quiet = sounding[np.argsort(energy[sounding])][:count]
    own, other = (float(np.sum(np.abs(side[quiet]) ** 2)) for side in (x, y))
    if min(own, other) <= 0.0:
        return None
    cross = complex(np.vdot(x[quiet], y[quiet]))
    coherence = abs(cross) ** 2 / (own * other)
    return Pauses(coherence - gain * cross.real / other, to_db(abs(cross) ** 2 / other**2))
