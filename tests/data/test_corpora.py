"""Corpora of pairs: made from small folders of the published layouts, twice, interrupted, measured."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from auscult.audio.clip import probe, read
from auscult.audio.level import power, rms_db
from auscult.audio.resample import resample
from auscult.data.corpora import CORPORA, corpus_named, library, prepare
from auscult.data.corpora.base import SPLITS, Item, Made
from auscult.data.corpora.library import File, Library, Span, Use, draw_part, named_uniquely
from auscult.data.corpora.mixing import allot, at_loudness, decay_s, loudness_lufs
from auscult.data.corpora.prepare import check_disjoint, spread, within_ceiling
from auscult.data.corpora.workers import Workers
from auscult.data.pairs import Pairs
from auscult.degrade.base import Unusable
from auscult.errors import DataError
from auscult.evaluate.datasets import DataSet
from auscult.rng import Key
from tests.conftest import DATA, EXAMPLES
from tests.data import trees
from tests.processes import Run, hearing_ctrl_c

OPTIONS: dict[str, list[str]] = {
    "vbdmd": [],
    "wsj0-chime3": [],
    "wsj0-qut": ["--set", "trim_s=1"],
    "wsj0-reverb": ["--set", "length_m=[5,8]", "--set", "width_m=[5,8]"],
    "ears-wham": [],
    "ears-reverb": [],
    "esc50-ood": ["--snr", "-5,0,5,10", "--set", "each=2"],
}


class Trees:
    """Sources and finished corpora, made when first asked for."""

    def __init__(self, root: Path, material: trees.Material):
        self.root, self._material = root, material
        self._sources: dict[str, dict[str, Path]] = {}

    def sources(self, name: str) -> dict[str, Path]:
        if name not in self._sources:
            self._sources[name] = trees.MAKERS[name](self.root / "sources" / name, self._material)
        return self._sources[name]

    def arguments(self, name: str, out: Path, **changed: Path) -> list[str]:
        sources = {**self.sources(name), **changed}
        given = [text for source, path in sources.items() for text in ("--source", f"{source}={path}")]
        types = ["--types", str(sources["speech"].parent / "types.json")] if name == "esc50-ood" else []
        return ["data", "prepare", name, *given, "--out", str(out), *OPTIONS[name], *types]

    def made(self, name: str, auscult: Run) -> Path:
        out = self.root / "made" / name
        if not (out / "provenance.json").is_file():
            code, _, err = auscult(*self.arguments(name, out), "--workers", 1)
            assert code == 0, err
        return out


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory) -> Trees:
    for package in ("pyroomacoustics", "pyloudnorm"):
        pytest.importorskip(package)
    recorded = (DATA / "train.jsonl").is_file()
    material = trees.Recorded(DATA) if recorded else trees.Example(EXAMPLES / "clean" / "walk.flac")
    return Trees(tmp_path_factory.mktemp("corpora"), material)


def contents(out: Path) -> dict[str, bytes]:
    """All files but what the folder remembers between runs."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and ".auscult" not in path.parts
    }


def rows(out: Path) -> list[dict[str, Any]]:
    return [
        {**json.loads(line), "at": manifest.parent}
        for manifest in sorted(out.glob("*/pairs.jsonl"))
        for line in manifest.read_text().splitlines()
    ]


