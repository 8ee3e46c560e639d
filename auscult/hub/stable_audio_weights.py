"""Weights of stable-audio-tools and diffusers: whole models or parts, wrapped by a training program or not.

What wraps a net changes only what its tensors' names begin with, so each part is found by one tensor that it has under
any prefix: ``model.model.`` in unwrapped files, ``diffusion.model.model.`` in a training state, nothing in a file of
diffusers. A prefix that speaks of ``ema`` marks averaged weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from auscult import recipe
from auscult.errors import CheckpointError, few
from auscult.hub.bundle import read_tensors
from auscult.hub.keys import renamed
from auscult.hub.lightning import named_tensors
from auscult.hub.sources import Source, Sources, converted
from auscult.hub.stable_audio import Description
from auscult.hub.stable_audio_keys import (
    codec_sources,
    diffusers_codec_sources,
    diffusers_dit_sources,
    dit_sources,
    embedder_sources,
)
from auscult.hub.unpickle import read_archive
from auscult.nets.dit import DiT

State = Mapping[str, Tensor]
NEW_NAMES = (
    (r"parametrizations\.weight\.original0$", "weight_g"),
    (r"parametrizations\.weight\.original1$", "weight_v"),
)
"""Weight normalisation as newer versions of PyTorch save it, to the names of old."""
ZERO = (".pre_norm.beta", ".cross_attend_norm.beta", ".ff_norm.beta", ".norm1.bias", ".norm2.bias", ".norm3.bias")
"""Shifts of the DiT's norms, which have none: zeros in every file that stable-audio-tools wrote."""
AVERAGED = re.compile(r"(^|[._])ema[._]")
WIDENED = "it knew no latent beside the noisy one, for which its entrance was widened with zeros"
COMPUTED = "rotary_pos_emb.inv_freq"


@dataclass(frozen=True)
class Parts:
    """What a file holds of a model.

    ``tensors`` are ``dit.*``, ``codec.*``, ``number.<id>.*`` and ``text.<id>.*`` (the projection: weight, bias),
    averaged ones ``ema.<part>.*``. ``absent`` are parts that the description has and the file has not, ``ignored``
    tensors that belong to none; ``notes`` say what was found under which names, and by which rule it was changed.
    """

    tensors: State
    absent: tuple[str, ...]
    ignored: tuple[str, ...]
    notes: tuple[str, ...]


def read_parts(path: Path, description: Description) -> Parts:
    """Read a file without running anything in it: safetensors, or a pickle of PyTorch.

    Raises:
        CheckpointError: not readable, of no layout known here, or tensors missing or of other sizes than described.
    """
    if path.suffix == ".safetensors":
        state: State = read_tensors(path)
    else:
        payload = read_archive(path)
        inner = payload.get("state_dict", payload) if isinstance(payload, dict) else {}
        state = named_tensors(inner if isinstance(inner, dict) else {})
    try:
        return parts(state, description)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def parts(state: State, description: Description) -> Parts:
    """The same for tensors by their names.

    Raises:
        CheckpointError: as :func:`read_parts`.
    """
    state = renamed(state, NEW_NAMES)
    found: dict[str, _Found] = {}
    for kind in _kinds(description):
        for prefix in _prefixes(state, kind.anchor):
            name = f"ema.{kind.name}" if AVERAGED.search(prefix) else kind.name
            if name in found:
                raise CheckpointError(
                    f"{name} is in it twice, as {found[name].prefix}* and {prefix}*; keep one of them"
                )
            found[name] = _taken(kind, prefix, state)
    if not found:
        raise CheckpointError(f"no part of a model of stable-audio-tools or diffusers in it; it has {few(state)}")
    wanted = dict.fromkeys(kind.name for kind in _kinds(description) if kind.required)
    used = {key for part in found.values() for key in part.used}
    return Parts(
        {f"{name}.{ours}": tensor for name, part in found.items() for ours, tensor in part.tensors.items()},
        tuple(name for name in wanted if name not in found),
        tuple(sorted(state.keys() - used)),
        tuple(f"{name}: {part.note}" for name, part in found.items()),
    )


