"""Noise references at restoration: what nets are told, from the command line to every chunk and channel."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy import ndarray
from torch import Tensor

from auscult import recipe
from auscult.audio.clip import Clip, read
from auscult.audio.level import peak
from auscult.audio.resample import resample
from auscult.audio.writer import write
from auscult.data.pairs import PairSource
from auscult.data.references import Reference, conditions, from_noisy
from auscult.errors import RestorationError
from auscult.evaluate.sources import oracle
from auscult.hub.bundle import Meta, save
from auscult.methods.base import Conditions, Method
from auscult.restore import engine
from auscult.restore.engine import Job, Restorer, Settings
from auscult.restore.models import Cut, model_of
from auscult.restore.references import ReferenceRequest, Survey, recalled
from auscult.rng import Key
from auscult.train.settings import Validation
from auscult.train.validate import Baseline, held_out, validate
from tests.noise import shaken
from tests.processes import Run
from tests.train.runs import SCORE, TOLD

SHORT = "--reference-duration", "0.2"


def method_of(node: Mapping[str, Any]) -> Method:
    """A tiny score model whose weights make every part of it heard."""
    torch.manual_seed(0)
    method: Method = recipe.plan(node, Method, "method").build()
    shaken(method.nets()["net"])
    method.nets()["net"].eval()
    return method


def saved(path: Path, node: Mapping[str, Any]) -> Path:
    tensors = {f"net.{name}": tensor for name, tensor in method_of(node).nets()["net"].state_dict().items()}
    save(path, tensors, Meta(node))
    return path


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("weights") / "told.safetensors", TOLD["method"])


@pytest.fixture(scope="module")
def untold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("weights") / "untold.safetensors", SCORE["method"])


@pytest.fixture
def talk(tmp_path: Path, noisy: Clip) -> Path:
    """Three quarters of a second; a pause is in them."""
    path = tmp_path / "talks" / "talk.wav"
    write(path, noisy.with_wave(noisy.wave[:, :12_000]), on_clip="float")
    return path


@pytest.fixture
def hum(tmp_path: Path) -> Path:
    """A second of noise, in stereo and at another rate."""
    path = tmp_path / "hum.wav"
    waves = np.random.default_rng(0).standard_normal((2, 44_100)).astype(np.float32)
    write(path, Clip(0.05 * np.cumsum(waves, 1) / 50, 44_100))
    return path


def heard(auscult: Run, recording: Path, model: Path, *options: object) -> ndarray:
    output = recording.parent / "out.wav"
    code, _, err = auscult("enhance", recording, "-o", output, "-m", model, "--overwrite", "--json", *options)
    assert code == 0, err
    return read(output).wave


class Listener:
    """Takes the place of a method's ``restore``, and keeps what each call was told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, method: Method):
        self.calls: list[Conditions] = []
        monkeypatch.setattr(method, "restore", self.restore)

    def restore(self, nets: object, wave: Tensor, draws: object, told: Conditions) -> Tensor:
        self.calls.append(told)
        return wave


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> tuple[Restorer, Listener]:
    method = method_of(TOLD["method"])
    listener = Listener(monkeypatch, method)
    return Restorer(model_of("told", method, method.nets(), "cpu", Cut(0.6, 0.1))), listener


