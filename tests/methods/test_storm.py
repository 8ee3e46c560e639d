"""StoRM: gradients of the published sum, what each net is given, modes of restoration."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from auscult import recipe
from auscult.methods.base import Batch, Method
from auscult.rng import Draws

SMALL = {"type": "NCSNpp", "channels": 8, "multipliers": [1, 1], "blocks": 1, "attention_heights": [], "bins": 32,
         "time_scaling": "none"}  # fmt: skip
STORM: dict[str, Any] = {
    "type": "StoRM",
    "features": {"type": "CompressedSTFT", "n_fft": 62, "hop": 32},
    "path": {"type": "OUVE"},
    "denoiser": {**SMALL, "timed": False, "sources": 1},
    "net": {**SMALL, "sources": 3},
    "sampler": {"type": "DDIM", "steps": 1},
    "frame_grid": 2,
}


def method(**changes: Any) -> Method:
    torch.manual_seed(0)
    built: Method = recipe.plan({**STORM, **changes}, Method, "method").build()
    with torch.no_grad():  # blocks start at zero, which would hide what they do
        for net in built.nets().values():
            for parameter in net.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return built


@pytest.fixture
def batch() -> Batch:
    torch.manual_seed(1)
    clean, noise = (0.1 * torch.randn(2, 1, 992) for _ in range(2))
    whole = torch.tensor([992, 992])
    return Batch(clean, clean + noise, torch.ones(2), whole, torch.zeros(2, dtype=torch.int64), {}, [])


def gradients(built: Method, batch: Batch) -> dict[str, list[Tensor | None]]:
    """As the loop takes them: each turn's into its own net only."""
    nets, draws, found = built.nets(), Draws([0, 1]), {}
    shared = built.forward(nets, batch, draws)
    for turn in built.turns:
        learners = [p for p in nets[turn].parameters() if p.requires_grad]
        total = built.loss(turn, nets, batch, shared, draws).total
        found[turn] = list(torch.autograd.grad(total, learners, allow_unused=True))
    return found


def test_two_turns_have_the_gradient_of_the_published_sum(batch: Batch) -> None:
    """1/2 L_denoiser + 1/2 L_score in one graph: the denoiser's turn holds the whole sum."""
    built = method()
    turns = gradients(built, batch)
    nets, draws = built.nets(), Draws([0, 1])
    shared = built.forward(nets, batch, draws)
    total = built.loss("denoiser", nets, batch, shared, draws).total
    for name, net in nets.items():
        learners = [p for p in net.parameters() if p.requires_grad]
        joint = torch.autograd.grad(total, learners, retain_graph=True)
        for ours, theirs in zip(turns[name], joint, strict=True):
            assert ours is not None
            assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))


def test_the_sum_is_as_published(batch: Batch) -> None:
    """Halves of 1/2 sum |D(y) - x_0|^2 and of the score's loss, means over items."""
    built = method(denoiser_weight=0.5)
    nets, draws = built.nets(), Draws([0, 1])
    with torch.no_grad():
        shared = built.forward(nets, batch, draws)
        loss = built.loss("denoiser", nets, batch, shared, draws)
        predicted = nets["denoiser"](shared.example.condition[:, :1])
    by_hand = 0.5 * (predicted - shared.example.clean).abs().square().sum() / 2
    assert float(loss.parts["predictor"]) == pytest.approx(float(by_hand), rel=1e-5)
    assert loss.weights == {"predictor": 0.5, "score": 0.5}


def test_apart_the_denoiser_learns_from_its_own_term(batch: Batch) -> None:
    built = method(joint=False)
    shared = built.forward(built.nets(), batch, Draws([0, 1]))
    assert built.loss("denoiser", built.nets(), batch, shared, Draws([0, 1])).parts.keys() == {"predictor"}


class Listens(nn.Module):
    """Keeps what it was given and says nothing."""

    def forward(self, inputs: Tensor, t: Tensor | None = None) -> Tensor:
        self.given = inputs
        return torch.zeros_like(inputs[:, :1])


@pytest.mark.parametrize(("condition", "maps"), [("noisy", 1), ("post_denoiser", 1), ("both", 2)])
def test_what_the_net_is_given(condition: str, maps: int, batch: Batch) -> None:
    built = method(condition=condition, net={**SMALL, "sources": 1 + maps})
    net = Listens()
    nets = {"denoiser": built.nets()["denoiser"], "net": net}
    shared = built.forward(nets, batch, Draws([0, 1]))
    built.loss("net", nets, batch, shared, Draws([0, 1]))
    encoded = built.features.encode(batch.noisy)  # type: ignore[attr-defined]
    expected = {"noisy": [encoded], "post_denoiser": [shared.estimate], "both": [encoded, shared.estimate]}[condition]
    assert torch.equal(net.given, torch.cat([shared.example.x, *expected], dim=1))
    assert torch.equal(shared.example.anchor, shared.estimate)


def test_modes_of_restoration(batch: Batch) -> None:
    """The denoiser alone asks no net of diffusion; the score alone no denoiser."""
    noisy, restored = batch.noisy[:1], {}
    for mode in ("storm", "denoiser-only", "score-only"):
        built = method(mode=mode)
        unused = {"denoiser-only": "net", "score-only": "denoiser"}.get(mode)
        nets = {name: net for name, net in built.nets().items() if name != unused}
        with torch.no_grad():
            restored[mode] = built.restore(nets, noisy, Draws([0]))
    features = built.features  # type: ignore[attr-defined]
    with torch.no_grad():
        predicted = features.decode(method().nets()["denoiser"](features.encode(noisy)), noisy.shape[-1])
    assert torch.allclose(restored["denoiser-only"], predicted, atol=1e-5)
    assert not torch.allclose(restored["storm"], restored["score-only"], atol=1e-3)
