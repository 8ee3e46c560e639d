"""Whole checkpoints of SGMSE (sp-uhh/sgmse) and of its relatives with one net: SGMSE+ v1, v2, 48k, DCUNet, SB, BBED.

The method follows from ``hyper_parameters``: what a key is called there, and what its absence meant, is in the tables
and functions below; ``docs/systems/sgmse-checkpoints.md`` says the same for users.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from auscult.errors import CheckpointError
from auscult.hub.contents import Contents, blank_nets, grouped
from auscult.hub.dcunet import dcunet_sources
from auscult.hub.lightning import Container, Weights, named_tensors, weights
from auscult.hub.ncsnpp import ncsnpp_sources
from auscult.hub.sources import Sources, converted
from auscult.nets.dcunet import DCUNet
from auscult.nets.ncsnpp import V1, V2, V48K, NCSNpp

Settings = Mapping[str, Any]
Node = dict[str, Any]

PREFIX = "dnn."
RATE_OF_N_FFT = {1534: 48_000}
NCSNPP_KEYS = {
    "nf": "channels",
    "ch_mult": "multipliers",
    "num_res_blocks": "blocks",
    "attn_resolutions": "attention_heights",
    "image_size": "bins",
    "centered": "centered",
    "fourier_scale": "fourier_scale",
    "dropout": "dropout",
    "conditional": "timed",
}
"""Settings of NCSN++ by their name in hyper_parameters and here; what is absent keeps the variant's default."""
DCUNET_KEYS = {"dcunet_temb_layers_global": "time_layers", "dcunet_activation": "activation"}
ONLY: Mapping[str, Any] = {
    "resblock_type": "biggan",
    "embedding_type": "fourier",
    "progressive_combine": "sum",
    "nonlinearity": "swish",
    "fir": True,
    "skip_rescale": True,
    "dcunet_architecture": "DilDCUNet-v2",
    "dcunet_time_embedding": "gfp",
    "dcunet_temb_layers_local": 1,
    "dcunet_temb_activation": "silu",
    "dcunet_fix_length": "pad",
    "dcunet_mask_bound": "none",
    "dcunet_norm_type": "bN",
}
"""Settings with one value here: the one that every published model has."""


@dataclass(frozen=True)
class Variant:
    """A backbone: its net and the rest that its name stands for.

    ``scaled``: its output goes through scalings that the settings name; ``padding``: of its frames.
    """

    name: str
    net: Mapping[str, Any]
    padding: str = "zero"
    scaled: bool = False
    n_fft: int = 510
    hop: int = 128
    exponent: float = 0.5
    factor: float = 0.15


VARIANTS = {
    "ncsnpp": Variant("SGMSE+ v1", {"type": "NCSNpp", **V1}),
    "ncsnpp_v2": Variant("SGMSE+ v2", {"type": "NCSNpp", **V2}, "reflect", scaled=True),
    "ncsnpp_48k": Variant("SGMSE+ 48k", {"type": "NCSNpp", **V48K}, "reflect", False, 1534, 384, 0.667, 0.065),
    "dcunet": Variant("SGMSE DCUNet", {"type": "DCUNet"}, n_fft=512),
}


def fits(payload: Any) -> bool:
    """Whether a file holds one net of the SGMSE family, with or without its training state."""
    if not isinstance(payload, dict):
        return False
    state = payload.get("state_dict", payload)
    return isinstance(state, dict) and any(key.startswith((PREFIX, "all_modules.")) for key in named_tensors(state))


def read(payload: Mapping[str, Any]) -> Contents:
    """What a file holds.

    Raises:
        CheckpointError: a backbone or process we do not have, or tensors that do not fit the settings.
    """
    container = Container.of(payload if "state_dict" in payload else {"state_dict": payload})
    variant, notes = variant_of(container.settings)
    method, more = score_method(container.settings, variant, net_node(container.settings, variant))
    tensors, ignored, about = tensors_of(container, method, {"net": PREFIX})
    name = {"SBVE": "SGMSE SB", "BBED": "BBED"}.get(method["path"]["type"], variant.name)
    return Contents(name, method, tensors, container.step, ignored, (*about, *notes, *more))


def variant_of(settings: Settings) -> tuple[Variant, list[str]]:
    """The variant that a backbone's name stands for; names of forks begin with the one they extend."""
    backbone = str(settings.get("backbone", "ncsnpp"))
    known = [name for name in VARIANTS if backbone.startswith(name)]
    if not known:
        raise CheckpointError(f"the backbone '{backbone}' is not one of {', '.join(VARIANTS)}")
    name = max(known, key=len)
    return VARIANTS[name], [f"the backbone '{backbone}' is read as {name}"] if backbone != name else []


