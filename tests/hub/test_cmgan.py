"""Files in CMGAN's layout: from the official names to restored samples."""

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
from auscult.hub.cmgan import discriminator_sources, generator_sources
from auscult.hub.opening import read_checkpoint
from auscult.nets.discriminators import MetricDiscriminator
from auscult.nets.tscnet import TSCNet
from tests.hub.containers import official


@pytest.fixture(scope="module")
def net() -> TSCNet:
    torch.manual_seed(0)
    return TSCNet().eval()


@pytest.fixture
def state(net: TSCNet) -> dict[str, Tensor]:
    return official(net, generator_sources(net))


def published(net: TSCNet, noisy: np.ndarray) -> np.ndarray:
    """The published program's path around the net: level, angles and powers, inverse; whole hops only."""
    wave = torch.from_numpy(noisy)
    level = (wave.numel() / wave.square().sum()).sqrt()
    window = torch.hamming_window(400)
    plain = torch.stft(wave * level, 400, 100, window=window, return_complex=True)
    out = net(torch.polar(plain.abs().pow(0.3), plain.angle())[None, None])[0, 0]
    return (torch.istft(torch.polar(out.abs().pow(1 / 0.3), out.angle()), 400, 100, window=window) / level).numpy()


def test_convert_then_enhance_is_the_published_path(
    net: TSCNet, state: dict[str, Tensor], tmp_path: Path, noisy: Clip
) -> None:
    wave = noisy.wave[0, 8_000:12_077].copy()
    torch.save(state, tmp_path / "ckpt")
    said = run("convert", tmp_path / "ckpt", tmp_path / "x.safetensors")
    assert "359 tensors, from CMGAN ckpt" in said
    assert "generator only: the file has no discriminator" in said
    assert "not needed" not in said
    restored = auscult.load(str(tmp_path / "x.safetensors"), device="cpu").enhance(wave, 16_000)
    with torch.no_grad():
        theirs = published(net, wave)
    assert restored.shape == (4_077,)
    assert np.abs(theirs).max() > 0.01
    assert np.allclose(restored[:4_000], theirs, atol=1e-4 * np.abs(theirs).max())


def test_prefixes_of_wrapped_nets_are_taken_off_and_said(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({f"module.{key}": tensor for key, tensor in state.items()}, tmp_path / "wrapped")
    torch.save({**state, "extra.weight": torch.zeros(1)}, tmp_path / "plain")
    wrapped, plain = (read_checkpoint(tmp_path / name) for name in ("wrapped", "plain"))
    assert any("prefixes 'module.'" in note for note in wrapped.notes)
    assert not any("prefixes" in note for note in plain.notes)
    assert plain.ignored == ("extra.weight",)
    assert all(torch.equal(plain.tensors[key], tensor) for key, tensor in wrapped.tensors.items())


def test_a_discriminator_is_recognised_and_explained(tmp_path: Path) -> None:
    judge = MetricDiscriminator()
    torch.save(official(judge, discriminator_sources(judge)), tmp_path / "d")
    with pytest.raises(CheckpointError, match="discriminator of CMGAN or MP-SENet: it rates speech and restores none"):
        read_checkpoint(tmp_path / "d")


def test_a_net_of_another_size_is_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    cut = {key: tensor for key, tensor in state.items() if not key.startswith("TSCB_4.")}
    torch.save(cut, tmp_path / "fewer")
    with pytest.raises(CheckpointError, match=r"do not make the TSCNet .* 68 are missing, the first TSCB_4\."):
        read_checkpoint(tmp_path / "fewer")
    torch.save(state | {"mask_decoder.prelu_out.weight": torch.zeros(257)}, tmp_path / "wider")
    with pytest.raises(CheckpointError, match=r"prelu_out.weight has the shape \(257,\), expected is \(201,\)"):
        read_checkpoint(tmp_path / "wider")


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output
