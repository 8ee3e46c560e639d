"""Noise references: disjoint from what is restored, moving no other draw, and noise where they are cut from speech."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy import ndarray

from auscult import recipe
from auscult.audio.clip import Clip
from auscult.audio.level import peak, power
from auscult.audio.writer import write
from auscult.data.activity import activity, frames_of
from auscult.data.bank import BankSpec
from auscult.data.loader import Loader, Share, collate, fetch
from auscult.data.manifest import read_rows
from auscult.data.pairs import Mixture, Pair, Pairs, PairSource
from auscult.data.referenced import Origin, Referenced
from auscult.data.references import Detector, Reference, conditions, from_noisy
from auscult.data.selection import select
from auscult.degrade.base import Unusable
from auscult.degrade.noise import AddNoise, ColouredNoise
from auscult.errors import AudioError, AuscultError, DataError, RecipeError
from auscult.rng import Key
from auscult.units import to_db

KEY = Key(0).child("data")
ORIGINS: tuple[Origin, ...] = ("none", "disjoint", "overlapping", "noise_only:auto")
HELD_OUT = ["helicopter", "siren"]


def items(corpus: Path, crop_s: float | None = 1.4) -> Mixture:
    speech = BankSpec("all.jsonl", where={"kind": "speech"})
    return Mixture(speech, (AddNoise((0, 5)),), {"noise": BankSpec(folder="noise")}, corpus, crop_s=crop_s)


def referenced(corpus: Path, origin: Origin = "disjoint", **changes: Any) -> Referenced:
    arguments: dict[str, Any] = {"source": items(corpus), "crop_s": 0.9, "duration_s": (0.2, 0.5), "origin": origin}
    return Referenced(**{**arguments, **changes})


def said(pair: Pair) -> dict[str, Any]:
    return pair.provenance[-1]


def noise_in(pair: Pair) -> ndarray:
    return pair.conditions["noise"][:, : int(pair.conditions["noise_samples"])]


def stretch_of(found: Reference, rate_hz: int) -> slice:
    start = round(found.origin["start_s"] * rate_hz)
    return slice(start, start + found.wave.shape[1])


class TestReference:
    def test_shape_and_level_are_apart(self, rng: np.random.Generator) -> None:
        noise = rng.standard_normal((1, 8_000)).astype(np.float32) * 0.03
        found, louder = (Reference.of(gain * noise, {"origin": "x"}) for gain in (1, 8))
        assert found is not None
        assert louder is not None
        assert power(found.wave) == pytest.approx(1.0, rel=1e-5)
        assert np.allclose(found.wave, louder.wave, atol=1e-5)
        assert found.level(0.5) == pytest.approx(np.log(0.03 / 0.5), abs=0.02)
        assert found.level(0.5) == pytest.approx(louder.level(8 * 0.5), abs=1e-6)

    def test_silence_is_none_and_channels_are_averaged(self) -> None:
        assert Reference.of(np.full((1, 100), 1e-6, np.float32), {}) is None
        opposite = np.array([[1.0] * 100, [-1.0] * 100], np.float32)
        assert Reference.of(opposite, {}) is None

    def test_conditions_have_one_shape_with_and_without(self) -> None:
        found = Reference.of(np.ones((1, 30), np.float32) / 4, {})
        one, none = conditions(found, 50, 0.5), conditions(None, 50, 0.5)
        assert {k: (v.shape, v.dtype) for k, v in one.items()} == {k: (v.shape, v.dtype) for k, v in none.items()}
        assert one["noise_samples"] == 30
        assert np.array_equal(one["noise"], [[1.0] * 30 + [0.0] * 20])
        assert one["noise_level"] == pytest.approx(np.log(0.5))
        assert not any(value.any() for value in none.values())


class TestNoiseOnly:
    """Stretches of noisy speech without speech in them."""

    @pytest.mark.parametrize("detector", ["auto", "vad", "energy"])
    def test_the_only_pause_is_found(self, clean: Clip, rng: np.random.Generator, detector: Detector) -> None:
        level = np.sqrt(power(clean.wave))
        loud = clean.wave[:, np.abs(clean.wave[0]) > 0.3 * level][:, :40_000]  # speech without its pauses
        speech = np.concatenate([loud[:, :20_000], np.zeros((1, 9_600), np.float32), loud[:, 20_000:]], axis=1)
        noisy = speech + rng.standard_normal(speech.shape).astype(np.float32) * np.float32(0.1 * level)
        found = from_noisy(noisy, 16_000, 0.5, detector)
        assert found is not None
        part = stretch_of(found, 16_000)
        assert 20_000 - 320 <= part.start <= part.stop <= 29_600 + 320
        assert found.origin["origin"] == ("noise_only:energy" if detector == "energy" else "noise_only:vad")
        assert np.allclose(found.wave * found.rms, noisy[:, part], atol=1e-6)

    @pytest.mark.parametrize("detector", ["auto", "vad", "energy"])
    @pytest.mark.parametrize(("duration_s", "most_db"), [(0.25, -15), (0.5, -10)])
    def test_little_speech_leaks(
        self, clean: Clip, noisy: Clip, detector: Detector, duration_s: float, most_db: float
    ) -> None:
        found = from_noisy(noisy.wave, noisy.rate_hz, duration_s, detector)
        assert found is not None
        part = stretch_of(found, noisy.rate_hz)
        assert part.stop - part.start == int(duration_s / 0.02) * 320
        noise = noisy.wave - clean.wave
        assert to_db(power(clean.wave[:, part])) - to_db(power(noise[:, part])) < most_db
        assert abs(to_db(power(noise)) - to_db(power(noise[:, part]))) < 6

    def test_steady_noise_has_no_quiet_part_but_is_no_speech(self, rng: np.random.Generator) -> None:
        noise = rng.standard_normal((1, 32_000)).astype(np.float32) * 0.1
        assert from_noisy(noise, 16_000, 0.5, "energy") is None
        found = from_noisy(noise, 16_000, 0.5, "auto")
        assert found is not None
        assert found.rms == pytest.approx(0.1, rel=0.05)
        assert not activity(frames_of(noise, 16_000)).speech.any()

    def test_of_several_stretches_the_least_like_speech(self, rng: np.random.Generator) -> None:
        noise = rng.standard_normal((1, 64_000)).astype(np.float32) * 0.1
        noise[:, :32_000] *= np.float32(10 ** (1.5 / 20))
        assert not activity(frames_of(noise, 16_000)).speech.any()
        found = from_noisy(noise, 16_000, 0.5, "vad")
        assert found is not None
        assert stretch_of(found, 16_000).start >= 32_000

    def test_digital_silence_is_no_reference(self, noisy: Clip) -> None:
        padded = np.pad(noisy.wave, ((0, 0), (16_000, 16_000)))
        found = from_noisy(padded, 16_000, 0.5)
        assert found is not None
        assert stretch_of(found, 16_000).start >= 16_000
        assert stretch_of(found, 16_000).stop <= padded.shape[1] - 16_000
        assert from_noisy(np.zeros((1, 32_000), np.float32), 16_000, 0.5) is None
        assert not activity(np.zeros((10, 320))).speech.any()

    def test_too_short_or_all_speech(self, noisy: Clip) -> None:
        assert from_noisy(noisy.wave[:, :7_000], 16_000, 0.5) is None
        assert from_noisy(noisy.wave[:, :100], 16_000, 0.5) is None
        assert from_noisy(noisy.wave, 16_000, 8.0) is None  # no eight seconds of it are without speech

    def test_recordings(self, data: Path) -> None:
        """Half a second is found in most recordings at 5 dB, with the speech well below the noise."""
        speech = BankSpec("valid.jsonl", where={"kind": "speech"})
        noise = BankSpec("train.jsonl", where={"kind": "noise", "noise_type": ["rain", "sea_waves", "chainsaw"]})
        source = Mixture(speech, (AddNoise((5, 5)),), {"noise": noise}, data, crop_s=None)
        leaks = []
        for i in range(16):
            pair = source.pair(i * len(source) // 16, KEY.child(i))
            if found := from_noisy(pair.noisy, 16_000, 0.5):
                part = stretch_of(found, 16_000)
                leaks.append(to_db(power(pair.clean[:, part])) - to_db(power((pair.noisy - pair.clean)[:, part])))
        assert len(leaks) >= 14
        assert np.median(leaks) < -10


class TestReferenced:
    def test_the_origin_moves_no_other_draw(self, corpus: Path) -> None:
        for index in range(6):
            pairs = [referenced(corpus, origin).pair(index, KEY.child(index)) for origin in ORIGINS]
            for pair in pairs[1:]:
                assert np.array_equal(pair.clean, pairs[0].clean)
                assert np.array_equal(pair.noisy, pairs[0].noisy)
                assert (pair.crop_start, pair.length) == (pairs[0].crop_start, pairs[0].length)
                assert pair.provenance[:-1] == pairs[0].provenance[:-1]
            assert not any(value.any() for value in pairs[0].conditions.values())
            assert said(pairs[0]) == {"type": "NoiseReference", "origin": "none", "wanted": "none"}

    def test_disjoint_references_are_the_noise_beside_the_crop(self, corpus: Path) -> None:
        source, made, starts, lengths = items(corpus), referenced(corpus), set(), set()
        drawn = [
            (source.pair(i % len(source), KEY.child(i)), made.pair(i % len(source), KEY.child(i))) for i in range(30)
        ]
        for whole, pair in drawn:
            if said(pair)["origin"] == "none":
                continue
            start = pair.crop_start - whole.crop_start
            assert np.array_equal(pair.noisy, whole.noisy[:, start : start + 14_400])
            begin = round(said(pair)["start_s"] * 16_000)
            noise = noise_in(pair)
            end = begin + noise.shape[1]
            assert 3_200 - 1 <= noise.shape[1] <= 8_000
            assert end <= start or begin >= start + 14_400 - 8  # start_s is rounded to milliseconds
            nearby = (whole.noisy - whole.clean)[:, max(0, begin - 8) : end + 8]
            matches = [nearby[:, i : i + noise.shape[1]] for i in range(nearby.shape[1] - noise.shape[1] + 1)]
            match = min(matches, key=lambda m: float(np.abs(m / np.sqrt(power(m)) - noise).max()))
            assert np.allclose(match / np.sqrt(power(match)), noise, atol=1e-4)
            expected = np.log(np.sqrt(power(match)) / peak(pair.noisy))
            assert pair.conditions["noise_level"] == pytest.approx(expected, abs=1e-4)
            starts.add(start)
            lengths.add(noise.shape[1])
        assert min(starts) == 0
        assert max(starts) > 0
        assert len(lengths) > 12

    def test_a_looped_noise_lies_in_the_crop_and_beside_it(self, corpus: Path) -> None:
        made, origins = referenced(corpus), {True: set(), False: set()}
        for index in range(24):
            pair = made.pair(index % len(made), KEY.child(index))
            (part,) = pair.provenance[0]["sources"]
            assert part["looped"] == (part["name"] == "noise0.wav")  # 1.25 s long; the items have 1.4 s
            origins[part["looped"]].add(said(pair)["origin"])
        assert origins == {True: {"none"}, False: {"disjoint"}}

    def test_overlapping_references_give_the_target_away(self, corpus: Path) -> None:
        found = referenced(corpus, "overlapping", duration_s=(0.9, 0.9)).pair(0, KEY)
        noise = noise_in(found)
        rms = float(np.exp(found.conditions["noise_level"])) * peak(found.noisy)
        assert np.allclose(found.noisy - rms * noise, found.clean, atol=1e-5)

    def test_fixed_durations_survive_rounding(self, corpus: Path) -> None:
        speech = BankSpec("all.jsonl", where={"kind": "speech"})
        source = Mixture(speech, (ColouredNoise(),), None, corpus, rate_hz=11_025, crop_s=1.20002)
        made = Referenced(source, crop_s=0.70001, duration_s=(0.50001, 0.50001))  # 13230, 7718 and 5513 samples
        assert all(said(made.pair(i, KEY.child(i)))["origin"] == "disjoint" for i in range(6))

    def test_noise_only_is_cut_from_what_is_heard(self, corpus: Path) -> None:
        source = items(corpus, crop_s=None)
        made = Referenced(source, crop_s=None, duration_s=(0.2, 0.2), origin="noise_only:auto")
        found = [(made.pair(i, KEY.child(i)), source.pair(i, KEY.child(i))) for i in range(len(source))]
        assert sum(said(pair)["origin"] != "none" for pair, _ in found) >= 4
        for pair, whole in found:
            assert np.array_equal(pair.noisy, whole.noisy)
            if said(pair)["origin"] != "none":
                begin = round(said(pair)["start_s"] * 16_000)
                part = whole.noisy[:, begin : begin + 3_200]
                assert np.allclose(part / np.sqrt(power(part)), noise_in(pair), atol=1e-5)

    @pytest.mark.parametrize(("changes", "message"), [
        ({"duration_s": (0.05, 0.5)}, "at least 0.1 s, this is 0.05"),
        ({"crop_s": None}, "nothing of a whole item is left"),
        ({"crop_s": 1.0}, r"up to 0\.5 s need items of 1\.5 s, the source gives 1\.4; set it to 1\.5"),
        ({"crop_s": 1.5, "origin": "none"}, r"need items of 1\.5 s"),
    ])  # fmt: skip
    def test_what_cannot_be_is_refused(self, corpus: Path, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(RecipeError, match=message):
            referenced(corpus, **changes)


class TestShortPairs:
    """Recorded pairs of 1.5 to 2.1 s, in which no rest is left beside 1.5 s or more."""

    @pytest.fixture
    def listed(self, corpus: Path) -> Path:
        kinds = {"noise_type": ["rain", "rain", "siren", "siren", "rain"], "type": [*"aabba"]}
        for column, values in kinds.items():
            rows = [
                {"clean": f"pairs/clean/p{i}.wav", "noisy": f"pairs/noisy/p{i}.wav", column: kind}
                for i, kind in enumerate(values)
            ]
            (corpus / f"{column}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return corpus

    @pytest.mark.parametrize("column", ["noise_type", "type"])
    def test_another_file_of_the_same_type_helps(self, listed: Path, column: str) -> None:
        made = Referenced(Pairs(listed, manifest=f"{column}.jsonl", crop_s=3.0), crop_s=2.2, duration_s=(0.4, 0.8))
        kin = {0: "14", 1: "04", 2: "3", 3: "2", 4: "01"}
        others = {index: set() for index in kin}
        for index in kin:
            for draw in range(8):
                pair = made.pair(index, KEY.child(index, draw))
                assert said(pair)["origin"] == "other_file"
                others[index].add(said(pair)["file"][1])
                own = np.sqrt(power(pair.noisy - pair.clean)) / peak(pair.noisy)
                assert pair.conditions["noise_level"] == pytest.approx(np.log(own), abs=1e-5)
                assert noise_in(pair).shape[1] >= 6_399
        assert others == {index: set(names) for index, names in kin.items()}

    def test_without_types_there_is_no_reference(self, corpus: Path) -> None:
        made = Referenced(Pairs(corpus / "pairs", crop_s=3.0), crop_s=2.2, duration_s=(0.4, 0.8))
        pair = made.pair(0, KEY)
        assert said(pair) == {"type": "NoiseReference", "origin": "none", "wanted": "disjoint"}
        assert pair.conditions["noise_samples"] == 0

    def test_padding_is_no_reference_and_no_target(self, corpus: Path) -> None:
        made = Referenced(Pairs(corpus / "pairs", crop_s=3.0), crop_s=1.2, duration_s=(0.25, 1.5))
        for draw in range(8):
            pair = made.pair(0, KEY.child(draw))  # 1.5 s long: 0.3 s are left
            assert pair.length == 19_200
            assert pair.crop_start in (0, 4_800)
            assert noise_in(pair).shape[1] <= 4_800
            assert said(pair)["origin"] == "disjoint"
            assert np.abs(noise_in(pair)[:, -160:]).max() > 0.01

    def test_rows_are_selected_by_several_values(self, listed: Path) -> None:
        chosen = Pairs(listed, manifest="type.jsonl", where={"type": ["a", "c"]})
        left = Pairs(listed, manifest="type.jsonl", exclude={"type": "b"})
        assert len(chosen) == len(left) == 3
        assert chosen.digest() == left.digest()
        with pytest.raises(DataError, match=r"no row fits where=\{\}, exclude=\{'type': \['a', 'b'\]\}"):
            Pairs(listed, manifest="type.jsonl", exclude={"type": ["a", "b"]})


@dataclass
class Moody(PairSource):
    """Has no item at the places of the stream that are drawn for odd items."""

    inner: Referenced

    def __post_init__(self) -> None:
        self.rate_hz, self.crop_s = self.inner.rate_hz, self.inner.crop_s

    def __len__(self) -> int:
        return len(self.inner)

    def pair(self, index: int, key: Key) -> Pair:
        drawn_for = key.path[-2]
        if isinstance(drawn_for, int) and drawn_for % 2:
            raise Unusable("mood", str(drawn_for))
        return self.inner.pair(index, key)

    def unreadable(self) -> dict[str, str]:
        return {}

    def digest(self) -> str:
        return ""

    def no_conditions(self) -> Any:
        return self.inner.no_conditions()


class TestBatches:
    def test_conditions_are_stacked(self, corpus: Path) -> None:
        batch = next(Loader(referenced(corpus, "overlapping"), KEY, Share(4)).steps(0, 1))[0]
        assert {name: (v.shape, v.dtype.name) for name, v in batch.conditions.items()} == {
            "noise": ((4, 1, 8_000), "float32"),
            "noise_samples": ((4,), "int64"),
            "noise_level": ((4,), "float32"),
        }
        assert np.allclose((batch.conditions["noise"] ** 2).sum((1, 2)) / batch.conditions["noise_samples"], 1)

    def test_blank_items_have_blank_conditions(self, corpus: Path) -> None:
        source = Moody(referenced(corpus, "overlapping"))
        every = collate(source, KEY, range(len(source)))
        assert 0 < every.valid.sum() < len(source)
        assert np.array_equal(every.conditions["noise_samples"] > 0, every.valid)
        none = collate(source, KEY, np.flatnonzero(~every.valid).tolist())
        assert not none.valid.any()
        assert none.conditions["noise"].shape == (len(none.valid), 1, 8_000)
        assert not any(value.any() for value in none.conditions.values())

    def test_a_method_gets_those_of_the_usable_items(self, corpus: Path) -> None:
        pytest.importorskip("torch")
        from auscult.features.normalise import Normalise
        from auscult.methods.base import Batch

        pairs = collate(Moody(referenced(corpus, "overlapping")), KEY, range(6))
        batch = Batch.of(pairs, Normalise())
        assert {name: str(value.dtype) for name, value in batch.conditions.items()} == {
            "noise": "torch.float32", "noise_samples": "torch.int64", "noise_level": "torch.float32",
        }  # fmt: skip
        for name, value in batch.conditions.items():
            assert np.array_equal(value.numpy(), pairs.conditions[name][pairs.valid])
        unusable = replace(pairs, valid=np.zeros(6, bool))
        assert Batch.of(unusable, Normalise()).conditions["noise"].shape == (1, 1, 8_000)


class TestSelect:
    def test_auto_and_none(self, noisy: Clip) -> None:
        found = select("auto", noisy)
        assert found is not None
        assert found.origin["origin"] == "noise_only:vad"
        assert found.wave.shape == (1, 8_000)
        assert select("none", noisy) is None
        assert select("auto", noisy.with_wave(np.zeros((1, 32_000), np.float32))) is None

    def test_a_file_is_resampled_and_mixed_with_a_note(
        self, tmp_path: Path, noisy: Clip, rng: np.random.Generator
    ) -> None:
        path = tmp_path / "fan.wav"
        write(path, Clip(rng.standard_normal((2, 96_000)).astype(np.float32) * 0.1, 48_000))
        found = select(path, noisy, 0.8)
        assert found is not None
        assert found.wave.shape == (1, 12_800)
        assert power(found.wave) == pytest.approx(1, rel=1e-4)
        assert found.origin == {
            "type": "NoiseReference", "origin": "file", "file": str(path), "start_s": 0.0, "duration_s": 0.8,
            "note": "resampled from 48000 to 16000 Hz, 2 channels averaged",
        }  # fmt: skip

    def test_the_start_of_a_file_or_all_of_a_short_one(self, tmp_path: Path, noisy: Clip) -> None:
        ramp = np.linspace(0.01, 0.5, 16_000, dtype=np.float32)[None]
        write(tmp_path / "ramp.wav", Clip(ramp, 16_000))
        found = select(tmp_path / "ramp.wav", noisy, 0.25)
        assert found is not None
        assert np.allclose(found.wave * found.rms, ramp[:, :4_000], atol=1e-4)
        assert "note" not in found.origin
        longer = select(tmp_path / "ramp.wav", noisy, 3.0)
        assert longer is not None
        assert longer.wave.shape == (1, 16_000)

    def test_a_folder_holds_a_file_of_the_same_name(self, tmp_path: Path, noisy: Clip) -> None:
        for name in ("a/walk.wav", "a/talk.wav", "b/walk.wav"):
            write(tmp_path / name, Clip(noisy.wave[:, :8_000], 16_000))
        found = select(tmp_path / "a", noisy)
        assert found is not None
        assert found.origin["file"] == str(tmp_path / "a" / "walk.wav")
        with pytest.raises(DataError, match=r"2 files could be the noise reference for walk\.flac: a/walk\.wav, b/w"):
            select(tmp_path, noisy)
        with pytest.raises(DataError, match=r"no noise reference for x\.flac; an audio file 'x\.\*' was looked for"):
            select(tmp_path, replace(noisy, name="x.flac"))

    @pytest.mark.parametrize(("request_", "samples", "level", "error", "message"), [
        ("short.wav", 1_500, 0.1, AudioError, r"0\.094 s are too short for a noise reference; give 0\.1 s"),
        ("silent.wav", 16_000, 0.0, AudioError, r"its first 0\.5 s are silent"),
        ("gone.wav", 0, 0.0, DataError, "no such file or folder; give auto, none, a file or a folder"),
    ])  # fmt: skip
    def test_refusals_are_one_sentence(
        self, tmp_path: Path, noisy: Clip, request_: str, samples: int, level: float, error: type, message: str
    ) -> None:
        if samples:
            write(tmp_path / request_, Clip(np.full((1, samples), level, np.float32), 16_000))
        with pytest.raises(error, match=message) as caught:
            select(tmp_path / request_, noisy)
        assert issubclass(error, AuscultError)
        assert "\n" not in str(caught.value)

    def test_a_moment_is_no_reference(self, noisy: Clip) -> None:
        with pytest.raises(DataError, match=r"at least 0\.1 s, 0\.05 s were asked for"):
            select("auto", noisy, 0.05)


def sections(held_out: list[str], train: str, valid: str) -> dict[str, dict[str, Any]]:
    """The data sections of an experiment on unseen noise: to train, to judge on known and on unseen types."""

    def mixture(manifest: str, noise: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "Mixture",
            "crop_s": 1.0,
            "speech": {"manifest": manifest, "where": {"kind": "speech"}},
            "banks": {"noise": {"manifest": manifest, "where": {"kind": "noise"}, **noise}},
            "degradations": [{"type": "AddNoise", "snr_db": [0, 10]}],
        }

    return {
        "train": mixture(train, {"exclude": {"noise_type": held_out}}),
        "known": mixture(valid, {"exclude": {"noise_type": held_out}}),
        "unseen": mixture(valid, {"where": {"kind": "noise", "noise_type": held_out}}),
    }


def noise_types(node: dict[str, Any], root: Path, draws: int) -> set[str]:
    source: PairSource = recipe.plan(node | {"root": str(root)}, PairSource, "data").build()
    pairs = [fetch(source, KEY, position)[0] for position in range(draws)]
    return {pair.provenance[0]["sources"][0]["noise_type"] for pair in pairs if pair}


def write_types(corpus: Path) -> None:
    """The corpus' manifest with types of noise."""
    kinds = iter(["rain", "helicopter", "wind", "siren", "rain", "cat"])
    rows = read_rows(corpus / "all.jsonl")
    rows = [row | {"noise_type": next(kinds)} if row["kind"] == "noise" else row for row in rows]
    (corpus / "typed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


class TestUnseenNoise:
    """One manifest, two sets: noise types that training saw, and those it never did."""

    def test_sets_are_made_side_by_side(self, corpus: Path) -> None:
        write_types(corpus)
        made = sections(HELD_OUT, "typed.jsonl", "typed.jsonl")
        used = {name: noise_types(node, corpus, 60) for name, node in made.items()}
        assert used == {"train": {"rain", "wind", "cat"}, "known": {"rain", "wind", "cat"}, "unseen": set(HELD_OUT)}

    def test_the_sets_of_the_recordings(self, data: Path) -> None:
        held_out = json.loads((data / "ood_noise.json").read_text())["held_out_noise_types"]
        made = sections(held_out, "train.jsonl", "valid.jsonl")
        banks = {name: BankSpec(**node["banks"]["noise"]).listing(data).entries for name, node in made.items()}
        types = {name: {entry.facts["noise_type"] for entry in entries} for name, entries in banks.items()}
        assert types["unseen"] == set(held_out)
        assert len(types["train"]) == 20
        assert len(types["known"]) == 16
        assert not (types["train"] | types["known"]) & set(held_out)
        assert len(banks["known"]) + len(banks["unseen"]) == 128


class TestTypesAndPieces:
    def test_the_type_is_a_place_in_the_list(self, corpus: Path) -> None:
        write_types(corpus)
        banks = {"noise": BankSpec("typed.jsonl", where={"kind": "noise"})}
        speech = BankSpec("typed.jsonl", where={"kind": "speech"})
        source = Mixture(speech, (AddNoise((0, 5)),), banks, corpus, crop_s=1.4)
        kinds = {pair.provenance[0]["sources"][0]["noise_type"] for pair in drawn(source)}
        types = (*sorted(kinds)[1:], "never heard")
        for told in drawn(referenced(corpus, source=source, types=types)):
            kind = told.provenance[0]["sources"][0]["noise_type"]
            assert int(told.conditions["noise_class"]) == (types.index(kind) if kind in types else -1)

    def test_a_manifest_says_the_type_of_recorded_pairs(self, corpus: Path, tmp_path: Path) -> None:
        source = TypedPairs(items(corpus, 1.4), "siren")
        pair = Referenced(source, 0.9, (0.2, 0.5), types=("dog", "siren")).pair(0, KEY)
        assert int(pair.conditions["noise_class"]) == 1

    def test_the_other_piece_is_of_the_same_noise_and_not_the_same(self, corpus: Path) -> None:
        one, two = referenced(corpus), referenced(corpus, pieces=2)
        differing = 0
        for single, double in zip(drawn(one), drawn(two), strict=True):
            np.testing.assert_array_equal(single.conditions["noise"], double.conditions["noise"])
            differing += not np.array_equal(double.conditions["noise"], double.conditions["noise_other"])
        assert differing >= 3
        assert set(two.no_conditions()) == set(two.pair(0, KEY).conditions)


def drawn(source: PairSource) -> list[Pair]:
    return [source.pair(index, KEY.child(index)) for index in range(4)]


class TypedPairs(PairSource):
    """Pairs without provenance, all of one type."""

    def __init__(self, source: PairSource, kind: str):
        self._source, self._kind = source, kind
        self.rate_hz, self.crop_s = source.rate_hz, source.crop_s

    def __len__(self) -> int:
        return len(self._source)

    def pair(self, index: int, key: Key) -> Pair:
        return replace(self._source.pair(index, key), provenance=())

    def noise_type(self, index: int) -> str | None:
        return self._kind

    def unreadable(self) -> dict[str, str]:
        return {}

    def digest(self) -> str:
        return self._source.digest()
