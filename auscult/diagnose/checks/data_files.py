"""Whether files can be read, have partners, agree in length and rate, and have what their channels promise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from auscult.audio.clip import read
from auscult.data.audit.additive import additive
from auscult.data.corrections import LAG
from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.evidence import FilePair
from auscult.diagnose.finding import Exhibit, Finding, Measured, Verdict
from auscult.diagnose.gather.files import sample
from auscult.errors import AudioError

READABLE, LENGTHS, CHANNELS = "data-files", "data-lengths", "data-channels"
_DECODED, _SECONDS = 40, 5.0
_ONE_RATIO = 0.004
"""Ratios of durations of one resampling agree to the samples that rounding leaves."""


def _everything(case: Case) -> list[FilePair]:
    return [pair for rows in case.files.splits.values() for pair in rows]


def readable(case: Case) -> list[Finding]:
    """Headers of all, the end of some."""
    files = case.files
    infos = [info for pair in _everything(case) for info in (pair.clean, pair.noisy) if info is not None]
    broken = dict(files.unreadable)
    for info in sample(infos, _DECODED, case.key.child("decoded")):
        try:
            read(info.path, max(0, info.samples - 64), min(64, info.samples))
        except AudioError as error:
            broken[str(info.path)] = str(error)
    total = len(infos) + len(files.unreadable)
    says = f"{len(broken)} of {total} files cannot be read or are cut short"
    numbers = (Measured("files that cannot be read", len(broken), "", "0"),)
    exhibits = [Exhibit(path, why) for path, why in sorted(broken.items())[:5]]
    verdict: Verdict = "fault" if broken else "healthy"
    found = [Finding(READABLE, verdict, ("unreadable-files",), says, numbers, bool(broken), exhibits=exhibits)]
    alone = [name for names in files.unmatched.values() for name in names]
    if alone:
        share = len(alone) / (len(alone) + total)
        says = f"{len(alone)} files have no partner of their name ({share:.1%})"
        found.append(Finding(READABLE, "fault" if share > 0.5 else "suspect", ("unrelated-pairs",), says,
                             (Measured("files without a partner", len(alone), "", "0"),),
                             exhibits=[Exhibit(name, "no partner") for name in alone[:5]]))  # fmt: skip
    return found


def lengths(case: Case) -> list[Finding]:
    """Sides of pairs against each other."""
    # Sides whose lag is said are cut to what they share.
    pairs = [pair for pair in _everything(case) if pair.clean and pair.noisy and LAG not in pair.facts]
    if not pairs:
        return []
    return [*_rates(pairs), _durations(pairs)]


def _rates(pairs: Sequence[FilePair]) -> list[Finding]:
    """Sides of different rates with the same number of samples: one header is wrong."""
    both = [(p, p.clean, p.noisy) for p in pairs if p.clean and p.noisy]
    wrong = [
        (p, c, n) for p, c, n in both if c.rate_hz != n.rate_hz and abs(c.samples - n.samples) <= 0.002 * c.samples
    ]
    if not wrong:
        return []
    _, clean, noisy = wrong[0]
    says = (
        f"{len(wrong)} of {len(pairs)} pairs have the same number of samples at {clean.rate_hz} and "
        f"{noisy.rate_hz} Hz: "
        "one header says the wrong rate"
    )
    exhibits = [Exhibit(str(c.path), f"{c.rate_hz} Hz against {n.rate_hz} Hz") for _, c, n in wrong[:5]]
    numbers = (Measured("pairs of equal samples and different rates", len(wrong), "", "0"),)
    return [Finding(LENGTHS, "fault", ("wrong-rate",), says, numbers, exhibits=exhibits)]


def _durations(pairs: Sequence[FilePair]) -> Finding:
    rows = [(p.noisy.duration_s - p.clean.duration_s, p.name, p.noisy.duration_s / p.clean.duration_s)
            for p in pairs if p.clean and p.noisy]  # fmt: skip
    off = np.array([row[0] for row in rows])
    ratios = np.array([row[2] for row in rows])
    share, long = float(np.mean(np.abs(off) > 0.01)), float(np.mean(np.abs(off) > 1.0))
    numbers = (Measured("pairs that differ by more than 10 ms", share, "", "0"),
               Measured("pairs that differ by more than 1 s", long, "", "0"))  # fmt: skip
    worst = sorted(rows, key=lambda row: -abs(row[0]))[:5]
    exhibits = [Exhibit(name, f"noisy is {d:+.2f} s longer") for d, name, _ in worst if abs(d) > 0.01]
    if share < 0.05:
        says = f"{share:.1%} of {len(rows)} pairs differ in length by more than 10 ms"
        return Finding(LENGTHS, "healthy", ("length-mismatch",), says, numbers)
    ratio, spread = float(np.median(ratios)), float(np.quantile(ratios, 0.9) - np.quantile(ratios, 0.1))
    if abs(ratio - 1) > 0.02 and spread < _ONE_RATIO and len(rows) >= 5:
        says = f"noisy lasts {ratio:.4f} times as long as clean in all of {len(rows)} pairs: their rates differ"
        return Finding(
            LENGTHS, "fault", ("wrong-rate", "clock-drift", "length-mismatch"), says, numbers, exhibits=exhibits
        )
    says = f"{share:.0%} of {len(rows)} pairs differ in length, {long:.0%} by more than 1 s"
    return Finding(
        LENGTHS, "fault" if long > 0.2 else "suspect", ("length-mismatch",), says, numbers, exhibits=exhibits
    )


def channels(case: Case) -> list[Finding]:
    """What files of several channels hold in them."""
    infos = [info for pair in _everything(case) for info in (pair.clean, pair.noisy) if info and info.channels >= 2]
    if not infos:
        return []
    looked = sample(infos, _DECODED, case.key.child("channels"))
    kinds = [(str(info.path), kind) for info in looked if (kind := _kind(info.path, info.rate_hz)) is not None]
    counts = Counter(kind for _, kind in kinds)
    numbers = (Measured("files of several channels with one at odds", len(kinds), "", "0"),)
    if len(kinds) < max(2, 0.1 * len(looked)):
        says = f"channels agree in {len(looked) - len(kinds)} of {len(looked)} files of several channels"
        return [Finding(CHANNELS, "healthy", ("channel-mixup",), says, numbers)]
    kind, count = counts.most_common(1)[0]
    says = f"in {count} of {len(looked)} files of several channels {kind}"
    exhibits = [Exhibit(path, kind) for path, kind in kinds[:5]]
    verdict: Verdict = "fault" if len(kinds) >= 0.5 * len(looked) else "suspect"
    return [Finding(CHANNELS, verdict, ("channel-mixup",), says, numbers, exhibits=exhibits)]


def _kind(path: Path, rate_hz: int) -> str | None:
    """What is odd about the first two channels; None where nothing is."""
    try:
        wave = read(path).wave[:2, : round(_SECONDS * rate_hz)]
    except AudioError:
        return None
    left, right = wave
    power = np.square(wave, dtype=np.float64).mean(1)
    if power.max() < 1e-7:
        return None
    if power.min() < 1e-6 * power.max():
        return "one channel is empty"
    correlation = float(np.dot(left, right) / np.sqrt(np.dot(left, left) * np.dot(right, right)))
    if correlation < -0.95:
        return "one channel has the opposite sign, so that their mean cancels"
    for one, other in ((left, right), (right, left)):
        fit = additive(one, other, rate_hz)
        if fit is not None and fit.flat >= 0.95 and abs(fit.side - 1) < 0.05 and -25 < fit.snr_db < 25:
            return "one channel is the other with noise added"
    return None


READ = Check(
    READABLE,
    "data",
    "Can every file be read, and has it a partner?",
    ("files",),
    1.0,
    "fault: any file that cannot be read or ends early (certain); half of the files without a partner; suspect: any "
    "without a partner",
    "Definition: headers of all files, the ends of 40",
    readable,
)
LENGTH = Check(
    LENGTHS,
    "data",
    "Do the sides of a pair agree in length and rate?",
    ("files",),
    0.2,
    "fault: equal samples at different rates; one ratio of durations off by 2 % throughout; more than 1 s in a "
    "fifth of pairs; suspect: more than 10 ms in 5 %",
    "Definition: headers of both sides of a pair",
    lengths,
)
CHANNEL = Check(
    CHANNELS,
    "data",
    "Do channels hold what is taken from them?",
    ("files",),
    1.5,
    "fault: half of the files of several channels have an empty, inverted or cleaner one; suspect: a tenth",
    "Definition: the channels of a file compared with each other",
    channels,
)
