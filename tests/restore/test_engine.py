"""The engine: any rate, channels and length; streams equal wholes; level and length kept; broken files do not stop."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy import ndarray

import auscult
from auscult.audio.clip import Clip, probe, read
from auscult.audio.resample import resample
from auscult.audio.stft import STFT
from auscult.audio.writer import write
from auscult.errors import AudioError, CheckpointError, OutputError, RecipeError, RestorationError
from auscult.features.frames import FrameStep
from auscult.features.normalise import Normalise
from auscult.restore import folder
from auscult.restore.engine import Job, Restorer, Settings
from auscult.restore.models import FrameModel, Model, pick_device
from auscult.restore.references import NOTHING, Told
from auscult.restore.stream import ChunkStream, Stream, Wave
from auscult.rng import Key


class Identity(FrameStep):
    """Returns its frames; keeps a counter as state."""

    stft = STFT(512, 256, "sqrthann")

    def initial_state(self, channels: int) -> ndarray:
        return np.zeros((channels, 1), np.float32)

    def __call__(self, frames: ndarray, state: ndarray) -> tuple[ndarray, ndarray]:
        return frames, state + frames.shape[1]


class Half(Model):
    """Halves whole chunks of half a second that must be normalised to peak one."""

    name, rate_hz, normalise = "half", 16_000, Normalise("peak")

    def stream(self, keys: Sequence[Key], told: Told = NOTHING) -> Stream:
        def restore(wave: Wave, index: int) -> Wave:
            assert np.abs(wave).max() <= 1.0 + 1e-3
            return 0.5 * wave

        return ChunkStream(restore, 8_000, 800, len(keys))


@pytest.fixture(scope="module")
def default() -> Restorer:
    return auscult.load("default")


@pytest.fixture
def identity() -> Restorer:
    return Restorer(FrameModel("identity", 16_000, Identity(), Normalise()))


class TestArrays:
    @pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
    @pytest.mark.parametrize("shape", [(4_321,), (2, 9_001), (8, 4_000)])
    def test_shape_rate_and_level_are_kept(self, identity: Restorer, rate_hz: int, shape: tuple[int, ...]) -> None:
        wave = np.random.default_rng(0).standard_normal(shape).astype(np.float32) * 0.1
        out = identity.enhance(wave, rate_hz)
        assert out.shape == wave.shape
        # At and above the model's rate an identity model changes nothing: the high band comes back as it was.
        if rate_hz >= 16_000:
            assert np.abs(out - wave)[..., 200:-200].max() < 2e-3

    def test_below_the_models_rate_the_band_is_kept(self, identity: Restorer, clean: Clip) -> None:
        narrow = resample(clean.wave[:, :64_000], 16_000, 8_000)
        out = identity.enhance(narrow, 8_000)
        assert np.abs(out - narrow).max() < 5e-3

    @pytest.mark.parametrize("samples", [1, 2, 100, 255, 256, 257, 800, 5_000])
    def test_very_short_signals(self, default: Restorer, samples: int) -> None:
        wave = 0.1 * np.ones(samples, np.float32)
        for rate_hz in (16_000, 48_000, 8_000):
            out = default.enhance(wave, rate_hz)
            assert out.shape == wave.shape
            assert np.isfinite(out).all()

    def test_silence_stays_silent(self, default: Restorer) -> None:
        assert not default.enhance(np.zeros((2, 20_000)), 44_100).any()

    def test_strength_mixes(self, default: Restorer, noisy: Clip) -> None:
        wave = noisy.wave[0, :40_000]
        full, half, none = (default.enhance(wave, 16_000, strength=s) for s in (1.0, 0.5, 0.0))
        assert np.allclose(half, 0.5 * full + 0.5 * wave, atol=1e-5)
        assert np.allclose(none, wave, atol=1e-6)
        assert np.abs(full - wave).max() > 0.01

    def test_output_scales_with_input(self, default: Restorer, noisy: Clip) -> None:
        wave = noisy.wave[0, :40_000]
        loud = default.enhance(wave, 16_000)
        assert np.allclose(default.enhance(0.01 * wave, 16_000) / 0.01, loud, atol=2e-3)

    def test_batches_change_no_answer(self, default: Restorer, noisy: Clip) -> None:
        waves = [noisy.wave[0, :30_000], noisy.wave[0, 30_000:60_000], noisy.wave[0, :20_000]]
        together = default.enhance_batch(waves, 16_000)
        for wave, out in zip(waves, together, strict=True):
            assert np.allclose(default.enhance(wave, 16_000), out, atol=1e-5)

    def test_normalising_models_get_normalised_signals_and_give_levels_back(self, noisy: Clip) -> None:
        wave = 3.0 * noisy.wave
        assert np.allclose(Restorer(Half()).enhance(wave, 16_000), 0.5 * wave, atol=1e-5)

    @pytest.mark.parametrize(("wave", "rate_hz", "message"), [
        (np.full(100, np.nan), 16_000, "NaN"), (np.zeros(0), 16_000, "not audio"),
        (np.zeros((2, 2, 2)), 16_000, "not audio"), (np.zeros(100), 0, "not an audio rate"),
        (np.zeros(100), 10**7, "not an audio rate"),
    ])  # fmt: skip
    def test_bad_arrays(self, default: Restorer, wave: ndarray, rate_hz: int, message: str) -> None:
        with pytest.raises(AudioError, match=message):
            default.enhance(wave, rate_hz)

    def test_a_model_that_gives_nan_is_named(self) -> None:
        class Broken(Identity):
            def __call__(self, frames: ndarray, state: ndarray) -> tuple[ndarray, ndarray]:
                return frames * np.float32(np.nan), state

        with pytest.raises(RestorationError, match="broken gives NaN or infinity"):
            Restorer(FrameModel("broken", 16_000, Broken(), Normalise())).enhance(np.ones(4_000), 16_000)

    def test_strength_has_bounds(self, default: Restorer) -> None:
        with pytest.raises(AudioError, match=r"strength of 1\.5"):
            default.enhance(np.zeros(100), 16_000, strength=1.5)


class TestStreams:
    @pytest.mark.parametrize("rate_hz", [16_000, 44_100])
    def test_live_blocks_equal_the_whole(self, default: Restorer, noisy: Clip, rate_hz: int) -> None:
        wave = resample(noisy.wave[:, :50_000], 16_000, rate_hz)
        stream = default.stream(1, rate_hz)
        parts = [stream.push(piece) for piece in np.split(wave, [100, 3_000, 20_000, 20_001], axis=1)]
        out = np.concatenate([*parts, stream.finish()], axis=1)
        assert np.allclose(out[0], default.enhance(wave[0], rate_hz), atol=1e-5)

    def test_normalising_models_cannot_run_live(self) -> None:
        with pytest.raises(RestorationError, match="cannot run live"):
            Restorer(Half()).stream(1, 16_000)

    def test_the_high_band_follows_the_models_gain(self) -> None:
        """A model that halves everything halves the band above its own as well."""

        class Halve(Identity):
            def __call__(self, frames: ndarray, state: ndarray) -> tuple[ndarray, ndarray]:
                return 0.5 * frames, state

        wave = np.random.default_rng(0).standard_normal(96_000).astype(np.float32) * 0.1
        out = Restorer(FrameModel("halve", 16_000, Halve(), Normalise())).enhance(wave, 48_000)
        assert np.abs(out - 0.5 * wave)[2_000:-2_000].max() < 0.02
        assert np.square(out - 0.5 * wave)[2_000:-2_000].mean() < 1e-3 * np.square(0.5 * wave).mean()

    def test_chunks_of_a_local_model_equal_the_whole(self, rng: np.random.Generator) -> None:
        wave = rng.standard_normal((2, 30_000)).astype(np.float32)
        seen: list[int] = []

        def local(chunk: Wave, index: int) -> Wave:
            seen.append(chunk.shape[1])
            return np.tanh(chunk)

        stream = ChunkStream(local, 8_000, 1_000, 2)
        out = np.concatenate([stream.push(wave[:, :20_000]), stream.push(wave[:, 20_000:]), stream.finish()], axis=1)
        assert np.allclose(out, np.tanh(wave), atol=1e-6)
        assert max(seen) <= 8_000
        assert len(stream.seams) == len(seen) - 1
        assert all(seam.disagreement_db < -100 for seam in stream.seams)

    def test_seams_report_how_far_chunks_disagree(self, rng: np.random.Generator) -> None:
        wave = rng.standard_normal((1, 20_000)).astype(np.float32)
        stream = ChunkStream(lambda chunk, index: chunk * (1.0 + 0.1 * (index % 2)), 8_000, 1_000, 1)
        stream.push(wave)
        stream.finish()
        assert [round(seam.disagreement_db) for seam in stream.seams] == [-20, -21]
        assert [seam.at_sample for seam in stream.seams] == [7_000, 14_000]
        assert stream.seams[0].of([0]) == stream.seams[0]


class TestFiles:
    def test_a_file_keeps_format_rate_channels_and_length(self, default: Restorer, tmp_path: Path, noisy: Clip) -> None:
        stereo = resample(np.concatenate([noisy.wave, 0.5 * noisy.wave])[:, :50_001], 16_000, 44_100)
        source = tmp_path / "in.wav"
        write(source, Clip(stereo, 44_100), on_clip="float")
        report = default.enhance_file(source, tmp_path / "deep" / "out.wav")
        before, after = probe(source), probe(tmp_path / "deep" / "out.wav")
        assert (after.rate_hz, after.channels, after.samples) == (before.rate_hz, before.channels, before.samples)
        assert after.subtype == before.subtype == "FLOAT"
        assert report.after.floor_db < report.before.floor_db - 6
        assert report.duration_s == pytest.approx(stereo.shape[1] / 44_100)
        assert np.allclose(read(tmp_path / "deep" / "out.wav").wave, default.enhance(stereo, 44_100), atol=1e-5)

    def test_output_must_not_be_the_input(self, default: Restorer, tmp_path: Path, noisy: Clip) -> None:
        write(tmp_path / "a.wav", noisy)
        with pytest.raises(OutputError, match="would overwrite its own source"):
            default.enhance_file(tmp_path / "a.wav", tmp_path / "a.wav")

    def test_nan_in_a_file_is_refused_and_nothing_is_left(self, default: Restorer, tmp_path: Path) -> None:
        wave = np.zeros(200_000, np.float32)
        wave[150_000] = np.inf
        soundfile.write(tmp_path / "a.wav", wave, 16_000, subtype="FLOAT")
        with pytest.raises(AudioError, match="first at sample 150000"):
            default.enhance_file(tmp_path / "a.wav", tmp_path / "out.wav")
        assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]

    def test_over_full_scale_is_reported(self, tmp_path: Path, identity: Restorer) -> None:
        wave = np.sin(np.arange(16_000) / 5).astype(np.float32)[None] * 1.5
        write(tmp_path / "a.wav", Clip(wave, 16_000), on_clip="float")
        report = identity.enhance_file(tmp_path / "a.wav", tmp_path / "b.flac", Settings(on_clip="limit"))
        assert report.overs.count > 1_000
        assert report.overs.peak == pytest.approx(1.5, abs=0.01)

    def test_three_hours_take_no_more_memory_than_minutes(self, tmp_path: Path) -> None:
        """In a process of its own: what the engine holds while a 3-hour file passes through it."""
        code = f"""
