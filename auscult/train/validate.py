"""Validation: restore whole held-out items with fixed seeds, through the engine users get, and score them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from auscult.audio.clip import Clip
from auscult.audio.writer import write
from auscult.data.loader import ATTEMPTS
from auscult.data.pairs import Pair
from auscult.degrade.base import Unusable
from auscult.errors import DataError, RestorationError
from auscult.evaluate.rows import Row
from auscult.evaluate.score import Waves, mean, metrics_named, score_waves
from auscult.methods.base import Method
from auscult.metrics.base import Metric
from auscult.restore.engine import Restorer
from auscult.restore.models import model_of
from auscult.rng import Key
from auscult.train.settings import Validation

DATA = "validation"
SAMPLES = 3
"""Items whose restoration is kept as audio."""


@dataclass(frozen=True)
class Judged:
    """A scored item, and its noisy input's scores in the metrics that its restoration has none in."""

    row: Row
    lost: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """Scores of a validation: per item, the mean of each metric over items where it is defined, and items lost.

    ``standing`` is what nets are compared by. A mean over fewer, easier items would flatter a net that fails on the
    others; so an item that the net lost counts as if it had been left as it was.
    """

    rows: tuple[Row, ...]
    means: Mapping[str, float]
    standing: Mapping[str, float]
    lost: Mapping[str, int]

    @classmethod
    def of(cls, judged: Sequence[Judged], metrics: Sequence[str]) -> Outcome:
        rows = tuple(item.row for item in judged)
        names = [metric.label for metric in metrics_named(metrics)]
        lost = Counter(name for item in judged for name in item.lost)
        left = [replace(item.row, scores={**item.row.scores, **item.lost}) for item in judged]
        means, standing = ({name: mean(side, name) for name in names} for side in (rows, left))
        standing = {name: value if math.isfinite(means[name]) else math.nan for name, value in standing.items()}
        return cls(rows, means, standing, dict(lost))


def held_out(validation: Validation, key: Key) -> list[Pair]:
    """The items to validate on: the same at every validation and on every resume.

    Raises:
        DataError: an item stays unusable.
    """
    return [_usable(validation, key, index) for index in validation.indices()]


def validate(
    validation: Validation,
    method: Method,
    nets: Mapping[str, nn.Module],
    pairs: list[Pair],
    device: torch.device,
    samples: Path | None,
    step: int,
) -> list[Judged]:
    """Restore and score the items; a few go to ``samples``: the last restoration, and that of every step."""
    restorer = Restorer(model_of("validation", method, nets, str(device)))
    metrics = metrics_named(validation.metrics)
    judged = []
    for number, pair in enumerate(pairs):
        try:
            restored = restorer.enhance(pair.noisy, pair.rate_hz)
        except RestorationError as error:  # the net has diverged: an item without scores, not the end of the run
            failures = {metric.label: str(error) for metric in metrics}
            judged.append(Judged(Row(DATA, "net", pair.name, {}, failures), _lost(metrics, pair, failures)))
            continue
        found = score_waves(metrics, Waves(restored, pair.rate_hz, pair.clean, pair.noisy))
        row = Row(DATA, "net", pair.name, found.scores, found.failures)
        judged.append(Judged(row, _lost(metrics, pair, found.failures)))
        if samples is not None and number < SAMPLES:
            roles = {"noisy": pair.noisy, "restored": restored, "clean": pair.clean, f"step-{step:08d}": restored}
            for role, wave in roles.items():
                write(samples / f"{number}-{role}.flac", Clip(wave, pair.rate_hz))
    return judged


def _lost(metrics: Sequence[Metric], pair: Pair, failures: Mapping[str, str]) -> Mapping[str, float]:
    """Which failures are the net's doing: the noisy input has a score there."""
    if not failures:
        return {}
    lost = [metric for metric in metrics if metric.label in failures]
    return score_waves(lost, Waves(pair.noisy, pair.rate_hz, pair.clean, pair.noisy)).scores


def _usable(validation: Validation, key: Key, index: int) -> Pair:
    for attempt in range(ATTEMPTS):
        try:
            return validation.data.pair(index, key.child(index, attempt))
        except Unusable as error:
            reason = error
    raise DataError(f"validation item {index} is unusable ({reason}); exclude it from the validation data")
