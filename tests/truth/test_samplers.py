"""Samplers on problems with known answers.

With x_0 given y Gaussian (mean m, standard deviation s0), the exact clean estimate at x_t is known, and so is the end
of the probability-flow ODE: it maps quantiles to quantiles. Each solver is held to its declared order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import norm
from torch import Tensor

from auscult.catalogue import CATALOGUE, find
from auscult.paths.base import LinearPath, Prediction, times
from auscult.paths.bbed import BBED
from auscult.paths.ouve import OUVE
from auscult.paths.sbve import SBVE
from auscult.paths.ve import VE
from auscult.paths.vp import VP, OUVPAsCoded, SubVP
from auscult.rng import Draws
from auscult.samplers.base import Predict, Sampler
from auscult.samplers.bridge import BridgeODE, BridgeSDE
from auscult.samplers.few_step import DDIM, Ancestral, Grid, Heun, Multistep
from auscult.samplers.predictor_corrector import Corrector, PredictorCorrector
from auscult.samplers.probability_flow import ProbabilityFlow

PATH, MEAN, SPREAD = OUVE(), 0.3, 0.5
PATHS = [OUVE(), SBVE(), BBED(), VE(), VP(), SubVP(), OUVPAsCoded()]
NAMES = list(CATALOGUE["sampler"])


def exact(y: Tensor, path: LinearPath = PATH) -> Predict:
    """The posterior mean of x_0 given x_t for x_0 ~ N(MEAN, SPREAD^2), complex."""

    def predict(x: Tensor, t: Tensor) -> Prediction:
        a, b, sigma = (f(t)[:, None, None, None] for f in (path.clean_weight, path.anchor_weight, path.std))
        gain = a * SPREAD**2 / (a**2 * SPREAD**2 + sigma**2)
        return Prediction(path, x, y, t, "clean", MEAN + gain * (x - a * MEAN - b * y))

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


def flow_end(y: Tensor, path: LinearPath, t_eps: float = 0.03) -> Tensor:
    """Where the exact flow takes the start with z = 1, read as the clean estimate at t_eps."""
    first, last = times(path.t_start, y), times(t_eps, y)
    e = path.clean_from_mean(path.start(y, Fixed(), path.t_start), y, first)
    s, s_last = (float(path.std(t) / path.clean_weight(t)) for t in (first, last))
    e_last = MEAN + (e - MEAN) * math.sqrt((SPREAD**2 + s_last**2) / (SPREAD**2 + s**2))
    return MEAN + (e_last - MEAN) * SPREAD**2 / (SPREAD**2 + s_last**2)


def error(sampler: Sampler, path: LinearPath = PATH) -> float:
    y = torch.full((1, 1, 1, 1), 0.8, dtype=torch.complex128)
    out = sampler(exact(y, path), y, path, Fixed())
    return float((out - flow_end(y, path)).abs().max())


@pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
@pytest.mark.parametrize(("solver", "order"), [(DDIM, 1), (Multistep, 2), (Heun, 2)])
def test_order_of_few_step_solvers(solver: type[Sampler], order: int, path: LinearPath) -> None:
    """From 32 to 128 steps, on every path: measured 1.0, 1.8 to 2.0 and 2.0 to 2.1."""
    coarse, fine = error(solver(steps=32), path), error(solver(steps=128), path)  # type: ignore[call-arg]
    assert math.log(coarse / fine) / math.log(4) == pytest.approx(order, abs=0.2)


def test_multistep_needs_few_steps() -> None:
    assert error(Multistep(steps=8)) < 0.01
    assert error(Multistep(steps=8)) < 0.2 * error(DDIM(steps=8))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
@pytest.mark.parametrize(("tolerance", "most"), [(1e-2, 43), (1e-3, 60), (1e-4, 90), (1e-5, 130)])
def test_adaptive_flow_keeps_its_tolerance(tolerance: float, most: int, path: LinearPath) -> None:
    """The error of the answer stays within twice the tolerance of a step, at the measured number of calls."""
    y = torch.full((1, 1, 1, 1), 0.8, dtype=torch.complex128)
    solved = ProbabilityFlow(rtol=tolerance, atol=tolerance).solve(exact(y, path), y, path, Fixed())
    assert float((solved.clean - flow_end(y, path)).abs().max()) < 2 * tolerance
    assert solved.finished.all()
    assert int(solved.calls) <= most


def test_adaptive_flow_steps_each_item_by_itself_and_counts_its_calls() -> None:
    """A hard item next to an easy one: as many calls, and the same answer, as alone."""
    y = torch.tensor([0.0, 5.0, 0.5], dtype=torch.complex64).reshape(3, 1, 1, 1).expand(3, 1, 4, 4).contiguous()
    sharp = torch.tensor([0.0, 20.0, 5.0]).reshape(3, 1, 1, 1)
    made = []

    def predictor(items: Sequence[int]) -> Predict:
        def predict(x: Tensor, t: Tensor) -> Prediction:
            made.append(len(items))
            clean = torch.complex(torch.sin(sharp[items] * x.real), 0 * x.imag)
            return Prediction(PATH, x, y[items], t, "clean", 0.3 * clean)

        return predict

    sampler = ProbabilityFlow()
    together = sampler.solve(predictor([0, 1, 2]), y, PATH, Draws([1, 2, 3]))
    assert len(made) == int(together.calls.max())
    assert len(set(together.calls.tolist())) > 1
    for i in range(3):
        alone = sampler.solve(predictor([i]), y[i : i + 1], PATH, Draws([i + 1]))
        assert int(alone.calls) == int(together.calls[i])
        assert torch.allclose(alone.clean, together.clean[i : i + 1], atol=1e-6)


def test_adaptive_flow_says_when_its_calls_ran_out() -> None:
    y = torch.full((2, 1, 4, 4), 0.8, dtype=torch.complex64)
    solved = ProbabilityFlow(rtol=1e-6, atol=1e-6, max_calls=20).solve(exact(y), y, PATH, Draws([1, 2]))
    assert not solved.finished.any()
    assert solved.calls.tolist() == [19, 19]
    assert torch.isfinite(torch.view_as_real(solved.clean)).all()


# A mixture on the real axis, x_0 ~ 0.3 N(-0.4, 0.15^2) + 0.7 N(0.5, 0.3^2): the bridge's flow starts from one point,
# and a Gaussian would make every step of it exact.
SHARES, CENTRES, WIDTHS = (torch.tensor(v, dtype=torch.float64) for v in ((0.3, 0.7), (-0.4, 0.5), (0.15, 0.3)))


def mixture(y: Tensor, path: LinearPath) -> Predict:
    def predict(x: Tensor, t: Tensor) -> Prediction:
        a, b, sigma = (f(t.double())[:, None, None, None] for f in (path.clean_weight, path.anchor_weight, path.std))
        off = ((x - b * y) / a).real[..., None] - CENTRES
        variance = WIDTHS**2 + ((sigma / a) ** 2)[..., None]
        weights = (SHARES.log() - off**2 / (2 * variance) - variance.log() / 2).softmax(-1)
        clean = (weights * (CENTRES + WIDTHS**2 / variance * off)).sum(-1)
        return Prediction(path, x, y, t, "clean", clean.to(x.dtype))

    return predict


def bridge_flow_end(y: Tensor, path: SBVE) -> float:
    """The quantile that the flow starts from, of x_0. Without eps it is the median.

    eps makes of the start y one with z = 0.089 y: the weights of the first step do not add up to it.
    """
    half, zero = times(0.5, y).double(), torch.zeros_like(y)
    stepped = BridgeODE()._step(y, zero, y, path, times(1.0, y).double(), half)
    z = float((stepped - path.mean(zero, y, half)).real / path.std(half))
    assert z == pytest.approx(0.0893 * float(y.real), rel=1e-3)

    def below(x: float) -> float:
        parts = zip(SHARES.tolist(), CENTRES.tolist(), WIDTHS.tolist(), strict=True)
        return sum(share * norm.cdf((x - centre) / width) for share, centre, width in parts) - norm.cdf(z)

    return brentq(below, -1, 1)


def bridge_error(sampler: Sampler) -> float:
    path, y = SBVE(), torch.full((1, 1, 1, 1), 0.8, dtype=torch.complex128)
    return abs(float(sampler(mixture(y, path), y, path, Draws([0])).real) - bridge_flow_end(y, path))


def test_order_of_the_bridge_flow() -> None:
    """Labelled with the state's own time it is of order 1 (measured 0.95 from 128 to 1024 steps)."""
    coarse, fine = (bridge_error(BridgeODE(steps=n, time_label="prev")) for n in (128, 1024))
    assert math.log(coarse / fine) / math.log(8) == pytest.approx(1, abs=0.15)


