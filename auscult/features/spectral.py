"""Compressed complex spectra: the domain in which most methods here work, with its exact inverse.

SGMSE+ (Richter et al. 2023): S -> factor |S|^exponent e^{i arg S}. Compression is computed as a real factor on the
complex number (no angle, no NaN gradient at zero).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor, nn

from auscult.audio.stft import window_of
from auscult.bounds import Count, Positive
from auscult.errors import RecipeError
from auscult.features.polar import polar

Transform = Literal["exponent", "polar", "log", "none"]
WindowKind = Literal["hann", "sqrthann", "hamming"]
Padding = Literal["zero", "reflect", "replicate"]
TINY = 1e-12
"""Magnitudes below this count as zero."""


class CompressedSTFT(nn.Module):
    """Centred one-sided STFT with amplitude compression.

    Args:
        n_fft: transform and window length; n_fft // 2 + 1 bins.
        hop: samples between frames; 1 + T // hop frames.
        window: periodic ``hann``, ``sqrthann`` or ``hamming``.
        transform: ``exponent`` (factor |S|^exponent), ``polar`` (the same with the offsets of MP-SENet, by which
            silence has a small magnitude), ``log`` (factor ln(1 + |S|)) or ``none`` (no factor either).
        exponent, factor: of the transform.

    Raises:
        RecipeError: windows that overlap by less than half.
    """

    taper: Tensor

    def __init__(
        self,
        n_fft: Count = 510,
        hop: Count = 128,
        window: WindowKind = "hann",
        transform: Transform = "exponent",
        exponent: Positive = 0.5,
        factor: Positive = 0.15,
    ):
        super().__init__()
        if hop > n_fft // 2 + 1:
            raise RecipeError(
                f"features.hop: windows of {n_fft} samples every {hop} leave samples at the end that none covers, so "
                f"the wave cannot be had back; take a hop of at most {n_fft // 2 + 1}"
            )
        self.n_fft, self.hop, self.window = n_fft, hop, window
        self.transform, self.exponent, self.factor = transform, exponent, factor
        self.register_buffer("taper", torch.from_numpy(window_of(window, n_fft)).float(), persistent=False)

    @property
    def bins(self) -> int:
        return self.n_fft // 2 + 1

    def encode(self, wave: Float[Tensor, "B C T"]) -> Complex[Tensor, "B C F N"]:
        """Compressed spectrum of a wave of any length >= 1."""
        return self.compress(self.spectrum(wave))

    def decode(self, z: Complex[Tensor, "B C F N"], samples: int) -> Float[Tensor, "B C T"]:
        """Wave of ``samples`` samples; frames beyond it are ignored."""
        return self.wave(self.expand(z), samples)

    def spectrum(self, wave: Float[Tensor, "B C T"]) -> Complex[Tensor, "B C F N"]:
        """Plain STFT."""
        batch, channels, samples = wave.shape
        half = self.n_fft // 2
        padded = extend(wave, half, half)
        taper = self.taper.to(wave.dtype)
        z = torch.stft(padded.flatten(0, 1), self.n_fft, self.hop, window=taper, center=False, return_complex=True)
        return z[..., : 1 + samples // self.hop].unflatten(0, (batch, channels))

    def wave(self, spectrum: Complex[Tensor, "B C F N"], samples: int) -> Float[Tensor, "B C T"]:
        """Plain inverse STFT."""
        batch, channels = spectrum.shape[:2]
        frames = max(spectrum.shape[-1], 1 + samples // self.hop)
        z = F.pad(torch.view_as_real(spectrum), (0, 0, 0, frames - spectrum.shape[-1]))
        flat = torch.view_as_complex(z).flatten(0, 1)
        wave = torch.istft(flat, self.n_fft, self.hop, window=self.taper, center=True, length=samples)
        return wave.unflatten(0, (batch, channels))

    def compress(self, spectrum: Complex[Tensor, "*S"]) -> Complex[Tensor, "*S"]:
        """Amplitude transform."""
        if self.transform == "none":
            return spectrum
        if self.transform == "exponent":
            return self._power(spectrum, self.exponent) * self.factor
        if self.transform == "polar":
            return polar(spectrum, self.exponent) * self.factor
        magnitude = spectrum.abs()
        return spectrum * (self.factor * torch.log1p(magnitude) / magnitude.clamp_min(TINY))

    def expand(self, z: Complex[Tensor, "*S"]) -> Complex[Tensor, "*S"]:
        """Inverse of :meth:`compress`."""
        if self.transform == "none":
            return z
        z = z / self.factor
        if self.transform in ("exponent", "polar"):
            return self._power(z, 1.0 / self.exponent)
        magnitude = z.abs()
        return z * (torch.expm1(magnitude) / magnitude.clamp_min(TINY))

    @staticmethod
    def _power(z: Complex[Tensor, "*S"], exponent: float) -> Complex[Tensor, "*S"]:
        if exponent == 1.0:
            return z
        energy = torch.view_as_real(z).square().sum(-1)
        return z * energy.clamp_min(TINY**2).pow((exponent - 1.0) / 2.0)


def magnitude(z: Complex[Tensor, "*S"]) -> Float[Tensor, "*S"]:
    """|z| whose gradient at zero is zero, where that of ``abs`` depends on the backend."""
    return torch.view_as_real(z).square().sum(-1).clamp_min(TINY**2).sqrt()


def extend(wave: Float[Tensor, "B C T"], left: int, right: int) -> Float[Tensor, "B C T2"]:
    """Reflect the ends as far as the signal reaches, then repeat the last value; the torch twin of ``stft.extend``."""
    samples = wave.shape[-1]
    reach = (min(left, samples - 1), min(right, samples - 1))
    wave = F.pad(wave, reach, mode="reflect") if max(reach) else wave
    rest = (left - reach[0], right - reach[1])
    return F.pad(wave, rest, mode="replicate") if max(rest) else wave


def pad_frames(z: Complex[Tensor, "B C F N"], multiple: int, padding: Padding = "zero") -> Complex[Tensor, "B C F N2"]:
    """Extend the frames at the end to a multiple, as U-Nets need; never fails, however short the clip.

    ``reflect`` mirrors as far as the clip reaches and repeats its last frame for the rest.
    """
    missing = -z.shape[-1] % multiple
    if missing == 0:
        return z
    batch, channels, bins, frames = z.shape
    real = torch.view_as_real(z).permute(0, 1, 4, 2, 3).reshape(batch, 2 * channels * bins, frames)
    if padding == "zero":
        real = F.pad(real, (0, missing))
    elif padding == "replicate":
        real = F.pad(real, (0, missing), mode="replicate")
    else:
        real = extend(real, 0, missing)
    return torch.view_as_complex(real.view(batch, channels, 2, bins, -1).permute(0, 1, 3, 4, 2).contiguous())