def score_method(settings: Settings, variant: Variant, net: Node) -> tuple[Node, list[str]]:
    """A score model's section of a recipe, and notes on what is not as the settings say."""
    for key, value in ONLY.items():
        if settings.get(key, value) != value:
            raise CheckpointError(f"{key} is {settings[key]} in its hyper_parameters; only {value} is supported here")
    features = features_node(settings, variant)
    rate_hz, notes = rate_of(settings, features["n_fft"])
    parametrisation, objective = prediction_nodes(settings, variant, rate_hz)
    if settings.get("loss_type") == "mae":
        notes.append("it was trained with loss_type mae; training it further here would match squares")
    path = path_node(settings)
    method = {
        "type": "ScoreModel",
        "rate_hz": rate_hz,
        "features": features,
        "net": net,
        "path": path,
        "parametrisation": parametrisation,
        "objective": objective,
        "sampler": sampler_node(settings, path),
        "normalise": normalise_node(settings),
        "t_eps": settings.get("t_eps", 0.03),
        "frame_grid": 64,
        "padding": variant.padding,
    }
    return method, notes


def net_node(settings: Settings, variant: Variant) -> Node:
    """The net of a recipe."""
    if variant.net["type"] == "DCUNet":
        return {**variant.net, **_taken(settings, DCUNET_KEYS)}
    node = {**variant.net, **_taken(settings, NCSNPP_KEYS)}
    node["attention_heights"] = [height for height in node.get("attention_heights", (16,)) if height > 0]
    pyramids = [settings[key] != "none" for key in ("progressive", "progressive_input") if key in settings]
    if len(set(pyramids)) > 1 or settings.get("progressive") == "residual":
        raise CheckpointError("its hyper_parameters combine pyramids (progressive, progressive_input) in no way known")
    if pyramids:
        node["pyramid"] = pyramids[0]
    if not settings.get("scale_by_sigma", True):
        node["time_scaling"] = "none"
    return node


def features_node(settings: Settings, variant: Variant) -> Node:
    """The transform; absent settings mean the variant's."""
    return {
        "type": "CompressedSTFT",
        "n_fft": settings.get("n_fft", variant.n_fft),
        "hop": settings.get("hop_length", variant.hop),
        "window": settings.get("window", "hann"),
        "transform": settings.get("transform_type", "exponent"),
        "exponent": settings.get("spec_abs_exponent", variant.exponent),
        "factor": settings.get("spec_factor", variant.factor),
    }


def rate_of(settings: Settings, n_fft: int) -> tuple[int, list[str]]:
    """The sampling rate. Published 48 kHz recipes left ``sr`` at its default, so their transform decides."""
    said, known = settings.get("sr"), RATE_OF_N_FFT.get(n_fft)
    if known is not None and said not in (None, known):
        return known, [f"sr is {said} in its hyper_parameters, but n_fft {n_fft} is the transform for {known} Hz"]
    return known or said or 16_000, []


def path_node(settings: Settings) -> Node:
    """The process between clean and noisy."""
    sde = settings.get("sde", "ouve")
    if sde == "ouve":
        return {"type": "OUVE", **_taken(settings, {key: key for key in ("theta", "sigma_min", "sigma_max")})}
    if sde == "sbve":
        return {"type": "SBVE", **_taken(settings, {key: key for key in ("k", "c", "eps")})}
    if sde == "bbed":
        return {"type": "BBED", **_taken(settings, {"k": "k", "theta": "theta", "T_sampling": "t_max"})}
    if sde == "bbve":  # the name of BBED in the published checkpoint, whose k is sigma_max over sigma_min = 1
        return {"type": "BBED", **_taken(settings, {"sigma_max": "k", "theta": "theta", "T_sampling": "t_max"})}
    raise CheckpointError(f"its process (sde) is '{sde}'; known are ouve, sbve, bbed and bbve")