def test_the_next_label_is_wrong_by_a_step() -> None:
    """It converges to the same answer (measured 1.5 from 8 to 32 steps), and few steps are much worse for it."""
    coarse, fine = (bridge_error(BridgeODE(steps=n)) for n in (8, 32))
    assert 1.0 < math.log(coarse / fine) / math.log(4) < 2.0
    assert coarse > 4 * bridge_error(BridgeODE(steps=8, time_label="prev"))
    assert bridge_error(BridgeODE(steps=256)) < 2e-3


@pytest.mark.parametrize(("p", "t"), [(0.98, 0.9), (0.6, 0.5), (0.2, 0.05)])
def test_bridge_steps_are_ddim_and_ancestral_steps(p: float, t: float) -> None:
    """But for eps: in e = (x - b y) / a they hold the clean estimate with weight s' / s, and its square."""
    path = SBVE()
    torch.manual_seed(0)
    x, clean, y = (torch.randn(1, 1, 4, 4, dtype=torch.complex128) for _ in range(3))
    before, after = (torch.tensor([v], dtype=torch.float64) for v in (p, t))
    s, s_after = (float(path.std(v) / path.clean_weight(v)) for v in (before, after))
    e = path.clean_from_mean(x, y, before)
    for sampler, kept in ((BridgeODE(), s_after / s), (BridgeSDE(), (s_after / s) ** 2)):
        expected = path.mean(clean + kept * (e - clean), y, after)
        assert torch.allclose(sampler._step(x, clean, y, path, before, after), expected, atol=1e-5)
    spread = float(path.clean_weight(after)) * s_after * math.sqrt(1 - (s_after / s) ** 2)
    assert float(BridgeSDE()._spread(path, before, after)) == pytest.approx(spread, rel=1e-5)


