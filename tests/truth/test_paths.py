"""Paths against their own equations: moments of the process, series, priors, conversions and refusals."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.special import expi
from torch import Tensor, nn

from auscult.catalogue import CATALOGUE, find
from auscult.errors import RecipeError
from auscult.features.spectral import CompressedSTFT
from auscult.methods.base import Batch
from auscult.methods.score import ScoreModel
from auscult.paths.base import LinearPath, Prediction, times
from auscult.paths.bbed import BBED
from auscult.paths.ouve import OUVE
from auscult.paths.sbve import SBVE
from auscult.paths.ve import VE
from auscult.paths.vp import VP, OUVPAsCoded, SubVP
from auscult.rng import Draws
from auscult.samplers.bridge import BridgeODE, BridgeSDE
from auscult.samplers.few_step import DDIM
from auscult.samplers.predictor_corrector import PredictorCorrector

NAMES = list(CATALOGUE["path"])
CLEAN, ANCHOR = 0.7, -0.4


def moments(path: LinearPath, t: Tensor) -> np.ndarray:
    """Mean and variance of x_t, [2, B]."""
    mean = path.clean_weight(t) * CLEAN + path.anchor_weight(t) * ANCHOR
    return torch.stack([mean, path.std(t) ** 2]).numpy()


def slopes(path: LinearPath, t: float, state: np.ndarray) -> np.ndarray:
    """d mean/dt = f(mean), d variance/dt = 2 f' variance + g^2 of dx = f dt + g dw with linear f."""
    at = torch.tensor([t], dtype=torch.float64)
    x, y = torch.tensor([[state[0]]]), torch.tensor([[ANCHOR]], dtype=torch.float64)
    drift, further = float(path.drift(x, y, at)), float(path.drift(x + 1, y, at))
    return np.array([drift, 2 * (further - drift) * state[1] + float(path.diffusion(at)) ** 2])


PROCESSES = [OUVE(), OUVE(theta=2.0, sigma_min=0.1, sigma_max=1.0), BBED(), BBED(theta=0.8, k=5.0), SBVE(eps=1e-15),
             VE(), VE(0.05, 0.5), VP(), VP(0.2, 5.0), SubVP()]  # fmt: skip


@pytest.mark.parametrize("path", PROCESSES, ids=repr)
def test_marginals_solve_the_moment_equations(path: LinearPath) -> None:
    """Mean and variance, integrated from t = 0.01 on, are those of the closed forms at every later time."""
    t = torch.linspace(0.01, 0.97, 13, dtype=torch.float64)
    expected = moments(path, t)
    solved = solve_ivp(
        lambda at, state: slopes(path, at, state), (0.01, 0.97), expected[:, 0], "DOP853", t, rtol=1e-10, atol=1e-13
    )
    assert np.allclose(solved.y, expected, rtol=1e-7, atol=1e-10)


def test_ouvp_as_coded_gives_the_variance_for_the_standard_deviation() -> None:
    path, t = OUVPAsCoded(0.1, 2.0, stiffness=1.5), torch.linspace(0.01, 0.97, 13, dtype=torch.float64)
    start = np.array(
        [float(path.clean_weight(t[:1]) * CLEAN + path.anchor_weight(t[:1]) * ANCHOR), float(path.std(t[:1]))]
    )
    solved = solve_ivp(
        lambda at, state: slopes(path, at, state), (0.01, 0.97), start, "DOP853", t, rtol=1e-10, atol=1e-13
    )
    assert np.allclose(solved.y[0], moments(path, t)[0], rtol=1e-8)
    assert np.allclose(solved.y[1], path.std(t).numpy(), rtol=1e-8)


