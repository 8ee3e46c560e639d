"""Manifests, banks, pairs and the loader: never misread, never cut apart, the same whatever the workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from auscult.audio.clip import Clip, read
from auscult.audio.resample import resample
from auscult.audio.writer import write
from auscult.data.bank import CACHE_BYTES, BankSpec, FileBank
from auscult.data.loader import ATTEMPTS, MOST_DEATHS, Loader, Share, collate, fetch, permutation
from auscult.data.manifest import from_folder, from_manifest, match_names
from auscult.data.pairs import Mixture, Pair, Pairs, PairSource
from auscult.degrade.base import Unusable
from auscult.degrade.channel import Gain
from auscult.degrade.noise import AddNoise
from auscult.errors import DataError
from auscult.rng import Key

KEY = Key(0).child("data")


@dataclass
class Deadly(PairSource):
    """Kills the worker it is in, ``deaths`` times; counts in a file, which outlives it."""

    inner: Mixture
    counter: Path
    deaths: int

    def __post_init__(self) -> None:
        self.rate_hz, self.crop_s = self.inner.rate_hz, self.inner.crop_s

    def __len__(self) -> int:
        return len(self.inner)

    def pair(self, index: int, key: Key) -> Pair:
        died = len(self.counter.read_bytes()) if self.counter.exists() else 0
        if died < self.deaths:
            self.counter.write_bytes(bytes(died + 1))
            os.kill(os.getpid(), signal.SIGKILL)
        return self.inner.pair(index, key)

    def unreadable(self) -> dict[str, str]:
        return {}

    def digest(self) -> str:
        return ""


def mixture(corpus: Path, **changes: object) -> Mixture:
    arguments: dict[str, object] = {
        "speech": BankSpec(manifest="all.jsonl", where={"kind": "speech"}),
        "banks": {"noise": BankSpec(folder="noise")},
        "degradations": (AddNoise(snr_db=(0, 10)), Gain()),
        "root": corpus,
        "crop_s": 1.0,
    }
    return Mixture(**{**arguments, **changes})  # type: ignore[arg-type]


def manifest(tmp_path: Path, *rows: object) -> Path:
    path = tmp_path / "list.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    wave = np.sin(np.arange(32_000) / 20).astype(np.float32)[None]
    write(tmp_path / "tone.wav", Clip(0.1 * wave, 16_000))
    return tmp_path / "tone.wav"


class TestManifest:
    def test_selection(self, corpus: Path) -> None:
        where = {"kind": "speech", "speaker": ["s0", "s1"]}
        names = [entry.name for entry in from_manifest(corpus / "all.jsonl", where).entries]
        assert names == [f"speech/speech{i}.wav" for i in (0, 1, 3, 4)]
        left = from_manifest(corpus / "all.jsonl", {"kind": "speech"}, {"speaker": "s2"})
        assert [entry.name for entry in left.entries] == names

    @pytest.mark.parametrize(("row", "message"), [
        ({"path": "tone.wav", "rate_hz": 48_000}, r"list\.jsonl:1: the row says 48000 Hz, tone\.wav has 16000 Hz"),
        ({"path": "tone.wav", "duration_s": 3.0}, r"list\.jsonl:1: the row says 3\.0 s, tone\.wav has 2\.000 s"),
        ({"path": "gone.wav"}, r"list\.jsonl:1: .*gone\.wav does not exist"),
        ({"file": "tone.wav"}, "the row has no 'path'; it has file"),
        ("{not json", r"list\.jsonl:1: not JSON"),
        ("[1, 2]", "a JSON object is needed, this is a list"),
    ])  # fmt: skip
    def test_wrong_rows_are_named_by_line(self, tmp_path: Path, tone: Path, row: object, message: str) -> None:
        with pytest.raises(DataError, match=message):
            from_manifest(manifest(tmp_path, row))

    def test_rounded_durations_pass(self, tmp_path: Path, tone: Path) -> None:
        assert len(from_manifest(manifest(tmp_path, {"path": "tone.wav", "duration_s": 2.04})).entries) == 1

    def test_nothing_selected_is_an_error(self, tmp_path: Path, tone: Path) -> None:
        with pytest.raises(DataError, match="none of its 1 rows fits"):
            from_manifest(manifest(tmp_path, {"path": "tone.wav"}), {"kind": "speech"})

    def test_missing_manifest_and_folder(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="cannot be read as a manifest"):
            from_manifest(tmp_path / "none.jsonl")
        with pytest.raises(DataError, match="no such folder"):
            from_folder(tmp_path / "none")
        with pytest.raises(DataError, match="no usable audio file"):
            from_folder(tmp_path)

    def test_unreadable_files_are_left_out_with_a_reason(self, tmp_path: Path, tone: Path) -> None:
        (tmp_path / "bad.wav").write_text("no sound")
        listing = from_folder(tmp_path)
        assert [entry.name for entry in listing.entries] == ["tone.wav"]
        assert "not audio" in listing.unreadable["bad.wav"]

    def test_pairing_is_by_name(self) -> None:
        assert match_names([Path("b.wav"), Path("a.flac")], [Path("a.wav"), Path("b.wav")]) == [
            (Path("a.flac"), Path("a.wav")), (Path("b.wav"), Path("b.wav")),
        ]  # fmt: skip
        with pytest.raises(DataError, match=r"1 only in clean \(c\), 1 only in noisy \(d\)"):
            match_names([Path("a.wav"), Path("c.wav")], [Path("a.wav"), Path("d.wav")])
        with pytest.raises(DataError, match="two files share the name 'a'"):
            match_names([Path("a.wav"), Path("a.flac")], [Path("a.wav")])


class TestBank:
    @pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
    def test_parts_equal_the_whole_at_any_rate(
        self, tmp_path: Path, rng: np.random.Generator, rate_hz: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wave = rng.standard_normal((1, 2 * rate_hz)).astype(np.float32) * 0.1
        write(tmp_path / "a.wav", Clip(wave, rate_hz))
        whole = resample(read(tmp_path / "a.wav").wave, rate_hz, 16_000)
        kept = FileBank(from_folder(tmp_path).entries, 16_000)
        monkeypatch.setattr("auscult.data.bank.CACHE_BYTES", 0)
        streamed = FileBank(from_folder(tmp_path).entries, 16_000)
        start = 9_000 - 9_000 % streamed.grid(0)
        for bank in (kept, streamed):
            assert bank.samples(0) == whole.shape[1]
            assert np.allclose(bank.read(0, start, 4_000), whole[:, start : start + 4_000], atol=3e-4)
            assert np.allclose(bank.read(0, 0, 500), whole[:, :500], atol=3e-4)
        assert CACHE_BYTES > 0

    def test_other_rates_and_channels_can_be_refused(self, tmp_path: Path, tone: Path) -> None:
        entries = from_folder(tmp_path).entries
        with pytest.raises(DataError, match="16000 Hz where the recipe works at 8000 Hz"):
            FileBank(entries, 8_000, rates="refuse")
        write(tmp_path / "stereo.wav", Clip(np.zeros((2, 100), np.float32) + 0.1, 16_000))
        with pytest.raises(DataError, match="2 channels"):
            FileBank(from_folder(tmp_path).entries, 16_000, mono="refuse")

    def test_nan_and_vanished_files_are_unusable(self, tmp_path: Path) -> None:
        import soundfile

        soundfile.write(tmp_path / "nan.wav", np.full(1_000, np.nan), 16_000, subtype="FLOAT")
        bank = FileBank(from_folder(tmp_path).entries, 16_000)
        with pytest.raises(Unusable, match="not finite"):
            bank.read(0, 0, 100)
        bank = FileBank(from_folder(tmp_path).entries, 16_000)
        (tmp_path / "nan.wav").unlink()
        with pytest.raises(Unusable, match="unreadable"):
            bank.read(0, 0, 100)

    def test_a_bank_needs_one_source(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="either 'manifest' or 'folder'"):
            BankSpec().listing(tmp_path)


class TestPairs:
    def test_clean_and_noisy_share_the_crop(self, corpus: Path) -> None:
        source = Pairs(corpus / "pairs", crop_s=0.5)
        for index in range(len(source)):
            pair = source.pair(index, KEY.child(index))
            whole = read(corpus / "pairs" / "clean" / pair.name).wave
            cut = slice(pair.crop_start, pair.crop_start + 8_000)
            assert np.array_equal(pair.clean, whole[:, cut])
            assert np.array_equal(pair.noisy, read(corpus / "pairs" / "noisy" / pair.name).wave[:, cut])

    def test_files_at_another_rate_stay_aligned(self, tmp_path: Path, clean: Clip) -> None:
        up = resample(clean.wave[:, :48_000], 16_000, 44_100)
        for side, gain in (("clean", 1.0), ("noisy", 0.5)):
            write(tmp_path / side / "a.wav", Clip(gain * up, 44_100))
        pair = Pairs(tmp_path, crop_s=1.0).pair(0, KEY)
        assert pair.clean.shape == (1, 16_000)
        assert np.allclose(pair.noisy, 0.5 * pair.clean, atol=1e-4)
        expected = clean.wave[:, pair.crop_start : pair.crop_start + 16_000]
        assert np.corrcoef(pair.clean[0], expected[0])[0, 1] > 0.999

    def test_short_files_are_padded_at_the_end(self, corpus: Path) -> None:
        pair = Pairs(corpus / "pairs", crop_s=5.0).pair(0, KEY)
        assert pair.clean.shape == (1, 80_000)
        assert pair.length == 24_000
        assert not pair.clean[:, 24_000:].any()

    def test_a_manifest_of_pairs(self, corpus: Path) -> None:
        rows = [
            {"clean": f"pairs/clean/p{i}.wav", "noisy": f"pairs/noisy/p{i}.wav", "split": "ab"[i % 2]} for i in range(4)
        ]
        path = corpus / "pairs.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert len(Pairs(corpus, manifest="pairs.jsonl", where={"split": "b"}, crop_s=None)) == 2
        with pytest.raises(DataError, match="no row fits"):
            Pairs(corpus, manifest="pairs.jsonl", where={"split": "c"})

    @pytest.mark.parametrize(("change", "message"), [
        ({"rate_hz": 48_000}, "pairs.jsonl:1: the row says 48000 Hz, p0.wav has 16000 Hz"),
        ({"duration_s": 9.0}, r"pairs.jsonl:1: the row says 9\.0 s, p0\.wav has 1\.500 s"),
        ({"noisy": "pairs/noisy/gone.wav"}, "pairs.jsonl:1: .*gone.wav does not exist"),
    ])  # fmt: skip
    def test_rows_that_lie_are_named(self, corpus: Path, change: dict[str, object], message: str) -> None:
        row = {"clean": "pairs/clean/p0.wav", "noisy": "pairs/noisy/p0.wav", "rate_hz": 16_000, **change}
        (corpus / "pairs.jsonl").write_text(json.dumps(row) + "\n")
        with pytest.raises(DataError, match=message):
            Pairs(corpus, manifest="pairs.jsonl")

    def test_unreadable_pairs_are_left_out_with_a_reason(self, corpus: Path, tmp_path: Path) -> None:
        shutil.copytree(corpus / "pairs", tmp_path / "pairs")
        (tmp_path / "pairs" / "noisy" / "p0.wav").write_text("words")
        source = Pairs(tmp_path / "pairs", crop_s=None)
        assert len(source) == 5
        assert "not audio" in source.unreadable()["p0.wav"]
        for path in (tmp_path / "pairs" / "noisy").iterdir():
            path.write_text("words")
        with pytest.raises(DataError, match="no readable pair: .*not audio"):
            Pairs(tmp_path / "pairs")

    @pytest.mark.parametrize(("samples", "rate_hz"), [(999, 16_000), (1_000, 8_000)])
    def test_pairs_that_disagree_are_refused(self, tmp_path: Path, samples: int, rate_hz: int) -> None:
        write(tmp_path / "clean" / "a.wav", Clip(np.zeros((1, 1_000), np.float32), 16_000))
        write(tmp_path / "noisy" / "a.wav", Clip(np.zeros((1, samples), np.float32), rate_hz))
        with pytest.raises(DataError, match="a pair must agree in both"):
            Pairs(tmp_path)

    def test_missing_side(self, corpus: Path) -> None:
        with pytest.raises(DataError, match="pairs need a clean and a noisy one"):
            Pairs(corpus)


class TestMixture:
    def test_items_count_crops_of_speech(self, corpus: Path) -> None:
        seconds = sum(read(path).duration_s for path in (corpus / "speech").iterdir())
        assert len(mixture(corpus, crop_s=0.25)) == pytest.approx(seconds / 0.25, abs=6)
        assert len(mixture(corpus, crop_s=None)) == 6

    def test_noise_is_new_every_epoch_and_the_same_for_the_same_key(self, corpus: Path) -> None:
        source = mixture(corpus)
        first, again, next_epoch = (source.pair(2, KEY.child("item", epoch, 2)) for epoch in (0, 0, 1))
        assert np.array_equal(first.noisy, again.noisy)
        assert first.provenance == again.provenance
        assert first.provenance[0]["snr_db"] != next_epoch.provenance[0]["snr_db"]

    def test_a_missing_bank_is_named(self, corpus: Path) -> None:
        with pytest.raises(DataError, match="AddNoise needs the bank 'street'"):
            mixture(corpus, degradations=(AddNoise(bank="street"),))

    def test_silent_speech_is_counted_and_replaced(self, corpus: Path, tmp_path: Path) -> None:
        write(tmp_path / "speech" / "a-silent.wav", Clip(np.zeros((1, 20_000), np.float32), 16_000))
        write(tmp_path / "speech" / "b.wav", read(corpus / "speech" / "speech0.wav"))
        source = mixture(tmp_path, speech=BankSpec(folder="speech"), banks={}, degradations=(Gain(),))
        batch = collate(source, KEY, range(len(source)))
        assert batch.valid.all()
        assert batch.skipped["silent speech"] >= 1
        assert set(batch.names) == {"b.wav"}

    def test_what_cannot_be_replaced_is_invalid(self, tmp_path: Path) -> None:
        write(tmp_path / "speech" / "silent.wav", Clip(np.zeros((1, 20_000), np.float32), 16_000))
        source = mixture(tmp_path, speech=BankSpec(folder="speech"), banks={}, degradations=(Gain(),))
        pair, skipped = fetch(source, KEY, 0)
        assert pair is None
        assert skipped == {"silent speech": ATTEMPTS}
        assert not collate(source, KEY, [0, 1]).valid.any()


class TestLoader:
    def test_every_item_once_an_epoch_in_a_new_order(self) -> None:
        orders = [permutation(KEY, epoch, 50).tolist() for epoch in range(2)]
        assert all(sorted(order) == list(range(50)) for order in orders)
        assert orders[0] != orders[1]

    def test_workers_change_nothing(self, corpus: Path) -> None:
        source = mixture(corpus)
        apart, together = (
            [step[0] for step in Loader(source, KEY, Share(3), workers).steps(2, 7)] for workers in (2, 0)
        )
        assert len(apart) == 5
        for a, b in zip(apart, together, strict=True):
            assert a.names == b.names
            assert np.array_equal(a.noisy, b.noisy)
            assert a.provenance == b.provenance

    @pytest.mark.parametrize("deaths", [1, MOST_DEATHS + 1])
    def test_dead_workers_are_replaced_but_not_for_ever(
        self, corpus: Path, tmp_path: Path, deaths: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A worker killed from outside (want of memory) costs nothing; one that dies again and again is an error."""
        source = Deadly(mixture(corpus), tmp_path / "deaths", deaths)
        steps = Loader(source, KEY, Share(3), 1).steps(0, 4)
        if deaths > MOST_DEATHS:
            with pytest.raises(DataError, match=f"died {deaths} times.*use fewer --workers"):
                list(steps)
            return
        expected = [step[0].noisy for step in Loader(mixture(corpus), KEY, Share(3)).steps(0, 4)]
        for mine, theirs in zip([step[0].noisy for step in steps], expected, strict=True):
            assert np.array_equal(mine, theirs)

    def test_any_split_of_a_global_batch_is_the_same_batch(self) -> None:
        whole = Share(batch=8).positions(5)[0]
        split = [Share(2, 2, rank, 2).positions(5) for rank in range(2)]
        assert sorted(p for share in split for micro in share for p in micro) == whole
        assert [Share(4, 2).positions(5)[i] for i in range(2)] == [whole[:4], whole[4:]]

    def test_a_later_start_continues_the_same_stream(self, corpus: Path) -> None:
        source = mixture(corpus)
        whole = [step[0].positions for step in Loader(source, KEY, Share(4)).steps(0, 6)]
        assert [step[0].positions for step in Loader(source, KEY, Share(4)).steps(3, 6)] == whole[3:]

    def test_batches_need_one_length(self, corpus: Path) -> None:
        with pytest.raises(DataError, match=r"set data\.crop_s"):
            Loader(mixture(corpus, crop_s=None), KEY, Share(2))
