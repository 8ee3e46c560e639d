"""Oobleck equals the reference implementation; by pieces and folded it gives what it gives whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from auscult.errors import RecipeError
from auscult.hub.sources import converted, foreign_shapes
from auscult.hub.stable_audio_keys import codec_sources
from auscult.nets.oobleck import Oobleck, Snake
from auscult.rng import Draws, Key
from tests.parity.stable_audio_layout import signal, weights

SMALL: dict[str, Any] = {"channels": 8, "multipliers": (1, 2, 4), "strides": (2, 4, 8), "latent": 4}


@pytest.fixture(scope="module")
def net() -> Oobleck:
    net = Oobleck(**SMALL).eval()
    sources = codec_sources(net)
    net.load_state_dict(converted(net, sources, weights(foreign_shapes(net, sources))))
    return net.requires_grad_(False)


def is_golden(x: Tensor, total: float, mean: float, elements: dict[int, float]) -> None:
    assert x.double().sum().item() == pytest.approx(total, rel=1e-4)
    assert x.double().abs().mean().item() == pytest.approx(mean, rel=1e-5)
    for index, value in elements.items():
        assert x.flatten()[index].item() == pytest.approx(value, abs=2e-4)


def test_equals_the_reference(net: Oobleck) -> None:
    posterior = net.encode(signal((1, 2, 640), 1005) / 2)
    assert posterior.mean.shape == posterior.std.shape == (1, 4, 10)
    is_golden(posterior.mean, -184.1473375857, 6.6594178192, {0: -2.6898897, 1: -8.079958, 20: 7.165163, 39: 7.1274848})
    is_golden(posterior.std, 173.5455154729, 4.3386378869, {0: 9.9909525, 1: 11.7130413, 20: 0.0001248, 39: 6.7388129})
    wave = net.decode(signal((1, 4, 10), 1006))
    assert wave.shape == (1, 2, 640)
    is_golden(wave, 18.8800306916, 5.6771290425, {0: 0.323293, 1: -0.9991624, 640: 2.2588742, 1279: 0.9166801})


def test_size_is_the_published_one() -> None:
    with torch.device("meta"):
        net = Oobleck()
    counts = [sum(p.numel() for p in part.parameters()) for part in (net, net.encoder, net.decoder)]
    assert counts == [156_112_514, 77_989_888, 78_122_626]
    assert net.hop == 2048
    assert (net.encode_context, net.decode_context) == (8, 10)


def test_names_and_shapes_are_the_published_ones() -> None:
    with torch.device("meta"):
        net = Oobleck()
    shapes = foreign_shapes(net, codec_sources(net))
    assert len(shapes) == 365
    assert shapes["encoder.layers.0.weight_v"] == (128, 2, 7)
    assert shapes["encoder.layers.1.layers.2.layers.0.alpha"] == (128,)
    assert shapes["encoder.layers.1.layers.2.layers.1.weight_g"] == (128, 1, 1)
    assert shapes["encoder.layers.5.layers.3.beta"] == (1024,)
    assert shapes["encoder.layers.5.layers.4.weight_v"] == (2048, 1024, 16)
    assert shapes["encoder.layers.6.alpha"] == (2048,)
    assert shapes["encoder.layers.7.weight_v"] == (128, 2048, 3)
    assert shapes["decoder.layers.0.weight_v"] == (2048, 64, 7)
    assert shapes["decoder.layers.1.layers.1.weight_v"] == (2048, 1024, 16)
    assert shapes["decoder.layers.1.layers.1.weight_g"] == (2048, 1, 1)
    assert shapes["decoder.layers.1.layers.4.layers.3.bias"] == (1024,)
    assert shapes["decoder.layers.7.weight_v"] == (2, 128, 7)
    assert "decoder.layers.7.bias" not in shapes


@pytest.mark.parametrize("frames_at_once", [1, 3, 16, 64])
def test_pieces_give_what_the_whole_gives(net: Oobleck, frames_at_once: int) -> None:
    wave, z = signal((2, 2, 41 * 64), 1), signal((2, 4, 41), 2)
    whole, pieces = net.encode(wave), net.encode(wave, frames_at_once)
    assert torch.allclose(pieces.mean, whole.mean, atol=1e-5 * float(whole.mean.abs().max()))
    assert torch.allclose(pieces.std, whole.std, atol=1e-5 * float(whole.std.abs().max()))
    decoded, by_pieces = net.decode(z), net.decode(z, frames_at_once)
    assert torch.allclose(by_pieces, decoded, atol=1e-5 * float(decoded.abs().max()))


def test_the_context_of_pieces_is_enough_and_not_too_much(net: Oobleck) -> None:
    """A change reaches just as far as the context, on at least one side."""
    z, frame = signal((1, 4, 61), 3).repeat(2, 1, 1), 30
    z[1, :, frame] += 1
    wave = net.decode(z)
    changed = (wave[1] - wave[0]).abs().amax(0).unflatten(0, (61, 64)).amax(1) > 0
    reached = changed.nonzero()[:, 0] - frame
    assert max(-int(reached[0]), int(reached[-1])) == net.decode_context
    wave = signal((1, 2, 61 * 64), 4).repeat(2, 1, 1)
    wave[1, :, frame * 64 : (frame + 1) * 64] += 1
    mean = net.encode(wave).mean
    reached = ((mean[1] - mean[0]).abs().amax(0) > 0).nonzero()[:, 0] - frame
    assert max(-int(reached[0]), int(reached[-1])) == net.encode_context


def test_memory_does_not_grow_with_the_length(net: Oobleck) -> None:
    sizes: list[int] = []
    hooks = [layer.register_forward_hook(lambda *seen: sizes.append(seen[2].numel())) for layer in net.modules()
             if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d)]  # fmt: skip
    largest = {}
    for frames in (60, 240):
        sizes.clear()
        net.decode(signal((1, 4, frames), 5), frames_at_once=8)
        net.encode(signal((1, 2, frames * 64), 6), frames_at_once=8)
        largest[frames] = max(sizes)
    for hook in hooks:
        hook.remove()
    assert largest[240] == largest[60] == 8 * 64 * (8 + 2 * max(net.encode_context, net.decode_context))


def test_folding_changes_nothing_but_the_speed(net: Oobleck) -> None:
    fast, wave, z = net.folded(), signal((1, 2, 640), 7), signal((1, 4, 10), 8)
    assert not any("parametrizations" in name or "alpha" in name for name in fast.state_dict())
    assert any("alpha" in name for name in net.state_dict())
    whole, decoded = net.encode(wave), net.decode(z)
    assert torch.allclose(fast.encode(wave).mean, whole.mean, atol=2e-5 * float(whole.mean.abs().max()))
    assert torch.allclose(fast.decode(z), decoded, atol=2e-5 * float(decoded.abs().max()))


def test_snake_is_its_equation() -> None:
    snake = Snake(2)
    with torch.no_grad():
        snake.alpha.copy_(torch.tensor([0.0, 2.0]).log())
        snake.alpha[0], snake.beta[0] = 0.0, 0.0
        snake.beta[1] = torch.tensor(4.0).log()
    x = torch.linspace(-3, 3, 7).repeat(1, 2, 1)
    expected = torch.stack([x[0, 0] + x[0, 0].sin() ** 2, x[0, 1] + (2 * x[0, 1]).sin() ** 2 / 4])
    assert torch.allclose(snake(x)[0], expected, atol=1e-6)


def test_a_draw_is_around_the_mean_and_each_item_has_its_own(net: Oobleck) -> None:
    posterior = net.encode(signal((2, 2, 6400), 9))
    draw, again = (posterior.sample(Draws.of([Key(1), Key(2)])) for _ in range(2))
    assert torch.equal(draw, again)
    assert torch.equal(draw[:1], type(posterior)(posterior.mean[:1], posterior.std[:1]).sample(Draws.of([Key(1)])))
    standard = (draw - posterior.mean) / posterior.std
    assert standard.mean().item() == pytest.approx(0, abs=0.1)
    assert standard.std().item() == pytest.approx(1, abs=0.1)


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    net = Oobleck(**SMALL)
    posterior = net.encode(torch.randn(1, 2, 256))
    net.decode(posterior.mean + posterior.std).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_lengths_channels_and_sizes_that_do_not_fit_are_refused(net: Oobleck) -> None:
    with pytest.raises(
        ValueError, match=r"2 channels and a multiple of 64 samples are encoded, this one is \(2, 100\)"
    ):
        net.encode(torch.zeros(1, 2, 100))
    with pytest.raises(ValueError, match="2 channels"):
        net.encode(torch.zeros(1, 1, 128))
    with pytest.raises(RecipeError, match="an odd one loses a sample"):
        Oobleck(strides=(2, 3, 4, 8, 8))
    with pytest.raises(RecipeError, match="these are 5 and 2"):
        Oobleck(strides=(2, 4))
