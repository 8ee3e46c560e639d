"""GTCRN equals the reference implementation, on deterministic weights and on the published ones, whole and streamed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from auscult.hub.gtcrn import KEYS
from auscult.hub.keys import renamed
from auscult.hub.opening import open_method
from auscult.nets.bands import erb_matrix
from auscult.nets.gtcrn import GTCRN
from tests.parity.recipe import sine_signal, sine_weights

GOLDEN = {
    0: 0.02477690763771534, 1: -0.011997249908745289, 1468: -0.004754679277539253, 3426: 0.01254205871373415,
    5140: 0.01038173958659172, 6853: -0.00019376020645722747, 10278: -0.03409162163734436, 10279: -0.01592876762151718,
}  # fmt: skip
PUBLISHED = {
    0: 0.09040752053260803, 1: 0.1680092215538025, 1468: -8.221501775551587e-05, 3426: -0.000539490720257163,
    5140: -0.0015356902731582522, 6853: 5.643512849928811e-05, 10278: -0.0015551024116575718,
    10279: -0.0010233259527012706,
}  # fmt: skip


def test_equals_the_reference() -> None:
    out = run(synthetic())
    assert np.linalg.norm(out) == pytest.approx(1.444116809149728, rel=1e-6)
    for index, value in GOLDEN.items():
        assert out[index] == pytest.approx(value, abs=1e-6)


def test_published_weights_give_the_reference_output(data: Path) -> None:
    _, nets, meta = open_method(data.parent / "checkpoints" / "gtcrn_dns3_epoch87.tar")
    out = run(nets["net"])
    assert meta.step == 87
    assert np.linalg.norm(out) == pytest.approx(1.179806771529837, rel=1e-5)
    for index, value in PUBLISHED.items():
        assert out[index] == pytest.approx(value, abs=1e-6)


def test_parameter_count_is_the_published_one() -> None:
    assert sum(p.numel() for p in GTCRN().parameters()) == 23_669


def test_erb_matrix_is_the_published_one() -> None:
    bank = erb_matrix(65, 64, 512, 16_000)
    assert bank.shape == (64, 192)
    assert np.allclose(bank.sum(axis=0), 1.0)
    assert np.linalg.norm(bank) == pytest.approx(11.689501546350293, abs=1e-6)
    assert bank.ravel()[[0, 1, 12286, 12287]] == pytest.approx([1.0, 0.0, 0.8, 1.0], abs=1e-6)


def test_strictly_causal() -> None:
    torch.manual_seed(0)
    net, z = GTCRN().eval(), torch.randn(1, 1, 257, 30, dtype=torch.complex64)
    with torch.no_grad():
        assert torch.allclose(net(z)[..., :20], net(z[..., :20]), atol=1e-6)


@pytest.mark.parametrize("sizes", [[1] * 20, [7, 13], [1, 11, 3, 5]])
def test_streamed_in_any_split_equals_the_reference(sizes: list[int]) -> None:
    frames, net = sine_signal((1, 257, 20, 2)).transpose(1, 2), synthetic()
    state, parts = net.initial_state(1), []
    with torch.no_grad():
        for piece in frames.split(sizes, dim=1):
            out, state = net.step(piece, state)
            parts.append(out)
    streamed = torch.cat(parts, dim=1).transpose(1, 2).flatten()
    for index, value in GOLDEN.items():
        assert streamed[index] == pytest.approx(value, abs=1e-6)


def test_the_state_is_the_published_streams() -> None:
    """Conv cache [2, 16, 16, 33], attention's hidden states [2, 3, 16], those over time [2, 33, 16], an item."""
    assert GTCRN().initial_state(3).shape == (3, 2 * 16 * 16 * 33 + 2 * 3 * 16 + 2 * 33 * 16)


def test_an_item_keeps_its_memory_to_itself() -> None:
    net, (a, b) = synthetic(), torch.randn(2, 1, 12, 257, 2, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        _, state = net.step(torch.cat([a, b]), net.initial_state(2))
        _, alone = net.step(b, net.initial_state(1))
        assert torch.allclose(state[1:], alone, atol=1e-6)
        # What was heard matters: zeroed memory gives another frame.
        after, fresh = net.step(b[:, :1], alone)[0], net.step(b[:, :1], net.initial_state(1))[0]
    assert (after - fresh).abs().max() > 1e-3


def run(net: torch.nn.Module) -> np.ndarray:
    z = torch.view_as_complex(sine_signal((1, 257, 20, 2)))[:, None]
    with torch.no_grad():
        return torch.view_as_real(net(z)[:, 0]).flatten().numpy()


def synthetic() -> GTCRN:
    """The net with the weights of the golden numbers."""
    shapes = official_shapes()
    fixed = {k for k in shapes if k.startswith("erb.") or k.endswith("num_batches_tracked")}
    net = GTCRN().eval()
    # Counters are the only tensors of ours that the recipe does not fill.
    missing, unknown = net.load_state_dict(renamed(sine_weights(shapes, fixed), KEYS), strict=False)
    assert not unknown
    assert all(key.endswith("num_batches_tracked") for key in missing)
    return net


def official_shapes() -> dict[str, tuple[int, ...]]:
    """Keys and shapes of the published state dict, from our net by the inverse table."""
    inverse = [
        (r"^encoder\.(\d)\.", r"encoder.en_convs.\1."), (r"^decoder\.(\d)\.", r"decoder.de_convs.\1."),
        (r"^recurrent\.0\.", "dpgrnn1."), (r"^recurrent\.1\.", "dpgrnn2."),
        (r"\.(intra|inter)\.parts\.0", r".\1_rnn.rnn1"), (r"\.(intra|inter)\.parts\.1", r".\1_rnn.rnn2"),
        (r"\.(intra|inter)_linear", r".\1_fc"), (r"\.(intra|inter)_norm", r".\1_ln"),
        (r"\.point_in", ".point_conv1"), (r"\.norm_in", ".point_bn1"), (r"\.act_in", ".point_act"),
        (r"\.depthwise", ".depth_conv"), (r"\.norm_depth", ".depth_bn"), (r"\.act_depth", ".depth_act"),
        (r"\.point_out", ".point_conv2"), (r"\.norm_out", ".point_bn2"),
        (r"\.attention\.gru", ".tra.att_gru"), (r"\.attention\.linear", ".tra.att_fc"), (r"\.norm\.", ".bn."),
    ]  # fmt: skip
    own = GTCRN().state_dict()
    shapes = {key: tuple(tensor.shape) for key, tensor in renamed(own, inverse).items()}
    assert len(shapes) == 269
    return shapes | {"erb.erb_fc.weight": (64, 192), "erb.ierb_fc.weight": (192, 64)}
