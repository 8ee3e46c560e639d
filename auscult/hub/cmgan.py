"""Published CMGAN checkpoints (ruizhecao96/CMGAN): the bare state dict of the generator, or of a discriminator."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast

from auscult.errors import CheckpointError
from auscult.hub.contents import Contents, blank_nets
from auscult.hub.keys import Table, rename
from auscult.hub.lightning import named_tensors
from auscult.hub.sources import Form, Source, Sources, converted
from auscult.nets.discriminators import MetricDiscriminator
from auscult.nets.tscnet import TSCNet

GENERATOR: Table = (
    (r"^encoder\.stem\.", "dense_encoder.conv_1."),
    (r"^encoder\.shrink\.", "dense_encoder.conv_2."),
    (r"(conv_\d)\.conv\.", r"\1.0."),
    (r"(conv_\d)\.norm\.", r"\1.1."),
    (r"(conv_\d)\.act\.", r"\1.2."),
    (r"^encoder\.dense\.", "dense_encoder.dilated_dense."),
    (r"^(mask|complex)\.", r"\1_decoder."),
    (r"_decoder\.dense\.", "_decoder.dense_block."),
    *((rf"\.layers\.{i}\.{ours}\.", f".{theirs}{i + 1}.") for i in range(4)
      for ours, theirs in (("conv", "conv"), ("norm", "norm"), ("act", "prelu"))),
    (r"_decoder\.grow\.", "_decoder.sub_pixel."),
    (r"_decoder\.act\.", "_decoder.prelu."),
    (r"^complex_decoder\.head\.", "complex_decoder.conv."),
    (r"^mask_decoder\.head\.", "mask_decoder.conv_1."),
    (r"^mask_decoder\.last\.", "mask_decoder.final_conv."),
    (r"^mask_decoder\.last_act\.", "mask_decoder.prelu_out."),
    *((rf"^blocks\.{i}\.", f"TSCB_{i + 1}.") for i in range(4)),
    (r"\.time\.", ".time_conformer."),
    (r"\.frequency\.", ".freq_conformer."),
    (r"conformer\.norm\.", "conformer.post_norm."),
    (r"\.step_in\.", ".ff1.fn."),
    (r"\.step_out\.", ".ff2.fn."),
    (r"\.fn\.wide\.", ".fn.fn.net.0."),
    (r"\.fn\.narrow\.", ".fn.fn.net.3."),
    (r"\.attention\.norm\.", ".attn.norm."),
    (r"\.attention\.query\.", ".attn.fn.to_q."),
    (r"\.attention\.key_value\.", ".attn.fn.to_kv."),
    (r"\.attention\.out\.", ".attn.fn.to_out."),
    (r"\.attention\.positions$", ".attn.fn.rel_pos_emb.weight"),
    (r"\.convolution\.norm\.", ".conv.net.0."),
    (r"\.convolution\.gated\.", ".conv.net.2."),
    (r"\.convolution\.depthwise\.", ".conv.net.4.conv."),
    (r"\.convolution\.batch_norm\.", ".conv.net.5."),
    (r"\.convolution\.narrow\.", ".conv.net.7."),
)  # fmt: skip
"""From our names to the published ones; so are the other tables here."""

FORMS: Mapping[str, Form] = {
    "convolution.gated.weight": "pointwise",
    "convolution.depthwise.weight": "row",
    "convolution.narrow.weight": "pointwise",
}

DISCRIMINATOR: Table = (
    *((rf"^stages\.{i}\.{part}\.", f"layers.{3 * i + part}.") for i in range(4) for part in range(3)),
    (r"^wide\.", "layers.14."),
    (r"^act\.", "layers.16."),
    (r"^score\.", "layers.17."),
    (r"^slope$", "layers.18.slope"),
    (r"\.parametrizations\.weight\.original$", ".weight_orig"),
    (r"\.parametrizations\.weight\.0\._([uv])$", r".weight_\1"),
)
"""Spectral normalisation as a parametrisation, and as the hook of old that the published code uses."""

METHOD = {
    "type": "Regression",
    "rate_hz": 16_000,
    "normalise": {"kind": "rms", "target": 1.0},
    "features": {
        "type": "CompressedSTFT",
        "n_fft": 400,
        "hop": 100,
        "window": "hamming",
        "exponent": 0.3,
        "factor": 1.0,
    },
    "net": {"type": "TSCNet"},
    # What of the published losses needs neither a discriminator nor the net's own spectrum; the recipe has them all.
    "losses": [
        {
            "type": "CompressedSpectrum",
            "magnitude": 0.9,
            "complex": 0.1,
            "exponent": 0.3,
            "n_fft": 400,
            "hop": 100,
            "window": "hamming",
        },
        {"type": "L1", "weight": 0.2},
    ],
}


def generator_sources(net: TSCNet) -> Sources:
    """Where each tensor of the net comes from."""
    return {
        key: Source((rename(key, GENERATOR),), FORMS.get(".".join(key.split(".")[-3:]), "same"))
        for key in net.state_dict()
    }


def discriminator_sources(net: MetricDiscriminator) -> Sources:
    """Where each tensor of the discriminator comes from."""
    return {key: Source((rename(key, DISCRIMINATOR),)) for key in net.state_dict()}


def fits(payload: Any) -> bool:
    """Whether a file is a state dict of CMGAN's generator or of its discriminator."""
    if not isinstance(payload, dict):
        return False
    keys = {str(key).removeprefix("module.") for key in payload}
    return "TSCB_1.time_conformer.post_norm.weight" in keys or _is_discriminator(keys)


def read(payload: Mapping[str, Any]) -> Contents:
    """The generator's tensors in our names, and a method that restores with them.

    Raises:
        CheckpointError: a discriminator, which restores nothing; or other tensors than the published generator's.
    """
    given = named_tensors(payload)
    if _is_discriminator(given):
        raise CheckpointError(
            "a discriminator of CMGAN or MP-SENet: it rates speech and restores none; give the generator's file"
        )
    net = cast(TSCNet, blank_nets(METHOD)["net"])
    sources = generator_sources(net)
    tensors = {f"net.{key}": tensor for key, tensor in converted(net, sources, given).items()}
    ignored = tuple(sorted(given.keys() - {name for source in sources.values() for name in source.names}))
    return Contents("CMGAN", METHOD, tensors, ignored=ignored, notes=tuple(_notes(payload)))


def _notes(payload: Mapping[str, Any]) -> Iterator[str]:
    yield "generator only: the file has no discriminator, so adversarial training begins with a new one"
    if any(str(key).startswith("module.") for key in payload):
        yield "prefixes 'module.' of a net wrapped for several GPUs were taken off"


def _is_discriminator(keys: Collection[str]) -> bool:
    return {"layers.0.weight_orig", "layers.17.weight_orig", "layers.18.slope"} <= set(keys)