def prediction_nodes(settings: Settings, variant: Variant, rate_hz: int) -> tuple[Node, Node]:
    """What the net predicts, and what it was trained to match."""
    if not variant.scaled:
        return {"type": "NegativeScore"}, {"type": "ScoreMatching"}
    sigma_data = settings.get("sigma_data", 0.1)
    scaling = {key: settings.get(key, default) for key, default in (("c_in", "1"), ("c_out", "1"), ("c_skip", "0"))}
    scaling |= {"network": settings.get("network_scaling") or "none", "sigma_data": sigma_data}
    loss = settings.get("loss_type", "score_matching")
    if loss in ("score_matching", "mse", "mae"):
        return {"type": "ScaledScore", "scaling": scaling}, {"type": "ScoreMatching"}
    if loss == "denoiser":
        weighting = settings.get("loss_weighting", "1")
        objective = {"type": "DenoiserMatching", "weighting": weighting, "sigma_data": sigma_data}
        return {"type": "Denoiser", "scaling": scaling}, objective
    if loss == "data_prediction":
        objective = {"type": "DataMatching", "waves": wave_nodes(settings, rate_hz)}
        return {"type": "DataPrediction", "scaling": scaling}, objective
    known = "score_matching, mse, mae, denoiser and data_prediction"
    raise CheckpointError(f"its loss_type is '{loss}'; known are {known}")


def wave_nodes(settings: Settings, rate_hz: int) -> list[Node]:
    """Losses on waves; the published L1 term is half a mean."""
    l1, pesq = settings.get("l1_weight", 0.001), settings.get("pesq_weight", 0.0)
    nodes: list[Node] = [{"type": "L1", "weight": l1 / 2}] if l1 else []
    return [*nodes, {"type": "PESQLoss", "weight": pesq, "rate_hz": rate_hz}] if pesq else nodes


def sampler_node(settings: Settings, path: Node) -> Node:
    """The sampler that the published script would use; ``sde_n`` of old files was never used."""
    if path["type"] == "SBVE":
        kind = "BridgeSDE" if settings.get("sampler_type") == "sde" else "BridgeODE"
        return {"type": kind, "steps": settings.get("N", 50), "time_label": "next"}
    return {
        "type": "PredictorCorrector",
        "steps": settings.get("N", 30),
        "corrector": "annealed",
        "corrector_steps": 1,
        "snr": 0.5,
        "t_eps": settings.get("t_eps", 0.03),
    }


def normalise_node(settings: Settings) -> Node:
    """How signals are scaled; files from before the setting scaled by the noisy peak."""
    by = settings.get("normalize", "noisy")
    return {"kind": "none"} if by == "not" else {"kind": "peak", "by": by}


def tensors_of(
    container: Container, method: Node, prefixes: Mapping[str, str]
) -> tuple[dict[str, Tensor], tuple[str, ...], list[str]]:
    """Tensors of a method's nets, what was left, and notes; ``prefixes`` of the file by our nets' names."""
    found = weights(container, prefixes.values())
    tensors: dict[str, Tensor] = {}
    used: set[str] = set()
    for name, net in blank_nets(method).items():
        sources = sources_of(net)
        tensors |= _of_net(found, net, sources, prefixes[name], name)
        used |= {prefixes[name] + theirs for source in sources.values() for theirs in source.names}
    notes = [found.note]
    left = [key for key in container.state if key not in used]
    foreign = [key for key in left if not key.startswith("pesq_loss.") and not _dead(key)]
    if foreign:
        notes.append(f"left out, as the published net has no such parts: {', '.join(grouped(foreign))}")
    return tensors, (*container.ignored, *grouped(key for key in left if key not in foreign)), notes


def sources_of(net: nn.Module) -> Sources:
    """The official names of a net's tensors."""
    return dcunet_sources(net) if isinstance(net, DCUNet) else ncsnpp_sources(cast(NCSNpp, net))


def _of_net(found: Weights, net: nn.Module, sources: Sources, prefix: str, name: str) -> dict[str, Tensor]:
    raw = {key.removeprefix(prefix): tensor for key, tensor in found.raw.items() if key.startswith(prefix)}
    tensors = {f"{name}.{key}": tensor for key, tensor in converted(net, sources, raw).items()}
    if found.averaged:
        averaged = raw | {key.removeprefix(prefix): tensor for key, tensor in found.averaged.items()}
        tensors |= {f"ema.{name}.{key}": tensor for key, tensor in converted(net, sources, averaged).items()}
    return tensors


def _dead(key: str) -> bool:
    """Tensors that a net without time has and never uses."""
    return key.endswith("all_modules.0.W") or ".Dense_0." in key


def _taken(settings: Settings, keys: Mapping[str, str]) -> Node:
    """Settings that are there, under our names."""
    return {ours: settings[theirs] for theirs, ours in keys.items() if theirs in settings}
