"""Every net of the catalogue keeps the same promises: shape, batch equals single, gradient, save and load, dtype."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from auscult.catalogue import CATALOGUE, find
from auscult.errors import RecipeError
from auscult.features.spectral import CompressedSTFT
from auscult.hub.bundle import Meta, load_net, read_tensors, save, select
from auscult.losses.waveform import L1
from auscult.methods.regression import Regression
from auscult.methods.score import ScoreModel
from auscult.nets import edm2
from auscult.nets.streaming import StreamingNet
from auscult.paths.ouve import OUVE
from auscult.restore.engine import Restorer
from auscult.restore.models import model_of
from auscult.rng import Draws, Key

U_NET = {"channels": 16, "multipliers": (1, 2, 2), "blocks": 1, "attention_heights": (8,), "bins": 32}
SMALL = {
    "NCSNpp": U_NET,
    "MPUNet": U_NET,
    "DCUNet": {"widths": (4, 4, 4, 4, 8, 8), "embedding": 16},
    "BandGRU": {"channels": 8, "hidden": 8, "blocks": 2},
    "TSCNet": {"channels": 8, "blocks": 1, "heads": 2, "n_fft": 512},
    "TFGridNet": {"layers": 2, "hidden": 8, "embedding": 16, "heads": 2},
    "MPSENet": {"channels": 8, "blocks": 1, "heads": 2, "n_fft": 512},
}
NETS = list(CATALOGUE["net"])
TIMED = {"NCSNpp": 32, "MPUNet": 32, "DCUNet": 257}
"""Nets that also get the time (or the noise level), with the bins that they are tried on."""
STREAMING = [name for name in NETS if issubclass(find(name), StreamingNet)]


def make(name: str) -> nn.Module:
    torch.manual_seed(0)
    return find(name)(**SMALL.get(name, {})).eval()


def call(name: str, net: nn.Module, batch: Tensor) -> Tensor:
    return net(batch, torch.linspace(0.2, 0.9, batch.shape[0])) if name in TIMED else net(batch)


def example(name: str, items: int = 2) -> Tensor:
    torch.manual_seed(1)
    shape = (items, 2, TIMED[name], 16) if name in TIMED else (items, 1, 257, 12)
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
        alone = [net(z[i : i + 1], times[i : i + 1]) if name in TIMED else net(z[i : i + 1]) for i in range(3)]
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


@pytest.mark.parametrize("name", ["NCSNpp", "MPUNet"])
@pytest.mark.parametrize(("bins", "frames"), [(32, 10), (33, 16)])
def test_u_nets_refuse_maps_off_their_grid(name: str, bins: int, frames: int) -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        make(name)(torch.zeros(1, 2, bins, frames, dtype=torch.complex64), torch.tensor([0.5]))


def test_the_regression_extends_frames_to_a_u_nets_grid() -> None:
    net = find("NCSNpp")(**U_NET, time_scaling="none", timed=False, sources=1)
    features = CompressedSTFT(n_fft=62, hop=16)
    method = Regression(net, features, (L1(),), frame_grid=4)
    with torch.no_grad():
        assert method.restore(method.nets(), torch.randn(1, 1, 901), Draws.of([Key(0)])).shape == (1, 1, 901)
    with pytest.raises(RecipeError, match="NCSNpp needs bins and frames in multiples of 4"):
        Regression(net, features, (L1(),))


class TestMagnitudes:
    """What the magnitude-preserving net is built of keeps unit magnitude."""

    x = torch.randn(4, 64, 32, 32, generator=torch.Generator().manual_seed(0))
    y = torch.randn(4, 16, 32, 32, generator=torch.Generator().manual_seed(1))

    def test_of_sums_and_concatenations(self) -> None:
        other = torch.randn(self.x.shape, generator=torch.Generator().manual_seed(2))
        for share in (0.3, torch.tensor(0.3)):
            assert rms(edm2.blended(self.x, other, share)) == pytest.approx(1.0, abs=0.02)
        both = edm2.joined(self.x, self.y)
        assert rms(both) == pytest.approx(1.0, abs=0.02)
        parts = [part.square().sum() for part in both.split([64, 16], dim=1)]
        assert float(parts[0] / parts[1]) == pytest.approx(1.0, abs=0.05)

    def test_of_layers(self) -> None:
        torch.manual_seed(3)
        conv, linear = edm2.MPConv(64, 32, 1), edm2.MPLinear(64, 32)
        with torch.no_grad():
            conv.weight.mul_(7.0)  # the scale of a weight does not matter
            assert rms(conv(self.x)) == pytest.approx(1.0, abs=0.05)
            assert rms(linear(self.x[:, :, 0, 0])) == pytest.approx(1.0, abs=0.2)
        assert rms(edm2.silu(self.x)) == pytest.approx(1.0, abs=0.02)
        assert rms(edm2.unit(5.0 * self.x)) == pytest.approx(1.0, abs=0.001)

    def test_of_the_map_before_the_last_gain(self) -> None:
        net = make("MPUNet")
        with torch.no_grad():
            net.gain.fill_(1.0)
            out = call("MPUNet", net, 2**0.5 * example("MPUNet"))
        assert rms(torch.view_as_real(out)) == pytest.approx(1.0, abs=0.35)

    def test_attention_is_softmax_of_normalised_products(self) -> None:
        torch.manual_seed(4)
        attention, x = edm2.Attention(128), torch.randn(2, 128, 4, 3)
        query, key, value = (edm2.unit(p, 2) for p in attention.mix(x).reshape(2, 2, 64, 3, 12).unbind(3))
        weight = torch.einsum("bhcq,bhck->bhqk", query, key / 8.0).softmax(-1)
        mixed = torch.einsum("bhqk,bhck->bhcq", weight, value).reshape(x.shape)
        expected = (0.7 * x + 0.3 * attention.out(mixed)) / (0.7**2 + 0.3**2) ** 0.5
        assert torch.allclose(attention(x), expected, atol=1e-5)


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


class Declares(nn.Module):
    """A net of a user's own, made for one transform."""

    n_fft, hop, rate_hz = 512, 256, 16_000

    def forward(self, z: Tensor) -> Tensor:
        return z


