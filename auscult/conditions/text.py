"""Captions as they come with the items of a batch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Int
from torch import Tensor

KEY = "text"
"""UTF-8 bytes, [B, L], zeros behind the end; see :mod:`auscult.data.captions`."""


def captions(conditions: Mapping[str, Tensor], like: Tensor) -> Int[Tensor, "B L"]:
    """The captions that conditions hold; empty ones where they hold none."""
    if KEY in conditions:
        return conditions[KEY]
    return torch.zeros(like.shape[0], 1, dtype=torch.long, device=like.device)
