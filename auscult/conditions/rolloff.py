"""Roll-offs of the input and of what is asked for, as they come with the items of a batch, and the input's as it is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.audio.rolloff import LAST_BELOW
from auscult.errors import RestorationError

SOURCE, TARGET = "rolloff_source", "rolloff_target"
"""Shares of half the rate, [B]: 98.5 % of the magnitudes, bin / 1025 (:data:`auscult.audio.rolloff.LAST_BELOW`)."""


def source_rolloff(conditions: Mapping[str, Tensor], low: Float[Tensor, "B C T"], rate_hz: int) -> Float[Tensor, " B"]:
    """That of the input: as told, else measured on these samples, channels averaged."""
    if SOURCE in conditions:
        return _checked(conditions[SOURCE], "the input")
    waves = low.mean(1).float().cpu().numpy()
    return torch.tensor([LAST_BELOW.of(wave, rate_hz).ratio for wave in waves], device=low.device)


def target_rolloff(conditions: Mapping[str, Tensor], like: Tensor, default: float) -> Float[Tensor, " B"]:
    """That of what is asked for: as told, else the default."""
    if TARGET in conditions:
        return _checked(conditions[TARGET], "the result")
    return torch.full((like.shape[0],), default, device=like.device)


def _checked(value: Tensor, whose: str) -> Tensor:
    if not ((value >= 0) & (value <= 1)).all():
        raise RestorationError(f"a roll-off of {whose} lies in 0 to 1 (of half the rate), this is {value.tolist()}")
    return value