class TestCommand:
    def test_none_is_the_unconditional_answer(self, auscult: Run, talk: Path, hum: Path, told: Path) -> None:
        without = heard(auscult, talk, told, "--noise-reference", "none")
        unguided = heard(auscult, talk, told, "--noise-reference", hum, "--guidance-scale", 0)
        assert np.array_equal(without, unguided)

    def test_a_file_changes_the_answer_and_guidance_changes_it_further(
        self, auscult: Run, talk: Path, hum: Path, told: Path
    ) -> None:
        none, one, two, set_ = (
            heard(auscult, talk, told, "--noise-reference", *options)
            for options in (("none",), (hum,), (hum, "--guidance-scale", 2), (hum, "--set", "guidance_scale=2"))
        )
        assert np.abs(one - none).max() > 1e-3
        assert np.abs(two - one).max() > 1e-3
        assert np.array_equal(two, set_)

    def test_a_folder_gives_each_recording_its_namesake(
        self, auscult: Run, talk: Path, hum: Path, told: Path, tmp_path: Path
    ) -> None:
        by_file = heard(auscult, talk, told, "--noise-reference", hum)
        (tmp_path / "rooms").mkdir()
        hum.rename(tmp_path / "rooms" / "talk.wav")
        assert np.array_equal(heard(auscult, talk, told, "--noise-reference", tmp_path / "rooms"), by_file)

    def test_the_default_is_a_stretch_of_the_recording_itself(
        self, auscult: Run, talk: Path, told: Path, tmp_path: Path
    ) -> None:
        code, out, err = auscult("enhance", talk, "-o", tmp_path / "o.wav", "-m", told, *SHORT, "--json")
        assert code == 0, err
        (origin,) = json.loads(out)[0]["noise_references"]
        wave = read(talk).wave
        found = from_noisy(wave, 16_000, 0.2)
        assert found is not None
        assert origin == found.origin
        start = round(16_000 * origin["start_s"])
        write(tmp_path / "piece.wav", Clip(wave[:, start : start + 3_200], 16_000), on_clip="float")
        given = heard(auscult, talk, told, "--noise-reference", tmp_path / "piece.wav", *SHORT)
        assert np.allclose(read(tmp_path / "o.wav").wave, given, atol=2e-4)

    def test_people_are_told_what_was_found(self, auscult: Run, talk: Path, hum: Path, told: Path) -> None:
        command = ["enhance", talk, "-o", talk.with_name("o.wav"), "-m", told, "--overwrite"]
        _, out, _ = auscult(*command, *SHORT)
        assert "noise reference: 0.2 s from" in out
        assert "s on of the recording (noise_only:" in out
        _, out, _ = auscult(*command, "--noise-reference", hum)
        assert f"0.5 s from 0 s on of {hum} (resampled from 44100 to 16000 Hz, 2 channels averaged)" in " ".join(
            out.split()
        )
        _, out, _ = auscult(*command, "--reference-duration", 10)
        assert "noise reference: no stretch without speech found: restored without a reference" in out

    def test_models_that_take_none_say_nothing_of_it(self, auscult: Run, talk: Path, untold: Path) -> None:
        for model in ("default", untold):
            code, out, _ = auscult("enhance", talk, "-o", talk.with_name(f"{model == untold}.wav"), "-m", model)
            assert (code, "noise reference" in out) == (0, False)

    def test_a_bad_reference_of_a_folder_fails_alone(
        self, auscult: Run, talk: Path, hum: Path, told: Path, tmp_path: Path
    ) -> None:
        write(talk.with_name("other.wav"), read(talk))
        folder = tmp_path / "rooms"
        folder.mkdir()
        hum.rename(folder / "talk.wav")
        write(folder / "other.wav", Clip(np.zeros((1, 16_000), np.float32), 16_000))
        command = ["enhance", talk.parent, "-o", tmp_path / "out", "-m", told, "--batch", 2]
        code, _, err = auscult(*command, "--noise-reference", folder)
        assert code == 1
        assert "other.wav: its first 0.5 s are silent" in err
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["talk.wav"]

    @pytest.mark.parametrize(("options", "message"), [
        (["--noise-reference", "nowhere.wav"], "nowhere.wav: no such file or folder; give auto, none, a file"),
        (["--noise-reference", "short.wav"], "0.050 s are too short for a noise reference"),
        (["--noise-reference", "silent.wav"], "its first 0.5 s are silent"),
        (["--noise-reference", "nan.wav"], "samples are NaN or infinite"),
        (["--noise-reference", "text.wav"], "text.wav"),
        (["--noise-reference", "."], "no noise reference for talk.wav"),
        (["--reference-duration", "0.05"], "needs at least 0.1 s"),
        (["--guidance-scale", "-1"], "guidance_scale"),
        (["--model", "default", "--noise-reference", "auto"], "the built-in model is not conditioned on noise"),
        (["--model", "default", "--guidance-scale", "2"], "the built-in model is not conditioned on noise"),
        (["--model", "untold", "--noise-reference", "none"], "untold is not conditioned on noise"),
        (["--model", "untold", "--reference-duration", "1"], "untold is not conditioned on noise"),
        (["--model", "untold", "--guidance-scale", "2"], "untold is not conditioned on noise"),
        (["--model", "undropped", "--guidance-scale", "2"], "trained without drop-out"),
        (["--model", "undropped", "--noise-reference", "none"], "has no answer without a reference"),
    ])  # fmt: skip
    def test_bad_requests_are_answered_in_one_line(
        self, auscult: Run, talk: Path, told: Path, untold: Path, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch, options: list[str], message: str,
    ) -> None:  # fmt: skip
        rooms = tmp_path / "rooms"
        rooms.mkdir()
        monkeypatch.chdir(rooms)
        for name, wave in {"short": np.ones(800), "silent": np.zeros(8_000), "nan": np.full(8_000, np.nan)}.items():
            soundfile.write(f"{name}.wav", wave.astype(np.float32), 16_000, subtype="FLOAT")
        Path("text.wav").write_text("no audio")
        undropped = saved(tmp_path / "undropped.safetensors", {**TOLD["method"], "conditioning": {"drop": 0.0}})
        paths = {"untold": untold, "undropped": undropped}
        options = [str(paths.get(option, option)) for option in options]
        model = [] if "--model" in options else ["--model", told]
        code, _, err = auscult("enhance", talk, "-o", talk.with_name("o.wav"), *model, *options)
        assert (code, len(err.strip().splitlines())) == (2, 1)
        assert message in err


