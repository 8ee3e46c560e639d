"""One gain of the whole file, or one of each piece that the net sees."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from numpy import ndarray
from torch import Tensor, nn

from auscult.errors import RecipeError
from auscult.features.normalise import Normalise
from auscult.features.spectral import CompressedSTFT
from auscult.losses.waveform import L1
from auscult.methods.regression import Regression
from auscult.nets.gtcrn import GTCRN
from auscult.restore.engine import Restorer
from auscult.restore.models import Cut, model_of

RATE_HZ = 16_000


class Loudness(nn.Module):
    """Remembers how strong what it saw was."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def forward(self, z: Tensor) -> Tensor:
        self.seen.append(float(z.abs().square().mean()))
        return z


def restored(per: Literal["file", "piece"], wave: ndarray) -> tuple[ndarray, list[float]]:
    net = Loudness()
    features = CompressedSTFT(512, 256, "sqrthann", "none")
    method = Regression(net, features, (L1(),), normalise=Normalise("std", per=per))
    model = model_of("loudness", method, method.nets(), "cpu", Cut(1.0, 0.0))
    return Restorer(model).enhance(wave, RATE_HZ), net.seen


@pytest.fixture
def loud_then_quiet() -> ndarray:
    noise = np.random.default_rng(0).standard_normal((1, 2 * RATE_HZ)).astype(np.float32)
    return noise * np.repeat([0.3, 0.003], RATE_HZ).astype(np.float32)


def test_with_a_gain_of_its_own_every_piece_is_equally_strong(loud_then_quiet: ndarray) -> None:
    out, seen = restored("piece", loud_then_quiet)
    assert seen[1] == pytest.approx(seen[0], rel=0.05)
    np.testing.assert_allclose(out, loud_then_quiet, atol=1e-5)


def test_with_the_gain_of_the_file_a_quiet_piece_stays_quiet(loud_then_quiet: ndarray) -> None:
    out, seen = restored("file", loud_then_quiet)
    assert seen[1] == pytest.approx(seen[0] / 10_000, rel=0.1)
    np.testing.assert_allclose(out, loud_then_quiet, atol=1e-5)


def test_models_without_pieces_refuse() -> None:
    features = CompressedSTFT(512, 256, "sqrthann", "none")
    method = Regression(GTCRN(), features, (L1(),), normalise=Normalise("rms", per="piece"))
    with pytest.raises(RecipeError, match="frame by frame"):
        model_of("gtcrn", method, method.nets(), "cpu")
