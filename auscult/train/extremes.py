"""The items that a validation gained most and least on: their sound and scores, to hear what a mean does not say.

samples/extremes-<step>/
    worst-1-noisy.flac   worst-1-restored.flac   worst-1-clean.flac   ...   best-1-noisy.flac   ...
    scores.json          item, gain, scores of the noisy and the restored side, what was drawn
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jaxtyping import Float32
from numpy import ndarray

from auscult.audio.clip import Clip
from auscult.audio.writer import write
from auscult.data.pairs import Pair
from auscult.evaluate.rows import Row
from auscult.files import write_bytes


@dataclass(frozen=True)
class Heard:
    """What there is to hear of an item, and what its noisy side scores."""

    pair: Pair
    restored: Float32[ndarray, "C T"]
    noisy: Mapping[str, float]


@dataclass(frozen=True)
class Judged:
    """A scored item, and its noisy input's scores in the metrics that its restoration has none in.

    ``gain`` is the improvement over the noisy side in the metric that is selected by: -inf where the net lost the
    score, NaN where there is nothing to compare or to hear.
    """

    row: Row
    lost: Mapping[str, float] = field(default_factory=dict)
    gain: float = math.nan
    heard: Heard | None = None


def ranked(judged: Sequence[Judged]) -> list[Judged]:
    """Items that can be compared, the one that gained least first."""
    return sorted((one for one in judged if not math.isnan(one.gain)), key=lambda one: one.gain)


def thinned(judged: Sequence[Judged], count: int) -> list[Judged]:
    """The same items; sound is kept of the ``count`` that gained most and the ``count`` that gained least."""
    order = ranked(judged)
    kept = {id(one) for one in (*order[:count], *order[max(0, len(order) - count) :])}
    return [one if id(one) in kept else replace(one, heard=None) for one in judged]


def extremes(judged: Sequence[Judged], count: int) -> dict[str, Judged]:
    """``worst-1``, ``worst-2`` ... and ``best-1`` ...: at most ``count`` each, and no item in both."""
    order = ranked(judged)
    best = len(order) // 2
    sides = {"worst": order[: min(count, len(order) - best)], "best": order[::-1][: min(count, best)]}
    return {f"{side}-{i}": one for side, items in sides.items() for i, one in enumerate(items, 1)}


def write_extremes(samples: Path, judged: Sequence[Judged], count: int, metric: str, step: int) -> None:
    """Write this validation's extremes; the last ones go when all of these are there.

    Raises:
        OutputError: the folder cannot be written.
    """
    chosen = extremes(judged, count)
    if not chosen:
        return
    fresh = samples / ".extremes"
    shutil.rmtree(fresh, ignore_errors=True)  # of a writer that was killed
    for place, one in chosen.items():
        assert one.heard is not None
        pair = one.heard.pair
        for role, wave in {"noisy": pair.noisy, "restored": one.heard.restored, "clean": pair.clean}.items():
            write(fresh / f"{place}-{role}.flac", Clip(wave, pair.rate_hz))
    table = {"step": step, "metric": metric, "items": [_told(place, one) for place, one in chosen.items()]}
    write_bytes(fresh / "scores.json", json.dumps(table, indent=1).encode())
    _take_place(fresh, samples / f"extremes-{step:08d}")


def _told(place: str, one: Judged) -> dict[str, Any]:
    assert one.heard is not None
    return {
        "place": place,
        "item": one.row.item,
        "gain": _number(one.gain),
        "noisy": {name: _number(value) for name, value in one.heard.noisy.items()},
        "restored": {name: _number(value) for name, value in one.row.scores.items()},
        "failed": dict(one.row.failures),
        "drawn": list(one.heard.pair.provenance),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _take_place(fresh: Path, path: Path) -> None:
    """Rename a complete folder to what readers look for, then remove the earlier ones."""
    if path.exists():  # this validation was done before, by a run that was killed before it saved
        path.rename(path.with_name(".replaced"))
    fresh.rename(path)
    for old in (*path.parent.glob("extremes-*"), path.with_name(".replaced")):
        if old != path:
            shutil.rmtree(old, ignore_errors=True)
