"""What our tensors are made of, in the names of another project: tables that follow from a net, and their use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from auscult.errors import CheckpointError

Form = Literal["same", "matrix", "pointwise", "row", "joined", "stacked", "first"]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Source:
    """Tensors of another project that make one of ours.

    ``form``: the ``same`` tensor; a ``matrix`` (in, out) of a 1x1 convolution (out, in, 1, 1); a
    ``pointwise`` convolution (out, in, 1) for a matrix (out, in); one along a sequence (out, in, k) for a ``row`` of a
    map (out, in, 1, k); several ``joined`` along their first axis, or ``stacked`` on a new one; the ``first`` of
    several equal ones.
    """

    names: tuple[str, ...]
    form: Form = "same"

    def shape(self, own: Shape) -> Shape:
        """The shape of each of theirs where ours has the shape ``own``."""
        if self.form == "matrix":
            return own[1::-1]
        if self.form == "pointwise":
            return (*own, 1)
        if self.form == "row":
            return (*own[:2], *own[3:])
        if self.form == "joined":
            return (own[0] // len(self.names), *own[1:])
        return own[1:] if self.form == "stacked" else own

    def made(self, given: Mapping[str, Tensor]) -> Tensor:
        """Our tensor."""
        parts = [given[name] for name in self.names]
        if self.form == "matrix":
            return parts[0].T[:, :, None, None]
        if self.form == "pointwise":
            return parts[0][..., 0]
        if self.form == "row":
            return parts[0][:, :, None]
        if self.form == "joined":
            return torch.cat(parts)
        return torch.stack(parts) if self.form == "stacked" else parts[0]


Sources = Mapping[str, Source]
"""By our names, in the other project's order."""


def foreign_shapes(net: nn.Module, sources: Sources) -> dict[str, Shape]:
    """Shapes of the other project's tensors of a net."""
    own = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    return {theirs: source.shape(own[ours]) for ours, source in sources.items() for theirs in source.names}


def converted(net: nn.Module, sources: Sources, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Another project's tensors of a net in our names and layout; those it does not need are left.

    Raises:
        CheckpointError: the first tensor that is missing or of another shape, with the shape that was expected.
    """
    wanted = foreign_shapes(net, sources)
    missing = [key for key in wanted if key not in given]
    if missing:
        raise CheckpointError(
            f"the tensors do not make the {type(net).__name__} they are said to: {len(missing)} are missing, "
            f"the first {missing[0]} of shape {wanted[missing[0]]}"
        )
    for key, shape in wanted.items():
        if (found := tuple(given[key].shape)) != shape:
            raise CheckpointError(
                f"the tensors do not make the {type(net).__name__} they are said to: {key} has the shape {found}, "
                f"expected is {shape}"
            )
    return {ours: source.made(given) for ours, source in sources.items()}
