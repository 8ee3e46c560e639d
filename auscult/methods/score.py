"""Score diffusion: SGMSE+ and its relatives (Richter et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from jaxtyping import Complex, Float
from torch import Tensor, nn

from auscult.bounds import Count, Time
from auscult.conditions.noise_reference import KEYS
from auscult.errors import RecipeError
from auscult.features.normalise import Normalise
from auscult.features.spectral import CompressedSTFT, Padding, pad_frames
from auscult.losses.base import Loss
from auscult.methods.base import (
    NO_CONDITIONS,
    Batch,
    Conditions,
    Method,
    Nets,
    Waves,
    check_grid,
    refuse_conditions,
)
from auscult.methods.conditioning import NoiseConditioning, Step, condition_of
from auscult.methods.guidance import Guide, Telling
from auscult.methods.objective import Objective, ScoreMatching, Truth
from auscult.methods.parametrisation import NegativeScore, Net, Parametrisation
from auscult.paths.base import LinearPath, Prediction, Times
from auscult.rng import Draws
from auscult.samplers.base import Sampler
from auscult.samplers.predictor_corrector import PredictorCorrector
from auscult.shapes import bcast

Spectrum = Complex[Tensor, "B C F N"]
Sources = Complex[Tensor, "B sources F N"]


@dataclass(frozen=True)
class Diffused:
    """Training examples on the path; ``condition`` is what the net sees beside x_t."""

    clean: Spectrum
    anchor: Spectrum
    condition: Sources
    t: Float[Tensor, " B"]
    noise: Spectrum
    x: Spectrum


@dataclass(frozen=True)
class Shared:
    """The examples of a step, and what the net is told beside them."""

    example: Diffused
    told: Step | None


@final
class ScoreModel(Method):
    """A net learns to undo a path between clean and noisy spectra; a sampler walks it back.

    Args:
        t_eps: training times are drawn uniformly from [t_eps, path.t_max].
        frame_grid: frames are extended to a multiple of this, by ``padding``, before the net sees them.
        sampler: how restoration walks back; its fields are the method's settings at restoration.
        conditioning: how the net's noise condition is learned and used; given if, and only if, the net has one.
    """

    generative = True

    def __init__(
        self,
        net: nn.Module,
        features: CompressedSTFT,
        path: LinearPath,
        parametrisation: Parametrisation = NegativeScore(),
        objective: Objective = ScoreMatching(),
        sampler: Sampler = PredictorCorrector(),
        rate_hz: int = 16_000,
        normalise: Normalise = Normalise("peak"),
        t_eps: Time = 0.03,
        frame_grid: Count = 64,
        padding: Padding = "zero",
        conditioning: NoiseConditioning | None = None,
    ):
        check_conditioning(net, conditioning)
        check_grid(net, features, frame_grid)
        sampler.check(path)
        self._net, self.features, self.path = net, features, path
        self._parametrisation, self._objective, self.sampler = parametrisation, objective, sampler
        self.rate_hz, self.normalise, self._t_eps = rate_hz, normalise, t_eps
        self._frame_grid, self._padding, self._conditioning = frame_grid, padding, conditioning
        self.conditions = KEYS if conditioning is not None else ()

    def nets(self) -> dict[str, nn.Module]:
        return {"net": self._net}

    def forward(self, nets: Nets, batch: Batch, draws: Draws) -> Shared:
        clean, noisy = self.encode(batch.clean), self.encode(batch.noisy)
        example = self.diffused(clean, noisy, noisy, draws)
        # Drop-out draws last, so that a condition moves neither times nor noise.
        return Shared(example, self._told(nets["net"], batch, draws))

    def loss(self, turn: str, nets: Nets, batch: Batch, shared: Shared, draws: Draws) -> Loss:
        step, net = shared.told, nets["net"]
        if step is None:
            return self.compared(net, shared.example, batch.clean)
        own = self.compared(Telling(net, step.told), shared.example, batch.clean)
        return Loss.joined([own, *([step.loss] if step.loss else [])], own.estimate, {**own.notes, **step.notes})

    def restore(self, nets: Nets, noisy: Waves, draws: Draws, conditions: Conditions = NO_CONDITIONS) -> Waves:
        anchor = self.encode(noisy)
        guide = self._guide(nets["net"], noisy, conditions)
        return self.features.decode(self.sampled(nets["net"], anchor, anchor, draws, guide), noisy.shape[-1])

    def encode(self, wave: Waves) -> Spectrum:
        """Compressed spectrum, with as many frames as the net takes."""
        features = self.features.to(wave.device)
        return pad_frames(features.encode(wave), self._frame_grid, self._padding)

    def diffused(self, clean: Spectrum, anchor: Spectrum, condition: Sources, draws: Draws) -> Diffused:
        """Examples at random times of the path from ``anchor`` to ``clean``."""
        t = draws.uniform(self._t_eps, self.path.t_max, clean.device)
        noise = draws.normal_like(clean)
        marginal = self.path.marginal(clean, anchor, t)
        return Diffused(clean, anchor, condition, t, noise, marginal.mean + bcast(marginal.std, noise) * noise)

    def compared(self, net: Net, at: Diffused, clean: Waves) -> Loss:
        """The objective of what the net says about examples; ``clean`` is x_0 as waves."""

        def decode(spectrum: Spectrum) -> Waves:
            return self.features.decode(spectrum, clean.shape[-1])

        prediction = self.predict(net, at.x, at.anchor, at.condition, at.t)
        return self._objective(prediction, Truth(at.clean, at.noise, clean, decode))

    def sampled(
        self, net: nn.Module, anchor: Spectrum, condition: Sources, draws: Draws, guide: Guide | None = None
    ) -> Spectrum:
        """Walk back to a clean estimate, guided where there is something to guide by."""

        def predict(x: Spectrum, t: Times) -> Prediction:
            asked = net if guide is None else guide.leading(net, self.path, t)
            return self.predict(asked, x, anchor, condition, t)

        return self.sampler(predict, anchor, self.path, draws)

    def predict(self, net: Net, x: Spectrum, anchor: Spectrum, condition: Sources, t: Times) -> Prediction:
        """What the net says about x_t."""
        return self._parametrisation.predict(net, x, anchor, t, self.path, condition)

    def _told(self, net: nn.Module, batch: Batch, draws: Draws) -> Step | None:
        condition = condition_of(net)
        if self._conditioning is None or condition is None:
            return None
        return self._conditioning.step(condition, batch, self.features, draws)

    def _guide(self, net: nn.Module, noisy: Waves, conditions: Conditions) -> Guide | None:
        condition = condition_of(net)
        if self._conditioning is None or condition is None:
            refuse_conditions(conditions, self)
            return None
        return self._conditioning.guide(condition, conditions, noisy, self.features)


def check_conditioning(net: nn.Module, conditioning: NoiseConditioning | None) -> None:
    """A net that can be told of a noise needs a method that tells it, and the other way round.

    Raises:
        RecipeError: only one of them is there, or they do not fit.
    """
    condition, name = condition_of(net), type(net).__name__
    if conditioning is not None and condition is None:
        raise RecipeError(f"conditioning: {name} has no noise condition; give net.cond (of NCSNpp), or leave this out")
    if conditioning is None and condition is not None:
        raise RecipeError("net.cond: the method does not use it; give conditioning ({drop: 0.1}), or set cond to null")
    if conditioning is not None and condition is not None:
        conditioning.check(condition)
