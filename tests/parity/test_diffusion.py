"""The paths of the published family, the compressed spectrum and the samplers equal the reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from auscult.features.spectral import CompressedSTFT
from auscult.paths.base import Prediction
from auscult.paths.bbed import BBED
from auscult.paths.ouve import OUVE
from auscult.paths.sbve import SBVE
from auscult.rng import Draws
from auscult.samplers.base import Sampler
from auscult.samplers.bridge import BridgeODE, BridgeSDE
from auscult.samplers.predictor_corrector import Corrector, PredictorCorrector
from tests.parity.recipe import uniform

TIMES = torch.tensor([0.03, 0.25, 0.5, 0.75, 1.0])

# (steps, corrector, corrector steps, snr): final value, net calls. Toy: clean = y / 2, y = 1, no noise.
PC = {
    (1, "annealed", 1, 0.5): (0.4360964298248291, 2), (1, "none", 0, 0.5): (0.15110570192337036, 1),
    (1, "annealed", 2, 0.33): (0.3723517656326294, 3), (5, "annealed", 1, 0.5): (0.4997555613517761, 10),
    (5, "none", 0, 0.5): (0.498644083738327, 5), (5, "annealed", 2, 0.33): (0.4996020495891571, 15),
    (30, "annealed", 1, 0.5): (0.5004644989967346, 60), (30, "none", 0, 0.5): (0.5004056692123413, 30),
    (30, "annealed", 2, 0.33): (0.5004561543464661, 90), (50, "annealed", 1, 0.5): (0.5004807114601135, 100),
    (50, "none", 0, 0.5): (0.5004423260688782, 50), (50, "annealed", 2, 0.33): (0.5004768371582031, 150),
}  # fmt: skip


class NoNoise(Draws):
    """Draws that are all zero."""

    def __init__(self) -> None:
        super().__init__([])

    def normal_like(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def test_ouve_coefficients() -> None:
    path, wide = OUVE(), OUVE(theta=2.0, sigma_min=0.1, sigma_max=1.0)
    std = [0.0188301001, 0.0638127327, 0.1216573268, 0.2184305489, 0.3889826536]
    assert path.std(TIMES).tolist() == pytest.approx(std, rel=1e-6)
    weights = [0.9559974670, 0.6872892976, 0.4723665416, 0.3246524632, 0.2231301665]
    assert path.clean_weight(TIMES).tolist() == pytest.approx(weights, rel=1e-6)
    diffusion = [0.1149721965, 0.1908063591, 0.3393070102, 0.6033827066, 1.0729830265]
    assert path.diffusion(TIMES).tolist() == pytest.approx(diffusion, rel=1e-6)
    std_48k = [0.0373901539, 0.1222889647, 0.2297652215, 0.4110559225, 0.7314815521]
    assert wide.std(TIMES).tolist() == pytest.approx(std_48k, rel=1e-6)


def test_sbve_coefficients() -> None:
    path = SBVE()
    sigma, bar = path.scales(TIMES)
    assert sigma.tolist() == pytest.approx([0.1111335233, 0.3580411375, 0.5787047744, 0.8174363375, 1.0980150700])
    assert bar.tolist() == pytest.approx([1.0923764706, 1.0379997492, 0.9331334233, 0.7330995202, 0.0001000000])
    std = [0.1105628237, 0.3384713233, 0.4918045402, 0.5457686186, 0.0001000000]
    assert path.std(TIMES).tolist() == pytest.approx(std, rel=1e-6)
    weights = [0.9897558093, 0.8936714530, 0.7222222686, 0.4457684159, 8.2943705237e-9]
    assert path.clean_weight(TIMES).tolist() == pytest.approx(weights, rel=1e-6)
    weights = [0.0102440938, 0.1063283905, 0.2777777910, 0.5542315841, 1.0]
    assert path.anchor_weight(TIMES).tolist() == pytest.approx(weights, rel=1e-6)
    diffusion = [0.6508474350, 0.8031068444, 1.0198038816, 1.2949708700, 1.6443842649]
    assert path.diffusion(TIMES).tolist() == pytest.approx(diffusion, rel=1e-6)


def test_bbed_coefficients() -> None:
    std = [0.124815, 0.357565, 0.491685, 0.537590, 0.451932, 0.058908]
    assert BBED().std(torch.tensor([0.03, 0.25, 0.5, 0.75, 0.9, 0.999])).tolist() == pytest.approx(std, abs=1e-6)


# Toy as above, on the bridge; the published samplers label every state with the next time.
BRIDGE = {
    (BridgeODE, 1): 0.500579833984375, (BridgeODE, 5): 0.5005848407745361, (BridgeODE, 50): 0.5005795955657959,
    (BridgeSDE, 1): 0.5000165700912476, (BridgeSDE, 5): 0.5000165700912476, (BridgeSDE, 50): 0.5000165700912476,
}  # fmt: skip


@pytest.mark.parametrize(("sampler", "steps"), BRIDGE)
def test_bridge_samplers(sampler: type[Sampler], steps: int) -> None:
    """The first step divides by 1e-4, so that a last bit of float32 there is 4e-6 of the answer."""
    path, y, made = SBVE(), torch.ones(1, 1, 2, 2, dtype=torch.complex64), []

    def predict(x: Tensor, t: Tensor) -> Prediction:
        made.append(float(t))
        return Prediction(path, x, y, t, "clean", 0.5 * y)

    out = sampler(steps=steps)(predict, y, path, NoNoise())  # type: ignore[call-arg]
    assert out[0, 0, 0, 0].real.item() == pytest.approx(BRIDGE[sampler, steps], abs=1e-5)
    assert made == pytest.approx(torch.linspace(1.0, 1e-4, steps + 1)[1:].tolist())


@pytest.mark.parametrize("case", PC)
def test_predictor_corrector(case: tuple[int, Corrector, int, float]) -> None:
    expected, calls = PC[case]
    path, y, made = OUVE(), torch.ones(1, 1, 2, 2, dtype=torch.complex64), []

    def predict(x: Tensor, t: Tensor) -> Prediction:
        made.append(t)
        return Prediction(path, x, y, t, "clean", 0.5 * y)

    sampler = PredictorCorrector(*case)
    out = sampler(predict, y, path, NoNoise())
    assert out[0, 0, 0, 0].real.item() == pytest.approx(expected, abs=2e-7)
    assert len(made) == calls == sampler.calls


def test_order_of_draws_is_the_official_one() -> None:
    """Prior, then per step corrector and predictor noise: equal to torch's global stream at the same seed."""
    path, y = OUVE(), torch.ones(1, 1, 8, 8, dtype=torch.complex64)

    def predict(x: Tensor, t: Tensor) -> Prediction:
        return Prediction(path, x, y, t, "clean", 0.5 * y)

    ours = PredictorCorrector(steps=3)(predict, y, path, Draws([11]))
    torch.manual_seed(11)

    class Global(NoNoise):
        def normal_like(self, x: Tensor) -> Tensor:
            return torch.randn_like(x)

    theirs = PredictorCorrector(steps=3)(predict, y, path, Global())
    assert torch.equal(ours, theirs)


