"""Every command on real audio, as a person types it, and every bad input answered in one line with exit code 2."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from typer.testing import CliRunner

from auscult.audio.clip import Clip, probe, read
from auscult.audio.resample import resample
from auscult.audio.writer import write
from auscult.cli import app
from auscult.hub.bundle import read_meta
from auscult.hub.runs import best_checkpoint
from tests.conftest import EXAMPLES
from tests.processes import Run
from tests.train.runs import REGRESSION, VALIDATION, recipe, write_recipe


@pytest.fixture
def speech(tmp_path: Path, noisy: Clip) -> Path:
    path = tmp_path / "speech.wav"
    write(path, noisy.with_wave(noisy.wave[:, :48_000]))
    return path


class TestEnhance:
    def test_one_file(self, auscult: Run, speech: Path) -> None:
        code, out, _ = auscult("enhance", speech)
        assert code == 0
        result = speech.with_name("speech-enhanced.wav")
        assert probe(result).samples == 48_000
        assert "noise floor" in out
        assert not np.array_equal(read(result).wave, read(speech).wave)

    def test_json_tells_programs_what_was_done(self, auscult: Run, speech: Path, tmp_path: Path) -> None:
        code, out, _ = auscult("enhance", speech, "-o", tmp_path / "o.flac", "--json")
        (done,) = json.loads(out)
        assert code == 0
        assert done["status"] == "restored"
        assert done["after"]["floor_db"] < done["before"]["floor_db"]

    def test_finished_files_are_skipped_until_told_otherwise(self, auscult: Run, speech: Path) -> None:
        auscult("enhance", speech)
        result = speech.with_name("speech-enhanced.wav")
        before = result.stat().st_mtime_ns
        code, out, _ = auscult("enhance", speech)
        assert (code, result.stat().st_mtime_ns) == (0, before)
        assert "1 of 1 skipped" in out
        auscult("enhance", speech, "--overwrite")
        assert result.stat().st_mtime_ns > before

    def test_a_folder_with_a_broken_file_ends_with_one(self, auscult: Run, speech: Path, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        shutil.copy(speech, folder / "good.wav")
        (folder / "bad.wav").write_text("this is not audio")
        code, out, err = auscult("enhance", folder, "-o", tmp_path / "out")
        assert code == 1
        assert "good.wav" in out
        assert re.search(r"failed: .*bad\.wav: not audio", err)
        assert "1 of 2 files failed" in err
        assert os.listdir(tmp_path / "out") == ["good.wav"]

    @pytest.mark.parametrize(("rate_hz", "channels"), [(8_000, 1), (44_100, 2), (48_000, 8), (192_000, 1)])
    def test_any_rate_and_channels(
        self, auscult: Run, tmp_path: Path, noisy: Clip, rate_hz: int, channels: int
    ) -> None:
        wave = np.tile(resample(noisy.wave[:, :16_000], 16_000, rate_hz), (channels, 1))
        write(tmp_path / "a.wav", Clip(wave, rate_hz))
        assert auscult("enhance", tmp_path / "a.wav")[0] == 0
        info = probe(tmp_path / "a-enhanced.wav")
        assert (info.rate_hz, info.channels, info.samples) == (rate_hz, channels, wave.shape[1])

    def test_folders_and_files_together(self, auscult: Run, tmp_path: Path, noisy: Clip) -> None:
        short = noisy.with_wave(noisy.wave[:, :16_000])
        write(tmp_path / "talks" / "a.wav", short)
        write(tmp_path / "b.wav", short)
        code, out, _ = auscult("enhance", tmp_path / "talks", tmp_path / "b.wav")
        assert code == 0
        assert "talks-enhanced" in out
        assert "b-enhanced.wav" in out

    def test_sigterm_leaves_nothing_half_written(self, tmp_path: Path, noisy: Clip) -> None:
        write(tmp_path / "long.wav", noisy.with_wave(np.tile(noisy.wave, (1, 200))))
        args = [sys.executable, "-m", "auscult", "enhance", str(tmp_path / "long.wav")]
        with subprocess.Popen(args, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and not list(tmp_path.glob(".*.part")):
                time.sleep(0.05)
            process.terminate()
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert err.strip().endswith("auscult: stopped")
        assert [p.name for p in tmp_path.iterdir()] == ["long.wav"]

    def test_clipped_recordings_are_reported(self, auscult: Run, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        wave = np.clip(2.0 * np.sin(np.arange(32_000) / 9) + 0.2 * rng.standard_normal(32_000), -1, 1)
        write(tmp_path / "a.wav", Clip(wave[None].astype(np.float32), 16_000), on_clip="keep")
        code, _, _ = auscult("enhance", tmp_path / "a.wav", "--on-clip", "keep", "--strength", "0.5")
        assert code == 0
        assert probe(tmp_path / "a-enhanced.wav").samples == 32_000


class TestBadInput:
    """One line, exit code 2, nothing left behind."""

    @pytest.fixture
    def fails(self, auscult: Run) -> Callable[..., None]:
        def check(message: str, *arguments: object) -> None:
            code, _, err = auscult(*arguments)
            assert code == 2, err
            lines = [line for line in err.strip().splitlines() if line]
            assert len(lines) == 1, err
            assert re.search(message, lines[0]), lines[0]

        return check

    def test_files(self, fails: Callable[..., None], tmp_path: Path) -> None:
        fails("no such file", "enhance", tmp_path / "none.wav")
        (tmp_path / "empty.wav").write_bytes(b"")
        fails("the file is empty", "enhance", tmp_path / "empty.wav")
        (tmp_path / "words.wav").write_text("words")
        fails("not audio that libsndfile reads", "enhance", tmp_path / "words.wav")
        fails("not audio", "info", tmp_path / "words.wav")
        soundfile.write(tmp_path / "nan.wav", np.full(1_000, np.nan, np.float32), 16_000, subtype="FLOAT")
        fails("1000 samples are NaN or infinite", "enhance", tmp_path / "nan.wav")
        assert not list(tmp_path.glob("*enhanced*"))
        assert not list(tmp_path.glob(".*part"))

    def test_outputs(self, fails: Callable[..., None], speech: Path, tmp_path: Path) -> None:
        fails("would overwrite its own source", "enhance", speech, "-o", speech, "--overwrite")
        (tmp_path / "block").write_text("")
        fails("cannot be written", "enhance", speech, "-o", tmp_path / "block" / "a.wav")
        fails("cannot write .xyz", "enhance", speech, "-o", tmp_path / "a.xyz")
        fails("FLAC holds no float", "enhance", speech, "-o", tmp_path / "a.flac", "--on-clip", "float")

    @pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder that nobody may write, root included")
    def test_a_folder_without_permission(self, fails: Callable[..., None], speech: Path) -> None:
        fails("/proc/a.wav: cannot be written", "enhance", speech, "-o", "/proc/a.wav")

    def test_models(self, fails: Callable[..., None], speech: Path, tmp_path: Path) -> None:
        fails("no model 'none.safetensors'", "enhance", speech, "-m", "none.safetensors")
        (tmp_path / "x.safetensors").write_bytes(b"garbage")
        fails("not a readable checkpoint", "enhance", speech, "-m", tmp_path / "x.safetensors")
        (tmp_path / "x.ckpt").write_bytes(b"garbage")
        fails("neither safetensors nor a PyTorch archive", "enhance", speech, "-m", tmp_path / "x.ckpt")
        fails("the built-in model has no settings", "enhance", speech, "--set", "sampler.steps=3")

    def test_recipes(self, fails: Callable[..., None], corpus: Path, tmp_path: Path) -> None:
        fails("no recipe 'bandgruu' .did you mean 'bandgru'", "train", "bandgruu")
        fails("no recipe 'x'", "recipes", "copy", "x")
        misspelt = write_recipe(tmp_path, recipe(training={"stepz": 3}))
        fails(r"training\.stepz: unknown key of Training .did you mean 'steps'", "train", misspelt, "-d", corpus)
        wrong = write_recipe(tmp_path, recipe(training={"steps": "many"}))
        fails(r"training\.steps: input should be a valid integer", "train", wrong, "-d", corpus)
        fails(r"all\.jsonl: cannot be read as a manifest", "train", write_recipe(tmp_path, recipe()), "-d", tmp_path)
        fails("no such checkpoint", "train", write_recipe(tmp_path, recipe()), "--init-from", tmp_path / "none")
        fails("no tracker 'tensorbord' .did you mean 'tensorboard'", "train", write_recipe(tmp_path, recipe()), "-d",
              corpus, "--track", "tensorbord", "--runs", tmp_path / "runs", "--device", "cpu")  # fmt: skip

    def test_evaluation(self, fails: Callable[..., None], corpus: Path, tmp_path: Path) -> None:
        pairs, out = corpus / "pairs", ("-o", tmp_path / "e", "--workers", "1")
        clean = ("evaluate", *out, "--clean", pairs / "clean")
        fails("no item is in clean and speech alike: clean lacks", *clean, "--enhanced", corpus / "speech")
        fails("'noisy' is the name of the unprocessed", *clean, "--noisy", pairs / "noisy", "--enhanced",
              pairs / "noisy")  # fmt: skip
        fails("two systems are called 'x'", *clean, "--enhanced", f"{pairs / 'noisy'}=x", "--model", "default=x")
        fails("no such folder", *clean, "--enhanced", tmp_path / "none")
        fails("'pesk' is not in the catalogue", *clean, "--enhanced", f"{pairs / 'noisy'}=x", "--metrics", "pesk")
        fails("nothing to score", *clean)
        fails("--set steps: give name=value", *clean, "--set", "steps")
        fails("--set a=.: '.' is not a YAML value", *clean, "--set", "a=[")
        fails("--group speaker: give name=value", *clean, "--group", "speaker")
        fails("--clean and --matrix .* both say what is compared", *clean, "--matrix", tmp_path / "study.yaml")
        fails("cannot be read as YAML", "evaluate", *out, "--matrix", tmp_path / "study.yaml")
        fails("no evaluation in it", *clean, "--noisy", pairs / "noisy", "--with", tmp_path)


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny run, trained to its end."""
    folder = tmp_path_factory.mktemp("trained")
    content = recipe(validation={**VALIDATION, "metrics": ["si_sdr", "estoi"]}, training={"steps": 6})
    path = write_recipe(folder, content)
    command = ["train", str(path), "-d", str(corpus), "--runs", str(folder / "runs"), "--device", "cpu",
               "--track", "csv", "--track", "tensorboard", "--workers", "1", "--log-every", "2", "--force"]  # fmt: skip
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (run,) = (folder / "runs").iterdir()
    return run


