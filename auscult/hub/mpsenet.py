"""Published MP-SENet checkpoints (yxlu-0102/MP-SENet): ``g_*`` files hold the generator, ``do_*`` files the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from auscult.errors import CheckpointError
from auscult.hub.contents import Contents, blank_nets
from auscult.hub.keys import Table, rename
from auscult.hub.lightning import named_tensors
from auscult.hub.sources import Source, Sources, converted
from auscult.nets.mpsenet import MPSENet

KEYS: Table = (
    (r"^encoder\.stem\.", "dense_encoder.dense_conv_1."),
    (r"^encoder\.shrink\.", "dense_encoder.dense_conv_2."),
    (r"^encoder\.dense\.", "dense_encoder.dense_block."),
    (r"_decoder\.dense\.", "_decoder.dense_block."),
    (r"\.layers\.(\d)\.conv\.", r".dense_block.\1.1."),
    (r"\.layers\.(\d)\.norm\.", r".dense_block.\1.2."),
    (r"\.layers\.(\d)\.act\.", r".dense_block.\1.3."),
    (r"(dense_conv_\d)\.conv\.", r"\1.0."),
    (r"(dense_conv_\d)\.norm\.", r"\1.1."),
    (r"(dense_conv_\d)\.act\.", r"\1.2."),
    (r"^(mask|phase)_decoder\.grow\.", r"\1_decoder.\1_conv.0."),
    (r"^(mask|phase)_decoder\.norm\.", r"\1_decoder.\1_conv.1."),
    (r"^(mask|phase)_decoder\.act\.", r"\1_decoder.\1_conv.2."),
    (r"^mask_decoder\.head\.", "mask_decoder.mask_conv.3."),
    (r"^sigmoid\.", "mask_decoder.lsigmoid."),
    (r"^blocks\.", "TSTransformer."),
    (r"\.first\.", ".time_transformer."),  # in name only: it runs along frequency
    (r"\.second\.", ".freq_transformer."),
    (r"\.(gru|linear)\.", r".ffn.\1."),
    (r"\.qkv\.", ".in_proj_"),
    (r"\.attention\.out\.", ".attention.out_proj."),
)

METHOD = {
    "type": "Regression",
    "rate_hz": 16_000,
    "normalise": {"kind": "rms", "target": 1.0},
    "features": {
        "type": "CompressedSTFT",
        "n_fft": 400,
        "hop": 100,
        "window": "hann",
        "transform": "polar",
        "exponent": 0.3,
        "factor": 1.0,
    },
    "net": {"type": "MPSENet", "axes": "legacy"},
    # What of the published losses needs neither a discriminator nor the net's own spectrum; the recipe has them all.
    "losses": [
        {
            "type": "CompressedSpectrum",
            "magnitude": 0.9,
            "complex": 0.1,
            "exponent": 0.3,
            "n_fft": 400,
            "hop": 100,
            "window": "hann",
        },
        {"type": "L1", "weight": 0.2},
    ],
}


def mpsenet_sources(net: MPSENet) -> Sources:
    """Where each tensor of a net comes from. The two parts of the phase have a convolution each there."""
    parts = {
        f"phase_decoder.head.{leaf}": Source(
            (f"phase_decoder.phase_conv_r.{leaf}", f"phase_decoder.phase_conv_i.{leaf}"), "joined"
        )
        for leaf in ("weight", "bias")
    }
    return {key: parts.get(key) or Source((rename(key, KEYS),)) for key in net.state_dict()}


def fits(payload: Any) -> bool:
    """Whether a file is of MP-SENet's training: its generator, or what is saved beside it."""
    if not isinstance(payload, dict):
        return False
    generator = payload.get("generator")
    if isinstance(generator, dict):
        return any("TSTransformer.0.time_transformer." in str(key) for key in generator)
    return {"discriminator", "optim_g", "optim_d"} <= payload.keys()


def read(payload: Mapping[str, Any]) -> Contents:
    """The net's tensors in our names, and a method that restores with them.

    Raises:
        CheckpointError: a ``do_*`` file, which has no generator; or other tensors than the published net's.
    """
    if "generator" not in payload:
        raise CheckpointError(
            "an MP-SENet training state (do_*): its discriminator and optimisers restore nothing; "
            "give the g_* file of the same step, which holds the generator"
        )
    net = cast("MPSENet", blank_nets(METHOD)["net"])
    given = named_tensors(payload["generator"])
    sources = mpsenet_sources(net)
    tensors = {f"net.{key}": tensor for key, tensor in converted(net, sources, given).items()}
    used = {name for source in sources.values() for name in source.names}
    ignored = (*(key for key in payload if key != "generator"), *sorted(given.keys() - used))
    notes = ("legacy axes: its time_transformer runs along frequency and its freq_transformer along time",)
    return Contents("MP-SENet", METHOD, tensors, 0, tuple(map(str, ignored)), notes)
