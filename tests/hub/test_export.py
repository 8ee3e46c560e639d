"""A causal net as one ONNX frame with state: what onnxruntime computes is what torch computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from auscult.audio.clip import Clip
from auscult.catalogue import find
from auscult.errors import CheckpointError
from auscult.features.normalise import Normalise
from auscult.features.spectral import CompressedSTFT
from auscult.hub.export import export_step
from auscult.losses.waveform import L1
from auscult.methods.regression import Regression
from auscult.restore.engine import Restorer
from auscult.restore.models import FrameModel, model_of
from auscult.restore.onnx import OnnxStep


def method_of(net: nn.Module) -> Regression:
    return Regression(net, CompressedSTFT(n_fft=512, hop=256, window="sqrthann", transform="none"), (L1(),))


def test_the_exported_frame_is_the_net(tmp_path: Path, noisy: Clip) -> None:
    torch.manual_seed(0)
    method = method_of(find("BandGRU")(channels=4, hidden=4, blocks=2).eval())
    export_step(method, method.nets()["net"], tmp_path / "net.onnx")
    step = OnnxStep(tmp_path / "net.onnx")
    assert (step.rate_hz, step.stft.n_fft, step.stft.hop) == (16_000, 512, 256)
    wave = np.concatenate([noisy.wave[:, :30_000], np.zeros((1, 30_000), np.float32), 0.01 * noisy.wave[:, :30_000]])
    exported = Restorer(FrameModel("onnx", step.rate_hz, step, Normalise())).enhance(wave, 16_000)
    torch_made = Restorer(model_of("torch", method, method.nets(), "cpu")).enhance(wave, 16_000)
    assert np.abs(exported - torch_made).max() < 1e-5
    assert not exported[1].any()  # digital silence, through clamps that an exporter could have dropped


def test_what_is_not_causal_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="Identity is not causal: only nets with a state can be exported"):
        export_step(method_of(nn.Identity()), nn.Identity(), tmp_path / "net.onnx")


def test_what_is_no_onnx_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"no model")
    with pytest.raises(CheckpointError, match="not an ONNX model that onnxruntime opens"):
        OnnxStep(tmp_path / "net.onnx")
