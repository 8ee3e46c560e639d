"""How well a metric discriminator foresees its metric, on a set of waves that stays the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import nn

from auscult.data.pairs import Pair
from auscult.features.normalise import Statistics
from auscult.methods.base import Method
from auscult.methods.labels import SPAN, rated
from auscult.rng import Draws
from auscult.units import amplitude, samples, to_db

SNRS_DB = (0.0, 10.0, 20.0)
ITEMS = 16
Wave = Float32[ndarray, "1 T"]


@dataclass(frozen=True)
class Answers:
    """What the discriminator said of candidates, and what they deserved; one restoration an item among them."""

    said: Float[ndarray, " K"]
    deserved: Float[ndarray, " K"]
    restored: ndarray
    of_clean: Float[ndarray, " I"]


def calibration(
    method: Method, nets: Mapping[str, nn.Module], pairs: Sequence[Pair], length_s: float
) -> dict[str, float] | None:
    """Correlation, slope, bias and error of the ratings of restored, noisy and remixed items against their labels.

    ``rmse_pesq`` is in PESQ; ``optimism`` is rating less label of the restorations: where it grows, the net has
    learned to please the discriminator rather than the listener. ``of_clean`` should be 1. None for a method without
    discriminator, or where fewer than three candidates have labels.
    """
    answers = _answers(method, nets, pairs[:ITEMS], samples(length_s, method.rate_hz))
    if answers is None or answers.said.size < 3:
        return None
    from scipy.stats import spearmanr

    said, deserved = answers.said, answers.deserved
    varied = said.std() > 0 and deserved.std() > 0
    slope, bias = np.polyfit(deserved, said, 1) if varied else (0.0, float(said.mean()))
    gaps = (said - deserved)[answers.restored]
    return {
        "candidates": said.size,
        "pearson": float(np.corrcoef(said, deserved)[0, 1]) if varied else 0.0,
        "spearman": float(spearmanr(said, deserved).statistic) if varied else 0.0,
        "slope": float(slope),
        "bias": float(bias),
        "rmse_pesq": SPAN * float(np.sqrt(np.mean((said - deserved) ** 2))),
        "optimism": float(gaps.mean()) if gaps.size else 0.0,
        "of_clean": float(answers.of_clean.mean()),
    }


@torch.inference_mode()
def _answers(method: Method, nets: Mapping[str, nn.Module], pairs: Sequence[Pair], length: int) -> Answers | None:
    device = next(next(iter(nets.values())).parameters()).device

    def rating(clean: Wave, candidate: Wave) -> float | None:
        waves = (torch.from_numpy(wave[None]).to(device) for wave in (clean, candidate))
        found = method.rated(nets, *waves)
        return None if found is None else float(found)

    said, deserved, restored, of_clean = [], [], [], []
    for pair in pairs:
        clean, noisy = _normalised(method, pair, length)
        if (perfect := rating(clean, clean)) is None:
            return None
        of_clean.append(perfect)
        estimate = method.restore(nets, torch.from_numpy(noisy[None]).to(device), Draws([0]))[0].float().cpu().numpy()
        for number, candidate in enumerate((estimate, noisy, *_remixed(clean, noisy))):
            label = rated(clean[0], candidate[0], method.rate_hz)
            answer = rating(clean, candidate)
            if label.value is not None and answer is not None:
                said.append(answer)
                deserved.append(label.value)
                restored.append(number == 0)
    return Answers(np.array(said), np.array(deserved), np.array(restored, bool), np.array(of_clean))


def _normalised(method: Method, pair: Pair, length: int) -> tuple[Wave, Wave]:
    """The middle of a pair, at the level the method works at."""
    start = max(0, (pair.clean.shape[1] - length) // 2)
    clean, noisy = (wave[:1, start : start + length].astype(np.float32) for wave in (pair.clean, pair.noisy))
    gain = method.normalise.gain(Statistics.of(noisy[None]))[0]
    return clean * gain, noisy * gain


def _remixed(clean: Wave, noisy: Wave) -> Iterator[Wave]:
    """The same speech with its own noise at other levels."""
    noise = noisy - clean
    powers = [float(np.mean(np.square(wave, dtype=np.float64))) for wave in (clean, noise)]
    if min(powers) > 0:
        for snr_db in SNRS_DB:
            factor = amplitude(to_db(powers[0]) - to_db(powers[1]) - snr_db)
            yield (clean + np.float32(factor) * noise).astype(np.float32)
