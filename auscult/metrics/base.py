"""What a metric is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

Signal = Float[ndarray, " _"]


class MetricFailure(Exception):
    """A metric is not defined on this pair: the reason, in a few words. Never a score of zero."""


class Metric(ABC):
    """Compare an estimate with its clean reference, both mono, of one length and rate."""

    name: ClassVar[str]
    unit: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    rate_hz: ClassVar[int | None] = None
    """The rate it is defined at; signals of another rate are resampled to it. None: any rate."""
    extra: ClassVar[str | None] = None
    """Package it needs beyond the core."""

    def __call__(self, clean: Signal, estimate: Signal, rate_hz: int) -> float:
        """The score.

        Raises:
            MetricFailure: different lengths, NaN or infinity, digital silence, or what the metric itself refuses.
        """
        if clean.shape != estimate.shape:
            raise MetricFailure(f"lengths differ: clean {clean.size}, estimate {estimate.size} samples")
        if self.rate_hz is not None and rate_hz != self.rate_hz:
            raise MetricFailure(f"needs {self.rate_hz} Hz, got {rate_hz} Hz")
        for role, signal in (("clean", clean), ("estimate", estimate)):
            if not np.isfinite(signal).all():
                raise MetricFailure(f"{role} holds NaN or infinity")
            if not signal.any():
                raise MetricFailure(f"{role} is digital silence")
        return self._score(clean, estimate, rate_hz)

    @abstractmethod
    def _score(self, clean: Signal, estimate: Signal, rate_hz: int) -> float:
        """The score of a validated pair."""
