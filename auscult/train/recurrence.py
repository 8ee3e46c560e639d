"""Whether training hears the same items in the same order again, told from their samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from zlib import crc32

from auscult.data.pairs import PairBatch

SPARSE = 61
"""From one sample that is read to the next: another crop or noise shows, at no cost."""
SPAN = 16
"""Items in a row: shuffled epochs repeat so many by chance only where a corpus has hardly more than one item."""
MOST = 500_000
"""Sequences that are remembered (about 50 MB); of longer runs the first."""


class Recurrence:
    """Counts items that come after the same fifteen others as before, sample by sample."""

    def __init__(self) -> None:
        self._last: deque[int] = deque(maxlen=SPAN)
        self._known: set[int] = set()

    def count(self, batches: Sequence[PairBatch]) -> int:
        """Items of a step of which that is so."""
        return sum(self._again(one) for batch in batches for one in _digests(batch))

    def _again(self, digest: int) -> bool:
        self._last.append(digest)
        if len(self._last) < SPAN:
            return False
        sequence = hash(tuple(self._last))
        again = sequence in self._known
        if len(self._known) < MOST:
            self._known.add(sequence)
        return again


def _digests(batch: PairBatch) -> list[int]:
    """One a usable item."""
    sides = batch.clean[..., ::SPARSE], batch.noisy[..., ::SPARSE]
    return [
        crc32(sides[1][place].tobytes(), crc32(sides[0][place].tobytes()))
        for place, valid in enumerate(batch.valid.tolist())
        if valid
    ]
