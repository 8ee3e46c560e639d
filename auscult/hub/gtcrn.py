"""Published GTCRN checkpoints (Xiaobin-Rong/gtcrn): a dict with ``model``, ``optimizer`` and ``epoch``."""

from collections.abc import Mapping
from typing import Any

from auscult.hub.contents import Contents
from auscult.hub.keys import Table, renamed

KEYS: Table = (
    (r"^erb\..*", ""),  # computed, not learned
    (r"^encoder\.en_convs", "encoder"),
    (r"^decoder\.de_convs", "decoder"),
    (r"^dpgrnn1\.", "recurrent.0."),
    (r"^dpgrnn2\.", "recurrent.1."),
    (r"\.(intra|inter)_rnn\.rnn1", r".\1.parts.0"),
    (r"\.(intra|inter)_rnn\.rnn2", r".\1.parts.1"),
    (r"\.(intra|inter)_fc", r".\1_linear"),
    (r"\.(intra|inter)_ln", r".\1_norm"),
    (r"\.point_conv1", ".point_in"),
    (r"\.point_bn1", ".norm_in"),
    (r"\.point_act", ".act_in"),
    (r"\.depth_conv", ".depthwise"),
    (r"\.depth_bn", ".norm_depth"),
    (r"\.depth_act", ".act_depth"),
    (r"\.point_conv2", ".point_out"),
    (r"\.point_bn2", ".norm_out"),
    (r"\.tra\.att_gru", ".attention.gru"),
    (r"\.tra\.att_fc", ".attention.linear"),
    (r"\.bn\.", ".norm."),
)

LEVEL = (
    "the net depends on its input's level: restore what is far from -25 dBFS (RMS) with "
    "--set 'normalise={kind: rms, target: 0.05}'"
)

METHOD = {
    "type": "Regression",
    "rate_hz": 16_000,
    "features": {"type": "CompressedSTFT", "n_fft": 512, "hop": 256, "window": "sqrthann", "transform": "none"},
    "net": {"type": "GTCRN"},
    # As published (SEtrain): 70 and 30 on compressed spectra, and the base-10 logarithm of the SI-SNR ratio.
    "losses": [
        {"type": "CompressedSpectrum", "magnitude": 70.0, "complex": 30.0, "exponent": 0.3},
        {"type": "LimitedSISDR", "weight": 0.1},
    ],
}


def fits(payload: Any) -> bool:
    """Whether a file holds GTCRN weights."""
    model = payload.get("model") if isinstance(payload, dict) else None
    return isinstance(model, dict) and "dpgrnn1.intra_rnn.rnn1.weight_ih_l0" in model and "erb.erb_fc.weight" in model


def read(payload: Mapping[str, Any]) -> Contents:
    """The net's tensors in our names, and the method it was published with."""
    tensors = {f"net.{key}": tensor for key, tensor in renamed(payload["model"], KEYS).items()}
    ignored = tuple(str(key) for key in payload if key != "model")
    return Contents("GTCRN", METHOD, tensors, int(payload.get("epoch", 0)), ignored, (LEVEL,))