@pytest.mark.parametrize(
    "sampler",
    [
        Ancestral(steps=200),
        PredictorCorrector(steps=200, corrector="none"),
        PredictorCorrector(steps=100, snr=0.1),
        PredictorCorrector(steps=100, corrector="ou", snr=0.1),
        DDIM(steps=400),
        Heun(steps=20),
        Multistep(steps=20),
        ProbabilityFlow(),
    ],
    ids=repr,
)
def test_samplers_have_the_right_distribution(sampler: Sampler) -> None:
    """The clean estimate's mean and spread.

    OUVE starts from less than its marginal's spread (sigma alone), of which the flow's solvers keep 4 %.
    """
    y = torch.full((1, 1, 40, 100), MEAN, dtype=torch.complex64)
    out = sampler(exact(y), y, PATH, Draws([5]))
    assert float(out.real.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float((out - MEAN).abs().square().mean().sqrt()) == pytest.approx(SPREAD, rel=0.06)


@pytest.mark.parametrize(
    ("path", "sampler"),
    [
        (SBVE(), BridgeSDE(200)),
        (SBVE(), BridgeSDE(200, "prev")),
        (SBVE(), Ancestral(steps=100)),
        (SBVE(), Heun(steps=20)),
        (BBED(), Ancestral(steps=200)),
        (BBED(), PredictorCorrector(steps=400, corrector="ou", snr=0.1)),
        (VE(), PredictorCorrector(steps=400, corrector="ou", snr=0.1)),
        (VP(), Ancestral(steps=200)),
        (VP(), PredictorCorrector(steps=400, corrector="ou", snr=0.1)),
        (SubVP(), Multistep(steps=40)),
    ],
    ids=repr,
)
def test_samplers_of_the_other_paths_have_the_right_distribution(path: LinearPath, sampler: Sampler) -> None:
    """With y off the mean: the paths that end in y or in noise have forgotten x_0 where sampling starts."""
    y = torch.full((1, 1, 40, 100), 0.5, dtype=torch.complex64)
    out = sampler(exact(y, path), y, path, Draws([5]))
    assert float(out.real.mean()) == pytest.approx(MEAN, abs=0.03)
    assert float((out - MEAN).abs().square().mean().sqrt()) == pytest.approx(SPREAD, rel=0.06)


@pytest.mark.parametrize("spread", [0.0, 1.0, 10.0])
@pytest.mark.parametrize("corrector", ["ou", "annealed"])
def test_stationary_variance_of_correctors(corrector: Corrector, spread: float) -> None:
    """On N(0, v), v = sigma^2 (1 + spread^2), with its exact score and snr 0.5.

    For spread 0, x_0 known, ou keeps sigma^2 and annealed settles at 4/3 of it; for large spread, at 3/4 and 1 of v.
    """
    sampler, draws = PredictorCorrector(corrector=corrector), Draws([3])
    x = torch.zeros(1, 1, 100, 200, dtype=torch.complex64)
    t = times(0.5, x)
    sigma = float(PATH.std(t))
    v, rho = sigma**2 * (1 + spread**2), 1 - 2 * 0.5**2
    x = math.sqrt(v) * draws.normal_like(x)
    for _ in range(20 + int(5 * spread**2)):
        x = sampler._correct(-x / v, x, PATH, t, draws)
    settled = 2 / (2 - (1 - rho) * sigma**2 / v) * ((1 + rho) / 2 if corrector == "ou" else 1)
    assert float(x.abs().square().mean()) == pytest.approx(settled * v, rel=0.04)
    if spread == 0.0:
        assert settled == pytest.approx({"ou": 1.0, "annealed": 4 / 3}[corrector])


@pytest.mark.parametrize("name", NAMES)
def test_net_calls_are_as_declared_and_items_do_not_mix(name: str) -> None:
    """Items alone and in a batch agree, the same seed gives the same answer, and another one (of noise) another."""
    sampler, path = find(name)(), SBVE() if name.startswith("Bridge") else PATH
    y = torch.randn(3, 1, 4, 4, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    calls = []

    def predict(x: Tensor, t: Tensor) -> Prediction:
        calls.append(x.shape[0])
        anchor = y if x.shape[0] == 3 else y[1:2]
        return Prediction(path, x, anchor, t, "clean", 0.5 * anchor + 0.1 * x)

    together = sampler(predict, y, path, Draws([1, 2, 3]))
    assert len(calls) == sampler.calls or (len(calls) < sampler.calls and name == "ProbabilityFlow")
    alone = sampler(predict, y[1:2], path, Draws([2]))
    assert torch.allclose(together[1:2], alone, atol=1e-6)
    assert torch.equal(sampler(predict, y, path, Draws([1, 2, 3])), together)
    other = sampler(predict, y, path, Draws([1, 9, 3]))
    assert torch.equal(other[[0, 2]], together[[0, 2]])
    assert torch.equal(other[1], together[1]) == (name == "BridgeODE")


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("Bridge")])
@pytest.mark.parametrize("path", [OUVE(), SBVE(), BBED()], ids=lambda path: type(path).__name__)
def test_reverse_start(name: str, path: LinearPath) -> None:
    """The first state the net sees is y + sigma z at that time (Lay et al. 2023)."""
    sampler = find(name)(reverse_start=0.5)
    sampler.check(path)
    y = torch.full((1, 1, 60, 60), 0.8, dtype=torch.complex64)
    seen: list[tuple[float, Tensor]] = []

    def predict(x: Tensor, t: Tensor) -> Prediction:
        seen.append((float(t), x))
        return exact(y, path)(x, t)

    out = sampler(predict, y, path, Draws([4]))
    start, x = seen[0]
    assert start == pytest.approx(0.5, abs=1e-6)
    assert max(t for t, _ in seen) <= start + 1e-6
    sigma = float(path.std(times(0.5, y)))
    assert torch.allclose((x - 0.8) / sigma, Draws([4]).normal_like(y), atol=1e-3)
    assert torch.isfinite(torch.view_as_real(out)).all()


