"""NCSN++ equals the reference implementation: goldens made by running it on deterministic weights and inputs."""

from __future__ import annotations

import pytest
import torch

from auscult.errors import CheckpointError
from auscult.hub.ncsnpp import ncsnpp_sources
from auscult.hub.sources import converted, foreign_shapes
from auscult.nets.ncsnpp import STORM, STORM_PREDICTOR, V1, V2, V48K, NCSNpp
from tests.parity.recipe import uniform, uniform_spectrum, uniform_weights

TINY = {"channels": 16, "multipliers": (1, 2, 2), "blocks": 1, "attention_heights": (8,), "bins": 32}

# name: configuration, input shape, (sum re, sum im, mean abs), elements by flat index
GOLDENS = {
    "v2 tiny": (
        {**V2, **TINY}, (2, 1, 32, 16), (-225.4871731, 484.5893459, 0.82396536),
        {0: 0.2962198853 + 0.1271279901j, 1: -0.5213721991 + 0.3303818405j, 512: 0.2935413718 + 0.1924110204j,
         1023: -0.3586735427 + 0.1935725659j},
    ),
    "48k nf32": (
        {**V48K, "channels": 32}, (1, 1, 192, 64), (4182.3784020, 9932.2137906, 1.48643753),
        {0: -0.0745109022 + 0.2198678553j, 1: 0.7129769921 + 0.4616482884j, 6144: 1.3872584105 + 0.9672072530j,
         12287: 0.2289823592 + 0.3393985331j},
    ),
    "v1": (
        V1, (2, 1, 256, 64), (-34079.1063951, 77392.1952312, 2.88587502),
        {0: 0.2365630716 + 0.1928143799j, 1: 0.1795331091 + 0.1311254203j, 16384: 0.1387284100 - 0.1582431942j,
         32767: -0.0370562710 + 0.3972436786j},
    ),
    "v1 not centred": (
        {**V1, "centered": False}, (2, 1, 256, 64), (63099.4482269, 17008.2763462, 2.28511580),
        {0: 1.0312411785 + 0.4565140009j, 1: 0.1851549149 + 0.0401055850j, 16384: 0.5022077560 - 0.1277254820j,
         32767: 0.0236963183 + 0.3221472502j},
    ),
    "v2": (
        V2, (2, 1, 256, 64), (-16787.5012567, 45844.0978497, 1.66374266),
        {0: 0.1351093948 + 0.0773366839j, 1: 0.1122974083 + 0.0526610911j, 16384: 0.1316029429 - 0.1423837095j,
         32767: -0.0266032964 + 0.3575544953j},
    ),
    "48k": (
        V48K, (1, 1, 768, 64), (-41358.9935971, 28719.3454565, 1.65911281),
        {0: -0.5175390244 - 0.0061959685j, 1: -0.9457139373 + 0.3205255270j, 24576: -1.3184558153 - 0.1337077768j,
         49151: -0.6584120989 - 0.2240559757j},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDENS)
def test_equals_the_reference(name: str) -> None:
    config, shape, (real, imaginary, magnitude), elements = GOLDENS[name]
    net = NCSNpp(**config).eval()
    sources = ncsnpp_sources(net)
    net.load_state_dict(converted(net, sources, uniform_weights(foreign_shapes(net, sources))))
    inputs = torch.cat([uniform_spectrum(shape, 20_001), uniform_spectrum(shape, 20_011)], dim=1)
    with torch.no_grad():
        out = net(inputs, torch.tensor([0.4, 0.9][: shape[0]]))
    assert out.real.double().sum().item() == pytest.approx(real, rel=1e-4)
    assert out.imag.double().sum().item() == pytest.approx(imaginary, rel=1e-4)
    assert out.abs().mean().item() == pytest.approx(magnitude, rel=1e-5)
    flat = out.flatten()
    for index, value in elements.items():
        assert abs(complex(flat[index]) - value) < 2e-5


@pytest.mark.parametrize(("config", "parameters", "tensors"), [
    (V1, 65_590_822, 647), (V48K, 64_739_854, 581), (STORM, 27_756_314, 271),
    ({**STORM, "sources": 3}, 27_776_038, 271),
])  # fmt: skip
def test_size_and_keys_are_the_published_ones(config: dict[str, object], parameters: int, tensors: int) -> None:
    with torch.device("meta"):
        net = NCSNpp(**config)
    sources = ncsnpp_sources(net)
    table = foreign_shapes(net, sources)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert len(table) == tensors
    assert set(sources) == set(net.state_dict())
    assert list(table)[:4] == ["output_layer.weight", "output_layer.bias", "all_modules.0.W", "all_modules.1.weight"]


def test_v1_keys_at_known_places() -> None:
    with torch.device("meta"):
        table = {source.names[0]: ours for ours, source in ncsnpp_sources(NCSNpp(**V1)).items()}
    assert table["all_modules.3.weight"] == "stem.weight"
    assert table["all_modules.6.Conv_2.weight"] == "down.0.shrink.skip.weight"
    assert table["all_modules.7.Conv_0.weight"] == "down.0.join.conv.weight"
    assert table["all_modules.21.NIN_3.W"] == "down.4.attentions.0.out.weight"
    assert table["all_modules.33.NIN_0.b"] == "middle.attention.query.bias"
    assert table["all_modules.38.weight"] == "up.0.tap_norm.weight"
    assert table["all_modules.50.NIN_1.W"] == "up.2.attention.key.weight"
    assert table["all_modules.76.bias"] == "up.6.tap.bias"


@pytest.mark.parametrize(("config", "modules", "channels"), [
    (STORM, 36, 4), ({**STORM, "sources": 3}, 36, 6), (STORM_PREDICTOR, 34, 2), (V1, 77, 4), (V48K, 56, 4),
])  # fmt: skip
def test_shapes_tell_the_variants_apart(config: dict[str, object], modules: int, channels: int) -> None:
    with torch.device("meta"):
        net = NCSNpp(**config)
    shapes = foreign_shapes(net, ncsnpp_sources(net))
    # Without time, the Fourier features keep the first place, and the two linear layers are not there.
    assert max(int(key.split(".")[1]) for key in shapes if key.startswith("all_modules")) + 1 == modules
    assert shapes["output_layer.weight"] == (2, channels, 1, 1)


def test_a_net_without_time_needs_none() -> None:
    small = {"channels": 16, "multipliers": (1, 2), "blocks": 1}
    net = NCSNpp(**{**STORM_PREDICTOR, **small}).eval()
    z = torch.randn(1, 1, 8, 4, dtype=torch.complex64)
    with torch.no_grad():
        assert torch.equal(net(z), net(z, torch.tensor([0.3])))
    with pytest.raises(ValueError, match="cannot divide by it: set time_scaling to none"):
        NCSNpp(**{**STORM_PREDICTOR, **small, "time_scaling": "before_output"})
    with pytest.raises(ValueError, match="needs one time an item"):
        NCSNpp(**{**STORM, **small})(z.repeat(1, 2, 1, 1))


def test_the_first_missing_or_other_tensor_is_named() -> None:
    net = NCSNpp(**{**V2, **TINY})
    sources = ncsnpp_sources(net)
    state = uniform_weights(foreign_shapes(net, sources))
    other = {**state, "all_modules.3.weight": torch.zeros(16, 6, 3, 3)}
    with pytest.raises(
        CheckpointError, match=r"all_modules\.3\.weight has the shape \(16, 6, 3, 3\), expected is \(16, 4,"
    ):
        converted(net, sources, other)
    del state["all_modules.3.weight"]
    with pytest.raises(
        CheckpointError, match=r"1 are missing, the first all_modules\.3\.weight of shape \(16, 4, 3, 3\)"
    ):
        converted(net, sources, state)


def test_hash_noise_is_the_golden_one() -> None:
    assert uniform((4,), 0).tolist() == [
        0.3856461029499769,
        0.3742735299747437,
        0.06144458334892988,
        -0.46728636836633086,
    ]
    assert uniform((4,), 5)[0] == -0.3501832119654864
