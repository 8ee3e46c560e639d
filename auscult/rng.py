"""Randomness is an argument, never a global state.

A :class:`Key` names a draw by what it is for: ``Key(seed).child("degrade", epoch, item)``. Its generators are
counter-based (Philox keyed by a hash of the name), so neither batch size, worker count, number of devices nor
another draw switched on or off moves it. :class:`Draws` gives every item of a batch its own torch generator, so
that an item's result does not depend on its neighbours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Key:
    """The name of a random draw: a seed and a path of what it is for."""

    seed: int
    path: tuple[str | int, ...] = ()

    def child(self, *parts: str | int) -> Key:
        """A key below this one."""
        return Key(self.seed, self.path + parts)

    def _digest(self) -> int:
        name = "/".join(f"{type(part).__name__[0]}{part}" for part in (self.seed, *self.path))
        return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=16).digest(), "little")

    def numpy(self) -> np.random.Generator:
        """A fresh numpy generator at the start of this key's stream."""
        return np.random.Generator(np.random.Philox(key=self._digest()))

    def integer(self) -> int:
        """A 63-bit integer to seed other libraries with."""
        return self._digest() & (2**63 - 1)


class Draws:
    """One torch generator an item: item ``i`` of every tensor drawn here comes from generator ``i`` alone.

    Generators live on the CPU, so that a seed means the same on every device; the order of draws is the order
    of calls, as in the reference samplers (seed parity needs it).
    """

    def __init__(self, seeds: Iterable[int]):
        import torch

        self._generators: list[torch.Generator] = [torch.Generator().manual_seed(seed) for seed in seeds]

    @classmethod
    def of(cls, keys: Iterable[Key]) -> Draws:
        """Draws named by keys, one an item."""
        return cls(key.integer() for key in keys)

    def __len__(self) -> int:
        return len(self._generators)

    def normal_like(self, x: Tensor) -> Tensor:
        """Standard normal of the shape ``[B, ...]``, dtype and device of ``x``; complex has E|z|^2 = 1."""
        import torch

        if len(self) != x.shape[0]:
            raise ValueError(f"{len(self)} generators cannot serve a batch of {x.shape[0]}")
        items = [torch.randn(x.shape[1:], dtype=x.dtype, generator=g) for g in self._generators]
        return torch.stack(items).to(x.device)

    def uniform(self, low: float, high: float, device: torch.device | str = "cpu") -> Tensor:
        """One uniform number an item, ``[B]`` float32."""
        import torch

        items = [torch.rand((), generator=g) for g in self._generators]
        return (low + (high - low) * torch.stack(items)).to(device)
