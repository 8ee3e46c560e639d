"""Samplers on problems with known answers.

With x_0 given y Gaussian (mean m, standard deviation s0), the exact clean estimate at x_t is known, and so is the end
of the probability-flow ODE: it maps quantiles to quantiles. Each solver is held to its declared order.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from auscult.paths.base import Prediction, times
from auscult.paths.ouve import OUVE
from auscult.rng import Draws
from auscult.samplers.base import Predict, Sampler
from auscult.samplers.few_step import DDIM, Ancestral, Grid, Multistep
from auscult.samplers.predictor_corrector import PredictorCorrector

PATH, MEAN, SPREAD = OUVE(), 0.3, 0.5


def exact(y: Tensor) -> Predict:
    """The posterior mean of x_0 given x_t for x_0 ~ N(MEAN, SPREAD^2), complex."""

    def predict(x: Tensor, t: Tensor) -> Prediction:
        a, b, sigma = (f(t)[:, None, None, None] for f in (PATH.clean_weight, PATH.anchor_weight, PATH.std))
        gain = a * SPREAD**2 / (a**2 * SPREAD**2 + sigma**2)
        return Prediction(PATH, x, y, t, "clean", MEAN + gain * (x - a * MEAN - b * y))

    return predict


class Fixed(Draws):
    """A prior displacement of one standard deviation, and no noise after it."""

    def __init__(self) -> None:
        super().__init__([])
        self._first = True

    def normal_like(self, x: Tensor) -> Tensor:
        value = torch.ones_like(x) if self._first else torch.zeros_like(x)
        self._first = False
        return value


def flow_end(y: Tensor, t_eps: float) -> Tensor:
    """Where the exact flow takes x_1 = y + sigma(1), read as the clean estimate at t_eps."""
    t = times(1.0, y)
    a, sigma = float(PATH.clean_weight(t)), float(PATH.std(t))
    e, s = (y + sigma - (1 - a) * y) / a, sigma / a
    last = times(t_eps, y)
    s_last = float(PATH.std(last) / PATH.clean_weight(last))
    e_last = MEAN + (e - MEAN) * math.sqrt((SPREAD**2 + s_last**2) / (SPREAD**2 + s**2))
    return MEAN + (e_last - MEAN) * SPREAD**2 / (SPREAD**2 + s_last**2)


def error(sampler: Sampler) -> float:
    y = torch.full((1, 1, 1, 1), 0.8, dtype=torch.complex128)
    out = sampler(exact(y), y, PATH, Fixed())
    return float((out - flow_end(y, 0.03)).abs().max())


@pytest.mark.parametrize(("solver", "order"), [(DDIM, 1), (Multistep, 2)])
def test_order_of_deterministic_solvers(solver: type[Sampler], order: int) -> None:
    coarse, fine = error(solver(steps=16)), error(solver(steps=64))  # type: ignore[call-arg]
    assert math.log(coarse / fine) / math.log(4) == pytest.approx(order, abs=0.35)


def test_multistep_needs_few_steps() -> None:
    assert error(Multistep(steps=8)) < 0.01
    assert error(Multistep(steps=8)) < 0.2 * error(DDIM(steps=8))


@pytest.mark.parametrize(
    "sampler",
    [Ancestral(steps=200), PredictorCorrector(steps=200, corrector="none"), PredictorCorrector(steps=100, snr=0.1)],
)
def test_stochastic_samplers_have_the_right_distribution(sampler: Sampler) -> None:
    """The clean estimate's mean; its spread is at most that of x_0 (the posterior at t_eps is narrow)."""
    torch.manual_seed(0)
    y = torch.full((1, 1, 40, 100), MEAN, dtype=torch.complex64)
    out = sampler(exact(y), y, PATH, Draws([5]))
    assert float(out.real.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float((out - MEAN).abs().square().mean().sqrt()) == pytest.approx(SPREAD, rel=0.06)


@pytest.mark.parametrize("sampler", [DDIM(5), Ancestral(5), Multistep(5), PredictorCorrector(5)])
def test_net_calls_are_as_declared_and_items_do_not_mix(sampler: Sampler) -> None:
    y = torch.randn(3, 1, 4, 4, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    calls = []

    def predict(x: Tensor, t: Tensor) -> Prediction:
        calls.append(x.shape[0])
        anchor = y if x.shape[0] == 3 else y[1:2]
        return Prediction(PATH, x, anchor, t, "clean", 0.5 * anchor)

    together = sampler(predict, y, PATH, Draws([1, 2, 3]))
    assert len(calls) == sampler.calls
    alone = sampler(predict, y[1:2], PATH, Draws([2]))
    assert torch.allclose(together[1:2], alone, atol=1e-6)


def test_langevin_steps_by_the_ratio_of_norms() -> None:
    """With score = -z / sigma the step is 2 (snr sigma)^2: that of the annealed corrector."""
    sampler = PredictorCorrector(corrector="langevin", snr=0.4)
    z = torch.randn(2, 1, 8, 8, dtype=torch.complex64)
    t = times(0.5, z)
    sigma = PATH.std(t)
    step = sampler._correction(-z / sigma[:, None, None, None], z, PATH, t)
    assert torch.allclose(step, 2 * (0.4 * sigma) ** 2, rtol=1e-4)


def test_grid_is_uniform_in_log_ratio() -> None:
    grid = Grid.of(PATH, 6, 0.03)
    t = torch.tensor(grid.t[:-1])
    ratio = (PATH.std(t) / PATH.clean_weight(t)).log()
    assert torch.allclose(ratio.diff(), ratio.diff().mean().expand(5), atol=1e-3)
    assert (grid.t[0], grid.t[-2], grid.t[-1]) == (pytest.approx(1.0), pytest.approx(0.03), 0.0)


def test_moments_of_the_path_solve_its_equation() -> None:
    """d mean/dt = drift(mean), d variance/dt = -2 theta variance + g^2, by finite differences."""
    t = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
    h, (x0, y) = 1e-5, (0.7, -0.4)

    def mean(t: Tensor) -> Tensor:
        return PATH.clean_weight(t) * x0 + PATH.anchor_weight(t) * y

    slope = (mean(t + h) - mean(t - h)) / (2 * h)
    assert torch.allclose(slope, PATH.theta * (y - mean(t)), atol=1e-8)
    variance = (PATH.std(t + h) ** 2 - PATH.std(t - h) ** 2) / (2 * h)
    assert torch.allclose(variance, -2 * PATH.theta * PATH.std(t) ** 2 + PATH.diffusion(t) ** 2, atol=1e-8)


def test_conversions_agree_and_refuse_where_they_do_not_exist() -> None:
    torch.manual_seed(0)
    x, y, clean = (torch.randn(2, 1, 4, 4, dtype=torch.complex64) for _ in range(3))
    t = torch.tensor([0.2, 0.8])
    told = Prediction(PATH, x, y, t, "clean", clean)
    from_score = Prediction(PATH, x, y, t, "score", told.score)
    assert torch.allclose(from_score.clean, clean, atol=1e-4)
    assert torch.allclose(from_score.mean, told.mean, atol=1e-5)
    flow = PATH.drift(x, y, t) - 0.5 * (PATH.diffusion(t) ** 2)[:, None, None, None] * told.score
    assert torch.allclose(told.velocity, flow)
    with pytest.raises(ValueError, match="no score exists where the path has no noise"):
        _ = Prediction(PATH, x, y, torch.zeros(2), "clean", clean).score
