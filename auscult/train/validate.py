"""Validation: restore whole held-out items with fixed seeds, through the engine users get, and score them."""

from __future__ import annotations

import math
from bisect import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from auscult.audio.clip import Clip
from auscult.audio.level import peak
from auscult.audio.writer import write
from auscult.data.captions import as_text
from auscult.data.loader import ATTEMPTS
from auscult.data.pairs import Pair
from auscult.degrade.base import Unusable
from auscult.errors import DataError, RestorationError
from auscult.evaluate.rows import Row
from auscult.evaluate.score import Waves, mean, metrics_named, score_waves
from auscult.methods.base import Method
from auscult.restore.engine import Restorer
from auscult.restore.extension import ExtensionRequest
from auscult.restore.models import Model, model_of
from auscult.restore.references import ReferenceRequest, recalled
from auscult.rng import Key
from auscult.train.extremes import Heard, Judged, thinned
from auscult.train.settings import Validation

DATA = "validation"
SAMPLES = 3
"""Items whose restoration is kept as audio."""


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


class Baseline:
    """What the noisy sides of held-out items score: asked for at every validation, computed once."""

    def __init__(self, metrics: Sequence[str]):
        self._metrics = metrics
        self._known: dict[int, Mapping[str, float]] = {}

    def scores(self, number: int, pair: Pair) -> Mapping[str, float]:
        """Scores of the item of that number."""
        if number not in self._known:
            waves = Waves(pair.noisy, pair.rate_hz, pair.clean, pair.noisy)
            self._known[number] = score_waves(metrics_named(self._metrics), waves).scores
        return self._known[number]


def held_out(validation: Validation, key: Key) -> dict[int, Pair]:
    """The items to validate on, by their place in the source: the same at every validation and on every resume.

    An item that stays unusable gives way to the next one that is not wanted yet.

    Raises:
        DataError: none is left to take its place.
    """
    places = list(validation.indices())
    spare = sorted(set(range(len(validation.data))) - set(places))
    return dict(_usable(validation, key, index, spare) for index in places)


def validate(
    validation: Validation,
    method: Method,
    nets: Mapping[str, nn.Module],
    pairs: list[Pair],
    baseline: Baseline,
    device: torch.device,
    samples: Path | None,
    step: int,
) -> list[Judged]:
    """Restore and score the items; a few go to ``samples``: the last restoration, and that of every step.

    The sound of those that gained most and least stays with them.
    """
    restorer = Restorer(model_of("validation", method, nets, str(device)))
    metrics = metrics_named(validation.metrics)
    judged: list[Judged] = []
    for number, pair in enumerate(pairs):
        try:
            reference, extension = _request(restorer.model, pair), _extension(restorer.model, pair)
            restored = restorer.enhance(pair.noisy, pair.rate_hz, reference=reference, extension=extension)
        except RestorationError as error:  # the net has diverged: an item without scores, not the end of the run
            failures = {metric.label: str(error) for metric in metrics}
            lost = _lost(failures, baseline, number, pair)
            judged.append(Judged(Row(DATA, "net", pair.name, {}, failures), lost))
            continue
        found = score_waves(metrics, Waves(restored, pair.rate_hz, pair.clean, pair.noisy))
        row = Row(DATA, "net", pair.name, found.scores, found.failures)
        one = Judged(row, _lost(found.failures, baseline, number, pair))
        if validation.extremes:
            noisy = baseline.scores(number, pair)
            one = replace(one, gain=validation.gain(found.scores, noisy), heard=Heard(pair, restored, noisy))
        judged = thinned([*judged, one], validation.extremes)
        if samples is not None and number < SAMPLES:
            roles = {"noisy": pair.noisy, "restored": restored, "clean": pair.clean, f"step-{step:08d}": restored}
            for role, wave in roles.items():
                write(samples / f"{number}-{role}.flac", Clip(wave, pair.rate_hz))
    return judged


def _request(model: Model, pair: Pair) -> ReferenceRequest | None:
    """What a model that takes a noise reference is told of an item: what comes with it, else what is found in it."""
    if not (model.conditions and pair.conditions):
        return None
    return ReferenceRequest(recalled(pair.conditions, peak(pair.noisy)) or "none")


def _extension(model: Model, pair: Pair) -> ExtensionRequest | None:
    """What a model that hears text is told of an item. The target's roll-off, which restoration cannot know, is not."""
    if model.extension is None or not model.extension.text or "text" not in pair.conditions:
        return None
    return ExtensionRequest(caption=as_text(pair.conditions["text"]))


def _lost(failures: Mapping[str, str], baseline: Baseline, number: int, pair: Pair) -> Mapping[str, float]:
    """Which failures are the net's doing: the noisy input has a score there."""
    noisy = baseline.scores(number, pair) if failures else {}
    return {name: noisy[name] for name in failures if name in noisy}


def _usable(validation: Validation, key: Key, wanted: int, spare: list[int]) -> tuple[int, Pair]:
    """An item, or the next of the spare ones, round the end; those that are tried are spare no longer."""
    index = wanted
    while True:
        for attempt in range(ATTEMPTS):
            try:
                return index, validation.data.pair(index, key.child(index, attempt))
            except Unusable as error:
                reason = error
        if not spare:
            raise DataError(
                f"validation item {wanted} is unusable ({reason}), and none is left to take its place; exclude it from "
                "the validation data"
            )
        index = spare.pop(bisect(spare, wanted) % len(spare))
