"""How each method is asked for its loss *as if* its net had given a certain clean estimate, through its own pipeline.

A spectral net is replaced by one that answers with the encoded estimate. A diffusion net is asked about x_t, and every
parametrisation is affine in its answer: two probes give the answer whose clean estimate is the one wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from auscult.diagnose.evidence import Absent
from auscult.losses.base import Loss
from auscult.methods.base import Batch, Method, Nets, Waves
from auscult.methods.conditioning import condition_of
from auscult.methods.flow import FlowModel
from auscult.methods.metric_gan import MetricGAN
from auscult.methods.regression import Regression
from auscult.methods.score import Diffused, ScoreModel
from auscult.methods.storm import StoRM
from auscult.rng import Draws
from auscult.shapes import bcast


@dataclass(frozen=True)
class Way:
    """How a method is asked.

    ``supposed``: its losses, were the clean estimate a given wave at the level the net works at. ``own``: its losses
    with its own nets, of every turn that restores. ``seen``: its own estimate, [B, 1, T]. ``learn``: nets of these
    turns.
    """

    supposed: Callable[[Any, Nets, Batch, Waves, Draws], Loss]
    own: Callable[[Any, Nets, Batch, Draws], Loss]
    seen: Callable[[Any, Nets, Batch, Draws], Waves]
    learn: tuple[str, ...] = ("net",)


def way_of(method: Method) -> Way:
    """The way to ask a method.

    Raises:
        Absent: none is known.
    """
    way = WAYS.get(type(method))
    if way is None:
        raise Absent(
            f"how to put an estimate in the place of {type(method).__name__}'s is not known: give its loss by --loss"
        )
    return way


class _Answer(nn.Module):
    """A net that answers the same whatever it is asked; ``cond`` is the condition of the net it stands for."""

    def __init__(self, answer: Tensor, cond: nn.Module | None = None):
        super().__init__()
        self.answer, self.cond = answer, cond

    def forward(self, *asked: object) -> Tensor:
        return self.answer


def _regression(method: Regression, nets: Nets, batch: Batch, wave: Waves, draws: Draws) -> Loss:
    return _own_regression(method, {"net": _Answer(method.features.encode(wave))}, batch, draws)


def _own_regression(method: Regression, nets: Nets, batch: Batch, draws: Draws) -> Loss:
    return method.loss("net", nets, batch, method.forward(nets, batch, draws), draws)


def _metric_gan(method: MetricGAN, nets: Nets, batch: Batch, wave: Waves, draws: Draws) -> Loss:
    return _own_metric_gan(method, {**nets, "net": _Answer(method.features.encode(wave))}, batch, draws)


def _own_metric_gan(method: MetricGAN, nets: Nets, batch: Batch, draws: Draws) -> Loss:
    return method.loss("net", nets, batch, method.unlabelled(nets, batch), draws)


def _score(method: ScoreModel, nets: Nets, batch: Batch, wave: Waves, draws: Draws) -> Loss:
    shared = method.forward(nets, batch, draws)
    answer = _answer_for(method, shared.example, method.encode(wave))
    return method.loss("net", {"net": _Answer(answer, condition_of(nets["net"]))}, batch, shared, draws)


def _own_score(method: ScoreModel, nets: Nets, batch: Batch, draws: Draws) -> Loss:
    return method.loss("net", nets, batch, method.forward(nets, batch, draws), draws)


def _seen_by_score(method: ScoreModel, nets: Nets, batch: Batch, draws: Draws) -> Waves:
    at = method.forward(nets, batch, draws).example
    estimate = method.predict(nets["net"], at.x, at.anchor, at.condition, at.t).clean
    return method.features.decode(estimate, batch.clean.shape[-1])


def _storm(method: StoRM, nets: Nets, batch: Batch, wave: Waves, draws: Draws) -> Loss:
    estimate = method.diffusion.encode(wave)
    supposed: dict[str, nn.Module] = {"denoiser": _Answer(estimate)}
    shared = method.forward(supposed, batch, draws)
    supposed["net"] = _Answer(_answer_for(method.diffusion, shared.example, estimate))
    return _of_both_turns(method, supposed, batch, shared, draws)


def _own_storm(method: StoRM, nets: Nets, batch: Batch, draws: Draws) -> Loss:
    return _of_both_turns(method, nets, batch, method.forward(nets, batch, draws), draws)


def _of_both_turns(method: StoRM, nets: Nets, batch: Batch, shared: Any, draws: Draws) -> Loss:
    """The denoiser's turn holds the parts of the other one where both learn jointly."""
    denoiser = method.loss("denoiser", nets, batch, shared, draws)
    net = method.loss("net", nets, batch, shared, draws)
    return denoiser if net.parts.keys() <= denoiser.parts.keys() else Loss.joined([denoiser, net])


