"""Checkpoints of other projects, recognised by what is in them and turned into a method and tensors of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from auscult.errors import CheckpointError
from auscult.hub import gtcrn
from auscult.hub.bundle import Meta, sha256
from auscult.hub.unpickle import HOSTILE, foreign_classes, read_archive


@dataclass(frozen=True)
class Import:
    """A foreign checkpoint in our terms. ``ignored`` lists what was in the file and not needed."""

    meta: Meta
    tensors: Mapping[str, Tensor]
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """A kind of file: how to recognise its payload, and what it becomes."""

    name: str
    fits: Callable[[Any], bool]
    method: Mapping[str, Any]
    tensors: Callable[[Any], dict[str, Tensor]]
    used: tuple[str, ...]


LAYOUTS = (Layout("GTCRN", gtcrn.fits, gtcrn.METHOD, gtcrn.tensors, ("model",)),)


def read_foreign(path: Path) -> Import:
    """Read a PyTorch file without running anything in it.

    Raises:
        CheckpointError: not readable, or of no layout we know.
    """
    payload = read_archive(path)
    try:
        for layout in LAYOUTS:
            if layout.fits(payload):
                return _imported(path, payload, layout)
    except HOSTILE as error:
        raise CheckpointError(
            f"{path}: damaged or hostile PyTorch archive ({type(error).__name__}: {error})"
        ) from error
    shape = f"keys {', '.join(map(str, payload))[:80]}" if isinstance(payload, dict) else f"a {type(payload).__name__}"
    known = ", ".join(layout.name for layout in LAYOUTS)
    raise CheckpointError(f"{path}: a PyTorch file ({shape}) of no layout known here; known are {known} and our own")


def _imported(path: Path, payload: Any, layout: Layout) -> Import:
    origin = f"{layout.name} checkpoint {path.name}, sha256 {sha256(path)[:16]}"
    meta = Meta(dict(layout.method), layout.name, int(payload.get("epoch", 0)), origin=origin)
    ignored = [str(key) for key in payload if key not in layout.used]
    return Import(meta, layout.tensors(payload), (*ignored, *sorted(foreign_classes(payload))))
