"""The noise that was added: its level against what was asked for, and whether it is new every time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy import ndarray

from auscult.audio.level import active_power, power
from auscult.degrade.noise import sounding_power
from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.evidence import HeardItem
from auscult.diagnose.finding import Exhibit, Finding, Measured, Remedy, Verdict, graded
from auscult.units import to_db

SNR, REPEATED = "data-snr", "data-repeated-noise"
_FOLLOWS = 0.3
"""Correlation of a mixture's noise with its speech: of 799 real ones of 0.5 s the largest is 0.20."""
_SLACK_DB, _FAULT_SHARE = 2.0, 0.3
_SAME, _ALL_SAME = 0.98, 0.8
_COMPARED_S = 2.0


def snrs_db(item: HeardItem) -> tuple[float, ...]:
    """Realised SNR by each definition in use.

    RMS or active speech against RMS or noise where it sounds, over all of the item or without its padding.
    """
    return tuple(db for size in {item.length or item.clean.size, item.clean.size} for db in _snrs_db(item, size))


def _snrs_db(item: HeardItem, size: int) -> tuple[float, ...]:
    clean = np.ascontiguousarray(item.clean[:size])
    noise = item.noisy[:size] - clean
    loud = power(noise), sounding_power(noise[None], item.rate_hz)
    speech = power(clean), active_power(clean, item.rate_hz)
    if min(*loud, *speech) < 1e-12:
        return ()
    return tuple(to_db(s / n) for s in speech for n in loud)


def realised(case: Case) -> Finding | None:
    """Realised SNRs against what each item was drawn to have, or against the range that is stated."""
    items = [one for one in case.items.items if one.clean.size == one.noisy.size]
    stated = case.facts.value("snr_db")
    rows = []
    for one in items:
        bounds = (one.facts["snr_db"],) * 2 if "snr_db" in one.facts else tuple(stated) if stated else ()
        if len(bounds) == 2 and _is_sum(one) and (found := snrs_db(one)):
            rows.append((_off_db(found, float(bounds[0]), float(bounds[1])), found[0], one.name))
    if len(rows) < max(8, 0.5 * len(items)):
        return None  # too few, or most have no SNR: their sides do not belong together (data-relation)
    off = np.array([row[0] for row in rows])
    share, middle = float(np.mean(np.abs(off) > _SLACK_DB)), float(np.median(off))
    low, high = (float(v) for v in np.quantile([row[1] for row in rows], [0.05, 0.95]))
    numbers = (Measured("realised SNR (RMS)", float(np.median([row[1] for row in rows])), "dB", "as asked", low, high),
               Measured(f"share of items off by more than {_SLACK_DB:g} dB", share, "", "below 0.05"))  # fmt: skip
    says = (
        f"{share:.0%} of {len(rows)} items miss the SNR that was asked for by more than {_SLACK_DB:g} dB under every "
        f"definition (median miss {middle:+.1f} dB; 90 % have {low:.1f} to {high:.1f} dB)"
    )
    worst = sorted(rows, key=lambda row: -abs(row[0]))[:5]
    exhibits = [
        Exhibit(name, f"{db:.1f} dB, off by {miss:+.1f} dB") for miss, db, name in worst if abs(miss) > _SLACK_DB
    ]
    return Finding(SNR, graded(share, _FAULT_SHARE, 0.15), ("snr-off",), says, numbers, exhibits=exhibits)


def _is_sum(item: HeardItem) -> bool:
    """Whether noisy is clean with something else added: what is left without clean does not follow it."""
    rest = item.noisy - item.clean
    sizes = float(np.linalg.norm(rest) * np.linalg.norm(item.clean))
    return abs(float(rest @ item.clean)) < _FOLLOWS * sizes if sizes else True


def _off_db(found: Sequence[float], low: float, high: float) -> float:
    """Distance to the range under the definition that is kindest."""
    return min((db - high if db > high else db - low if db < low else 0.0 for db in found), key=abs)


