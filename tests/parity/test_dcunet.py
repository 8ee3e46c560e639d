"""DCUNet equals the reference implementation: a golden made by running it on deterministic weights and inputs."""

from __future__ import annotations

import pytest
import torch

from auscult.hub.dcunet import dcunet_sources
from auscult.hub.sources import converted, foreign_shapes
from auscult.nets.dcunet import CONSTRUCTOR, PUBLISHED, Block, ComplexConv, DCUNet
from tests.parity.recipe import uniform_spectrum, uniform_weights

ELEMENTS = {0: -1.5851187706 + 6.0468621254j, 1: -8.4160842896 + 2.3755283356j, 7967: -8.0384569168 + 1.7777526379j,
            15933: -15.4034690857 - 6.8699526787j}  # fmt: skip


def test_equals_the_reference() -> None:
    net = DCUNet(**PUBLISHED).eval()
    sources = dcunet_sources(net)
    net.load_state_dict(converted(net, sources, uniform_weights(foreign_shapes(net, sources))))
    shape = (1, 1, 257, 62)
    inputs = torch.cat([uniform_spectrum(shape, 20_001), uniform_spectrum(shape, 20_011)], dim=1)
    with torch.no_grad():
        out = net(inputs, torch.tensor([0.4]))
    assert out.shape == shape
    assert out.real.double().sum().item() == pytest.approx(-214460.38406873, rel=1e-4)
    assert out.imag.double().sum().item() == pytest.approx(41916.33493999, rel=1e-4)
    assert out.abs().mean().item() == pytest.approx(15.0041614975, rel=1e-5)
    for index, value in ELEMENTS.items():
        assert abs(complex(out.flatten()[index]) - value) < 5e-5


@pytest.mark.parametrize(("config", "parameters"), [(PUBLISHED, 3_531_970), (CONSTRUCTOR, 3_564_994)])
def test_size_is_the_published_one(config: dict[str, object], parameters: int) -> None:
    with torch.device("meta"):
        net = DCUNet(**config)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert set(dcunet_sources(net)) == set(net.state_dict())


def test_names_and_shapes_are_the_published_ones() -> None:
    with torch.device("meta"):
        net = DCUNet()
    shapes = foreign_shapes(net, dcunet_sources(net))
    assert len(shapes) == 185
    assert shapes["embed.0.W"] == (64,)
    assert shapes["embed.1.im.bias"] == (128,)
    assert shapes["encoders.0.conv.re_module.weight"] == (32, 2, 4, 4)
    assert shapes["encoders.5.norm.im_module.running_var"] == (256,)
    assert shapes["encoders.3.norm.re_module.num_batches_tracked"] == ()
    assert shapes["decoders.1.deconv.im_module.weight"] == (256, 64, 4, 4)
    assert shapes["decoders.2.embed_layer.0.dense.re.weight"] == (32, 128)
    assert shapes["output_layer.re_module.weight"] == (64, 1, 4, 4)
    assert shapes["output_layer.im_module.bias"] == (1,)


@pytest.mark.parametrize("transposed", [False, True])
def test_one_real_convolution_is_the_complex_one(transposed: bool) -> None:
    torch.manual_seed(0)
    layer = ComplexConv(3, 5, (2, 1), (2, 1), transposed, bias=True).double()
    torch.nn.init.normal_(layer.bias)
    z = torch.randn(2, 3, 12, 9, dtype=torch.complex128)
    operate = torch.nn.functional.conv_transpose2d if transposed else torch.nn.functional.conv2d
    weight = torch.complex(layer.real, layer.imaginary)
    plain = operate(z, weight, stride=(2, 1), padding=2, dilation=(2, 1))
    bias = torch.complex(layer.bias[0] - layer.bias[1], layer.bias[0] + layer.bias[1])[:, None, None]
    out = layer(torch.stack([z.real, z.imag], dim=1))
    assert torch.allclose(torch.complex(out[:, 0], out[:, 1]), plain + bias)


@pytest.mark.parametrize("frames", [1, 4, 5, 62])
def test_any_number_of_frames_and_what_is_refused(frames: int) -> None:
    net = DCUNet(widths=(2, 2, 2, 2, 4, 4), embedding=8).eval()
    z = torch.randn(1, 2, 129, frames, dtype=torch.complex64)
    with torch.no_grad():
        assert net(z, torch.tensor([0.5])).shape == (1, 1, 129, frames)
    with pytest.raises(ValueError, match="a multiple of 8 plus one"):
        net(z[:, :, :128], torch.tensor([0.5]))


def test_both_parts_are_normalised_apart() -> None:
    block = Block(1, 2, 4, (1, 1), (1, 1), "relu")
    assert block.norm.num_features == 4
