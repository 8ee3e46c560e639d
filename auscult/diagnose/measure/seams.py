"""Seams: steps and clicks of outputs at one period in all files, where chunks were joined.

What speech does at a place of one file it does not do at the same place of others. So the roughness of an output is
ranked within its file, its reference's subtracted, and a period is looked for at whose multiples the ranks of all
files are high. A place that is among the share u of the roughest counts -ln u (Fisher 1932): where nothing is the
matter the sum over n places follows a gamma law, and a seam that is the roughest of its file counts most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

FRAME_S = 0.01
_SHORTEST_S, _LONGEST_S = 0.2, 12.0
_GRID = 0.25
"""Frames between periods that are tried."""
_BESIDE = 4
"""Frames on either side that a step is measured between."""
_FEWEST = 4
"""Ranks that a multiple needs to count."""


@dataclass(frozen=True)
class Seams:
    """The clearest period: how far beyond chance (as a normal deviate), mean rank, and what is rough there.

    ``rank`` is 0.5 by chance, 1 where every seam is the roughest place of its file.
    """

    period_s: float
    z: float
    rank: float
    places: int
    kind: str


NOTHING = Seams(0.0, 0.0, 0.5, 0, "")


def seams(files: Sequence[tuple[Float32[ndarray, " T"], Float32[ndarray, " T2"]]], rate_hz: int) -> Seams:
    """Look for a period in outputs beside their inputs (or references), all at one rate and from their beginnings."""
    size = round(FRAME_S * rate_hz)
    found = [NOTHING]
    for kind, roughness in (("step of level", _steps), ("click", _clicks)):
        ranks = [_ranks(roughness(enhanced, beside, size)) for enhanced, beside in files]
        found.append(_best(_stacked(ranks), kind))
    return max(found, key=lambda one: one.z)


def _steps(enhanced: ndarray, beside: ndarray, size: int) -> Float[ndarray, " N"]:
    """How much the gain of the output over the other changes at the beginning of each frame."""
    levels = [_levels_db(wave, size) for wave in (enhanced, beside)]
    count = min(level.size for level in levels)
    gain = levels[0][:count] - levels[1][:count]
    total = np.concatenate([[0.0], np.cumsum(gain)])
    at = np.arange(_BESIDE, count - _BESIDE + 1)
    after, before = total[at + _BESIDE] - total[at], total[at] - total[at - _BESIDE]
    return _within(np.abs(after - before) / _BESIDE, count, _BESIDE)


def _clicks(enhanced: ndarray, beside: ndarray, size: int) -> Float[ndarray, " N"]:
    """The largest third difference around the beginning of each frame over those of the frames beside it."""
    excess = [_sharpness(wave, size) for wave in (enhanced, beside)]
    count = min(one.size for one in excess)
    return excess[0][:count] - excess[1][:count]


def _sharpness(wave: ndarray, size: int) -> ndarray:
    from scipy.ndimage import median_filter

    third = np.abs(np.diff(wave.astype(np.float64), 3, prepend=0.0, append=[0.0, 0.0]))
    centred = third[size // 2 :]  # frames around multiples of the frame, so that a seam at one lies in the middle
    tops = centred[: centred.size // size * size].reshape(-1, size).max(1)
    sharp: ndarray = np.log(tops + 1e-7) - median_filter(np.log(tops + 1e-7), 9, mode="nearest")
    return np.concatenate([[-9.0], sharp])


def _levels_db(wave: ndarray, size: int) -> ndarray:
    frames = wave[: wave.size // size * size].reshape(-1, size).astype(np.float64)
    levels: ndarray = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-9)
    return levels


def _within(values: ndarray, count: int, margin: int) -> ndarray:
    whole = np.full(count, -1.0)
    whole[margin : margin + values.size] = values
    return whole


def _ranks(values: ndarray) -> ndarray:
    """Of the roughest frame among each and its neighbours, from 0 to 1; NaN at the ends, where nothing is known."""
    from scipy.ndimage import maximum_filter1d
    from scipy.stats import rankdata

    if values.size < 4 * _BESIDE:
        return np.full(values.size, np.nan)
    wide = maximum_filter1d(values, 3)
    ranks: ndarray = rankdata(wide) / wide.size
    ranks[: 2 * _BESIDE] = np.nan
    ranks[-2 * _BESIDE :] = np.nan
    return ranks


def _stacked(ranks: Sequence[ndarray]) -> Float[ndarray, "files N"]:
    table = np.full((len(ranks), max(one.size for one in ranks)), np.nan)
    for row, one in zip(table, ranks, strict=True):
        row[: one.size] = one
    return table


def _deviate(total: float, count: int) -> float:
    """The normal deviate that is as rare as a sum of so many exponential ones (Wilson and Hilferty 1931)."""
    spread = 1 / (9 * count)
    return float(((total / count) ** (1 / 3) - 1 + spread) / np.sqrt(spread))


def _best(table: Float[ndarray, "files N"], kind: str) -> Seams:
    """The period with the clearest ranks at its multiples, two or more of them."""
    known = np.isfinite(table)
    total, counts = np.where(known, table, 0.0).sum(0), known.sum(0)
    surprise = np.where(known, -np.log(np.clip(1 - table, 1 / (2 * table.shape[1]), 1.0)), 0.0).sum(0)
    best = NOTHING
    longest = min(_LONGEST_S / FRAME_S, table.shape[1] / 2)
    for period in np.arange(_SHORTEST_S / FRAME_S, longest, _GRID):
        places = np.round(np.arange(period, table.shape[1] - 1, period)).astype(int)
        count = int(counts[places].sum())
        if count < _FEWEST or (counts[places] > 0).sum() < 2:
            continue
        rank = float(total[places].sum() / count)
        each = total[places] / np.maximum(counts[places], 1)
        z = _deviate(float(surprise[places].sum()), count)
        steady = float(np.mean(each[counts[places] > 0] > 0.7))
        if z > best.z and steady > 0.75:
            best = Seams(float(period) * FRAME_S, float(z), rank, count, kind)
    return best
