"""Rectified flow: its equations, laws of times, grids, samplers of declared order, guidance in the fewest answers."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from auscult.errors import RecipeError
from auscult.methods.flow_guidance import Branch, GuidedFlow, branches
from auscult.methods.flow_times import LogitNormal, LogSNRTimes, TimeLaw, TruncatedLogitNormal, UniformTimes
from auscult.nets.dit import Context
from auscult.nets.flow_net import FlowNet, Told
from auscult.paths.base import Prediction, times
from auscult.paths.linear import RectifiedFlow
from auscult.paths.ouve import OUVE
from auscult.rng import Draws
from auscult.samplers.base import Predict
from auscult.samplers.flow import FlowEuler, FlowHeun, FlowMultistep, FlowSampler, LinearQuadratic, LogSNR, UniformGrid

PATH, MEAN, SPREAD = RectifiedFlow(), 0.3, 0.5
GRIDS = [UniformGrid(), LinearQuadratic(), LogSNR(), LogSNR(-3.0, 3.0)]


def exact(x: Tensor, t: Tensor) -> Prediction:
    """The posterior mean of x_0 ~ N(MEAN, SPREAD^2)."""
    a = (1 - t)[:, None]
    gain = a * SPREAD**2 / (a**2 * SPREAD**2 + t[:, None] ** 2)
    return Prediction(PATH, x, torch.zeros_like(x), t, "clean", MEAN + gain * (x - a * MEAN))


class Ones(Draws):
    """Noise of one standard deviation, which the exact flow takes to MEAN + SPREAD."""

    def __init__(self) -> None:
        super().__init__([])

    def normal_like(self, x: Tensor) -> Tensor:
        return torch.ones_like(x)


def error(sampler: FlowSampler) -> float:
    start = torch.zeros(1, 1, dtype=torch.float64)
    return float((sampler(exact, start, PATH, Ones()) - (MEAN + SPREAD)).abs())


def test_moments_velocity_and_clean_estimate() -> None:
    """Variance solves d var/dt = 2 f var + g^2; the velocity of every reading is z - x_0, and leads back to x_0."""
    solved = solve_ivp(
        lambda t, v: -2 * v / (1 - t) + 2 * t / (1 - t), (0.1, 0.9), [0.01], rtol=1e-10, atol=1e-12, dense_output=True
    )
    for t in (0.3, 0.6, 0.9):
        assert float(PATH.std(times(t, torch.zeros(1)))) ** 2 == pytest.approx(float(solved.sol(t)[0]), rel=1e-6)
    clean, noise = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    x = (1 - t)[:, None] * clean + t[:, None] * noise
    velocity = PATH.velocity_of(clean, noise)
    assert torch.allclose(PATH.clean_from_velocity(velocity, x, t), clean)
    assert torch.allclose(Prediction(PATH, x, torch.zeros_like(x), t, "clean", clean).velocity, velocity)


@pytest.mark.parametrize(("solver", "order"), [(FlowEuler, 1), (FlowHeun, 2), (FlowMultistep, 2)])
def test_order(solver: type[FlowSampler], order: int) -> None:
    """Measured 1.0, 2.0 and 1.8."""
    coarse, fine = (error(solver(steps, UniformGrid())) for steps in (128, 512))
    assert math.log(coarse / fine) / math.log(4) == pytest.approx(order, abs=0.25)


def test_euler_is_the_published_step() -> None:
    """z <- z + (t' - t) v with v = (x - x^) / t, on the published schedule; and few second-order calls do as well."""
    x, grid = torch.ones(1, 1, dtype=torch.float64), LinearQuadratic().times(100)
    for t, after in pairwise(grid):
        at = times(t, x).double()
        x = x + (after - t) * (x - exact(x, at).clean) / t
    sampled = FlowEuler(100, LinearQuadratic())(exact, torch.zeros_like(x), PATH, Ones())
    assert torch.allclose(sampled, x, atol=1e-6)
    assert error(FlowMultistep(12, LogSNR(-4.0, 4.0))) < error(FlowEuler(100, LinearQuadratic()))


@pytest.mark.parametrize("steps", [1, 2, 7, 100])
@pytest.mark.parametrize("grid", GRIDS, ids=repr)
def test_grids_waste_no_step(grid: object, steps: int) -> None:
    found = grid.times(steps)  # type: ignore[attr-defined]
    assert (len(found), found[0], found[-1]) == (steps + 1, 1.0, 0.0)
    assert all(after < before for before, after in pairwise(found))


def test_the_published_schedule() -> None:
    """Movie Gen with 100 steps: t = 0.95 after 50, the largest step 0.0376 and the last."""
    found = LinearQuadratic().times(100)
    steps = [before - after for before, after in pairwise(found)]
    assert found[50] == pytest.approx(0.95)
    assert max(steps) == steps[-1] == pytest.approx(0.0376, abs=5e-5)
    with pytest.raises(RecipeError, match="linear_steps: 50 are fewer"):
        LinearQuadratic(50).times(100)
    with pytest.raises(RecipeError, match="rises"):
        LogSNR(2.0, -6.0)


@pytest.mark.parametrize("solver", [FlowEuler, FlowHeun, FlowMultistep])
def test_calls_are_as_declared_and_items_do_not_mix(solver: type[FlowSampler]) -> None:
    calls: list[float] = []

    def predict(x: Tensor, t: Tensor) -> Prediction:
        calls.append(float(t[0]))
        return Prediction(PATH, x, torch.zeros_like(x), t, "clean", 0.2 * x)

    sampler, start = solver(steps=5), torch.zeros(3, 2, 4, dtype=torch.complex64)
    checked: Predict = predict
    together = sampler(checked, start, PATH, Draws([1, 2, 3]))
    assert len(calls) == sampler.calls
    assert min(calls) > 0
    assert torch.allclose(sampler(checked, start[1:2], PATH, Draws([2])), together[1:2], atol=1e-6)
    with pytest.raises(RecipeError, match="RectifiedFlow, not OUVE; take DDIM"):
        sampler.check(OUVE())


@pytest.mark.parametrize(("law", "quantiles"), [
    (UniformTimes(), (0.05, 0.5, 0.95)),
    (LogitNormal(), (0.162, 0.5, 0.838)),
    (LogSNRTimes(), (0.0000 + 1 / (1 + math.exp(-1.2 + 2 * 1.645)), 1 / (1 + math.exp(-1.2)), 0.9889)),
])  # fmt: skip
def test_laws_of_times(law: TimeLaw, quantiles: tuple[float, ...]) -> None:
    drawn = torch.cat([law.draw(Draws(range(i, i + 1_000)), torch.device("cpu")) for i in range(0, 4_000, 1_000)])
    assert ((drawn > 0) & (drawn < 1)).all()
    found = drawn.quantile(torch.tensor([0.05, 0.5, 0.95]))
    assert found.tolist() == pytest.approx(list(quantiles), abs=0.03)


def test_truncated_law_is_monotone_over_all_times() -> None:
    share = torch.linspace(1e-5, 1 - 1e-5, 101, dtype=torch.float64)
    t = TruncatedLogitNormal().quantile(share)
    assert (t.diff() < 0).all()
    assert (float(t[0]), float(t[-1])) == pytest.approx((1.0, 0.0), abs=0.02)
    assert float(t[50]) == pytest.approx(1 - (0.50 - 0.075) / 0.925, abs=0.01)  # next to nothing is cut off
    assert 1 - float(LogitNormal().quantile(torch.tensor([0.9984], dtype=torch.float64))) == pytest.approx(
        0.05, abs=0.002
    )


def told(items: int) -> Told:
    ones = torch.ones(items)
    return Told(ones.bool(), torch.zeros(items, 1).long(), ones, ones, torch.ones(items, 2))


class Affine(FlowNet):
    """u = 1, and 10 more where it hears tokens, and what is beside x_t; it counts its calls by their batch."""

    guided = True

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def context(self, told: Told) -> Context:
        return Context(vector=10.0 * told.heard.float()[:, None])

    def forward(self, x: Tensor, t: Tensor, beside: Tensor, told: Told, context: Context | None = None) -> Tensor:
        self.batches.append(len(x))
        assert context is not None
        assert context.vector is not None
        return 1 + context.vector + beside

    def check(self, width: int, beside: int) -> None:
        pass


@pytest.mark.parametrize(("scales", "guided", "weights"), [
    ((1.4, 1.2), True, (-0.4, 0.2, 1.2)),
    ((1.4, 1.4), True, (-0.4, 1.4)),
    ((1.0, 1.0), True, (1.0,)),
    ((1.0, 1.2), True, (-0.2, 1.2)),
    ((1.4, 1.2), False, (-0.4, 1.4)),
    ((1.0, 1.2), False, (1.0,)),
    ((0.0, 0.0), True, (1.0,)),
])  # fmt: skip
def test_guidance_asks_the_fewest_answers(
    scales: tuple[float, float], guided: bool, weights: tuple[float, ...]
) -> None:
    found = branches(*scales, guided)
    assert tuple(branch.weight for branch in found) == pytest.approx(weights)
    net, beside, null = Affine(), torch.tensor([[2.0], [3.0]]), -5.0
    flow = GuidedFlow.of(net, found, beside, null, told(2))
    velocity = flow(torch.zeros(2, 1), torch.ones(2))
    assert net.batches == [2 * len(weights)]
    none, low, both = (1 + null, 1 + beside, 11 + beside) if guided else (11 + null, 11 + beside, 11 + beside)
    expected = none + scales[0] * (low - none) + scales[1] * (both - low)
    assert torch.allclose(velocity, expected, atol=1e-5)


def test_a_branch_of_weight_one_is_the_answer_itself() -> None:
    net = Affine()
    flow = GuidedFlow.of(net, (Branch(1.0, True, True),), torch.zeros(1, 1), -5.0, told(1))
    assert flow(torch.zeros(1, 1), torch.ones(1)) == 11.0
