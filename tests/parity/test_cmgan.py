"""CMGAN equals the reference implementation: goldens made by running it on deterministic weights and inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from auscult.errors import RecipeError
from auscult.features.spectral import CompressedSTFT
from auscult.hub.cmgan import discriminator_sources, generator_sources
from auscult.hub.sources import converted, foreign_shapes
from auscult.nets import conformer
from auscult.nets.conformer import Conformer, RelativeAttention
from auscult.nets.dense import DenseEncoder, DilatedDense, SubPixel
from auscult.nets.discriminators import MetricDiscriminator
from auscult.nets.tscnet import TSCNet
from tests.parity.recipe import sine_signal, sine_weights

REAL = {
    0: -0.0868314802646637, 1: -0.05647210776805878, 574: -0.10765410959720612, 1340: -0.0006755355279892683,
    2010: -0.03595595061779022, 2680: 0.011468041688203812, 4018: -0.04470563679933548, 4019: -0.099808469414711,
}  # fmt: skip
IMAGINARY = {
    0: -0.07505595684051514, 1: -0.10643157362937927, 574: -0.03148091584444046, 1340: 0.028694555163383484,
    2010: -0.06306374073028564, 2680: -0.1550622135400772, 4018: -0.1873439997434616, 4019: -0.08207487314939499,
}  # fmt: skip
ENCODER = {
    0: 0.4515704810619354, 1: 0.5784582495689392, 18468: 0.23793266713619232, 43093: 0.06280741095542908,
    64640: -0.16528499126434326, 86186: 1.0982142686843872, 129278: 0.5005194544792175, 129279: 0.9617459177970886,
}  # fmt: skip
CONFORMER = {
    0: -0.18979144096374512, 1: 0.41314807534217834, 548: 0.6393522620201111, 1280: 0.10901437699794769,
    1920: -0.09648092091083527, 2560: -0.7059158086776733, 3838: -0.16246652603149414, 3839: 0.533074140548706,
}  # fmt: skip
COMPRESSED = {
    0: 2.489947557449341, 1: 1.6644200086593628, 2354: -0.15297609567642212, 5494: -0.3928762674331665,
    8241: 0.0, 10988: -1.7217466847796459e-06, 16480: -2.3582790831255807e-08, 16481: 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def generator() -> TSCNet:
    net = TSCNet().eval()
    net.load_state_dict(converted(net, generator_sources(net), official(foreign_shapes(net, generator_sources(net)))))
    return net


def test_generator(generator: TSCNet) -> None:
    real, imaginary = sine_signal((1, 2, 20, 201)).unbind(1)
    with torch.no_grad():
        out = generator(torch.complex(real, imaginary).mT[:, None])[:, 0].mT
    check(out.real, REAL, l2=8.328188412857875)
    check(out.imag, IMAGINARY, l2=8.017432491149272)


def test_dense_encoder(generator: TSCNet) -> None:
    with torch.no_grad():
        check(generator.encoder(sine_signal((1, 3, 20, 201))), ENCODER, l2=148.64147804215796)


@pytest.mark.parametrize("rows", [64, 7])
def test_conformer(generator: TSCNet, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformer, "QUERIES_AT_ONCE", rows)
    with torch.no_grad():
        check(generator.blocks[0].time(sine_signal((2, 30, 64))), CONFORMER, l2=30.27325146360956)


def test_discriminator() -> None:
    net = MetricDiscriminator().eval()
    sources = discriminator_sources(net)
    shapes = foreign_shapes(net, sources)
    assert len(shapes) == 34
    net.load_state_dict(converted(net, sources, iterated(official(shapes))))
    with torch.no_grad():
        out = net(sine_signal((2, 1, 201, 64)).abs(), sine_signal((2, 1, 201, 64), b=0.5).abs())
    assert out.tolist() == pytest.approx([0.4761766493320465, 0.4794534742832184], abs=1e-6)


def test_compression() -> None:
    stft = CompressedSTFT(400, 100, "hamming", exponent=0.3, factor=1.0)
    wave = sine_signal((1, 4000), w=0.21)[:, None]
    z = stft.encode(wave)
    check(torch.stack([z[:, 0].real, z[:, 0].imag], dim=1), COMPRESSED, l2=49.723077239417684)
    assert torch.allclose(stft.decode(z, 4000), wave, atol=2e-5)


def test_sizes_are_the_published_ones() -> None:
    with torch.device("meta"):
        net, judge = TSCNet(), MetricDiscriminator()
    assert sum(p.numel() for p in net.parameters()) == 1_834_833
    assert sum(p.numel() for p in judge.parameters()) == 181_650
    shapes = foreign_shapes(net, generator_sources(net))
    assert len(shapes) == 359
    assert shapes["dense_encoder.dilated_dense.conv4.weight"] == (64, 256, 2, 3)
    assert shapes["TSCB_4.freq_conformer.attn.fn.to_kv.weight"] == (128, 64)
    assert shapes["TSCB_2.time_conformer.attn.fn.rel_pos_emb.weight"] == (1025, 16)
    assert shapes["TSCB_1.time_conformer.conv.net.2.weight"] == (256, 64, 1)
    assert shapes["TSCB_1.time_conformer.conv.net.4.conv.weight"] == (128, 1, 31)
    assert shapes["TSCB_3.time_conformer.ff2.fn.fn.net.3.weight"] == (64, 256)
    assert shapes["mask_decoder.sub_pixel.conv.weight"] == (128, 64, 1, 3)
    assert shapes["mask_decoder.prelu_out.weight"] == (201,)
    assert shapes["complex_decoder.conv.weight"] == (2, 64, 1, 2)


@pytest.mark.parametrize("length", [5, 17, 64, 65, 90])
def test_attention_is_its_definition(length: int) -> None:
    """Scores by gathering an embedding for each pair of positions; distances beyond 12 are clamped."""
    torch.manual_seed(0)
    layer, x = RelativeAttention(8, 2, max_distance=12, dropout=0.0).double(), torch.randn(3, length, 8).double()
    h = layer.norm(x)
    q, k, v = (t.view(3, length, 2, 4) for t in (layer.query(h), *layer.key_value(h).chunk(2, dim=-1)))
    position = torch.arange(length)
    table = layer.positions[(position[:, None] - position).clamp(-12, 12) + 12]
    scores = torch.einsum("sihd,sjhd->shij", q, k) + torch.einsum("sihd,ijd->shij", q, table)
    mixed = torch.einsum("shij,sjhd->sihd", (scores / 2).softmax(-1), v).flatten(-2)
    assert torch.allclose(layer(x), layer.out(mixed), atol=1e-12)


def test_dense_block_is_its_definition() -> None:
    """By joining, newest first, and padding at the front, as the reference does."""
    torch.manual_seed(0)
    block, x = DilatedDense(4).double(), torch.randn(2, 4, 9, 7).double()
    seen, expected = x, x
    for i, layer in enumerate(block.layers):
        conv = layer.conv
        padded = F.pad(seen, (1, 1, 2**i, 0))
        expected = layer.act(layer.norm(F.conv2d(padded, conv.weight, conv.bias, dilation=conv.dilation)))
        seen = torch.cat([expected, seen], dim=1)
    assert torch.allclose(block(x), expected, atol=1e-12)


def test_sub_pixel_interleaves_the_two_halves_of_its_channels() -> None:
    layer, x = SubPixel(2), torch.randn(1, 2, 3, 5)
    channels, out = layer.conv(x), layer(x)
    assert torch.equal(out[..., 0::2], channels[:, :2])
    assert torch.equal(out[..., 1::2], channels[:, 2:])


def test_checkpointing_changes_neither_gradients_nor_statistics() -> None:
    plain, again = (learnt(checkpointing) for checkpointing in (False, True))
    for (key, left), (_, right) in zip(plain.named_parameters(), again.named_parameters(), strict=True):
        assert torch.allclose(left.grad, right.grad, rtol=1e-5, atol=1e-7), key
    for (key, left), (_, right) in zip(plain.named_buffers(), again.named_buffers(), strict=True):
        assert torch.equal(left, right), key


def test_groups_of_sequences_give_what_all_at_once_give(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = TSCNet(channels=8, blocks=1, heads=2, n_fft=64, hop=16).eval()
    z = torch.randn(2, 1, 33, 40, dtype=torch.complex64)
    with torch.no_grad():
        whole = net(z)
        monkeypatch.setattr("auscult.nets.tscnet.TOKENS_AT_ONCE", 100)
        assert torch.allclose(net(z), whole, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 9])
def test_short_clips_have_an_answer(frames: int) -> None:
    net = TSCNet(channels=8, blocks=1, heads=2, n_fft=64, hop=16).eval()
    with torch.no_grad():
        out = net(torch.zeros(1, 1, 33, frames, dtype=torch.complex64))
    assert out.shape == (1, 1, 33, frames)
    assert torch.isfinite(torch.view_as_real(out)).all()


def test_what_is_refused() -> None:
    with pytest.raises(RecipeError, match="n_fft 510 gives 256; make n_fft a multiple of 4"):
        TSCNet(n_fft=510)
    with pytest.raises(RecipeError, match="5 do not share 64 channels evenly; take a divisor"):
        TSCNet(heads=5)
    with pytest.raises(RecipeError, match=r"an even number of taps \(30\) shifts the sequence; take an odd one"):
        Conformer(8, 2, kernel=30, max_distance=4, dropout=0.0)
    with pytest.raises(ValueError, match="takes 33 bins"):
        TSCNet(channels=8, blocks=1, n_fft=64)(torch.zeros(1, 1, 34, 4, dtype=torch.complex64))
    with pytest.raises(ValueError, match="at least 16 bins and frames"):
        MetricDiscriminator()(torch.ones(1, 1, 201, 15), torch.ones(1, 1, 201, 15))


def test_encoder_takes_other_inputs() -> None:
    assert DenseEncoder(2, 8)(torch.randn(1, 2, 5, 33)).shape == (1, 8, 5, 17)


def test_discriminator_learns_to_tell_the_better_of_two() -> None:
    torch.manual_seed(0)
    net, clean = MetricDiscriminator(channels=4, dropout=0.0), torch.rand(8, 1, 33, 32)
    noisy = clean + 0.5 * torch.rand(8, 1, 33, 32)
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(30):
        loss = (net(clean, clean) - 1).square().mean() + (net(clean, noisy) - 0.2).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    net.eval()
    with torch.no_grad():
        assert net(clean, clean).mean() > 0.7
        assert net(clean, noisy).mean() < 0.5


def learnt(checkpointing: bool) -> nn.Module:
    torch.manual_seed(0)
    net = TSCNet(channels=8, blocks=2, heads=2, n_fft=64, hop=16, checkpointing=checkpointing).train()
    z = torch.randn(2, 1, 33, 20, dtype=torch.complex64)
    torch.manual_seed(1)  # of dropout
    net(z).abs().square().mean().backward()
    return net


def official(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    counters = {key for key in shapes if key.endswith("num_batches_tracked")}
    fixed = {key: torch.zeros((), dtype=torch.int64) for key in counters}
    return sine_weights(shapes, counters) | fixed


def iterated(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Singular vectors after one power iteration from u = 1 / sqrt(n), as the goldens were made."""
    for key in [key for key in state if key.endswith("weight_orig")]:
        matrix = state[key].flatten(1)
        u = torch.full((len(matrix),), len(matrix) ** -0.5)
        v = F.normalize(matrix.T @ u, dim=0)
        name = key.removesuffix("_orig")
        state[f"{name}_u"], state[f"{name}_v"] = F.normalize(matrix @ v, dim=0), v
    return state


def check(out: Tensor, values: dict[int, float], l2: float) -> None:
    flat = out.flatten().double().numpy()
    assert np.linalg.norm(flat) == pytest.approx(l2, rel=1e-6)
    for index, value in values.items():
        assert flat[index] == pytest.approx(value, abs=1e-5)
