"""auscult restores degraded speech and says why a restoration model is worse than it should be.

    import auscult
    model = auscult.load("default")
    clean = model.enhance(wave, rate_hz)          # wave: float array, (samples,) or (channels, samples)

Importing this package imports neither torch nor any optional dependency.
"""

from typing import TYPE_CHECKING, Any

from auscult.version import __version__

if TYPE_CHECKING:
    from auscult.restore import load

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """``load`` is imported when it is asked for: see :func:`auscult.restore.load`."""
    if name == "load":
        from auscult.restore import load

        return load
    raise AttributeError(f"module 'auscult' has no attribute '{name}'")
