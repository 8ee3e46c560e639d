"""A causal net as the restoration engine sees it: frames and a state in, frames and a state out. numpy."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float32
from numpy import ndarray

from auscult.audio.stft import STFT


class FrameStep(ABC):
    """Spectra of plain STFT frames, [C, N, F, 2] with real and imaginary part, and one state vector a channel."""

    stft: STFT
    """The transform its frames come from."""

    @abstractmethod
    def initial_state(self, channels: int) -> Float32[ndarray, "C S"]:
        """State before the first frame."""

    @abstractmethod
    def __call__(
        self, frames: Float32[ndarray, "C N F 2"], state: Float32[ndarray, "C S"]
    ) -> tuple[Float32[ndarray, "C N F 2"], Float32[ndarray, "C S"]]:
        """Restore frames; calling with parts in order equals calling with all frames at once."""
