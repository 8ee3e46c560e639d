"""What a layout finds in another project's file, in our terms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from auscult import recipe
from auscult.errors import CheckpointError, RecipeError
from auscult.methods.base import Method


@dataclass(frozen=True)
class Contents:
    """A method with its tensors (``<net>.<tensor>``, averaged ones ``ema.<net>.<tensor>``).

    ``ignored`` lists what was in the file and not needed, ``notes`` what a user should know about what was taken.
    """

    name: str
    method: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    step: int = 0
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def blank_nets(method: Mapping[str, Any]) -> dict[str, nn.Module]:
    """The nets of a method without memory for their tensors.

    Raises:
        CheckpointError: what was read from the file makes no method.
    """
    try:
        with torch.device("meta"):
            nets: dict[str, nn.Module] = recipe.plan(method, Method, "method").build().nets()
    except RecipeError as error:
        raise CheckpointError(f"its settings make no method of ours ({error})") from error
    return nets


def grouped(keys: Iterable[str]) -> tuple[str, ...]:
    """Names of tensors by their first part, of a net also the second: ``noise_encoder.* (12 tensors)``."""
    parts = [key.split(".") for key in keys]
    counts = Counter(".".join(part[: 2 if part[0].endswith(("dnn", "net")) else 1]) for part in parts)
    return tuple(f"{part}.* ({count} tensors)" for part, count in counts.items())
