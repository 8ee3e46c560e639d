"""A causal net exported as one frame with state, run by onnxruntime: no torch anywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from jaxtyping import Float32
from numpy import ndarray

from auscult.audio.stft import STFT
from auscult.errors import CheckpointError
from auscult.features.frames import FrameStep


class OnnxStep(FrameStep):
    """An ONNX graph with the inputs ``frame`` [C, 1, F, 2] and ``state`` [C, S], and the outputs of the same names.

    Its metadata give the rate and the STFT. One thread: a frame is too small to share.
    """

    def __init__(self, path: Path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise CheckpointError(f"{path}: not an ONNX model that onnxruntime opens ({error})") from error
        facts = self._session.get_modelmeta().custom_metadata_map
        self.rate_hz = int(facts["rate_hz"])
        self.stft = STFT(int(facts["n_fft"]), int(facts["hop"]), facts["window"])
        self._state_size = int(facts["state_size"])

    def initial_state(self, channels: int) -> Float32[ndarray, "C S"]:
        return np.zeros((channels, self._state_size), np.float32)

    def __call__(
        self, frames: Float32[ndarray, "C N F 2"], state: Float32[ndarray, "C S"]
    ) -> tuple[Float32[ndarray, "C N F 2"], Float32[ndarray, "C S"]]:
        out = np.empty_like(frames)
        run, names = self._session.run, ["frame_out", "state_out"]
        for n in range(frames.shape[1]):
            frame = np.ascontiguousarray(frames[:, n : n + 1])
            out[:, n : n + 1], state = run(names, {"frame": frame, "state": state})
        return out, state
