"""What every worker process of ours does at its start: it leaves stopping to its parent, and does not outlive it."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing import connection, parent_process


def become_worker() -> None:
    """Ignore Ctrl-C and SIGTERM, which reach the whole process group: the parent decides when workers stop."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """However the parent ended."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
