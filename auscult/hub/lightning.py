"""Checkpoints of PyTorch Lightning as the SGMSE family writes them: whole training states with averaged weights.

The averages are a list without names (``ema.shadow_params`` of torch_ema), in the order of the parameters. Which of
the two sets ``state_dict`` holds depends on the version of Lightning that wrote the file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from auscult.errors import CheckpointError

WRAPPERS = re.compile(r"(^|(?<=\.))(module|_orig_mod)\.")
"""Put into names by gradient exchange and by torch.compile."""
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
FROZEN = re.compile(r"(all_modules|embed)\.0\.W$")
"""Fourier features: parameters that do not learn. torch_ema up to 0.2 did not average them."""
USED = ("state_dict", "hyper_parameters", "ema", "epoch", "global_step", "pytorch-lightning_version")


@dataclass(frozen=True)
class Container:
    """What is read of a file: named tensors, settings, averages."""

    state: Mapping[str, Tensor]
    settings: Mapping[str, Any]
    ema: Mapping[str, Any]
    step: int
    version: str
    ignored: tuple[str, ...]

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Container:
        """Read a payload.

        Raises:
            CheckpointError: it holds no settings, without which the weights belong to no method.
        """
        settings = payload.get("hyper_parameters")
        if not isinstance(settings, dict) or not settings:
            raise CheckpointError(
                "no hyper_parameters in it: path, transform and scalings of its net cannot be known; "
                "give the checkpoint that the training wrote"
            )
        ema = payload.get("ema")
        step, version = payload.get("global_step"), payload.get("pytorch-lightning_version")
        return cls(
            named_tensors(payload["state_dict"]),
            settings,
            ema if isinstance(ema, dict) else {},
            step if isinstance(step, int) else 0,
            version if isinstance(version, str) else "unknown",
            tuple(str(key) for key in payload if key not in USED),
        )


@dataclass(frozen=True)
class Weights:
    """Raw and averaged tensors by the file's names, and what is to be said about them."""

    raw: Mapping[str, Tensor]
    averaged: Mapping[str, Tensor]
    note: str


def named_tensors(state: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The tensors of a state dict, without the names of wrappers."""
    return {WRAPPERS.sub("", str(key)): value for key, value in state.items() if isinstance(value, Tensor)}


def weights(container: Container, prefixes: Collection[str]) -> Weights:
    """The two sets of weights of a file; ``prefixes`` name the nets.

    Where ``state_dict`` holds the averages already, the raw weights are in ``ema.collected_params`` or nowhere.
    """
    raw = container.state
    if not container.ema:
        return Weights(raw, {}, "no averaged weights in the file (it has no 'ema'); those of its state_dict are used")
    averaged = in_order(raw, container.ema.get("shadow_params"), prefixes)
    if averaged is None:
        listed = container.ema.get("shadow_params")
        count = len(listed) if isinstance(listed, list) else 0
        return Weights(
            raw,
            {},
            f"the {count} averaged tensors fit the {len(raw)} named ones neither by count nor by shape; "
            "those of its state_dict are used",
        )
    note = f"averaged weights: {len(averaged)} tensors of ema.shadow_params, in the order of the parameters"
    if not all(torch.equal(raw[key], tensor) for key, tensor in averaged.items()):
        return Weights(raw, averaged, f"{note}; raw ones from state_dict")
    note = f"{note}; state_dict holds the same (written after validation by Lightning {container.version})"
    collected = in_order(raw, container.ema.get("collected_params"), prefixes)
    if collected is None:
        return Weights(raw, {}, f"{note}, and the file has no raw ones")
    return Weights({**raw, **collected}, averaged, f"{note}; raw ones from ema.collected_params")


def in_order(state: Mapping[str, Tensor], listed: Any, prefixes: Collection[str]) -> dict[str, Tensor] | None:
    """Tensors without names, named by the order of the parameters; None where neither count nor shapes fit."""
    if not isinstance(listed, list) or not all(isinstance(tensor, Tensor) for tensor in listed):
        return None
    for names in _orders(state, prefixes):
        if [state[name].shape for name in names] == [tensor.shape for tensor in listed]:
            return dict(zip(names, listed, strict=True))
    return None


def _orders(state: Mapping[str, Tensor], prefixes: Collection[str]) -> Iterator[list[str]]:
    """The lists of parameters that averages were made of: the nets' or all, with or without the frozen ones."""
    parameters = [name for name in state if not name.endswith(BUFFERS)]
    for names in ([name for name in parameters if name.startswith(tuple(prefixes))], parameters):
        yield names
        yield [name for name in names if not FROZEN.search(name)]
