"""Metric GAN: a net learns from a discriminator that has learned to foresee a quality metric (PESQ).

CMGAN (Cao et al. 2022; Abdulatif et al. 2024) and, with other losses and re-analysed magnitudes, MP-SENet (Lu et al.
2023). One step: the net learns from its losses and from D(clean, estimate) -> 1, while other processes rate its
estimates; then the discriminator learns D(clean, clean) -> 1 and D(clean, estimate) -> (PESQ - 1) / 3.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from time import perf_counter
from typing import final

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from auscult.bounds import NotNegative
from auscult.errors import RecipeError
from auscult.features.normalise import Normalise
from auscult.features.spectral import CompressedSTFT, magnitude
from auscult.losses.base import Loss, SpectrumLoss, WaveLoss
from auscult.losses.spectral import ComplexError
from auscult.methods.base import (
    NO_CONDITIONS,
    Batch,
    Conditions,
    Method,
    Nets,
    Waves,
    check_transform,
    check_unconditional,
    refuse_conditions,
)
from auscult.methods.labels import Label, Labelling, answered
from auscult.methods.notes import gain
from auscult.rng import Draws

Spectra = Complex[Tensor, "B 1 F N"]
Rating = Float[Tensor, " B"]


@dataclass(frozen=True)
class Step:
    """What both turns of one step share."""

    spectrum: Spectra
    wave: Waves
    clean: Spectra
    shown: Float[Tensor, "B 1 F N"]
    """The estimate's magnitude as the discriminator sees it."""
    questions: Sequence[Future[Label]]


