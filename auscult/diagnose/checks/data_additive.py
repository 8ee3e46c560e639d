"""How noisy is made of clean: identical, exchanged, turned over, of a level of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auscult.data.audit.additive import Additive, additive, aligned
from auscult.data.audit.relation import RELATED, relation
from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.evidence import HeardItem
from auscult.diagnose.finding import Exhibit, Finding, Measured, Remedy, Verdict

ID = "data-additive"
PLAIN = 0.85
"""Share of bands with one gain from which a pair counts as a plain mixture."""
GAIN_DB = 1.5
IDENTICAL_DB = 60.0
_MOST_LAG_S = 0.5


@dataclass(frozen=True)
class Fitted:
    """An item and how its noisy side is made of its clean one."""

    item: HeardItem
    fit: Additive

    @property
    def plain(self) -> bool:
        return bool(self.fit.flat >= PLAIN)


def fitted(case: Case, most: int = 60) -> list[Fitted]:
    """Items that are related, aligned and fitted."""
    found = []
    for item in case.items.items[:most]:
        if case.clock.left <= 0:
            break
        size = item.length or item.clean.size
        clean, noisy = item.clean[:size], item.noisy[:size]
        if not (np.isfinite(clean).all() and np.isfinite(noisy).all()):
            continue
        how = relation(clean, noisy, item.rate_hz, _MOST_LAG_S)
        if how is not None and how.z > RELATED:
            fit = additive(*aligned(clean, noisy, how.lag_samples), item.rate_hz)
            if fit is not None:
                found.append(Fitted(item, fit))
    return found


def run(case: Case) -> list[Finding]:
    """Identity first, then exchange, then sign and level."""
    found = fitted(case)
    if len(found) < 3:
        return []
    if (one := _identical(found)) is not None or (one := _swapped(found)) is not None:
        return [one]
    plain = [one for one in found if one.plain]
    if len(plain) < max(3, 0.5 * len(found)):
        says = f"in {len(found) - len(plain)} of {len(found)} items more than noise was added (room, sensor, codec)"
        return [Finding(ID, "healthy", ("no-noise", "swapped-sides"), says)]
    return [_polarity(plain), _gain(plain)]


def _identical(found: Sequence[Fitted]) -> Finding | None:
    same = [one for one in found if one.fit.snr_db > IDENTICAL_DB]
    share = len(same) / len(found)
    if share < 0.5:
        return None
    says = f"noisy equals clean in {len(same)} of {len(found)} items (difference below -{IDENTICAL_DB:g} dB)"
    measured = (Measured("share of items without noise", share, "", "below 0.2"),)
    exhibits = [Exhibit(one.item.name, "both sides are the same") for one in same[:5]]
    return Finding(ID, "fault" if share >= 0.9 else "suspect", ("no-noise",), says, measured, exhibits=exhibits)


def _swapped(found: Sequence[Fitted]) -> Finding | None:
    backward = [one for one in found if abs(one.fit.side + 1) < 0.15]
    excess = np.array([one.fit.excess_db for one in backward])
    excess = excess[np.isfinite(excess)]
    if len(backward) < 0.7 * len(found) or excess.size < 3 or float(np.median(excess)) < 6.0:
        return None
    says = (
        f"the difference of the sides belongs to clean in {len(backward)} of {len(found)} items, and clean is "
        f"{np.median(excess):.0f} dB louder than noisy in pauses"
    )
    measured = (Measured("share of items", len(backward) / len(found), "", "0"),
                Measured("level of clean over noisy in pauses", float(np.median(excess)), "dB", "below 0"))  # fmt: skip
    exhibits = [Exhibit(one.item.name, "its clean side is the noisy one") for one in backward[:5]]
    return Finding(ID, "fault", ("swapped-sides",), says, measured, exhibits=exhibits)


def _polarity(plain: Sequence[Fitted]) -> Finding:
    turned = [one for one in plain if one.fit.gain < -0.1]
    share = len(turned) / len(plain)
    measured = (Measured("share of items with opposite sign", share, "", "0"),)
    says = f"{len(turned)} of {len(plain)} items have noisy of the opposite sign of clean"
    if len(turned) < max(2, 0.05 * len(plain)):
        return Finding(ID, "healthy", ("polarity", "swapped-sides", "no-noise"), says, measured)
    exhibits = [Exhibit(one.item.name, f"gain {one.fit.gain:.2f}") for one in turned[:5]]
    return Finding(ID, "fault", ("polarity",), says, measured, exhibits=exhibits)


def _gain(plain: Sequence[Fitted]) -> Finding:
    gains = np.array([abs(one.fit.gain) for one in plain])
    errors = np.array([one.fit.error for one in plain])
    gains_db = 20 * np.log10(np.maximum(gains, 1e-6))
    # The level that noise of the estimate alone could explain is taken off each item.
    slack_db = 20 * np.log10(1 + 4 * errors / np.maximum(gains, 1e-6))
    off = np.maximum(np.abs(gains_db) - slack_db, 0.0)
    share = float(np.mean(off > GAIN_DB))
    low, middle, high = (float(v) for v in np.quantile(gains_db, [0.05, 0.5, 0.95]))
    measured = (Measured("gain of clean within noisy", middle, "dB", "0", low, high),
                Measured(f"share of items off by more than {GAIN_DB} dB", share, "", "0"))  # fmt: skip
    if share < 0.3:
        says = f"noisy holds clean at {middle:+.2f} dB (90 % within {low:+.2f} to {high:+.2f} dB)"
        return Finding(ID, "healthy", ("pair-gain",) if share < 0.05 else ("no-noise",), says, measured)
    apart = _normalised(plain)
    says = (
        f"noisy holds clean at {middle:+.1f} dB (90 % within {low:+.1f} to {high:+.1f} dB) where one level is meant"
        f"{apart}"
    )
    worst = sorted(zip(off, plain, gains_db, strict=True), key=lambda row: -row[0])[:5]
    exhibits = [Exhibit(one.item.name, f"clean at {db:+.1f} dB in noisy") for _, one, db in worst]
    remedy = Remedy("scale both sides of a pair by the same gain, computed once from one of them")
    verdict: Verdict = "fault" if share >= 0.5 or apart else "suspect"
    return Finding(ID, verdict, ("pair-gain",), says, measured, remedy=remedy, exhibits=exhibits)


def _normalised(plain: Sequence[Fitted]) -> str:
    """Whether each side was brought to one peak or level on its own."""
    for name, measure in (("peak", lambda w: np.abs(w).max()), ("RMS", lambda w: w.std())):
        both = np.array([[measure(one.item.clean), measure(one.item.noisy)] for one in plain])
        if float(np.max(both.std(0) / np.maximum(both.mean(0), 1e-9))) < 0.02:
            clean, noisy = both.mean(0)
            return f": each side was brought to its own {name} ({clean:.2f} and {noisy:.2f})"
    return ""


ADDITIVE = Check(
    ID,
    "data",
    "Does noisy hold clean at one level and sign, with something added?",
    ("items",),
    4.0,
    "asked of pairs in which one real gain fits 85 % of the half octaves (rooms beyond 50 ms, sensors and GSM do not). "
    f"Gain: fault where half of them are off by more than {GAIN_DB} dB beyond four standard errors "
    f"(real mixtures from -15 "
    "to 15 dB: 80 % of the items within 0.3 dB; with lost packets at -15 dB one in ten at -1.8 dB); sign: 5 %; "
    "exchange: 70 % of the items and "
    "6 dB in pauses (healthy: below 0)",
    "Definition: independent noise does not bias a regression of noisy on clean",
    run,
)
