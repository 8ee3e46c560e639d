"""What a degradation is, the material it may use, and how several are composed.

A degradation first *draws* its parameters (plain numbers and names, fit for JSON), *settles* them where the signal has
a say (a cut-off below its own roll-off), then *applies* them: the same parameters on the same signal give the same
result, so that every pair can tell how it came about.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.bounds import Range, Share
from auscult.rng import Key

Drawn = dict[str, Any]
"""Parameters of one applied degradation: ``{"type": "AddNoise", "snr_db": 7.1, ...}``."""


class Unusable(Exception):
    """This draw gives no usable item (silence, an unreadable file ...): count the reason and draw again."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


@dataclass(frozen=True)
class Signal:
    """A pair on its way: what the model shall return, and what it will hear. float32 (C, T)."""

    clean: Float32[ndarray, "C T"]
    noisy: Float32[ndarray, "C T"]
    rate_hz: int

    def heard(self, noisy: Float32[ndarray, "C T"]) -> Signal:
        """The same target, heard differently."""
        return Signal(self.clean, noisy, self.rate_hz)

    def through(self, change: Callable[[Float32[ndarray, "C T"]], Float32[ndarray, "C T"]], target: bool) -> Signal:
        """What is heard, changed; the target too, where asked for."""
        return Signal(change(self.clean) if target else self.clean, change(self.noisy), self.rate_hz)


@runtime_checkable
class Bank(Protocol):
    """A collection of recordings at one rate, mono: noises, room responses, other speakers."""

    rate_hz: int

    def __len__(self) -> int: ...

    def samples(self, index: int) -> int:
        """Length of a recording."""
        ...

    def describe(self, index: int) -> dict[str, Any]:
        """What the manifest says about a recording: name, noise type, speaker, T60."""
        ...

    def read(self, index: int, start: int, samples: int) -> Float32[ndarray, "1 T"]:
        """A part of a recording; zero-extended where it ends early."""
        ...


Banks = Mapping[str, Bank]


class Degradation(ABC):
    """Subclasses are frozen dataclasses; ``probability`` is how often they act in a chain."""

    probability: Share

    @abstractmethod
    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        """Draw parameters for a signal of this length."""

    def settle(self, signal: Signal, drawn: Drawn) -> Drawn:
        """The parameters that stay with the pair: as drawn, or as far as this signal allows.

        Raises:
            Unusable: the signal cannot serve (a target without the band that is to be learned, say).
        """
        return drawn

    @abstractmethod
    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        """Apply drawn parameters.

        Raises:
            Unusable: the drawn material cannot serve (a silent noise, say).
        """

    def banks(self) -> Sequence[str]:
        """Names of the banks it uses."""
        return ()


def degrade(signal: Signal, chain: Sequence[Degradation], key: Key, banks: Banks) -> tuple[Signal, list[Drawn]]:
    """Run a chain. Each link draws from its own stream, so that switching one on moves no other's draws."""
    provenance: list[Drawn] = []
    for position, link in enumerate(chain):
        name = type(link).__name__
        rng = key.child(position, name).numpy()
        if rng.random() >= link.probability:
            continue
        drawn = link.settle(signal, link.draw(rng, signal.clean.shape[1], signal.rate_hz, banks))
        signal = link.apply(signal, drawn, banks)
        provenance.append({"type": name, **drawn})
    return signal, provenance


def uniform(rng: np.random.Generator, limits: Range) -> float:
    """One uniform number, rounded to six digits so that it reads and round-trips well."""
    return round(float(rng.uniform(*limits)), 6)
