"""Models of stable-audio-tools and diffusers: the JSON and its chain of sizes, weights under every prefix."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from auscult import recipe
from auscult.errors import CheckpointError
from auscult.hub.bundle import load_net
from auscult.hub.stable_audio import described, read_description
from auscult.hub.stable_audio_keys import (
    codec_sources,
    diffusers_codec_sources,
    diffusers_dit_sources,
    dit_sources,
    embedder_sources,
)
from auscult.hub.stable_audio_weights import parts, read_parts
from auscult.nets.dit import DiT
from auscult.nets.number_embedder import NumberEmbedder
from auscult.nets.oobleck import Oobleck
from tests.hub.containers import official

HALF = {"channels": 4, "c_mults": [1, 2], "strides": [2, 4], "use_snake": True}
FILE: dict[str, Any] = {
    "model_type": "diffusion_cond", "sample_size": 64, "sample_rate": 44_100, "audio_channels": 2,
    "training": {"use_ema": True, "any": "thing"},
    "model": {
        "pretransform": {
            "type": "autoencoder", "scale": 0.5, "iterate_batch": True,
            "config": {
                "encoder": {"type": "oobleck", "requires_grad": False,
                            "config": {**HALF, "in_channels": 2, "latent_dim": 16}},
                "decoder": {"type": "oobleck",
                            "config": {**HALF, "out_channels": 2, "latent_dim": 8, "final_tanh": False}},
                "bottleneck": {"type": "vae"}, "latent_dim": 8, "downsampling_ratio": 8, "io_channels": 2,
            },
        },
        "conditioning": {
            "cond_dim": 32,
            "configs": [
                {"id": "prompt", "type": "t5", "config": {"t5_model_name": "t5-base", "max_length": 128}},
                {"id": "rolloff_low", "type": "number", "config": {"min_val": 0, "max_val": 1}},
                {"id": "rolloff_high", "type": "number", "config": {"min_val": 0, "max_val": 1}},
            ],
        },
        "diffusion": {
            "type": "dit", "diffusion_objective": "rectified_flow",
            "cross_attention_cond_ids": ["prompt", "rolloff_low", "rolloff_high"],
            "global_cond_ids": ["rolloff_low", "rolloff_high"], "input_concat_ids": ["lr_latent"],
            "config": {"io_channels": 8, "input_concat_dim": 8, "embed_dim": 64, "depth": 2, "num_heads": 2,
                       "cond_token_dim": 32, "project_cond_tokens": False, "global_cond_dim": 64,
                       "transformer_type": "continuous_transformer"},
        },
        "io_channels": 8,
    },
}  # fmt: skip
NARROW = ("model.diffusion.config.input_concat_dim", 0)
"""Without a latent beside the noisy one, as the published text-to-audio model."""


def changed(*edits: tuple[str, Any]) -> dict[str, Any]:
    """The file with other values; ``...`` takes a key away."""
    file = copy.deepcopy(FILE)
    for dotted, value in edits:
        *way, last = dotted.split(".")
        node = file
        for part in way:
            node = node[part]
        if value is ...:
            del node[last]
        else:
            node[last] = value
    return file


DESCRIPTION = described(FILE)


def built(config: Mapping[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    net = recipe.plan(config, nn.Module, "net").build().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


@pytest.fixture(scope="module")
def nets() -> dict[str, Any]:
    numbers = {f"number.{number.id}": built(number.config) for number in DESCRIPTION.numbers}
    return {"dit": built(DESCRIPTION.dit), "codec": built(DESCRIPTION.codec), **numbers}


def unwrapped(nets: Mapping[str, Any]) -> dict[str, Tensor]:
    """A file as the program exports it: three parts, rotation rates, shifts of the norms, the text's projection."""
    state = official(nets["dit"], dit_sources(nets["dit"]), "model.model.")
    shifts = {key.replace("gamma", "beta"): torch.zeros(64) for key in state if key.endswith("gamma")}
    state |= {**shifts, "model.model.transformer.rotary_pos_emb.inv_freq": torch.ones(16)}
    state |= official(nets["codec"], codec_sources(nets["codec"]), "pretransform.model.")
    for name, net in nets.items():
        if name.startswith("number."):
            where = f"conditioner.conditioners.{name.removeprefix('number.')}.embedder.embedding."
            state |= official(net, embedder_sources(net), where)
    where = "conditioner.conditioners.prompt.proj_out."
    return state | {f"{where}weight": torch.randn(32, 768), f"{where}bias": torch.randn(32)}