def sides(row: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    clean, noisy = (read(row["at"] / row[role]).wave for role in ("clean", "noisy"))
    return clean, noisy


@pytest.mark.parametrize("name", CORPORA)
class TestEveryCorpus:
    def test_made_and_a_second_run_does_nothing(self, forest: Trees, auscult: Run, name: str) -> None:
        out = forest.made(name, auscult)
        before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
        code, text, err = auscult(*forest.arguments(name, out), "--workers", 1, "--json")
        assert code == 0, err
        outcome = json.loads(text)
        assert outcome["made"] == 0
        assert outcome["kept"] == len(rows(out)) + len(outcome["left_out"])
        assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before

    def test_two_workers_and_another_order_on_disk_make_the_same_bytes(
        self, forest: Trees, auscult: Run, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = forest.made(name, auscult)
        walk = library._walk
        monkeypatch.setattr(library, "_walk", lambda root: reversed(list(walk(root))))
        code, _, err = auscult(*forest.arguments(name, tmp_path / "two"), "--workers", 2)
        assert code == 0, err
        assert contents(tmp_path / "two") == contents(one)

    def test_checksums_sources_and_formats(self, forest: Trees, auscult: Run, name: str) -> None:
        out = forest.made(name, auscult)
        listed = [line.split("  ") for line in (out / "checksums.sha256").read_text().splitlines()]
        assert all(hashlib.sha256((out / path).read_bytes()).hexdigest() == sha256 for sha256, path in listed)
        assert {path for _, path in listed} == contents(out).keys() - {"checksums.sha256", "provenance.json"}
        sources = forest.sources(name)
        for line in (out / "sources.jsonl").read_text().splitlines():
            row = json.loads(line)
            content = (sources[row["source"]] / row["path"]).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (row["bytes"], row["sha256"])
        kind = corpus_named(name)
        for row in rows(out):
            info = probe(row["at"] / row["noisy"])
            assert (info.rate_hz, info.channels, info.subtype) == (kind.rate_hz, 1, kind.subtype)
            assert row["duration_s"] == pytest.approx(info.duration_s)
        provenance = json.loads((out / "provenance.json").read_text())
        assert provenance["resampler"] == "soxr VHQ"
        assert provenance["splits"].keys() == set(kind.splits)
        assert all(split["items"] for split in provenance["splits"].values())

    def test_splits_share_no_speaker_and_no_material(self, forest: Trees, auscult: Run, name: str) -> None:
        parts: dict[tuple[str, str], set[str]] = {}
        for row in rows(forest.made(name, auscult)):
            for fact in ("speaker", "noise", "room"):
                if fact in row and not (fact == "noise" and ("QUT" in row["noise"] or "CAF" in row["noise"])):
                    parts.setdefault((fact, row[fact]), set()).add(row["split"])
        assert parts
        assert all(len(splits) == 1 for splits in parts.values())

    def test_training_and_evaluation_read_it(self, forest: Trees, auscult: Run, name: str) -> None:
        out, kind = forest.made(name, auscult), corpus_named(name)
        for split in kind.splits:
            own = [row for row in rows(out) if row["split"] == split]
            pairs = Pairs(out / split, manifest="pairs.jsonl", rate_hz=kind.rate_hz, crop_s=None)
            assert len(pairs) == len(own)
            items = DataSet(manifest=out / split / "pairs.jsonl").contents(name, {}).items
            assert {item.name for item in items} == {row["item"] for row in own}

    def test_a_trial_is_a_part_of_the_whole(self, forest: Trees, auscult: Run, name: str, tmp_path: Path) -> None:
        whole, out = forest.made(name, auscult), tmp_path / "trial"
        code, _, err = auscult(*forest.arguments(name, out), "--workers", 1, "--limit", 1)
        assert code == 0, err
        flacs = {path: content for path, content in contents(out).items() if path.endswith(".flac")}
        assert len(flacs) == 2 * len(corpus_named(name).splits)
        assert flacs.items() <= contents(whole).items()


class TestMeasured:
    @pytest.mark.parametrize("name", ["wsj0-chime3", "wsj0-qut", "esc50-ood"])
    def test_snr_is_what_was_drawn(self, forest: Trees, auscult: Run, name: str) -> None:
        for row in rows(forest.made(name, auscult)):
            clean, noisy = sides(row)
            assert rms_db(clean) - rms_db(noisy - clean) == pytest.approx(row["snr_db"], abs=0.02)

    def test_loudness_ratio_is_what_was_drawn(self, forest: Trees, auscult: Run) -> None:
        for row in rows(forest.made("ears-wham", auscult)):
            clean, noisy = sides(row)
            measured = loudness_lufs(clean, 48_000) - loudness_lufs(noisy - clean, 48_000)
            assert measured == pytest.approx(row["snr_db"], abs=0.05)
            assert row["snr_db"] == round(row["snr_db"], 1)

    def test_rooms_reverberate_as_drawn(self, forest: Trees, auscult: Run) -> None:
        from pyroomacoustics.experimental import measure_rt60

        from auscult.data.corpora.reverb import simulate

        found = rows(forest.made("wsj0-reverb", auscult))
        for row in found:
            assert row["t60_s"] == pytest.approx(row["t60_target_s"], rel=0.1)
            clean, noisy = sides(row)
            assert np.abs(noisy).max() == pytest.approx(0.9, abs=1e-3)
            assert clean.shape == noisy.shape
        response, direct, t60_s = simulate(found[0], 16_000)
        assert t60_s == pytest.approx(found[0]["t60_s"], abs=1e-4)
        assert measure_rt60(response, fs=16_000, decay_db=30) == pytest.approx(t60_s, rel=0.02)
        top = int(np.argmax(np.abs(direct)))  # up to there, room and direct path are one
        assert np.abs(response[: top + 1] - direct[: top + 1]).max() < 0.1 * abs(direct[top])

    def test_measured_rooms_keep_loudness_and_alignment(self, forest: Trees, auscult: Run) -> None:
        found = rows(forest.made("ears-reverb", auscult))
        assert {row["room"].partition("/")[0] for row in found if row["split"] == "test"} == {"ACE-Challenge"}
        for row in found:
            clean, noisy = sides(row)
            assert loudness_lufs(noisy, 48_000) == pytest.approx(loudness_lufs(clean, 48_000), abs=0.05)
            assert row["t60_s"] <= 2.0
            assert not np.allclose(clean, noisy, atol=1e-3)

    def test_vbdmd_is_the_source_resampled(self, forest: Trees, auscult: Run) -> None:
        found = rows(forest.made("vbdmd", auscult))
        assert {row["speaker"] for row in found if row["split"] == "valid"} == {"p226", "p287"}
        for row in found:
            part = "testset" if row["split"] == "test" else "trainset_28spk"
            source = forest.sources("vbdmd")["vbdmd"] / f"noisy_{part}_wav" / f"{row['item']}.wav"
            expected = resample(read(source).wave, 48_000, 16_000) * 10 ** (row["gain_db"] / 20)
            assert np.abs(read(row["at"] / row["noisy"]).wave - expected).max() < 2**-15
            assert row["noisy_resampled_from_hz"] == 48_000
            assert (row["noise_type"], row["snr_db"]) == ("bus", 7.5 if row["item"].endswith("001") else 12.5)

    def test_every_snr_hears_the_same_material(self, forest: Trees, auscult: Run) -> None:
        found = rows(forest.made("esc50-ood", auscult))
        groups: dict[str, list[dict[str, Any]]] = {}
        for row in found:
            groups.setdefault(row["item"].rpartition("_")[0], []).append(row)
        assert {row["noise_type"] for row in found} == set(trees.TYPES)
        for group in groups.values():
            assert [row["snr_db"] for row in group] == [-5.0, 0.0, 5.0, 10.0]
            assert len({(row["speech"], row["noise"], row["phase"]) for row in group}) == 1

    def test_pieces_tile_the_recording(self, forest: Trees, auscult: Run) -> None:
        long = [row for row in rows(forest.made("ears-wham", auscult)) if row["speaker"] == "p002"]
        assert [row["duration_s"] for row in long] == [10.0, 6.5]
        assert [row["speech_start_s"] for row in long] == [0.0, 10.0]
        assert not any("melodic" in row["style"] for row in rows(forest.made("ears-wham", auscult)))


class TestInterrupted:
    def test_killed_and_resumed_makes_the_same_bytes(self, forest: Trees, auscult: Run, tmp_path: Path) -> None:
        out = tmp_path / "killed"
        arguments = [sys.executable, "-m", "auscult", *forest.arguments("wsj0-reverb", out), "--workers", "1"]
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        journal = out / ".auscult" / "made.jsonl"
        while process.poll() is None and not (journal.is_file() and journal.read_bytes().count(b"\n") >= 1):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (out / "provenance.json").exists()
        with open(journal, "ab") as file:
            file.write(b'{"split": "tra')  # as a crash in the middle of a line would leave it
        (out / "train" / "clean").mkdir(parents=True, exist_ok=True)
        (out / "train" / "clean" / ".x.flac.1.part").write_bytes(b"half")
        code, text, err = auscult(*forest.arguments("wsj0-reverb", out), "--workers", 1, "--json")
        assert code == 0, err
        outcome = json.loads(text)
        assert outcome["kept"] >= 1
        assert outcome["made"] + outcome["kept"] == 4
        assert contents(out) == contents(forest.made("wsj0-reverb", auscult))

    def test_ctrl_c_leaves_nothing_half_written(self, forest: Trees, tmp_path: Path) -> None:
        out = tmp_path / "stopped"
        arguments = [sys.executable, "-m", "auscult", *forest.arguments("wsj0-reverb", out), "--workers", "2"]
        with hearing_ctrl_c():
            process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while process.poll() is None and not (out / ".auscult" / "hashes.jsonl").is_file():
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err.strip()) == (130, "auscult: stopped")
        assert not list(out.rglob("*.part"))

    def test_a_changed_file_is_mended_when_verifying(self, forest: Trees, auscult: Run, tmp_path: Path) -> None:
        out = tmp_path / "copy"
        shutil.copytree(forest.made("wsj0-chime3", auscult), out)
        before = contents(out)
        victim = min(out.rglob("*.flac"))
        victim.write_bytes(bytes(victim.stat().st_size))
        max(out.rglob("*.flac")).unlink()
        code, text, _ = auscult(*forest.arguments("wsj0-chime3", out), "--workers", 1, "--verify", "--json")
        assert (code, json.loads(text)["made"]) == (0, 2)
        assert contents(out) == before

    def test_one_process_at_a_time(self, forest: Trees, auscult: Run, tmp_path: Path) -> None:
        from auscult.data.corpora.state import held

        with held(tmp_path / "out"):
            code, _, err = auscult(*forest.arguments("wsj0-chime3", tmp_path / "out"), "--workers", 1)
        assert code == 2
        assert "another process prepares a corpus there" in err


class TestRefusals:
    def test_zip_files_give_the_same_audio(self, forest: Trees, auscult: Run, tmp_path: Path) -> None:
        zips = trees.zipped(forest.sources("vbdmd")["vbdmd"], tmp_path / "zips")
        code, _, err = auscult(*forest.arguments("vbdmd", tmp_path / "out", **zips), "--workers", 1)
        assert code == 0, err
        made, expected = contents(tmp_path / "out"), contents(forest.made("vbdmd", auscult))
        changed = {name for name in made if made[name] != expected[name]}
        assert changed == {"sources.jsonl", "checksums.sha256"}

    def test_a_damaged_zip(self, forest: Trees, auscult: Run, tmp_path: Path) -> None:
        zips = trees.zipped(forest.sources("vbdmd")["vbdmd"], tmp_path / "zips")["vbdmd"]
        archive = zips / "clean_testset_wav.zip"
        archive.write_bytes(archive.read_bytes()[:1000])
        code, _, err = auscult(*forest.arguments("vbdmd", tmp_path / "out", vbdmd=zips), "--workers", 1)
        assert code == 2
        assert "cannot be read as a zip file" in err

    def test_what_was_looked_for_is_named(self, forest: Trees, auscult: Run, tmp_path: Path) -> None:
        tree = tmp_path / "tree"
        shutil.copytree(forest.sources("vbdmd")["vbdmd"], tree)
        shutil.rmtree(tree / "noisy_testset_wav")
        code, _, err = auscult(*forest.arguments("vbdmd", tmp_path / "out", vbdmd=tree), "--workers", 1)
        assert code == 2
        assert "no folder noisy_testset_wav or noisy_testset_wav.zip" in err
        assert "clean_testset_wav" in err
        assert not (tmp_path / "out").exists()

    def test_validation_speakers_that_are_not_there(self, forest: Trees, auscult: Run, tmp_path: Path) -> None:
        arguments = forest.arguments("vbdmd", tmp_path / "out")
        code, _, err = auscult(*arguments, "--set", "validation=[p226,p999]")
        assert code == 2
        assert "p999 are not in the training set; it has p226, p227, p228, p287" in err

    def test_other_speakers_are_drawn_where_the_customary_are_not(
        self, forest: Trees, auscult: Run, tmp_path: Path
    ) -> None:
        tree = tmp_path / "tree"
        shutil.copytree(forest.sources("vbdmd")["vbdmd"], tree)
        for path in tree.rglob("p226_*.wav"):
            path.rename(path.with_name(path.name.replace("p226", "p333")))
        code, _, err = auscult(*forest.arguments("vbdmd", tmp_path / "out", vbdmd=tree), "--workers", 1)
        assert code == 0, err
        assert len({row["speaker"] for row in rows(tmp_path / "out") if row["split"] == "valid"}) == 2

    def test_a_copy_of_test_in_train_is_refused_by_content(self, forest: Trees, auscult: Run, tmp_path: Path) -> None:
        tree = tmp_path / "tree"
        shutil.copytree(forest.sources("vbdmd")["vbdmd"], tree)
        shutil.copy(tree / "clean_testset_wav" / "p232_001.wav", tree / "clean_trainset_28spk_wav" / "p227_001.wav")
        shutil.copy(tree / "noisy_testset_wav" / "p232_001.wav", tree / "noisy_trainset_28spk_wav" / "p227_001.wav")
        code, _, err = auscult(*forest.arguments("vbdmd", tmp_path / "out", vbdmd=tree), "--workers", 1)
        assert code == 2
        assert "p227_001.wav (train)" in err
        assert "p232_001.wav (test)" in err
        assert "are the same recording" in err

    def test_wrong_rate(self, forest: Trees, auscult: Run, tmp_path: Path) -> None:
        tree = tmp_path / "tree"
        shutil.copytree(forest.sources("vbdmd")["vbdmd"], tree)
        for path in tree.rglob("*.wav"):
            soundfile.write(str(path), np.zeros(16_000, np.float32), 16_000)
        code, _, err = auscult(*forest.arguments("vbdmd", tmp_path / "out", vbdmd=tree), "--workers", 1)
        assert code == 2
        assert "16000 Hz where 48000 Hz is expected" in err

    def test_unreadable_files_are_listed_or_left_out(self, forest: Trees, auscult: Run, tmp_path: Path) -> None:
        tree = tmp_path / "tree"
        shutil.copytree(forest.sources("wsj0-chime3")["wsj0"], tree)
        (tree / "11-1.1" / "wsj0" / "si_tr_s" / "011" / "011c0200.wav").write_bytes(b"no audio")
        arguments = forest.arguments("wsj0-chime3", tmp_path / "out", wsj0=tree)
        code, _, err = auscult(*arguments, "--workers", 1)
        assert code == 2
        assert "1 source files cannot be read (wsj0/11-1.1/wsj0/si_tr_s/011/011c0200.wav)" in err
        code, _, err = auscult(*arguments, "--workers", 1, "--skip-unreadable")
        assert code == 0, err
        assert "011c0200.wav" in err
        assert len(rows(tmp_path / "out")) == 7

    def test_a_truncated_file_fails_alone_and_is_named(self, forest: Trees, auscult: Run, tmp_path: Path) -> None:
        tree = tmp_path / "tree"
        shutil.copytree(forest.sources("vbdmd")["vbdmd"], tree)
        victim = tree / "noisy_trainset_28spk_wav" / "p228_001.wav"
        whole = victim.read_bytes()
        victim.write_bytes(whole[:-20_000])
        arguments = forest.arguments("vbdmd", tmp_path / "out", vbdmd=tree)
        code, _, err = auscult(*arguments, "--workers", 1)
        assert code == 2
        assert "1 of 12 items could not be made (train/p228_001)" in err
        assert not (tmp_path / "out" / "provenance.json").exists()
        victim.write_bytes(whole)
        code, text, err = auscult(*arguments, "--workers", 1, "--json")
        assert code == 0, err
        assert (json.loads(text)["made"], json.loads(text)["kept"]) == (1, 11)

    def test_silence_is_left_out_and_counted(self, forest: Trees, auscult: Run, tmp_path: Path) -> None:
        tree = tmp_path / "tree"
        shutil.copytree(forest.sources("wsj0-chime3")["wsj0"], tree)
        victim = tree / "11-1.1" / "wsj0" / "si_tr_s" / "011" / "011c0200.wav"
        soundfile.write(str(victim), np.zeros(32_000, np.float32), 16_000)
        arguments = forest.arguments("wsj0-chime3", tmp_path / "out", wsj0=tree)
        code, _, err = auscult(*arguments, "--workers", 1)
        assert (code, "left out: train/011c0200: silent speech" in err) == (0, True)
        assert json.loads((tmp_path / "out" / "provenance.json").read_text())["left_out"].keys() == {"train/011c0200"}

    def test_another_seed_or_a_strange_folder_is_refused(self, forest: Trees, auscult: Run, tmp_path: Path) -> None:
        out = tmp_path / "copy"
        shutil.copytree(forest.made("wsj0-chime3", auscult), out)
        code, _, err = auscult(*forest.arguments("wsj0-chime3", out), "--workers", 1, "--seed", 1)
        assert (code, "was made from something else (seed, sources differ)" in err) == (2, True)
        strange = tmp_path / "strange"
        strange.mkdir()
        (strange / "thesis.txt").write_text("precious")
        code, _, err = auscult(*forest.arguments("wsj0-chime3", strange), "--workers", 1)
        assert (code, "is not empty (it holds thesis.txt)" in err) == (2, True)
        assert os.listdir(strange) == ["thesis.txt"]

    def test_a_full_disk_is_seen_before_the_start(
        self, forest: Trees, auscult: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(prepare.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 1_000))
        code, _, err = auscult(*forest.arguments("wsj0-chime3", tmp_path / "out"), "--workers", 1)
        assert code == 2
        assert "GB are free" in err
        assert not list((tmp_path / "out").rglob("*.flac"))

    def test_sphere_files_are_pointed_out(self, forest: Trees, auscult: Run, tmp_path: Path) -> None:
        tree = tmp_path / "tree"
        shutil.copytree(forest.sources("wsj0-chime3")["wsj0"], tree)
        for path in (tree / "11-1.1" / "wsj0" / "si_et_05").rglob("*.wav"):
            path.rename(path.with_suffix(".wv1"))
        code, _, err = auscult(*forest.arguments("wsj0-chime3", tmp_path / "out", wsj0=tree), "--workers", 1)
        assert (code, "only 2 .wv1 files: convert them to wav" in err) == (2, True)

    def test_rooms_for_every_split_are_needed(self, forest: Trees, auscult: Run, tmp_path: Path) -> None:
        rooms = tmp_path / "rooms"
        shutil.copytree(forest.sources("ears-reverb")["rooms"] / "ARNI", rooms / "ARNI")
        code, _, err = auscult(*forest.arguments("ears-reverb", tmp_path / "out", rooms=rooms), "--workers", 1)
        assert code == 2
        assert "no room responses for valid and test; its sub-folders are ARNI" in err

    def test_published_test_cuts_are_used(self, forest: Trees, auscult: Run, tmp_path: Path) -> None:
        cuts = tmp_path / "cuts.json"
        cuts.write_text(json.dumps({"p102": {"emo_anger_sentences": [[0, 100_000], [100_000, 220_000]]}}))
        arguments = [*forest.arguments("ears-wham", tmp_path / "out"), "--set", f"cuts={cuts}", "--workers", 1]
        code, _, err = auscult(*arguments)
        assert code == 0, err
        test = [row for row in rows(tmp_path / "out") if row["split"] == "test"]
        assert [round(row["duration_s"] * 48_000) for row in test] == [100_000, 120_000]
        clean, _ = sides(test[1])
        assert abs(clean[0, 0]) < 1e-4
        cuts.write_text("[1]")
        code, _, err = auscult(*arguments)
        assert (code, "not a list of test cuts" in err) == (2, True)

    def test_wham_recordings_that_are_missing(self, forest: Trees, auscult: Run, tmp_path: Path) -> None:
        tree = tmp_path / "tree"
        shutil.copytree(forest.sources("ears-wham")["wham"], tree)
        (tree / "high_res_wham" / "audio" / "n2.wav").unlink()
        code, _, err = auscult(*forest.arguments("ears-wham", tmp_path / "out", wham=tree), "--workers", 1)
        assert (code, "1 recordings of the table are not there: n2.wav" in err) == (2, True)

    def test_unknown_types(self, forest: Trees, auscult: Run, tmp_path: Path) -> None:
        arguments = [*forest.arguments("esc50-ood", tmp_path / "out")[:-2], "--types"]
        code, _, err = auscult(*arguments, "sirens")
        assert (code, "'sirens' is not a category of ESC-50 (did you mean 'siren'?)" in err) == (2, True)
        code, _, err = auscult(*arguments, tmp_path / "none.json")
        assert (code, "no such file" in err) == (2, True)


class TestCommandLine:
    def test_list(self, auscult: Run) -> None:
        code, text, _ = auscult("data", "list", "--json")
        listed = {row["name"]: row for row in json.loads(text)}
        assert (code, listed.keys()) == (0, CORPORA.keys())
        assert listed["ears-wham"]["sources"].keys() == {"ears", "wham"}
        code, text, _ = auscult("data", "list")
        assert "--source wsj0=DIR" in text

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["vbdm", "--source", "."], r"no corpus 'vbdm' \(did you mean 'vbdmd'\?\)"),
            (["vbdmd", "--source", "nowhere"], "nowhere: no such folder|--source nowhere: no such folder"),
            (["wsj0-qut", "--source", "wsj0=."], "no source qut given; it needs --source wsj0=DIR"),
            (["wsj0-qut", "--source", "."], "which source is it"),
            (["wsj0-qut", "--source", "wsj0=.", "--source", "wsj0=."], "source 'wsj0' is given twice"),
            (["vbdmd", "--source", "x=."], "unknown source x"),
            (["vbdmd", "--source", ".", "--snr", "1,2"], "snr_db"),
            (["wsj0-qut", "--source", "wsj0=.", "--snr", "loud"], "give numbers with commas"),
            (["esc50-ood", "--source", "esc50=.", "--source", "speech=."], "types"),
        ],
    )
    def test_refusals(self, auscult: Run, tmp_path: Path, arguments: list[str], said: str) -> None:
        code, _, err = auscult("data", "prepare", *arguments, "--out", tmp_path / "out")
        assert code == 2
        assert re.search(said, err)
        assert len(err.strip().splitlines()) == 1


