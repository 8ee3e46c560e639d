"""Additive noise at a signal-to-noise ratio: recorded (from a bank) and coloured (generated)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Float64
from numpy import ndarray

from auscult.audio.level import active_power, power
from auscult.bounds import Counts, Range, Share
from auscult.degrade.base import Bank, Banks, Degradation, Drawn, Signal, Unusable, uniform
from auscult.units import amplitude

SEAM_S = 0.02
"""Cross-fade where a short noise is looped."""

SpeechLevel = Literal["active", "rms"]


@dataclass(frozen=True)
class AddNoise(Degradation):
    """Add recordings of a bank at an SNR drawn uniformly from ``snr_db``.

    ``sources`` recordings (lowest, highest number) are summed, each with an own level within ``spread_db`` below
    the loudest; with the bank of speech and many sources this is babble. ``level="active"`` sets the active speech
    level (ITU-T P.56) against the level of the noise where it sounds; ``"rms"`` sets plain RMS against RMS over the
    whole signal. A noise shorter than the signal is looped with a cross-fade.
    """

    snr_db: Range = (-5.0, 20.0)
    bank: str = "noise"
    sources: Counts = (1, 1)
    spread_db: float = 10.0
    level: SpeechLevel = "active"
    probability: Share = 1.0

    def banks(self) -> Sequence[str]:
        return (self.bank,)

    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        bank = banks[self.bank]
        parts: list[Drawn] = []
        for _ in range(int(rng.integers(self.sources[0], self.sources[1] + 1))):
            index = int(rng.integers(len(bank)))
            start = int(rng.integers(max(1, _offsets(bank.samples(index), samples))))
            below_db = uniform(rng, (0.0, self.spread_db)) if parts else 0.0
            part = {"index": index, **bank.describe(index), "start": start, "below_db": below_db}
            parts.append({**part, "looped": start + samples > bank.samples(index)})
        return {"snr_db": uniform(rng, self.snr_db), "bank": self.bank, "level": self.level, "sources": parts}

    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        bank, samples = banks[drawn["bank"]], signal.noisy.shape[1]
        noise = np.zeros((1, samples), np.float32)
        for part in drawn["sources"]:
            one = stretch(bank, part["index"], part["start"], samples)
            loudness = sounding_power(one, signal.rate_hz)
            if loudness < 1e-10:
                raise Unusable("silent noise", str(part.get("name", part["index"])))
            noise += one * np.float32(amplitude(-part["below_db"]) / np.sqrt(loudness))
        return at_snr(signal, noise, drawn["snr_db"], drawn["level"])


@dataclass(frozen=True)
class ColouredNoise(Degradation):
    """Generated noise with a random smooth spectrum and slow random loudness: steady sounds of endless variety.

    The spectrum has a tilt drawn from ``tilt_db_per_octave`` and random knots of ``ripple_db`` standard deviation;
    loudness wanders by ``wander_db`` at about one change a second.
    """

    snr_db: Range = (0.0, 25.0)
    tilt_db_per_octave: Range = (-9.0, 0.0)
    ripple_db: float = 4.0
    wander_db: float = 2.0
    level: SpeechLevel = "active"
    probability: Share = 1.0

    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        knots = [round(float(v), 4) for v in rng.normal(0.0, self.ripple_db, 10)]
        return {
            "snr_db": uniform(rng, self.snr_db),
            "tilt_db_per_octave": uniform(rng, self.tilt_db_per_octave),
            "knots_db": knots,
            "wander_db": self.wander_db,
            "level": self.level,
            "seed": int(rng.integers(2**31)),
        }

    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        rng = np.random.Generator(np.random.Philox(key=drawn["seed"]))
        noise = coloured(rng, signal.noisy.shape[1], signal.rate_hz, drawn)
        return at_snr(signal, noise, drawn["snr_db"], drawn["level"])


def coloured(rng: np.random.Generator, samples: int, rate_hz: int, drawn: Drawn) -> Float32[ndarray, "1 T"]:
    """White noise shaped by the drawn spectrum and loudness."""
    hz = np.fft.rfftfreq(samples, 1 / rate_hz)
    octaves = np.log2(np.maximum(hz, 20.0) / 20.0)
    knots = np.linspace(0.0, octaves[-1], len(drawn["knots_db"]))
    wave = shaped(rng, samples, drawn["tilt_db_per_octave"] * octaves + np.interp(octaves, knots, drawn["knots_db"]))
    return (wave * amplitudes(wander_db(rng, samples, rate_hz, 1.0, drawn["wander_db"]))).astype(np.float32)[None]


def shaped(rng: np.random.Generator, samples: int, gains_db: Float[ndarray, " F"]) -> Float64[ndarray, " T"]:
    """White Gaussian noise through a gain for each of its ``samples // 2 + 1`` frequencies."""
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(samples)) * amplitudes(gains_db), n=samples)


