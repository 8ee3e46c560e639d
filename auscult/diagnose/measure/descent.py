"""Where a loss leads without a net: descent on a real mask over the spectrum of given waves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import Practice, Step
from auscult.diagnose.measure.loss_survey import parts_of

STEPS = 50
RATE, BETAS = 0.03, (0.9, 0.99)
DAMPING = 0.1
"""Of the RMS gradient at the input: Adam's epsilon, so that rounding errors about a minimum move nothing."""
WINDOW_S, ASSUMED_HZ = 0.032, 16_000


@dataclass(frozen=True)
class Place:
    """A point of a walk: the loss, the mean SI-SDR (dB), the median gain on the target."""

    loss: float
    si_sdr: float
    gain: float


class Mask:
    """A real mask over the spectrum of waves, 1 at first."""

    def __init__(self, base: Tensor, rate_hz: int | None):
        self._n_fft, self._samples = 2 * round(WINDOW_S * (rate_hz or ASSUMED_HZ) / 2), base.shape[-1]
        self._window = torch.hann_window(self._n_fft)
        self._spectrum = torch.stft(base, self._n_fft, self._n_fft // 4, window=self._window, return_complex=True)
        self.weights = torch.ones(self._spectrum.shape, requires_grad=True)

    def wave(self) -> Tensor:
        """The masked waves."""
        masked = self.weights * self._spectrum
        return torch.istft(masked, self._n_fft, self._n_fft // 4, window=self._window, length=self._samples)


def descend(practice: Practice, step: Step, base: Tensor, clock: Clock, scale: float) -> list[Place]:
    """Adam on a mask over ``base``; ``scale`` is the RMS of the gradients that count."""
    mask = Mask(base, practice.rate_hz)
    adam = torch.optim.Adam([mask.weights], RATE, BETAS, eps=max(DAMPING * scale, 1e-30))
    walk: list[Place] = []
    for _ in range(STEPS):
        estimate = mask.wave()
        loss = total(practice, step, estimate)
        walk.append(Place(float(loss.detach()), *worth(step.clean, estimate.detach())))
        if clock.left <= 0 or not math.isfinite(walk[-1].loss):
            break
        adam.zero_grad()
        loss.backward()
        adam.step()
    return walk


def worth(clean: Tensor, estimate: Tensor) -> tuple[float, float]:
    """Mean SI-SDR in dB, at most 100, and the median of <estimate, clean> / <clean, clean>; silent targets left out."""
    energy = clean.square().sum(1)
    heard = energy > 1e-4 * energy.max()
    clean, estimate, energy = clean[heard], estimate[heard], energy[heard]
    gain = (clean * estimate).sum(1) / energy
    wanted = (gain.square() * energy).clamp_min(1e-20)
    error = (estimate - gain[:, None] * clean).square().sum(1)
    ratio = (wanted / error.clamp_min(1e-10 * wanted)).log10()
    return float(10 * ratio.mean()), float(gain.median())


def total(practice: Practice, step: Step, estimate: Tensor) -> Tensor:
    """The loss of an estimate."""
    return torch.stack(list(parts_of(practice, step, estimate).values())).sum()


def gradient_rms(practice: Practice, step: Step) -> float:
    """Of the mask over the noisy input; 0 where there is none."""
    mask = Mask(step.noisy, practice.rate_hz)
    loss = total(practice, step, mask.wave())
    if not loss.requires_grad or not math.isfinite(float(loss.detach())):
        return 0.0
    return float(torch.autograd.grad(loss, mask.weights)[0].square().mean().sqrt())