class TestParts:
    def test_noise_is_dealt_out_or_divided_in_time(self) -> None:
        many = [File("n", f"{i}.wav", 16_000, 1, 160_000) for i in range(10)]
        dealt = allot(many, Key(0))
        assert [len(dealt[split]) for split in SPLITS] == [8, 1, 1]
        assert len({span.file.path for spans in dealt.values() for span in spans}) == 10
        divided = allot(many[:2], Key(0), trim_s=1.0)
        for one in range(2):
            spans = [divided[split][one] for split in SPLITS]
            assert (spans[0].start, spans[2].stop) == (16_000, 144_000)
            assert all(a.stop < b.start for a, b in pairwise(spans))

    def test_parts_stay_in_their_span(self, rng: np.random.Generator) -> None:
        span = Span(File("n", "a.wav", 44_100, 1, 10_000_000), 1_000_000, 1_400_000)
        parts = [draw_part(rng, span, 40_000, 16_000) for _ in range(200)]
        assert min(part.start for part in parts) >= span.start
        assert all(part.stop is not None and part.stop <= span.stop for part in parts)
        assert len({part.start for part in parts}) > 150

    def test_noise_of_any_length_and_rate(self, tmp_path: Path, rng: np.random.Generator) -> None:
        tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
        soundfile.write(str(tmp_path / "tone.wav"), np.stack([tone, 0.1 * tone], 1), 48_000)
        shelf = Library({"n": tmp_path})
        (file,) = shelf.files("n", ["tone.wav"])
        span = Span(file, 0, file.samples)
        for samples in (4_000, 12_000, 50_000):
            wave = shelf.noise(draw_part(rng, span, samples, 16_000), samples, 16_000, channel=0)
            assert wave.shape == (1, samples)
            assert np.sqrt(2 * power(wave)) == pytest.approx(0.5, rel=0.05)
        assert abs(float(wave[0, 0])) < 0.51

    def test_decay_of_a_known_response(self, rng: np.random.Generator) -> None:
        times = np.arange(32_000) / 16_000
        response = (rng.standard_normal(32_000) * np.exp(-np.log(1e3) * times / 0.6)).astype(np.float32)
        assert decay_s(response, 16_000) == pytest.approx(0.6, rel=0.02)
        for silent in (np.zeros(100, np.float32), np.ones(2, np.float32)):
            with pytest.raises(Unusable):
                decay_s(silent, 16_000)

    def test_loudness_is_reached_past_the_gate(self, rng: np.random.Generator) -> None:
        pytest.importorskip("pyloudnorm")
        wave = np.concatenate([rng.standard_normal(96_000) * 0.1, rng.standard_normal(96_000) * 3e-4])[None]
        for target in (-15.0, -60.0):
            scaled = at_loudness(wave.astype(np.float32), target, 48_000)
            assert loudness_lufs(scaled, 48_000) == pytest.approx(target, abs=0.02)
        with pytest.raises(Unusable, match="too short"):
            loudness_lufs(np.ones((1, 100), np.float32), 48_000)
        with pytest.raises(Unusable, match="silent"):
            loudness_lufs(np.zeros((1, 96_000), np.float32), 48_000)

    def test_one_gain_for_both_sides(self) -> None:
        clean = np.full((1, 10), 0.5, np.float32)
        turned, gain_db = within_ceiling(Made(clean, clean * 4))
        assert np.abs(turned.noisy).max() <= prepare.CEILING
        assert gain_db == pytest.approx(20 * np.log10(prepare.CEILING / 2.0), abs=1e-3)
        assert np.allclose(turned.noisy, 4 * turned.clean)
        same, none = within_ceiling(Made(clean, clean))
        assert (same.clean is clean, none) == (True, 0.0)

    def test_shared_speakers_and_overlapping_parts_are_refused(self) -> None:
        def item(split: str, name: str, start: int, stop: int | None, speaker: str) -> Item:
            return Item(split, name, (Use("n", f"{name}.wav", start, stop),), {"speaker": speaker}, 1)

        hashes = {("n", "a.wav"): "same", ("n", "b.wav"): "same"}
        check_disjoint([item("train", "a", 0, 100, "1"), item("test", "b", 100, None, "2")], hashes)
        with pytest.raises(DataError, match="same recording"):
            check_disjoint([item("train", "a", 0, 101, "1"), item("test", "b", 100, None, "2")], hashes)
        with pytest.raises(DataError, match="speaker 1 is in train"):
            check_disjoint([item("train", "a", 0, 100, "1"), item("test", "b", 100, None, "1")], hashes)

    def test_a_limit_is_spread_over_the_split(self) -> None:
        items = [Item("train", str(i), (), {}, 1) for i in range(10)]
        assert [item.name for item in spread(items, 2)] == ["0", "5"]
        assert len(spread(items, 0)) == len(spread(items, 99)) == 10

    def test_names_that_repeat_get_their_folders(self) -> None:
        files = [File("n", path, 16_000, 1, 1) for path in ("a/x.wav", "b/x.wav")]
        assert named_uniquely(files).keys() == {"a_x", "b_x"}
        assert named_uniquely(files[:1]).keys() == {"x"}

    def test_a_dead_worker_is_a_sentence(self) -> None:
        with Workers(2, None) as workers, pytest.raises(DataError, match="a worker process died"):
            list(workers.run(_die, [1, 2]))


def _die(held: object, task: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