def test_settings_that_make_no_sampler_are_refused() -> None:
    with pytest.raises(ValueError, match=r"reverse_start 0.02 must exceed t_eps 0.03"):
        DDIM(reverse_start=0.02)
    with pytest.raises(ValueError, match="the ou corrector needs an snr of at most 1"):
        PredictorCorrector(corrector="ou", snr=1.5)


def test_langevin_steps_by_the_ratio_of_norms() -> None:
    """With score = -z / sigma the step is 2 (snr sigma)^2: that of the annealed corrector."""
    sampler = PredictorCorrector(corrector="langevin", snr=0.4)
    z = torch.randn(2, 1, 8, 8, dtype=torch.complex64)
    t = times(0.5, z)
    sigma = PATH.std(t)
    step = sampler._correction(-z / sigma[:, None, None, None], z, PATH, t)
    assert torch.allclose(step, 2 * (0.4 * sigma) ** 2, rtol=1e-4)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
def test_grid_is_uniform_in_log_ratio(path: LinearPath) -> None:
    grid = Grid.of(path, 6, 0.03, path.t_start)
    t = torch.tensor(grid.t[:-1])
    ratio = (path.std(t) / path.clean_weight(t)).log()
    assert torch.allclose(ratio.diff(), ratio.diff().mean().expand(5), atol=1e-3)
    assert (grid.t[0], grid.t[-2], grid.t[-1]) == (pytest.approx(path.t_start), pytest.approx(0.03), 0.0)
