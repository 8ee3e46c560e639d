"""Compiled nets: few lengths, the same answers, and a sentence where it cannot be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from auscult.errors import RestorationError
from auscult.features.spectral import CompressedSTFT
from auscult.losses.waveform import L1
from auscult.methods.regression import Regression
from auscult.nets.gtcrn import GTCRN
from auscult.restore import load
from auscult.restore.models import BUCKETS, Cut, model_of
from auscult.rng import Key

RATE_HZ = 16_000


class Smooth(nn.Module):
    """A local net: three neighbouring frames."""

    def forward(self, z: Tensor) -> Tensor:
        out = z.clone()
        out[..., 1:-1] = (z[..., :-2] + z[..., 1:-1] + z[..., 2:]) / 3
        return out


def restored(compile: bool, samples: int) -> np.ndarray:
    method = Regression(Smooth(), CompressedSTFT(512, 256, "sqrthann", "none"), (L1(),))
    model = model_of("smooth", method, method.nets(), "cpu", Cut(2.0, 0.5), compile=compile)
    wave = 0.1 * np.random.default_rng(0).standard_normal((1, samples)).astype(np.float32)
    return model.stream([Key(0)]).whole(wave)


def test_few_lengths_and_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    met: set[tuple[int, ...]] = set()

    def compile(net: nn.Module, dynamic: bool) -> nn.Module:
        assert not dynamic
        net.register_forward_pre_hook(lambda _, given: met.add(tuple(given[0].shape)))
        return net

    monkeypatch.setattr(torch, "compile", compile)
    for samples in (100, 3_000, 7_900, 12_345, 31_999, 50_001, 81_234):
        plain, compiled = restored(False, samples), restored(True, samples)
        assert compiled.shape == plain.shape == (1, samples)
        edge = 1_024  # where a signal ends the net sees silence instead of its own first frames
        assert np.abs(compiled - plain)[:, edge : samples - edge].max(initial=0.0) < 1e-6
    assert 1 < len(met) <= BUCKETS


def test_it_needs_a_compiler_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(RestorationError, match="needs a C\\+\\+ compiler on the CPU, 'no-such-compiler' is not there"):
        restored(True, 8_000)


def test_models_without_whole_signals_are_refused() -> None:
    method = Regression(GTCRN(), CompressedSTFT(512, 256, "sqrthann", "none"), (L1(),))
    with pytest.raises(RestorationError, match="frame by frame"):
        model_of("gtcrn", method, method.nets(), "cpu", compile=True)
    with pytest.raises(RestorationError, match="onnxruntime"):
        load(compile=True)
