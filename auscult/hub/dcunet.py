"""The names of DCUNet tensors in SGMSE (sp-uhh), and our layout: complex layers and norms hold two real ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from auscult.hub.sources import Source
from auscult.nets.dcunet import Block, DCUNet


def dcunet_sources(net: DCUNet) -> dict[str, Source]:
    """Where each tensor of a net comes from."""
    table = {"frequencies": Source(("embed.0.W",))}
    for index in range(len(net.time)):
        table |= _complex(f"time.{index}", f"embed.{2 * index + 1}", "")  # activations take every second place
    for part, theirs, conv in (("down", "encoders", "conv"), ("up", "decoders", "deconv")):
        for index, block in enumerate(cast("list[Block]", getattr(net, part))):
            ours, official = f"{part}.{index}", f"{theirs}.{index}"
            table |= _complex(f"{ours}.conv", f"{official}.{conv}", "_module", block.conv.bias is not None)
            table |= dict(_norm(f"{ours}.norm", f"{official}.norm"))
            table |= _complex(f"{ours}.shift", f"{official}.embed_layer.0.dense", "")
    return table | _complex("output", "output_layer", "_module", net.output.bias is not None)


def _complex(ours: str, theirs: str, suffix: str, bias: bool = True) -> dict[str, Source]:
    """A complex layer: two weights, and the biases of both real layers."""
    table = {f"{ours}.real": Source((f"{theirs}.re{suffix}.weight",))}
    table[f"{ours}.imaginary"] = Source((f"{theirs}.im{suffix}.weight",))
    if bias:
        table[f"{ours}.bias"] = Source((f"{theirs}.re{suffix}.bias", f"{theirs}.im{suffix}.bias"), "stacked")
    return table


def _norm(ours: str, theirs: str) -> Iterator[tuple[str, Source]]:
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        yield f"{ours}.{leaf}", Source((f"{theirs}.re_module.{leaf}", f"{theirs}.im_module.{leaf}"), "joined")
    count = "num_batches_tracked"
    yield f"{ours}.{count}", Source((f"{theirs}.re_module.{count}", f"{theirs}.im_module.{count}"), "first")
