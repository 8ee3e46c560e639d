"""SGMSE+ (sp-uhh/sgmse): the names of NCSN++ tensors in the official order, and our layout of them.

The table for state dicts that are already read; it is what our NCSN++ is compared with the reference by. Whole
checkpoint files of that project are not recognised yet (:mod:`auscult.hub.foreign` lists those that are).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from torch import Tensor, nn

from auscult.errors import CheckpointError, few
from auscult.nets.blocks import Attention, Join, ResBlock
from auscult.nets.ncsnpp import Decoder, Encoder, NCSNpp

RES = {"norm_in": "GroupNorm_0", "conv_in": "Conv_0", "shift": "Dense_0", "norm_out": "GroupNorm_1"}
RES |= {"conv_out": "Conv_1", "skip": "Conv_2"}
ATTENTION = {"norm": "GroupNorm_0", "query": "NIN_0", "key": "NIN_1", "value": "NIN_2", "out": "NIN_3"}

PARTS: dict[type[nn.Module], dict[str, str]] = {ResBlock: RES, Attention: ATTENTION, Join: {"conv": "Conv_0"}}


def ncsnpp_keys(net: NCSNpp) -> dict[str, str]:
    """Our state-dict key for every official one, in the official order (which averaged weights are listed in)."""
    names = {id(module): name for name, module in net.named_modules()}
    table = {f"output_layer.{leaf}": f"output.{leaf}" for leaf in ("weight", "bias")}
    table["all_modules.0.W"] = "time.frequencies"
    for index, module in enumerate(_official_order(net), start=1):
        for theirs, ours in _tensors(module):
            table[f"all_modules.{index}.{theirs}"] = f"{names[id(module)]}.{ours}"
    return table


def _official_order(net: NCSNpp) -> Iterator[nn.Module]:
    """The modules of the reference's flat list, after the Fourier features."""
    slots: list[nn.Module | None] = [net.time.linear_in, net.time.linear_out, net.stem]
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
        if isinstance(getattr(module, ours), nn.Identity):
            continue
        weight, bias = ("W", "b") if theirs.startswith("NIN") else ("weight", "bias")
        yield from ((f"{theirs}.{weight}", f"{ours}.weight"), (f"{theirs}.{bias}", f"{ours}.bias"))


def ncsnpp_state(net: NCSNpp, official: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An official NCSN++ state dict (without its ``dnn.`` prefix) in our names and layout.

    Raises:
        CheckpointError: tensors that this net lacks, or that the file lacks; named.
    """
    table = ncsnpp_keys(net)
    missing, extra = table.keys() - official.keys(), official.keys() - table.keys()
    if missing or extra:
        raise CheckpointError(
            f"not the tensors of this NCSN++: {len(missing)} missing ({few(missing)}), "
            f"{len(extra)} unknown ({few(extra)})"
        )
    # NIN weights are (in, out) matrices; here they are 1x1 convolutions (out, in, 1, 1).
    return {
        ours: official[theirs].T[:, :, None, None] if ".NIN_" in theirs and theirs.endswith("W") else official[theirs]
        for theirs, ours in table.items()
    }