def same(tensors: Mapping[str, Tensor], nets: Mapping[str, nn.Module]) -> bool:
    """Whether every net's tensors are among them, as they were."""
    own = {f"{name}.{key}": tensor for name, net in nets.items() for key, tensor in net.state_dict().items()}
    return all(torch.equal(tensors[key], tensor) for key, tensor in own.items())


def test_a_description_has_the_nets_and_the_facts(tmp_path: Path) -> None:
    path = tmp_path / "model_config.json"
    path.write_text(json.dumps(FILE))
    found = read_description(path)
    assert found.dit == {"type": "DiT", "channels": 8, "concat_channels": 8, "width": 64, "depth": 2, "heads": 2,
                         "token_width": 32, "project_tokens": False, "global_width": 64, "prefix_width": 0,
                         "global_conditioning": "prepend"}  # fmt: skip
    assert found.codec == {"type": "Oobleck", "audio_channels": 2, "channels": 4, "multipliers": (1, 2),
                           "strides": (2, 4), "latent": 8}  # fmt: skip
    assert (found.rate_hz, found.samples, found.objective, found.latent_scale) == (44_100, 64, "rectified_flow", 0.5)
    assert found.token_ids == ("prompt", "rolloff_low", "rolloff_high")
    assert (found.global_ids, found.concat_ids) == (("rolloff_low", "rolloff_high"), ("lr_latent",))
    (text,) = found.texts
    assert (text.id, text.encoder, text.max_tokens, text.width, text.projected) == ("prompt", "t5-base", 128, 768, True)
    assert [(n.id, n.config["span"]) for n in found.numbers] == [("rolloff_low", (0, 1)), ("rolloff_high", (0, 1))]
    assert isinstance(built(found.dit), DiT)
    assert isinstance(built(found.codec), Oobleck)
    assert isinstance(built(found.numbers[0].config), NumberEmbedder)


def test_the_defaults_are_those_of_the_program() -> None:
    """Tokens are projected where nothing is said, so that any width of theirs will do."""
    at = "model.diffusion.config"
    found = described(changed((f"{at}.project_cond_tokens", ...), ("model.diffusion.diffusion_objective", ...)))
    assert found.dit["project_tokens"] is True
    assert found.objective == "v"
    adaptive = described(changed((f"{at}.global_cond_type", "adaLN"), (f"{at}.prepend_cond_dim", 16)))
    assert (adaptive.dit["global_conditioning"], adaptive.dit["prefix_width"]) == ("adaLN", 16)


DIT, CODEC = "model.diffusion.config", "model.pretransform.config"