@pytest.fixture
def wave() -> Tensor:
    return torch.tensor(uniform((1, 1, 8_000), 0), dtype=torch.float32)


@pytest.mark.parametrize("transform", ["exponent", "log", "none"])
def test_spectrum_is_the_reference_formula(wave: Tensor, transform: str) -> None:
    """beta |S|^alpha e^{i arg S}, beta ln(1 + |S|) e^{i arg S}, S: written out with angle and exp."""
    features = CompressedSTFT(510, 128, "hann", transform, 0.5, 0.15)  # type: ignore[arg-type]
    window = torch.hann_window(510, periodic=True)
    s = torch.stft(wave[:, 0], 510, 128, window=window, center=True, return_complex=True)
    phase = torch.exp(1j * s.angle())
    expected = {"exponent": 0.15 * s.abs() ** 0.5 * phase, "log": 0.15 * torch.log1p(s.abs()) * phase, "none": s}
    assert torch.allclose(features.encode(wave)[:, 0], expected[transform], atol=2e-6)
    assert features.encode(wave).shape == (1, 1, 256, 63)
    assert torch.allclose(features.decode(features.encode(wave), 8_000), wave, atol=2e-6)


# transform: n_fft, hop, samples, (sum re, sum im, mean abs), elements by flat index (real parts)
SPECTRA = {
    "none": ((510, 128, "hann", "none"), 8_000, (206.1343067, -12.0525179, 7.0700152),
             {0: -2.3385217, 1: -0.6007805, 8064: -1.4838226, 16127: 30.7724648}),
    "exponent": ((510, 128, "hann", "exponent", 0.5, 0.15), 8_000, (3.2881191, 6.6367644, 0.38366895),
                 {0: -0.2293834, 1: -0.1162651, 8064: -0.1827184, 16127: 0.8320941}),
    "log": ((510, 128, "hann", "log", 0.5, 0.15), 8_000, (0.7292717, 6.0290460, 0.29544493),
            {0: -0.1808292, 1: -0.0705737, 8064: -0.1364698, 16127: 0.5187900}),
    "48k": ((1534, 384, "hann", "exponent", 0.667, 0.065), 24_000, (-6.7237569, 5.7579304, 0.33439214),
            {0: 0.1727204, 1: 0.3588651, 24192: 0.0888706, 48383: 0.7199402}),
}  # fmt: skip


@pytest.mark.parametrize("name", SPECTRA)
def test_spectrum_goldens(name: str) -> None:
    arguments, samples, (real, imaginary, magnitude), elements = SPECTRA[name]
    features = CompressedSTFT(*arguments)  # type: ignore[arg-type]
    z = features.encode(torch.tensor(2 * uniform((1, 1, samples), 30_001), dtype=torch.float32)).flatten()
    assert z.real.double().sum().item() == pytest.approx(real, abs=2e-4)
    assert z.imag.double().sum().item() == pytest.approx(imaginary, abs=2e-4)
    assert z.abs().mean().item() == pytest.approx(magnitude, rel=1e-6)
    for index, value in elements.items():
        assert z[index].real.item() == pytest.approx(value, abs=2e-6)
