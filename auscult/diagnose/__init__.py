"""Instruments that measure what a model learned, beside how well it restores."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auscult.diagnose.recorder import Recorder

__all__ = ["Recorder"]


def __getattr__(name: str) -> Any:
    """``Recorder`` is imported when it is asked for: see :class:`auscult.diagnose.recorder.Recorder`."""
    if name == "Recorder":
        from auscult.diagnose.recorder import Recorder

        return Recorder
    raise AttributeError(f"module 'auscult.diagnose' has no attribute '{name}'")
