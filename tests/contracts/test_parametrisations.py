"""What a net's output means: every scaling against its formula, worked by hand at one time of one path."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from auscult.catalogue import CATALOGUE, find
from auscult.methods.parametrisation import Parametrisation, Scaling
from auscult.paths.ouve import OUVE

PATH, T = OUVE(), 0.4
SIGMA = float(PATH.std(torch.tensor([T])))
SD = 0.1


class Probe(nn.Module):
    """F = 3 x + 5 y (+ 7 of a third map) of what it is given, at the time or log level it is given."""

    def forward(self, inputs: Tensor, t: Tensor) -> Tensor:
        assert float(t) == pytest.approx(T) or float(t) == pytest.approx(math.log(SIGMA) / 4)
        factors = torch.tensor([3.0, 5.0, 7.0])[: inputs.shape[1]].reshape(1, -1, 1, 1)
        return (factors * inputs).sum(1, keepdim=True)


def value(parametrisation: Parametrisation) -> tuple[str, complex]:
    """Kind and value of the prediction at x = 2, y = 1j."""
    x, y = (torch.full((1, 1, 2, 2), z, dtype=torch.complex64) for z in (2, 1j))
    prediction = parametrisation.predict(Probe(), x, y, torch.tensor([T]), PATH)
    return prediction.kind, complex(prediction.value.flatten()[0])


F = 6 + 5j
C_IN = 1 / math.sqrt(SIGMA**2 + SD**2)
C_OUT = SIGMA * SD * C_IN
C_SKIP = SD**2 * C_IN**2


@pytest.mark.parametrize(("settings", "expected"), [
    ({}, F),
    ({"network": "1/sigma"}, F / SIGMA),
    ({"network": "1/t"}, F / T),
    ({"c_in": "edm"}, F * C_IN),
    ({"c_out": "sigma"}, F * SIGMA),
    ({"c_out": "1/sigma"}, F / SIGMA),
    ({"c_out": "edm"}, F * C_OUT),
    ({"c_skip": "edm"}, F + 2 * C_SKIP),
    ({"c_in": "edm", "c_out": "edm", "c_skip": "edm", "network": "1/t"}, F * C_IN * C_OUT / T + 2 * C_SKIP),
])  # fmt: skip
def test_scalings_are_their_formulas(settings: dict[str, Any], expected: complex) -> None:
    scaling = Scaling(**settings, sigma_data=SD)
    assert value(find("DataPrediction")(scaling)) == ("clean", pytest.approx(expected, rel=1e-5))
    assert value(find("ScaledScore")(scaling)) == ("score", pytest.approx(expected, rel=1e-5))


def test_a_denoiser_takes_input_and_network_scalings_alone() -> None:
    scaling = Scaling(c_in="edm", c_out="edm", c_skip="edm", network="1/sigma", sigma_data=SD)
    assert value(find("Denoiser")(scaling)) == ("mean", pytest.approx(F * C_IN / SIGMA, rel=1e-5))


def test_the_published_sign() -> None:
    assert value(find("NegativeScore")()) == ("score", pytest.approx(-F))


@pytest.mark.parametrize("name", CATALOGUE["parametrisation"])
def test_samplers_can_read_any_of_them(name: str) -> None:
    """Clean estimate, mean and score of one prediction agree through the path."""
    x, y = (torch.full((1, 1, 2, 2), z, dtype=torch.complex64) for z in (2, 1j))
    t = torch.tensor([T])
    prediction = find(name)().predict(Probe(), x, y, t, PATH)
    assert torch.allclose(PATH.mean(prediction.clean, y, t), prediction.mean, rtol=1e-4)
    assert torch.allclose((prediction.mean - x) / SIGMA**2, prediction.score, rtol=1e-4)


def test_the_scalings_of_edm2se() -> None:
    """D = x + c_out F(c_in x, c_in(1) y), powers from those of x_0 and n; c_in without the root, as published."""
    a = math.exp(-PATH.theta * T)
    b, last = 1 - a, math.exp(-PATH.theta)
    end = float(PATH.std(torch.ones(1)))
    c_in = 1 / ((a + b) ** 2 * 0.402**2 + b**2 * 0.342**2 + SIGMA**2)
    c_y = 1 / (0.402**2 + (1 - last) ** 2 * 0.342**2 + end**2)
    c_out = math.sqrt((1 - a - b) ** 2 * 0.402**2 + b**2 * 0.342**2 + SIGMA**2)
    expected = 2 + c_out * (3 * c_in * 2 + 5 * c_y * 1j)
    assert value(find("BridgeResidual")()) == ("clean", pytest.approx(expected, rel=1e-5))


@pytest.mark.parametrize("name", CATALOGUE["parametrisation"])
def test_a_condition_takes_the_anchors_place_in_the_net_alone(name: str) -> None:
    """With the anchor as condition nothing changes; another condition reaches the net, scaled as the anchor is."""
    x, y, other = (torch.full((1, 1, 2, 2), z, dtype=torch.complex64) for z in (2, 1j, 4))
    t = torch.tensor([T])

    def said(condition: Tensor | None) -> Tensor:
        return find(name)().predict(Probe(), x, y, t, PATH, condition).value

    assert torch.equal(said(y), said(None))
    assert not torch.allclose(said(other), said(None))
    both = said(torch.cat([y, other], dim=1))
    by_parts = said(None) + 7 / 5 * (said(other) - said(torch.zeros_like(other)))
    assert torch.allclose(both, by_parts, rtol=1e-4)
