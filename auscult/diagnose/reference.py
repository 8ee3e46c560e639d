"""Reference curves: how healthy runs of a shipped recipe learn, as mean and band over seeds.

They lie in ``reference/<recipe>.json`` and are made from run folders by ``benchmarks/reference_curves.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import t as student

from auscult.diagnose.evidence import Curve, Curves
from auscult.errors import DataError
from auscult.files import write_bytes

FOLDER = Path(__file__).parent / "reference"
POINTS = 40
FEWEST_RUNS = 3
LEVEL = 0.95
SETTINGS = ("steps", "batch", "accumulate", "lr", "crop_s", "ema_decay")
"""Facts that must be alike before curves can be compared."""


@dataclass(frozen=True)
class Band:
    """Where a new healthy run lies with 95 % probability, at each of ``at``."""

    at: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True)
class Reference:
    """Healthy runs of one recipe."""

    recipe: str
    runs: int
    settings: Mapping[str, float]
    recordings: str
    curves: Mapping[str, Band]


@dataclass(frozen=True)
class Placed:
    """A curve against a band: shares of the later half of what both cover that lie above and below it."""

    above: float
    below: float
    points: int
    value: float
    low: float
    high: float


def load(recipe: str, folder: Path = FOLDER) -> Reference | None:
    """The reference of a shipped recipe; None where there is none.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / f"{recipe}.json"
    if not path.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        curves = {name: Band(**band) for name, band in found.pop("curves").items()}
        return Reference(**found, curves=curves)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: damaged ({type(error).__name__}); make it again (make bench-reference)") from error


def write(reference: Reference, folder: Path = FOLDER) -> Path:
    """Store a reference, five digits a number."""
    path = folder / f"{reference.recipe}.json"
    content = asdict(reference)
    for band in content["curves"].values():
        band.update({name: [float(f"{value:.5g}") for value in values] for name, values in band.items()})
    write_bytes(path, (json.dumps(content) + "\n").encode())
    return path


def build(recipe: str, runs: Sequence[Curves], settings: Mapping[str, float], recordings: str) -> Reference:
    """Mean and band of healthy runs of one recipe that differ in the seed only.

    The band is the prediction interval of one further run (Student's t over runs), with the deviation pooled over
    neighbouring points, since a few seeds give a poor deviation each.

    Raises:
        DataError: fewer than three runs.
    """
    if len(runs) < FEWEST_RUNS:
        raise DataError(f"{recipe}: {len(runs)} runs; a band takes {FEWEST_RUNS} with different seeds or more")
    end = min(run.last for run in runs)
    names = [name for name in runs[0].curves if name == "train.loss" or name.startswith("valid.")]
    shared = [name for name in names if all(name in run.curves for run in runs)]
    curves = {name: band for name in shared if (band := _band([run.curves[name] for run in runs], end)) is not None}
    return Reference(recipe, len(runs), dict(settings), recordings, curves)


def _band(curves: Sequence[Curve], end: float) -> Band | None:
    edges = np.linspace(0, end, min(POINTS, min(curve.at.size for curve in curves)) + 1)
    table = np.array([binned(curve, edges) for curve in curves])
    known = np.isfinite(table).all(axis=0)
    if not known.any():
        return None
    table, at = table[:, known], edges[1:][known]
    mean, count = table.mean(axis=0), len(curves)
    variance = _pooled(table.var(axis=0, ddof=1))
    reach = student.ppf((1 + LEVEL) / 2, count - 1) * np.sqrt(variance * (1 + 1 / count))
    return Band(*(values.tolist() for values in (at, mean, mean - reach, mean + reach)))


def _pooled(variance: Float[ndarray, " n"], width: int = 5) -> Float[ndarray, " n"]:
    padded = np.pad(variance, width // 2, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, width).mean(axis=1)


def binned(curve: Curve, edges: Float[ndarray, " n+1"]) -> Float[ndarray, " n"]:
    """Means between edges; NaN where nothing is."""
    known = np.isfinite(curve.values)
    place = np.searchsorted(edges, curve.at[known], side="left") - 1
    inside = (place >= 0) & (place < edges.size - 1)
    sums = np.bincount(place[inside], curve.values[known][inside], edges.size - 1)
    counts = np.bincount(place[inside], minlength=edges.size - 1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def place(curve: Curve, band: Band, widened: float = 2.0) -> Placed | None:
    """Where a curve lies; the band is widened by a factor. None where fewer than three points are shared."""
    at, mean = np.array(band.at), np.array(band.mean)
    edges = np.concatenate([[at[0] - (at[1] - at[0] if at.size > 1 else at[0])], at])
    values = binned(curve, edges)
    known = np.flatnonzero(np.isfinite(values))
    later = known[known.size // 2 :]
    if known.size < 3:
        return None
    low = mean - widened * (mean - np.array(band.low))
    high = mean + widened * (np.array(band.high) - mean)
    above, below = values[later] > high[later], values[later] < low[later]
    last = int(later[-1])
    numbers = (float(values[last]), float(band.low[last]), float(band.high[last]))
    return Placed(float(above.mean()), float(below.mean()), later.size, *numbers)