@pytest.mark.parametrize(("theta", "k"), [(0.52, 2.6), (0.51, 2.6), (1.0, 1.1), (0.1, 20.0)])
def test_bbed_series_is_the_exponential_integral(theta: float, k: float) -> None:
    t = np.linspace(1e-3, 0.999, 200)
    u = math.log(k)
    inner = expi(2 * (t - 1) * u) - expi(-2 * u)
    variance = (1 - t) * theta * (k ** (2 * t) - 1 + t + 2 * k**2 * u * (1 - t) * inner)
    std = BBED(theta=theta, k=k).std(torch.from_numpy(t)).numpy()
    assert np.allclose(std, np.sqrt(variance), rtol=1e-7)


def test_bridges_end_in_the_recording() -> None:
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    for path in (SBVE(eps=1e-15), BBED()):
        assert torch.allclose(path.std(ends), torch.zeros(2, dtype=torch.float64), atol=1e-7)
        assert torch.allclose(path.clean_weight(ends), 1 - ends, atol=1e-9)
        assert torch.allclose(path.anchor_weight(ends), ends, atol=1e-9)


def test_bridge_marginal_is_the_product_of_its_two_sides() -> None:
    """Gaussians around x_0 with sigma_t^2 and around y with sigma_1^2 - sigma_t^2, multiplied (Chen et al. 2023)."""
    path, t = SBVE(eps=1e-15), torch.linspace(0.05, 0.95, 10, dtype=torch.float64)
    here, there = (scale**2 for scale in path.scales(t))
    variance = 1 / (1 / here + 1 / there)
    assert torch.allclose(path.std(t) ** 2, variance)
    assert torch.allclose(path.clean_weight(t), variance / here)
    assert torch.allclose(path.anchor_weight(t), variance / there)


@pytest.mark.parametrize("name", NAMES)
def test_every_path_keeps_the_contract(name: str) -> None:
    """Frozen, float32 in and out, finite up to t_max, and the ratio sigma / a grows with t up to t_start."""
    path = find(name)()
    assert isinstance(path, LinearPath)
    assert dataclasses.is_dataclass(path)
    assert 0.9 < path.t_start <= path.t_max <= 1.0
    t = torch.linspace(0.001, path.t_max, 500)
    for values in (path.clean_weight(t), path.anchor_weight(t), path.std(t), path.diffusion(t)):
        assert values.dtype == torch.float32
        assert torch.isfinite(values).all()
    fine = torch.linspace(0.001, path.t_start, 500, dtype=torch.float64)
    assert ((path.std(fine) / path.clean_weight(fine)).diff() > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_prior_and_later_starts(name: str) -> None:
    """The prior is y + sigma z, sigma z or, on the bridge, y; below t_max the anchor stands for the clean signal."""
    path, y = find(name)(), torch.full((1, 1, 100, 200), 0.4, dtype=torch.complex64)
    prior, begun = path.prior(y, Draws([3])), path.start(y, Draws([3]), 0.5)
    at, end = times(0.5, y), times(path.t_max, y)
    centre = 0.0 if name in ("VE", "VP", "SubVP", "RectifiedFlow") else 0.4
    spread = 0.0 if name == "SBVE" else float(path.std(end))
    assert torch.equal(path.start(y, Draws([3]), path.t_max), prior)
    for x, mean, std in (
        (prior, centre, spread),
        (begun, 0.4 * float(path.clean_weight(at) + path.anchor_weight(at)), float(path.std(at))),
    ):
        assert float((x - mean).abs().square().mean().sqrt()) == pytest.approx(std, rel=0.02)
        assert float((x - mean).mean().abs()) <= 0.02 * std


@pytest.mark.parametrize("name", NAMES)
def test_conversions_agree(name: str) -> None:
    path = find(name)()
    torch.manual_seed(0)
    x, y, clean = (torch.randn(3, 1, 4, 4, dtype=torch.complex128) for _ in range(3))
    t = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)
    told = Prediction(path, x, y, t, "clean", clean)
    for kind in ("score", "mean"):
        again = Prediction(path, x, y, t, kind, getattr(told, kind))  # type: ignore[arg-type]
        for reading in ("score", "clean", "mean", "velocity"):
            assert torch.allclose(getattr(again, reading), getattr(told, reading)), reading


