"""Quality labels for a metric discriminator: PESQ of every estimate, found by other processes while the nets learn."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from auscult.metrics.base import MetricFailure, Signals
from auscult.metrics.perceptual import PesqWideband
from auscult.processes import become_worker

LOWEST, SPAN = 1.0, 3.5
"""Labels are (PESQ - 1) / 3.5 (Cao et al. 2022), held within 0 and 1: PESQ reaches 4.644, discriminators 1."""


@dataclass(frozen=True)
class Label:
    """The label of one estimate, or why there is none."""

    value: float | None
    cause: str = ""


@dataclass(frozen=True)
class Labels:
    """The labels of a batch; an item without one is left out of the mean, never replaced."""

    values: Float[ndarray, " B"]
    known: Bool[ndarray, " B"]
    causes: Counter[str]

    @classmethod
    def of(cls, labels: Sequence[Label]) -> Labels:
        known = np.array([label.value is not None for label in labels])
        values = np.array([label.value or 0.0 for label in labels], np.float32)
        return cls(values, known, Counter(label.cause for label in labels if label.value is None))


class Labelling:
    """Worker processes that rate estimates. They start at the first question and end with this process."""

    def __init__(self, rate_hz: int):
        self.rate_hz = rate_hz
        self._pool: ProcessPoolExecutor | None = None

    def ask(self, clean: Float[Tensor, "B 1 T"], estimate: Float[Tensor, "B 1 T"]) -> list[Future[Label]]:
        """Begin to rate a batch; the answers are awaited by :func:`answered`."""
        pairs = zip(_arrays(clean), _arrays(estimate), strict=True)
        return [self._submit(reference, candidate) for reference, candidate in pairs]

    def _submit(self, clean: Float[ndarray, " T"], estimate: Float[ndarray, " T"]) -> Future[Label]:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(_processes(), get_context("spawn"), become_worker)
        try:
            return self._pool.submit(rated, clean, estimate, self.rate_hz)
        except BrokenProcessPool:  # a worker died in an earlier batch, whose items counted that
            self._pool = None
            return self._submit(clean, estimate)


def answered(questions: Sequence[Future[Label]]) -> Labels:
    """Wait for the labels of a batch."""
    labels = []
    for question in questions:
        try:
            labels.append(question.result())
        except BrokenProcessPool:
            labels.append(Label(None, "a worker process died"))
    return Labels.of(labels)


def rated(clean: Float[ndarray, " T"], estimate: Float[ndarray, " T"], rate_hz: int) -> Label:
    """The label of one estimate against the clean wave."""
    if not np.isfinite(estimate).all():
        return Label(None, "the estimate is not finite")
    metric = PesqWideband()
    try:
        found = metric(Signals(estimate, rate_hz, clean=clean))
    except MetricFailure as failure:
        return Label(None, str(failure))
    return Label(float(np.clip((found - LOWEST) / SPAN, 0.0, 1.0)))


def _arrays(waves: Float[Tensor, "B 1 T"]) -> Sequence[Float[ndarray, " T"]]:
    return list(waves.detach()[:, 0].float().cpu().numpy())


def _processes() -> int:
    """The cores that are left beside the training processes of this machine; at least one."""
    training = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, ((os.cpu_count() or 1) - training) // training)
