"""Pairs that come with what a model of super-resolution is told: roll-offs of both sides, and a caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy import ndarray

from auscult.audio.rolloff import LAST_BELOW
from auscult.data.captions import Captions, Say, as_bytes, told
from auscult.data.manifest import Entry
from auscult.data.pairs import Pair, PairSource
from auscult.errors import DataError, RecipeError
from auscult.rng import Key


class Described(PairSource):
    """Items of another source with ``rolloff_source``, ``rolloff_target`` and, from a table, ``text``.

    Roll-offs are shares of half the rate (bin / 1025), float32; of the target only training may know. A text is UTF-8
    bytes (:func:`auscult.data.captions.as_bytes`). Signals and crops do not change.

    Args:
        source: of the pairs.
        captions: table of CSV or JSONL with ``path`` and ``column``, from the working directory; None: no text.
        column: that holds the captions (or transcripts).
        say: each recording's own caption, or for controls of an experiment: ``exchanged`` among the recordings of the
            source (fixed, whatever the seed: :func:`auscult.data.captions.exchanged`), the same ``constant`` of all,
            ``none``.

    Raises:
        DataError: a table that cannot be read; captions to exchange of a source that does not list its recordings;
            later, an item that has no row in the table.
        RecipeError: something to say without a table.
    """

    def __init__(self, source: PairSource, captions: Path | None = None, column: str = "caption", say: Say = "own"):
        if captions is None and say != "own":
            raise RecipeError(f"say: {say} is about captions, and there is no table of them; give captions, or say own")
        self._source, self._captions = source, None
        if captions is not None:
            self._captions = _said(Captions.read(captions, column), say, source)
        self.rate_hz, self.crop_s = source.rate_hz, source.crop_s

    def __len__(self) -> int:
        return len(self._source)

    def unreadable(self) -> Mapping[str, str]:
        return self._source.unreadable()

    def digest(self) -> str:
        texts = "" if self._captions is None else " ".join(f"{k}={v}" for k, v in sorted(self._captions.texts.items()))
        return f"{self._source.digest()} {texts}"

    def noise_type(self, index: int) -> str | None:
        return self._source.noise_type(index)

    def alike(self, index: int) -> Sequence[int]:
        return self._source.alike(index)

    def recordings(self) -> Sequence[tuple[Entry, Entry | None]]:
        return self._source.recordings()

    def no_conditions(self) -> Mapping[str, ndarray]:
        return self._told(0.0, 0.0, "")

    def pair(self, index: int, key: Key) -> Pair:
        pair = self._source.pair(index, key)
        source, target = (LAST_BELOW.of(side.mean(axis=0), self.rate_hz).ratio for side in (pair.noisy, pair.clean))
        text = "" if self._captions is None else self._captions.of(pair.name)
        return replace(pair, conditions={**pair.conditions, **self._told(source, target, text)})

    def _told(self, source: float, target: float, text: str) -> dict[str, ndarray]:
        told = {"rolloff_source": np.array(source, np.float32), "rolloff_target": np.array(target, np.float32)}
        return told if self._captions is None else told | {"text": as_bytes(text)}


def _said(captions: Captions, say: Say, source: PairSource) -> Captions:
    """What is told of the recordings of a source."""
    if say == "own":
        return captions
    names = [clean.name for clean, _ in source.recordings()]
    if not names:
        raise DataError(f"say: {say} needs a list of recordings, and {type(source).__name__} has none; say own")
    return Captions.by_name(told({name: captions.of(name) for name in names}, say))
