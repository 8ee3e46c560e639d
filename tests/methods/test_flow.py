"""Super-resolution by rectified flow: what is learned, what is withheld, what is heard, and what is refused."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from auscult import recipe
from auscult.data.captions import as_bytes
from auscult.data.pairs import PairBatch
from auscult.errors import RecipeError, RestorationError
from auscult.methods.base import Batch, Method
from auscult.methods.flow import FlowModel
from auscult.methods.flow_conditions import FlowConditioning
from auscult.nets.flow_net import ConditionedDiT, Told
from auscult.nets.text_encoder import HashedWords, T5Text
from auscult.rng import Draws
from tests.noise import shaken

DIT = {"type": "DiT", "channels": 32, "concat_channels": 32, "width": 64, "depth": 2, "heads": 2, "token_width": 32,
       "global_width": 64}  # fmt: skip
TRANSFORMER: dict[str, Any] = {
    "type": "FlowModel",
    "features": {"type": "SpectralFrames", "stft": {"type": "CompressedSTFT", "n_fft": 30, "hop": 16}},
    "net": {"type": "ConditionedDiT", "dit": DIT, "text": {"type": "HashedWords", "width": 32, "buckets": 64},
            "rolloff": {"type": "LearnedRolloff", "width": 32, "features": 8}},
    "sampler": {"type": "FlowEuler", "steps": 2},
}  # fmt: skip
U_NET: dict[str, Any] = {
    "type": "FlowModel",
    "features": {"type": "UpperBand", "stft": {"type": "CompressedSTFT", "n_fft": 62, "hop": 32}, "from_bin": 16,
                 "frame_grid": 2},
    "net": {"type": "SpectralFlow",
            "net": {"type": "NCSNpp", "channels": 8, "multipliers": [1, 1], "blocks": 1, "attention_heights": [],
                    "bins": 16, "time_scaling": "none", "sources": 3}},
    "sampler": {"type": "FlowMultistep", "steps": 2},
    "conditioning": {"null_low": 0.0},
}  # fmt: skip
LATENT: dict[str, Any] = {
    "type": "FlowModel",
    "features": {"type": "Latents", "untrained": True, "frames_at_once": None, "scale": 0.5,
                 "codec": {"type": "Oobleck", "channels": 2, "multipliers": [1, 2], "strides": [2, 4], "latent": 4}},
    "net": {"type": "ConditionedDiT", "seconds": 32, "dit": DIT | {"channels": 4, "concat_channels": 4, "depth": 1}},
    "sampler": {"type": "FlowHeun", "steps": 2},
}  # fmt: skip
BANDS: dict[str, Any] = {
    **TRANSFORMER,
    "features": {"type": "SpectralFrames", "stft": {"type": "CompressedSTFT", "n_fft": 62, "hop": 32}, "from_bin": 16,
                 "level_from": 8},
    "net": {**TRANSFORMER["net"], "dit": DIT | {"concat_channels": 64}},
}  # fmt: skip
LEVELLED: dict[str, Any] = {**U_NET, "features": {**U_NET["features"], "level_from": 8}}
ALL = {"transformer": TRANSFORMER, "upper frames": BANDS, "u-net": U_NET, "levelled u-net": LEVELLED, "latent": LATENT}


def built(node: dict[str, Any], **more: Any) -> FlowModel:
    torch.manual_seed(0)
    method: FlowModel = recipe.plan({**node, **more}, Method, "method").build()
    return method


def batch(items: int = 4, **conditions: np.ndarray) -> Batch:
    rng = np.random.default_rng(0)
    clean, noisy = (0.3 * rng.standard_normal((items, 1, 640)).astype(np.float32) for _ in range(2))
    ones = np.ones(items, np.int64)
    pairs = PairBatch(clean, noisy, 640 * ones, 0 * ones, ones > 0, tuple(range(items)), ("",) * items, ((),) * items,
                      conditions=conditions)  # fmt: skip
    return Batch.of(pairs, built(TRANSFORMER).normalise)


@pytest.mark.parametrize("node", ALL.values(), ids=ALL)
def test_examples_are_on_the_straight_path(node: dict[str, Any]) -> None:
    """x_t = (1 - t) z + t eps and v = eps - z, so x - t v = z: that of the clean side, mean squared error of v."""
    method, given = built(node), batch()
    shared = method.forward(method.nets(), given, Draws(range(4)))
    z = method.path.clean_from_velocity(shared.velocity, shared.x, shared.t)
    if node is not LATENT:
        assert torch.allclose(z, method.features.encode(given.clean, given.noisy), atol=1e-4)
    draws = Draws(range(4))
    if node is LATENT:  # the codec's posterior is sampled in training, of both sides
        stereo = given.clean.expand(-1, 2, -1)
        sampled = method.features.encode(stereo, stereo, draws)
        method.features.beside(given.noisy.expand(-1, 2, -1), draws)
        assert torch.allclose(z, sampled, atol=1e-4)
    t = method._times.draw(draws, torch.device("cpu"))
    assert torch.equal(t, shared.t)
    assert torch.allclose(shared.velocity + z, draws.normal_like(z), atol=1e-4)
    loss = method.loss("net", method.nets(), given, shared, Draws(range(4)))
    predicted = method.nets()["net"](shared.x, shared.t, shared.beside, shared.told)
    error = predicted - shared.velocity
    error = torch.view_as_real(error) if error.is_complex() else error
    assert loss.total.item() == pytest.approx(error.square().mean().item(), rel=1e-5)


def test_withheld_conditions_are_the_nulls_of_restoration() -> None:
    """Coins fall alone; a withheld signal is -5 everywhere, withheld tokens are silent, numbers in the vector stay."""
    method, given = built(TRANSFORMER), batch(4)
    settings = FlowConditioning(drop_low=0.3, drop_told=0.2)
    told = settings.told(method._net, given.conditions, given.noisy, 16_000)
    beside = method.features.beside(given.noisy)
    lows, tokens = [], []
    for i in range(100):
        got, low, notes = settings.dropped(told, beside, Draws(range(4 * i, 4 * i + 4)))
        null = (low == -5.0).flatten(1).all(1)
        assert torch.equal(low[~null], beside[~null])
        assert notes == {"dropped_low": pytest.approx(null.float().mean()),
                         "dropped_told": pytest.approx(1 - got.heard.float().mean())}  # fmt: skip
        lows.append(null)
        tokens.append(~got.heard)
    low, token = torch.cat(lows).float(), torch.cat(tokens).float()
    assert low.mean().item() == pytest.approx(0.3, abs=3 * (0.21 / 400) ** 0.5)
    assert token.mean().item() == pytest.approx(0.2, abs=3 * (0.16 / 400) ** 0.5)
    assert (low * token).mean().item() == pytest.approx(0.06, abs=0.04)


def test_drop_out_moves_no_other_draw() -> None:
    shared = [
        built(TRANSFORMER, conditioning={"drop_low": p, "drop_told": p}).forward({}, batch(), Draws(range(4)))
        for p in (0.0, 0.9)
    ]
    assert torch.equal(shared[0].x, shared[1].x)
    assert torch.equal(shared[0].t, shared[1].t)
    assert not torch.equal(shared[0].beside, shared[1].beside)


@pytest.mark.parametrize("role", ["both", "tokens", "vector"])
def test_every_condition_is_heard_after_one_step(role: str) -> None:
    """At first the transformer's silent outputs hide them all; one step later each has a gradient."""
    node = copy.deepcopy(TRANSFORMER)
    node["net"]["rolloff_role"] = role
    node["net"]["dit"]["global_width"] = 0 if role == "tokens" else 64
    method = built(node, conditioning={"drop_low": 0.0, "drop_told": 0.0})
    net = method.nets()["net"]
    assert isinstance(net, ConditionedDiT)
    texts = np.stack([as_bytes(text) for text in ("a dog", "rain", "a man", "")])
    given = batch(4, text=texts, rolloff_source=np.full(4, 0.4, np.float32), rolloff_target=np.full(4, 0.9, np.float32))
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(3):
        optimiser.zero_grad()
        method.loss("net", {"net": net}, given, method.forward({}, given, Draws(range(4))), Draws([])).total.backward()
        if step < 2:
            optimiser.step()
    assert net.text is not None
    assert net.rolloff is not None
    for part in (net.text, net.rolloff.source, net.rolloff.target):
        assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in part.parameters())


