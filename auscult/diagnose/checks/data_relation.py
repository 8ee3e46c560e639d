"""Whether clean and noisy belong together sample by sample: unrelated, cropped apart, late, drifting, turned over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auscult.data.audit.relation import (
    RELATED,
    UNRELATED,
    Correlogram,
    Drift,
    Relation,
    correlogram,
    drift,
    envelope_correlation,
    read_off,
    stacked,
)
from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.checks.data_pairing import better_partners, exchanged, files_relate, fit_own_file, rate_ratio
from auscult.diagnose.evidence import HeardItem
from auscult.diagnose.finding import Exhibit, Finding, Measured, Remedy

ID = "data-relation"
UNRELATED_FAULT, UNRELATED_SUSPECT = 0.2, 0.1
"""Shares of items that show no relation at any lag, nor stacked; at an SNR of -15 dB one in twenty short ones does."""
BY_CHANCE = 0.5
"""Of these so many are consistent with independence at lag 0 (in theory 95 %); of weakly related ones few are."""
APART = 0.5
"""Where each side is cropped at a place of its own, so many items show no relation."""
ONE_LAG, FEW = 0.8, 0.2
NATURAL_S = 0.02
"""Sound needs 20 ms for 7 m, and filters delay: lags up to this of pairs that are no plain copies are natural."""
SPREAD_S = 0.1
PPM_FAULT = 30.0
_WINDOWS_S, _FEWEST = (0.5, 0.125), 5


@dataclass(frozen=True)
class Looked:
    """An item and what its correlation shows; the correlation itself is kept where it shows nothing."""

    item: HeardItem
    relation: Relation
    correlogram: Correlogram | None

    @property
    def lag_ms(self) -> float:
        return 1e3 * self.relation.lag_samples / self.item.rate_hz


def look(case: Case, seconds: float = 20.0) -> list[Looked]:
    """Correlate the items; silent ones are left out."""
    found, until = [], max(0.0, case.clock.left - seconds)
    for item in case.items.items:
        if case.clock.left < until:
            break
        size = item.length or item.clean.size
        clean, noisy = item.clean[:size], item.noisy[:size]
        if not (np.isfinite(clean).all() and np.isfinite(noisy).all()):
            continue
        one = correlogram(clean, noisy, item.rate_hz)
        if one is not None:
            how = read_off(one, clean, noisy)
            found.append(Looked(item, how, one if how.z < UNRELATED else None))
    return found


def run(case: Case) -> list[Finding]:
    """Walk down from no relation at all to a fine one."""
    looked = look(case)
    if len(looked) < 3:
        return [Finding(ID, "cannot tell", ("unrelated-pairs",), f"only {len(looked)} items sound on both sides")]
    lost = [one for one in looked if one.relation.z < UNRELATED]
    related = [one for one in looked if one.relation.z > RELATED]
    if (found := _unrelated(case, looked, lost, related)) is not None:
        return [found]
    return [*_of_lags(case, related, looked), *_belongs(looked, related)]


def _unrelated(
    case: Case, looked: Sequence[Looked], lost: Sequence[Looked], related: Sequence[Looked]
) -> Finding | None:
    share = len(lost) / len(looked)
    if len(lost) < max(3, UNRELATED_SUSPECT * len(looked)):
        return None
    _, height, _ = stacked([one.correlogram for one in lost if one.correlogram is not None])
    if height > RELATED:
        return None  # weak but of one lag: low SNR, not chance
    consistent = np.mean([one.relation.p_at_zero > 0.05 for one in lost])
    if consistent < BY_CHANCE:
        return None  # too weak to find at any lag, too strong at lag 0 for chance
    si_sdr = np.array([one.relation.si_sdr_db for one in looked])
    follow = float(np.median([envelope_correlation(one.item.clean, one.item.noisy, one.item.rate_hz) for one in lost]))
    cause, words, remedy = _why(case, lost, related, share)
    surely = share >= UNRELATED_FAULT or cause[0] != "unrelated-pairs" or "match" in words
    says = (
        f"in {len(lost)} of {len(looked)} items clean and noisy have nothing in common at any lag "
        f"(noisy SI-SDR {np.median(si_sdr):.1f} dB){words}"
    )
    measured = (
        Measured("share of items without relation", share, "", f"below {UNRELATED_SUSPECT}"),
        Measured("median SI-SDR of the noisy input", float(np.median(si_sdr)), "dB", "-20 to 30"),
        Measured("of these consistent with independence at lag 0", float(consistent), "", "0"),
        Measured("height of their stacked correlation", height, "SD", f"above {RELATED}"),
        Measured("median correlation of their levels in time", follow, "", "above 0.5 where SNRs are positive"),
    )
    exhibits = [Exhibit(one.item.name, f"peak {one.relation.z:.1f} SD of chance") for one in lost[:5]]
    return Finding(ID, "fault" if surely else "suspect", cause, says, measured, exhibits=exhibits, remedy=remedy)


def _why(
    case: Case, lost: Sequence[Looked], related: Sequence[Looked], share: float
) -> tuple[tuple[str, ...], str, Remedy | None]:
    """What tells wrong pairing from crops of their own and from another rate."""
    if (words := _overlaps(related)) is not None:
        return ("independent-crops", "unrelated-pairs"), words, None
    if share >= APART and case.items.through_loader and (shares := files_relate(case)) is not None:
        hits, total = shares
        if hits >= 0.8 * total:
            words = f", though {hits} of {total} pairs of whole files fit: each side is cropped at a place of its own"
            return ("independent-crops", "unrelated-pairs"), words, None
    if (found := rate_ratio([one.item for one in lost[:4]])) is not None:
        words = f"; noisy played at {found[0]:g} times its rate fits ({found[1]} of {found[2]} items)"
        remedy = Remedy(f"resample one side: the rates of the sides differ by {found[0]:g}")
        return ("wrong-rate", "clock-drift", "unrelated-pairs"), words, remedy
    if (better := better_partners(case, [one.item.name for one in lost[:8]])) is not None:
        offset, hits, total = better
        where = (
            f"the one {abs(offset)} place{'s' * (abs(offset) > 1)} {'after' if offset > 0 else 'before'} in the list"
        )
        return ("unrelated-pairs",), f"; for {hits} of {total} the noisy file matches {where}", None
    if (swaps := exchanged(case, [one.item.name for one in lost[:8]])) is not None:
        return ("unrelated-pairs",), f"; {swaps} noisy files match the clean file of another of these", None
    if case.items.through_loader and (own := fit_own_file(case, [one.item for one in lost[:8]])) is not None:
        words = f"; the noisy sides of {own[0]} of {own[1]} match their own clean files: the loader pairs them wrongly"
        return ("unrelated-pairs", "independent-crops"), words, None
    return ("unrelated-pairs", "independent-crops"), "", None


def _overlaps(related: Sequence[Looked]) -> str | None:
    """Crops of short files overlap by chance: some items fit, each at a lag of its own. Of wrong partners none does."""
    if len(related) < 3:
        return None
    ms = np.array([one.lag_ms for one in related])
    if np.mean(np.abs(ms) > 1e3 * NATURAL_S) < ONE_LAG or np.ptp(ms) < 2e3 * SPREAD_S:
        return None
    return (
        f"; the {len(related)} that fit do so at lags from {ms.min():.0f} to {ms.max():.0f} ms: each side is cropped "
        "at a place of its own"
    )


def _of_lags(case: Case, related: Sequence[Looked], looked: Sequence[Looked]) -> list[Finding]:
    if len(related) < max(3, FEW * len(looked)):
        return []
    drifting = _drifting(related)
    if drifting is not None:
        return [drifting]
    lags = np.array([one.relation.lag_samples for one in related])
    rate_hz = related[0].item.rate_hz
    mode, _ = Counter(lags.tolist()).most_common(1)[0]
    near = float(np.mean(np.abs(lags - mode) <= 1))
    late = lags[np.abs(lags) > NATURAL_S * rate_hz]
    plain = _plain(related)
    if near >= ONE_LAG and mode != 0 and (plain or abs(mode) > NATURAL_S * rate_hz):
        return [_constant(related, mode, near, rate_hz)]
    scattered = lags[np.abs(lags - mode) > max(1, 0.001 * rate_hz)]
    if near < ONE_LAG and ((plain and scattered.size >= FEW * lags.size) or late.size >= FEW * lags.size):
        return [_varying(case, related, lags, rate_hz)]
    return []


def _plain(related: Sequence[Looked]) -> bool:
    """Whether noisy is a plain copy of clean with something added, once it is aligned: no room, sensor or codec."""
    from auscult.data.audit.additive import additive, aligned

    fits = []
    for one in related[:30]:
        fit = additive(*aligned(one.item.clean, one.item.noisy, one.relation.lag_samples), one.item.rate_hz)
        if fit is not None and np.isfinite(fit.flat):
            fits.append(fit.flat >= 0.85)
    return len(fits) >= 3 and float(np.mean(fits)) >= 0.6


def _constant(related: Sequence[Looked], lag: int, share: float, rate_hz: int) -> Finding:
    before = float(np.median([one.relation.si_sdr_db for one in related]))
    after = float(np.median([one.relation.aligned_db for one in related]))
    side, other = ("noisy", "late") if lag > 0 else ("noisy", "early")
    says = (
        f"{side} is {abs(lag)} samples ({1e3 * abs(lag) / rate_hz:.2f} ms) {other} in {share:.0%} of {len(related)} "
        f"items; aligned, its SI-SDR rises from {before:.1f} to {after:.1f} dB"
    )
    remedy = Remedy(f"drop the first {abs(lag)} samples of {'noisy' if lag > 0 else 'clean'}")
    measured = (Measured("lag", lag, "samples", "0"), Measured("share of items with this lag", share, "", "all at 0"),
                Measured("SI-SDR gained by alignment", after - before, "dB", "0"))  # fmt: skip
    return Finding(ID, "fault", ("lag",), says, measured, remedy=remedy, exhibits=_worst(related))


def _varying(case: Case, related: Sequence[Looked], lags: np.ndarray, rate_hz: int) -> Finding:
    ms = 1e3 * lags / rate_hz
    low, high = (float(v) for v in np.quantile(ms, [0.05, 0.95]))
    wide = high - low > 2e3 * SPREAD_S and low < 0 < high
    crops = case.items.through_loader and (shares := files_relate(case)) is not None and shares[0] >= 0.8 * shares[1]
    causes = ("independent-crops", "varying-lag") if wide or crops else ("varying-lag", "lag")
    says = (
        f"the lag between clean and noisy differs from item to item: 90 % lie between {low:.1f} and {high:.1f} ms, "
        f"{np.mean(lags == 0):.0%} of {lags.size} at 0"
    )
    measured = (Measured("median of |lag|", float(np.median(np.abs(ms))), "ms", "0", low, high),
                Measured("share at lag 0", float(np.mean(lags == 0)), "", "1"))  # fmt: skip
    return Finding(ID, "fault", causes, says, measured, exhibits=_worst(related))


def _drifting(related: Sequence[Looked]) -> Finding | None:
    """Clocks that run apart: the lag grows along most items, on a line."""
    found = [d for one in related[:16] if (d := _drift(one.item)) is not None]
    sure = [d for d in found if abs(d.ppm) > max(PPM_FAULT, 5 * d.error_ppm) and d.explained > 0.8]
    if len(sure) < max(3, 0.5 * len(found)):
        return None
    ppm = float(np.median([d.ppm for d in sure]))
    says = (
        f"noisy drifts against clean by {ppm:+.0f} ppm in {len(sure)} of {len(found)} items: "
        f"{abs(ppm) * 1e-3:.2f} ms a second"
    )
    remedy = Remedy(f"resample noisy by the factor {1 / (1 + 1e-6 * ppm):.6f}")
    low, high = (float(v) for v in np.quantile([d.ppm for d in sure], [0.025, 0.975]))
    return Finding(ID, "fault", ("clock-drift",), says, (Measured("drift", ppm, "ppm", "0", low, high),),
                   remedy=remedy)  # fmt: skip


def _drift(item: HeardItem) -> Drift | None:
    """Clocks far apart decorrelate within half a second, and short items have few windows of that length."""
    for window_s in _WINDOWS_S:
        found = drift(item.clean, item.noisy, item.rate_hz, window_s)
        if found is not None and found.windows >= _FEWEST:
            return found
    return None


def _belongs(looked: Sequence[Looked], related: Sequence[Looked]) -> list[Finding]:
    """What the measurement rules out."""
    share = len(related) / len(looked)
    if share < 0.5:
        return [Finding(ID, "cannot tell", ("unrelated-pairs",), f"only {share:.0%} of {len(looked)} items are clearly "
                        "related; the SNR may be very low or items very short")]  # fmt: skip
    lags = np.array([one.relation.lag_samples for one in related])
    at_zero = float(np.mean(np.abs(lags) <= 1))
    si_sdr = float(np.median([one.relation.si_sdr_db for one in looked]))
    ruled_out = ["unrelated-pairs"]
    if at_zero >= 0.95 and share >= 0.9:
        ruled_out += ["independent-crops", "lag", "varying-lag", "clock-drift", "input-not-related"]
    says = (
        f"{share:.0%} of {len(looked)} items are related, {at_zero:.0%} of them at lag 0; noisy SI-SDR {si_sdr:.1f} dB"
    )
    measured = (Measured("related items", share, "", "1"), Measured("at lag 0", at_zero, "", "1"),
                Measured("median SI-SDR of the noisy input", si_sdr, "dB", "-20 to 30"))  # fmt: skip
    return [Finding(ID, "healthy", tuple(ruled_out), says, measured)]


def _worst(related: Sequence[Looked]) -> list[Exhibit]:
    worst = sorted(related, key=lambda one: -abs(one.lag_ms))[:5]
    return [Exhibit(one.item.name, f"lag {one.lag_ms:.2f} ms") for one in worst]


RELATION = Check(
    ID,
    "data",
    "Do clean and noisy belong together, sample by sample?",
    ("items",),
    5.0,
    f"fault: no relation at any lag in {UNRELATED_FAULT:.0%} of the items (z below {UNRELATED}; "
    f"related above {RELATED}) "
    "with no common lag when stacked; a common lag of plain copies in 80 %, or above 20 ms; "
    "scattered lags; drift above "
    f"{PPM_FAULT:g} ppm. Mixtures of real speech and noise at -15 dB, 4 s: all related, all at lag 0",
    "GCC-PHAT (Knapp and Carter 1976); docs/cases/tfgridnet-crops.md",
    run,
)
