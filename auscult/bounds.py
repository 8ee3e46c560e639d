"""Bounds of numbers in recipes, as types: what is out of bounds is refused with the key's name before anything runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

Count = Annotated[int, Field(gt=0)]
"""A whole number of at least one."""

Whole = Annotated[int, Field(ge=0)]
"""A whole number of at least zero."""

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
"""Between 0 and 1: probabilities, decays."""

Decay = Annotated[float, Field(ge=0, lt=1)]
"""From 0 to below 1: what multiplies a running average."""

Time = Annotated[float, Field(gt=0, lt=1)]
"""A time of a diffusion path, strictly inside it."""


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"the lowest value comes first, not {limits[0]} before {limits[1]}")
    return limits


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
"""Lowest and highest value of a uniform draw."""

Counts = Annotated[tuple[int, int], AfterValidator(_ordered)]
"""Lowest and highest number of something."""