def test_branches_in_one_batch_equal_branches_alone() -> None:
    """The accelerated call (one batch, context once, null tokens skipped) and the formula, answer by answer."""
    scales = {"guidance_low": 1.4, "guidance_told": 1.2}
    method = built(TRANSFORMER, conditioning=scales, sampler={"type": "FlowEuler", "steps": 1})
    net = method.nets()["net"].eval()
    assert isinstance(net, ConditionedDiT)
    shaken(net)
    low = batch(2).noisy
    given = {"text": torch.from_numpy(np.stack([as_bytes("one dog"), as_bytes("")])),
             "rolloff_target": torch.tensor([0.5, 0.9])}  # fmt: skip
    with torch.inference_mode():
        wave = method.restore({"net": net}, low, Draws([1, 2]), given)
        told, beside = method._conditioning.told(net, given, low, 16_000), method.features.beside(low)
        noise, t = Draws([1, 2]).normal_like(beside), torch.ones(2)
        none = torch.ones(2, dtype=torch.bool)
        u = [
            net(noise, t, torch.full_like(beside, -5.0), told.withheld(none)),
            net(noise, t, beside, told.withheld(none)),
            net(noise, t, beside, told),
        ]
        velocity = -0.4 * u[0] + 0.2 * u[1] + 1.2 * u[2]
        expected = method.features.decode(noise - velocity, low)
    assert torch.allclose(wave, expected, atol=1e-4 * float(expected.abs().max()))
    assert not torch.allclose(u[1], u[2])