@pytest.mark.parametrize("path", [OUVE(), SBVE(), BBED(), VP(), SubVP()], ids=repr)
def test_the_flow_carries_the_marginal_along(path: LinearPath) -> None:
    """With the score of p(x_t | x_0, y), x_t = mean + sigma z with z fixed solves the flow: velocity = its slope."""
    x0, y, z = (torch.full((1, 1, 1, 1), v, dtype=torch.float64) for v in (CLEAN, ANCHOR, 0.9))
    t, h = torch.tensor([0.4], dtype=torch.float64), 1e-5

    def state(t: Tensor) -> Tensor:
        return path.mean(x0, y, t) + path.std(t) * z

    velocity = Prediction(path, state(t), y, t, "clean", x0).velocity
    assert float(velocity) == pytest.approx(float(state(t + h) - state(t - h)) / (2 * h), rel=1e-6)


def test_conversions_that_do_not_exist_are_refused() -> None:
    x = torch.zeros(1, 1, 2, 2, dtype=torch.complex64)
    with pytest.raises(ValueError, match="no score exists where the path has no noise"):
        _ = Prediction(BBED(), x, x, torch.zeros(1), "clean", x).score
    with pytest.raises(ValueError, match="no clean estimate exists where the path has forgotten x_0"):
        _ = Prediction(BBED(), x, x, torch.ones(1), "mean", x).clean


@pytest.mark.parametrize(
    "values",
    [("SBVE", {"k": 1.0}), ("BBED", {"k": 0.5}), ("VE", {"sigma_min": 60.0}), ("VP", {"beta_min": 30.0}),
     ("SubVP", {"beta_max": 0.05}), ("OUVPAsCoded", {"beta_min": 20.0})],
)  # fmt: skip
def test_parameters_that_make_no_path_are_refused(values: tuple[str, dict[str, float]]) -> None:
    with pytest.raises(ValueError, match="must exceed"):
        find(values[0])(**values[1])


class Zero(nn.Module):
    def forward(self, inputs: Tensor, t: Tensor) -> Tensor:
        return torch.zeros_like(inputs[:, :1])


def test_training_draws_times_up_to_the_end_of_the_path() -> None:
    class Last(Draws):
        """The largest value of every uniform draw."""

        def uniform(self, low: float, high: float, device: torch.device | str = "cpu") -> Tensor:
            return torch.full((len(self),), high, device=device)

    wave = 0.1 * torch.ones(1, 1, 4_000)
    batch = Batch(wave, wave, torch.ones(1), torch.tensor([4_000]), torch.tensor([0]), {}, [[]])
    model = ScoreModel(Zero(), CompressedSTFT(), BBED())
    assert float(model.forward(model.nets(), batch, Last([0])).example.t) == pytest.approx(0.999)


def test_a_recipe_whose_sampler_cannot_walk_its_path_fails_before_training() -> None:
    def model(path: LinearPath, sampler: object) -> ScoreModel:
        return ScoreModel(Zero(), CompressedSTFT(), path, sampler=sampler)  # type: ignore[arg-type]

    with pytest.raises(RecipeError, match=r"PredictorCorrector needs a score .* SBVE has none at t = 1.*use BridgeSDE"):
        model(SBVE(), PredictorCorrector())
    with pytest.raises(RecipeError, match=r"BridgeODE steps by the coefficients of SBVE, not OUVE; use DDIM"):
        model(OUVE(), BridgeODE())
    with pytest.raises(RecipeError, match=r"BridgeSDE steps by the coefficients of SBVE, not BBED"):
        model(BBED(), BridgeSDE())
    with pytest.raises(RecipeError, match=r"DDIM is to walk from t = 0.9995, and BBED ends at 0.999"):
        model(BBED(), DDIM(reverse_start=0.9995))
    model(SBVE(), PredictorCorrector(reverse_start=0.9))
    model(SBVE(), BridgeSDE())