def wander_db(
    rng: np.random.Generator, samples: int, rate_hz: int, turns_per_s: float, deviation_db: float
) -> Float64[ndarray, " T"]:
    """A loudness that wanders: normal numbers, ``turns_per_s`` of them, joined by straight lines."""
    at = np.arange(samples) * turns_per_s / rate_hz
    turns = np.arange(samples * turns_per_s / rate_hz + 2.0)
    return np.interp(at, turns, rng.normal(0.0, deviation_db, turns.size))


def amplitudes(gains_db: Float[ndarray, " N"]) -> Float64[ndarray, " N"]:
    """Factors of gains."""
    return 10.0 ** (gains_db / 20.0)


def at_snr(signal: Signal, noise: Float32[ndarray, "1 T"], snr_db: float, level: SpeechLevel) -> Signal:
    """Add ``noise``, scaled to an SNR against what is heard so far.

    Raises:
        Unusable: the speech is silent, so that no SNR exists.
    """
    if level == "active":
        speech, loudness = active_power(signal.noisy, signal.rate_hz), sounding_power(noise, signal.rate_hz)
    else:
        speech, loudness = power(signal.noisy), power(noise)
    if speech <= 0.0 or loudness <= 0.0:
        raise Unusable("silent speech" if speech <= 0.0 else "silent noise", "no SNR is defined")
    return signal.heard(signal.noisy + noise * np.float32(np.sqrt(speech / loudness) * amplitude(-snr_db)))


def sounding_power(wave: Float32[ndarray, "1 T"], rate_hz: int) -> float:
    """Mean square over 20 ms frames within 40 dB of the loudest: rests within a recorded noise do not count."""
    frame = max(1, round(0.02 * rate_hz))
    if wave.shape[1] < frame:
        return power(wave)
    powers = np.mean(np.square(wave[0, : wave.shape[1] // frame * frame].reshape(-1, frame), dtype=np.float64), axis=1)
    return float(powers[powers >= powers.max() * 1e-4].mean())


def stretch(bank: Bank, index: int, start: int, samples: int) -> Float32[ndarray, "1 T"]:
    """``samples`` samples of a recording from ``start`` on, looped with cross-fades where it is too short."""
    total = bank.samples(index)
    if start + samples <= total:
        return bank.read(index, start, samples)
    return loop(bank.read(index, 0, total), start, samples, round(SEAM_S * bank.rate_hz))


def loop(wave: Float32[ndarray, "1 T"], start: int, samples: int, seam: int) -> Float32[ndarray, "1 T2"]:
    """Repeat a signal without clicks: its last ``seam`` samples fade into its first at equal power."""
    seam = min(seam, wave.shape[1] // 2)
    body = wave[:, : wave.shape[1] - seam].copy()
    if seam:
        phase = np.linspace(0.0, np.pi / 2, seam, dtype=np.float32)
        body[:, :seam] = wave[:, :seam] * np.sin(phase) + wave[:, -seam:] * np.cos(phase)
    return body[:, (start + np.arange(samples)) % body.shape[1]]


def _offsets(total: int, samples: int) -> int:
    """From how many places a recording can be taken: without looping if it is long enough, else from anywhere."""
    return total - samples + 1 if total >= samples else total
