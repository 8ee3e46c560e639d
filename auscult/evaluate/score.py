"""The scoring engine: metrics over pairs, in parallel, with every failure named."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from jaxtyping import Float32
from numpy import ndarray

from auscult.audio.clip import find_audio, probe, read
from auscult.audio.resample import resample
from auscult.catalogue import CATALOGUE, find
from auscult.data.manifest import match_names
from auscult.errors import AudioError, DataError, RecipeError, need
from auscult.metrics.base import Metric, MetricFailure


@dataclass(frozen=True)
class Row:
    """Scores of one item of one system; a metric that failed is in ``failures``, with why, and not in ``scores``."""

    system: str
    item: str
    scores: Mapping[str, float]
    failures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One file to score against its clean reference."""

    system: str
    item: str
    clean: Path
    estimate: Path


def metrics_named(names: Sequence[str]) -> list[Metric]:
    """Metrics by catalogue name, or classes of the user's own package.

    Raises:
        RecipeError: unknown name, or not a metric.
        MissingExtra: a package that a metric needs is not installed.
    """
    metrics = []
    for name in names:
        kind = find(name)
        if not issubclass(kind, Metric):
            raise RecipeError(f"'{name}' is not a metric; allowed: {', '.join(default_metrics())}, or your own class")
        metrics.append(kind())
        if kind.extra is not None:
            need(kind.extra, f"the metric {name}")
    return metrics


def default_metrics() -> list[str]:
    """All metrics of the catalogue."""
    return list(CATALOGUE["metric"])


def score_waves(
    metrics: Sequence[Metric], clean: Float32[ndarray, "C T"], estimate: Float32[ndarray, "C T"], rate_hz: int
) -> tuple[dict[str, float], dict[str, str]]:
    """Scores and failures of one pair; channels are scored one by one and averaged."""
    scores: dict[str, float] = {}
    failures: dict[str, str] = {}
    for metric in metrics:
        at_hz = metric.rate_hz or rate_hz
        pair = [resample(wave, rate_hz, at_hz) for wave in (clean, estimate)]
        try:
            if clean.shape[0] != estimate.shape[0]:
                raise MetricFailure(f"channels differ: clean {clean.shape[0]}, estimate {estimate.shape[0]}")
            values = [metric(c, e, at_hz) for c, e in zip(*pair, strict=True)]
        except MetricFailure as failure:
            failures[metric.name] = str(failure)
        else:
            scores[metric.name] = math.fsum(values) / len(values)
    return scores, failures


def tasks_of(clean: Path, systems: Mapping[str, Path]) -> list[Task]:
    """Match the files of every system with the clean ones by name, checking headers before anything is computed.

    Raises:
        DataError: folders that do not match, or pairs of different rate or length; named.
    """
    tasks = []
    for system, folder in systems.items():
        for side in (clean, folder):
            if not side.is_dir():
                raise DataError(f"{side}: no such folder")
        names, own = ([path.relative_to(side) for path in find_audio(side)] for side in (clean, folder))
        pairs = match_names(names, own, labels=("clean", system))
        if not pairs:
            raise DataError(f"{clean}: no audio file in it")
        tasks += [Task(system, str(a.with_suffix("")), clean / a, folder / b) for a, b in pairs]
    for task in tasks:
        a, b = probe(task.clean), probe(task.estimate)
        if (a.rate_hz, a.samples) != (b.rate_hz, b.samples):
            raise DataError(
                f"{task.system}/{task.item}: {b.samples} samples at {b.rate_hz} Hz, its clean file has {a.samples} at "
                f"{a.rate_hz} Hz; nothing is cut or resampled silently: make them equal first"
            )
    return tasks


def run(tasks: Sequence[Task], metrics: Sequence[str], workers: int) -> Iterator[Row]:
    """Score tasks in order, in ``workers`` processes (PESQ holds the interpreter lock, so threads would not help)."""
    metrics_named(metrics)  # an unknown name fails here, not in a worker
    if workers <= 1:
        _prepare(tuple(metrics))
        yield from map(_score, tasks)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _prepare, (tuple(metrics),)) as pool:
        yield from pool.map(_score, tasks, chunksize=2)


def mean(rows: Sequence[Row], metric: str) -> float:
    """Mean over the items that have a score; NaN where none has."""
    values = [row.scores[metric] for row in rows if metric in row.scores]
    return math.fsum(values) / len(values) if values else math.nan


_metrics: list[Metric] = []


def _prepare(names: tuple[str, ...]) -> None:
    global _metrics
    _metrics = metrics_named(names)


def _score(task: Task) -> Row:
    try:
        clean, estimate = read(task.clean), read(task.estimate)
    except AudioError as error:
        return Row(task.system, task.item, {}, {metric.name: str(error) for metric in _metrics})
    scores, failures = score_waves(_metrics, clean.wave, estimate.wave, clean.rate_hz)
    return Row(task.system, task.item, scores, failures)
