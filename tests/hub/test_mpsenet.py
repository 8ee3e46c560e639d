"""Files in MP-SENet's layout: from the official names to restored samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

import auscult
from auscult.audio.clip import Clip
from auscult.cli import app
from auscult.errors import CheckpointError
from auscult.hub.mpsenet import mpsenet_sources
from auscult.hub.opening import open_method, read_checkpoint
from auscult.nets.mpsenet import MPSENet
from tests.hub.containers import official


@pytest.fixture(scope="module")
def net() -> MPSENet:
    torch.manual_seed(0)
    net = MPSENet().eval()
    with torch.no_grad():  # an untrained mask and phase say little; these vary
        net.mask_decoder.head.weight.mul_(3.0)
        net.phase_decoder.head.bias.copy_(torch.tensor([1.0, 0.3]))
    return net


@pytest.fixture
def state(net: MPSENet) -> dict[str, Tensor]:
    return official(net, mpsenet_sources(net))


def published(net: MPSENet, noisy: np.ndarray) -> np.ndarray:
    """The published program's path around the net: level, magnitude and phase apart, an inverse without a length."""
    wave = torch.from_numpy(noisy)
    level = (wave.numel() / wave.square().sum()).sqrt()
    window = torch.hann_window(400)
    plain = torch.stft(wave * level, 400, 100, window=window, return_complex=True)
    magnitude = (plain.real.square() + plain.imag.square() + 1e-9).sqrt().pow(0.3)
    shifted = torch.complex(plain.real + 1e-5, plain.imag + 1e-10)  # the angle, without rounding pi past itself
    out = net((magnitude * shifted / shifted.abs())[None, None])[0, 0]
    return (torch.istft(torch.polar(out.abs().pow(1 / 0.3), out.angle()), 400, 100, window=window) / level).numpy()


def test_convert_then_enhance_is_the_published_path(
    net: MPSENet, state: dict[str, Tensor], tmp_path: Path, noisy: Clip
) -> None:
    wave = noisy.wave[0, 8_000:12_077].copy()
    wave[:300] = wave[-300:] = 0.0  # a reflected beginning has a real spectrum: its phases, 0 or pi, are rounding
    torch.save({"generator": {f"module.{key}": tensor for key, tensor in state.items()}}, tmp_path / "g_best_vb")
    said = run("convert", tmp_path / "g_best_vb", tmp_path / "x.safetensors")
    assert "tensors, from MP-SENet g_best_vb" in said
    assert "its time_transformer runs along frequency" in said
    restored = auscult.load(str(tmp_path / "x.safetensors"), device="cpu").enhance(wave, 16_000)
    with torch.no_grad():
        theirs = published(net, wave)
    assert theirs.shape == (4_000,)  # 77 samples short
    assert restored.shape == (4_077,)
    assert np.abs(theirs).max() > 0.01
    assert np.allclose(restored[:4_000], theirs, atol=1e-5)


def test_everything_but_the_generator_is_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    extra = {**state, "TSConformer.x": torch.zeros(1)}
    torch.save({"generator": extra, "steps": 3}, tmp_path / "g_00000003")
    assert read_checkpoint(tmp_path / "g_00000003").ignored == ("steps", "TSConformer.x")


def test_tensors_survive_the_names(net: MPSENet, state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"generator": state}, tmp_path / "g_best_dns")
    method, nets, _ = open_method(tmp_path / "g_best_dns")
    assert all(torch.equal(t, nets["net"].state_dict()[key]) for key, t in net.state_dict().items())
    assert method.normalise.kind == "rms"


def test_the_rest_of_a_training_state_is_explained(tmp_path: Path) -> None:
    rest = {"discriminator": {}, "optim_g": {}, "optim_d": {}, "steps": 3, "epoch": 1}
    torch.save(rest, tmp_path / "do_00000003")
    with pytest.raises(CheckpointError, match=r"its discriminator and optimisers restore nothing; give the g_\* file"):
        read_checkpoint(tmp_path / "do_00000003")


def test_other_tensors_are_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"generator": {**state, "mask_decoder.lsigmoid.slope": torch.ones(257, 1)}}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=r"slope has the shape \(257, 1\), expected is \(201, 1\)"):
        read_checkpoint(tmp_path / "x.pt")
    del state["phase_decoder.phase_conv_i.bias"]
    torch.save({"generator": state}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=r"1 are missing, the first phase_decoder\.phase_conv_i\.bias"):
        read_checkpoint(tmp_path / "x.pt")


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(part) for part in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output
