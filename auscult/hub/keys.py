"""State-dict keys of other projects, as tables: a list of (their prefix or part, ours), applied in order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Table = Sequence[tuple[str, str]]
"""Regular expressions and replacements; a replacement of ``""`` for a whole key drops the tensor."""


def rename(key: str, table: Table) -> str:
    """A key in our names; empty when the table drops it."""
    for pattern, replacement in table:
        key = re.sub(pattern, replacement, key)
    return key


def renamed(state: Mapping[str, Tensor], table: Table) -> dict[str, Tensor]:
    """A state dict in our names."""
    pairs = ((rename(key, table), tensor) for key, tensor in state.items())
    return {key: tensor for key, tensor in pairs if key}
