"""Files in ESPnet's layout become a TF-GridNet and a method; what cannot be restored with is refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from auscult import load
from auscult.errors import CheckpointError
from auscult.hub.espnet import net_of
from auscult.hub.opening import open_method, read_checkpoint
from auscult.hub.unpickle import read_archive
from tests.parity.espnet_layout import shapes
from tests.parity.recipe import sine_weights

ENHANCERS = {
    "v1": {"version": "v1", "kernel": 4, "stride": 4, "bins": 65},
    "v2": {"version": "v2", "kernel": 4, "stride": 4, "bins": 65},
    "v2-overlapping": {"version": "v2", "kernel": 4, "stride": 1, "bins": 65},
    "v3": {"version": "v3", "kernel": 3, "stride": 1, "bins": 65, "qk": 2},
}


def state(sources: int = 1, **config: object) -> dict[str, Tensor]:
    return sine_weights(shapes(layers=1, hidden=6, embedding=8, sources=sources, **config), set())  # type: ignore[arg-type]


def saved(folder: Path, tensors: dict[str, Tensor], container: str = "model file") -> Path:
    """As ESPnet writes it: a model, a trainer's state, or the separator's own state dict."""
    prefixed = {f"separator.{key}": tensor for key, tensor in tensors.items()}
    payload = {
        "model file": prefixed,
        "checkpoint": {"model": prefixed, "reporter": {"epoch": 3}, "optimizers": []},
        "separator": tensors,
    }[container]
    torch.save(payload, folder / "valid.loss.best.pth")
    return folder / "valid.loss.best.pth"


@pytest.mark.parametrize("kind", ENHANCERS)
def test_version_and_sizes_are_read_from_the_tensors(kind: str, tmp_path: Path) -> None:
    config = ENHANCERS[kind]
    found = read_checkpoint(saved(tmp_path, state(**config)))
    net = found.meta.method["net"]
    expected = {"version": config["version"], "layers": 1, "hidden": 6, "heads": 4, "embedding": 8, "sources": 1}
    assert {key: net[key] for key in expected} == expected
    assert (net["kernel"], net["qk_channels"]) == (config["kernel"], config.get("qk", 8))
    assert net["bins"] == (None if kind == "v3" else 65)
    assert net["stride"] == (4 if kind == "v2" else 1)  # V1 does not tell; V2 does where windows do not overlap
    assert ("net.stride=1" in found.notes[-1]) == (kind != "v2")
    assert found.meta.recipe == f"TF-GridNet {str(config['version']).upper()}"


@pytest.mark.parametrize("container", ["model file", "checkpoint", "separator"])
def test_every_container_restores_the_same(container: str, tmp_path: Path) -> None:
    tensors = state(**ENHANCERS["v2"])
    path = saved(tmp_path, tensors, container)
    method, nets, _ = open_method(path, overrides=["features.hop=32"])
    z = torch.randn(1, 1, 65, 9, dtype=torch.complex64)
    with torch.no_grad():
        assert torch.equal(nets["net"](z), net_of(tensors)(z))
    assert method.features.hop == 32
    assert method.rate_hz == 8_000
    wave = np.random.default_rng(0).standard_normal(3_001).astype(np.float32)
    quiet, loud = (load(path).enhance(gain * wave, 8_000) / gain for gain in (0.01, 1.0))
    assert quiet.shape == wave.shape
    assert np.abs(quiet - loud).max() < 1e-4 * np.abs(loud).max()  # the level of the recording is divided out


def test_stride_of_overlapping_windows_is_a_setting(tmp_path: Path) -> None:
    path, z = saved(tmp_path, state(**ENHANCERS["v1"])), torch.randn(1, 1, 65, 9, dtype=torch.complex64)
    _, nets, _ = open_method(path, overrides=["net.stride=4"])
    with torch.no_grad():
        assert torch.equal(nets["net"](z), net_of(read_archive(path), stride=4)(z))
        assert not torch.allclose(nets["net"](z), net_of(read_archive(path))(z), atol=1e-4)


def test_separation_is_refused_and_its_net_can_be_had(tmp_path: Path) -> None:
    path = saved(tmp_path, state(sources=2, **ENHANCERS["v3"]))
    with pytest.raises(CheckpointError, match="separates 2 talkers, and restoration has one answer"):
        read_checkpoint(path)
    with torch.no_grad():
        assert net_of(read_archive(path))(torch.randn(1, 1, 40, 7, dtype=torch.complex64)).shape == (1, 2, 40, 7)


def test_several_microphones_are_refused(tmp_path: Path) -> None:
    tensors = state(**ENHANCERS["v3"]) | {"conv.0.weight": torch.zeros(8, 4, 3, 3)}
    with pytest.raises(CheckpointError, match="a TF-GridNet for 2 microphones; only those for one"):
        read_checkpoint(saved(tmp_path, tensors))


def test_missing_and_unknown_tensors_are_named(tmp_path: Path) -> None:
    tensors = state(**ENHANCERS["v2"])
    found = read_checkpoint(saved(tmp_path, {**tensors, "extra.weight": torch.zeros(1)}))
    assert found.ignored == ("extra.* (1 tensors)",)
    del tensors["blocks.0.attn_norm_K.beta"]
    with pytest.raises(CheckpointError, match="not a whole TF-GridNet: blocks.0.attn_norm_K.beta is missing"):
        read_checkpoint(saved(tmp_path, tensors))
