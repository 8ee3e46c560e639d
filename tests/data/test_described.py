"""Roll-offs and captions with every pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from auscult.audio.rolloff import LAST_BELOW
from auscult.data.captions import CONSTANT, LONGEST, Captions, Say, as_bytes, as_text, exchanged
from auscult.data.described import Described
from auscult.data.labels import labelled
from auscult.data.loader import collate
from auscult.data.pairs import Pairs
from auscult.errors import DataError, RecipeError
from auscult.rng import Key
from tests.processes import Run

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


@pytest.mark.parametrize("counts", [[1] * 40, [20, 20], [15, 9, 9, 5, 1, 1], [3, 2, 1]])
def test_exchanged_captions_are_never_ones_own_and_as_often_said(counts: list[int]) -> None:
    """A permutation, the same every time, whatever the order of the table."""
    own = {f"{caption}-{i}": f"c{caption}" for caption, count in enumerate(counts) for i in range(count)}
    given = exchanged(own)
    assert all(given[name] != text for name, text in own.items())
    assert sorted(given.values()) == sorted(own.values())
    assert exchanged(dict(reversed(own.items()))) == given


def test_where_one_caption_rules_others_are_said_more_often_and_one_alone_stays() -> None:
    own = {f"a{i}": "a" for i in range(9)} | {"b": "b", "c": "c"}
    given = exchanged(own)
    assert all(given[name] != text for name, text in own.items())
    assert given["b"] in "ac"
    assert exchanged({"x": "a", "y": "a"}) == {"x": "a", "y": "a"}


def test_of_many_captions_the_wrong_one_tells_nothing() -> None:
    """Labels dealt out at random: no group gets one other group's label alone."""
    own = {f"{caption}-{i}": f"c{caption}" for caption in range(8) for i in range(50)}
    given = exchanged(own)
    for caption in range(8):
        got = [given[f"{caption}-{i}"] for i in range(50)]
        assert max(got.count(one) for one in set(got)) < 20


@pytest.mark.parametrize("say", ["exchanged", "constant", "none"])
def test_controls_say_something_else_of_the_same_signals(say: Say, corpus: Path, tmp_path: Path) -> None:
    rows = "".join(f'{{"path": "p{i}.wav", "caption": "item {i}"}}\n' for i in range(6))
    (tmp_path / "captions.jsonl").write_text(rows)
    plain = Pairs(corpus / "pairs", crop_s=0.5)
    own, other = (Described(plain, tmp_path / "captions.jsonl", say=one) for one in ("own", say))
    texts = [as_text(other.pair(i, Key(0)).conditions["text"]) for i in range(6)]
    if say == "exchanged":
        assert sorted(texts) == [f"item {i}" for i in range(6)]
        assert all(text != f"item {i}" for i, text in enumerate(texts))
    else:
        assert set(texts) == {CONSTANT if say == "constant" else ""}
    assert np.array_equal(own.pair(3, Key(1)).noisy, other.pair(3, Key(1)).noisy)
    assert own.digest() != other.digest()
    with pytest.raises(RecipeError, match="no table of them"):
        Described(plain, say=say)


MANIFEST = """{"path": "a.wav", "source": "x", "accent": "irish"}
{"path": "b.wav", "source": "y", "kind": "noise"}
{"path": "c.wav", "source": "x"}
"""


def test_labels_become_captions(tmp_path: Path) -> None:
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(MANIFEST)
    found = labelled([manifest], ["source", "accent"], {"x": "studio"})
    assert {row["path"]: row["caption"] for row in found} == {"a.wav": "studio, irish", "b.wav": "y", "c.wav": "studio"}
    assert [row["path"] for row in labelled([manifest], ["source"], where={"kind": "noise"})] == ["b.wav"]


@pytest.mark.parametrize(("columns", "words", "where", "says"), [
    (["accent"], {}, {}, "m.jsonl:2: no path with accent; the row has kind, path, source"),
    (["source"], {"z": "studio"}, {}, "no row has 'z'; there are x, y"),
    (["source"], {}, {"kind": "speech"}, "no row fits where={'kind': 'speech'}"),
])  # fmt: skip
def test_labels_that_cannot_be(
    columns: list[str], words: dict[str, str], where: dict[str, str], says: str, tmp_path: Path
) -> None:
    (tmp_path / "m.jsonl").write_text(MANIFEST)
    with pytest.raises(DataError, match=says):
        labelled([tmp_path / "m.jsonl"], columns, words, dict(where))


def test_a_recording_has_one_caption(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"path": "a.wav", "source": "x"}\n{"path": "a.wav", "source": "y"}\n')
    with pytest.raises(DataError, match="a.wav is 'x' and 'y'"):
        labelled([tmp_path / "m.jsonl"], ["source"])


def test_the_command_writes_a_table_that_training_reads(tmp_path: Path, auscult: Run) -> None:
    (tmp_path / "m.jsonl").write_text(MANIFEST)
    command = ("data", "captions", tmp_path / "m.jsonl", "--from", "source", "-o", tmp_path / "t.jsonl")
    code, out, _ = auscult(*command, "--say", "x=a quiet room")
    assert code == 0
    assert "3 recordings, 2 captions" in out
    assert Captions.read(tmp_path / "t.jsonl").of("c.wav") == "a quiet room"
    code, _, err = auscult(*command, "--say", "studio")
    assert (code, "--say studio: give a name and a value" in err) == (2, True)
