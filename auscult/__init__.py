"""auscult restores degraded speech and says why a restoration model is worse than it should be.

    import auscult
    model = auscult.load("default")
    clean = model.enhance(wave, rate_hz)          # wave: float array, (samples,) or (channels, samples)

Importing this package imports neither torch nor any optional dependency.
"""

from typing import TYPE_CHECKING, Any

from auscult.version import __version__

if TYPE_CHECKING:
    from auscult.restore.engine import Restorer as Restorer

__all__ = ["__version__", "load"]


def load(model: str = "default", **options: Any) -> "Restorer":
    """Open a model for restoration: see :func:`auscult.restore.load`."""
    from auscult.restore import load as load_model

    return load_model(model, **options)
