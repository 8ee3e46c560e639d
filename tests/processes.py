"""Processes that tests start, stop and count."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

Run = Callable[..., tuple[int, str, str]]
"""The command line in this process: exit code, output, errors."""


@contextlib.contextmanager
def hearing_ctrl_c() -> Iterator[None]:
    """What is started here hears Ctrl-C, even where the tests run in the background and ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def members(group: int) -> set[int]:
    """Processes of a group, zombies left out."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, own = status.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # ended while we looked
            continue
        if int(own) == group and state != "Z":
            found.add(int(status.parent.name))
    return found