def _answer_for(method: ScoreModel, at: Diffused, target: Tensor) -> Tensor:
    """What the net would have to say about x_t for its clean estimate to be ``target``."""
    with torch.no_grad():
        probes = [torch.full_like(at.clean, value) for value in (0.0, 1.0)]
        said = [method.predict(_Answer(one), at.x, at.anchor, at.condition, at.t).clean for one in probes]
        slope = (said[1] - said[0]).mean(dim=(1, 2, 3), keepdim=True)
    return (target - said[0]) / slope


def _flow(method: FlowModel, nets: Nets, batch: Batch, wave: Waves, draws: Draws) -> Loss:
    """The clean estimate is x_t - t v: where it is off by e, v is off by -e / t; a codec's e is that of its means."""
    shared, features = method.forward(nets, batch, draws), method.features
    low = method.as_taken(batch.noisy)
    estimate, clean = (features.encode(method.as_taken(side), low) for side in (wave, batch.clean))
    if wave.requires_grad and not estimate.requires_grad:
        raise Absent("a flow in latents: its codec passes no gradient, so that no wave can descend on its loss")
    velocity = shared.velocity - (estimate - clean) / bcast(shared.t, clean)
    return method.loss("net", {"net": _Answer(velocity)}, batch, shared, draws)


def _own_flow(method: FlowModel, nets: Nets, batch: Batch, draws: Draws) -> Loss:
    return method.loss("net", nets, batch, method.forward(nets, batch, draws), draws)


def _seen_by_flow(method: FlowModel, nets: Nets, batch: Batch, draws: Draws) -> Waves:
    at = method.forward(nets, batch, draws)
    velocity = nets["net"](at.x, at.t, at.beside, at.told)
    wave = method.features.decode(method.path.clean_from_velocity(velocity, at.x, at.t), method.as_taken(batch.noisy))
    return wave if wave.shape[1] == 1 else wave.mean(1, keepdim=True)


def _seen_by_regression(method: Regression, nets: Nets, batch: Batch, draws: Draws) -> Waves:
    return method.restore(nets, batch.noisy, draws)


def _seen_by_metric_gan(method: MetricGAN, nets: Nets, batch: Batch, draws: Draws) -> Waves:
    return method.unlabelled(nets, batch).wave


def _seen_by_denoiser(method: StoRM, nets: Nets, batch: Batch, draws: Draws) -> Waves:
    return method.features.decode(method.forward(nets, batch, draws).estimate, batch.clean.shape[-1])


WAYS: Mapping[type[Method], Way] = MappingProxyType(
    {
        Regression: Way(_regression, _own_regression, _seen_by_regression),
        MetricGAN: Way(_metric_gan, _own_metric_gan, _seen_by_metric_gan),
        FlowModel: Way(_flow, _own_flow, _seen_by_flow),
        ScoreModel: Way(_score, _own_score, _seen_by_score),
        StoRM: Way(_storm, _own_storm, _seen_by_denoiser, learn=("denoiser", "net")),
    }
)
