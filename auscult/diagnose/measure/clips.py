"""Short pairs to ask a model about: the loudest stretch of a few items, at the model's rate and level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray

from auscult.audio.resample import fit_length, resample
from auscult.data.audit.relation import relation
from auscult.diagnose.evidence import HeardItem
from auscult.features.normalise import Normalise, Statistics
from auscult.rng import Key
from auscult.units import samples

CLIPS, LENGTH_S = 4, 1.5


def clips(
    items: Sequence[HeardItem], rate_hz: int, normalise: Normalise, count: int = CLIPS
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Clean and noisy [B, 1, T], normalised; None with fewer than three items that belong together."""
    length = samples(LENGTH_S, rate_hz)
    found = [pair for item in items if (pair := _clip(item, rate_hz, length)) is not None]
    chosen = [found[i] for i in sorted({int(i) for i in np.linspace(0, len(found) - 1, count)})] if found else []
    if len(chosen) < 3:
        return None
    clean, noisy = (np.stack(side)[:, None] for side in zip(*chosen, strict=True))
    gain = normalise.gain(Statistics.of(noisy if normalise.by == "noisy" else clean))[:, None, None]
    return torch.from_numpy(clean * gain), torch.from_numpy(noisy * gain)


def _clip(item: HeardItem, rate_hz: int, length: int) -> tuple[Float32[ndarray, " T"], Float32[ndarray, " T"]] | None:
    """None of items that are silent, not finite or not related."""
    if not (np.isfinite(item.clean).all() and np.isfinite(item.noisy).all()):
        return None
    related = relation(item.clean, item.noisy, item.rate_hz, 0.1)
    if related is None or related.si_sdr_db < -20.0 or related.si_sdr_db > 35.0:
        return None
    clean, noisy = (resample(side[None], item.rate_hz, rate_hz) for side in (item.clean, item.noisy))
    energy = np.concatenate([[0.0], np.cumsum(np.square(clean[0], dtype=np.float64))])
    starts = np.arange(0, max(1, clean.shape[1] - length + 1), rate_hz // 10)
    start = int(starts[np.argmax(energy[np.minimum(starts + length, clean.shape[1])] - energy[starts])])
    cut = [fit_length(side[:, start : start + length], length)[0] for side in (clean, noisy)]
    return (cut[0], cut[1]) if np.abs(cut[0]).max() > 1e-4 else None


def keys_of(count: int, key: Key) -> tuple[Key, ...]:
    """A key a clip."""
    return tuple(key.child(i) for i in range(count))
