"""A conditioned net is the unconditional one until it has learned: the same weights, the same output, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from auscult.errors import RecipeError
from auscult.hub.bundle import Meta, save
from auscult.hub.opening import start_from
from auscult.nets.condition import NoiseCondition
from auscult.nets.injection import AdaGN, Additive, CrossAttention, SpectralChannel
from auscult.nets.ncsnpp import STORM_PREDICTOR, V1, V2, V48K, NCSNpp
from auscult.nets.noise_encoder import ConvStatistics, PSDEncoder, TokenEncoder
from auscult.nets.sites import Injection
from tests.noise import CONDITIONS, SMALL, reference, shaken

VARIANTS = {
    "v1": {**SMALL, **V1},
    "v2": {**SMALL, **V2},
    "48k": {**SMALL, **V48K, "bins": 32},
    "not centred": {**SMALL, **V1, "centered": False},
    "untimed": {**SMALL, **STORM_PREDICTOR, "sources": 2, "multipliers": (1, 2, 2), "centered": True},
}
T = torch.tensor([0.3, 0.8])


def inputs(sources: int = 2) -> Tensor:
    return torch.randn(2, sources, 32, 8, dtype=torch.complex64, generator=torch.Generator().manual_seed(5))


def twins(variant: str, name: str) -> tuple[NCSNpp, NCSNpp]:
    """A net without and one with a condition, from the same seed and with the same (shaken) weights."""
    torch.manual_seed(0)
    plain = NCSNpp(**VARIANTS[variant]).eval()
    torch.manual_seed(0)
    told = NCSNpp(**VARIANTS[variant], cond=CONDITIONS[name]()).eval()
    assert all(torch.equal(told.state_dict()[key], tensor) for key, tensor in plain.state_dict().items())
    shaken(plain)
    missing, unused = told.load_state_dict(plain.state_dict(), strict=False)
    assert missing
    assert all(key.startswith("cond.") for key in missing)
    assert not unused
    return plain, told


UNTIMED = [name for name in CONDITIONS if name not in ("Additive", "all of them")]
"""What a net without time can be told by: there is no embedding to add to."""


@pytest.mark.parametrize(
    ("variant", "name"),
    [(variant, name) for variant in VARIANTS for name in (UNTIMED if variant == "untimed" else CONDITIONS)],
)
def test_before_learning_nothing_changes(variant: str, name: str) -> None:
    plain, told = twins(variant, name)
    assert told.cond is not None
    for piece in (reference([400, 0]), reference([400, 300]), reference([400, 300]).none()):
        with torch.no_grad():
            expected = plain(inputs(), T)
            assert torch.equal(told(inputs(), T, told.cond.encode(piece)), expected)
    assert torch.equal(told(inputs(), T, told.cond.encode(piece)), plain(inputs(), T))  # with a graph, too
    assert expected.abs().mean() > 1e-3


@pytest.mark.parametrize("name", CONDITIONS)
def test_after_learning_it_matters(name: str) -> None:
    """Each item's own reference, and whether there is one, change the output; another item's do not."""
    plain, told = twins("v2", name)
    assert told.cond is not None
    shaken(told.cond)
    with torch.no_grad():
        both, other, one = (
            told(inputs(), T, told.cond.encode(piece))
            for piece in (reference([400, 400]), reference([400, 400], seed=7), reference([400, 0]))
        )
        expected = plain(inputs(), T)
    size = float(expected.abs().mean())
    for a, b in ((both, expected), (both, other)):
        assert float((a - b).abs().mean()) > 1e-4 * size
    assert float((both[1] - one[1]).abs().mean()) > 1e-4 * size
    assert torch.allclose(both[0], one[0], atol=1e-5 * float(both.abs().max()))


def test_the_spectral_channel_is_a_wider_input() -> None:
    """A net of four sources, which gets the planes as real channels, with the channel's weights as its own."""
    _, told = twins("v2", "SpectralChannel")
    assert told.cond is not None
    shaken(told.cond)
    encoded = told.cond.encode(reference([400, 0]))
    wide = NCSNpp(**VARIANTS["v2"], sources=4).eval()
    (channel,) = told.cond.injections
    extra = {"stem.weight": channel.stem.weight}
    extra |= {f"down.{i}.join.conv.weight": conv.weight for i, conv in enumerate(channel.joins)}
    weights = {}
    for key, tensor in wide.state_dict().items():
        own = told.state_dict()[key]
        weights[key] = torch.zeros_like(tensor)
        weights[key][tuple(slice(n) for n in own.shape)] = own
        if key in extra:
            weights[key][:, 4:7] = extra[key]
    wide.load_state_dict(weights)
    flags = encoded.level[:, None].expand_as(encoded.psd), encoded.present[:, None].float().expand_as(encoded.psd)
    planes = torch.stack([torch.complex(encoded.psd, flags[0]), torch.complex(flags[1], torch.zeros_like(flags[1]))], 1)
    with torch.no_grad():
        narrow = told(inputs(), T, encoded)
        widened = wide(torch.cat([inputs(), planes[..., None].expand(-1, -1, -1, 8)], dim=1), T)
    assert torch.allclose(narrow, widened, atol=1e-5 * float(widened.abs().max()))
    assert float((narrow - told(inputs(), T, told.cond.encode(reference([0, 0], 400)))).detach().abs().max()) > 1e-3


