"""Roll-offs and captions with every pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from auscult.audio.rolloff import LAST_BELOW
from auscult.data.captions import LONGEST, Captions, as_bytes, as_text
from auscult.data.described import Described
from auscult.data.loader import collate
from auscult.data.pairs import Pairs
from auscult.errors import DataError
from auscult.rng import Key

JSONL = '{"path": "a/p0.wav", "caption": "a man speaks"}\n{"path": "a/p1.wav", "caption": ""}\n'


@pytest.mark.parametrize("text", ["", "a dog barks", "Köln, été", "x" * (LONGEST + 5)])
def test_texts_survive_as_bytes(text: str) -> None:
    raw = as_bytes(text)
    assert (raw.shape, raw.dtype) == ((LONGEST,), np.int64)
    assert as_text(raw) == text[:LONGEST]


@pytest.mark.parametrize(("name", "content"), [
    ("t.jsonl", JSONL), ("t.csv", 'path,caption\na/p0.wav,a man speaks\na/p1.wav,""\n'),
])  # fmt: skip
def test_tables(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    captions = Captions.read(tmp_path / name)
    assert captions.of("a/p0.wav") == captions.of("p0.flac") == "a man speaks"
    assert captions.of("p1.wav") == ""
    with pytest.raises(DataError, match="p2.wav: no caption"):
        captions.of("p2.wav")
    with pytest.raises(DataError, match="has no transcript"):
        Captions.read(tmp_path / name, "transcript")
    with pytest.raises(DataError, match="cannot be read"):
        Captions.read(tmp_path / f"nowhere{Path(name).suffix}")


def test_pairs_are_described(corpus: Path, tmp_path: Path) -> None:
    """Signals stay; the roll-offs are those of either side; batches hold them, blank items too."""
    rows = "".join(f'{{"path": "p{i}.wav", "caption": "item {i}"}}\n' for i in range(6))
    (tmp_path / "captions.jsonl").write_text(rows)
    plain = Pairs(corpus / "pairs", crop_s=0.5)
    source = Described(plain, tmp_path / "captions.jsonl")
    own, pair = plain.pair(2, Key(0)), source.pair(2, Key(0))
    assert np.array_equal(own.noisy, pair.noisy)
    for name, side in (("rolloff_source", own.noisy), ("rolloff_target", own.clean)):
        assert pair.conditions[name] == pytest.approx(LAST_BELOW.of(side[0], 16_000).ratio)
    assert as_text(pair.conditions["text"]) == "item 2"
    batch = collate(source, Key(0), [0, 1])
    assert batch.conditions["text"].shape == (2, LONGEST)
    assert {name: array.shape for name, array in source.no_conditions().items()} == {
        "rolloff_source": (), "rolloff_target": (), "text": (LONGEST,)}  # fmt: skip
    assert "text" not in Described(plain).pair(0, Key(0)).conditions
    assert source.digest() != Described(plain).digest()
