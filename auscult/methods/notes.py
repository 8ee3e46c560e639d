"""Numbers worth logging that nothing is learned from."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def gain(estimate: Float[Tensor, "B C T"], clean: Float[Tensor, "B C T"]) -> float:
    """<estimate, clean> / <clean, clean>, its mean over the items that are not silent; 1 where all is well.

    PESQ, STOI and SI-SDR do not hear a wrong level, and a net that is unsure is quiet: so this is to be watched.
    """
    estimate, clean = (wave.detach().flatten(1) for wave in (estimate, clean))
    energy = clean.square().sum(1)
    heard = energy > 1e-8 * clean.shape[1]
    if not heard.any():
        return 1.0
    return float(((estimate * clean).sum(1)[heard] / energy[heard]).mean())
