"""Where a condition may enter a net: named sites, what acts on them, and what a call carries there.

A net passes its maps through ``context.at(site, map, place)``. Without a condition nothing acts anywhere, and the
map comes back as it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from auscult.nets.reference import Encoded

Site = Literal["input", "time", "entry", "norm", "level"]
"""``input``: the complex spectra that come in. ``time``: the time embedding. ``entry``: the maps into which the input
enters, the stem and then the joins of the input pyramid. ``norm``: the second normalisation of each residual block.
``level``: the map at the end of each level, down and then up. The last three count their places in order."""
Part = Literal["z", "tokens", "psd"]
"""What an injection takes of an encoded reference."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of a net that injections must fit, each a width; ``levels`` are (height in bins, width)."""

    bins: int
    embedding: int
    entries: tuple[int, ...]
    blocks: tuple[int, ...]
    levels: tuple[tuple[int, int], ...]


class Injection(nn.Module, ABC):
    """One way for a reference to enter a net. It has no parameters before :meth:`attach`.

    What it adds is zero after ``attach``, so that the net computes what it computed before.
    """

    site: ClassVar[Site]
    takes: ClassVar[Part]

    @abstractmethod
    def leads(self, net: Sizes) -> str:
        """From what it takes to the net, for messages: ``AdaGN 128 -> 30 blocks of 128..256``."""

    def misfit(self, net: Sizes) -> str:
        """Why it cannot enter this net, and what to do; empty where it can."""
        return ""

    @abstractmethod
    def attach(self, width: int, net: Sizes) -> None:
        """Make the parameters, for embeddings of ``width``."""

    @abstractmethod
    def prepare(self, told: Encoded, frames: int) -> Sequence[Tensor]:
        """What the places need in a call on maps of so many frames."""

    @abstractmethod
    def forward(self, h: Tensor, made: Sequence[Tensor], place: int) -> Tensor:
        """The map at a place of the site, changed."""


Prepared = Sequence[tuple[Injection, Sequence[Tensor]]]
"""Injections with what their places need in one call."""


@dataclass(frozen=True)
class Context:
    """What the blocks are told in one call: the time embedding (None in nets that know no time), the injections."""

    time: Float[Tensor, "B D"] | None
    injections: Prepared

    def at(self, site: Site, h: Tensor, place: int = 0) -> Tensor:
        """The map at a place, after the injections that act there."""
        for injection, made in self.injections:
            if injection.site == site:
                h = injection(h, made, place)
        return h