@pytest.mark.parametrize(("edit", "message"), [
    ((f"{DIT}.num_heads", 3), r"width 64 / 3 heads = 21\.3333 channels a head"),
    ((f"{DIT}.cond_token_dim", 48), r"cond_token_dim 48 is not cond_dim 32; .*1\.5 key-value heads: not whole"),
    (("model.conditioning.cond_dim", 16), "cond_token_dim 32 is not cond_dim 16; .* 64 is not 2 x cond_dim 16"),
    ((f"{DIT}.global_cond_dim", 32), "global_cond_dim 32 is not 2 x cond_dim 32"),
    ((f"{DIT}.input_concat_dim", 4), "input_concat_dim 4 is not io_channels or 0 8"),
    ((f"{DIT}.io_channels", 16), "io_channels of the DiT 16 is not the codec's latent_dim 8"),
    (("model.io_channels", 4), "io_channels of the model 4 is not the codec's latent_dim 8"),
    ((f"{CODEC}.encoder.config.latent_dim", 8), "the encoder's latent_dim 8 is not twice the decoder's 16"),
    ((f"{CODEC}.latent_dim", 4), "the codec's latent_dim 4 is not the decoder's 8"),
    ((f"{CODEC}.downsampling_ratio", 16), "downsampling_ratio 16 is not the product of the strides 8"),
    ((f"{CODEC}.decoder.config.strides", [4, 2]), "decoder channels, c_mults and strides .* is not the encoder's"),
    (("audio_channels", 1), "audio_channels 1 is not in_channels of the encoder 2"),
    (("sample_size", 60), "sample_size 60 is no multiple of 8"),
    (("model.diffusion.global_cond_ids", ["rolloff_low", "x"]), r"global_cond_ids: no x in conditioning.configs"),
    (("model.diffusion.prepend_cond_ids", ["prompt"]), "prepend_cond_dim 0 is not cond_dim 32"),
])  # fmt: skip
def test_a_broken_link_is_named_with_the_whole_chain(edit: tuple[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=f"sizes that do not fit: .*{message}") as caught:
        described(changed(edit))
    said = str(caught.value)
    assert "The chain is: audio_channels" in said
    assert said.count(" -> ") == 6


def test_the_silent_zero_of_cross_attention_is_refused() -> None:
    """512 / 8 heads with conditions of 768: the program that reads these files builds a net that hears nothing."""
    edits = {f"{DIT}.embed_dim": 512, f"{DIT}.num_heads": 8, f"{DIT}.cond_token_dim": 768,
             f"{DIT}.global_cond_dim": 1536, "model.conditioning.cond_dim": 768}  # fmt: skip
    with pytest.raises(CheckpointError, match=r"8 query heads / 12 = 0\.666667 each: .* would not be heard"):
        described(changed(*edits.items()))
    assert described(changed(*edits.items(), (f"{DIT}.project_cond_tokens", True))).dit["project_tokens"]


def test_a_global_vector_that_is_not_projected_has_the_nets_width() -> None:
    edits = ((f"{DIT}.project_global_cond", False), (f"{DIT}.embed_dim", 128), (f"{DIT}.num_heads", 4))
    with pytest.raises(CheckpointError, match="global_cond_dim 64 is not projected and not embed_dim 128"):
        described(changed(*edits))


@pytest.mark.parametrize(("edit", "message"), [
    ((f"{DIT}.detph", 3), r"model\.diffusion\.config\.detph: Extra inputs"),
    ((f"{DIT}.patch_size", 2), r"patch_size: Input should be 1"),
    ((f"{DIT}.transformer_type", ...), r"transformer_type: Field required"),
    ((f"{DIT}.attn_kwargs", {"qk_norm": "ln"}), r"attn_kwargs\.qk_norm: Input should be 'none'"),
    ((f"{CODEC}.decoder.config.final_tanh", ...), r"final_tanh: Field required"),
    ((f"{CODEC}.encoder.type", "dac"), r"encoder\.type: Input should be 'oobleck'"),
    (("model_type", "autoencoder"), r"model_type: Input should be 'diffusion_cond'"),
])  # fmt: skip
def test_what_is_not_supported_is_named(edit: tuple[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=f"not supported: .*{message}"):
        described(changed(edit))


def test_what_is_no_json_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"a\.json: not a JSON file"):
        read_description(tmp_path / "a.json")
    (tmp_path / "b.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"b\.json: a model JSON .* file: Input should be"):
        read_description(tmp_path / "b.json")


def test_an_unwrapped_file_fills_every_net(nets: dict[str, Any], tmp_path: Path) -> None:
    state = unwrapped(nets)
    save_file(state, tmp_path / "model.safetensors")
    torch.save({"state_dict": state}, tmp_path / "model.ckpt")
    for name in ("model.safetensors", "model.ckpt"):
        found = read_parts(tmp_path / name, DESCRIPTION)
        assert same(found.tensors, nets)
        assert torch.equal(
            found.tensors["text.prompt.weight"], state["conditioner.conditioners.prompt.proj_out.weight"]
        )
        assert (found.absent, found.ignored) == ((), ())
        assert found.notes[0] == "dit: stable-audio-tools, names model.model.*"
    fresh = recipe.plan(DESCRIPTION.dit, nn.Module, "net").build()
    own = {key.removeprefix("dit."): tensor for key, tensor in found.tensors.items() if key.startswith("dit.")}
    load_net(fresh, own, "file")
    x = torch.randn(1, 8, 5)
    told = {"tokens": torch.randn(1, 3, 32), "global_cond": torch.randn(1, 64)}
    with torch.no_grad():
        outs = [net(x, torch.tensor([0.5]), net.context(**told), x) for net in (fresh, nets["dit"])]
    assert torch.equal(*outs)


@pytest.mark.parametrize(("raw", "averaged"), [
    ("diffusion.", "diffusion_ema.ema_model.model."),
    ("model.", "model_ema.ema_model.model."),
])  # fmt: skip
def test_a_training_state_gives_raw_and_averaged_weights(nets: dict[str, Any], raw: str, averaged: str) -> None:
    dit = official(nets["dit"], dit_sources(nets["dit"]))
    state = {f"{raw}{key}": tensor for key, tensor in unwrapped(nets).items()}
    state |= {f"{averaged}{key}": 0.5 * tensor for key, tensor in dit.items()}
    state |= {"rolloff_conditioner.global_norm.weight": torch.ones(3), "diffusion_ema.step": torch.tensor(4)}
    found = parts(state, DESCRIPTION)
    assert same(found.tensors, nets)
    own = nets["dit"].state_dict()
    assert all(torch.equal(found.tensors[f"ema.dit.{key}"], 0.5 * tensor) for key, tensor in own.items())
    assert found.ignored == ("diffusion_ema.step", "rolloff_conditioner.global_norm.weight")
    assert f"ema.dit: stable-audio-tools, names {averaged}*" in found.notes


def test_files_of_diffusers_hold_a_part_each(nets: dict[str, Any]) -> None:
    dit = official(nets["dit"], diffusers_dit_sources(nets["dit"]))
    dit |= {"transformer_blocks.1.norm3.bias": torch.zeros(64)}
    found = parts(dit, DESCRIPTION)
    assert same(found.tensors, {"dit": nets["dit"]})
    assert found.absent == ("codec", "number.rolloff_low", "number.rolloff_high", "text.prompt")
    codec = official(nets["codec"], diffusers_codec_sources(nets["codec"]))
    codec = {key: tensor[None, :, None] if key.endswith(("alpha", "beta")) else tensor for key, tensor in codec.items()}
    assert codec["decoder.block.0.conv_t1.weight_v"].shape == (8, 4, 8)
    assert codec["encoder.block.1.res_unit2.snake1.alpha"].shape == (1, 4, 1)
    assert same(parts(codec, DESCRIPTION).tensors, {"codec": nets["codec"]})


def test_new_names_of_weight_normalisation_are_known(nets: dict[str, Any]) -> None:
    codec = official(nets["codec"], codec_sources(nets["codec"]), "autoencoder.")
    old = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    leaf = {key: key.rpartition(".")[2] for key in codec}
    new = {key.replace(leaf[key], old.get(leaf[key], leaf[key])): tensor for key, tensor in codec.items()}
    assert same(parts(new, DESCRIPTION).tensors, {"codec": nets["codec"]})


def test_trained_shifts_of_norms_are_refused(nets: dict[str, Any]) -> None:
    dit = official(nets["dit"], diffusers_dit_sources(nets["dit"]))
    with pytest.raises(CheckpointError, match=r"norms with trained shifts \(transformer_blocks\.1\.norm3\.bias\)"):
        parts({**dit, "transformer_blocks.1.norm3.bias": torch.ones(64)}, DESCRIPTION)


@pytest.mark.parametrize("theirs", [dit_sources, diffusers_dit_sources])
def test_a_model_without_a_latent_beside_is_widened_and_gives_the_same(theirs: Any) -> None:
    narrow = built(described(changed(NARROW)).dit)
    found = parts(official(narrow, theirs(narrow)), DESCRIPTION)
    assert found.notes[0].endswith("its entrance was widened with zeros")
    wide = recipe.plan(DESCRIPTION.dit, nn.Module, "net").build().eval()
    load_net(wide, {key.removeprefix("dit."): tensor for key, tensor in found.tensors.items()}, "file")
    x, t = torch.randn(2, 8, 9), torch.tensor([0.2, 0.7])
    told = {"tokens": torch.randn(2, 3, 32), "global_cond": torch.randn(2, 64)}
    with torch.no_grad():
        before = narrow(x, t, narrow.context(**told))
        after = wide(x, t, wide.context(**told), concat=torch.randn_like(x))
    assert torch.allclose(after, before, atol=1e-5)


def test_missing_tensors_other_sizes_and_doubles_are_refused(nets: dict[str, Any], tmp_path: Path) -> None:
    state = official(nets["dit"], dit_sources(nets["dit"]), "model.model.")
    cut = {key: tensor for key, tensor in state.items() if "layers.1.ff" not in key}
    torch.save(cut, tmp_path / "cut.ckpt")
    with pytest.raises(
        CheckpointError, match=r"cut\.ckpt: .*DiT.*: 5 are missing, the first transformer\.layers\.1\.ff"
    ):
        read_parts(tmp_path / "cut.ckpt", DESCRIPTION)
    key = "model.model.to_global_embed.0.weight"
    with pytest.raises(
        CheckpointError, match=r"to_global_embed\.0\.weight has the shape \(64, 3\), expected is \(64, 64\)"
    ):
        parts({**state, key: torch.zeros(64, 3)}, DESCRIPTION)
    double = {**state, **{f"other.{key}": tensor for key, tensor in state.items()}}
    with pytest.raises(CheckpointError, match=r"dit is in it twice, as model\.model\.\* and other\.model\.model\.\*"):
        parts(double, DESCRIPTION)
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match=r"no part of a model of stable-audio-tools .*it has weights"):
        read_parts(tmp_path / "other.ckpt", DESCRIPTION)
