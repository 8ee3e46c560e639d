"""What a corpus of pairs is: a plan of items with drawn parameters, and how one item is made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from jaxtyping import Float32
from numpy import ndarray

from auscult.data.corpora.library import Library, Use
from auscult.rng import Key

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Item:
    """One pair to be made.

    ``drawn`` is plain JSON: it becomes columns of the manifest and, with ``uses``, is all that :meth:`Corpus.make`
    knows. ``samples`` is the expected length of a side, for the estimate of the disk space.
    """

    split: str
    name: str
    uses: tuple[Use, ...]
    drawn: Mapping[str, Any]
    samples: int


@dataclass(frozen=True)
class Made:
    """A finished pair at the corpus's rate; both sides of one length. ``facts`` join the drawn parameters."""

    clean: Float32[ndarray, "1 T"]
    noisy: Float32[ndarray, "1 T"]
    facts: Mapping[str, Any] = field(default_factory=dict)


class Corpus(ABC):
    """A published corpus. Subclasses are frozen dataclasses: their fields are its settings.

    ``sources`` says what each source folder is, ``differences`` how the result departs from the published script.
    """

    title: ClassVar[str]
    sources: ClassVar[Mapping[str, str]]
    rate_hz: ClassVar[int]
    subtype: ClassVar[Literal["PCM_16", "PCM_24"]] = "PCM_16"
    """Sample format of the FLAC files: 16 bits where the sources have 16, else 24."""
    splits: ClassVar[tuple[str, ...]] = SPLITS
    """None of these may come out empty."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Optional packages."""
    differences: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def plan(self, library: Library, key: Key) -> list[Item]:
        """All items, in an order and with draws that depend on the sources' names and lengths and the key alone.

        Raises:
            DataError: a source folder does not hold what it should.
        """

    @abstractmethod
    def make(self, item: Item, library: Library) -> Made:
        """Make one pair.

        Raises:
            Unusable: the drawn material gives no pair (silence, say); the item is left out and counted.
            AudioError: a source file is damaged.
        """
