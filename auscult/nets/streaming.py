"""What a causal net offers beyond ``forward``: the same computation frame by frame, with an explicit state."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn


class StreamingNet(nn.Module, ABC):
    """A causal net over plain spectra whose whole memory is one flat state vector an item."""

    @abstractmethod
    def initial_state(self, batch: int) -> Float[Tensor, "B S"]:
        """State before the first frame."""

    @abstractmethod
    def step(
        self, frames: Float[Tensor, "B N F 2"], state: Float[Tensor, "B S"]
    ) -> tuple[Float[Tensor, "B N F 2"], Float[Tensor, "B S"]]:
        """Restore the next frames; calling with parts in order equals one call with all frames."""

    def forward(self, z: Complex[Tensor, "B 1 F N"]) -> Complex[Tensor, "B 1 F N"]:
        """A whole spectrum: all its frames in one step."""
        frames = torch.view_as_real(z[:, 0].transpose(1, 2).contiguous())
        out, _ = self.step(frames, self.initial_state(z.shape[0]).to(frames.device))
        return torch.view_as_complex(out.contiguous()).transpose(1, 2)[:, None]


def complex_product(a: Float[Tensor, "*S 2"], b: Float[Tensor, "*S 2"]) -> Float[Tensor, "*S 2"]:
    """Product of complex numbers given by their parts, as exporters know no complex ones."""
    real = a[..., 0] * b[..., 0] - a[..., 1] * b[..., 1]
    imaginary = a[..., 0] * b[..., 1] + a[..., 1] * b[..., 0]
    return torch.stack([real, imaginary], dim=-1)
