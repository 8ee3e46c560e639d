"""Copies: within a split, and between training and what it is judged by."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from auscult.audio.info import Info
from auscult.data.audit.fingerprint import copies, fingerprint
from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.evidence import FilePair
from auscult.diagnose.finding import Exhibit, Finding, Measured, Verdict
from auscult.diagnose.gather.files import sample
from auscult.diagnose.gather.items import stretch
from auscult.diagnose.gather.naming import speaker
from auscult.errors import AudioError

COPIES, LEAKS = "data-duplicates", "data-splits"
_MOST, _READ_S = 200, 4.0
"""Recordings of a split that are compared; of larger splits those of equal name or length first."""
_NEAR_S = 0.08
"""Coders pad: copies differ in length by no more."""
_ENOUGH_S = 10.0
Printed = list[tuple[Info, np.ndarray]]


def _targets(pairs: Sequence[FilePair]) -> list[Info]:
    """Clean recordings, each file once."""
    return list({pair.clean.path: pair.clean for pair in pairs if pair.clean is not None}.values())


def _printed(case: Case, infos: Sequence[Info], seconds: float) -> Printed:
    """Fingerprints of what can be read, as far as the time goes."""
    found, until = [], max(0.0, case.clock.left - seconds)
    for info in infos:
        if case.clock.left < until:
            break
        try:
            one = fingerprint(stretch(info, 0.0, _READ_S), info.rate_hz)
        except AudioError:
            continue
        if one is not None:
            found.append((info, one))
    return found


def within(case: Case) -> Finding | None:
    """Recordings that a split holds twice."""
    rows = max(case.files.splits.values(), key=len, default=[])
    sides = _targets(rows)
    if len(sides) < 8:
        return None
    likely = _likely(sides)
    printed = _printed(case, [*likely, *sample(sides, _MOST - len(likely), case.key.child("copies"))], _ENOUGH_S)
    printed = list({info.path: (info, one) for info, one in printed}.values())
    twins = [(printed[i][0], printed[j][0]) for i, j, _ in copies([one for _, one in printed])]
    twice = {info.path for pair in twins for info in pair}
    if _noisy_differ(case, rows, twins):
        says = f"{len(twins)} clean recordings come with several noises each; no pair comes twice"
        return Finding(COPIES, "healthy", ("duplicates",), says)
    share = len(twice) / max(1, len(printed))
    numbers = (Measured("share of recordings that have a copy", share, "", "0"),)
    says = f"{len(twice)} of {len(printed)} clean recordings that were compared have a copy in the same split"
    exhibits = [Exhibit(str(a.path), f"the same as {b.path.name}") for a, b in twins[:5]]
    verdict: Verdict = "fault" if share >= 0.2 else "suspect" if len(twice) >= 4 and share >= 0.02 else "healthy"
    return Finding(COPIES, verdict, ("duplicates",), says, numbers, exhibits=exhibits)


def _likely(infos: Sequence[Info]) -> list[Info]:
    """Recordings that share their exact length with few others."""
    counts = Counter((info.samples, info.rate_hz) for info in infos)
    return [info for info in infos if 2 <= counts[info.samples, info.rate_hz] <= 4][: _MOST // 2]


def _noisy_differ(case: Case, rows: Sequence[FilePair], twins: Sequence[tuple[Info, Info]]) -> bool:
    """Whether copies of clean recordings have noisy sides of their own, as in corpora of several SNRs."""
    noisy = {pair.clean.path: pair.noisy for pair in rows if pair.clean and pair.noisy}
    both = [(noisy[a.path], noisy[b.path]) for a, b in twins if a.path in noisy and b.path in noisy][:10]
    if not both:
        return False
    alike = 0
    for one, other in both:
        try:
            left, right = (stretch(info, 0.0, _READ_S) for info in (one, other))
        except AudioError:
            continue
        size = min(left.size, right.size)
        alike += bool(abs(float(np.corrcoef(left[:size], right[:size])[0, 1])) > 0.999)
    return alike < 0.5 * len(both)


def across(case: Case) -> list[Finding]:
    """Recordings and speakers that two splits share."""
    splits = {name: rows for name, rows in case.files.splits.items() if rows}
    found = []
    for a, b in combinations(splits, 2):
        found.append(_shared(case, a, b, splits[a], splits[b]))
        if "train" in (a, b) and "test" in (a, b):
            found += _speakers(splits["train"], splits["test"])
    return found


def _shared(case: Case, a: str, b: str, left: Sequence[FilePair], right: Sequence[FilePair]) -> Finding:
    large, small = (_targets(rows) for rows in sorted((left, right), key=len, reverse=True))
    chosen = sample(small, _MOST, case.key.child("shared", a, b))
    same = {info.path.resolve() for info in large}
    hits = {info.path: info.path.name for info in chosen if info.path.resolve() in same}
    if len(hits) < len(chosen):
        others = _printed(case, _candidates(large, chosen), _ENOUGH_S / 2)
        own = _printed(case, chosen, _ENOUGH_S / 2)
        for i, j, _ in copies([one for _, one in own], [one for _, one in others]):
            hits[own[i][0].path] = others[j][0].path.name
    share = len(hits) / max(1, len(chosen))
    numbers = (Measured(f"share of the smaller of {a} and {b} that is in the other", share, "", "0"),)
    says = f"{len(hits)} of {len(chosen)} recordings that were compared are in {a} and in {b}"
    exhibits = [Exhibit(str(path), f"the same as {name}") for path, name in list(hits.items())[:5]]
    if {a, b} == {"valid", "test"} and share >= 0.8:
        return Finding(LEAKS, "fault", ("valid-is-test",), says, numbers, True, exhibits=exhibits)
    verdict: Verdict = "fault" if share >= (0.05 if len(hits) >= 2 else 0.1) else "suspect" if hits else "healthy"
    causes = ("leaked-split",) if hits or {a, b} != {"valid", "test"} else ("valid-is-test",)
    return Finding(LEAKS, verdict, causes, says, numbers, bool(hits), exhibits=exhibits)


def _candidates(large: Sequence[Info], chosen: Sequence[Info]) -> list[Info]:
    """Those of the larger split that could be copies: all where they are few, else of one name or length."""
    if len(large) <= 3 * _MOST:
        return list(large)
    stems = {info.path.stem for info in chosen}
    named = [info for info in large if info.path.stem in stems][:_MOST]
    by_length = sorted(large, key=lambda info: info.duration_s)
    lengths = [info.duration_s for info in by_length]
    near: dict[object, Info] = {info.path: info for info in named}
    for info in chosen:
        first, last = (bisect(lengths, info.duration_s + off) for bisect, off in
                       ((bisect_left, -_NEAR_S), (bisect_right, _NEAR_S)))  # fmt: skip
        closest = sorted(by_length[first:last], key=lambda one: abs(one.duration_s - info.duration_s))[:4]
        near |= {one.path: one for one in closest}
    return list(near.values())[: 3 * _MOST]


def _speakers(train: Sequence[FilePair], test: Sequence[FilePair]) -> list[Finding]:
    known = [{name for pair in rows if (name := _speaker(pair)) is not None} for rows in (train, test)]
    if not known[0] or not known[1]:
        return []
    both = sorted(known[0] & known[1])
    says = f"{len(both)} of {len(known[1])} speakers of test are in train"
    numbers = (Measured("speakers in train and test", len(both), "", "0"),)
    exhibits = [Exhibit(name, "in both") for name in both[:5]]
    return [Finding(LEAKS, "suspect" if both else "healthy", ("leaked-speakers",), says, numbers, exhibits=exhibits)]


def _speaker(pair: FilePair) -> str | None:
    stated = pair.facts.get("speaker")
    return str(stated) if stated is not None else speaker(pair.name)


DUPLICATES = Check(
    COPIES,
    "data",
    "Does a recording occur more than once?",
    ("files",),
    4.0,
    "copies by fingerprint (also coded anew or at another level) with equal noisy sides: fault from a fifth of the "
    "recordings, suspect from 2 % and four of them",
    "Definition: fingerprints of recordings compared; docs/audit.md",
    within,
)
SPLITS = Check(
    LEAKS,
    "data",
    "Are splits disjoint?",
    ("files",),
    6.0,
    "fault: 5 % and two or more, or 10 %, of the smaller split are in the larger; valid is test from 80 %; suspect: "
    "any; speakers shared by train and test: suspect",
    "Definition: fingerprints of recordings compared; docs/audit.md",
    across,
)
