"""Guidance mixes a net's two answers linearly, in whatever its parametrisation says and whatever a sampler reads."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from auscult.catalogue import CATALOGUE, find
from auscult.methods.conditioning import NoiseConditioning
from auscult.methods.guidance import Guidance, Guide
from auscult.methods.score import ScoreModel
from auscult.nets.condition import NoiseCondition
from auscult.nets.injection import SpectralChannel
from auscult.nets.noise_encoder import PSDEncoder
from auscult.nets.reference import Encoded
from auscult.nets.sites import Sizes
from auscult.paths.ouve import OUVE
from auscult.paths.sbve import SBVE
from auscult.rng import Draws
from auscult.shapes import bcast
from tests.noise import FEATURES, conditions, reference

NULL, TOLD = 0.3, -0.2
"""What the net below says of every bin without and with a reference."""


class Constant(nn.Module):
    """A net whose output depends on what it is told alone; it counts its calls by their batch."""

    def __init__(self) -> None:
        super().__init__()
        self.cond = NoiseCondition(PSDEncoder(), (SpectralChannel(),))
        self.cond.attach(Sizes(32, 0, (4,), (4,), ((32, 4),)))
        self.batches: list[int] = []

    def forward(self, inputs: Tensor, t: Tensor, told: Encoded) -> Tensor:
        self.batches.append(len(inputs))
        said = torch.where(told.present, TOLD, NULL)
        return bcast(said, inputs) * torch.ones_like(inputs[:, :1]) + 0.1 * inputs[:, 1:]


def guide(net: Constant, scale: float, **settings: object) -> Guide:
    piece = reference([300, 300])
    guidance = Guidance(scale, **settings)
    return Guide(guidance, net.cond.encode(piece), net.cond.encode(piece.none()))


@pytest.mark.parametrize("name", CATALOGUE["parametrisation"])
def test_guiding_the_output_guides_every_reading(name: str) -> None:
    """F_null + w (F_told - F_null) is the same line of scores, clean estimates, means and velocities."""
    path, t = OUVE(), torch.tensor([0.4, 0.7])
    x, y = (torch.randn(2, 1, 32, 4, dtype=torch.complex64, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    said = {}
    for w in (0.0, 1.0, 2.5):
        net = Constant()
        said[w] = find(name)().predict(guide(net, w).leading(net, path, t), x, y, t, path)
        assert net.batches == [4 if w == 2.5 else 2]
    for reading in ("score", "clean", "mean", "velocity"):
        null, told, far = (getattr(said[w], reading) for w in (0.0, 1.0, 2.5))
        assert not torch.allclose(null, told, atol=1e-3)
        assert torch.allclose(far, null + 2.5 * (told - null), rtol=1e-4, atol=1e-4 * float(far.abs().max()))


def model(net: nn.Module, sampler: str, **settings: object) -> ScoreModel:
    bridge = sampler.startswith("Bridge")
    kind = find(sampler)
    walk = kind() if sampler == "ProbabilityFlow" else kind(steps=4)
    return ScoreModel(net, FEATURES, SBVE() if bridge else OUVE(), find("DataPrediction")(), sampler=walk,
                      frame_grid=1, conditioning=NoiseConditioning(drop=0.2, **settings))  # fmt: skip


@pytest.mark.parametrize("name", CATALOGUE["sampler"])
def test_every_sampler_is_guided_as_it_stands(name: str) -> None:
    """The net's clean estimate is c_null or c_told (and 0.1 y): the sample moves along the line between them."""
    noisy = 0.1 * torch.randn(2, 1, 400, generator=torch.Generator().manual_seed(0))
    samples, calls = {}, {}
    for w in (0.0, 1.0, 3.0):
        net = Constant()
        built = model(net, name, guidance_scale=w)
        anchor = built.encode(noisy)
        told = NoiseConditioning(drop=0.2, guidance_scale=w).guide(net.cond, conditions([300, 300]), noisy, FEATURES)
        samples[w] = built.sampled(net, anchor, anchor, Draws([0, 1]), told)
        calls[w] = net.batches
    moved, far = samples[1.0] - samples[0.0], samples[3.0] - samples[0.0]
    assert float(moved.abs().mean()) > 0.3
    assert torch.allclose(far, 3 * moved, atol=2e-2 if name == "ProbabilityFlow" else 1e-3)
    assert set(calls[0.0]) == set(calls[1.0]) == {2}
    assert set(calls[3.0]) == {4}
    if name != "ProbabilityFlow":  # whose steps follow the error
        assert len(calls[0.0]) == len(calls[1.0]) == len(calls[3.0])


@pytest.mark.parametrize(("axis", "interval", "doubled"), [
    ("t", (0.5, 1.0), [4, 4, 2, 2]),
    ("t", (0.0, 0.5), [2, 2, 4, 4]),
    ("sigma", (0.0, 100.0), [4, 4, 4, 4]),
    ("sigma", (100.0, 200.0), [2, 2, 2, 2]),
])  # fmt: skip
def test_outside_its_interval_guidance_costs_nothing(
    axis: str, interval: tuple[float, float], doubled: list[int]
) -> None:
    """The grid of four steps is t = 1, 0.677, 0.353, 0.03; outside the answer is the conditional one."""
    noisy = 0.1 * torch.randn(2, 1, 400, generator=torch.Generator().manual_seed(0))
    net = Constant()
    built = model(net, "PredictorCorrector", guidance_scale=2.0, guidance_axis=axis, guidance_interval=interval)
    built.sampler = replace(built.sampler, corrector="none")
    built.restore(built.nets(), noisy, Draws([0, 1]), conditions([300, 300]))
    assert net.batches == doubled


def test_noise_levels_of_an_interval_are_sigma_over_a() -> None:
    path, t = OUVE(), torch.tensor([0.2, 0.5, 0.9])
    level = path.std(t) / path.clean_weight(t)
    edges = (float(level[1]) - 1e-4, float(level[1]) + 1e-4)
    assert Guidance(2.0, edges).weights(path, t).tolist() == [1.0, 2.0, 1.0]
    assert Guidance(2.0, (0.4, 1.0), "t").weights(path, t).tolist() == [1.0, 2.0, 2.0]


def test_items_of_a_batch_are_guided_by_their_own_times_and_references() -> None:
    """Times inside and outside the interval in one call; without any reference one call is enough."""
    path, net = OUVE(), Constant()
    t = torch.tensor([0.2, 0.8])
    x = torch.zeros(2, 2, 32, 4, dtype=torch.complex64)
    out = guide(net, 3.0, interval=(0.5, 1.0), axis="t").leading(net, path, t)(x, t)
    assert out[:, 0, 0, 0].real.tolist() == pytest.approx([TOLD, NULL + 3 * (TOLD - NULL)])
    alone = guide(net, 3.0)
    nothing = Guide(alone.guidance, alone.null, alone.null).leading(net, path, t)(x, t)
    assert nothing[:, 0, 0, 0].real.tolist() == pytest.approx([NULL, NULL])
    assert net.batches == [4, 2]


@pytest.mark.parametrize("scale", [0.0, 1.5])
def test_guidance_needs_an_unconditional_answer(scale: float) -> None:
    with pytest.raises(ValueError, match="trained without drop-out"):
        NoiseConditioning(drop=0.0, guidance_scale=scale)
    assert NoiseConditioning(drop=0.0).guidance_scale == 1.0
