"""Every net of the catalogue keeps the same promises: shape, batch equals single, gradient, save and load, dtype."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from auscult.catalogue import CATALOGUE, find
from auscult.hub.bundle import Meta, load_net, read_tensors, save, select
from auscult.nets.streaming import StreamingNet

SMALL = {
    "NCSNpp": {"channels": 16, "multipliers": (1, 2, 2), "blocks": 1, "attention_heights": (8,), "bins": 32},
    "BandGRU": {"channels": 8, "hidden": 8, "blocks": 2},
}
NETS = list(CATALOGUE["net"])
STREAMING = [name for name in NETS if issubclass(find(name), StreamingNet)]


def make(name: str) -> nn.Module:
    torch.manual_seed(0)
    return find(name)(**SMALL.get(name, {})).eval()


def call(name: str, net: nn.Module, batch: Tensor) -> Tensor:
    return net(batch, torch.linspace(0.2, 0.9, batch.shape[0])) if name == "NCSNpp" else net(batch)


def example(name: str, items: int = 2) -> Tensor:
    torch.manual_seed(1)
    shape = (items, 2, 32, 16) if name == "NCSNpp" else (items, 1, 257, 12)
    return torch.randn(shape, dtype=torch.complex64)


@pytest.mark.parametrize("name", NETS)
def test_shape_dtype_and_determinism(name: str) -> None:
    net, z = make(name), example(name)
    with torch.no_grad():
        out, again = call(name, net, z), call(name, net, z)
    assert out.shape == (z.shape[0], 1, *z.shape[2:])
    assert out.dtype == torch.complex64
    assert torch.isfinite(torch.view_as_real(out)).all()
    assert torch.equal(out, again)


@pytest.mark.parametrize("name", NETS)
def test_batch_item_equals_single_item(name: str) -> None:
    net, z = make(name), example(name, 3)
    with torch.no_grad():
        together = call(name, net, z)
        times = torch.linspace(0.2, 0.9, 3)
        alone = [net(z[i : i + 1], times[i : i + 1]) if name == "NCSNpp" else net(z[i : i + 1]) for i in range(3)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5 * float(together.abs().max()))


@pytest.mark.parametrize("name", NETS)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    net, z = make(name).train(), example(name)
    call(name, net, z).abs().square().sum().backward()
    for key, parameter in net.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key
    moved = sum(float(p.grad.abs().sum()) > 0 for p in net.parameters() if p.grad is not None)
    assert moved >= 0.95 * sum(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize("name", NETS)
def test_save_and_load_give_the_same_output(name: str, tmp_path: Path) -> None:
    net, z = make(name), example(name)
    path = tmp_path / "net.safetensors"
    save(path, {f"net.{k}": t for k, t in net.state_dict().items()}, Meta({"type": "Regression"}))
    torch.manual_seed(99)
    other = find(name)(**SMALL.get(name, {})).eval()
    load_net(other, select(read_tensors(path), "net", "auto", "file"), "file")
    with torch.no_grad():
        assert torch.equal(call(name, other, z), call(name, net, z))


@pytest.mark.parametrize("name", STREAMING)
def test_streaming_equals_the_whole(name: str) -> None:
    net = make(name)
    assert isinstance(net, StreamingNet)
    frames = torch.view_as_real(example(name)[:, 0].transpose(1, 2).contiguous())
    with torch.no_grad():
        whole, last = net.step(frames, net.initial_state(2))
        state, parts = net.initial_state(2), []
        for piece in frames.split([1, 4, 2, 5], dim=1):
            out, state = net.step(piece, state)
            parts.append(out)
    assert torch.allclose(torch.cat(parts, dim=1), whole, atol=1e-5)
    assert torch.allclose(state, last, atol=1e-5)


def test_bandgru_output_scales_with_its_input() -> None:
    net, z = make("BandGRU"), example("BandGRU")
    with torch.no_grad():
        quiet, loud = net(1e-3 * z) / 1e-3, net(100 * z) / 100
    assert torch.allclose(quiet, loud, atol=1e-4 * float(loud.abs().max()))


def test_bandgru_passes_silence_through() -> None:
    net = make("BandGRU")
    with torch.no_grad():
        out = net(torch.zeros(1, 1, 257, 5, dtype=torch.complex64))
    assert out.abs().max() == 0


@pytest.mark.parametrize(("bins", "frames"), [(32, 10), (33, 16)])
def test_ncsnpp_refuses_maps_off_its_grid(bins: int, frames: int) -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        make("NCSNpp")(torch.zeros(1, 2, bins, frames, dtype=torch.complex64), torch.tensor([0.5]))
