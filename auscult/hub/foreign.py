"""Checkpoints of other projects, recognised by what is in them and turned into a method and tensors of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from auscult.errors import CheckpointError
from auscult.hub import cmgan, edm2se, espnet, gtcrn, mpsenet, sgmse, storm
from auscult.hub.bundle import Meta, sha256
from auscult.hub.contents import Contents
from auscult.hub.published import identity
from auscult.hub.unpickle import HOSTILE, foreign_classes, read_archive


@dataclass(frozen=True)
class Import:
    """A foreign checkpoint in our terms.

    ``ignored`` lists what was in the file and not needed; ``notes`` say which weights were taken and what differs.
    """

    meta: Meta
    tensors: Mapping[str, Tensor]
    ignored: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """A kind of file: what tells it, whether a payload is one, and what is in it."""

    name: str
    sign: str
    fits: Callable[[Any], bool]
    read: Callable[[Any], Contents]


LAYOUTS = (
    Layout("GTCRN", "'model' with dpgrnn1.*", gtcrn.fits, gtcrn.read),
    Layout("CMGAN", "TSCB_1.*", cmgan.fits, cmgan.read),
    Layout("MP-SENet", "'generator' with TSTransformer.*", mpsenet.fits, mpsenet.read),
    Layout("StoRM", "'state_dict' with score_net.* or a dnn.* of one spectrum", storm.fits, storm.read),
    Layout("SGMSE", "'state_dict' with dnn.*", sgmse.fits, sgmse.read),
    Layout("EDM2SE", "unet.enc.*", edm2se.fits, edm2se.read),
    Layout("TF-GridNet", "separator.blocks.* of ESPnet", espnet.fits, espnet.read),
)


def read_foreign(path: Path) -> Import:
    """Read a PyTorch file without running anything in it.

    Raises:
        CheckpointError: not readable, of no layout we know, or not what its layout promises.
    """
    payload = read_archive(path)
    try:
        for layout in LAYOUTS:
            if layout.fits(payload):
                return _imported(path, payload, layout.read(payload))
    except HOSTILE as error:
        raise CheckpointError(
            f"{path}: damaged or hostile PyTorch archive ({type(error).__name__}: {error})"
        ) from error
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    shape = f"keys {', '.join(map(str, payload))[:80]}" if isinstance(payload, dict) else f"a {type(payload).__name__}"
    known = ", ".join(f"{layout.name} ({layout.sign})" for layout in LAYOUTS)
    raise CheckpointError(f"{path}: a PyTorch file ({shape}) of no layout known here; known are {known} and our own")


def _imported(path: Path, payload: Any, found: Contents) -> Import:
    digest = sha256(path)
    notes = (*identity(found.name, digest), *found.notes)
    origin = "; ".join([f"{found.name} checkpoint {path.name}, sha256 {digest[:16]}", *notes])
    meta = Meta(dict(found.method), found.name, found.step, origin=origin)
    return Import(meta, found.tensors, (*found.ignored, *sorted(foreign_classes(payload))), notes)
