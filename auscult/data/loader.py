"""Batches in an order that is a function of (seed, epoch, position) alone.

The loader has no state to save: position ``p`` of the endless stream is place ``p % len`` of epoch ``p // len`` of a
permutation keyed by the epoch. Workers, batch size and the number of devices decide who fetches an item, never
which item it is or what noise it gets.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context

import numpy as np
from numpy import ndarray

from auscult.data.pairs import Pair, PairBatch, PairSource
from auscult.degrade.base import Unusable
from auscult.errors import DataError
from auscult.processes import become_worker
from auscult.rng import Key

ATTEMPTS = 8
"""Draws per position before it is given up as invalid; from the third on, another file serves."""
PREFETCH_STEPS = 3
MOST_DEATHS = 2
"""Times that the pool of workers is built anew after one of them died."""


@lru_cache(maxsize=4)
def permutation(key: Key, epoch: int, length: int) -> ndarray:
    """The order of an epoch."""
    return key.child("order", epoch).numpy().permutation(length)


def fetch(source: PairSource, key: Key, position: int) -> tuple[Pair | None, Counter[str]]:
    """The item at a position of the stream, and why earlier draws for it were thrown away."""
    epoch, place = divmod(position, len(source))
    index = int(permutation(key, epoch, len(source))[place])
    skipped: Counter[str] = Counter()
    for attempt in range(ATTEMPTS):
        draw = key.child("item", epoch, index, attempt)
        other = index if attempt < 2 else int(draw.child("other").numpy().integers(len(source)))
        try:
            return source.pair(other, draw), skipped
        except Unusable as error:
            skipped[error.reason] += 1
    return None, skipped


def collate(source: PairSource, key: Key, positions: Sequence[int]) -> PairBatch:
    """Fetch and stack the items of one micro-batch."""
    fetched = [fetch(source, key, position) for position in positions]
    samples = source.crop_samples
    assert samples is not None, "batches need a crop length"
    silence = np.zeros((1, samples), np.float32)
    blank = Pair(silence, silence, source.rate_hz, "none", 0, 0, conditions=source.no_conditions())
    pairs = [pair or blank for pair, _ in fetched]
    return PairBatch(
        clean=np.stack([p.clean for p in pairs]),
        noisy=np.stack([p.noisy for p in pairs]),
        lengths=np.array([p.length for p in pairs]),
        crop_start=np.array([p.crop_start for p in pairs]),
        valid=np.array([pair is not None for pair, _ in fetched]),
        positions=tuple(positions),
        names=tuple(p.name for p in pairs),
        provenance=tuple(p.provenance for p in pairs),
        skipped=sum((skipped for _, skipped in fetched), Counter()),
        conditions={name: np.stack([p.conditions[name] for p in pairs]) for name in pairs[0].conditions},
    )


@dataclass(frozen=True)
class Share:
    """Which part of every global batch this process takes: ``batch`` items a micro-batch, ``accumulate`` of them."""

    batch: int
    accumulate: int = 1
    rank: int = 0
    world: int = 1

    @property
    def items(self) -> int:
        """Items a step, over all processes."""
        return self.batch * self.accumulate * self.world

    def positions(self, step: int) -> list[list[int]]:
        """Stream positions of this process's micro-batches of a step."""
        first = step * self.items
        starts = [first + (micro * self.world + self.rank) * self.batch for micro in range(self.accumulate)]
        return [list(range(start, start + self.batch)) for start in starts]


class Loader:
    """Iterate over steps, each a list of micro-batches; ``workers`` processes fetch ahead, 0 fetches in place."""

    def __init__(self, source: PairSource, key: Key, share: Share, workers: int = 0):
        if source.crop_s is None:
            raise DataError("training needs items of one length: set data.crop_s")
        self._source, self._key, self._share, self._workers = source, key, share, workers

    def steps(self, first: int, last: int) -> Generator[list[PairBatch], None, None]:
        """Steps ``first`` to ``last - 1``."""
        if self._workers == 0:
            for step in range(first, last):
                yield [collate(self._source, self._key, p) for p in self._share.positions(step)]
            return
        step, deaths = first, 0
        while step < last:
            try:
                for batches in self._fetched(step, last):
                    yield batches
                    step += 1
            except BrokenProcessPool as error:
                deaths += 1
                if deaths > MOST_DEATHS:
                    raise DataError(
                        f"processes that prepare batches died {deaths} times (killed for want of memory?); "
                        "use fewer --workers, or 0 to see what happens in this process"
                    ) from error

    def _fetched(self, first: int, last: int) -> Iterator[list[PairBatch]]:
        """Steps from a pool of workers, prepared ahead."""
        # Fresh interpreters, not forks: forking a process with running torch threads can deadlock.
        pool = ProcessPoolExecutor(self._workers, get_context("spawn"), _hold, (self._source, self._key))
        queue: deque[list[Future[PairBatch]]] = deque()
        try:
            for step in range(first, last):
                while len(queue) < PREFETCH_STEPS + self._workers and step + len(queue) < last:
                    ahead = self._share.positions(step + len(queue))
                    queue.append([pool.submit(_collate_held, p) for p in ahead])
                yield [future.result() for future in queue.popleft()]
        finally:
            # Waiting costs nothing once all was fetched; pools that still shut down as Python ends print tracebacks.
            pool.shutdown(wait=not queue, cancel_futures=True)


_held: tuple[PairSource, Key] | None = None


def _hold(source: PairSource, key: Key) -> None:
    """A worker's start: what it serves, and when it ends."""
    global _held
    _held = (source, key)
    become_worker()


def _collate_held(positions: Sequence[int]) -> PairBatch:
    assert _held is not None
    return collate(*_held, positions)
