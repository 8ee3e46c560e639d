"""Predictor-corrector sampling (Song et al. 2021), as SGMSE+ uses it: grid, step sizes and order of draws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from auscult.bounds import Count, Positive, Whole
from auscult.paths.base import LinearPath, times
from auscult.rng import Draws
from auscult.samplers.base import Needs, Predict, Walk
from auscult.shapes import bcast

Corrector = Literal["annealed", "ou", "langevin", "none"]


@dataclass(frozen=True)
class PredictorCorrector(Walk):
    """Reverse diffusion with Langevin corrections, on the uniform grid from t_max to ``t_eps``, last step to 0.

    Correctors step to x + step score + spread z:

    ``annealed``  step = 2 (snr sigma)^2, spread = sqrt(2 step): "ald" of the published code. Where x_t spreads by sigma
                  alone it settles at sigma^2 / (1 - snr^2): a third too much at snr 0.5.
    ``ou``        x + (1 - rho) sigma^2 score + sqrt(1 - rho^2) sigma z with rho = 1 - 2 snr^2: the same step, and the
                  spread of the exact Ornstein-Uhlenbeck transition, which keeps sigma^2. Where x_t spreads far more
                  than that, because x_0 is uncertain, it settles at 1 - snr^2 of it, and annealed is right.
    ``langevin``  step = 2 (snr |z| / |score|)^2 with the norms of each item (the published code averages them over
                  the batch, so that an item's answer depends on its neighbours; for single items both are the same).
    ``none``      does not correct.

    The result is the last predictor step's mean.
    """

    steps: Count = 30
    corrector: Corrector = "annealed"
    corrector_steps: Whole = 1
    snr: Positive = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.corrector == "ou" and self.snr > 1:
            raise ValueError(f"the ou corrector needs an snr of at most 1, this is {self.snr}")

    @property
    def calls(self) -> int:
        return self.steps * (1 + self._rounds)

    @property
    def needs(self) -> Needs:
        other = "use BridgeSDE, BridgeODE or DDIM, or give a reverse_start"
        return Needs(score_at_start=self.reverse_start is None, instead=other)

    def __call__(self, predict: Predict, anchor: Tensor, path: LinearPath, draws: Draws) -> Tensor:
        first = self.reverse_start or path.t_max
        grid = torch.linspace(first, self.t_eps, self.steps).tolist()
        x = mean = path.start(anchor, draws, first)
        for now, after in zip(grid, [*grid[1:], 0.0], strict=True):
            t, dt = times(now, x), now - after
            for _ in range(self._rounds):
                x = self._correct(predict(x, t).score, x, path, t, draws)
            # Reverse-time Euler-Maruyama: x - f dt + g^2 s dt + g sqrt(dt) z.
            score = predict(x, t).score
            diffusion = bcast(path.diffusion(t), x)
            mean = x - path.drift(x, anchor, t) * dt + diffusion**2 * dt * score
            x = mean + diffusion * dt**0.5 * draws.normal_like(x)
        return mean

    @property
    def _rounds(self) -> int:
        return self.corrector_steps if self.corrector != "none" else 0

    def _correct(self, score: Tensor, x: Tensor, path: LinearPath, t: Tensor, draws: Draws) -> Tensor:
        noise = draws.normal_like(x)
        step = self._correction(score, noise, path, t)
        spread = (2 * step).sqrt()
        if self.corrector == "ou":
            spread = spread * math.sqrt(1 - self.snr**2)  # sqrt(1 - rho^2) sigma
        return x + bcast(step, x) * score + bcast(spread, x) * noise

    def _correction(self, score: Tensor, noise: Tensor, path: LinearPath, t: Tensor) -> Tensor:
        if self.corrector == "langevin":
            sizes = [x.flatten(1).abs().square().sum(1).sqrt() for x in (noise, score)]
            return 2 * (self.snr * sizes[0] / sizes[1]) ** 2
        return 2 * (self.snr * path.std(t)) ** 2
