"""Super-resolution of recordings: rates, channels, lengths, the band that was there, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.audio.band import band_edge
from auscult.audio.clip import Clip
from auscult.audio.resample import resample
from auscult.audio.rolloff import LAST_BELOW
from auscult.errors import RestorationError
from auscult.hub.bundle import Meta, save
from auscult.metrics.base import Signals
from auscult.metrics.superresolution import LowBandDeviation
from auscult.restore.engine import Job, Restorer, Settings
from auscult.restore.extension import ExtensionRequest, respliced
from auscult.restore.models import Cut, built_in, model_of
from auscult.restore.replacement import Splice
from tests.methods.test_flow import LATENT, TRANSFORMER, U_NET, built
from tests.noise import shaken
from tests.processes import Run

CUTOFF = {"stft": {"type": "CompressedSTFT", "n_fft": 62, "hop": 32, "factor": 3.0}}
"""A factor by which noise of unit power, which an untrained net generates, is about as loud as speech."""


def restorer(node: dict[str, object] = U_NET, cut: Cut = Cut()) -> Restorer:
    if node is U_NET:
        node = {**U_NET, "features": {**U_NET["features"], **CUTOFF, "from_bin": 14},
                "net": {"type": "SpectralFlow", "net": {**U_NET["net"]["net"], "bins": 18}}}  # fmt: skip
    method = built(node)
    nets = {name: net.eval() for name, net in method.nets().items()}
    return Restorer(model_of("model", method, nets, "cpu", cut))


@pytest.fixture(scope="module")
def narrow(clean: Clip) -> np.ndarray:
    """Two channels at 8 kHz, 2 s."""
    wave = resample(clean.wave[:, 16_000:48_000], 16_000, 8_000)
    return np.concatenate([wave, 0.3 * np.roll(wave, 50)])


def high_db(wave: np.ndarray, above_hz: float = 4_500.0) -> float:
    power = np.square(np.abs(np.fft.rfft(wave[0] * np.hanning(wave.shape[1]))))
    return 10 * np.log10(power[int(above_hz / 8_000 * power.size) :].sum() / power.sum())


def test_the_low_band_stays_and_the_upper_is_filled(narrow: np.ndarray) -> None:
    """Level of every third octave within 0.1 dB, phase too: the difference below 2.5 kHz is 40 dB down."""
    given = resample(narrow, 8_000, 16_000)
    out = restorer().enhance(narrow, 8_000)
    assert out.shape == given.shape
    assert high_db(given) < -55
    assert high_db(out) > -45
    for before, after in zip(given, out, strict=True):
        signals = Signals(after, 16_000, clean=before, noisy=before)
        assert LowBandDeviation(3_000.0)(signals) < 0.1
    low = int(2_500 / 8_000 * (given.shape[1] // 2))
    error, wanted = (np.fft.rfft(w, axis=1)[:, :low] for w in (out - given, given))
    assert np.square(np.abs(error)).sum() < 1e-4 * np.square(np.abs(wanted)).sum()


def test_level_and_seed(narrow: np.ndarray) -> None:
    """The result scales with the input; a seed repeats, another one differs above the splice."""
    model = restorer()
    out = model.enhance(narrow, 8_000)
    assert np.allclose(model.enhance(0.1 * narrow, 8_000), 0.1 * out, atol=1e-4 * np.abs(out).max())
    assert np.array_equal(model.enhance(narrow, 8_000), out)
    assert not np.array_equal(model.enhance(narrow, 8_000, seed=1), out)
    half = model.enhance(narrow, 8_000, strength=0.5)
    assert high_db(half) < high_db(out) - 3


def test_equal_channels_stay_equal(narrow: np.ndarray) -> None:
    out = restorer().enhance(np.stack([narrow[0], narrow[0]]), 8_000)
    assert np.allclose(out[0], out[1], atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_stereo_codecs_and_other_numbers_of_channels(narrow: np.ndarray, channels: int) -> None:
    """Two channels are one item of the codec; one and three go channel by channel."""
    model = restorer(LATENT)
    wave = np.concatenate([narrow, narrow[:1]])[:channels, :4_000]
    out = model.enhance(wave, 8_000)
    assert out.shape == (channels, 8_000)
    both = model.enhance_batch([wave, 0.5 * wave], 8_000)
    assert np.allclose(both[0], out, atol=1e-5)
    assert np.isfinite(out).all()


def test_files_in_chunks_beside_each_other(narrow: np.ndarray, tmp_path: Path) -> None:
    """Rate, length, report; a file in chunks is spliced by one knee, at memory that its length does not change."""
    model = restorer(cut=Cut(0.6, 0.1))
    for name, wave in (("a", narrow), ("b", narrow[:, ::-1])):
        soundfile.write(tmp_path / f"{name}.wav", wave.T, 8_000, subtype="FLOAT")
    jobs = [Job(tmp_path / f"{name}.wav", tmp_path / f"{name}-out.wav") for name in "ab"]
    request = ExtensionRequest(target_rate_hz=12_000)
    reports = model.enhance_files(jobs, Settings(on_clip="float", extension=request))
    for job, report in zip(jobs, reports, strict=True):
        wave, rate_hz = soundfile.read(job.output)
        assert (wave.shape, rate_hz, report.rate_hz) == ((24_000, 2), 12_000, 12_000)
        assert report.extended is not None
        assert report.extended.fade is not None
        given = resample(soundfile.read(job.source, dtype="float32")[0].T, 8_000, 16_000)
        assert report.extended.edge_hz == pytest.approx(band_edge(given.mean(axis=0), 16_000), rel=0.02)
        assert report.extended.in_words().startswith(f"extended from {report.extended.edge_hz:.0f} Hz; as it was up to")
        assert len(report.seams) > 2
    alone = model.enhance(narrow, 8_000, extension=request)
    assert np.allclose(soundfile.read(jobs[0].output)[0].T, alone, atol=1e-5)


def test_nothing_to_do(tmp_path: Path, rng: np.random.Generator) -> None:
    """A recording whose band is full comes back as it was, and that is said."""
    wave = 0.1 * rng.standard_normal((1, 20_000)).astype(np.float32)
    soundfile.write(tmp_path / "full.wav", wave.T, 16_000, subtype="FLOAT")
    report = restorer().enhance_file(tmp_path / "full.wav", tmp_path / "out.wav", Settings(on_clip="float"))
    assert report.extended is not None
    assert report.extended.in_words() == "nothing to do: its band reaches 8000 Hz already"
    assert np.array_equal(soundfile.read(tmp_path / "out.wav", dtype="float32")[0], wave[0])
    assert restorer().enhance(np.zeros(4_000, np.float32), 8_000).shape == (8_000,)


@pytest.mark.parametrize(("rate_hz", "wanted", "message"), [
    (44_100, {}, "works at 16000 Hz and this recording has 44100"),
    (8_000, {"target_rate_hz": 48_000}, "a target rate of 48000 Hz is not allowed; model takes .* at most 16000"),
    (8_000, {"target_rate_hz": 4_000}, "from 8000 to at most 16000"),
    (8_000, {"caption": "rain"}, "model has no text encoder, so a caption cannot be heard"),
    (8_000, {"rolloff": 0.5}, "model is not told of roll-offs"),
])  # fmt: skip
def test_what_a_model_cannot_do(rate_hz: int, wanted: dict[str, object], message: str) -> None:
    wave = np.zeros((1, 1_000), np.float32)
    with pytest.raises(RestorationError, match=message):
        restorer().enhance(wave, rate_hz, extension=ExtensionRequest(**wanted))  # type: ignore[arg-type]


@pytest.mark.parametrize("wanted", [{"rolloff": 1.2}, {"rolloff": -0.1}, {"target_rate_hz": 16}])
def test_wishes_out_of_bounds(wanted: dict[str, float]) -> None:
    with pytest.raises(RestorationError, match="give"):
        ExtensionRequest(**wanted)  # type: ignore[arg-type]


def test_others_refuse_and_none_runs_live() -> None:
    with pytest.raises(RestorationError, match="default is no model of super-resolution"):
        Restorer(built_in()).enhance(np.zeros(1_000, np.float32), 16_000, extension=ExtensionRequest(rolloff=0.5))
    with pytest.raises(RestorationError, match="cannot run live"):
        restorer().stream(1, 16_000)


def test_the_command(narrow: np.ndarray, tmp_path: Path, auscult: Run) -> None:
    """Caption and roll-off change the answer; what was done is printed, and is in JSON."""
    node = {**TRANSFORMER, "conditioning": {"drop_low": 0.1}}
    method = built(node)
    shaken(method.nets()["net"])
    tensors = {f"net.{name}": tensor for name, tensor in method.nets()["net"].state_dict().items()}
    save(tmp_path / "m.safetensors", tensors, Meta(node))
    soundfile.write(tmp_path / "a.wav", narrow[:1, :6_000].T, 8_000)

    def run(name: str, *more: object) -> tuple[int, str, str]:
        where = ("-o", tmp_path / f"{name}.wav", "--model", tmp_path / "m.safetensors")
        return auscult("enhance", tmp_path / "a.wav", *where, *more)

    code, out, _ = run("plain", "--rolloff", 0.8)
    assert code == 0
    assert "extended from" in out or "nothing added" in out
    code, out, _ = run("told", "--rolloff", 0.8, "--caption", "a dog", "--json")
    found = json.loads(out)[0]
    assert (code, found["rate_hz"]) == (0, 16_000)
    assert set(found["extended"]) == {"edge_hz", "given_up_to_hz", "generated_from_hz"}
    code, out, _ = run("raw", "--splice", "none", "--json")
    assert (code, json.loads(out)[0]["extended"]["generated_from_hz"]) == (0, 0.0)
    waves = [soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("plain", "told")]
    assert len(waves[0]) == 12_000
    assert not np.array_equal(*waves)
    for bad, message in ((("--rolloff", 1.5), "give 0 to 1"), (("--target-rate", 96_000), "at most 16000 Hz")):
        code, _, err = run("bad", *bad)
        assert code in (1, 2)
        assert message in " ".join(err.split())
    code, _, err = auscult("enhance", tmp_path / "a.wav", "-o", tmp_path / "x.wav", "--caption", "rain")
    assert code == 2
    assert "no model of super-resolution" in " ".join(err.split())


@pytest.mark.parametrize("splice", ["knee", "hard", "cosine", "none"])
def test_a_splice_made_afterwards_is_that_of_the_restoration(splice: Splice, narrow: np.ndarray) -> None:
    """Of what was generated without one, without another call of the net."""
    given, model = resample(narrow, 8_000, 16_000), restorer()
    generated = model.enhance(given, 16_000, extension=ExtensionRequest(splice="none"))
    asked = ExtensionRequest(splice=splice)
    at_once = model.enhance(given, 16_000, extension=asked)
    assert np.allclose(respliced(given, generated, 16_000, splice), at_once, atol=1e-6)


def test_splices_lie_where_they_are_asked_for(narrow: np.ndarray, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", narrow[:1].T, 8_000)
    rolloff_hz = LAST_BELOW.of(resample(narrow[:1], 8_000, 16_000)[0], 16_000).hz
    edges = {}
    for splice in ("knee", "hard", "cosine", "none"):
        settings = Settings(extension=ExtensionRequest(splice=splice))
        done = restorer().enhance_file(tmp_path / "a.wav", tmp_path / f"{splice}.wav", settings).extended
        assert done is not None
        assert done.fade is not None
        edges[splice] = (done.fade.low_hz, done.fade.high_hz)
    assert edges["hard"] == pytest.approx((rolloff_hz, rolloff_hz), abs=8.0)
    assert edges["cosine"] == pytest.approx((0.9 * rolloff_hz, 1.1 * rolloff_hz), abs=8.0)
    assert edges["none"] == (0.0, 0.0)
    assert edges["knee"][0] == pytest.approx(0.8 * edges["knee"][1])
    assert done.in_words().endswith("all of it generated")