@final
class MetricGAN(Method):
    """A spectral net and the discriminator that stands for a listener.

    Args:
        net: compressed spectrum to compressed spectrum.
        discriminator: (clean, candidate) compressed magnitudes to one rating an item, 1 for clean.
        spectrum_losses: on the net's own spectrum. losses: on waves, at the level the net works at.
        adversarial: weight of mean (D(clean, estimate) - 1)^2.
        consistency: weight of the distance between the net's spectrum and that of the wave it makes.
        reanalysed: show the discriminator the spectrum of the wave (MP-SENet) instead of the net's own (CMGAN).
        reproduce_published_level_defect: compare the estimate, which is level-normalised, with clean waves that are
            NOT, as CMGAN's published trainer has done since 2023-05-09. Then the perfect estimate has a loss above
            zero, the net learns to be quiet, and PESQ falls while the loss falls. For the study of that defect only.
    """

    turns = ("net", "discriminator")

    def __init__(
        self,
        net: nn.Module,
        discriminator: nn.Module,
        features: CompressedSTFT,
        spectrum_losses: tuple[SpectrumLoss, ...],
        losses: tuple[WaveLoss, ...] = (),
        rate_hz: int = 16_000,
        normalise: Normalise = Normalise("rms"),
        adversarial: NotNegative = 0.05,
        consistency: NotNegative = 0.0,
        reanalysed: bool = False,
        reproduce_published_level_defect: bool = False,
    ):
        check_unconditional([net], "MetricGAN")
        check_transform(net, features, rate_hz)
        if not spectrum_losses and not losses:
            raise RecipeError("spectrum_losses, losses: at least one is needed beside the discriminator")
        if reproduce_published_level_defect and not losses:
            raise RecipeError("reproduce_published_level_defect: acts on losses, and there are none")
        if rate_hz != 16_000:
            raise RecipeError(f"rate_hz: MetricGAN labels by wide-band PESQ, which is of 16000 Hz; this is {rate_hz}")
        self._nets = {"net": net, "discriminator": discriminator}
        self.features, self.rate_hz, self.normalise = features, rate_hz, normalise
        self._spectrum_losses, self._losses = spectrum_losses, losses
        self._adversarial, self._consistency, self._reanalysed = adversarial, consistency, reanalysed
        self._raw_level = reproduce_published_level_defect
        self._labelling = Labelling(rate_hz)

    def nets(self) -> dict[str, nn.Module]:
        return self._nets

    def forward(self, nets: Nets, batch: Batch, draws: Draws) -> Step:
        step = self.unlabelled(nets, batch)
        return replace(step, questions=self._labelling.ask(batch.clean, step.wave))

    def unlabelled(self, nets: Nets, batch: Batch) -> Step:
        """A step of which nobody is asked for labels: enough for the net's turn."""
        features = self.features.to(batch.noisy.device)
        spectrum = nets["net"](features.encode(batch.noisy))
        wave = features.decode(spectrum, batch.noisy.shape[-1])
        shown = features.encode(wave) if self._reanalysed else spectrum
        return Step(spectrum, wave, features.encode(batch.clean), magnitude(shown), ())

    def loss(self, turn: str, nets: Nets, batch: Batch, shared: Step, draws: Draws) -> Loss:
        if turn == "net":
            return self._of_net(nets["discriminator"], batch, shared)
        return self._of_discriminator(nets["discriminator"], shared)

    def restore(self, nets: Nets, noisy: Waves, draws: Draws, conditions: Conditions = NO_CONDITIONS) -> Waves:
        refuse_conditions(conditions, self)
        features = self.features.to(noisy.device)
        return features.decode(nets["net"](features.encode(noisy)), noisy.shape[-1])

    def rated(self, nets: Nets, clean: Waves, candidate: Waves) -> Rating:
        features = self.features.to(clean.device)
        return nets["discriminator"](*(magnitude(features.encode(wave)) for wave in (clean, candidate)))

    def _of_net(self, discriminator: nn.Module, batch: Batch, step: Step) -> Loss:
        losses = [loss(step.spectrum, step.clean) for loss in self._spectrum_losses]
        losses += [self._of_wave(loss, batch, step.wave) for loss in self._losses]
        if self._consistency:
            apart = ComplexError(self._consistency)(step.spectrum, self.features.encode(step.wave))
            losses.append(Loss({"consistency": apart.total / self._consistency}, {"consistency": self._consistency}))
        if self._adversarial:
            rating = discriminator(magnitude(step.clean), step.shown)
            losses.append(Loss({"adversarial": (rating - 1).square().mean()}, {"adversarial": self._adversarial}))
        return Loss.joined(losses, estimate=step.spectrum, notes={"gain": gain(step.wave, batch.clean)})

    def _of_wave(self, loss: WaveLoss, batch: Batch, wave: Waves) -> Loss:
        if not self._raw_level:
            return loss(wave, batch.clean)
        found = loss(wave, batch.clean / batch.gain[:, None, None])
        named = {name: f"{name}_against_unnormalised_clean" for name in found.parts}
        return Loss(
            {named[name]: part for name, part in found.parts.items()},
            {named[name]: weight for name, weight in found.weights.items()},
        )

    def _of_discriminator(self, discriminator: nn.Module, step: Step) -> Loss:
        clean = magnitude(step.clean)
        ratings = [discriminator(clean, candidate) for candidate in (clean, step.shown.detach())]
        since = perf_counter()
        labels = answered(step.questions)
        waited_s = perf_counter() - since
        values, known = (torch.from_numpy(array).to(clean.device) for array in (labels.values, labels.known))
        # Without any label nothing is learned: clean pairs alone would teach it that everything is clean.
        count = known.sum()
        parts = {
            "clean": (ratings[0] - 1).square().mean() * (count > 0),
            "estimate": ((ratings[1] - values).square() * known).sum() / count.clamp_min(1),
        }
        notes = {"label_wait_s": waited_s, "skipped": float(count == 0)}
        if count > 0:
            labelled = values[known]
            notes["label"], notes["label_sd"] = float(labelled.mean()), float(labelled.std(correction=0))
            notes["optimism"] = float(ratings[1].detach()[known].mean() - labelled.mean())
        return Loss(parts, {"clean": 1.0, "estimate": 1.0}, notes=notes, dropped=labels.causes)
