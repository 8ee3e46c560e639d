"""Our checkpoint: one safetensors file that says what it is.

Tensors are named ``<net>.<tensor>`` and, for averaged weights, ``ema.<net>.<tensor>``. The metadata entry
``auscult`` is JSON with the method (a recipe section), the step, the scores and where it came from. Reading one runs
no code; building the method it names may need trust, if a class is not ours.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pydantic
import safetensors

from auscult.errors import CheckpointError, few
from auscult.files import write_bytes
from auscult.version import __version__

if TYPE_CHECKING:
    from torch import Tensor, nn

SCHEMA = 1
Weights = Literal["auto", "ema", "net"]


@dataclass(frozen=True)
class Meta:
    """What a checkpoint says about itself."""

    method: dict[str, Any]
    """The method as a section of a recipe."""
    recipe: str = ""
    step: int = 0
    scores: Mapping[str, float] = field(default_factory=dict)
    selected: float | None = None
    """The score that checkpoints of a run are ranked by; higher is better. None: not validated."""
    origin: str = ""

    def to_json(self) -> str:
        """The metadata entry."""
        return json.dumps({"schema": SCHEMA, "version": __version__, **self.__dict__})


def save(path: Path, tensors: Mapping[str, Tensor], meta: Meta) -> None:
    """Write a checkpoint."""
    from safetensors.torch import save as serialise

    contiguous = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_bytes(path, serialise(contiguous, {"auscult": meta.to_json()}))


def read_meta(path: Path) -> Meta:
    """What a file says about itself, without reading a tensor and without torch.

    Raises:
        CheckpointError: not a safetensors file, or not one of ours.
    """
    try:
        with safetensors.safe_open(str(path), "numpy") as file:
            text = (file.metadata() or {}).get("auscult")
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable checkpoint ({error}); it may be cut short") from error
    if text is None:
        raise CheckpointError(f"{path}: a safetensors file, but not one written by auscult: it names no method")
    return _parsed(text, str(path))


def _parsed(text: str, origin: str) -> Meta:
    try:
        fields = json.loads(text)
        if fields.pop("schema") > SCHEMA:
            message = f"{origin}: written by a newer auscult ({fields['version']}); upgrade to read it"
            raise CheckpointError(message)
        del fields["version"]
        return pydantic.TypeAdapter(Meta).validate_python(fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{origin}: its description of itself is damaged ({type(error).__name__})") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file.

    Raises:
        CheckpointError: the file cannot be read.
    """
    try:
        with safetensors.safe_open(str(path), "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable checkpoint ({error}); it may be cut short") from error


def select(tensors: Mapping[str, Tensor], name: str, weights: Weights, origin: str) -> dict[str, Tensor]:
    """One net's tensors: averaged ones where asked for or present, raw ones else.

    Raises:
        CheckpointError: averaged weights are asked for and there are none.
    """
    chosen = {k.removeprefix(f"{name}."): t for k, t in tensors.items() if k.startswith(f"{name}.")}
    averaged = {k.removeprefix(f"ema.{name}."): t for k, t in tensors.items() if k.startswith(f"ema.{name}.")}
    if weights == "ema" and not averaged:
        raise CheckpointError(f"{origin}: holds no averaged weights of '{name}'; use --weights net")
    return chosen if weights == "net" else chosen | averaged


def load_net(net: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Load a net, strictly.

    Raises:
        CheckpointError: tensors missing, unknown or of another shape; named.
    """
    own = net.state_dict()
    missing, unknown = own.keys() - tensors.keys(), tensors.keys() - own.keys()
    misfits = {k for k in own.keys() & tensors.keys() if own[k].shape != tensors[k].shape}
    if missing or unknown or misfits:
        raise CheckpointError(
            f"{origin}: does not fit the net {type(net).__name__}: {len(missing)} tensors missing ({few(missing)}), "
            f"{len(unknown)} unknown ({few(unknown)}), {len(misfits)} of another shape ({few(misfits)})"
        )
    net.load_state_dict(dict(tensors))


def sha256(path: Path) -> str:
    """Hash of a file's bytes: what weights are named by."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def parameters(path: Path) -> dict[str, int]:
    """Numbers held by each net of a checkpoint (averages not counted), without reading a tensor."""
    counts: dict[str, int] = {}
    with safetensors.safe_open(str(path), "numpy") as file:
        for key in file.keys():  # noqa: SIM118
            name = key.partition(".")[0]
            if name != "ema":
                counts[name] = counts.get(name, 0) + math.prod(file.get_slice(key).get_shape())
    return counts
