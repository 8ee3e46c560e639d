"""Checkpoints of the SGMSE family: written here in their layouts with small nets, read without running anything."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from auscult.audio.clip import Clip, read
from auscult.audio.writer import write
from auscult.cli import app
from auscult.errors import CheckpointError
from auscult.hub.bundle import load_net, read_meta, select
from auscult.hub.dcunet import dcunet_sources
from auscult.hub.edm2se import block_names, edm2se_sources
from auscult.hub.foreign import Import
from auscult.hub.ncsnpp import ncsnpp_sources
from auscult.hub.opening import open_method, read_checkpoint
from auscult.hub.sources import foreign_shapes
from auscult.nets.dcunet import DCUNet
from auscult.nets.edm2 import Decoder, Encoder, MPUNet
from auscult.nets.ncsnpp import STORM, STORM_PREDICTOR, V1, V2, V48K, NCSNpp
from auscult.rng import Draws, Key
from tests.hub import containers as theirs
from tests.hub.containers import OUVE, SB_SETTINGS, SMALL_NET, V1_SETTINGS, V2_SETTINGS

Node = dict[str, Any]


def ncsnpp(seed: int = 0, **config: Any) -> NCSNpp:
    torch.manual_seed(seed)
    return NCSNpp(**{**V1, **SMALL_NET, **config}).eval()


def state_of(net: nn.Module, prefix: str = "dnn.") -> dict[str, Tensor]:
    sources = dcunet_sources(net) if isinstance(net, DCUNet) else ncsnpp_sources(net)
    return theirs.official(net, sources, prefix)


def opened(folder: Path, settings: Mapping[str, Any], state: Mapping[str, Tensor], **more: Any) -> Import:
    payload = theirs.training_state(state, settings, **more)
    return read_checkpoint(theirs.write_training_state(folder / "x.ckpt", payload))


def halved(net: nn.Module) -> nn.Module:
    """The net whose averages :func:`containers.averages` lists."""
    state = {k: t if k.endswith("frequencies") else 0.5 * t for k, t in net.state_dict().items()}
    net.load_state_dict(state)
    return net


def assert_same_answer(found: Import, direct: nn.Module, weights: str, **config: Any) -> None:
    net = type(direct)(**config).eval()
    load_net(net, select(found.tensors, "net", weights, "file"), "file")
    torch.manual_seed(5)
    z = torch.randn(2, 2, 32, 16, dtype=torch.complex64)
    with torch.no_grad():
        assert torch.equal(net(z, torch.tensor([0.3, 0.9])), direct(z, torch.tensor([0.3, 0.9])))


class TestWeights:
    @pytest.mark.parametrize("frozen", [True, False])
    def test_averages_are_named_by_their_order(self, tmp_path: Path, frozen: bool) -> None:
        """torch_ema 0.3 lists the Fourier features (647 tensors of v1), 0.2 does not (646)."""
        net = ncsnpp(attention_heights=(16,), bins=32, channels=16, multipliers=(1, 2))
        state = state_of(net)
        shadow = theirs.averages(state, frozen)
        assert len(shadow) == len(state) - (not frozen)
        found = opened(tmp_path, {**V1_SETTINGS, "attn_resolutions": (16,), "image_size": 32}, state, shadow=shadow)
        config = {**V1, **SMALL_NET, "attention_heights": (16,), "bins": 32}
        assert_same_answer(found, net, "net", **config)
        assert_same_answer(found, halved(net), "ema", **config)
        assert f"averaged weights: {len(shadow)} tensors of ema.shadow_params" in found.notes[0]
        assert "raw ones from state_dict" in found.notes[0]

    def test_v1_has_647_averages_in_the_order_of_its_parameters(self) -> None:
        with torch.device("meta"):
            net = NCSNpp(**V1)
        state = state_of(net)
        assert (len(theirs.averages(state)), len(theirs.averages(state, frozen=False))) == (647, 646)
        assert [name.removeprefix("dnn.") for name in list(state)[:4]] == [
            "output_layer.weight", "output_layer.bias", "all_modules.0.W", "all_modules.1.weight"
        ]  # fmt: skip

    def test_names_of_gradient_exchange_are_removed(self, tmp_path: Path) -> None:
        net = ncsnpp()
        wrapped = {key.replace("dnn.", "dnn.module."): tensor for key, tensor in state_of(net).items()}
        found = opened(tmp_path, V1_SETTINGS, wrapped)
        assert_same_answer(found, net, "net", **{**V1, **SMALL_NET})

    def test_state_dict_that_holds_the_averages(self, tmp_path: Path) -> None:
        """Lightning 2.2 and newer swaps them in for validation and saves; the raw ones are kept aside, or lost."""
        net = ncsnpp()
        state = state_of(net)
        shadow = list(state.values())
        payload = theirs.training_state(state, V1_SETTINGS, shadow)
        payload["pytorch-lightning_version"] = "2.6.6"
        payload["ema"]["collected_params"] = [2 * tensor for tensor in shadow]
        found = read_checkpoint(theirs.write_training_state(tmp_path / "a.ckpt", payload))
        assert "state_dict holds the same (written after validation by Lightning 2.6.6)" in found.notes[0]
        assert "raw ones from ema.collected_params" in found.notes[0]
        assert torch.equal(found.tensors["net.stem.weight"], 2 * net.stem.weight)
        assert torch.equal(found.tensors["ema.net.stem.weight"], net.stem.weight)
        payload["ema"]["collected_params"] = None
        found = read_checkpoint(theirs.write_training_state(tmp_path / "b.ckpt", payload))
        assert "the file has no raw ones" in found.notes[0]
        assert torch.equal(found.tensors["net.stem.weight"], net.stem.weight)
        assert not any(name.startswith("ema.") for name in found.tensors)

    def test_files_without_averages_say_so(self, tmp_path: Path) -> None:
        net = ncsnpp()
        payload = theirs.training_state(state_of(net), V1_SETTINGS)
        del payload["ema"]
        found = read_checkpoint(theirs.write_training_state(tmp_path / "x.ckpt", payload))
        assert "no averaged weights in the file" in found.notes[0]
        assert_same_answer(found, net, "auto", **{**V1, **SMALL_NET})

    @pytest.mark.parametrize("shadow", [[], [torch.zeros(1)], "none", [None]])
    def test_averages_that_fit_nothing_are_left(self, tmp_path: Path, shadow: Any) -> None:
        found = opened(tmp_path, V1_SETTINGS, state_of(ncsnpp()), shadow=shadow)
        assert "averaged tensors fit" in found.notes[0]
        assert not any(name.startswith("ema.") for name in found.tensors)

    def test_batch_norms_are_taken_with_either_set(self, tmp_path: Path) -> None:
        torch.manual_seed(0)
        net = DCUNet().eval()
        net.down[0].norm.running_mean.normal_()
        settings = {**V1_SETTINGS, "backbone": "dcunet", "n_fft": 512, "dcunet_temb_layers_global": 1,
                    "dcunet_activation": "leaky_relu", "dcunet_architecture": "DilDCUNet-v2"}  # fmt: skip
        found = opened(tmp_path, settings, state_of(net))
        assert found.meta.recipe == "SGMSE DCUNet"
        assert torch.equal(found.tensors["ema.net.down.0.norm.running_mean"], net.down[0].norm.running_mean)
        assert torch.equal(found.tensors["ema.net.down.0.norm.weight"], 0.5 * net.down[0].norm.weight)

    def test_what_was_left_is_listed(self, tmp_path: Path) -> None:
        state = state_of(ncsnpp())
        extra = {"pesq_loss.power_filter": torch.zeros(2, 11), "pesq_loss.fbank.centre": torch.zeros(49)}
        found = opened(tmp_path, V1_SETTINGS, {**state, **extra}, shadow=theirs.averages(state))
        assert {"loops", "callbacks", "optimizer_states", "pesq_loss.* (2 tensors)"} <= set(found.ignored)
        assert "sgmse.data_module.SpecsDataModule" in found.ignored
        assert found.meta.step == 58_000
        assert "sgmse" not in sys.modules

    def test_forks_load_what_they_share(self, tmp_path: Path) -> None:
        net = ncsnpp(**V2)
        extra = {"noise_encoder.conv.weight": torch.zeros(3, 3), "dnn.cond.proj.weight": torch.zeros(2, 2)}
        state = {**state_of(net), **extra}
        found = opened(tmp_path, {**V2_SETTINGS, "backbone": "ncsnpp_v2_cond"}, state)
        assert_same_answer(found, net, "net", **{**V2, **SMALL_NET})
        assert_same_answer(found, halved(net), "ema", **{**V2, **SMALL_NET})
        notes = " ".join(found.notes)
        assert "the backbone 'ncsnpp_v2_cond' is read as ncsnpp_v2" in notes
        assert "no such parts: noise_encoder.* (1 tensors), dnn.cond.* (1 tensors)" in notes


# name: settings over V1_SETTINGS or V2_SETTINGS, configuration of the net, what the recipe then says
METHODS: dict[str, tuple[Mapping[str, Any], Node, Node]] = {
    "v1": (V1_SETTINGS, V1, {
        "type": "ScoreModel", "rate_hz": 16_000, "padding": "zero", "frame_grid": 64, "t_eps": 0.03,
        "path": {"type": "OUVE", "theta": 1.5, "sigma_min": 0.05, "sigma_max": 0.5},
        "parametrisation": {"type": "NegativeScore"}, "normalise": {"kind": "peak", "by": "noisy"},
        "sampler": {"type": "PredictorCorrector", "steps": 30, "corrector": "annealed", "corrector_steps": 1,
                    "snr": 0.5, "t_eps": 0.03},
        "features": {"type": "CompressedSTFT", "n_fft": 510, "hop": 128, "window": "hann", "transform": "exponent",
                     "exponent": 0.5, "factor": 0.15},
    }),
    "v1 of 2022": (
        {**{k: v for k, v in V1_SETTINGS.items() if k not in ("N", "normalize", "transform_type", "t_eps")},
         "loss_type": "mse", "sde_n": 1000, "no_wandb": True, "gpus": 1}, V1,
        {"objective": {"type": "ScoreMatching"}, "t_eps": 0.03, "normalise": {"kind": "peak", "by": "noisy"},
         "sampler.steps": 30, "net": {"type": "NCSNpp", **V1, **SMALL_NET, "attention_heights": []}},
    ),
    "v1 on absolute errors": ({**V1_SETTINGS, "loss_type": "mae"}, V1, {"objective": {"type": "ScoreMatching"}}),
    "v1 not centred": ({**V1_SETTINGS, "centered": False}, {**V1, "centered": False}, {"net.centered": False}),
    "v1 without division": (
        {**V1_SETTINGS, "scale_by_sigma": False}, {**V1, "time_scaling": "none"}, {"net.time_scaling": "none"},
    ),
    "not normalised, logarithm": (
        {**V1_SETTINGS, "normalize": "not", "transform_type": "log", "window": "sqrthann"}, V1,
        {"normalise": {"kind": "none"}, "features.transform": "log", "features.window": "sqrthann"},
    ),
    "v2 score": (V2_SETTINGS, V2, {
        "padding": "reflect", "objective": {"type": "ScoreMatching"},
        "parametrisation": {"type": "ScaledScore", "scaling": {
            "c_in": "1", "c_out": "1", "c_skip": "0", "network": "1/t", "sigma_data": 0.1}},
    }),
    "v2 denoiser": (
        {**V2_SETTINGS, "loss_type": "denoiser", "loss_weighting": "edm", "c_in": "edm", "network_scaling": None}, V2,
        {"parametrisation.type": "Denoiser", "parametrisation.scaling.network": "none",
         "parametrisation.scaling.c_in": "edm",
         "objective": {"type": "DenoiserMatching", "weighting": "edm", "sigma_data": 0.1}},
    ),
    "v2 data prediction": (
        {**V2_SETTINGS, "loss_type": "data_prediction"}, V2,
        {"parametrisation.type": "DataPrediction", "sampler.type": "PredictorCorrector",
         "objective": {"type": "DataMatching", "waves": [{"type": "L1", "weight": 0.0005}]}},
    ),
    "Schroedinger bridge": (SB_SETTINGS, V2, {
        "path": {"type": "SBVE", "k": 2.6, "c": 0.4, "eps": 1e-8},
        "sampler": {"type": "BridgeODE", "steps": 50, "time_label": "next"},
        "objective": {"type": "DataMatching", "waves": [
            {"type": "L1", "weight": 0.0005}, {"type": "PESQLoss", "weight": 5e-4, "rate_hz": 16_000}]},
    }),
    "Schroedinger bridge, process": ({**SB_SETTINGS, "sampler_type": "sde"}, V2, {"sampler.type": "BridgeSDE"}),
    "48k": (
        {**V1_SETTINGS, "backbone": "ncsnpp_48k", "n_fft": 1534, "hop_length": 384, "spec_factor": 0.065,
         "spec_abs_exponent": 0.667, "theta": 2.0, "sigma_min": 0.1, "sigma_max": 1.0, "sr": 16_000}, V48K,
        {"rate_hz": 48_000, "padding": "reflect", "path.theta": 2.0, "net.time_scaling": "after_output",
         "net.pyramid": False, "features.factor": 0.065, "features.hop": 384},
    ),
    "48k with pyramids": (
        {**V1_SETTINGS, "backbone": "ncsnpp_48k", "n_fft": 1534, "hop_length": 384, "progressive": "output_skip",
         "progressive_input": "input_skip"}, {**V48K, "pyramid": True}, {"net.pyramid": True, "rate_hz": 48_000},
    ),
    "v2 at 24 kHz": ({**V2_SETTINGS, "sr": 24_000}, V2, {"rate_hz": 24_000}),
    "BBED": (
        {**V1_SETTINGS, "sde": "bbed", "k": 2.6, "theta": 0.51, "T_sampling": 0.999}, V1,
        {"path": {"type": "BBED", "k": 2.6, "theta": 0.51, "t_max": 0.999}, "sampler.type": "PredictorCorrector"},
    ),
    "BBED by its old name": (
        {**V1_SETTINGS, "sde": "bbve", "sigma_min": 1, "sigma_max": 2.6, "theta": 0.53}, V1,
        {"path": {"type": "BBED", "k": 2.6, "theta": 0.53}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_settings_become_recipe_entries(tmp_path: Path, name: str) -> None:
    settings, variant, expected = METHODS[name]
    net = NCSNpp(**{**variant, **SMALL_NET})
    found = opened(tmp_path, settings, state_of(net))
    for key, value in expected.items():
        node: Any = found.meta.method
        for part in key.split("."):
            node = node[part]
        assert node == value, key
    method, nets, _ = open_method(tmp_path / "x.ckpt")
    assert method.rate_hz == found.meta.method["rate_hz"]
    assert torch.equal(nets["net"].state_dict()["stem.weight"], 0.5 * net.stem.weight)


def test_contradictions_of_the_published_files_are_said(tmp_path: Path) -> None:
    settings = METHODS["48k"][0]
    found = opened(tmp_path, settings, state_of(NCSNpp(**{**V48K, **SMALL_NET})))
    assert "sr is 16000 in its hyper_parameters, but n_fft 1534 is the transform for 48000 Hz" in found.meta.origin
    found = opened(tmp_path, METHODS["v1 on absolute errors"][0], state_of(ncsnpp()))
    assert any("loss_type mae" in note for note in found.notes)


REFUSALS: dict[str, tuple[Mapping[str, Any], str]] = {
    "backbone": ({"backbone": "edm2"}, "the backbone 'edm2' is not one of ncsnpp, ncsnpp_v2, ncsnpp_48k, dcunet"),
    "process": ({"sde": "ouvp"}, r"its process \(sde\) is 'ouvp'; known are ouve, sbve, bbed and bbve"),
    "loss": ({"backbone": "ncsnpp_v2", "loss_type": "huber"}, "its loss_type is 'huber'; known are"),
    "unused branch": ({"resblock_type": "ddpm"}, "resblock_type is ddpm in its hyper_parameters; only biggan"),
    "half a pyramid": ({"progressive": "none", "progressive_input": "input_skip"}, "combine pyramids"),
    "width": ({"nf": 32}, r"output_layer.*|all_modules\.0\.W has the shape \(16,\), expected is \(32,\)"),
    "levels": ({"ch_mult": (1, 2, 2)}, r"are missing, the first all_modules\.\d+\S+ of shape|has the shape"),
    "transform": ({"n_fft": 512}, "needs bins and frames in multiples of 2: features.n_fft 512 gives 257 bins"),
    "window": ({"window": "kaiser"}, r"make no method of ours \(method\.features\.window: input should be 'hann'"),
    "steps": ({"N": "many"}, r"method\.sampler\.steps: input should be a valid integer"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    settings, message = REFUSALS[name]
    with pytest.raises(CheckpointError, match=message) as caught:
        opened(tmp_path, {**V1_SETTINGS, **settings}, state_of(ncsnpp()))
    assert str(caught.value).startswith(f"{tmp_path / 'x.ckpt'}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("prefix", ["dnn.", ""])
def test_weights_without_settings_are_refused(tmp_path: Path, nested: bool, prefix: str) -> None:
    state = state_of(ncsnpp(), prefix)
    torch.save({"state_dict": state} if nested else state, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="no hyper_parameters in it: path, transform and scalings"):
        read_checkpoint(tmp_path / "x.pt")


def test_what_was_looked_for_is_said(tmp_path: Path) -> None:
    torch.save({"state_dict": {"generator.w": torch.ones(1)}}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=r"keys state_dict\) of no layout.*SGMSE \('state_dict' with dnn\.\*\)"):
        read_checkpoint(tmp_path / "x.pt")


class Call:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def test_a_hostile_object_in_the_file_stays_inert(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    net = ncsnpp()
    found = opened(tmp_path, {**V1_SETTINGS, "callback": Call(marker)}, state_of(net), callbacks=[Call(marker)])
    assert not marker.exists()
    assert "posix.system" in found.ignored
    assert_same_answer(found, net, "net", **{**V1, **SMALL_NET})


def test_hostile_settings_do_not_reach_the_method(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    with pytest.raises(CheckpointError, match="make no method of ours|is not one of"):
        opened(tmp_path, {**V1_SETTINGS, "theta": Call(marker)}, state_of(ncsnpp()))
    assert not marker.exists()


class TestStorm:
    """StoRM's nets have SGMSE's names and other shapes; its settings do not say which."""

    SMALLER: ClassVar[Node] = {"channels": 8, "multipliers": (1, 2, 2, 2)}
    SETTINGS: ClassVar[Node] = {**OUVE, **theirs.DATA, "t_eps": 0.03, "spatial_channels": 1, "loss_type": "mse"}

    def net(self, **config: Any) -> NCSNpp:
        torch.manual_seed(1)
        return NCSNpp(**{**STORM, **self.SMALLER, **config}).eval()

    def test_score_model_alone(self, tmp_path: Path) -> None:
        net = self.net()
        found = opened(tmp_path, {**self.SETTINGS, "backbone": "ncsnpp"}, state_of(net))
        assert found.meta.recipe == "StoRM score model"
        assert found.meta.method["net"]["centered"] is False
        assert "time_scaling" not in found.meta.method["net"]
        assert found.meta.method["sampler"]["steps"] == 50
        assert any("fed 2x - 1" in note for note in found.notes)
        assert_same_answer(found, net, "net", **{**STORM, **self.SMALLER})

    def test_predictor_alone(self, tmp_path: Path) -> None:
        net = self.net(**{**STORM_PREDICTOR, **self.SMALLER})
        state = state_of(net)
        dead = {"dnn.all_modules.0.W": torch.zeros(8), "dnn.all_modules.2.Dense_0.weight": torch.zeros(8, 32)}
        found = opened(tmp_path, {**self.SETTINGS, "backbone": "ncsnpp", "discriminative": True}, {**state, **dead})
        assert found.meta.recipe == "StoRM predictor"
        assert found.meta.method["type"] == "Regression"
        assert "dnn.all_modules.* (2 tensors)" in found.ignored
        method, nets, _ = open_method(tmp_path / "x.ckpt", weights="net")
        z = torch.randn(1, 1, 16, 8, dtype=torch.complex64)
        with torch.no_grad():
            assert torch.equal(nets["net"](z), net(z))
            wave = method.restore(nets, torch.randn(1, 1, 5_000), Draws.of([Key(0)]))
        assert wave.shape == (1, 1, 5_000)

    @pytest.mark.parametrize(("condition", "sources"), [("both", 3), ("noisy", 2), ("post_denoiser", 2), (None, 3)])
    def test_both_nets(self, tmp_path: Path, condition: str | None, sources: int) -> None:
        denoiser, net = self.net(**{**STORM_PREDICTOR, **self.SMALLER}), self.net(sources=sources)
        state = state_of(denoiser, "denoiser_net.") | state_of(net, "score_net.")
        settings = {**self.SETTINGS, "backbone_score": "ncsnpp", "mode": "regen-joint-training"}
        found = opened(tmp_path, settings | ({"condition": condition} if condition else {}), state)
        assert found.meta.recipe == "StoRM"
        assert found.meta.method["type"] == "StoRM"
        assert found.meta.method["condition"] == (condition or "both")
        method, nets, _ = open_method(tmp_path / "x.ckpt", weights="net", overrides=["sampler.steps=2"])
        for name, direct in (("denoiser", denoiser), ("net", net)):
            own = nets[name].state_dict()
            assert all(torch.equal(t, own[key]) for key, t in direct.state_dict().items())
        with torch.no_grad():
            wave = method.restore(nets, 0.1 * torch.randn(1, 1, 5_000), Draws.of([Key(0)]))
        assert torch.isfinite(wave).all()
        _, averaged, _ = open_method(tmp_path / "x.ckpt")
        assert torch.equal(averaged["net"].state_dict()["stem.weight"], 0.5 * net.stem.weight)
        assert torch.equal(averaged["denoiser"].state_dict()["stem.weight"], 0.5 * denoiser.stem.weight)

    def test_a_condition_that_contradicts_the_net(self, tmp_path: Path) -> None:
        state = state_of(self.net(**{**STORM_PREDICTOR, **self.SMALLER}), "denoiser_net.")
        state |= state_of(self.net(sources=2), "score_net.")
        with pytest.raises(CheckpointError, match="condition is 'both', but its score net takes 4 real channels"):
            opened(tmp_path, {**self.SETTINGS, "condition": "both"}, state)

    def test_large_net_and_settings_that_say_centred(self, tmp_path: Path) -> None:
        net = ncsnpp(channels=8, multipliers=V1.get("multipliers", (1, 1, 2, 2, 2, 2, 2)), blocks=2,
                     attention_heights=(16,), centered=False)  # fmt: skip
        settings = {**self.SETTINGS, "backbone": "ncsnpplarge", "centered": True}
        with pytest.raises(CheckpointError, match=r"has the shape \(8,\), expected is \(128,\)"):
            opened(tmp_path, settings, state_of(net))

    def test_other_nets_are_refused(self, tmp_path: Path) -> None:
        state = {"score_net.w": torch.zeros(1)}
        with pytest.raises(CheckpointError, match="not those of StoRM: there is no score_net"):
            opened(tmp_path, self.SETTINGS, state)


class TestEdm2se:
    CONFIG: ClassVar[Node] = {"channels": 16, "multipliers": (1, 2), "blocks": 1, "bins": 256}

    def state(self, net: MPUNet) -> dict[str, Tensor]:
        """As the published code saves it: with the tensors of blocks that no block uses, and the variance head."""
        state = theirs.official(net, edm2se_sources(net), "unet.")
        for ours, name in block_names(net).items():
            dead = unused(net.get_submodule(ours))
            state |= {f"unet.{name}.{key}": torch.zeros(shape) for key, shape in dead.items()}
        return state | {"logvar_fourier.freqs": torch.zeros(128), "logvar_fourier.phases": torch.zeros(128),
                        "logvar_linear.weight": torch.zeros(1, 128)}  # fmt: skip

    def test_the_published_net_has_as_many_numbers(self) -> None:
        with torch.device("meta"):
            net = MPUNet()
            state = self.state(net)
        buffers = ("freqs", "phases")
        assert sum(t.numel() for key, t in state.items() if not key.endswith(buffers)) == 71_209_059
        assert sum(p.numel() for p in net.parameters()) == 63_781_062
        assert set(edm2se_sources(net)) == set(net.state_dict())
        shapes = foreign_shapes(net, edm2se_sources(net))
        assert shapes["enc.256_conv.weight"] == (128, 3, 3, 3)
        assert shapes["enc.64_block0.conv_skip.weight"] == (256, 128, 1, 1)
        assert shapes["enc.8_block1.attn_qkv.weight"] == (768, 256, 1, 1)
        assert shapes["dec.4_in0.attn_proj.weight"] == (256, 256, 1, 1)
        assert shapes["dec.64_block2.conv_res0.weight"] == (256, 384, 3, 3)

    def test_small_files_convert(self, tmp_path: Path) -> None:
        torch.manual_seed(0)
        net = MPUNet(**self.CONFIG)
        nn.init.ones_(net.gain)
        torch.save(self.state(net), tmp_path / "edm2se.ckpt")
        found = read_checkpoint(tmp_path / "edm2se.ckpt")
        assert found.meta.method["net"] == {"type": "MPUNet", **self.CONFIG, "multipliers": [1, 2],
                                            "attention_heights": [16, 8]}  # fmt: skip
        assert found.meta.method["sampler"]["time_label"] == "prev"
        assert any("tensors that no block uses" in ignored for ignored in found.ignored)
        _, nets, _ = open_method(tmp_path / "edm2se.ckpt")
        assert all(torch.equal(t, nets["net"].state_dict()[key]) for key, t in net.state_dict().items())

    def test_other_shapes_are_refused(self, tmp_path: Path) -> None:
        state = self.state(MPUNet(**self.CONFIG))
        torch.save({**state, "unet.emb_noise.weight": torch.zeros(3, 3)}, tmp_path / "x.ckpt")
        with pytest.raises(CheckpointError, match=r"emb_noise\.weight has the shape \(3, 3\), expected is \(32, 16\)"):
            read_checkpoint(tmp_path / "x.ckpt")
        torch.save({"unet.enc.x": torch.zeros(1)}, tmp_path / "x.ckpt")
        with pytest.raises(CheckpointError, match="has no first convolution"):
            read_checkpoint(tmp_path / "x.ckpt")


def unused(block: nn.Module) -> dict[str, tuple[int, ...]]:
    """Tensors that a published block holds and never uses."""
    assert isinstance(block, Encoder | Decoder)
    width_in, width = block.residual.conv_in.weight.shape[1], block.residual.conv_out.weight.shape[0]
    shapes: dict[str, tuple[int, ...]] = {}
    if block.attention is None:
        shapes = {"attn_qkv.weight": (3 * width, width, 1, 1), "attn_proj.weight": (width, width, 1, 1)}
    if isinstance(block, Decoder):
        shapes |= {"conv_cond.weight": (width_in, 2, 1, 1), "cond_balance": ()}
    return shapes


def file_of(folder: Path, kind: str) -> Path:
    """A small checkpoint of each kind."""
    torch.manual_seed(0)
    if kind == "edm2se":
        torch.save(TestEdm2se().state(MPUNet(**TestEdm2se.CONFIG)), folder / "x.ckpt")
        return folder / "x.ckpt"
    net: nn.Module = NCSNpp(**{**(V2 if kind == "sb" else V1), **SMALL_NET})
    settings = {"v1": V1_SETTINGS, "sb": SB_SETTINGS, "bbed": METHODS["BBED"][0], "dcunet": {
        **V1_SETTINGS, "backbone": "dcunet", "n_fft": 512}}[kind]  # fmt: skip
    net = DCUNet() if kind == "dcunet" else net
    return theirs.write_training_state(folder / "x.ckpt", theirs.training_state(state_of(net), settings))


@pytest.mark.parametrize("kind", ["v1", "sb", "bbed", "dcunet", "edm2se"])
def test_convert_then_enhance(tmp_path: Path, noisy: Clip, kind: str) -> None:
    write(tmp_path / "noisy.wav", Clip(noisy.wave[:, :9_000], noisy.rate_hz))
    source, target = file_of(tmp_path, kind), tmp_path / "x.safetensors"
    converted = CliRunner().invoke(app, ["convert", str(source), str(target)], catch_exceptions=False)
    assert converted.exit_code == 0, converted.output
    assert "note: " in converted.output
    assert "not needed: " in converted.output
    names = {"edm2se": "EDM2SE", "sb": "SGMSE SB", "bbed": "BBED"}
    assert read_meta(target).origin.startswith(names.get(kind, "SGMSE"))
    wave = enhanced(tmp_path, target)
    assert wave.shape == (1, 9_000)
    assert np.isfinite(wave).all()
    if kind == "sb":  # without conversion, the same
        assert np.array_equal(wave, enhanced(tmp_path, source))


def enhanced(folder: Path, model: Path) -> np.ndarray:
    output = folder / f"{model.suffix[1:]}.wav"
    command = ["enhance", folder / "noisy.wav", "-m", model, "--set", "steps=1", "--device", "cpu", "-o", output]
    result = CliRunner().invoke(app, [str(part) for part in command], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return read(output).wave


def test_info_of_a_training_state(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["info", str(file_of(tmp_path, "v1")), "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    assert '"net": "NCSNpp"' in result.output
    assert "averaged weights" in result.output
