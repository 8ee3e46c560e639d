"""An output beside its reference and its input: what came of rate, length, place, sign and level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from auscult.audio.clip import read
from auscult.audio.resample import resample
from auscult.data.audit.levels import Levels, levels
from auscult.data.audit.relation import Relation, relation
from auscult.diagnose.evidence import OutputItem, Outputs
from auscult.errors import AudioError
from auscult.units import to_db

MOST = 32
"""Items that are listened to."""
LONGEST_S = 8.0
MOST_LAG_S = 0.5
_BANDS, _FRAME_S = 12, 0.02


@dataclass(frozen=True)
class Heard:
    """The beginning of one item as float32 in its own channel 0, not finite samples as they are.

    ``samples`` and rates are of the whole files; the waves of clean and noisy are at the output's rate.
    """

    item: OutputItem
    rate_hz: int
    samples: int
    enhanced: Float32[ndarray, " T"]
    clean: Float32[ndarray, " T2"] | None
    noisy: Float32[ndarray, " T3"] | None
    clean_hz: int = 0
    clean_samples: int = 0

    @property
    def expected(self) -> int:
        """Samples that the reference makes at the output's rate."""
        return round(self.clean_samples * self.rate_hz / self.clean_hz) if self.clean_hz else 0


@lru_cache(maxsize=1)
def listen(outputs: Outputs) -> tuple[tuple[Heard, ...], tuple[tuple[str, str], ...]]:
    """Items spread over the set and neighbours of each other, and those that could not be read."""
    heard: list[Heard] = []
    unreadable: list[tuple[str, str]] = []
    for item in _chosen(outputs.items):
        try:
            heard.append(_heard(item))
        except AudioError as error:
            unreadable.append((item.name, str(error)))
    return tuple(heard), tuple(unreadable)


def _chosen(items: Sequence[OutputItem]) -> list[OutputItem]:
    """Runs of four neighbours, so that a list that slipped by one shows."""
    if len(items) <= MOST:
        return list(items)
    starts = np.linspace(0, len(items) - 4, MOST // 4).astype(int)
    return [items[i] for i in sorted({start + k for start in starts for k in range(4)})]


def _heard(item: OutputItem) -> Heard:
    """Read an item.

    Raises:
        AudioError: a file cannot be read.
    """
    enhanced, rate_hz, samples = _beginning(item.enhanced)
    sides: list[ndarray | None] = []
    facts = (0, 0)
    for path in (item.clean, item.noisy):
        if path is None:
            sides.append(None)
            continue
        wave, own_hz, own_samples = _beginning(path)
        facts = facts if facts[0] else (own_hz, own_samples)
        sides.append(resample(wave[None], own_hz, rate_hz)[0])
    return Heard(item, rate_hz, samples, enhanced, sides[0], sides[1], *facts)


def _beginning(path: Path) -> tuple[Float32[ndarray, " T"], int, int]:
    from auscult.audio.clip import probe

    info = probe(path)
    clip = read(path, 0, min(info.samples, round(LONGEST_S * info.rate_hz)))
    return clip.wave[0], info.rate_hz, info.samples


@dataclass(frozen=True)
class Agreement:
    """One output against its clean reference and its noisy input.

    Args:
        to_clean, to_noisy: of the output; ``input_to_clean`` of the noisy input. None where a side is not known, is
            silent or not finite.
        up: the best gain on the output against the clean signal, and ``down`` the clean signal's in the output: an
            estimate that is neither too low nor too high has both at or below one.
        copy_db: SI-SDR of the output against the noisy input, at lag 0.
    """

    name: str
    levels: Levels
    clean_levels: Levels | None
    noisy_levels: Levels | None
    to_clean: Relation | None
    to_noisy: Relation | None
    input_to_clean: Relation | None
    up: float
    down: float


def agreement(heard: Heard) -> Agreement:
    """Measure one item."""
    hz, enhanced = heard.rate_hz, np.nan_to_num(heard.enhanced, posinf=0.0, neginf=0.0)
    to_clean, to_noisy = (_related(side, enhanced, hz) for side in (heard.clean, heard.noisy))
    up, down = _gains(heard.clean, enhanced, to_clean.lag_samples if to_clean else 0)
    clean, noisy = (levels(side, hz) if side is not None else None for side in (heard.clean, heard.noisy))
    before = _related(heard.clean, heard.noisy, hz) if heard.noisy is not None else None
    return Agreement(heard.item.name, levels(heard.enhanced, hz), clean, noisy, to_clean, to_noisy, before, up, down)


def _related(reference: ndarray | None, other: ndarray, rate_hz: int) -> Relation | None:
    return None if reference is None else relation(reference, other, rate_hz, MOST_LAG_S)


def _gains(clean: ndarray | None, enhanced: ndarray, lag: int) -> tuple[float, float]:
    """<x, s> / <x, x> and <x, s> / <s, s>, aligned."""
    if clean is None:
        return np.nan, np.nan
    late, early = enhanced[max(lag, 0) :], clean[max(-lag, 0) :]
    size = min(late.size, early.size)
    x, s = late[:size].astype(np.float64), early[:size].astype(np.float64)
    joint = abs(float(x @ s))
    return joint / max(float(x @ x), 1e-20), joint / max(float(s @ s), 1e-20)


def level_off_db(up: float, down: float) -> float:
    """How much too high (above 0) or too low an estimate is; 0 for every gain between Wiener's and the true one."""
    if down > 1.0:
        return to_db(down**2)
    return -to_db(up**2) if up > 1.0 else 0.0


def fingerprint(wave: Float32[ndarray, " T"], rate_hz: int) -> Float[ndarray, "bands N"]:
    """Log energies of 12 bands up to 4 kHz in frames of 20 ms, means removed: what is said, and hardly how."""
    size = round(_FRAME_S * rate_hz)
    frames = wave[: wave.size // size * size].reshape(-1, size).astype(np.float64)
    power = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)) ** 2
    edges = np.unique(np.round(np.geomspace(100, min(4000, rate_hz / 2), _BANDS + 1) * _FRAME_S).astype(int))
    bands = np.stack([power[:, a:b].sum(1) for a, b in pairwise(edges)])
    level = np.log(bands + 1e-5 * bands.mean(1, keepdims=True) + 1e-12)
    centred: ndarray = level - level.mean(1, keepdims=True)
    return centred


def likeness(a: Float[ndarray, "bands N"], b: Float[ndarray, "bands N2"]) -> float:
    """Correlation of two fingerprints over the frames that both have; 0 below half a second."""
    size = min(a.shape[1], b.shape[1])
    if size * _FRAME_S < 0.5:
        return 0.0
    x, y = a[:, :size], b[:, :size]
    total = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float((x * y).sum()) / total if total > 0 else 0.0
