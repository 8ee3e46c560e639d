"""Where a flow lives: latents of a codec, frames of spectra, or the upper band of spectra.

A domain says what is generated (``encode``), what the net sees of the low-resolution signal beside it (``beside``),
and how the wave comes back (``decode``). The low-resolution signal is given both ways: what is not generated is taken
from it, and what is generated may be measured by it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor, nn

from auscult.bounds import Count, Positive, Whole
from auscult.errors import RecipeError
from auscult.features.spectral import CompressedSTFT, pad_frames
from auscult.nets.oobleck import Oobleck
from auscult.rng import Draws

Wave = Float[Tensor, "B C T"]
LEVEL_FLOOR = 1 / 120
"""Of the compressed magnitude of a coefficient of one: 139 dB under it at an exponent of 0.3."""


class Domain(nn.Module, ABC):
    """Waves of ``channels`` to what is generated, [B, width, ...], with ``beside_width`` maps beside it, and back."""

    channels: int = 1
    width: int
    beside_width: int

    @abstractmethod
    def encode(self, wave: Wave, low: Wave, draws: Draws | None = None) -> Tensor:
        """What is generated of a wave, beside its low-resolution signal; with ``draws`` a sample where the domain is
        a distribution, else its mean."""

    @abstractmethod
    def beside(self, wave: Wave, draws: Draws | None = None) -> Tensor:
        """What the net sees of the low-resolution wave, the maps that lie as those of x_t first."""

    @abstractmethod
    def decode(self, z: Tensor, low: Wave) -> Wave:
        """The wave, as long as the low-resolution one."""

    def parts(self) -> dict[str, nn.Module]:
        """Nets that belong in a checkpoint though no turn trains them."""
        return {}

    def check_trained(self) -> None:
        """Refuse to learn on top of a part that nobody has trained.

        Raises:
            RecipeError: naming it.
        """


class UpperBand(Domain):
    """The compressed complex spectrum from bin ``from_bin`` up; below, the input is kept as it is.

    Beside x_t the net sees the same bins of the input and, where bins are left out, as many from the bottom of its
    spectrum: a band that is extended resembles the one below it, as spectral band replication has it.

    Args:
        stft: its ``factor`` should bring the generated bins to a mean power of about one, as the noise has.
        from_bin: 0 generates the whole spectrum.
        frame_grid: frames are extended by zeros to a multiple of this.
        level_from: each frame is generated in multiples of the input's level in the bins from here to ``from_bin``,
            as the noise of PriorGrad (Lee et al. 2022) follows the signal's level. None: as it is.

    Raises:
        RecipeError: nothing is left to generate, fewer bins below than above, or none to take the level from.
    """

    width = 1

    def __init__(
        self, stft: CompressedSTFT, from_bin: Whole = 0, frame_grid: Count = 1, level_from: Whole | None = None
    ):
        super().__init__()
        self.stft, self.from_bin, self.frame_grid, self.level_from = stft, from_bin, frame_grid, level_from
        self.beside_width = 2 if from_bin else 1
        self.bins = stft.bins - from_bin
        if self.bins < 1:
            raise RecipeError(f"features.from_bin: {from_bin} of {stft.bins} bins leaves none to generate")
        if level_from is not None and level_from >= from_bin:
            raise RecipeError(f"features.level_from: {level_from} lies not below from_bin, {from_bin}")

    def encode(self, wave: Wave, low: Wave, draws: Draws | None = None) -> Complex[Tensor, "B 1 F N"]:
        return self._whole(wave)[:, :, self.from_bin :] / self._levels(self._whole(low))

    def beside(self, wave: Wave, draws: Draws | None = None) -> Complex[Tensor, "B S F N"]:
        whole = self._whole(wave)
        upper, lower = whole[:, :, self.from_bin :], whole[:, :, : self.bins]
        return torch.cat([upper, lower], dim=1) if self.from_bin else upper

    def decode(self, z: Complex[Tensor, "B 1 F N"], low: Wave) -> Wave:
        whole = self._whole(low)
        upper = z * self._levels(whole)
        return self.stft.decode(torch.cat([whole[:, :, : self.from_bin], upper], dim=2), low.shape[-1])

    def _levels(self, whole: Complex[Tensor, "B 1 F N"]) -> Float[Tensor, "B 1 1 N"] | float:
        """RMS of each frame's reference bins, and a floor that keeps silence finite; 1 where none are named."""
        if self.level_from is None:
            return 1.0
        power = whole[:, :, self.level_from : self.from_bin].abs().square().mean(dim=2, keepdim=True)
        return power.sqrt() + LEVEL_FLOOR * self.stft.factor

    def _whole(self, wave: Wave) -> Complex[Tensor, "B 1 F N"]:
        return pad_frames(self.stft.encode(wave), self.frame_grid)


