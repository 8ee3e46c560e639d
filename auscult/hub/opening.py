"""Opening a checkpoint, ours or another project's: from a file to a method with its nets loaded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from auscult import recipe
from auscult.catalogue import check_trust
from auscult.errors import CheckpointError
from auscult.hub.bundle import Meta, Weights, load_net, read_meta, read_tensors, select
from auscult.hub.foreign import Import, read_foreign
from auscult.methods.base import Method

OURS = ".safetensors"


def read_checkpoint(path: Path) -> Import:
    """What a file holds, whoever wrote it; no code of it is run.

    Raises:
        CheckpointError: it cannot be read, or is of no layout we know.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint '{path}'")
    if path.suffix == OURS:
        return Import(read_meta(path), read_tensors(path), ())
    return read_foreign(path)


def settled(found: Meta, origin: str, trust: Collection[str] = (), overrides: Sequence[str] = ()) -> recipe.Plan:
    """The method of a checkpoint with its settings overridden, checked and not yet built.

    A setting may be named short where that is unambiguous: ``steps=10`` for ``sampler.steps=10``.

    Raises:
        TrustError: it names a class of a package that is not trusted.
        RecipeError: overrides that the method does not know.
    """
    check_trust(recipe.class_names(found.method), trust, origin)
    if overrides:
        whole = recipe.plan(found.method, Method, "method").as_dict()
        overrides = [recipe.in_full(whole, given) for given in overrides]
    node = recipe.override({"method": found.method}, [f"method.{given}" for given in overrides])["method"]
    return recipe.plan(node, Method, "method")


def hears_noise(method: recipe.Plan) -> bool:
    """Whether a method is told of the noise; no net is built."""
    return method.as_dict().get("conditioning") is not None and not _extends(method)


def hears_beside(method: recipe.Plan) -> frozenset[str] | None:
    """What a method of super-resolution can be asked for: ``text``, the ``rolloff`` of its result; None: it is none."""
    if not _extends(method):
        return None
    net = method.as_dict().get("net") or {}
    heard = [name for name in ("text", "rolloff") if net.get(name) is not None]
    return frozenset(name for name in heard if net[name].get("target", True))


def _extends(method: recipe.Plan) -> bool:
    return issubclass(method.target, Method) and method.target.extends


def open_method(
    path: Path, trust: Collection[str] = (), overrides: Sequence[str] = (), weights: Weights = "auto"
) -> tuple[Method, dict[str, nn.Module], Meta]:
    """The method of a checkpoint with its nets loaded, in evaluation mode.

    ``weights="auto"`` takes averaged weights where the file has them; ``overrides`` change settings of the method,
    ``sampler.steps=10``.

    Raises:
        CheckpointError: as :func:`read_checkpoint`; also tensors that do not fit the net.
        TrustError: it names a class of a package that is not trusted.
        RecipeError: overrides that the method does not know.
    """
    found = read_checkpoint(path)
    method: Method = settled(found.meta, str(path), trust, overrides).build()
    nets = method.nets()
    for name, net in nets.items():
        load_net(net, select(found.tensors, name, weights, str(path)), str(path))
        net.eval()
    return method, nets, found.meta


def start_from(path: Path, nets: Mapping[str, nn.Module]) -> tuple[list[str], list[str]]:
    """Copy the tensors of a checkpoint that fit into nets; names of those that found no source, and that went unused.

    Raises:
        CheckpointError: as :func:`read_checkpoint`; or nothing at all fits.
    """
    tensors = read_checkpoint(path).tensors
    wanting, used = [], set()
    for name, net in nets.items():
        source = select(tensors, name, "auto", str(path))
        own: dict[str, Tensor] = net.state_dict()
        fitting = {key for key, tensor in own.items() if key in source and source[key].shape == tensor.shape}
        net.load_state_dict({key: source[key] if key in fitting else tensor for key, tensor in own.items()})
        wanting += [f"{name}.{key}" for key in own if key not in fitting]
        used |= {f"{name}.{key}" for key in fitting}
    if not used:
        raise CheckpointError(f"{path}: none of its tensors fits this recipe's nets")
    raw = {key for key in tensors if not key.startswith("ema.")}
    return wanting, sorted(raw - used)