class TestTrainAndAfter:
    """One tiny run, and everything one does with it."""

    def test_the_run_folder(self, trained: Path) -> None:
        assert re.fullmatch(r"tiny-[0-9a-f]{8}", trained.name)
        assert yaml.safe_load((trained / "recipe.yaml").read_text())["training"]["clip_norm"] == 5.0
        assert "torch" in json.loads((trained / "environment.json").read_text())[0]["versions"]
        rows = [json.loads(line) for line in (trained / "history.jsonl").read_text().splitlines()]
        steps = [row for row in rows if row["kind"] == "step"]
        assert [row["step"] for row in steps] == [2, 4, 6]
        turn = steps[-1]["turns"]["net"]
        assert turn["loss"] == pytest.approx(sum(turn["weights"][k] * v for k, v in turn["parts"].items()))
        for key in ("lr", "grad_norm", "clipped_share", "ema_distance", "ema_updates"):
            assert np.isfinite(turn[key])
        for key in ("items_per_s", "loader_wait_share", "peak_memory_mib", "skipped", "ranks"):
            assert key in steps[-1]
        validation = [row for row in rows if row["kind"] == "validation"]
        assert [row["step"] for row in validation] == [3, 6]
        assert len(validation[0]["items"]) == 2
        assert {p.name for p in (trained / "samples").iterdir()} >= {"0-noisy.flac", "0-restored.flac", "0-clean.flac"}
        assert (trained / "track.csv").read_text().startswith("step,name,value")
        assert any((trained / "tensorboard").iterdir())

    def test_checkpoints_kept(self, trained: Path) -> None:
        names = sorted(p.name for p in (trained / "checkpoints").iterdir())
        models = [name for name in names if "optimiser" not in name]
        assert 1 <= len(models) <= 2
        assert [name for name in names if "optimiser" in name] == ["step-00000006.optimiser.safetensors"]

    def test_the_same_command_finds_it_finished(self, trained: Path, auscult: Run, corpus: Path) -> None:
        before = (trained / "history.jsonl").read_text()
        code, out, _ = auscult("train", trained.parent.parent / "recipe.yaml", "-d", corpus, "--runs", trained.parent,
                               "--device", "cpu")  # fmt: skip
        assert code == 0
        assert "resuming at step 6" in out
        assert (trained / "history.jsonl").read_text() == before

    def test_enhance_with_the_run(self, trained: Path, auscult: Run, speech: Path) -> None:
        code, _, err = auscult("enhance", speech, "--model", trained, "--device", "cpu")
        assert code == 0, err
        assert probe(speech.with_name("speech-enhanced.wav")).samples == 48_000

    def test_models_and_info(self, trained: Path, auscult: Run) -> None:
        code, out, _ = auscult("models", "--runs", trained.parent, "--json")
        assert code == 0
        assert [row["model"] for row in json.loads(out)] == ["default", str(trained)]
        code, out, _ = auscult("info", trained, "--json")
        facts = json.loads(out)
        assert facts["net"] == "BandGRU"
        assert facts["method"] == "Regression"
        assert "si_sdr" in facts["scores"]
        assert "tiny" in auscult("models", "--runs", trained.parent)[1].replace("\n", "")

    def test_init_from_lists_what_did_not_fit(self, trained: Path, auscult: Run, corpus: Path, tmp_path: Path) -> None:
        method = {**REGRESSION["method"], "net": {"type": "BandGRU", "channels": 4, "hidden": 4, "blocks": 2}}
        path = write_recipe(tmp_path, recipe(method=method, training={"steps": 1}))
        checkpoint = sorted((trained / "checkpoints").glob("step-*[0-9].safetensors"))[-1]
        code, out, _ = auscult("train", path, "-d", corpus, "--runs", tmp_path / "runs", "--init-from", checkpoint,
                               "--device", "cpu", "--workers", "0")  # fmt: skip
        assert code == 0
        assert re.search(r"\d+ tensors not in .*: net\.blocks\.1\.", out)
        assert "0 tensors of it unused" in out


