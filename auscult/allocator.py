"""Memory of large tensors on the CPU.

glibc gives every block of more than 32 MiB back to the kernel when it is freed, and the next one is zeroed page by
page: maps of a large net cost more to allocate than to compute on. Keeping freed blocks makes NCSN++ about 13 % faster
(docs/benchmarks.md); the process holds its peak memory until it ends.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed blocks of up to 1 GiB; False where there is no glibc."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, 2**30)) and bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
