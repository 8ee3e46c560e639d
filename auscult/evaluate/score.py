"""The scoring engine: metrics over items and systems, in parallel, with every failure named.

Training's validation scores through :func:`score_waves` too, so that a number means the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.allocator import keep_freed_memory
from auscult.audio.clip import Clip, read
from auscult.audio.level import power
from auscult.catalogue import CATALOGUE, find
from auscult.errors import AudioError, EvaluationError, RecipeError, RestorationError, check_installed
from auscult.evaluate.rows import Fact, Item, Row
from auscult.evaluate.sources import Source, share_cores
from auscult.metrics.base import Metric, MetricFailure, Signals
from auscult.processes import become_worker
from auscult.units import to_db

NOISY = "noisy"
"""Name of the unprocessed input as a system."""
STANDARD = ("pesq", "estoi", "si_sdr")
"""What is scored if nothing is asked for and there are clean files."""


@dataclass(frozen=True)
class Task:
    """One estimate to score."""

    item: Item
    system: str
    source: Source
    seed: int | None = None

    @property
    def key(self) -> tuple[str, str, int | None, str]:
        """What a row of this task is known by."""
        return self.item.data, self.system, self.seed, self.item.name


@dataclass(frozen=True)
class Waves:
    """An item as the engine scores it: all of one rate, float32 (C, T)."""

    estimate: Float32[ndarray, "C T"]
    rate_hz: int
    clean: Float32[ndarray, "C T"] | None = None
    noisy: Float32[ndarray, "C T"] | None = None

    @property
    def references(self) -> dict[str, ndarray]:
        """What there is to compare with."""
        return {role: wave for role, wave in (("clean", self.clean), ("noisy", self.noisy)) if wave is not None}


@dataclass(frozen=True)
class Scores:
    """Scores of one item by metric, and why others failed."""

    scores: Mapping[str, float] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)


def metrics_named(names: Sequence[str]) -> list[Metric]:
    """Metrics by catalogue name (``lsd_high:4000`` gives a parameter), or classes of the user's own package.

    Raises:
        RecipeError: unknown name, not a metric, or a parameter it does not take.
        MissingExtra: a package that a metric needs is not installed.
    """
    return [_metric(name) for name in dict.fromkeys(names)]


def _metric(given: str) -> Metric:
    name, *parameters = given.split(":")
    kind = find(name)
    if not issubclass(kind, Metric):
        raise RecipeError(f"'{name}' is not a metric; allowed: {', '.join(CATALOGUE['metric'])}, or your own class")
    if kind.extra is not None:
        check_installed(kind.extra, f"the metric {name}")
    try:
        return kind(*map(float, parameters))
    except (TypeError, ValueError) as error:
        takes = "takes no parameter" if kind.__init__ is object.__init__ else f"cannot take '{':'.join(parameters)}'"
        raise RecipeError(f"the metric {name} {takes}; give numbers after a colon, such as lsd_high:4000") from error


def score_waves(metrics: Sequence[Metric], waves: Waves) -> Scores:
    """Scores and failures of one item; channels are scored one by one and averaged."""
    signals = _channels(waves)
    scores, failures = {}, {}
    for metric in metrics:
        try:
            if isinstance(signals, str):
                raise MetricFailure(signals)
            values = [metric(channel) for channel in signals]
        except MetricFailure as failure:
            failures[metric.label] = str(failure)
        else:
            scores[metric.label] = math.fsum(values) / len(values)
    return Scores(scores, failures)


def _channels(waves: Waves) -> list[Signals] | str:
    """The signals of each channel, or why there are none."""
    for role, wave in waves.references.items():
        if wave.shape[0] != waves.estimate.shape[0]:
            return f"channels differ: {role} {wave.shape[0]}, estimate {waves.estimate.shape[0]}"
    sides = {role: list(wave) for role, wave in waves.references.items()}
    return [
        Signals(channel, waves.rate_hz, **{role: side[i] for role, side in sides.items()})
        for i, channel in enumerate(waves.estimate)
    ]


def run(
    tasks: Sequence[Task], metrics: Sequence[str], workers: int = 1, devices: Sequence[str] = ("auto",)
) -> Iterator[Row]:
    """Score tasks in ``workers`` processes (PESQ holds the interpreter lock: threads would not help), as they finish.

    Workers take turns at ``devices``; each opens the models it needs.

    Raises:
        EvaluationError: a worker died.
        AuscultError: what makes a whole system unusable, such as a checkpoint that does not fit.
    """
    metrics_named(metrics)  # an unknown name fails here, not in a worker
    if workers <= 1 or len(tasks) <= 1:
        _prepare(tuple(metrics), 1, None, devices[0])
        yield from map(_score, tasks)
        return
    context = get_context("spawn")
    turns: SimpleQueue[str] = context.SimpleQueue()
    for worker in range(workers):
        turns.put(devices[worker % len(devices)])
    with ProcessPoolExecutor(workers, context, _prepare, (tuple(metrics), workers, turns, None)) as pool:
        futures: list[Future[Row]] = [pool.submit(_score, task) for task in tasks]
        try:
            yield from (future.result() for future in as_completed(futures))
        except BrokenProcessPool as error:
            raise EvaluationError(
                "a worker process died, perhaps for want of memory; what is finished is kept: run the same command "
                f"again, with fewer --workers than {workers}"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def mean(rows: Sequence[Row], metric: str) -> float:
    """Mean over the items that have a score; NaN where none has."""
    values = [row.scores[metric] for row in rows if metric in row.scores]
    return math.fsum(values) / len(values) if values else math.nan


_metrics: list[Metric] = []
_device = "auto"


def _prepare(names: tuple[str, ...], workers: int, turns: SimpleQueue[str] | None, device: str | None) -> None:
    """Make this process ready: its metrics, its share of the cores, its device."""
    global _metrics, _device
    if turns is not None:
        become_worker()
        share_cores(workers)
    keep_freed_memory()
    _metrics = metrics_named(names)
    _device = turns.get() if turns is not None else device or "auto"


def _score(task: Task) -> Row:
    item = task.item
    try:
        heard = task.source.hear(item, _device)
        clean, noisy = (None if path is None else read(path) for path in (item.clean, item.noisy))
        _check_lengths(heard.clip, clean, noisy)
    except (AudioError, RestorationError) as error:
        failures = {metric.label: str(error) for metric in _metrics}
        return Row(item.data, task.system, item.name, {}, failures, task.seed)
    references = {role: clip.wave for role, clip in (("clean", clean), ("noisy", noisy)) if clip is not None}
    found = score_waves(_metrics, Waves(heard.clip.wave, heard.clip.rate_hz, **references))
    facts = _measured(references) if task.system == NOISY else {}
    return Row(
        item.data, task.system, item.name, found.scores, found.failures, task.seed, heard.path, heard.speed, facts
    )


def _check_lengths(estimate: Clip, clean: Clip | None, noisy: Clip | None) -> None:
    for role, clip in (("clean", clean), ("noisy", noisy)):
        if clip is not None and (clip.samples, clip.rate_hz) != (estimate.samples, estimate.rate_hz):
            raise AudioError(f"{role} has {clip.samples} samples at {clip.rate_hz} Hz, the estimate {estimate.samples}")


def _measured(references: Mapping[str, ndarray]) -> dict[str, Fact]:
    """The input SNR of the item, over all its samples."""
    if len(references) < 2 or len({wave.shape for wave in references.values()}) > 1:
        return {}
    clean, noise = references["clean"], references["noisy"] - references["clean"]
    if not np.any(clean) or not np.any(noise):
        return {}
    return {"snr_db": round(to_db(power(clean)) - to_db(power(noise)), 2)}