@pytest.mark.parametrize(("features", "rate_hz", "message"), [
    ({"n_fft": 1024, "hop": 256}, 16_000, "made for n_fft 512, the method has 1024"),
    ({"n_fft": 512, "hop": 128}, 16_000, "made for hop 256, the method has 128"),
    ({"n_fft": 512, "hop": 256}, 48_000, "made for rate_hz 16000, the method has 48000"),
])  # fmt: skip
def test_a_recipe_cannot_contradict_what_a_net_is_made_for(
    features: dict[str, int], rate_hz: int, message: str
) -> None:
    with pytest.raises(RecipeError, match=f"Declares is {message}; make them equal"):
        Regression(Declares(), CompressedSTFT(**features), (L1(),), rate_hz)


@pytest.mark.parametrize("name", STREAMING)
def test_streaming_nets_want_plain_spectra(name: str) -> None:
    with pytest.raises(RecipeError, match="works on plain spectra: set features.transform to none"):
        Regression(make(name), CompressedSTFT(n_fft=512, hop=256, window="sqrthann", transform="exponent"), (L1(),))


@pytest.mark.parametrize("name", STREAMING)
def test_training_and_streaming_hear_the_same(name: str) -> None:
    """The method's offline restoration is what the frame-by-frame engine gives, edges included."""
    method = Regression(make(name), CompressedSTFT(n_fft=512, hop=256, window="sqrthann", transform="none"), (L1(),))
    torch.manual_seed(2)
    wave = 0.1 * torch.randn(1, 1, 20_001)
    with torch.no_grad():
        offline = method.restore(method.nets(), wave, Draws.of([Key(0)]))[0, 0].numpy()
    live = Restorer(model_of("x", method, method.nets(), "cpu")).enhance(wave[0, 0].numpy(), 16_000)
    assert abs(offline - live).max() < 1e-5


@pytest.mark.parametrize(("n_fft", "frame_grid"), [(512, 4), (254, 6)])
def test_score_models_fit_their_unets_grid(n_fft: int, frame_grid: int) -> None:
    net = make("NCSNpp")
    with pytest.raises(RecipeError, match="NCSNpp needs bins and frames in multiples of 4"):
        ScoreModel(net, CompressedSTFT(n_fft=n_fft, hop=64), OUVE(), frame_grid=frame_grid)
