"""Predictor-corrector sampling (Song et al. 2021), as SGMSE+ uses it: grid, step sizes and order of draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from auscult.bounds import Count, Positive, Time, Whole
from auscult.paths.base import LinearPath, times
from auscult.rng import Draws
from auscult.samplers.base import Predict, Sampler
from auscult.shapes import bcast

Corrector = Literal["annealed", "langevin", "none"]


@dataclass(frozen=True)
class PredictorCorrector(Sampler):
    """Reverse diffusion with Langevin corrections, on the uniform grid from 1 to ``t_eps``, last step to 0.

    ``corrector="annealed"`` steps by 2 (snr sigma(t))^2 ("ald"); ``langevin`` by 2 (snr |z| / |score|)^2 with the
    norms of each item (the published code averages them over the batch, so that an item's answer depends on its
    neighbours; for single items both are the same); ``none`` does not correct.
    The result is the last predictor step's mean.
    """

    steps: Count = 30
    corrector: Corrector = "annealed"
    corrector_steps: Whole = 1
    snr: Positive = 0.5
    t_eps: Time = 0.03

    @property
    def calls(self) -> int:
        return self.steps * (1 + (self.corrector_steps if self.corrector != "none" else 0))

    def __call__(self, predict: Predict, anchor: Tensor, path: LinearPath, draws: Draws) -> Tensor:
        grid = torch.linspace(1.0, self.t_eps, self.steps).tolist()
        x = mean = path.prior(anchor, draws)
        for now, after in zip(grid, [*grid[1:], 0.0], strict=True):
            t, dt = times(now, x), now - after
            for _ in range(self.corrector_steps if self.corrector != "none" else 0):
                score = predict(x, t).score
                noise = draws.normal_like(x)
                step = self._correction(score, noise, path, t)
                x = x + bcast(step, x) * score + bcast((2 * step).sqrt(), x) * noise
            # Reverse-time Euler-Maruyama: x - f dt + g^2 s dt + g sqrt(dt) z.
            score = predict(x, t).score
            diffusion = bcast(path.diffusion(t), x)
            mean = x - path.drift(x, anchor, t) * dt + diffusion**2 * dt * score
            x = mean + diffusion * dt**0.5 * draws.normal_like(x)
        return mean

    def _correction(self, score: Tensor, noise: Tensor, path: LinearPath, t: Tensor) -> Tensor:
        if self.corrector == "annealed":
            return 2 * (self.snr * path.std(t)) ** 2
        sizes = [x.flatten(1).abs().square().sum(1).sqrt() for x in (noise, score)]
        return 2 * (self.snr * sizes[0] / sizes[1]) ** 2
