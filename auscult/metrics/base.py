"""What a metric is: facts, a validation, and a pure function on the signals of one item."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from importlib import metadata
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from auscult.audio.resample import resample
from auscult.version import __version__

Signal = Float[ndarray, " _"]
Role = Literal["clean", "noisy"]
Value = TypeVar("Value")


class MetricFailure(Exception):
    """A metric is not defined on this item: the reason, in a few words. Never a score of zero."""


@dataclass(frozen=True, eq=False)
class Signals:
    """One channel of an item: the estimate and what it may be compared with, all of one length and rate.

    Conversions to another rate and quantities that several metrics share (:meth:`once`) are computed once.
    """

    estimate: Signal
    rate_hz: int
    clean: Signal | None = None
    noisy: Signal | None = None
    _known: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def present(self) -> dict[str, Signal]:
        """The signals there are, by role."""
        roles = {"clean": self.clean, "noisy": self.noisy, "estimate": self.estimate}
        return {role: signal for role, signal in roles.items() if signal is not None}

    def reference(self) -> Signal:
        """The clean signal, for metrics that need one."""
        assert self.clean is not None
        return self.clean

    def at(self, rate_hz: int) -> Signals:
        """The same signals at another rate."""
        if rate_hz == self.rate_hz:
            return self
        if rate_hz not in self._known:
            converted = {k: resample(s[None], self.rate_hz, rate_hz)[0] for k, s in self.present.items()}
            self._known[rate_hz] = Signals(converted.pop("estimate"), rate_hz, **converted)
        return self._known[rate_hz]

    def once(self, function: Callable[[Signals], Value]) -> Value:
        """What ``function`` says of these signals, computed the first time it is asked for."""
        if function not in self._known:
            self._known[function] = function(self)
        return self._known[function]


class Metric(ABC):
    """One number about an estimate. Subclasses are final and pure: equal signals, equal score.

    The class attributes are facts that reports print with every number. ``version`` names the code that computes it.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    source: ClassVar[str]
    """Standard or paper, and the convention where several exist."""
    higher_is_better: ClassVar[bool | None] = True
    """None: neither direction is better (loudness, band edge)."""
    rate_hz: ClassVar[int | None] = None
    """The rate it is defined at; signals of another rate are resampled to it. None: the files' own."""
    needs: ClassVar[tuple[Role, ...]] = ("clean",)
    """What it compares with; empty for metrics without reference."""
    matters: ClassVar[float | None] = None
    """The smallest difference of means worth telling apart: margin of equivalence statements and of power."""
    extra: ClassVar[str | None] = None
    """Package it needs beyond the core; its version is the metric's version."""

    def __call__(self, signals: Signals) -> float:
        """The score.

        Raises:
            MetricFailure: a signal is missing, of another length, not finite or digital silence; or what the metric
                itself refuses.
        """
        present = signals.present
        for needed in self.needs:
            if needed not in present:
                raise MetricFailure(f"needs the {needed} signal")
        for role, signal in ((role, present[role]) for role in (*self.needs, "estimate")):
            if signal.shape != signals.estimate.shape:
                raise MetricFailure(f"lengths differ: {role} {signal.size}, estimate {signals.estimate.size} samples")
            if not np.isfinite(signal).all():
                raise MetricFailure(f"{role} holds NaN or infinity")
            if not signal.any():
                raise MetricFailure(f"{role} is digital silence")
        return float(self._score(signals if self.rate_hz is None else signals.at(self.rate_hz)))

    @abstractmethod
    def _score(self, signals: Signals) -> float:
        """The score of validated signals at the metric's rate."""

    @property
    def label(self) -> str:
        """Its name in reports: ``lsd_high:4000`` where a parameter was given."""
        given: list[Any] = [getattr(self, field.name) for field in fields(self)] if is_dataclass(self) else []
        return ":".join([self.name, *(f"{value:g}" for value in given if value is not None)])

    @property
    def version(self) -> str:
        """The code that computes it: ``pesq 0.0.4``, ``auscult 0.3.0``."""
        return f"auscult {__version__}" if self.extra is None else f"{self.extra} {metadata.version(self.extra)}"
