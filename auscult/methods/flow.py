"""Rectified flow for super-resolution: SAGA-SR and its kin (arXiv 2509.24924), in latents or in spectra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from auscult.errors import RestorationError
from auscult.features.latent import Domain
from auscult.features.normalise import Normalise
from auscult.losses.base import Loss
from auscult.methods.base import NO_CONDITIONS, Batch, Conditions, Extension, Method, Nets, Waves
from auscult.methods.flow_conditions import FlowConditioning
from auscult.methods.flow_times import LogitNormal, TimeLaw
from auscult.nets.flow_net import FlowNet, Told
from auscult.paths.base import Prediction, Times
from auscult.paths.linear import RectifiedFlow
from auscult.rng import Draws
from auscult.samplers.base import Sampler
from auscult.samplers.flow import FlowMultistep
from auscult.shapes import bcast


@dataclass(frozen=True)
class Flowing:
    """Training examples: x_t, the velocity there, and what the net is given beside it."""

    x: Tensor
    t: Times
    velocity: Tensor
    beside: Tensor
    told: Told
    notes: dict[str, float]


@final
class FlowModel(Method):
    """A net learns the velocity from the wide-band signal to noise, given the band-limited one; a sampler walks back.

    The loss is the mean squared error of the velocity over all elements of an item, real and imaginary parts each one.

    Args:
        features: where the flow lives.
        times: the law of training times.
        sampler: how restoration walks back; any that takes a rectified flow.
        conditioning: drop-out, nulls and guidance.

    Raises:
        RecipeError: a net that does not fit its domain, or a sampler that cannot walk the path.
        ValueError: guidance that needs what is never learned.
    """

    generative = True
    extends = True

    def __init__(
        self,
        net: FlowNet,
        features: Domain,
        times: TimeLaw = LogitNormal(),
        sampler: Sampler = FlowMultistep(),
        conditioning: FlowConditioning = FlowConditioning(),
        rate_hz: int = 16_000,
        normalise: Normalise = Normalise("peak"),
    ):
        self.path = RectifiedFlow()
        net.check(features.width, features.beside_width)
        sampler.check(self.path)
        self._branches = conditioning.branches(net.guided)
        self._net, self.features, self._times, self.sampler = net, features, times, sampler
        self._conditioning, self.rate_hz, self.normalise = conditioning, rate_hz, normalise
        self.extension = Extension(features.channels, "text" in net.hears, net.aims)

    def nets(self) -> dict[str, nn.Module]:
        return {"net": self._net, **self.features.parts()}

    def forward(self, nets: Nets, batch: Batch, draws: Draws) -> Flowing:
        self.features.check_trained()
        clean, low = (self.as_taken(wave) for wave in (batch.clean, batch.noisy))
        features = self.features.to(clean.device)
        z, beside = features.encode(clean, low, draws), features.beside(low, draws)
        t, noise = self._times.draw(draws, z.device), draws.normal_like(z)
        told = self._conditioning.told(self._net, batch.conditions, low, self.rate_hz)
        # Coins fall last, so that conditions move neither times nor noise.
        told, beside, notes = self._conditioning.dropped(told, beside, draws)
        mean = self.path.mean(z, torch.zeros_like(z), t)
        x = mean + bcast(self.path.std(t), z) * noise
        return Flowing(x, t, self.path.velocity_of(z, noise), beside, told, notes)

    def loss(self, turn: str, nets: Nets, batch: Batch, shared: Flowing, draws: Draws) -> Loss:
        velocity = nets["net"](shared.x, shared.t, shared.beside, shared.told)
        error = _elements(velocity - shared.velocity).square().mean()
        return Loss({"velocity": error}, {"velocity": 1.0}, notes=shared.notes)

    def restore(self, nets: Nets, noisy: Waves, draws: Draws, conditions: Conditions = NO_CONDITIONS) -> Waves:
        low = self.as_taken(noisy)
        features = self.features.to(low.device)
        beside = features.beside(low)
        told = self._conditioning.told(self._net, conditions, low, self.rate_hz)
        flow = self._conditioning.flow(_bare(nets["net"]), self._branches, beside, told)

        def predict(x: Tensor, t: Times) -> Prediction:
            clean = self.path.clean_from_velocity(flow(x, t), x, t)
            return Prediction(self.path, x, anchor, t, "clean", clean)

        anchor = torch.zeros_like(beside[:, : features.width])
        wave = features.decode(self.sampler(predict, anchor, self.path, draws), low)
        return wave if noisy.shape[1] == features.channels else wave.mean(1, keepdim=True)

    def as_taken(self, wave: Waves) -> Float[Tensor, "B C2 T"]:
        """Waves with as many channels as the domain takes: one is given to all of them.

        Raises:
            RestorationError: another number of channels, none of which is one.
        """
        wanted, given = self.features.channels, wave.shape[1]
        if given not in (1, wanted):
            raise RestorationError(f"this model restores {wanted} channels at a time, or one; these are {given}")
        return wave.expand(-1, wanted, -1)


def _bare(net: nn.Module) -> FlowNet:
    """The net itself, where it is wrapped for gradient exchange."""
    return cast(FlowNet, net.module if isinstance(net, DistributedDataParallel) else net)


def _elements(z: Tensor) -> Tensor:
    return torch.view_as_real(z) if z.is_complex() else z
