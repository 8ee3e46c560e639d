"""Tensors of the DiT, the Oobleck codec and the number embedders by their names in stable-audio-tools and diffusers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from auscult.hub.keys import Table, rename
from auscult.hub.sources import Form, Source, Sources
from auscult.nets.dit import DiT
from auscult.nets.number_embedder import NumberEmbedder
from auscult.nets.oobleck import Oobleck

DIT: Table = (
    (r"^time\.frequencies$", "timestep_features.weight"),
    (r"^time\.embed\.", "to_timestep_embed."),
    (r"^token_embed\.", "to_cond_embed."),
    (r"^global_embed\.", "to_global_embed."),
    (r"^prefix_embed\.", "to_prepend_embed."),
    (r"^modulate\.", "transformer.global_cond_embedder."),
    (r"^stem\.", "preprocess_conv."),
    (r"^last\.", "postprocess_conv."),
    (r"^project_(in|out)\.", r"transformer.project_\1."),
    (r"^blocks\.", "transformer.layers."),
    (r"\.norm_self\.weight$", ".pre_norm.gamma"),
    (r"\.norm_cross\.weight$", ".cross_attend_norm.gamma"),
    (r"\.norm_feed\.weight$", ".ff_norm.gamma"),
    (r"\.self_attention\.", ".self_attn."),
    (r"\.cross_attention\.", ".cross_attn."),
    (r"_attn\.qkv\.", "_attn.to_qkv."),
    (r"_attn\.query\.", "_attn.to_q."),
    (r"_attn\.key_value\.", "_attn.to_kv."),
    (r"_attn\.out\.", "_attn.to_out."),
    (r"\.feed\.gated\.", ".ff.ff.0.proj."),
    (r"\.feed\.narrow\.", ".ff.ff.2."),
    (r"\.modulation$", ".to_scale_shift_gate"),
)
"""From our names to those of stable-audio-tools."""

DIFFUSERS_DIT: Table = (
    (r"^timestep_features\.", "time_proj."),
    (r"^to_timestep_embed\.", "timestep_proj."),
    (r"^to_cond_embed\.", "cross_attention_proj."),
    (r"^to_global_embed\.", "global_proj."),
    (r"^transformer\.project_", "proj_"),
    (r"^transformer\.layers\.", "transformer_blocks."),
    (r"\.pre_norm\.gamma$", ".norm1.weight"),
    (r"\.cross_attend_norm\.gamma$", ".norm2.weight"),
    (r"\.ff_norm\.gamma$", ".norm3.weight"),
    (r"\.self_attn\.", ".attn1."),
    (r"\.cross_attn\.", ".attn2."),
    (r"\.to_out\.", ".to_out.0."),
    (r"\.ff\.ff\.", ".ff.net."),
)
"""From the names of stable-audio-tools to those of diffusers."""

CODEC: Table = (
    (r"\.(\d+)(?=\.)", r".layers.\1"),
    (r"\.parametrizations\.weight\.original0$", ".weight_g"),
    (r"\.parametrizations\.weight\.original1$", ".weight_v"),
)
EMBEDDER: Table = ((r"^frequencies$", "0.weights"), (r"^linear\.", "1."))
"""Behind ``<id>.embedder.embedding.``."""

UNIT = ("snake1", "conv1", "snake2", "conv2")
"""The four layers of a residual unit, in the names of diffusers."""
DOWN = ("res_unit1", "res_unit2", "res_unit3", "snake1", "conv1")
UP = ("snake1", "conv_t1", "res_unit1", "res_unit2", "res_unit3")
POINTWISE = ("stem.weight", "last.weight")


def dit_sources(net: DiT) -> Sources:
    """Where each tensor of a net comes from in a file of stable-audio-tools."""

    def form(key: str) -> Form:
        return "pointwise" if key in (*POINTWISE, "time.frequencies") else "same"

    return {key: Source((rename(key, DIT),), form(key)) for key in net.state_dict()}


def diffusers_dit_sources(net: DiT) -> Sources:
    """The same in a file of diffusers, where products that are one here are two or three."""

    def source(key: str) -> Source:
        theirs = rename(rename(key, DIT), DIFFUSERS_DIT)
        for joined, parts in (("to_qkv", ("to_q", "to_k", "to_v")), ("to_kv", ("to_k", "to_v"))):
            if f".{joined}." in theirs:
                return Source(tuple(theirs.replace(joined, part) for part in parts), "joined")
        return Source((theirs,), "pointwise" if key in POINTWISE else "same")

    return {key: source(key) for key in net.state_dict()}


def codec_sources(net: Oobleck) -> Sources:
    """Where each tensor of a codec comes from in a file of stable-audio-tools."""
    return {key: Source((rename(key, CODEC),)) for key in net.state_dict()}


def diffusers_codec_sources(net: Oobleck) -> Sources:
    """The same in a file of diffusers, which names the layers that are numbered here."""
    sources = {}
    for key in net.state_dict():
        half, *numbers, leaf = re.sub(r"parametrizations\.weight\.original", "original", key).split(".")
        names = _diffusers_layer(half, [int(number) for number in numbers], len(getattr(net, half)) - 1)
        leaf = {"original0": "weight_g", "original1": "weight_v"}.get(leaf, leaf)
        sources[key] = Source((".".join([half, *names, leaf]),))
    return sources


def embedder_sources(net: NumberEmbedder) -> Sources:
    """Where each tensor of a number embedder comes from, behind the prefix of its conditioner."""
    return {key: Source((rename(key, EMBEDDER),)) for key in net.state_dict()}


def _diffusers_layer(half: str, numbers: list[int], last: int) -> Iterator[str]:
    """From the numbers of a layer, its block's first, to names."""
    outer, *inner = numbers
    if not inner:
        yield {0: "conv1", last - 1: "snake1", last: "conv2"}[outer]
        return
    yield "block"
    yield str(outer - 1)
    yield (DOWN if half == "encoder" else UP)[inner[0]]
    yield from (UNIT[number] for number in inner[1:])