def test_guidance_within_an_interval_is_guidance_there_and_one_answer_elsewhere() -> None:
    """At 0.75 and 0.5 of 1, 0.75, 0.5, 0.25: three answers there, one at the other times; the formula step by step."""
    sampler = {"type": "FlowEuler", "steps": 4, "grid": {"type": "UniformGrid"}}
    scales = {"guidance_low": 1.4, "guidance_told": 1.2, "guidance_interval": [0.5, 0.8]}
    method = built(TRANSFORMER, conditioning=scales, sampler=sampler)
    net = method.nets()["net"].eval()
    assert isinstance(net, ConditionedDiT)
    shaken(net)
    low, given = batch(2).noisy, {"text": torch.from_numpy(np.stack([as_bytes("one dog"), as_bytes("two")]))}
    rows: list[int] = []
    noting = net.register_forward_hook(lambda _net, _given, answer: rows.append(len(answer)))
    with torch.inference_mode():
        wave = method.restore({"net": net}, low, Draws([1, 2]), given)
        noting.remove()
        told, beside = method._conditioning.told(net, given, low, 16_000), method.features.beside(low)
        x, none = Draws([1, 2]).normal_like(beside), torch.ones(2, dtype=torch.bool)
        for time in (1.0, 0.75, 0.5, 0.25):
            t, withheld = torch.full((2,), time), told.withheld(none)
            velocity = net(x, t, beside, told)
            if 0.5 <= time <= 0.8:
                null, alone = (net(x, t, one, withheld) for one in (torch.full_like(beside, -5.0), beside))
                velocity = -0.4 * null + 0.2 * alone + 1.2 * velocity
            x = x - 0.25 * velocity
        expected = method.features.decode(x, low)
    assert rows == [2, 6, 6, 2]
    assert torch.allclose(wave, expected, atol=1e-4 * float(expected.abs().max()))


