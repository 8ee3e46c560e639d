"""Export of a causal method as one ONNX frame with state, which the core install runs without torch."""

from __future__ import annotations

import copy
import logging
import warnings
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from auscult.errors import CheckpointError, need
from auscult.files import write_bytes
from auscult.methods.regression import Regression
from auscult.nets.streaming import StreamingNet

OPSET = 20


class _OneFrame(nn.Module):
    """The net's step as a plain forward."""

    def __init__(self, net: StreamingNet):
        super().__init__()
        self.net = net

    def forward(self, frame: Float[Tensor, "B 1 F 2"], state: Float[Tensor, "B S"]) -> tuple[Tensor, Tensor]:
        return self.net.step(frame, state)


def export_step(method: Regression, net: nn.Module, path: Path) -> None:
    """Write ``frame, state -> frame_out, state_out`` with a free number of channels; metadata tell rate and STFT.

    Raises:
        CheckpointError: the net is not causal.
        MissingExtra: onnx or onnxscript is not installed.
    """
    need("onnxscript", "exporting to ONNX")
    onnx = need("onnx", "exporting to ONNX")
    if not isinstance(net, StreamingNet):
        raise CheckpointError(
            f"{type(net).__name__} is not causal: only nets with a state can be exported frame by frame"
        )
    net = copy.deepcopy(net).cpu().eval()
    features = method.features
    frame, state = torch.randn(2, 1, features.bins, 2), net.initial_state(2)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    channels = torch.export.Dim("channels", min=1, max=64)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _OneFrame(net),
            (frame, state),
            dynamo=True,
            opset_version=OPSET,
            input_names=["frame", "state"],
            output_names=["frame_out", "state_out"],
            dynamic_shapes=({0: channels}, {0: channels}),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    facts = {"n_fft": features.n_fft, "hop": features.hop, "window": features.window}
    facts |= {"rate_hz": method.rate_hz, "state_size": state.shape[1]}
    onnx.helper.set_model_props(model, {key: str(value) for key, value in facts.items()})
    write_bytes(path, model.SerializeToString())
