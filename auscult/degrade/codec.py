"""Lossy codecs, encoded and decoded in memory by libsndfile."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
import soundfile
from jaxtyping import Float32
from numpy import ndarray

from auscult.audio.resample import fit_length, resample
from auscult.bounds import Range, Share
from auscult.degrade.base import Banks, Degradation, Drawn, Signal, uniform
from auscult.errors import RecipeError

Kind = Literal["mp3", "vorbis", "opus", "gsm", "ulaw"]


@dataclass(frozen=True)
class Coder:
    """Container and sample format, and the rates it takes; the last serves signals of any other. Empty: any rate."""

    container: str
    subtype: str
    rates_hz: tuple[int, ...] = ()
    strongest: float | None = 1.0
    """libsndfile's level for the smallest files; None where there is no choice."""

    def rate_for(self, rate_hz: int) -> int:
        return rate_hz if not self.rates_hz or rate_hz in self.rates_hz else self.rates_hz[-1]


CODERS: dict[str, Coder] = {
    "mp3": Coder(
        "MP3", "MPEG_LAYER_III", (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000), 0.99
    ),
    "vorbis": Coder("OGG", "VORBIS"),
    "opus": Coder("OGG", "OPUS", (8_000, 12_000, 16_000, 24_000, 48_000)),
    "gsm": Coder("WAV", "GSM610", (8_000,), None),
    "ulaw": Coder("WAV", "ULAW", (8_000,), None),
}


@dataclass(frozen=True)
class Codec(Degradation):
    """Code what is heard by one of ``kinds``, drawn with equal chances.

    ``compression`` goes from 0 (largest files) to 1 (smallest); telephone codecs (GSM 06.10 full rate, G.711 mu-law)
    have one rate and no such choice. Samples beyond full scale are clipped, as encoders do.

    Raises:
        RecipeError: no kind, or a compression outside 0 to 1.
    """

    kinds: tuple[Kind, ...] = ("mp3", "vorbis", "opus", "gsm", "ulaw")
    compression: Range = (0.5, 1.0)
    probability: Share = 1.0

    def __post_init__(self) -> None:
        if not self.kinds:
            raise RecipeError(f"Codec: kinds is empty; choose from {', '.join(CODERS)}")
        if self.compression[0] < 0.0 or self.compression[1] > 1.0:
            raise RecipeError(f"Codec: compression lies between 0 and 1, this is {list(self.compression)}")

    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        return {"kind": str(rng.choice(self.kinds)), "compression": uniform(rng, self.compression)}

    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        coder = CODERS[drawn["kind"]]
        rate_hz = coder.rate_for(signal.rate_hz)
        sent = np.clip(resample(signal.noisy, signal.rate_hz, rate_hz), -1.0, 1.0)
        received = fit_length(coded(sent, rate_hz, coder, drawn["compression"]), sent.shape[1])
        return signal.heard(fit_length(resample(received, rate_hz, signal.rate_hz), signal.noisy.shape[1]))


def coded(wave: Float32[ndarray, "C T"], rate_hz: int, coder: Coder, compression: float) -> Float32[ndarray, "C T2"]:
    """Encoded and decoded; codecs of whole blocks return a little more than they were given."""
    file = BytesIO()
    level = None if coder.strongest is None else compression * coder.strongest
    soundfile.write(file, wave.T, rate_hz, coder.subtype, format=coder.container, compression_level=level)
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32", always_2d=True)
    return np.ascontiguousarray(decoded.T)
