"""Writing aside: a file appears complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from auscult.errors import OutputError

PART = ".part"


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; flushed to the disk and renamed into place on success, removed on failure.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
        _flush_folder(path.parent)
    except OSError as error:
        advice = "free some space" if error.errno == errno.ENOSPC else "choose another place"
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); {advice}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file aside.

    Raises:
        OutputError: as :func:`aside`.
    """
    with aside(path) as part:
        part.write_bytes(data)


def lock(folder: Path) -> IO[str]:
    """Hold a folder, made if needed, for as long as the returned file is open; the kernel lets go of it with us.

    Raises:
        BlockingIOError: another process holds it. OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = open(folder / ".lock", "a+")  # noqa: SIM115  held by the caller
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        raise
    return held


def sweep(folder: Path) -> None:
    """Remove what crashed writers left behind; only for folders that one process holds."""
    for part in folder.glob(f".*{PART}"):
        part.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