class SpectralFrames(Domain):
    """Frames of compressed spectra as real vectors [B, 2 F, N], real parts before imaginary ones: for a transformer.

    A velocity holds the noise of every element, which a transformer narrower than its frames cannot give back. Beside
    x_t the net sees the whole spectrum of the input.

    Args:
        stft, from_bin, level_from: as of :class:`UpperBand`.

    Raises:
        RecipeError: as :class:`UpperBand`.
    """

    def __init__(self, stft: CompressedSTFT, from_bin: Whole = 0, level_from: Whole | None = None):
        super().__init__()
        self.stft, self.band = stft, UpperBand(stft, from_bin, level_from=level_from)
        self.width, self.beside_width = 2 * self.band.bins, 2 * stft.bins

    def encode(self, wave: Wave, low: Wave, draws: Draws | None = None) -> Float[Tensor, "B D N"]:
        return _as_vectors(self.band.encode(wave, low))

    def beside(self, wave: Wave, draws: Draws | None = None) -> Float[Tensor, "B D2 N"]:
        return _as_vectors(self.stft.encode(wave))

    def decode(self, z: Float[Tensor, "B D N"], low: Wave) -> Wave:
        real, imaginary = z.float().chunk(2, dim=1)
        return self.band.decode(torch.complex(real, imaginary)[:, None], low)


def _as_vectors(z: Complex[Tensor, "B 1 F N"]) -> Float[Tensor, "B D N"]:
    return torch.cat([z.real, z.imag], dim=2)[:, 0]


class Codec(nn.Module):
    """A codec in a checkpoint, with the knowledge whether anybody has trained it."""

    trained: Tensor

    def __init__(self, net: Oobleck):
        super().__init__()
        self.net = net.requires_grad_(False)
        self.register_buffer("trained", torch.zeros((), dtype=torch.bool))


class Latents(Domain):
    """Latents of a frozen Oobleck codec, [B, latent, T / hop], divided by ``scale``; waves are extended by zeros.

    Args:
        codec: its sizes; the weights come with a checkpoint (``auscult convert``, ``--init-from``).
        scale: of the published model.
        frames_at_once: bounds the memory of encoding and decoding, and changes nothing else.
        untrained: allow a codec of random weights, to try a recipe's machinery: what is learned then is of no use.
    """

    def __init__(
        self,
        codec: Oobleck,
        scale: Positive = 1.0,
        frames_at_once: Count | None = 256,
        untrained: bool = False,
    ):
        super().__init__()
        self.codec, self.scale, self.frames_at_once, self.untrained = Codec(codec), scale, frames_at_once, untrained
        self.channels, self.width, self.beside_width = codec.audio_channels, codec.latent, codec.latent

    def encode(self, wave: Wave, low: Wave, draws: Draws | None = None) -> Float[Tensor, "B D N"]:
        return self.beside(wave, draws)

    def beside(self, wave: Wave, draws: Draws | None = None) -> Float[Tensor, "B D N"]:
        net = self.codec.net
        with torch.no_grad(), torch.autocast(wave.device.type, enabled=False):  # what is learned stays exact
            posterior = net.encode(F.pad(wave, (0, -wave.shape[-1] % net.hop)), self.frames_at_once)
        return (posterior.mean if draws is None else posterior.sample(draws)) / self.scale

    def decode(self, z: Float[Tensor, "B D N"], low: Wave) -> Wave:
        with torch.no_grad():
            return self.codec.net.decode(z * self.scale, self.frames_at_once)[..., : low.shape[-1]]

    def parts(self) -> dict[str, nn.Module]:
        return {"codec": self.codec}

    def check_trained(self) -> None:
        if not (self.untrained or bool(self.codec.trained)):
            raise RecipeError(
                "the codec has random weights, in whose latents nothing can be learned: start from a converted model "
                "(auscult convert, then --init-from FILE), or set method.features.untrained=true to try the machinery"
            )