class TestEngine:
    def test_every_chunk_is_told_the_same_at_the_level_of_the_whole(
        self, listening: tuple[Restorer, Listener], noisy: Clip
    ) -> None:
        restorer, listener = listening
        wave = noisy.wave[:, :32_000]
        restorer.enhance(0.1 * wave, 16_000, reference=ReferenceRequest("auto", 0.2))
        found = from_noisy(wave, 16_000, 0.2)
        assert found is not None
        expected = conditions(found, 3_200, peak(wave))
        assert len(listener.calls) == 4
        for call in listener.calls:
            assert sorted(call) == sorted(expected)
            for name, values in expected.items():
                assert call[name][0].numpy() == pytest.approx(values, abs=1e-5)

    def test_channels_and_files_are_told_their_own(
        self, listening: tuple[Restorer, Listener], noisy: Clip, tmp_path: Path
    ) -> None:
        restorer, listener = listening
        left, right = noisy.wave[:, :9_000], noisy.wave[:, 9_000:18_000]
        for name, wave in {"a": left, "b": right}.items():
            write(tmp_path / f"{name}.wav", Clip(np.concatenate([wave, 0.5 * wave[:, ::-1]]), 16_000), on_clip="float")
        jobs = [Job(tmp_path / f"{name}.wav", tmp_path / f"{name}-out.wav") for name in "ab"]
        settings = Settings(reference=ReferenceRequest("auto", 0.1))
        together, apart = restorer.enhance_files(jobs, settings), []
        whole = listener.calls[0]
        for job in jobs:
            apart += restorer.enhance_files([job], settings)
        assert [report.references for report in together] == [report.references for report in apart]
        for i, call in enumerate(listener.calls[1:]):
            for name, values in call.items():
                assert torch.equal(whole[name][2 * i : 2 * i + 2], values)
        assert len({float(level) for level in whole["noise_level"]}) == 4

    def test_a_channel_without_reference_stands_beside_one_with(
        self, listening: tuple[Restorer, Listener], noisy: Clip
    ) -> None:
        restorer, listener = listening
        silent = np.concatenate([noisy.wave[:, :9_000], np.zeros((1, 9_000), np.float32)])
        restorer.enhance(silent, 16_000, reference=ReferenceRequest("auto", 0.1))
        assert listener.calls[0]["noise_samples"].tolist() == [1_600, 0]

    def test_references_are_found_and_measured_at_the_models_rate(
        self, listening: tuple[Restorer, Listener], noisy: Clip
    ) -> None:
        restorer, listener = listening
        wave = noisy.wave[:, :16_000]
        for signal, rate_hz in ((wave, 16_000), (resample(wave, 16_000, 48_000), 48_000)):
            restorer.enhance(signal, rate_hz, reference=ReferenceRequest("auto", 0.2))
        one, other = listener.calls[0], listener.calls[2]
        assert float(one["noise_level"]) == pytest.approx(float(other["noise_level"]), abs=0.02)
        assert float((one["noise"] - other["noise"]).square().mean()) < 0.01

    def test_only_the_beginning_of_long_recordings_is_listened_to(
        self, listening: tuple[Restorer, Listener], noisy: Clip, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        restorer, listener = listening
        monkeypatch.setattr(engine, "LISTENED_S", 0.3)
        late = np.concatenate([np.zeros((1, 5_000), np.float32), noisy.wave[:, :4_000]], axis=1)
        restorer.enhance(late, 16_000, reference=ReferenceRequest("auto", 0.1))
        assert not listener.calls[0]

    def test_a_survey_keeps_what_is_listened_to_and_no_more(self) -> None:
        waves = np.random.default_rng(0).standard_normal((2, 900)).astype(np.float32)
        survey = Survey.of(np.split(waves, 9, axis=1), 1_000, 2, 0.25)
        assert np.array_equal(survey.beginning, waves[:, :250])
        assert np.array_equal(survey.statistics.peak, np.abs(waves).max(1))

    def test_a_reference_at_hand_is_told_as_it_is(self, listening: tuple[Restorer, Listener], noisy: Clip) -> None:
        restorer, listener = listening
        given = Reference.of(noisy.wave[:, :2_000], {"origin": "here"})
        assert given is not None
        restorer.enhance(noisy.wave[:, :8_000], 16_000, reference=ReferenceRequest(given))
        assert np.array_equal(listener.calls[0]["noise"][0].numpy(), given.wave)

    def test_models_that_take_none_refuse_them(self) -> None:
        method = method_of(SCORE["method"])
        restorer = Restorer(model_of("untold", method, method.nets(), "cpu"))
        with pytest.raises(RestorationError, match="untold is not conditioned on noise"):
            restorer.enhance(np.ones(4_000), 16_000, reference=ReferenceRequest("none"))

    def test_signals_that_are_not_finite_are_refused_before_noise_is_sought(
        self, auscult: Run, talk: Path, told: Path
    ) -> None:
        wave = read(talk).wave[0]
        wave[100:110] = np.nan
        wave[11_000] = np.inf
        soundfile.write(talk, wave, 16_000, subtype="FLOAT")
        code, _, err = auscult("enhance", talk, "-o", talk.with_name("o.wav"), "-m", told)
        assert (code, len(err.strip().splitlines())) == (2, 1)
        assert "11 samples are NaN or infinite, the first at sample 100" in err


class TestValidation:
    def test_conditions_of_an_item_are_recalled(self, noisy: Clip) -> None:
        found = from_noisy(noisy.wave, 16_000, 0.3)
        assert found is not None
        again = recalled(conditions(found, 6_000, 0.7), 0.7)
        assert again is not None
        assert again.rms == pytest.approx(found.rms, rel=1e-6)
        assert np.array_equal(again.wave, found.wave)
        assert recalled(conditions(None, 6_000, 0.7), 0.7) is None

    @pytest.mark.parametrize("origin", ["disjoint", "none"])
    def test_items_are_restored_with_the_reference_that_comes_with_them(
        self, corpus: Path, monkeypatch: pytest.MonkeyPatch, origin: str
    ) -> None:
        node = copy.deepcopy(TOLD["data"]) | {"origin": origin}
        node["source"]["root"] = str(corpus)
        data: PairSource = recipe.plan(node, PairSource, "data").build()
        validation = Validation(data=data, every=1, items=2, metrics=("si_sdr",), select="si_sdr")
        pairs = list(held_out(validation, Key(0)).values())
        method = method_of(TOLD["method"])
        listener = Listener(monkeypatch, method)
        baseline = Baseline(validation.metrics)
        validate(validation, method, method.nets(), pairs, baseline, torch.device("cpu"), None, 0)
        for pair, call in zip(pairs, listener.calls, strict=True):
            length = int(pair.conditions["noise_samples"])
            assert (length > 0) == (origin == "disjoint") == bool(call)
            if call:
                assert np.array_equal(call["noise"][0].numpy(), pair.conditions["noise"][:, :length])
                assert float(call["noise_level"]) == pytest.approx(float(pair.conditions["noise_level"]), abs=1e-5)


class TestEvaluation:
    @pytest.fixture
    def sides(self, tmp_path: Path, clean: Clip, noisy: Clip) -> Path:
        for side, clip in (("clean", clean), ("noisy", noisy)):
            for i in range(2):
                cut = slice(16_000 * i + 8_000, 16_000 * i + 14_000)
                write(tmp_path / "set" / side / f"{i}.flac", clip.with_wave(clip.wave[:, cut]))
        return tmp_path / "set"

    @pytest.fixture
    def evaluated(self, auscult: Run, sides: Path, told: Path) -> Any:
        def run(*options: object) -> tuple[int, str, dict[str, Any]]:
            command = ["evaluate", "--data", sides, "-m", f"{told}=told", "--out", sides.parent / "out"]
            code, _, err = auscult(*command, "--metrics", "si_sdr", "--no-report", "--workers", 1, *options)
            head = sides.parent / "out" / "evaluation.json"
            return code, err, json.loads(head.read_text())["systems"] if head.is_file() else {}

        return run

    def test_sources_and_guidance_are_swept(self, evaluated: Any, sides: Path, hum: Path) -> None:
        rooms = sides.parent / "rooms"
        for i in range(2):
            write(rooms / f"{i}.wav", Clip(read(hum).wave[:, 8_000 * i :], 44_100))
        code, err, systems = evaluated("--noise-reference", f"none,oracle,{rooms}", "--set", "guidance_scale=0,2",
                                       "--set", "reference_duration_s=0.2")  # fmt: skip
        assert code == 0, err
        names = [f"told guidance_scale={w} noise_reference={s}" for w in (0, 2) for s in ("none", "oracle", "rooms")]
        assert list(systems) == ["noisy", *names]
        assert systems[names[1]]["noise_reference"] == {"source": "oracle", "duration_s": 0.2}
        assert "content" in systems[names[2]]["noise_reference"]
        kept = [read(path).wave for path in sorted((sides.parent / "out").rglob("1.wav")) if "told" in str(path)]
        assert len(kept) == 6
        unguided, guided = kept[:3], kept[3:]
        assert all(np.array_equal(one, unguided[0]) for one in [*unguided, guided[0]])
        assert np.abs(guided[1] - guided[0]).max() > 1e-3
        assert np.abs(guided[2] - guided[1]).max() > 1e-3

    def test_what_another_reference_made_is_not_taken_for_this_one(
        self, evaluated: Any, sides: Path, hum: Path
    ) -> None:
        def made(*options: object) -> set[Path]:
            code, err, _ = evaluated("--noise-reference", *options, "--overwrite")
            assert code == 0, err
            return set((sides.parent / "out" / "restored").rglob("0.wav"))

        first = made(hum)
        assert made(hum) == first
        write(hum, Clip(read(hum).wave[:, ::-1].copy(), 44_100))
        second = made(hum)
        assert (len(first), len(second)) == (1, 2)
        assert len(made(hum, "--set", "reference_duration_s=0.3")) == 3

    @pytest.mark.parametrize(("options", "message"), [
        (["--noise-reference", "nowhere"], "nowhere: no such file or folder"),
        (["--noise-reference", "ROOMS"], "no noise reference for 1"),
        (["--set", "reference_duration_s=0.01"], "needs at least 0.1 s"),
        (["--set", "reference_duration_s=long"], "reference_duration_s is a number of seconds, this is 'long'"),
        (["--matrix", "x.yaml", "--noise-reference", "auto"], "both say what is compared"),
    ])  # fmt: skip
    def test_what_cannot_be_is_said_before_the_work(
        self, evaluated: Any, sides: Path, hum: Path, options: list[str], message: str
    ) -> None:
        rooms = sides.parent / "rooms"
        rooms.mkdir()
        hum.rename(rooms / "0.wav")
        code, err, systems = evaluated(*[option.replace("ROOMS", str(rooms)) for option in options])
        assert (code, systems) == (2, {})
        assert message in err

    def test_models_that_take_none_refuse_it_where_none_takes_it(self, auscult: Run, sides: Path, untold: Path) -> None:
        command = ["evaluate", "--data", sides, "-m", untold, "--out", sides / "out", "--noise-reference", "auto"]
        code, _, err = auscult(*command)
        assert (code, "the model is not conditioned on noise" in err) == (2, True)

    def test_an_oracle_needs_the_clean_side(self, auscult: Run, sides: Path, told: Path) -> None:
        command = ["evaluate", "--noisy", sides / "noisy", "-m", told, "--out", sides / "out"]
        code, _, err = auscult(*command, "--noise-reference", "oracle")
        assert (code, "oracle is noisy - clean" in err) == (2, True)

    def test_matrix_files_name_references_beside_themselves(
        self, auscult: Run, sides: Path, told: Path, untold: Path, hum: Path
    ) -> None:
        (sides.parent / "study.yaml").write_text(
            f"data: {{a: {{folder: set}}}}\nmetrics: [si_sdr]\nsettings: {{noise_reference: hum.wav}}\n"
            f"systems: {{told: {{model: {told}}}, untold: {{model: {untold}}}}}\n"
        )
        command = ["evaluate", "--matrix", sides.parent / "study.yaml", "--no-report", "--workers", 1]
        code, _, err = auscult(*command, "--out", sides.parent / "out")
        assert code == 0, err
        systems = json.loads((sides.parent / "out" / "evaluation.json").read_text())["systems"]
        assert systems["told"]["noise_reference"]["source"] == "hum.wav"
        assert "noise_reference" not in systems["untold"]

    def test_the_oracle_is_the_noise_of_the_middle(self, clean: Clip, noisy: Clip) -> None:
        found = oracle(noisy, clean, 16_000, 0.5)
        assert found is not None
        start = (noisy.samples - 8_000) // 2
        noise = (noisy.wave - clean.wave)[:, start : start + 8_000]
        assert found.rms * found.wave == pytest.approx(noise, abs=1e-6)
        assert oracle(clean, clean, 16_000, 0.5) is None