def widened(given: State, channels: int, more: int) -> dict[str, Tensor]:
    """Weights of a DiT without a latent beside the noisy one, for one with ``more`` channels of it: these count zero.

    ``given`` are tensors as in a file, ``channels`` those of the noisy latent. The widened net gives what the narrow
    one gave, whatever the new inputs are, until it has learned. Tensors that are wide already stay as they are.
    """
    grown = dict(given)
    for key, tensor in given.items():
        if key.endswith(("project_in.weight", "proj_in.weight")) and tensor.shape[1:] == (channels,):
            grown[key] = F.pad(tensor, (0, more))
        if key.endswith("preprocess_conv.weight") and tensor.shape == (channels, channels, 1):
            grown[key] = F.pad(tensor, (0, 0, 0, more, 0, more))
    return grown


@dataclass(frozen=True)
class _Mended:
    """Tensors of a part as its table wants them, names of those that say nothing, and what is to be said."""

    tensors: State
    needless: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class _Kind:
    """A part under the names of one program: a tensor that tells it, and where ours come from."""

    name: str
    program: str
    anchor: str
    net: nn.Module
    sources: Sources
    mend: Callable[[State], _Mended] = _Mended
    required: bool = True


@dataclass(frozen=True)
class _Found:
    prefix: str
    tensors: State
    used: frozenset[str]
    note: str


def _kinds(description: Description) -> Iterator[_Kind]:
    tools, diffusers = "stable-audio-tools", "diffusers"
    dit, codec = _blank(description.dit), _blank(description.codec)
    mended = partial(_mended_dit, dit)
    yield _Kind("dit", tools, "transformer.project_in.weight", dit, dit_sources(dit), mended)
    yield _Kind("dit", diffusers, "proj_in.weight", dit, diffusers_dit_sources(dit), mended)
    yield _Kind("codec", tools, "encoder.layers.0.weight_v", codec, codec_sources(codec))
    yield _Kind("codec", diffusers, "encoder.conv1.weight_v", codec, diffusers_codec_sources(codec), _mended_codec)
    for number in description.numbers:
        net, behind = _blank(number.config), f"conditioners.{number.id}.embedder.embedding."
        sources = {ours: Source((behind + source.names[0],)) for ours, source in embedder_sources(net).items()}
        yield _Kind(f"number.{number.id}", tools, f"{behind}0.weights", net, sources)
    for text in description.texts:
        with torch.device("meta"):
            linear = nn.Linear(text.width, description.width)
        behind = f"conditioners.{text.id}.proj_out."
        sources = {key: Source((behind + key,)) for key in linear.state_dict()}
        yield _Kind(f"text.{text.id}", tools, f"{behind}weight", linear, sources, required=text.projected)


def _blank(config: Mapping[str, Any]) -> Any:
    with torch.device("meta"):
        return recipe.plan(config, nn.Module, str(config["type"])).build()


def _prefixes(state: State, anchor: str) -> list[str]:
    ends = [key.removesuffix(anchor) for key in state if key.endswith(anchor)]
    return [prefix for prefix in ends if not prefix or prefix.endswith(".")]


def _taken(kind: _Kind, prefix: str, state: State) -> _Found:
    mended = kind.mend({key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)})
    used = [*mended.needless, *(name for source in kind.sources.values() for name in source.names)]
    tensors = converted(kind.net, kind.sources, mended.tensors)
    note = f"{kind.program}, names {prefix}*{mended.note}"
    return _Found(prefix, tensors, frozenset(prefix + name for name in used), note)


def _mended_codec(given: State) -> _Mended:
    """Snake's parameters of diffusers have the axes of a map."""
    return _Mended({key: t.flatten() if key.endswith((".alpha", ".beta")) else t for key, t in given.items()})


def _mended_dit(dit: DiT, given: State) -> _Mended:
    """Rotation rates and shifts of norms that are zero say nothing; the entrance is widened where it has to be.

    Raises:
        CheckpointError: shifts that have been trained, which this DiT has not.
    """
    shifts = [key for key in given if key.endswith(ZERO)]
    if trained := [key for key in shifts if given[key].any()]:
        raise CheckpointError(
            f"norms with trained shifts ({few(trained)}): diffusers trains them, those of stable-audio-tools have none"
        )
    needless = (*shifts, *(key for key in given if key.endswith(COMPUTED)))
    wide = widened(given, dit.channels, dit.concat_channels)
    same = all(wide[key].shape == tensor.shape for key, tensor in given.items())
    return _Mended(wide, needless, "" if same else f"; {WIDENED}")
