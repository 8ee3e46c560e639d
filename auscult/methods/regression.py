"""Regression: a net that maps the noisy spectrum to the clean one in a single call."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Complex, Float32
from numpy import ndarray
from torch import Tensor, nn

from auscult.audio.stft import STFT
from auscult.bounds import Count
from auscult.errors import RecipeError
from auscult.features.frames import FrameStep
from auscult.features.normalise import Normalise
from auscult.features.spectral import CompressedSTFT, pad_frames
from auscult.losses.base import Loss, WaveLoss
from auscult.methods.base import (
    NO_CONDITIONS,
    Batch,
    Conditions,
    Method,
    Nets,
    Waves,
    check_grid,
    check_transform,
    check_unconditional,
    refuse_conditions,
)
from auscult.methods.notes import gain
from auscult.nets.streaming import StreamingNet
from auscult.rng import Draws


@final
class Regression(Method):
    """Estimate = decode(net(encode(noisy))), compared with the clean wave by a sum of losses.

    Frames are extended by zeros to a multiple of ``frame_grid`` before the net sees them, as U-Nets need.
    """

    def __init__(
        self,
        net: nn.Module,
        features: CompressedSTFT,
        losses: tuple[WaveLoss, ...],
        rate_hz: int = 16_000,
        normalise: Normalise = Normalise(),
        frame_grid: Count = 1,
    ):
        if not losses:
            raise RecipeError("losses: at least one is needed to train by")
        check_unconditional([net], "Regression")
        check_transform(net, features, rate_hz)
        check_grid(net, features, frame_grid)
        self._net, self.features, self._losses = net, features, losses
        self.rate_hz, self.normalise, self._frame_grid = rate_hz, normalise, frame_grid

    def nets(self) -> dict[str, nn.Module]:
        return {"net": self._net}

    def forward(self, nets: Nets, batch: Batch, draws: Draws) -> Waves:
        return self._estimate(nets["net"], batch.noisy)

    def loss(self, turn: str, nets: Nets, batch: Batch, shared: Waves, draws: Draws) -> Loss:
        losses = [loss(shared, batch.clean) for loss in self._losses]
        return Loss.joined(losses, estimate=shared, notes={"gain": gain(shared, batch.clean)})

    def restore(self, nets: Nets, noisy: Waves, draws: Draws, conditions: Conditions = NO_CONDITIONS) -> Waves:
        refuse_conditions(conditions, self)
        return self._estimate(nets["net"], noisy)

    def frame_step(self, nets: Nets) -> FrameStep | None:
        net = nets["net"]
        return _TorchFrameStep(net, self.features) if isinstance(net, StreamingNet) else None

    def _estimate(self, net: nn.Module, noisy: Waves) -> Waves:
        features = self.features.to(noisy.device)
        z: Complex[Tensor, "B C F N"] = pad_frames(features.encode(noisy), self._frame_grid)
        return features.decode(net(z), noisy.shape[-1])


class _TorchFrameStep(FrameStep):
    """A streaming net, called from numpy."""

    def __init__(self, net: StreamingNet, features: CompressedSTFT):
        self._net = net
        self.stft = STFT(features.n_fft, features.hop, features.window)

    def initial_state(self, channels: int) -> Float32[ndarray, "C S"]:
        return self._net.initial_state(channels).numpy()

    def __call__(
        self, frames: Float32[ndarray, "C N F 2"], state: Float32[ndarray, "C S"]
    ) -> tuple[Float32[ndarray, "C N F 2"], Float32[ndarray, "C S"]]:
        device = next(self._net.parameters()).device
        with torch.inference_mode():
            out, after = self._net.step(torch.from_numpy(frames).to(device), torch.from_numpy(state).to(device))
        return out.cpu().numpy(), after.cpu().numpy()
