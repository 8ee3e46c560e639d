"""A noise reference as it comes with the items of a batch, in the features that a method works in."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auscult.errors import RecipeError
from auscult.features.spectral import CompressedSTFT
from auscult.nets.noise_encoder import within
from auscult.nets.reference import NoiseReference

KEYS = ("noise", "noise_samples", "noise_level")
"""Wave at unit RMS, [B, 1, T]; its length, [B], 0: none; ln(RMS over the peak of the noisy signal), [B]."""
OTHER = ("noise_other", "noise_other_samples", "noise_level")
"""Another piece of the same noise."""


def noise_reference(
    conditions: Mapping[str, Tensor], features: CompressedSTFT, keys: tuple[str, str, str] = KEYS
) -> NoiseReference:
    """The reference that conditions hold under ``keys``.

    Raises:
        RecipeError: some are missing.
    """
    if missing := [key for key in keys if key not in conditions]:
        raise RecipeError(
            f"a net with a noise condition is told of a noise by {', '.join(keys)}, and there is no {missing[0]}: "
            "learn from data of type Referenced, restore with a noise reference"
        )
    wave, samples, level = (conditions[key] for key in keys)
    spectrum = features.to(wave.device).spectrum(wave)
    frames = whole_frames(samples, features).clamp(max=spectrum.shape[-1])
    heard = within(frames, spectrum.shape[-1])[:, None, :]
    power = (spectrum[:, 0].abs().square() * heard).sum(-1) / frames.clamp_min(1)[:, None]
    psd = features.compress(torch.complex(power.sqrt(), torch.zeros_like(power))).real
    return NoiseReference(wave, samples, features.compress(spectrum), frames, psd, level)


def no_reference(like: Float[Tensor, "B C T"], features: CompressedSTFT) -> NoiseReference:
    """Nothing, for every item of a batch."""
    items = like.shape[0]
    wave, count = like.new_zeros(items, 1, features.n_fft), torch.zeros(items, dtype=torch.long, device=like.device)
    return noise_reference(dict(zip(KEYS, (wave, count, like.new_zeros(items)), strict=True)), features)


def whole_frames(samples: Int[Tensor, " B"], features: CompressedSTFT) -> Int[Tensor, " B"]:
    """How many frames end within so many samples, at least one where there are any: padding does not touch them."""
    inside = (samples - features.n_fft // 2) // features.hop + 1
    return torch.where(samples > 0, inside.clamp_min(1), 0)
