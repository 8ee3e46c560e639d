"""Processes that hash sources and make items; each holds the corpus and its library."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from types import TracebackType
from typing import Any, TypeVar

from auscult.errors import DataError
from auscult.processes import become_worker

Held = TypeVar("Held")
Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 4
"""Tasks submitted for every worker."""

_held: Any = None


class Workers:
    """Run a function over tasks, with ``held`` as its first argument; ``number`` of 0 or 1 runs in this process.

    Results come as they are ready, not in order.
    """

    def __init__(self, number: int, held: object):
        self._held, self._number, self._pool = held, number, None
        if number > 1:
            self._pool = ProcessPoolExecutor(number, get_context("spawn"), _hold, (held,))

    def run(self, function: Callable[[Any, Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """Every task with its result.

        Raises:
            DataError: a worker died.
        """
        if self._pool is None:
            yield from ((task, function(self._held, task)) for task in tasks)
            return
        waiting, running = deque(tasks), dict[Future[Result], Task]()
        try:
            while waiting or running:
                while waiting and len(running) < _AHEAD * self._number:
                    task = waiting.popleft()
                    running[self._pool.submit(_call, function, task)] = task
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool as error:
            raise DataError(
                "a worker process died (killed for want of memory?); what is made is kept: "
                "run again with fewer --workers"
            ) from error

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def _call(function: Callable[[Any, Task], Result], task: Task) -> Result:
    return function(_held, task)


def _hold(held: object) -> None:
    """A worker's start: what it works with, and when it ends."""
    global _held
    _held = held
    become_worker()
