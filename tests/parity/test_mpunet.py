"""The magnitude-preserving U-Net equals that of EDM2SE: goldens made by running the published equations on
deterministic weights and inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from auscult.hub.edm2se import edm2se_sources
from auscult.hub.sources import converted, foreign_shapes
from auscult.methods.bridge import BridgeResidual
from auscult.nets.edm2 import MPUNet
from auscult.paths.sbve import SBVE
from tests.parity.recipe import uniform, uniform_spectrum

SMALL = {"channels": 64, "multipliers": (1, 2, 2), "blocks": 1, "bins": 32}

# name: configuration, input shape, (sum re, sum im, mean abs), elements by flat index
GOLDENS = {
    "small": (
        SMALL, (2, 1, 32, 16), (-138.68957018, 254.14564260, 0.616793156),
        {0: -0.6322692037 - 0.0609423369j, 1: 0.0450499207 + 0.3911690116j, 512: -0.3029702902 + 0.0159590021j,
         1023: 0.0853230655 + 0.2190103531j},
    ),
    "published": (
        {}, (1, 1, 256, 64), (-4323.43638315, -4887.86554082, 0.560742319),
        {0: -0.3895476460 - 0.0764348209j, 1: -0.6165356040 + 0.1014335304j, 8192: 0.0145420805 + 0.0085394233j,
         16383: 0.2422459275 + 0.3981676400j},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDENS)
def test_equals_the_reference(name: str) -> None:
    config, shape, (real, imaginary, magnitude), elements = GOLDENS[name]
    net = MPUNet(**config).eval()
    sources = edm2se_sources(net)
    net.load_state_dict(converted(net, sources, weights(foreign_shapes(net, sources))))
    inputs = 3 * torch.cat([uniform_spectrum(shape, 20_001), uniform_spectrum(shape, 20_011)], dim=1)
    with torch.no_grad():
        out = net(inputs, torch.tensor([-0.2, -0.6][: shape[0]]))
    assert out.real.double().sum().item() == pytest.approx(real, rel=1e-4)
    assert out.imag.double().sum().item() == pytest.approx(imaginary, rel=1e-4)
    assert out.abs().mean().item() == pytest.approx(magnitude, rel=1e-5)
    for index, value in elements.items():
        assert abs(complex(out.flatten()[index]) - value) < 2e-5


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Weights of these goldens by official key: unit variance, gains and balances around a half."""
    state = {}
    for j, key in enumerate(sorted(shapes)):
        u = uniform(shapes[key] or (1,), j).reshape(shapes[key])
        if key.endswith("freqs"):
            u = 2 * np.pi * np.sqrt(12) * u
        elif key.endswith("phases"):
            u = 2 * np.pi * (u + 0.5)
        else:
            u = np.sqrt(12) * u if len(shapes[key]) >= 2 else 0.5 + 0.4 * u
        state[key] = torch.tensor(u, dtype=torch.float32)
    return state


class Recorder(torch.nn.Module):
    """Remembers what it was given, and answers with ones."""

    def forward(self, inputs: Tensor, level: Tensor) -> Tensor:
        self.inputs, self.level = inputs, level
        return torch.ones_like(inputs[:, :1])


def test_preconditioning_of_the_bridge() -> None:
    """Against the published formulas, with the weights of the bridge as SBVE's tests have them."""
    path, net, t = SBVE(), Recorder(), torch.tensor([0.25, 0.75])
    x, y = (uniform_spectrum((2, 1, 4, 3), j) for j in (1, 5))
    clean = BridgeResidual().predict(net, x, y, t, path).clean
    for i, (w_x, w_y, std) in enumerate([(0.8936715, 0.1063284, 0.3384713), (0.4457684, 0.5542316, 0.5457686)]):
        variance = (w_x + w_y) ** 2 * 0.402**2 + w_y**2 * 0.342**2 + std**2
        spread = ((1 - w_x - w_y) ** 2 * 0.402**2 + w_y**2 * 0.342**2 + std**2) ** 0.5
        assert torch.allclose(net.inputs[i, 0], x[i, 0] / variance, rtol=1e-5)
        assert torch.allclose(net.inputs[i, 1], y[i, 0] / (0.402**2 + 0.342**2), rtol=1e-5)
        assert float(net.level[i]) == pytest.approx(np.log(std) / 4, abs=1e-6)
        assert torch.allclose(clean[i], x[i] + spread, atol=1e-6)