class TestOtherCommands:
    def test_evaluate_files_and_models(self, auscult: Run, corpus: Path, tmp_path: Path) -> None:
        pairs = corpus / "pairs"
        given = ("evaluate", "--clean", pairs / "clean", "--noisy", pairs / "noisy", "--enhanced",
                 f"{pairs / 'clean'}=oracle", "--model", "default", "-o", tmp_path / "e", "--export",
                 tmp_path / "shared", "--metrics", "si_sdr,estoi", "--workers", "2")  # fmt: skip
        code, out, err = auscult(*given)
        assert code == 0
        assert re.search(r"noisy +6 ", out)
        assert re.search(r"oracle +6 +", out)
        assert re.search(r"default - noisy +estoi +[+-]\d", out)
        lines = (tmp_path / "e" / "scores.csv").read_text().splitlines()
        assert lines[0] == "data,system,seed,item,snr_db,duration_s,si_sdr,estoi,failed,protocol"
        assert len(lines) == 19
        for name in ("summary.json", "summary.md", "summary.tex", "scores.parquet", "report.html"):
            assert (tmp_path / "e" / name).stat().st_size > 500
        assert (tmp_path / "shared" / "highlights.txt").is_file()
        assert "speakers are not known" in err
        (kept,) = (tmp_path / "e" / "restored" / "pairs").glob("default-*/p0.wav")
        before = kept.stat().st_mtime_ns
        code, again, _ = auscult(*given)
        assert (code, again, kept.stat().st_mtime_ns) == (0, out, before)

    def test_evaluate_a_matrix_and_stand_it_beside_another(self, auscult: Run, corpus: Path, tmp_path: Path) -> None:
        (tmp_path / "study.yaml").write_text(f"""
data: {{pairs: {{folder: {corpus / "pairs"}}}}}
systems: {{built-in: {{model: default}}}}
metrics: [si_sdr]
""")
        first = ("evaluate", "--matrix", tmp_path / "study.yaml", "--workers", "1", "--no-report")
        assert auscult(*first, "-o", tmp_path / "a")[0] == 0
        second = ("evaluate", "--data", corpus / "pairs", "--enhanced", f"{corpus / 'pairs' / 'noisy'}=copy", "-o",
                  tmp_path / "b", "--workers", "1", "--no-report")  # fmt: skip
        code, out, _ = auscult(*second, "--metrics", "si_sdr", "--with", tmp_path / "a")
        assert code == 0
        assert re.search(r"built-in - copy +si_sdr", out)
        code, out, err = auscult(*second[:-1], "--metrics", "snr", "-o", tmp_path / "c", "--with", tmp_path / "a",
                                 "--mixed", "--no-report")  # fmt: skip
        assert code == 0
        assert "measured by another protocol" in err

    def test_evaluate_as_sgmse_does(self, auscult: Run, corpus: Path, tmp_path: Path) -> None:
        """Names, columns and rounding of its calc_metrics.py; the formulas are tested with the metrics."""
        pairs = corpus / "pairs"
        given = ("evaluate", "--data", pairs, "--workers", "1", "--no-report", "--format", "sgmse")
        assert auscult(*given, "--model", "default", "-o", tmp_path / "one")[0] == 0
        lines = (tmp_path / "one" / "_results.csv").read_text().splitlines()
        assert lines[0] == "filename,pesq,estoi,si_sdr,si_sir,si_sar"
        assert len(lines) == 7
        assert lines[1].startswith("p0.wav,")
        averages = (tmp_path / "one" / "_avg_results.txt").read_text().splitlines()
        table = np.array([[float(cell) for cell in line.split(",")[1:]] for line in lines[1:]])
        assert averages[0] == f"PESQ: {table[:, 0].mean():.2f} ± {table[:, 0].std():.2f}"
        assert averages[2] == f"SI-SDR: {table[:, 2].mean():.1f} ± {table[:, 2].std():.2f}"
        assert averages[4] == f"SI-SAR: {table[:, 4].mean():.1f} ± {table[:, 4].std():.1f}"
        two = ("--enhanced", f"{pairs / 'noisy'}=a", "--enhanced", f"{pairs / 'noisy'}=b", "-o", tmp_path / "two")
        assert auscult(*given, *two)[0] == 0
        assert (tmp_path / "two" / "pairs-b_avg_results.txt").is_file()

    def test_evaluate_json_names_failures(self, auscult: Run, corpus: Path, tmp_path: Path) -> None:
        shutil.copytree(corpus / "pairs" / "clean", tmp_path / "silent")
        write(tmp_path / "silent" / "p0.wav", Clip(np.zeros((1, 24_000), np.float32), 16_000))
        given = ("evaluate", "--clean", corpus / "pairs" / "clean", "--enhanced", tmp_path / "silent", "-o",
                 tmp_path / "e", "--metrics", "si_sdr", "--workers", "1", "--no-report")  # fmt: skip
        code, out, _ = auscult(*given, "--json")
        assert code == 0
        (standing,) = json.loads(out)["standings"]
        assert (standing["failed"], standing["estimate"]["items"]) == (1, 5)
        code, out, err = auscult(*given)
        assert "(1 failed)" in out
        assert "si_sdr failed on 1 of silent's rows, first p0: estimate is digital silence" in err

    def test_evaluate_json_is_json_when_nothing_could_be_scored(self, auscult: Run, tmp_path: Path) -> None:
        for side in ("clean", "out"):
            write(tmp_path / side / "a.wav", Clip(np.zeros((1, 16_000), np.float32), 16_000))
        code, out, _ = auscult("evaluate", "--clean", tmp_path / "clean", "--enhanced", tmp_path / "out", "-o",
                               tmp_path / "e", "--metrics", "si_sdr", "--workers", "1", "--json")  # fmt: skip
        assert code == 0
        assert json.loads(out)["standings"][0]["estimate"]["mean"] is None

    def test_a_broken_run_does_not_hide_the_others(self, auscult: Run, trained: Path, tmp_path: Path) -> None:
        shutil.copytree(trained, tmp_path / "good")
        (tmp_path / "bad" / "checkpoints").mkdir(parents=True)
        (tmp_path / "bad" / "checkpoints" / "step-00000001.safetensors").write_bytes(b"cut")
        rows = {row["model"]: row for row in json.loads(auscult("models", "--runs", tmp_path, "--json")[1])}
        assert rows[str(tmp_path / "good")]["step"] == read_meta(best_checkpoint(trained)).step
        assert "unreadable" in rows[str(tmp_path / "bad")]["scores"]

    def test_info_of_a_recording_with_infinity(self, auscult: Run, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "a.wav", np.array([0.5, np.inf, np.nan] * 100), 16_000, subtype="FLOAT")
        facts = json.loads(auscult("info", tmp_path / "a.wav", "--json")[1], parse_constant=pytest.fail)
        assert (facts["peak"], facts["not_finite"]) == (0.5, 200)

    def test_info_of_others_checkpoints(self, auscult: Run, data: Path) -> None:
        facts = json.loads(auscult("info", data.parent / "checkpoints" / "gtcrn_vctk.tar", "--json")[1])
        assert facts["net"] == "GTCRN"
        assert facts["step"] == 92

    def test_recipes(self, auscult: Run, tmp_path: Path) -> None:
        assert "bandgru" in auscult("recipes")[1]
        assert "bandgru" in json.loads(auscult("recipes", "--json")[1])
        assert "type: BandGRU" in auscult("recipes", "show", "bandgru")[1]
        shown = yaml.safe_load(auscult("recipes", "show", "bandgru", "--set", "training.steps=7")[1])
        assert shown["training"]["steps"] == 7
        code, out, _ = auscult("recipes", "copy", "bandgru", tmp_path / "mine.yaml")
        assert code == 0
        assert "written" in out
        assert auscult("recipes", "copy", "bandgru", tmp_path / "mine.yaml")[0] == 2

    def test_info_of_a_recording(self, auscult: Run) -> None:
        facts = json.loads(auscult("info", EXAMPLES / "noisy" / "walk.flac", "--json")[1])
        assert (facts["rate_hz"], facts["channels"], facts["not_finite"]) == (16_000, 1, 0)
        assert "noise_floor_db" in auscult("info", EXAMPLES / "noisy" / "walk.flac")[1]

    def test_models_and_version(self, auscult: Run, tmp_path: Path) -> None:
        assert "default" in auscult("models", "--runs", tmp_path)[1]
        assert "NCSNpp" in json.loads(auscult("models", "--parts", "--json")[1])["net"]
        assert re.match(r"auscult \d+\.\d+", auscult("--version")[1])

    def test_convert(self, auscult: Run, data: Path, tmp_path: Path, speech: Path) -> None:
        source = data.parent / "checkpoints" / "gtcrn_dns3_epoch87.tar"
        code, out, _ = auscult("convert", source, tmp_path / "g.safetensors")
        assert code == 0
        assert "not needed: epoch, optimizer" in out
        assert auscult("convert", source, tmp_path / "g.safetensors")[0] == 2
        assert auscult("enhance", speech, "-m", tmp_path / "g.safetensors", "--device", "cpu")[0] == 0
