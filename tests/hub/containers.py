"""Files in the layouts that other projects write, made of our own nets: what the importers are tested with."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from auscult.hub.sources import Sources

BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
DATA = {"n_fft": 510, "hop_length": 128, "num_frames": 256, "window": "hann", "spec_factor": 0.15,
        "spec_abs_exponent": 0.5, "normalize": "noisy", "transform_type": "exponent", "base_dir": "/data/x",
        "batch_size": 8}  # fmt: skip
SMALL = {"nf": 16, "ch_mult": (1, 2), "num_res_blocks": 1, "attn_resolutions": (0,)}
SMALL_NET = {"channels": 16, "multipliers": (1, 2), "blocks": 1, "attention_heights": ()}
OUVE = {"sde": "ouve", "theta": 1.5, "sigma_min": 0.05, "sigma_max": 0.5, "N": 30, "sampler_type": "pc"}
V1_SETTINGS = {"backbone": "ncsnpp", **OUVE, "t_eps": 0.03, "loss_type": "score_matching", **SMALL, **DATA}
V2_SETTINGS = {**V1_SETTINGS, "backbone": "ncsnpp_v2", "network_scaling": "1/t", "c_in": "1", "c_out": "1",
               "c_skip": "0", "sigma_data": 0.1, "loss_weighting": "sigma^2", "sr": 16_000}  # fmt: skip
SB_SETTINGS = {**V2_SETTINGS, "sde": "sbve", "k": 2.6, "c": 0.4, "eps": 1e-8, "N": 50, "sampler_type": "ode",
               "loss_type": "data_prediction", "network_scaling": None, "l1_weight": 0.001,
               "pesq_weight": 5e-4}  # fmt: skip


def official(net: nn.Module, sources: Sources, prefix: str = "") -> dict[str, Tensor]:
    """The tensors of a net by their official names, module by module as a state dict lists them."""
    own, named = net.state_dict(), {}
    for ours, source in sources.items():
        tensor = own[ours].clone()
        parts = {
            "same": lambda t=tensor: [t],
            "matrix": lambda t=tensor: [t[:, :, 0, 0].T.contiguous()],
            "pointwise": lambda t=tensor: [t[..., None].clone()],
            "row": lambda t=tensor: [t[:, :, 0].clone()],
            "joined": lambda t=tensor, n=len(source.names): [part.clone() for part in t.chunk(n)],
            "stacked": lambda t=tensor: [part.clone() for part in t],
            "first": lambda t=tensor, n=len(source.names): [t.clone() for _ in range(n)],
        }[source.form]()
        named |= dict(zip(source.names, parts, strict=True))
    modules: dict[str, list[str]] = {}
    for name in named:
        modules.setdefault(name.rpartition(".")[0], []).append(name)
    return {f"{prefix}{name}": named[name] for names in modules.values() for name in names}


def averages(state: Mapping[str, Tensor], frozen: bool = True) -> list[Tensor]:
    """A list as torch_ema keeps it: parameters in order, those that do not learn too if ``frozen``."""
    names = [name for name in state if not name.endswith(BUFFERS)]
    kept = [name for name in names if frozen or not name.endswith((".0.W",))]
    return [0.5 * state[name] if not name.endswith(".0.W") else state[name].clone() for name in kept]


def training_state(state: Mapping[str, Tensor], settings: Mapping[str, Any], shadow: Any = None, **more: Any) -> dict:
    """What Lightning writes for a model of the family."""
    ema = {"decay": 0.999, "num_updates": 7, "shadow_params": averages(state) if shadow is None else shadow,
           "collected_params": None}  # fmt: skip
    return {
        "epoch": 3, "global_step": 58_000, "pytorch-lightning_version": "2.1.4", "state_dict": dict(state),
        "loops": {"fit_loop": {}}, "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(2.9)}},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0)}}}], "lr_schedulers": [],
        "hparams_name": "kwargs", "hyper_parameters": dict(settings), "ema": ema, **more,
    }  # fmt: skip


@contextmanager
def _their_package() -> Iterator[type]:
    """The class whose reference is pickled in every file; gone again afterwards, as for our users."""
    package, module = ModuleType("sgmse"), ModuleType("sgmse.data_module")
    cls = type("SpecsDataModule", (), {"__module__": "sgmse.data_module"})
    module.SpecsDataModule = cls  # type: ignore[attr-defined]
    sys.modules |= {"sgmse": package, "sgmse.data_module": module}
    try:
        yield cls
    finally:
        del sys.modules["sgmse"], sys.modules["sgmse.data_module"]


def write_training_state(path: Path, payload: dict) -> Path:
    """Save it with the class of its data in the settings, as the published files have."""
    with _their_package() as cls:
        settings = {**payload["hyper_parameters"], "data_module_cls": cls}
        torch.save({**payload, "hyper_parameters": settings}, path)
    return path
