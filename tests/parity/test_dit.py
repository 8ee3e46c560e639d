"""The DiT equals the reference implementation, its shortcuts change nothing, and every condition is heard."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from auscult.errors import RecipeError
from auscult.hub.sources import converted, foreign_shapes
from auscult.hub.stable_audio_keys import dit_sources
from auscult.nets.dit import Context, DiT
from auscult.nets.number_embedder import FixedRolloff, LearnedRolloff, NumberEmbedder
from tests.parity.stable_audio_layout import signal, weights

SIZES = {"channels": 8, "concat_channels": 8, "width": 256, "depth": 2, "heads": 4, "token_width": 128,
         "global_width": 256}  # fmt: skip
SMALL = {"width": 512, "depth": 8, "heads": 8, "token_width": 512, "global_width": 1024}
PRESENT = torch.tensor([[1, 1, 1, 0, 0, 1], [0, 0, 0, 0, 0, 0]]).bool()
T = torch.tensor([0.3, 0.9])
X, BESIDE = signal((2, 8, 16), 1001), signal((2, 8, 16), 1002)
TOKENS, VECTOR, PREFIX = signal((2, 6, 128), 1003), signal((2, 256), 1004), signal((2, 3, 64), 1007)


def made(**more: Any) -> tuple[DiT, dict[str, Tensor]]:
    """A net with the deterministic weights, and these in the names of stable-audio-tools."""
    net = DiT(**(SIZES | more)).eval()
    sources = dit_sources(net)
    given = weights(foreign_shapes(net, sources))
    net.load_state_dict(converted(net, sources, given))
    return net, given


@pytest.fixture(scope="module")
def net() -> DiT:
    return made()[0]


@pytest.mark.parametrize(("present", "total", "mean", "elements"), [
    (None, -10.2296208888, 1.4939316459, {0: -1.1482857, 1: 1.4215525, 100: 1.7656101, 255: -5.2495461}),
    (PRESENT, -17.6051743674, 1.4902663293, {0: -1.9929268, 1: 2.0051775, 100: 1.5664804, 255: -4.5016561}),
])  # fmt: skip
def test_equals_the_reference(
    net: DiT, present: Tensor | None, total: float, mean: float, elements: Mapping[int, float]
) -> None:
    """Tokens that are not present were zeros for the reference."""
    with torch.no_grad():
        out = net(X, T, net.context(TOKENS, present, VECTOR), BESIDE)
    assert out.shape == X.shape
    assert out.double().sum().item() == pytest.approx(total, rel=2e-5)
    assert out.double().abs().mean().item() == pytest.approx(mean, rel=1e-6)
    for index, value in elements.items():
        assert out.flatten()[index].item() == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize(("config", "parameters"), [
    (SMALL, 43_816_064),
    ({**SMALL, "prefix_width": 512}, 44_340_352),
    ({**SMALL, "depth": 16}, 85_808_256),
    ({}, 1_056_939_136),
    ({"prefix_width": 1536}, 1_061_657_728),
])  # fmt: skip
def test_size_is_the_published_one(config: dict[str, Any], parameters: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in DiT(**config).parameters()) == parameters


def test_names_and_shapes_are_the_published_ones() -> None:
    with torch.device("meta"):
        net = DiT(prefix_width=1536, depth=1)
    shapes = foreign_shapes(net, dit_sources(net))
    assert shapes == {
        "timestep_features.weight": (128, 1),
        "to_timestep_embed.0.weight": (1536, 256), "to_timestep_embed.0.bias": (1536,),
        "to_timestep_embed.2.weight": (1536, 1536), "to_timestep_embed.2.bias": (1536,),
        "to_cond_embed.0.weight": (768, 768), "to_cond_embed.2.weight": (768, 768),
        "to_global_embed.0.weight": (1536, 1536), "to_global_embed.2.weight": (1536, 1536),
        "to_prepend_embed.0.weight": (1536, 1536), "to_prepend_embed.2.weight": (1536, 1536),
        "preprocess_conv.weight": (128, 128, 1), "postprocess_conv.weight": (64, 64, 1),
        "transformer.project_in.weight": (1536, 128), "transformer.project_out.weight": (64, 1536),
        "transformer.layers.0.pre_norm.gamma": (1536,), "transformer.layers.0.cross_attend_norm.gamma": (1536,),
        "transformer.layers.0.ff_norm.gamma": (1536,),
        "transformer.layers.0.self_attn.to_qkv.weight": (4608, 1536),
        "transformer.layers.0.self_attn.to_out.weight": (1536, 1536),
        "transformer.layers.0.cross_attn.to_q.weight": (1536, 1536),
        "transformer.layers.0.cross_attn.to_kv.weight": (1536, 768),
        "transformer.layers.0.cross_attn.to_out.weight": (1536, 1536),
        "transformer.layers.0.ff.ff.0.proj.weight": (12288, 1536),
        "transformer.layers.0.ff.ff.0.proj.bias": (12288,),
        "transformer.layers.0.ff.ff.2.weight": (1536, 6144), "transformer.layers.0.ff.ff.2.bias": (1536,),
    }  # fmt: skip


def norm(x: Tensor, gain: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], gain, eps=1e-5)


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, turned: bool) -> Tensor:
    """A loop over heads, with scores in view; query head h has key-value head h // (query heads a group)."""
    size, outs = q.shape[-1] // heads, []
    shared = heads * size // k.shape[-1]
    for h in range(heads):
        own, group = slice(h * size, (h + 1) * size), slice(h // shared * size, (h // shared + 1) * size)
        a, b = (turn(q[..., own]), turn(k[..., group])) if turned else (q[..., own], k[..., group])
        outs.append(torch.softmax(a @ b.transpose(1, 2) / math.sqrt(size), dim=-1) @ v[..., group])
    return torch.cat(outs, dim=-1)


def turn(x: Tensor) -> Tensor:
    """Channels i and i + 16 as a complex number, turned by position / 10000^(i / 16)."""
    z = torch.complex(x[..., :16], x[..., 16:32])
    angle = torch.arange(x.shape[1])[:, None] / 10_000 ** (torch.arange(16) / 16)
    z = z * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([z.real, z.imag, x[..., 32:]], dim=-1)


def straightforward(w: Mapping[str, Tensor], adaptive: bool) -> Tensor:
    """The whole forward pass written out on the tensors of stable-audio-tools."""

    def mlp(name: str, x: Tensor) -> Tensor:
        first, last = (f"{name}.{i}" for i in (0, 2))
        hidden = F.silu(F.linear(x, w[f"{first}.weight"], w.get(f"{first}.bias")))
        return F.linear(hidden, w[f"{last}.weight"], w.get(f"{last}.bias"))

    angles = 2 * math.pi * T[:, None] @ w["timestep_features.weight"].T
    told = mlp("to_timestep_embed", torch.cat([angles.cos(), angles.sin()], dim=1)) + mlp("to_global_embed", VECTOR)
    context, first = mlp("to_cond_embed", TOKENS), mlp("to_prepend_embed", PREFIX)
    x = torch.cat([X, BESIDE], dim=1)
    x = F.linear((x + F.conv1d(x, w["preprocess_conv.weight"])).transpose(1, 2), w["transformer.project_in.weight"])
    x = torch.cat([first, x] if adaptive else [first, told[:, None], x], dim=1)
    for i in range(2):
        p = f"transformer.layers.{i}."
        one, zero = torch.ones(1), torch.zeros(1)
        parts = [zero, zero, one, zero, zero, one]
        if adaptive:
            six = (mlp("transformer.global_cond_embedder", told) + w[f"{p}to_scale_shift_gate"])[:, None].chunk(6, -1)
            parts = [six[0], six[1], torch.sigmoid(1 - six[2]), six[3], six[4], torch.sigmoid(1 - six[5])]
        h = norm(x, w[f"{p}pre_norm.gamma"]) * (1 + parts[0]) + parts[1]
        q, k, v = F.linear(h, w[f"{p}self_attn.to_qkv.weight"]).chunk(3, dim=-1)
        x = x + parts[2] * F.linear(attend(q, k, v, 4, True), w[f"{p}self_attn.to_out.weight"])
        q = F.linear(norm(x, w[f"{p}cross_attend_norm.gamma"]), w[f"{p}cross_attn.to_q.weight"])
        k, v = F.linear(context, w[f"{p}cross_attn.to_kv.weight"]).chunk(2, dim=-1)
        x = x + F.linear(attend(q, k, v, 4, False), w[f"{p}cross_attn.to_out.weight"])
        h = norm(x, w[f"{p}ff_norm.gamma"]) * (1 + parts[3]) + parts[4]
        value, gate = F.linear(h, w[f"{p}ff.ff.0.proj.weight"], w[f"{p}ff.ff.0.proj.bias"]).chunk(2, dim=-1)
        x = x + parts[5] * F.linear(value * F.silu(gate), w[f"{p}ff.ff.2.weight"], w[f"{p}ff.ff.2.bias"])
    out = F.linear(x, w["transformer.project_out.weight"]).transpose(1, 2)[:, :, -16:]
    return out + F.conv1d(out, w["postprocess_conv.weight"])


@pytest.mark.parametrize("form", ["prepend", "adaLN"])
@pytest.mark.parametrize("projected", [False, True])
def test_both_forms_equal_the_equations(form: str, projected: bool) -> None:
    """With a prefix, and tokens at their own width (grouped heads) or projected to the net's."""
    net, given = made(global_conditioning=form, prefix_width=64, project_tokens=projected)
    with torch.no_grad():
        out = net(X, T, net.context(TOKENS, global_cond=VECTOR, prefix=PREFIX), BESIDE)
        expected = straightforward(given, form == "adaLN")
    assert out.shape == X.shape
    assert torch.allclose(out, expected, atol=2e-5 * float(expected.abs().max()))


def test_shortcuts_change_nothing(net: DiT) -> None:
    """Zeros in full against one zero raised by ln P, items left out, and keys and values used at two times."""
    present = torch.cat([PRESENT, torch.tensor([[1, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]]).bool()])
    tokens, vector, x, beside = (torch.cat([v, v.flip(0)]) for v in (TOKENS, VECTOR, X, BESIDE))
    with torch.no_grad():
        context = net.context(tokens, present, vector)
        whole = net.context(tokens * present[..., None], global_cond=vector)
        for t in (torch.full((4,), 0.8), torch.tensor([0.1, 0.2, 0.3, 0.4])):
            assert torch.allclose(net(x, t, context, beside), net(x, t, whole, beside), atol=1e-5)
    assert context.memories[0].key.shape == (3, 2, 7, 64)
    assert whole.memories[0].key.shape == (4, 2, 6, 64)
    assert context.memories[0].rows is not None
    assert context.memories[0].rows.tolist() == [0, 2, 3]
    learning = net.context(tokens, present, vector)
    assert learning.memories[0].rows is None  # with gradients no item is left out
    assert torch.allclose(net(x, t, learning, beside), net(x, t, whole, beside), atol=1e-5)


def test_an_item_without_tokens_is_not_told_of_them(net: DiT) -> None:
    nobody = torch.zeros_like(PRESENT)
    with torch.no_grad():
        silent, none = net.context(TOKENS, nobody, VECTOR), net.context(global_cond=VECTOR)
        assert silent.memories == none.memories == ()
        zeros = net.context(torch.zeros_like(TOKENS), global_cond=VECTOR)
        outs = [net(X, T, context, BESIDE) for context in (silent, none, zeros)]
        heard = net(X, T, net.context(TOKENS, global_cond=VECTOR), BESIDE)
    assert torch.equal(outs[0], outs[1])
    assert torch.allclose(outs[0], outs[2], atol=1e-6)
    assert (heard - outs[0]).abs().max() > 0.1


def test_with_no_tokens_at_all_every_parameter_still_gets_a_gradient(net: DiT) -> None:
    """Processes that exchange gradients must not wait for one whose whole batch dropped its text."""
    net.zero_grad()
    net(X, T, net.context(TOKENS, torch.zeros_like(PRESENT), VECTOR), BESIDE).square().sum().backward()
    without = [name for name, parameter in net.named_parameters() if parameter.grad is None]
    net.zero_grad()
    assert without == []


@pytest.mark.parametrize("form", ["prepend", "adaLN"])
def test_every_condition_is_heard_after_one_step(form: str) -> None:
    """A fresh net hears none, its branches end in zeros; a net that stayed so would learn without an error."""
    torch.manual_seed(0)
    net = DiT(**SIZES, prefix_width=64, global_conditioning=form)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    given = {"tokens": TOKENS, "global_cond": VECTOR, "prefix": PREFIX, "concat": BESIDE}

    def felt() -> dict[str, float]:
        inputs = {name: value.clone().requires_grad_() for name, value in given.items()}
        beside = inputs.pop("concat")
        loss = (net(X, T, net.context(**inputs), beside) - signal(X.shape, 9)).square().mean()
        grads = torch.autograd.grad(loss, [*inputs.values(), beside], retain_graph=True, allow_unused=True)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        norms = [0.0 if grad is None else float(grad.norm()) for grad in grads]
        return dict(zip((*inputs, "concat"), norms, strict=True))

    before, after = felt(), felt()
    assert before["concat"] > 0
    assert [before[name] for name in ("tokens", "global_cond", "prefix")] == [0.0, 0.0, 0.0]
    assert min(after.values()) > 0


@pytest.mark.parametrize(("config", "message"), [
    ({**SMALL, "token_width": 768}, r"512 / 8 heads = 64 .* 768 / 64 = 12 key-value heads, 8 query heads / 12 = 0.66"),
    ({**SMALL, "token_width": 520}, r"tokens of 520 / 64 = 8.125 key-value heads: not whole"),
    ({**SMALL, "heads": 7}, r"width 512 / 7 heads = 73.1429 channels a head: a whole number of at least 32"),
    ({**SMALL, "heads": 32}, r"= 16 channels a head: a whole number of at least 32"),
])  # fmt: skip
def test_an_impossible_chain_of_sizes_is_refused(config: dict[str, Any], message: str) -> None:
    """The first is the one that gives silent zeros in the reference; projecting the tokens mends it."""
    with torch.device("meta"), pytest.raises(RecipeError, match=message):
        DiT(**config)


def test_projected_tokens_may_have_any_width() -> None:
    with torch.device("meta"):
        net = DiT(**{**SMALL, "token_width": 768, "project_tokens": True})
    assert net.blocks[0].cross_attention.groups == 8


def test_half_precision_is_near(net: DiT) -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rough = net(X, T, net.context(TOKENS, PRESENT, VECTOR), BESIDE)
    with torch.no_grad():
        exact = net(X, T, net.context(TOKENS, PRESENT, VECTOR), BESIDE)
    assert (rough - exact).norm() < 0.05 * exact.norm()


def test_batch_item_equals_single_item(net: DiT) -> None:
    with torch.no_grad():
        both = net(X, T, net.context(TOKENS, PRESENT, VECTOR), BESIDE)
        for i in range(2):
            one = slice(i, i + 1)
            alone = net(X[one], T[one], net.context(TOKENS[one], PRESENT[one], VECTOR[one]), BESIDE[one])
            assert torch.allclose(alone, both[one], atol=1e-5)


def test_conditions_that_do_not_belong_are_refused(net: DiT) -> None:
    bare = DiT(**SIZES | {"token_width": 0, "global_width": 0, "concat_channels": 0})
    with torch.no_grad():
        assert bare(X, T).shape == X.shape
    with pytest.raises(ValueError, match="tokens is given, and this net takes none"):
        bare.context(TOKENS)
    with pytest.raises(ValueError, match="concat is given, and this net takes none"):
        bare(X, T, concat=BESIDE)
    with pytest.raises(ValueError, match="global_cond is missing, which this net was made for"):
        net.context(TOKENS)
    with pytest.raises(ValueError, match="present marks tokens, and none are given"):
        net.context(present=PRESENT, global_cond=VECTOR)
    with pytest.raises(ValueError, match="context.vector is missing"):
        net(X, T, Context(), BESIDE)
    with pytest.raises(ValueError, match="concat is missing"):
        net(X, T, net.context(global_cond=VECTOR))


def test_a_number_embedder_is_its_equation() -> None:
    torch.manual_seed(0)
    net = NumberEmbedder(6, 3, span=(0.0, 512.0))
    w = net.frequencies.detach()
    for value, share in ((0.0, 0.0), (128.0, 0.25), (512.0, 1.0), (700.0, 1.0), (-3.0, 0.0)):
        angles = 2 * math.pi * share * w
        expected = net.linear(torch.cat([torch.tensor([share]), angles.sin(), angles.cos()]))
        assert torch.allclose(net(torch.tensor([value]))[0], expected, atol=1e-6)
    assert sum(p.numel() for p in NumberEmbedder(768).parameters()) == 128 + 258 * 768
    with pytest.raises(RecipeError, match="holds one number"):
        NumberEmbedder(span=(1.0, 1.0))


@pytest.mark.parametrize(("kind", "tokens", "width"), [(LearnedRolloff, 2, 64), (FixedRolloff, 1, 32)])
def test_roll_offs_of_input_and_target_are_told_apart(kind: Any, tokens: int, width: int) -> None:
    torch.manual_seed(0)
    net, low, high = kind(32), torch.tensor([0.2, 0.5]), torch.tensor([0.9, 0.5])
    told, swapped = net(low, high), net(high, low)
    assert told.tokens.shape == (2, tokens, 32)
    assert told.global_cond.shape == (2, width)
    for one, other in ((told.tokens, swapped.tokens), (told.global_cond, swapped.global_cond)):
        assert (one[0] - other[0]).abs().max() > 0.01
        assert torch.equal(one[1], other[1])
    told.global_cond.square().sum().backward()
    assert all(p.grad is not None for name, p in net.named_parameters() if "token" not in name)


def test_roll_offs_of_the_input_alone_are_one_token_deaf_to_the_target() -> None:
    torch.manual_seed(0)
    net, low = LearnedRolloff(32, target=False), torch.tensor([0.2, 0.5])
    told, other = (net(low, target) for target in (torch.tensor([0.9, 0.5]), torch.zeros(2)))
    assert (told.tokens.shape, told.global_cond.shape, net.aims) == ((2, 1, 32), (2, 32), False)
    assert torch.equal(told.tokens, other.tokens)
    assert torch.equal(told.global_cond, other.global_cond)


def test_fixed_roll_offs_go_from_one_to_ten_thousand_periods() -> None:
    net = FixedRolloff(512)
    assert net.frequencies.shape == (256,)
    assert [net.frequencies[0].item(), net.frequencies[-1].item()] == pytest.approx([1.0, 10_000.0], rel=1e-4)
    with pytest.raises(RecipeError, match="give an even number"):
        FixedRolloff(7)
