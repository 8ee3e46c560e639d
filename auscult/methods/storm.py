"""StoRM: a predictor removes what it can, diffusion restores what it took with it (Lemercier et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import nn

from auscult.bounds import Count, NotNegative, Time
from auscult.features.normalise import Normalise
from auscult.features.spectral import CompressedSTFT, Padding
from auscult.losses.base import Loss
from auscult.methods.base import (
    NO_CONDITIONS,
    Batch,
    Conditions,
    Method,
    Nets,
    Waves,
    check_grid,
    check_unconditional,
    refuse_conditions,
)
from auscult.methods.objective import Objective, ScoreMatching, energy
from auscult.methods.parametrisation import NegativeScore, Parametrisation
from auscult.methods.score import Diffused, ScoreModel, Sources, Spectrum
from auscult.paths.base import LinearPath
from auscult.rng import Draws
from auscult.samplers.base import Sampler
from auscult.samplers.predictor_corrector import PredictorCorrector


@dataclass(frozen=True)
class Predicted:
    """The denoiser's estimate D(y), and examples on the path that is anchored there; both with the denoiser's graph."""

    estimate: Spectrum
    example: Diffused


@final
class StoRM(Method):
    """The path of diffusion is anchored at D(y), a denoiser's estimate, in place of the recording y.

    Both nets learn together from

        denoiser_weight / 2 |D(y) - x_0|^2 + score_weight (objective),

    in two turns of a step. With ``joint`` the denoiser's turn holds both terms and the net's turn the second alone,
    with D(y) held fixed: each net gets the gradient of the whole sum, as published, at the price of a second pass
    through the net. Without it the denoiser learns from its own term only.

    Args:
        denoiser: one call from y to D(y), with one complex input map.
        net: of the diffusion; with ``condition="both"`` it has three complex input maps.
        condition: what the net sees beside x_t: ``noisy`` (y), ``post_denoiser`` (D(y)) or ``both`` (y, then D(y)).
        mode: of restoration. ``denoiser-only`` returns D(y). ``score-only`` puts y where D(y) belongs, which the net
            has not seen in training.
        denoiser_weight: of the sum over bins and frames, mean over items, as the objective's.
    """

    turns = ("denoiser", "net")
    generative = True

    def __init__(
        self,
        denoiser: nn.Module,
        net: nn.Module,
        features: CompressedSTFT,
        path: LinearPath,
        parametrisation: Parametrisation = NegativeScore(),
        objective: Objective = ScoreMatching(),
        sampler: Sampler = PredictorCorrector(),
        condition: Literal["noisy", "post_denoiser", "both"] = "both",
        mode: Literal["storm", "denoiser-only", "score-only"] = "storm",
        joint: bool = True,
        denoiser_weight: NotNegative = 0.5,
        score_weight: NotNegative = 0.5,
        rate_hz: int = 16_000,
        normalise: Normalise = Normalise("peak"),
        t_eps: Time = 0.03,
        frame_grid: Count = 64,
        padding: Padding = "zero",
    ):
        check_unconditional([denoiser, net], "StoRM")
        check_grid(denoiser, features, frame_grid)
        diffusion = (parametrisation, objective, sampler, rate_hz, normalise, t_eps, frame_grid, padding)
        self._score = ScoreModel(net, features, path, *diffusion)
        self._nets = {"denoiser": denoiser, "net": net}
        self._condition, self._mode, self._joint = condition, mode, joint
        self._denoiser_weight, self._score_weight = denoiser_weight, score_weight
        self.features, self.sampler, self.rate_hz, self.normalise = features, sampler, rate_hz, normalise

    @property
    def diffusion(self) -> ScoreModel:
        """The second half: from the denoiser's estimate to the clean spectrum."""
        return self._score

    def nets(self) -> dict[str, nn.Module]:
        return dict(self._nets)

    def forward(self, nets: Nets, batch: Batch, draws: Draws) -> Predicted:
        clean, noisy = self._score.encode(batch.clean), self._score.encode(batch.noisy)
        estimate = nets["denoiser"](noisy)
        return Predicted(estimate, self._score.diffused(clean, estimate, self._beside(noisy, estimate), draws))

    def loss(self, turn: str, nets: Nets, batch: Batch, shared: Predicted, draws: Draws) -> Loss:
        if turn == "net":
            return self._score_loss(nets["net"], held(shared.example), batch)
        error = 0.5 * energy(shared.estimate - shared.example.clean, per_bin=False)
        own = Loss({"predictor": error.mean()}, {"predictor": self._denoiser_weight})
        return Loss.joined([own, self._score_loss(nets["net"], shared.example, batch)]) if self._joint else own

    def restore(self, nets: Nets, noisy: Waves, draws: Draws, conditions: Conditions = NO_CONDITIONS) -> Waves:
        refuse_conditions(conditions, self)
        y = self._score.encode(noisy)
        estimate = y if self._mode == "score-only" else nets["denoiser"](y)
        if self._mode != "denoiser-only":
            estimate = self._score.sampled(nets["net"], estimate, self._beside(y, estimate), draws)
        return self.features.decode(estimate, noisy.shape[-1])

    def _score_loss(self, net: nn.Module, example: Diffused, batch: Batch) -> Loss:
        loss = self._score.compared(net, example, batch.clean)
        return Loss(loss.parts, {name: self._score_weight * weight for name, weight in loss.weights.items()})

    def _beside(self, noisy: Spectrum, estimate: Spectrum) -> Sources:
        if self._condition == "both":
            return torch.cat([noisy, estimate], dim=1)
        return noisy if self._condition == "noisy" else estimate


def held(example: Diffused) -> Diffused:
    """The same examples, without a way back to the denoiser."""
    x, anchor, condition = (z.detach() for z in (example.x, example.anchor, example.condition))
    return Diffused(example.clean, anchor, condition, example.t, example.noise, x)
