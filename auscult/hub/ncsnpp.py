"""The names of NCSN++ tensors in SGMSE+, StoRM and BBED (sp-uhh), in their order, and our layout of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from torch import nn

from auscult.hub.sources import Form, Source
from auscult.nets.blocks import Attention, Join, ResBlock
from auscult.nets.ncsnpp import Decoder, Encoder, NCSNpp

RES = {"norm_in": "GroupNorm_0", "conv_in": "Conv_0", "shift": "Dense_0", "norm_out": "GroupNorm_1"}
RES |= {"conv_out": "Conv_1", "skip": "Conv_2"}
ATTENTION = {"norm": "GroupNorm_0", "query": "NIN_0", "key": "NIN_1", "value": "NIN_2", "out": "NIN_3"}

PARTS: dict[type[nn.Module], dict[str, str]] = {ResBlock: RES, Attention: ATTENTION, Join: {"conv": "Conv_0"}}


def ncsnpp_sources(net: NCSNpp) -> dict[str, Source]:
    """Where each tensor of a net comes from, in the official order (which averaged weights are listed in)."""
    names = {id(module): name for name, module in net.named_modules()}
    table = {f"output.{leaf}": Source((f"output_layer.{leaf}",)) for leaf in ("weight", "bias")}
    if net.time is not None:
        table["time.frequencies"] = Source(("all_modules.0.W",))
    for index, module in enumerate(_official_order(net), start=1):
        for theirs, ours in _tensors(module):
            form: Form = "matrix" if theirs.endswith(".W") else "same"  # NIN weights are (in, out) matrices
            table[f"{names[id(module)]}.{ours}"] = Source((f"all_modules.{index}.{theirs}",), form)
    return table


def _official_order(net: NCSNpp) -> Iterator[nn.Module]:
    """The modules of the reference's flat list, after the Fourier features."""
    timed = [] if net.time is None else [net.time.linear_in, net.time.linear_out]
    slots: list[nn.Module | None] = [*timed, net.stem]
    for encoder in cast("list[Encoder]", net.down):
        for block, attention in zip(encoder.blocks, encoder.attentions, strict=True):
            slots += [block, attention]
        slots += [encoder.shrink, encoder.join]
    slots += [net.middle.block_in, net.middle.attention, net.middle.block_out]
    for decoder in cast("list[Decoder]", net.up):
        slots += [*decoder.blocks, decoder.attention, decoder.tap_norm, decoder.tap, decoder.grow]
    for module in slots:
        if module is not None and not isinstance(module, nn.Identity):
            yield module


def _tensors(module: nn.Module) -> Iterator[tuple[str, str]]:
    """(their name, our name) of a module's tensors, in their order."""
    parts = PARTS.get(type(module), {})
    if not parts:
        yield from (("weight", "weight"), ("bias", "bias"))
    for ours, theirs in parts.items():
        if getattr(module, ours) is None or isinstance(getattr(module, ours), nn.Identity):
            continue
        weight, bias = ("W", "b") if theirs.startswith("NIN") else ("weight", "bias")
        yield from ((f"{theirs}.{weight}", f"{ours}.weight"), (f"{theirs}.{bias}", f"{ours}.bias"))