def test_roll_offs_may_stand_before_the_frames_as_well() -> None:
    """A prefix token more, which moves the answer and learns; its width is checked with the chain."""
    node = {**TRANSFORMER, "net": {**TRANSFORMER["net"], "prefix": True, "dit": DIT | {"prefix_width": 64}}}
    method, given = built(node), batch()
    net = method.nets()["net"]
    assert isinstance(net, ConditionedDiT)
    assert net.chain.endswith("token_width 32 and global_width 64, prefix_width 64")
    shaken(net)
    shared = method.forward(method.nets(), given, Draws(range(4)))
    context = net.context(shared.told)
    assert context.prefix is not None
    assert context.prefix.shape == (4, 1, 64)
    without = net.dit(shared.x, shared.t, replace(context, prefix=torch.zeros_like(context.prefix)), shared.beside)
    assert not torch.allclose(net(shared.x, shared.t, shared.beside, shared.told), without)
    method.loss("net", method.nets(), given, shared, Draws(range(4))).total.backward()
    assert net.dit.prefix_embed is not None
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.dit.prefix_embed.parameters())
    with pytest.raises(RecipeError, match="the prefix 64; set dit.token_width, dit.global_width and dit.prefix_width"):
        built({**node, "net": {**node["net"], "dit": DIT}})


@pytest.mark.parametrize("node", ALL.values(), ids=ALL)
def test_items_do_not_mix_and_lengths_stay(node: dict[str, Any]) -> None:
    method = built(node)
    shaken(method.nets()["net"])
    low = batch(3).noisy[..., :333]
    with torch.inference_mode():
        together = method.restore(method.nets(), low, Draws([1, 2, 3]))
        alone = method.restore(method.nets(), low[1:2], Draws([2]))
    assert together.shape == low.shape
    assert torch.allclose(together[1:2], alone, atol=1e-4 * float(alone.abs().max()))


def test_stereo_codecs_take_two_channels_or_one() -> None:
    method = built(LATENT)
    assert method.restore(method.nets(), torch.randn(2, 2, 333), Draws([1, 2])).shape == (2, 2, 333)
    with pytest.raises(RestorationError, match="2 channels at a time, or one; these are 3"):
        method.restore(method.nets(), torch.randn(1, 3, 333), Draws([1]))


def test_a_codec_nobody_trained_is_no_ground_to_learn_on() -> None:
    node = copy.deepcopy(LATENT)
    node["features"]["untrained"] = False
    method = built(node)
    with pytest.raises(RecipeError, match="random weights.*--init-from"):
        method.forward(method.nets(), batch(), Draws(range(4)))
    codec = method.nets()["codec"]
    codec.load_state_dict(codec.state_dict() | {"trained": torch.tensor(True)})
    assert method.forward(method.nets(), batch(), Draws(range(4))).x.shape == (4, 4, 80)
    assert not any(parameter.requires_grad for parameter in codec.parameters())


