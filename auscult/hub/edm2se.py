"""Checkpoints of EDM2SE (sp-uhh/edm2se): a plain state dict, whose settings are fixed in the code that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from auscult.errors import CheckpointError
from auscult.hub.contents import Contents, blank_nets, grouped
from auscult.hub.lightning import named_tensors
from auscult.hub.sources import Source, converted
from auscult.nets.edm2 import Decoder, Encoder, MPUNet

PREFIX = "unet."
BLOCK = {
    "residual.gain": "emb_gain",
    "residual.scale.weight": "emb_linear.weight",
    "residual.conv_in.weight": "conv_res0.weight",
    "residual.conv_out.weight": "conv_res1.weight",
    "project.weight": "conv_skip.weight",
    "condition.weight": "conv_cond.weight",
    "balance": "cond_balance",
    "attention.mix.weight": "attn_qkv.weight",
    "attention.out.weight": "attn_proj.weight",
}
"""Names of a block's tensors, ours and theirs."""
METHOD: dict[str, Any] = {
    "type": "ScoreModel",
    "rate_hz": 16_000,
    # The factor 0.15 of SGMSE, scaled from the deviation 0.08 of its spectra to 0.5.
    "features": {"type": "CompressedSTFT", "n_fft": 510, "hop": 128, "window": "hann", "exponent": 0.5,
                 "factor": 0.9375},
    "net": {"type": "MPUNet"},
    "path": {"type": "SBVE", "k": 2.6, "c": 0.4, "eps": 1e-8},
    "parametrisation": {"type": "BridgeResidual", "sigma_clean": 0.402, "sigma_noise": 0.342},
    "objective": {"type": "DataMatching"},
    "sampler": {"type": "BridgeODE", "steps": 50, "time_label": "prev"},
    "normalise": {"kind": "peak"},
    "frame_grid": 128,
    "padding": "reflect",
}  # fmt: skip


def fits(payload: Any) -> bool:
    """Whether a file holds weights of EDM2SE."""
    return isinstance(payload, dict) and any(str(key).startswith("unet.enc.") for key in payload)


def read(payload: Mapping[str, Any]) -> Contents:
    """The net's tensors in our names, and its method.

    Raises:
        CheckpointError: not the tensors of the published net.
    """
    state = {key.removeprefix(PREFIX): tensor for key, tensor in named_tensors(payload).items()}
    method = {**METHOD, "net": {"type": "MPUNet", **sizes(state)}}
    net = blank_nets(method)["net"]
    assert isinstance(net, MPUNet)
    sources = edm2se_sources(net)
    tensors = {f"net.{key}": tensor for key, tensor in converted(net, sources, state).items()}
    used = {name for source in sources.values() for name in source.names}
    left = [key for key in state if key not in used]
    dead = sum(key.startswith(("enc.", "dec.")) for key in left)
    others = grouped(key for key in left if not key.startswith(("enc.", "dec.")))
    note = "which weights it holds (raw or averaged) is not said in the file; its method is fixed in the published code"
    return Contents("EDM2SE", method, tensors, 0, (*others, f"{dead} tensors that no block uses"), (note,))


def sizes(state: Mapping[str, Any]) -> dict[str, Any]:
    """Bins, widths and blocks of the net, read from the names and shapes of its encoder.

    Raises:
        CheckpointError: it has no stem.
    """
    levels: dict[int, list[int]] = {}
    for key, tensor in state.items():
        if key.startswith("enc.") and key.endswith((".conv_res0.weight", "_conv.weight")) and "_down" not in key:
            levels.setdefault(int(key.split(".")[1].partition("_")[0]), []).append(tensor.shape[0])
    bins = max(levels, default=0)
    if f"enc.{bins}_conv.weight" not in state:
        raise CheckpointError("its encoder (unet.enc.*) has no first convolution")
    widths = [levels[height][-1] for height in sorted(levels, reverse=True)]
    channels = levels[bins][0]
    return {"bins": bins, "channels": channels, "multipliers": [width // channels for width in widths],
            "blocks": len(levels[bins]) - 1, "attention_heights": [16, 8]}  # fmt: skip


def edm2se_sources(net: MPUNet) -> dict[str, Source]:
    """Where each tensor of a net comes from, without the prefix ``unet.``."""
    table = {"gain": "out_gain", "output.weight": "out_conv.weight", "level.linear.weight": "emb_noise.weight"}
    table |= {"level.frequencies": "emb_fourier.freqs", "level.phases": "emb_fourier.phases"}
    table |= {"stem.weight": f"enc.{net.bins}_conv.weight"}
    for name, official in block_names(net).items():
        own = net.get_submodule(name).state_dict()
        table |= {f"{name}.{ours}": f"{official}.{theirs}" for ours, theirs in BLOCK.items() if ours in own}
    return {ours: Source((theirs,)) for ours, theirs in table.items()}


def block_names(net: MPUNet) -> dict[str, str]:
    """Blocks by our name, in theirs: by the bins of their level, and counted within it."""
    names, height, count = {}, net.bins, 0
    for index, encoder in enumerate(cast("list[Encoder]", net.down)):
        shrinks = encoder.resample == "down"
        height, count = (height // 2, 0) if shrinks else (height, count + 1)
        names[f"down.{index}"] = f"enc.{height}_down" if shrinks else f"enc.{height}_block{count - 1}"
    names |= {f"middle.{index}": f"dec.{height}_in{index}" for index in range(len(net.middle))}
    count = 0
    for index, decoder in enumerate(cast("list[Decoder]", net.up)):
        grows = decoder.resample == "up"
        height, count = (height * 2, 0) if grows else (height, count + 1)
        names[f"up.{index}"] = f"dec.{height}_up" if grows else f"dec.{height}_block{count - 1}"
    return names
