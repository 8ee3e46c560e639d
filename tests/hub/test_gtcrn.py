"""Published GTCRN files: told by hash; through the engine frame by frame they give what the published code gives."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from auscult.audio.clip import Clip, read
from auscult.audio.writer import write
from auscult.evaluate.anchors import known
from auscult.features.normalise import Normalise
from auscult.features.spectral import CompressedSTFT
from auscult.hub.bundle import read_meta, save, sha256
from auscult.hub.export import export_step
from auscult.hub.fetch import addresses
from auscult.hub.opening import open_method, read_checkpoint
from auscult.hub.published import identity
from auscult.losses.waveform import L1
from auscult.methods.regression import Regression
from auscult.metrics.base import Signals
from auscult.metrics.energy import SiSdr
from auscult.nets.gtcrn import GTCRN
from auscult.restore.engine import Restorer
from auscult.restore.models import FrameModel, load, model_of
from auscult.restore.onnx import OnnxStep
from auscult.rng import Draws, Key
from tests.parity.test_gtcrn import official_shapes, synthetic

PUBLISHED = {
    "gtcrn_vctk.tar": ("gtcrn-vctk", "VCTK-DEMAND, 16 kHz (epoch 92, md5 87fd7b1e"),
    "gtcrn_dns3_epoch87.tar": ("gtcrn-dns3", "DNS3, 16 kHz (epoch 87, md5 3d19426c"),
    "gtcrn_dns3_epoch96.tar": ("gtcrn-dns3-stream", "DNS3, 16 kHz, the file of the streaming examples (epoch 96"),
}  # fmt: skip


@pytest.fixture
def checkpoints(data: Path) -> Path:
    return data.parent / "checkpoints"


def method_of(net: GTCRN) -> Regression:
    return Regression(net, CompressedSTFT(512, 256, "sqrthann", "none"), (L1(),))


class TestIdentity:
    @pytest.mark.parametrize("file", PUBLISHED)
    def test_published_files_are_told_by_their_hash_and_remembered(
        self, checkpoints: Path, tmp_path: Path, file: str
    ) -> None:
        found, (name, what) = read_checkpoint(checkpoints / file), PUBLISHED[file]
        assert found.notes[0].startswith(f"by its hash this is the published {name}: GTCRN trained on {what}")
        save(tmp_path / "ours.safetensors", found.tensors, found.meta)
        assert found.notes[0] in read_meta(tmp_path / "ours.safetensors").origin

    @pytest.mark.parametrize("file", PUBLISHED)
    def test_the_md5_in_the_table_is_the_files(self, checkpoints: Path, file: str) -> None:
        which = addresses()[PUBLISHED[file][0]].sha256[sha256(checkpoints / file)]
        assert which.endswith(f"md5 {hashlib.md5((checkpoints / file).read_bytes()).hexdigest()}")

    def test_another_file_of_the_layout_is_said_to_be_unknown(self, tmp_path: Path) -> None:
        model = {key: torch.zeros(shape) for key, shape in official_shapes().items()}
        torch.save({"epoch": 3, "optimizer": {}, "model": model}, tmp_path / "own.tar")
        found = read_checkpoint(tmp_path / "own.tar")
        assert "none of the 3 published GTCRN files known here; what it was trained on is not known" in found.notes[0]
        assert found.meta.step == 3

    def test_no_hash_no_claim(self) -> None:
        assert identity("StoRM", "0" * 64) == ()


class TestStreaming:
    def test_live_blocks_equal_the_whole(self, noisy: Clip) -> None:
        wave = noisy.wave[:, :40_000]
        assert deviation(method_of(synthetic()), wave) < 1e-6

    def test_live_blocks_equal_the_whole_with_published_weights(self, checkpoints: Path, data: Path) -> None:
        method, _, _ = open_method(checkpoints / "gtcrn_dns3_epoch96.tar")
        wave = read(sorted((data / "vbdmd_p257" / "noisy").glob("*.flac"))[0]).wave
        assert isinstance(method, Regression)
        assert deviation(method, wave) < 1e-6

    def test_long_files_have_no_seams(self, tmp_path: Path, noisy: Clip) -> None:
        method = method_of(synthetic())
        write(tmp_path / "in.wav", noisy.with_wave(noisy.wave[:, :170_000]))
        restorer = Restorer(model_of("gtcrn", method, method.nets(), "cpu"))
        report = restorer.enhance_file(tmp_path / "in.wav", tmp_path / "out.wav")
        assert report.seams == ()  # blocks of 5 s are not chunks

    def test_the_exported_frame_is_the_net(self, tmp_path: Path, noisy: Clip) -> None:
        torch.manual_seed(0)
        method = method_of(GTCRN(dilations=(2,), dual_paths=1).eval())  # as slow to export as it has recurrences
        export_step(method, method.nets()["net"], tmp_path / "net.onnx")
        step = OnnxStep(tmp_path / "net.onnx")
        wave = np.stack([noisy.wave[0, :20_000], noisy.wave[0, 20_000:40_000]])
        exported = Restorer(FrameModel("onnx", step.rate_hz, step, Normalise())).enhance(wave, 16_000)
        torch_made = Restorer(model_of("torch", method, method.nets(), "cpu")).enhance(wave, 16_000)
        assert np.abs(exported - torch_made).max() < 1e-5


@pytest.mark.parametrize("file", ["gtcrn_vctk.tar", "gtcrn_dns3_epoch87.tar"])
def test_si_sdr_is_that_of_the_published_code(checkpoints: Path, data: Path, file: str) -> None:
    expected = next(c for c in known().checkpoints.values() if c.sha256 == sha256(checkpoints / file)).scores
    restorer, folder = load(checkpoints / file, "cpu"), data / "vbdmd_p257"
    scores = []
    for path in sorted((folder / "noisy").glob("*.flac")):
        estimate = restorer.enhance(read(path).wave, 16_000)[0]
        scores.append(SiSdr()(Signals(estimate, 16_000, read(folder / "clean" / path.name).wave[0])))
    mean, _ = expected["si_sdr"]
    assert np.mean(scores) == pytest.approx(mean, abs=0.01)


def test_level_matters_unless_normalised(checkpoints: Path, data: Path) -> None:
    wave = read(sorted((data / "vbdmd_p257" / "noisy").glob("*.flac"))[0]).wave

    def change(*overrides: str) -> float:
        restorer = load(checkpoints / "gtcrn_vctk.tar", "cpu", overrides=overrides)
        loud, quiet = restorer.enhance(wave, 16_000), restorer.enhance(0.1 * wave, 16_000) / 0.1
        return float(np.linalg.norm(quiet - loud) / np.linalg.norm(loud))

    assert change() > 0.5
    assert change("normalise={kind: rms, target: 0.05}") < 1e-3


def deviation(method: Regression, wave: np.ndarray) -> float:
    """Largest difference between the method's restoration of the whole and the engine's of uneven blocks."""
    with torch.no_grad():
        whole = method.restore(method.nets(), torch.from_numpy(wave)[None], Draws.of([Key(0)]))[0].numpy()
    stream = Restorer(model_of("gtcrn", method, method.nets(), "cpu")).stream(1, 16_000)
    starts = [0, 1, 300, 4_000, 4_256, 20_000, wave.shape[1]]
    parts = [stream.push(wave[:, a:b]) for a, b in pairwise(starts)]
    return float(np.abs(np.concatenate([*parts, stream.finish()], axis=1) - whole).max())
