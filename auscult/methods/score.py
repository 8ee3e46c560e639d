"""Score diffusion: SGMSE+ and its relatives (Richter et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from jaxtyping import Complex, Float
from torch import Tensor, nn

from auscult.bounds import Count, Time
from auscult.features.normalise import Normalise
from auscult.features.spectral import CompressedSTFT, Padding, pad_frames
from auscult.losses.base import Loss
from auscult.methods.base import Batch, Method, Nets, Waves, check_grid
from auscult.methods.objective import Objective, ScoreMatching, Truth
from auscult.methods.parametrisation import NegativeScore, Parametrisation
from auscult.paths.base import LinearPath, Prediction, Times
from auscult.rng import Draws
from auscult.samplers.base import Sampler
from auscult.samplers.predictor_corrector import PredictorCorrector
from auscult.shapes import bcast

Spectrum = Complex[Tensor, "B C F N"]
Conditions = Complex[Tensor, "B sources F N"]


@dataclass(frozen=True)
class Diffused:
    """Training examples on the path; ``condition`` is what the net sees beside x_t."""

    clean: Spectrum
    anchor: Spectrum
    condition: Conditions
    t: Float[Tensor, " B"]
    noise: Spectrum
    x: Spectrum


@final
class ScoreModel(Method):
    """A net learns to undo a path between clean and noisy spectra; a sampler walks it back.

    Args:
        t_eps: training times are drawn uniformly from [t_eps, path.t_max].
        frame_grid: frames are extended to a multiple of this, by ``padding``, before the net sees them.
        sampler: how restoration walks back; its fields are the method's settings at restoration.
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
    ):
        check_grid(net, features, frame_grid)
        sampler.check(path)
        self._net, self.features, self.path = net, features, path
        self._parametrisation, self._objective, self.sampler = parametrisation, objective, sampler
        self.rate_hz, self.normalise, self._t_eps = rate_hz, normalise, t_eps
        self._frame_grid, self._padding = frame_grid, padding

    def nets(self) -> dict[str, nn.Module]:
        return {"net": self._net}

    def forward(self, nets: Nets, batch: Batch, draws: Draws) -> Diffused:
        clean, noisy = self.encode(batch.clean), self.encode(batch.noisy)
        return self.diffused(clean, noisy, noisy, draws)

    def loss(self, turn: str, nets: Nets, batch: Batch, shared: Diffused, draws: Draws) -> Loss:
        return self.compared(nets["net"], shared, batch.clean)

    def restore(self, nets: Nets, noisy: Waves, draws: Draws) -> Waves:
        anchor = self.encode(noisy)
        return self.features.decode(self.sampled(nets["net"], anchor, anchor, draws), noisy.shape[-1])

    def encode(self, wave: Waves) -> Spectrum:
        """Compressed spectrum, with as many frames as the net takes."""
        features = self.features.to(wave.device)
        return pad_frames(features.encode(wave), self._frame_grid, self._padding)

    def diffused(self, clean: Spectrum, anchor: Spectrum, condition: Conditions, draws: Draws) -> Diffused:
        """Examples at random times of the path from ``anchor`` to ``clean``."""
        t = draws.uniform(self._t_eps, self.path.t_max, clean.device)
        noise = draws.normal_like(clean)
        marginal = self.path.marginal(clean, anchor, t)
        return Diffused(clean, anchor, condition, t, noise, marginal.mean + bcast(marginal.std, noise) * noise)

    def compared(self, net: nn.Module, at: Diffused, clean: Waves) -> Loss:
        """The objective of what the net says about examples; ``clean`` is x_0 as waves."""

        def decode(spectrum: Spectrum) -> Waves:
            return self.features.decode(spectrum, clean.shape[-1])

        prediction = self.predict(net, at.x, at.anchor, at.condition, at.t)
        return self._objective(prediction, Truth(at.clean, at.noise, clean, decode))

    def sampled(self, net: nn.Module, anchor: Spectrum, condition: Conditions, draws: Draws) -> Spectrum:
        """Walk back to a clean estimate."""

        def predict(x: Spectrum, t: Times) -> Prediction:
            return self.predict(net, x, anchor, condition, t)

        return self.sampler(predict, anchor, self.path, draws)

    def predict(self, net: nn.Module, x: Spectrum, anchor: Spectrum, condition: Conditions, t: Times) -> Prediction:
        """What the net says about x_t."""
        return self._parametrisation.predict(net, x, anchor, t, self.path, condition)