@pytest.mark.parametrize(("change", "message"), [
    ({"net": {**TRANSFORMER["net"], "text": {"type": "HashedWords", "width": 48}}},
     r"HashedWords 48, LearnedRolloff 2 x 32, vector 64 -> DiT of token_width 32 and global_width 64: .*\[32, 48\]"),
    ({"net": {**TRANSFORMER["net"], "rolloff": None}}, "the vector 0"),
    ({"features": {"type": "SpectralFrames", "stft": {"type": "CompressedSTFT", "n_fft": 62, "hop": 16}}},
     "features give 64 channels and 64 beside, net.dit has channels 32"),
    ({"conditioning": {"drop_low": 0.0, "guidance_low": 1.4}}, "guidance_low 1.4 needs an answer without the low"),
    ({"conditioning": {"drop_told": 0.0, "guidance_told": 1.2}}, "needs an answer without tokens"),
    ({"sampler": {"type": "BridgeODE"}}, "SBVE"),
])  # fmt: skip
def test_what_cannot_be(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        built(TRANSFORMER, **change)


def test_an_upper_band_in_multiples_of_the_level_below() -> None:
    """What is generated is the same however loud a moment is; it decodes to the clean band; silence stays silent."""
    features, given = built(LEVELLED).features, batch()
    clean, low = given.clean, given.noisy
    z = features.encode(clean, low)
    louder = torch.linspace(0.25, 4.0, clean.shape[-1])
    moved = features.encode(clean * louder, low * louder)
    ratio = (moved.abs() / z.abs())[..., 2:-2]
    assert 0.8 < ratio.median() < 1.25
    assert torch.allclose(features.encode(1000 * clean, 1000 * low), features.encode(100 * clean, 100 * low), rtol=0.02)
    assert torch.allclose(features.decode(features.encode(clean, clean), clean), clean, atol=1e-4)
    silence = torch.zeros_like(low)
    assert features.encode(silence, silence).abs().max() == 0.0
    assert features.decode(torch.ones_like(z), silence).abs().max() < 1e-4


def test_a_u_net_of_other_sources_is_refused() -> None:
    node = copy.deepcopy(U_NET)
    node["net"]["net"]["sources"] = 2
    with pytest.raises(RecipeError, match="sources is 2, features give 1 complex maps and 2 beside; set it to 3"):
        built(node)
    with pytest.raises(RecipeError, match="leaves none to generate"):
        built(U_NET, features={**U_NET["features"], "from_bin": 32})
    with pytest.raises(RecipeError, match="level_from: 16 lies not below from_bin, 16"):
        built(U_NET, features={**U_NET["features"], "level_from": 16})


@pytest.mark.parametrize("key", ["rolloff_source", "rolloff_target"])
def test_rolloffs_lie_between_0_and_1(key: str) -> None:
    method = built(TRANSFORMER)
    with pytest.raises(RestorationError, match="lies in 0 to 1"):
        method.restore(method.nets(), torch.randn(1, 1, 333), Draws([1]), {key: torch.tensor([1.2])})


def texts(*given: str) -> Tensor:
    return torch.from_numpy(np.stack([as_bytes(text) for text in given]))


def test_hashed_words() -> None:
    """Words have their own vectors wherever they stand and however they are written; what is not there is padding."""
    torch.manual_seed(0)
    encoder = HashedWords(8, buckets=4096, max_tokens=3)
    spoken = encoder(texts("A dog, barks", "dog", "", "one two three four"))
    assert spoken.present.tolist() == [[True] * 3, [True, False, False], [False] * 3, [True] * 3]
    assert torch.equal(spoken.tokens[0, 1], spoken.tokens[1, 0])
    assert not torch.equal(spoken.tokens[0, 0], spoken.tokens[0, 1])


def test_t5_pads_to_its_length_and_stays_out_of_the_checkpoint(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1, "dog": 2, "rain": 3}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>")
    fast.save_pretrained(tmp_path)
    torch.manual_seed(0)
    config = transformers.T5Config(vocab_size=8, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    model = transformers.T5EncoderModel(config).eval()
    model.save_pretrained(tmp_path)
    encoder = T5Text(tmp_path, width=8, own_width=16, max_tokens=6)
    spoken = encoder(texts("dog rain", "dog"))
    assert spoken.present.sum(1).tolist() == [2, 1]
    assert spoken.tokens.shape == (2, 6, 8)
    own = model(torch.tensor([[2, 3]])).last_hidden_state
    assert torch.allclose(spoken.tokens[0, :2], encoder.project(own)[0], atol=1e-5)  # type: ignore[misc]
    assert sorted(encoder.state_dict()) == ["project.bias", "project.weight"]
    with pytest.raises(RecipeError, match="own_width is 32, the T5 in .* 16"):
        T5Text(tmp_path, own_width=32)(texts("dog"))
    with pytest.raises(RecipeError, match="holds no T5 .*--set net.text.folder"):
        T5Text(tmp_path / "nowhere")(texts("dog"))


def test_told_joins_and_withholds() -> None:
    ones = torch.ones(2)
    told = Told(ones.bool(), torch.zeros(2, 3).long(), ones, ones, torch.ones(2, 2))
    withheld = told.withheld(torch.tensor([True, False]))
    assert Told.joined([told, withheld]).heard.tolist() == [True, True, False, True]
