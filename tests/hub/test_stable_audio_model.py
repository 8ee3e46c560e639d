"""The model JSON of stable-audio-tools with its weights becomes a method of ours, whole and in its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from auscult import recipe
from auscult.errors import CheckpointError
from auscult.hub.opening import open_method
from auscult.hub.sources import foreign_shapes
from auscult.hub.stable_audio import Description, described
from auscult.hub.stable_audio_keys import codec_sources, dit_sources, embedder_sources
from auscult.hub.stable_audio_model import read_model
from auscult.nets.flow_net import ConditionedDiT
from auscult.rng import Draws
from tests.hub.test_stable_audio import changed
from tests.parity.stable_audio_layout import weights
from tests.processes import Run

T5 = ("model.conditioning.configs", [
    {"id": "seconds_start", "type": "number", "config": {"min_val": 0, "max_val": 512}},
    {"id": "seconds_total", "type": "number", "config": {"min_val": 0, "max_val": 512}},
])  # fmt: skip


def state_of(said: Description) -> dict[str, Tensor]:
    """Every tensor that a description wants, under the names of stable-audio-tools."""

    def net(config: Any) -> Any:
        return recipe.plan(config, nn.Module, "net").build()

    made: dict[str, Tensor] = {}
    for prefix, part, sources in (
        ("model.model.", net(said.dit), dit_sources),
        ("pretransform.model.", net(said.codec), codec_sources),
    ):
        made |= {prefix + key: tensor for key, tensor in weights(foreign_shapes(part, sources(part))).items()}
    for number in said.numbers:
        part, behind = net(number.config), f"conditioner.conditioners.{number.id}.embedder.embedding."
        found = weights(foreign_shapes(part, embedder_sources(part)))
        made |= {behind + key: tensor for key, tensor in found.items()}
    for text in said.texts:
        sizes = {"weight": (said.width, text.width), "bias": (said.width,)}
        found = weights(sizes) if text.projected else {}
        made |= {f"conditioner.conditioners.{text.id}.proj_out.{key}": tensor for key, tensor in found.items()}
    return made


def files(folder: Path, given: dict[str, Any]) -> tuple[Path, Path]:
    (folder / "model.json").write_text(json.dumps(given))
    save_file(state_of(described(given)), str(folder / "w.safetensors"))
    return folder / "model.json", folder / "w.safetensors"


def test_a_model_is_converted_and_opens(tmp_path: Path, auscult: Run) -> None:
    """Tensors lie where they belong, the codec counts as trained, and the net answers."""
    model, given = files(tmp_path, changed())
    target = tmp_path / "ours.safetensors"
    code, out, err = auscult("convert", model, target, "--weights", given, "--text", tmp_path / "t5")
    assert (code, err) == (0, "")
    assert "note: audio_channels 2 at 44100 Hz -> " in out
    assert "the weights of t5-base are not in it" in out.replace("\n", " ")
    method, nets, _ = open_method(target)
    theirs, net = state_of(described(changed())), nets["net"]
    assert isinstance(net, ConditionedDiT)
    assert (net.hears, net.rolloff_role) == ({"text", "rolloff"}, "both")
    behind = "conditioner.conditioners.rolloff_high.embedder.embedding.0.weights"
    assert net.rolloff is not None
    assert torch.equal(net.rolloff.target.frequencies, theirs[behind])
    assert torch.equal(net.dit.project_in.weight, theirs["model.model.transformer.project_in.weight"])
    assert bool(nets["codec"].trained)
    net.text = None  # its weights are elsewhere
    with torch.inference_mode():
        assert torch.isfinite(method.restore(nets, torch.randn(1, 2, 500), Draws([0]))).all()


def test_stable_audio_hears_seconds_and_is_only_a_start(tmp_path: Path) -> None:
    ids = ["seconds_start", "seconds_total"]
    given = changed(T5, ("model.diffusion.diffusion_objective", "v"), ("model.diffusion.global_cond_ids", ids),
                    ("model.diffusion.cross_attention_cond_ids", ids))  # fmt: skip
    found = read_model(*files(tmp_path, given))
    assert found.meta.method["net"]["seconds"] == 32
    assert "net.seconds.target.frequencies" in found.tensors
    assert any("the objective v: a start for training" in note for note in found.notes)


@pytest.mark.parametrize(("edits", "message"), [
    ([("model.diffusion.global_cond_ids", ["rolloff_high", "rolloff_low"])], "roles that are not known"),
    ([("model.diffusion.input_concat_ids", ["a", "b"])], "one latent beside the noisy one"),
])  # fmt: skip
def test_other_roles_are_refused(tmp_path: Path, edits: list[tuple[str, Any]], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_model(*files(tmp_path, changed(*edits)))


def test_what_is_missing_is_named(tmp_path: Path, auscult: Run) -> None:
    model, given = files(tmp_path, changed())
    whole = state_of(described(changed()))
    save_file({k: v for k, v in whole.items() if "rolloff_low" not in k}, str(given))
    with pytest.raises(CheckpointError, match="has no number.rolloff_low, which model.json describes"):
        read_model(model, given)
    for arguments, message in (
        ((model,), "give their file with --weights"),
        ((given, "--weights", given), "--weights and --text go with the model JSON"),
    ):
        code, _, err = auscult("convert", arguments[0], tmp_path / "x.safetensors", *arguments[1:])
        assert code == 2
        assert message in " ".join(err.split())
