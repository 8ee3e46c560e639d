"""What a causal net offers beyond ``forward``: the same computation frame by frame, with an explicit state."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
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
