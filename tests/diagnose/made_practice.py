"""A training step small enough to be walked in milliseconds: a linear map that is to be learned from noisy waves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from auscult.diagnose.case import Case
from auscult.diagnose.evidence import Curve, Practice, Run, Step
from auscult.hub.bundle import Meta
from tests.diagnose.made_curves import case_of

SIZE, ITEMS = 16, 32


class Linear(Practice):
    """Noisy waves are clean ones, mixed by an orthogonal matrix; the net has to undo that."""

    name, rate_hz = "linear", 16_000

    def __init__(self, seed: int = 0):
        torch.manual_seed(7)
        self._mix = torch.linalg.qr(torch.randn(SIZE, SIZE)).Q
        torch.manual_seed(seed)
        self.seed, self._net = seed, nn.Linear(SIZE, SIZE, bias=False)
        nn.init.normal_(self._net.weight, std=0.1)

    def steps(self, count: int, epoch: int = 0) -> Sequence[Step]:
        return [self._step(place) for place in range(count)]

    def _step(self, place: int) -> Step:
        generator = torch.Generator().manual_seed(place)
        clean = torch.randn(ITEMS, SIZE, generator=generator)
        return Step(clean, clean @ self._mix, ())

    def loss(self, step: Step, estimate: Tensor | None = None) -> Mapping[str, Tensor]:
        return {"mse": ((self._net(step.noisy) if estimate is None else estimate) - step.clean).square().mean()}

    def estimate(self, step: Step) -> Tensor:
        return self._net(step.noisy)

    def nets(self) -> Mapping[str, nn.Module]:
        return {"net": self._net}

    def part(self, step: Step) -> Step:
        return step

    def fresh(self) -> Linear:
        return Linear(self.seed + 1)


def trained(
    folder: Path,
    lr: float = 0.05,
    clip: float | None = None,
    sign: float = 1.0,
    decay: float = 0.9,
    algorithm: str = "adam",
    steps: int = 120,
    **recipe: object,
) -> Case:
    """A run of the linear step with its last checkpoint; ``sign`` -1 climbs."""
    practice = Linear(5)
    net = practice.nets()["net"]
    make = torch.optim.Adam if algorithm == "adam" else torch.optim.SGD
    optimiser, mean, clipped = make(net.parameters(), lr), net.weight.detach().clone(), 0
    for number in range(steps):
        optimiser.zero_grad()
        (sign * practice.loss(practice._step(1000 + number))["mse"]).backward()
        clipped += float(nn.utils.clip_grad_norm_(net.parameters(), clip or torch.inf)) > (clip or torch.inf)
        optimiser.step()
        mean.lerp_(net.weight.detach(), 1 - decay)
    path = folder / f"step-{steps:08d}.safetensors"
    tensors = {"net.weight": net.weight.detach(), "ema.net.weight": mean}
    save_file(tensors, path, {"auscult": Meta({"type": "Regression"}, step=steps).to_json()})
    content = {"optimiser": {"net": {"algorithm": algorithm, "lr": lr}}, **recipe}
    at = torch.arange(1.0, 11.0).double().numpy() * steps / 10
    curves = {"clipped_share": Curve(at, 0 * at + clipped / steps)}
    facts = {"clip_norm": clip, "ema_decay": decay, "lr": lr}
    case = case_of(curves, recipe=content, run=Run(folder, content, [path]), facts=facts)
    case.__dict__["practice"] = practice
    return case