@pytest.mark.parametrize("variant", ["v1", "48k"])
def test_a_checkpoint_without_condition_starts_one_with_it(variant: str, tmp_path: Path) -> None:
    plain, told = twins(variant, "all of them")
    shaken(told, seed=3)  # other weights than the file's
    path = tmp_path / "plain.safetensors"
    save(path, {f"net.{key}": tensor for key, tensor in plain.state_dict().items()}, Meta({"type": "ScoreModel"}))
    torch.manual_seed(0)
    told = NCSNpp(**VARIANTS[variant], cond=CONDITIONS["all of them"]()).eval()
    missing, unused = start_from(path, {"net": told})
    assert unused == []
    assert set(missing) == {f"net.{key}" for key in told.state_dict() if key.startswith("cond.")}
    assert told.cond is not None
    with torch.no_grad():
        assert torch.equal(told(inputs(), T, told.cond.encode(reference([400, 0]))), plain(inputs(), T))


def test_the_published_size_grows_by_what_was_planned() -> None:
    """AdaGN of 128 on the 49 residual blocks of v2: P of 512 x 128, and A of 128 x 2 rows for 10 880 channels."""
    with torch.device("meta"):
        net = NCSNpp(**V2, cond=NoiseCondition(ConvStatistics(), (AdaGN(),)))
    assert net.cond is not None
    (injection,) = net.cond.injections
    assert sum(p.numel() for key, p in net.named_parameters() if not key.startswith("cond.")) == 65_590_822
    assert len(injection.films) == 49
    assert sum(p.numel() for p in injection.parameters()) == 512 * 128 + 128 + (128 + 1) * 2 * 10_880


@pytest.mark.parametrize(("cond", "net", "message"), [
    (lambda: NoiseCondition(ConvStatistics(512), (CrossAttention((16, 8)),)), {},
     r"cond: ConvStatistics 512 -> CrossAttention of 4 heads -> heights 16, 8 of 32: CrossAttention chooses between "
     r"tokens, and ConvStatistics gives 1; use TokenEncoder"),
    (lambda: NoiseCondition(TokenEncoder(8, 256), (CrossAttention((16, 4)),)), {},
     r"TokenEncoder 8 x 256 -> CrossAttention .* heights: 16, 4 asked for, the net's levels have 32, 16, 8"),
    (lambda: NoiseCondition(TokenEncoder(8, 256), (CrossAttention((16,), heads=5),)), {},
     r"heads: 5 do not divide a width of 32"),
    (lambda: NoiseCondition(PSDEncoder(), (AdaGN(),)), {},
     r"PSDEncoder -> AdaGN 128 -> 15 blocks of 16\.\.32: AdaGN needs an embedding, and PSDEncoder gives none"),
    (lambda: NoiseCondition(ConvStatistics(512), (SpectralChannel(),)), {},
     r"ConvStatistics 512 -> SpectralChannel of 32 bins -> 3 convolutions .*no injection takes what it learns"),
    (lambda: NoiseCondition(ConvStatistics(512), (Additive(),)), {"timed": False, "time_scaling": "none"},
     r"Additive needs a time embedding, and this net is not timed; use AdaGN"),
    (lambda: NoiseCondition(PSDEncoder(), (SpectralChannel(),), classes=10), {},
     r"noises are told apart by an embedding, and PSDEncoder gives none"),
    (lambda: NoiseCondition(PSDEncoder(), ()), {}, r"at least one is needed, or no condition at all"),
])  # fmt: skip
def test_parts_that_do_not_fit_are_refused_with_their_chain(cond: object, net: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        NCSNpp(**{**SMALL, **net}, cond=cond())


def test_a_net_is_told_if_and_only_if_it_can_be() -> None:
    plain, told = twins("v2", "NASEAddition")
    assert told.cond is not None
    with pytest.raises(ValueError, match="if, and only if, it has a noise condition"):
        told(inputs(), T)
    with pytest.raises(ValueError, match="if, and only if, it has a noise condition"):
        plain(inputs(), T, told.cond.encode(reference([400, 0])))


def test_levels_and_entries_are_where_the_chain_says() -> None:
    """The site of an injection sees maps of the sizes it was attached for, at every place, in order."""
    seen: dict[str, list[tuple[int, int]]] = {}
    _, told = twins("v2", "all of them")
    assert told.cond is not None

    def look(injection: Injection, arguments: tuple[Tensor, object, int], _: Tensor) -> None:
        seen.setdefault(injection.site, []).append((arguments[2], arguments[0].shape[1]))

    for injection in told.cond.injections:
        injection.register_forward_hook(look)
    with torch.no_grad():
        told(inputs(), T, told.cond.encode(reference([400, 0])))
    assert [place for place, _ in seen["norm"]] == list(range(15))
    assert seen["entry"] == [(0, 16), (1, 16), (2, 32)]
    assert seen["level"] == [(0, 16), (1, 32), (2, 32), (3, 32), (4, 32), (5, 16)]
    assert seen["input"] == [(0, 2)]
    assert seen["time"] == [(0, 64)]
