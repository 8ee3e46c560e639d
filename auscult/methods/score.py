"""Score diffusion: SGMSE+ and its relatives (Richter et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from jaxtyping import Complex, Float
from torch import Tensor, nn

from auscult.bounds import Count, Time
from auscult.errors import RecipeError
from auscult.features.normalise import Normalise
from auscult.features.spectral import CompressedSTFT, Padding, pad_frames
from auscult.losses.base import Loss
from auscult.methods.base import Batch, Method, Nets, Waves
from auscult.methods.objective import Objective, ScoreMatching
from auscult.methods.parametrisation import NegativeScore, Parametrisation
from auscult.paths.base import LinearPath, Prediction, Times
from auscult.rng import Draws
from auscult.samplers.base import Sampler
from auscult.samplers.predictor_corrector import PredictorCorrector
from auscult.shapes import bcast

Spectrum = Complex[Tensor, "B C F N"]


@dataclass(frozen=True)
class Diffused:
    """A training example on the path."""

    clean: Spectrum
    noisy: Spectrum
    t: Float[Tensor, " B"]
    noise: Spectrum
    x: Spectrum


@final
class ScoreModel(Method):
    """A net learns to undo a path between clean and noisy spectra; a sampler walks it back.

    Args:
        t_eps: training times are drawn uniformly from [t_eps, 1].
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
        grid = getattr(net, "grid", 1)  # a U-Net declares what its maps must be multiples of
        if features.bins % grid or frame_grid % grid:
            raise RecipeError(
                f"{type(net).__name__} needs bins and frames in multiples of {grid}: features.n_fft {features.n_fft} "
                f"gives {features.bins} bins, frame_grid is {frame_grid}"
            )
        self._net, self.features, self.path = net, features, path
        self._parametrisation, self._objective, self.sampler = parametrisation, objective, sampler
        self.rate_hz, self.normalise, self._t_eps = rate_hz, normalise, t_eps
        self._frame_grid, self._padding = frame_grid, padding

    def nets(self) -> dict[str, nn.Module]:
        return {"net": self._net}

    def forward(self, nets: Nets, batch: Batch, draws: Draws) -> Diffused:
        clean, noisy = (self._encode(wave) for wave in (batch.clean, batch.noisy))
        t = draws.uniform(self._t_eps, 1.0, clean.device)
        noise = draws.normal_like(clean)
        marginal = self.path.marginal(clean, noisy, t)
        return Diffused(clean, noisy, t, noise, marginal.mean + bcast(marginal.std, noise) * noise)

    def loss(self, turn: str, nets: Nets, batch: Batch, shared: Diffused, draws: Draws) -> Loss:
        prediction = self.predict(nets["net"], shared.x, shared.noisy, shared.t)
        return self._objective(prediction, shared.clean, shared.noise)

    def restore(self, nets: Nets, noisy: Waves, draws: Draws) -> Waves:
        anchor = self._encode(noisy)

        def predict(x: Spectrum, t: Times) -> Prediction:
            return self.predict(nets["net"], x, anchor, t)

        return self.features.decode(self.sampler(predict, anchor, self.path, draws), noisy.shape[-1])

    def predict(self, net: nn.Module, x: Spectrum, anchor: Spectrum, t: Times) -> Prediction:
        """What the net says about x_t."""
        return self._parametrisation.predict(net, x, anchor, t, self.path)

    def _encode(self, wave: Waves) -> Spectrum:
        features = self.features.to(wave.device)
        return pad_frames(features.encode(wave), self._frame_grid, self._padding)
