"""The audit of a data set: the checks of the data family, and what was looked at in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auscult.diagnose.case import Case, Given
from auscult.diagnose.check import Check
from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import FilePair, Files
from auscult.diagnose.examine import Diagnosis, examine_case
from auscult.diagnose.exhibits import exhibit_of
from auscult.diagnose.finding import Exhibit
from auscult.diagnose.measure.pairing import Paired, paired
from auscult.errors import DataError
from auscult.units import to_db

_WORST = 5


@dataclass(frozen=True)
class SplitLook:
    """What the headers of a split say; hours are of all its pairs where only a sample was read.

    ``rates`` and ``channels`` count files by value, the commonest first.
    """

    name: str
    pairs: int
    looked: int
    hours: float
    rates: Mapping[int, int]
    channels: Mapping[int, int]
    lengths_s: tuple[float, float, float]
    """5 %, 50 % and 95 %."""


@dataclass(frozen=True)
class Quantity:
    """A number of every item that was heard: 5 %, 50 % and 95 %, and how many items have it."""

    what: str
    unit: str
    low: float
    middle: float
    high: float
    items: int


@dataclass(frozen=True)
class Audit:
    """Findings, what was looked at, and the pairs that fit least (to be heard even where nothing is wrong)."""

    diagnosis: Diagnosis
    splits: tuple[SplitLook, ...]
    quantities: tuple[Quantity, ...]
    worst: tuple[Exhibit, ...]


def audit(
    data: Mapping[str, Path],
    *,
    items: int = 100,
    rate_hz: int | None = None,
    seed: int = 0,
    budget_s: float = 300.0,
    told: Callable[[Check], None] | None = None,
) -> Audit:
    """Look at folders or manifests by split (``data`` where the splits are in it).

    Args:
        items: pairs that are listened to; of larger sets a sample.
        rate_hz: the rate that files should have; None: nothing is asked of it.

    Raises:
        DataError: nothing in the data is known, or a manifest has a row that cannot be read.
    """
    facts = {} if rate_hz is None else {"rate_hz": rate_hz}
    case = Case(Given(data=data, facts=facts, seed=seed, most_items=items), Clock.lasting(budget_s))
    if why := case.why_absent("files"):
        raise DataError(why)
    if not any(case.files.splits.values()):
        first = next(iter(case.files.unreadable.items()), ("", "it holds no file"))
        raise DataError(f"no pair can be read: {first[1]}")
    found = examine_case(case, ("data",), told)
    heard = [paired(item) for item in case.items.items] if case.why_absent("items") is None else []
    return Audit(found, splits(case.files), quantities(heard), tuple(_worst(heard, case.files)))


def splits(files: Files) -> tuple[SplitLook, ...]:
    """Headers, summed up."""
    return tuple(_split(name, rows, files.listed.get(name, len(rows))) for name, rows in files.splits.items() if rows)


def _split(name: str, rows: Sequence[FilePair], listed: int) -> SplitLook:
    infos = [info for pair in rows for info in (pair.clean, pair.noisy) if info is not None]
    lasts_s = [(pair.clean or pair.noisy).duration_s for pair in rows if pair.clean or pair.noisy]  # type: ignore[union-attr]
    low, middle, high = (float(v) for v in np.quantile(lasts_s, [0.05, 0.5, 0.95]))
    return SplitLook(
        name,
        listed,
        len(rows),
        sum(lasts_s) / 3600 * listed / len(rows),
        dict(Counter(info.rate_hz for info in infos).most_common()),
        dict(Counter(info.channels for info in infos).most_common()),
        (low, middle, high),
    )


def quantities(heard: Sequence[Paired]) -> tuple[Quantity, ...]:
    """Numbers of items, summed up; lags and all below of pairs that are related, gains of plain mixtures."""
    related = [one for one in heard if one.related]
    fits = [one.fit for one in related if one.fit is not None]
    gains = [to_db(one.fit.gain**2) for one in related if one.plain and one.fit is not None and one.fit.gain]
    rows = (
        ("peak of clean", "", [one.clean.peak for one in heard]),
        ("peak of noisy", "", [one.noisy.peak for one in heard]),
        ("RMS of clean", "dB", [one.clean.rms_db for one in heard if not one.clean.is_silent]),
        ("quiet under loud moments of clean", "dB", [one.clean.floor_db for one in heard if one.clean.floor_db]),
        ("SNR", "dB", [fit.snr_db for fit in fits]),
        ("noisy behind clean", "ms", [1e3 * one.relation.lag_samples / one.rate_hz for one in related if one.relation]),
        ("clean within noisy", "dB", gains),
    )
    return tuple(Quantity(what, unit, *_spread(values), len(values)) for what, unit, values in rows if values)


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return float(low), float(middle), float(high)


def _worst(heard: Sequence[Paired], files: Files) -> list[Exhibit]:
    """The pairs with the lowest SI-SDR of the noisy side."""
    known = {pair.name: pair for rows in files.splits.values() for pair in rows}
    with_sides = [(one.relation.si_sdr_db, one.name) for one in heard if one.relation is not None and one.name in known]
    return [exhibit_of(known[name], f"noisy SI-SDR {db:.1f} dB") for db, name in sorted(with_sides)[:_WORST]]
