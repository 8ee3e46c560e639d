"""The records of an evaluation: items, rows, and the evaluation as it lies in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Fact = str | float


@dataclass(frozen=True)
class Item:
    """One recording of a data set, with what is known about it.

    ``facts`` are what results can be grouped by: ``speaker``, ``noise_type``, ``snr_db``, ``duration_s``, drawn
    parameters of a degradation.
    """

    data: str
    name: str
    clean: Path | None = None
    noisy: Path | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    rate_hz: int = 0
    samples: int = 0


@dataclass(frozen=True)
class Row:
    """Scores of one item from one system (and, for generative ones, one seed).

    A metric that failed is in ``failures``, with why, and not in ``scores``. ``estimate`` is the file that was
    scored, where there is one.
    """

    data: str
    system: str
    item: str
    scores: Mapping[str, float]
    failures: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    estimate: Path | None = None
    speed: float | None = None
    """Times faster than real time, where the system is a model that ran here."""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """What was measured of the item itself on the way (rows of ``noisy`` only)."""


@dataclass(frozen=True)
class MetricFacts:
    """What a report says of a metric."""

    name: str
    unit: str
    higher_is_better: bool | None
    source: str
    version: str
    matters: float | None


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured: the items, a row an item, system and seed, and how it was measured.

    ``protocol`` and each system's entry of ``systems`` are plain data (see :mod:`auscult.evaluate.protocol`);
    ``fingerprint`` is the digest of ``protocol``. The system ``noisy`` is the unprocessed input, where there is one.
    """

    items: tuple[Item, ...]
    rows: tuple[Row, ...]
    metrics: tuple[MetricFacts, ...]
    systems: Mapping[str, Mapping[str, Any]]
    protocol: Mapping[str, Any]
    fingerprint: str
