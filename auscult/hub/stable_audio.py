"""The model JSON of stable-audio-tools: what a super-resolution model is made of, its chain of sizes checked.

The program that reads these files accepts misspelt keys and sizes that do not fit; here an unknown key of a net is
refused, and so is every link of the chain that does not hold, with the whole chain in the message.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from auscult.errors import CheckpointError, RecipeError
from auscult.hub.stable_audio_schema import TEXT_WIDTHS, DiT, File, Model, NumberConditioner, TextEncoder
from auscult.nets.rotary_attention import check_heads


@dataclass(frozen=True)
class Text:
    """A text encoder: texts become ``max_tokens`` tokens of ``width``, those behind their end zeros.

    ``projected``: a linear layer takes them to the width of the conditions.
    """

    id: str
    encoder: str
    max_tokens: int
    width: int
    projected: bool


@dataclass(frozen=True)
class Number:
    """A number that is embedded, as ``config`` says."""

    id: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Description:
    """What a model JSON says: plain configurations of the nets, and the facts that a method needs.

    Ids are in the order of their axis: tokens in sequence, vectors one after the other. ``samples`` is the length of
    training segments, ``latent_scale`` what latents are divided by, ``width`` that of every condition, ``chain`` the
    sizes from the wave to the transformer's heads.
    """

    rate_hz: int
    samples: int
    objective: str
    latent_scale: float
    width: int
    dit: Mapping[str, Any]
    codec: Mapping[str, Any]
    texts: Sequence[Text]
    numbers: Sequence[Number]
    token_ids: tuple[str, ...]
    global_ids: tuple[str, ...]
    concat_ids: tuple[str, ...]
    prefix_ids: tuple[str, ...]
    chain: str


def read_description(path: Path) -> Description:
    """Read and check a model JSON (``model_type: diffusion_cond`` with an Oobleck pretransform and a DiT).

    Raises:
        CheckpointError: not JSON, another kind of model, options of the nets that are not known or not supported
            here, or sizes that do not fit each other; with the keys or the chain.
    """
    try:
        return described(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not a JSON file ({error})") from error
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def described(given: Any) -> Description:
    """The same for what a JSON file holds.

    Raises:
        CheckpointError: as :func:`read_description`.
    """
    try:
        file = File.model_validate(given)
    except pydantic.ValidationError as error:
        what = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise CheckpointError(f"a model JSON of stable-audio-tools that is not supported: {what}") from error
    chain = " -> ".join(_chain(file))
    if broken := list(_broken(file)):
        raise CheckpointError(f"sizes that do not fit: {'; '.join(broken)}. The chain is: {chain}")
    return _facts(file, chain)


def _chain(file: File) -> Iterator[str]:
    dit, codec = file.model.diffusion.config, file.model.pretransform.config
    strides = codec.encoder.config.strides
    steps = "x".join(map(str, strides))
    yield f"audio_channels {file.audio_channels} at {file.sample_rate} Hz"
    yield f"codec of {codec.encoder.config.in_channels} channels, strides {steps} = {math.prod(strides)}"
    yield f"latent_dim {codec.latent_dim}"
    yield f"io_channels {dit.io_channels} + input_concat_dim {dit.input_concat_dim}"
    yield f"embed_dim {dit.embed_dim} / num_heads {dit.num_heads} = {dit.embed_dim / dit.num_heads:g} a head"
    yield f"conditions of cond_dim {file.model.conditioning.cond_dim}, cond_token_dim {dit.cond_token_dim}"
    yield f"{len(file.model.diffusion.global_cond_ids)} global ids, global_cond_dim {dit.global_cond_dim}"


def _broken(file: File) -> Iterator[str]:
    yield from _broken_codec(file)
    yield from _broken_conditions(file.model)
    dit = file.model.diffusion.config
    try:
        check_heads(dit.embed_dim, dit.num_heads, dit.embed_dim if _projected(dit) else dit.cond_token_dim)
    except RecipeError as error:
        yield str(error)


def _broken_codec(file: File) -> Iterator[str]:
    codec, dit = file.model.pretransform.config, file.model.diffusion.config
    encoder, decoder = codec.encoder.config, codec.decoder.config
    hop = math.prod(encoder.strides)
    equal = (
        ("decoder channels, c_mults and strides", (decoder.channels, decoder.c_mults, decoder.strides), "the encoder's",
         (encoder.channels, encoder.c_mults, encoder.strides)),
        ("the encoder's latent_dim", encoder.latent_dim, "twice the decoder's", 2 * decoder.latent_dim),
        ("the codec's latent_dim", codec.latent_dim, "the decoder's", decoder.latent_dim),
        ("downsampling_ratio", codec.downsampling_ratio, "the product of the strides", hop),
        ("io_channels of the codec", codec.io_channels, "in_channels of the encoder", encoder.in_channels),
        ("audio_channels", file.audio_channels, "in_channels of the encoder", encoder.in_channels),
        ("out_channels of the decoder", decoder.out_channels, "in_channels of the encoder", encoder.in_channels),
        ("io_channels of the DiT", dit.io_channels, "the codec's latent_dim", codec.latent_dim),
        ("io_channels of the model", file.model.io_channels, "the codec's latent_dim", codec.latent_dim),
        ("input_concat_dim", dit.input_concat_dim, "io_channels or 0", dit.io_channels if dit.input_concat_dim else 0),
    )  # fmt: skip
    yield from (f"{what} {found} is not {whose} {wanted}" for what, found, whose, wanted in equal if found != wanted)
    if file.sample_size % hop:
        yield f"sample_size {file.sample_size} is no multiple of {hop}"


def _broken_conditions(model: Model) -> Iterator[str]:
    diffusion, dit, width = model.diffusion, model.diffusion.config, model.conditioning.cond_dim
    roles = {
        "cross_attention_cond_ids": (diffusion.cross_attention_cond_ids, "cond_token_dim", dit.cond_token_dim, 1),
        "global_cond_ids": (diffusion.global_cond_ids, "global_cond_dim", dit.global_cond_dim,
                            len(diffusion.global_cond_ids)),
        "prepend_cond_ids": (diffusion.prepend_cond_ids, "prepend_cond_dim", dit.prepend_cond_dim, 1),
    }  # fmt: skip
    known = {conditioner.id for conditioner in model.conditioning.configs}
    for role, (ids, key, size, times) in roles.items():
        if unknown := [name for name in ids if name not in known]:
            yield f"{role}: no {', '.join(unknown)} in conditioning.configs ({', '.join(sorted(known)) or 'none'})"
        if ids and size != times * width:
            yield f"{key} {size} is not {f'{times} x ' if times > 1 else ''}cond_dim {width}"
    if not dit.project_global_cond and dit.global_cond_dim not in (0, dit.embed_dim):
        yield f"global_cond_dim {dit.global_cond_dim} is not projected and not embed_dim {dit.embed_dim}"


def _projected(dit: DiT) -> bool:
    return dit.project_cond_tokens and dit.cond_token_dim > 0


def _facts(file: File, chain: str) -> Description:
    model, diffusion = file.model, file.model.diffusion
    conditioners, width = model.conditioning.configs, model.conditioning.cond_dim
    return Description(
        rate_hz=file.sample_rate,
        samples=file.sample_size,
        objective=diffusion.config.diffusion_objective or diffusion.diffusion_objective,
        latent_scale=model.pretransform.scale,
        width=width,
        dit=_dit(diffusion.config),
        codec=_codec(model),
        texts=tuple(_text(given, width) for given in conditioners if isinstance(given, TextEncoder)),
        numbers=tuple(_number(given, width) for given in conditioners if isinstance(given, NumberConditioner)),
        token_ids=diffusion.cross_attention_cond_ids,
        global_ids=diffusion.global_cond_ids,
        concat_ids=diffusion.input_concat_ids,
        prefix_ids=diffusion.prepend_cond_ids,
        chain=chain,
    )


def _dit(given: DiT) -> Mapping[str, Any]:
    return {
        "type": "DiT",
        "channels": given.io_channels,
        "concat_channels": given.input_concat_dim,
        "width": given.embed_dim,
        "depth": given.depth,
        "heads": given.num_heads,
        "token_width": given.cond_token_dim,
        "project_tokens": _projected(given),
        "global_width": given.global_cond_dim,
        "prefix_width": given.prepend_cond_dim,
        "global_conditioning": given.global_cond_type,
    }


def _codec(model: Model) -> Mapping[str, Any]:
    codec = model.pretransform.config
    return {
        "type": "Oobleck",
        "audio_channels": codec.io_channels,
        "channels": codec.encoder.config.channels,
        "multipliers": codec.encoder.config.c_mults,
        "strides": codec.encoder.config.strides,
        "latent": codec.latent_dim,
    }


def _text(given: TextEncoder, width: int) -> Text:
    sizes = given.config
    own = TEXT_WIDTHS[sizes.t5_model_name.rpartition("-")[2]]
    return Text(given.id, sizes.t5_model_name, sizes.max_length, own, sizes.project_out or own != width)


def _number(given: NumberConditioner, width: int) -> Number:
    span = (given.config.min_val, given.config.max_val)
    return Number(given.id, {"type": "NumberEmbedder", "width": width, "span": span})