def repeated(case: Case) -> Finding | None:
    """Whether different items, or the same in the next epoch, have the same noise."""
    items = case.items
    first = [(one, noise) for one in items.items[:60] if (noise := _noise(one)) is not None]
    if len(first) < 8:
        return None
    twins = _twins([noise for _, noise in first])
    share = len(twins) / len(first)
    again = _again(items.items, items.again) if items.through_loader else None
    mixed = any("snr_db" in one.facts for one in items.items) or _is_mixed(case)
    numbers = [Measured("items whose noise another item has", share, "", "below 0.1")]
    exhibits = [Exhibit(first[i][0].name, "its noise is that of another item") for i in sorted(twins)[:5]]
    if again is not None and mixed:
        numbers.append(Measured("items with the same noise in the next epoch", again, "", "0"))
        if again >= 0.5:
            says = (
                f"{again:.0%} of the items have the same noise again in the next epoch, though it is mixed on the fly"
            )
            return Finding(REPEATED, "fault", ("repeated-noise",), says, numbers, exhibits=exhibits)
    says = f"{len(twins)} of {len(first)} items have a noise that another item has too, sample by sample"
    if share >= 0.3:
        remedy = Remedy("seed by epoch, worker and item (worker_init_fn, set_epoch)")
        verdict: Verdict = "fault" if share >= (0.5 if items.through_loader else _ALL_SAME) else "suspect"
        return Finding(REPEATED, verdict, ("repeated-noise",), says, numbers, remedy=remedy, exhibits=exhibits)
    return Finding(REPEATED, "healthy", ("repeated-noise",), says, numbers)


def _is_mixed(case: Case) -> bool:
    files = case.get("files")
    return files is not None and bool(files.mixed)


def _noise(item: HeardItem) -> ndarray | None:
    """The beginning of noisy - clean, normalised."""
    size = round(_COMPARED_S * item.rate_hz)
    size = min(size, item.clean.size, item.noisy.size)
    noise = item.noisy[:size].astype(np.float64) - item.clean[:size]
    noise -= noise.mean()
    length = float(np.linalg.norm(noise))
    quiet = length < 1e-3 * float(np.linalg.norm(item.clean[:size])) or length < 1e-6
    return None if quiet or size < 0.25 * item.rate_hz else noise / length


def _twins(noises: Sequence[ndarray]) -> set[int]:
    """Items whose noise correlates fully with another's at lag 0."""
    size = min(noise.size for noise in noises)
    rows = np.stack([noise[:size] for noise in noises])
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    alike = np.abs(np.triu(rows @ rows.T, 1)) > _SAME
    return {int(i) for i in np.flatnonzero(alike.any(0) | alike.any(1))}


def _again(items: Sequence[HeardItem], again: Sequence[HeardItem]) -> float | None:
    """Share of the items that come again with the same noise; None with too few."""
    pairs = [(a, b) for one, other in zip(items, again, strict=False)
             if (a := _noise(one)) is not None and (b := _noise(other)) is not None and a.size == b.size]  # fmt: skip
    return float(np.mean([abs(float(a @ b)) > _SAME for a, b in pairs])) if len(pairs) >= 8 else None


REALISED_SNR = Check(
    SNR,
    "data",
    "Have mixtures the SNR that was asked for?",
    ("items",),
    1.0,
    f"fault: {_FAULT_SHARE:.0%} of the items miss it by more than {_SLACK_DB:g} dB under each of four "
    f"definitions (RMS or "
    "active speech against RMS or sounding noise); suspect: 15 %",
    "Definition of SNR; ITU-T P.56 (active level)",
    realised,
)
REPEATED_NOISE = Check(
    REPEATED,
    "data",
    "Is the noise new in every item and epoch?",
    ("items",),
    1.0,
    "fault: half of the items of a loader share their noise with another (correlation at lag 0 above "
    "0.98), four of five of a folder, or, "
    "mixed on the fly, have it again in the next epoch; suspect from 30 %",
    "Workers that share a NumPy seed: PyTorch documentation, randomness in loaders",
    repeated,
)
