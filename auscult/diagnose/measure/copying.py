"""Which pairs of a whole set are copies: each clean recording's fingerprint against those of about its length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from auscult.data.audit.fingerprint import SAME, SECONDS, fingerprint
from auscult.diagnose.evidence import FilePair
from auscult.diagnose.gather.items import stretch
from auscult.errors import AudioError

Row = tuple[str, FilePair]
JUDGED_FIRST = ("test", "valid")
"""Of a recording in several splits the first of these keeps it: scores stay comparable, training loses an item."""
_NEAR_S, _BLOCK = 0.08, 500
_SAME_SAMPLES = 0.999


def leaked(rows: Sequence[Row]) -> dict[int, str]:
    """Places of rows whose recording is also in a split that goes before theirs, with the reason."""
    found: dict[int, str] = {}
    for i, j in alike(rows):
        if rows[i][0] != rows[j][0]:
            keeps, loses = sorted((i, j), key=lambda place: _turn(rows[place][0]))
            found[loses] = f"the same recording as {rows[keeps][1].name} of {rows[keeps][0]}"
    return found


def repeated(rows: Sequence[Row]) -> dict[int, str]:
    """Places of rows that an earlier one of their split repeats, noisy side and all, with the reason."""
    found: dict[int, str] = {}
    for i, j in alike(rows):
        first, second = sorted((i, j))
        if rows[i][0] == rows[j][0] and first not in found and _same_noisy(rows[first][1], rows[second][1]):
            found[second] = f"a copy of {rows[first][1].name}"
    return found


def alike(rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """Places of rows with equal clean recordings, each two once.

    Rows are sorted by length and compared in blocks: memory grows with their number, not with its square.
    """
    printed = [(place, info.duration_s, one) for place, (_, pair) in enumerate(rows)
               if (info := pair.clean) is not None and (one := _print(pair)) is not None]  # fmt: skip
    printed.sort(key=lambda row: row[1])
    lengths_s = np.array([row[1] for row in printed])
    for first in range(0, len(printed), _BLOCK):
        block = printed[first : first + _BLOCK]
        last = int(np.searchsorted(lengths_s, block[-1][1] + _NEAR_S, "right"))
        cosines = np.stack([row[2] for row in block]) @ np.stack([row[2] for row in printed[first:last]]).T
        for a, b in np.argwhere(np.triu(cosines, 1) > SAME):
            if abs(lengths_s[first + a] - lengths_s[first + b]) <= _NEAR_S:
                yield printed[first + a][0], printed[first + b][0]


def _print(pair: FilePair) -> np.ndarray | None:
    assert pair.clean is not None
    try:
        return fingerprint(stretch(pair.clean, 0.0, SECONDS), pair.clean.rate_hz)
    except AudioError:
        return None


def _same_noisy(one: FilePair, other: FilePair) -> bool:
    """Whether noisy sides are copies as well: corpora of several SNRs hold each recording often."""
    if one.noisy is None or other.noisy is None:
        return one.noisy is other.noisy
    try:
        left, right = (stretch(info, 0.0, SECONDS) for info in (one.noisy, other.noisy))
    except AudioError:
        return False
    size = min(left.size, right.size)
    return bool(abs(float(np.corrcoef(left[:size], right[:size])[0, 1])) > _SAME_SAMPLES)


def _turn(split: str) -> int:
    return JUDGED_FIRST.index(split) if split in JUDGED_FIRST else len(JUDGED_FIRST)
