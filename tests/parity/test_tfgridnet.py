"""TF-GridNet V1, V2 and V3 equal ESPnet's on deterministic weights, and what makes them fast changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from auscult.errors import RecipeError
from auscult.features.normalise import Normalise, Statistics
from auscult.features.spectral import CompressedSTFT
from auscult.hub.espnet import net_of
from auscult.nets.tfgridnet import TFGridNet
from auscult.nets.windows import overlap_add, windows
from tests.parity.espnet_layout import shapes
from tests.parity.recipe import sine_signal, sine_weights

PLACES = [0, 1, 571, 1333, 2000, 2666, 3998, 3999]
GOLDEN = {
    ("v1", 4, 1): (
        2.8451691201543525,
        [
            0.00019791671365965158,
            -0.0009191544959321618,
            -0.004635201301425695,
            0.01481910701841116,
            0.00039301696233451366,
            -0.10100143402814865,
            -0.048795316368341446,
            -0.05150572583079338,
        ],
    ),
    ("v1", 4, 4): (
        2.8801812892567495,
        [
            -0.0037705213762819767,
            0.0007668270845897496,
            -0.004510755650699139,
            0.013290555216372013,
            -0.004230573773384094,
            -0.10246528685092926,
            -0.04905280843377113,
            -0.05058940872550011,
        ],
    ),
    ("v2", 4, 1): (
        3.0075713410333713,
        [
            -0.009727817960083485,
            -0.012259626761078835,
            0.0012420079438015819,
            -0.027668559923768044,
            -0.008755485527217388,
            0.024932224303483963,
            0.0050920043140649796,
            0.0046130577102303505,
        ],
    ),
    ("v2", 1, 1): (
        2.983444579558314,
        [
            -0.009677381254732609,
            -0.013202915899455547,
            0.0014128666371107101,
            -0.027657145634293556,
            -0.007931997068226337,
            0.023641832172870636,
            0.005065760109573603,
            0.0064603425562381744,
        ],
    ),
    ("v2", 4, 4): (
        2.7427952208886865,
        [
            -0.003462888766080141,
            -0.01593291200697422,
            0.0013809655793011189,
            -0.025060134008526802,
            -0.0034755973611027002,
            0.01453724317252636,
            0.0015900854486972094,
            0.0035772351548075676,
        ],
    ),
}
"""By version, kernel and stride: the norm of two separated waves, and samples at PLACES."""
PLACES_V3 = [0, 1, 464, 1083, 1625, 2166, 3248, 3249]
GOLDEN_V3 = {
    "real": (
        82.3455709412231,
        [
            -0.6855558753013611,
            -0.500718891620636,
            0.3599517345428467,
            1.8686805963516235,
            -0.31077802181243896,
            0.763810932636261,
            -2.913094997406006,
            -2.8242573738098145,
        ],
    ),
    "imag": (
        76.606374189942,
        [
            -0.5378569960594177,
            -0.2359350323677063,
            0.20979851484298706,
            1.8685154914855957,
            -0.015901118516921997,
            0.20694877207279205,
            -2.9564664363861084,
            -2.5883240699768066,
        ],
    ),
}
SMALL = {"layers": 2, "hidden": 8, "embedding": 8}
TIED = {**SMALL, "version": "v2", "bins": 33, "qk_channels": 2}


def official(version: str, kernel: int, stride: int) -> TFGridNet:
    """The net of the goldens: two blocks of 16 channels and 24 units, two sources, 65 bins."""
    qk = 4 if version == "v3" else None
    state = sine_weights(shapes(version, 2, 24, 16, kernel, stride, 65, qk=qk), set())
    return net_of({f"separator.{key}": tensor for key, tensor in state.items()}, stride)


def separated(net: TFGridNet, gain: float) -> np.ndarray:
    """The wave of the goldens through the net, multiplied by a gain before and divided after."""
    features, wave = CompressedSTFT(128, 64, "hann", "none"), sine_signal((1, 1, 2000), w=0.19)
    with torch.no_grad():
        return (features.decode(net(features.encode(wave * gain)), 2000) / gain).flatten().numpy()


@pytest.mark.parametrize(("version", "kernel", "stride"), GOLDEN)
def test_v1_and_v2_equal_the_reference(version: str, kernel: int, stride: int) -> None:
    norm, values = GOLDEN[version, kernel, stride]
    out = separated(official(version, kernel, stride), 1 / float(sine_signal((2000,), w=0.19).std()))
    assert out[PLACES] == pytest.approx(values, abs=2e-7)
    assert np.linalg.norm(out) == pytest.approx(norm, rel=2e-6)


def test_v3_equals_the_reference() -> None:
    z = torch.complex(sine_signal((1, 25, 65)), sine_signal((1, 25, 65), b=0.9))
    with torch.no_grad():
        out = official("v3", 4, 1)(z.mT[:, None]).mT
    for part, (norm, values) in GOLDEN_V3.items():
        flat = getattr(out, part).flatten().numpy()
        assert flat[PLACES_V3] == pytest.approx(values, abs=1e-5)
        assert np.linalg.norm(flat) == pytest.approx(norm, rel=2e-6)


def test_our_standard_deviation_moves_the_output_by_one_over_twice_the_samples() -> None:
    """ESPnet divides by N - 1 in it, we by N: a gain of 1 + 1 / 2N on the input, which the norms mostly undo."""
    net, wave = official("v2", 4, 1), sine_signal((1, 1, 2000), w=0.19).numpy()
    ours = separated(net, float(Normalise("std").gain(Statistics.of(wave))[0]))
    theirs = separated(net, 1 / float(wave.std(ddof=1)))
    assert np.linalg.norm(ours - theirs) / np.linalg.norm(theirs) == pytest.approx(1 / 4000, rel=0.1)


@pytest.mark.parametrize(("config", "parameters"), [
    ({"version": "v1", "qk_channels": 8, "bins": 65, "sources": 2}, 8_175_874),
    ({"version": "v2", "qk_channels": 8, "bins": 65, "sources": 2}, 8_175_874),
    ({"version": "v2", "qk_channels": 8, "bins": 65, "sources": 2, "embedding": 128, "kernel": 1}, 7_034_194),
    ({"version": "v3", "sources": 2}, 8_043_202),
])  # fmt: skip
def test_sizes_are_the_published_ones(config: dict[str, object], parameters: int) -> None:
    with torch.device("meta"):
        net = TFGridNet(**config)
    assert sum(p.numel() for p in net.parameters()) == parameters


@pytest.mark.parametrize(("kernel", "stride"), [(4, 1), (4, 2), (3, 3), (1, 1)])
def test_windows_and_overlap_add_are_unfold_fold_and_their_gradients(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    count = 5
    length = (count - 1) * stride + kernel
    x = torch.randn(2, 3, length, 4, dtype=torch.float64).permute(2, 0, 1, 3).requires_grad_()  # rows not contiguous
    cut = windows(x, kernel, stride)
    assert torch.equal(cut, x.unfold(0, kernel, stride).mT.flatten(3))
    parts = torch.randn_like(cut).requires_grad_()
    columns = parts.permute(1, 2, 3, 0).reshape(6, kernel, 4, count).transpose(1, 2).reshape(6, 4 * kernel, count)
    folded = F.fold(columns, (length, 1), (kernel, 1), stride=(stride, 1)).view(2, 3, 4, length)
    assert torch.allclose(overlap_add(x, parts, stride), x + folded.permute(3, 0, 1, 2))
    through = torch.randn_like(cut), torch.randn_like(x)
    theirs = torch.autograd.grad(x.unfold(0, kernel, stride).mT.flatten(3), x, through[0])
    assert torch.allclose(torch.autograd.grad(cut, x, through[0])[0], theirs[0])
    ours = torch.autograd.grad(overlap_add(x, parts, stride), (x, parts), through[1])
    assert torch.equal(ours[0], through[1])
    assert torch.allclose(ours[1], torch.autograd.grad(x + folded.permute(3, 0, 1, 2), parts, through[1])[0])


def spectrum(frames: int = 23, bins: int = 33) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(2, 1, bins, frames, dtype=torch.complex64)


def seeded(config: dict[str, object]) -> TFGridNet:
    torch.manual_seed(0)
    return TFGridNet(**config)


@pytest.mark.parametrize("attention_frames", [1, 7, 22])
def test_queries_in_turn_are_exact(attention_frames: int) -> None:
    net, turns = seeded(TIED), seeded({**TIED, "attention_frames": attention_frames})
    with torch.no_grad():
        assert torch.allclose(net(spectrum()), turns(spectrum()), atol=1e-6)


def test_checkpointing_keeps_the_gradients() -> None:
    gradients, calls = [], []
    for checkpointing in (False, True):
        net, seen = seeded({**TIED, "checkpointing": checkpointing}), []
        net.blocks[0].register_forward_pre_hook(lambda *_, seen=seen: seen.append(1))
        net(spectrum()).abs().sum().backward()
        gradients.append([p.grad for p in net.parameters()])
        calls.append(len(seen))
    assert calls == [1, 2]  # computed again
    assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(("kernel", "stride"), [(4, 1), (4, 3), (4, 4), (1, 1)])
@pytest.mark.parametrize("frames", [1, 3, 9])
def test_any_number_of_frames(version: str, kernel: int, stride: int, frames: int) -> None:
    net = seeded({**TIED, "version": version, "kernel": kernel, "stride": stride})
    with torch.no_grad():
        out = net(spectrum(frames))
    assert out.shape == (2, 1, 33, frames)
    assert torch.isfinite(torch.view_as_real(out)).all()


def test_v3_takes_any_number_of_bins() -> None:
    net = seeded(SMALL)
    with torch.no_grad():
        assert [net(spectrum(5, bins)).shape[2] for bins in (5, 33)] == [5, 33]


def test_norms_keep_single_precision_under_autocast() -> None:
    net, seen = seeded(TIED), []
    net.blocks[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dtype))
    with torch.no_grad():
        plain = net(spectrum())
        with torch.autocast("cpu", torch.bfloat16):
            half = net(spectrum())
    assert seen == [torch.float32, torch.float32]
    apart = float((half - plain).abs().square().mean().sqrt() / plain.abs().square().mean().sqrt())
    assert 1e-5 < apart < 0.03


@pytest.mark.parametrize(("config", "message"), [
    ({"embedding": 10}, "an embedding of 10 cannot be shared by 4 heads; give a multiple of 4"),
    ({"kernel": 2, "stride": 3}, "windows of 2 every 3 leave gaps; give a stride of at most 2"),
    ({"bins": 65}, "v3 takes spectra of any size, bins is 65; leave it out"),
    ({"version": "v1"}, "v1 is tied to the spectrum's size; give bins"),
])  # fmt: skip
def test_sizes_that_do_not_fit(config: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        TFGridNet(**config)


def test_other_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="tied to 33 bins, the spectrum has 32"):
        seeded(TIED)(spectrum(5, 32))