import resource, sys, numpy as np, soundfile
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.restore.test_engine import Identity
from auscult.features.normalise import Normalise
from auscult.restore.engine import Restorer
from auscult.restore.models import FrameModel
source, output = Path({str(tmp_path / "long.wav")!r}), Path({str(tmp_path / "out.wav")!r})
minute = np.random.default_rng(0).standard_normal(16_000 * 60).astype("f") * 0.05
with soundfile.SoundFile(str(source), "w", 16_000, 1, "ULAW") as file:
    for _ in range(180):
        file.write(minute)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
report = Restorer(FrameModel("identity", 16_000, Identity(), Normalise())).enhance_file(source, output)
assert report.duration_s == 10_800, report.duration_s
assert soundfile.info(str(output)).frames == 10_800 * 16_000
assert peak() - before < 100, peak() - before
"""
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_a_folder_goes_on_past_a_broken_file(self, default: Restorer, tmp_path: Path, noisy: Clip) -> None:
        short = noisy.with_wave(noisy.wave[:, :20_000])
        for name in ("a.wav", "sub/b.flac", "c.wav"):
            write(tmp_path / "in" / name, short)
        (tmp_path / "in" / "broken.wav").write_text("no sound")
        jobs = folder.plan([tmp_path / "in"], tmp_path / "out")
        outcomes = list(folder.run(default, jobs, Settings(), batch=2))
        failed = [o for o in outcomes if isinstance(o, folder.Failed)]
        assert [o.job.source.name for o in failed] == ["broken.wav"]
        assert (tmp_path / "out" / "sub" / "b.flac").exists()
        again = list(folder.run(default, jobs, Settings()))
        assert sum(isinstance(o, folder.Skipped) for o in again) == 3

    def test_batches_of_files_give_what_single_files_give(self, default: Restorer, tmp_path: Path, noisy: Clip) -> None:
        for i in range(3):
            write(tmp_path / "in" / f"{i}.wav", noisy.with_wave(noisy.wave[:, i * 20_000 : (i + 1) * 20_000]))
        for batch in (1, 3):
            jobs = folder.plan([tmp_path / "in"], tmp_path / f"out{batch}")
            list(folder.run(default, jobs, Settings(), batch=batch))
        for i in range(3):
            one, three = (read(tmp_path / f"out{batch}" / f"{i}.wav").wave for batch in (1, 3))
            assert np.abs(one - three).max() <= 4e-5

    def test_plans(self, tmp_path: Path, noisy: Clip) -> None:
        write(tmp_path / "talks" / "a.wav", noisy)
        write(tmp_path / "b.wav", noisy)
        assert folder.plan([tmp_path / "b.wav"], None) == [Job(tmp_path / "b.wav", tmp_path / "b-enhanced.wav")]
        assert folder.plan([tmp_path / "talks"], None)[0].output == tmp_path / "talks-enhanced" / "a.wav"
        assert folder.plan([tmp_path / "b.wav"], tmp_path / "new.flac")[0].output == tmp_path / "new.flac"
        (tmp_path / "c.m4a").write_bytes(b"x")
        assert folder.plan([tmp_path / "c.m4a"], None)[0].output == tmp_path / "c-enhanced.wav"

    def test_the_folder_one_is_in(self, tmp_path: Path, noisy: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
        write(tmp_path / "talks" / "a.wav", noisy)
        monkeypatch.chdir(tmp_path / "talks")
        assert folder.plan([Path()], None)[0].output == tmp_path / "talks-enhanced" / "a.wav"

    def test_outputs_around_the_inputs(self, tmp_path: Path, noisy: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
        write(tmp_path / "talks" / "a.wav", noisy)
        monkeypatch.chdir(tmp_path)
        assert folder.plan([Path("talks")], Path())[0].output == Path("a.wav")
        with pytest.raises(OutputError, match="would overwrite its own source"):
            folder.plan([Path("talks")], Path("talks"))

    def test_files_side_by_side_must_agree(self, default: Restorer, tmp_path: Path) -> None:
        for name, rate_hz in (("a", 16_000), ("b", 48_000)):
            write(tmp_path / f"{name}.wav", Clip(np.zeros((1, 16_000), np.float32), rate_hz))
        with pytest.raises(AudioError, match="must agree in rate, channels and length"):
            default.enhance_files([Job(tmp_path / f"{n}.wav", tmp_path / f"{n}-out.wav") for n in "ab"])

    def test_outputs_inside_the_inputs_are_no_inputs(self, tmp_path: Path, noisy: Clip) -> None:
        write(tmp_path / "talks" / "a.wav", noisy)
        write(tmp_path / "talks" / "out" / "a.wav", noisy)
        jobs = folder.plan([tmp_path / "talks"], tmp_path / "talks" / "out")
        assert [job.source for job in jobs] == [tmp_path / "talks" / "a.wav"]

    def test_plans_that_cannot_be(self, tmp_path: Path, noisy: Clip) -> None:
        for name in ("one/a.wav", "two/a.wav"):
            write(tmp_path / name, noisy)
        files = [tmp_path / "one" / "a.wav", tmp_path / "two" / "a.wav"]
        with pytest.raises(OutputError, match="would both become"):
            folder.plan(files, tmp_path / "out")
        with pytest.raises(OutputError, match="several inputs need a folder"):
            folder.plan(files, tmp_path / "out.wav")
        with pytest.raises(AudioError, match="no such file or folder"):
            folder.plan([tmp_path / "none"], None)
        (tmp_path / "x-enhanced").mkdir()
        for name in ("x/a.wav", "x-enhanced/a.wav"):
            write(tmp_path / name, noisy)
        with pytest.raises(OutputError, match="is an input and would be an output too"):
            folder.plan([tmp_path / "x", tmp_path / "x-enhanced"], None)
        (tmp_path / "empty").mkdir()
        with pytest.raises(AudioError, match="no audio file in this folder"):
            folder.plan([tmp_path / "empty"], None)


class TestBuiltIn:
    def test_it_runs_without_torch(self) -> None:
        code = (
            "import sys, numpy, auscult, auscult.cli\n"
            "out = auscult.load().enhance(numpy.ones(4000) * .1, 48000)\n"
            "assert out.shape == (4000,)\n"
            "bad = [m for m in ('torch', 'pandas', 'matplotlib', 'accelerate') if m in sys.modules]\n"
            "assert not bad, bad"
        )
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_it_removes_noise_from_the_example(self, default: Restorer, noisy: Clip, clean: Clip) -> None:
        from auscult.metrics.base import Signals
        from auscult.metrics.energy import SiSdr

        out = default.enhance(noisy.wave, noisy.rate_hz)
        before, after = (SiSdr()(Signals(w[0], 16_000, clean.wave[0])) for w in (noisy.wave, out))
        assert after > before + 2.0

    def test_onnx_equals_torch(self, noisy: Clip) -> None:
        """The packaged ONNX frame is the packaged checkpoint, state and all, over 11 s."""
        weights = Path(auscult.__file__).parent / "weights" / "default.safetensors"
        one, other = (auscult.load(str(model)).enhance(noisy.wave, 16_000) for model in ("default", weights))
        assert np.abs(one - other).max() < 1e-5

    @pytest.mark.parametrize("rate_hz", [16_000, 48_000])
    def test_silence_stays_silence(self, default: Restorer, rate_hz: int) -> None:
        assert not default.enhance(np.zeros(rate_hz, np.float32), rate_hz).any()

    def test_narrow_band_speech_keeps_its_band(self, default: Restorer, noisy: Clip) -> None:
        """Telephone speech goes up to the model's rate and back: speech frames lose little below 3.4 kHz."""
        wave = resample(noisy.wave, 16_000, 8_000)[0]
        out = default.enhance(wave, 8_000)
        assert out.shape == wave.shape
        spectra = [np.square(np.abs(np.fft.rfft(w))) for w in (wave, out)]
        band = slice(round(300 / 4_000 * spectra[0].size), round(3_400 / 4_000 * spectra[0].size))
        lost_db = 10 * np.log10(spectra[0][band].sum() / spectra[1][band].sum())
        assert 0.0 < lost_db < 3.0

    def test_it_has_no_settings(self) -> None:
        with pytest.raises(RecipeError, match="has no settings"):
            auscult.load("default", overrides=["sampler.steps=3"])

    def test_a_missing_model_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="give default, a checkpoint file or a run folder"):
            auscult.load(str(tmp_path / "none.safetensors"))
        with pytest.raises(CheckpointError, match="no checkpoint in it"):
            auscult.load(str(tmp_path))

    def test_real_pairs_get_better(self, default: Restorer, data: Path) -> None:
        """A floor under the published figures (docs/models/default.md), on eight of the 40 real pairs."""
        from auscult.metrics.base import Signals
        from auscult.metrics.energy import SiSdr

        gains = []
        for path in sorted((data / "vbdmd_p257" / "noisy").iterdir())[::5]:
            noisy, clean = read(path), read(data / "vbdmd_p257" / "clean" / path.name)
            out = default.enhance(noisy.wave, noisy.rate_hz)
            before, after = (SiSdr()(Signals(w[0], 16_000, clean.wave[0])) for w in (noisy.wave, out))
            gains.append(after - before)
        assert np.mean(gains) > 6.0


def test_devices_are_checked() -> None:
    assert pick_device("cpu") == "cpu"
    assert pick_device("auto") in ("cpu", "cuda:0", "mps")
    with pytest.raises(RestorationError, match="no device 'cuda:99' on this machine; there is cpu"):
        pick_device("cuda:99")
