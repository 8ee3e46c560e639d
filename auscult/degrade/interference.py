"""Generated disturbances that recordings of noise seldom hold: mains hum, wind at the microphone, clicks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.audio.level import peak
from auscult.bounds import Counts, NotNegative, Positive, Range, Share
from auscult.degrade.base import Banks, Degradation, Drawn, Signal, uniform
from auscult.degrade.noise import SpeechLevel, amplitudes, at_snr, shaped, wander_db
from auscult.errors import RecipeError
from auscult.units import amplitude


@dataclass(frozen=True)
class MainsHum(Degradation):
    """Add the mains frequency and its harmonics.

    One of ``mains_hz`` is drawn and detuned by up to ``detune_hz``; overtone ``k`` lies ``fall_db_per_octave`` below
    the fundamental for each octave, give or take ``ripple_db`` (standard deviation). Overtones beyond half the
    sample rate are left out.
    """

    snr_db: Range = (0.0, 30.0)
    mains_hz: tuple[Positive, ...] = (50.0, 60.0)
    detune_hz: NotNegative = 0.1
    partials: Counts = (5, 20)
    fall_db_per_octave: Range = (3.0, 9.0)
    ripple_db: NotNegative = 6.0
    level: SpeechLevel = "active"
    probability: Share = 1.0

    def __post_init__(self) -> None:
        if not self.mains_hz or self.partials[0] < 1:
            raise RecipeError("MainsHum: give at least one of mains_hz and at least 1 of partials")

    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        partials = int(rng.integers(self.partials[0], self.partials[1] + 1))
        fall = uniform(rng, self.fall_db_per_octave)
        levels = rng.normal(0.0, self.ripple_db, partials) - fall * np.log2(np.arange(1, partials + 1))
        hz = float(rng.choice(self.mains_hz)) + float(rng.uniform(-self.detune_hz, self.detune_hz))
        return {
            "snr_db": uniform(rng, self.snr_db),
            "fundamental_hz": round(hz, 6),
            "levels_db": [round(float(one), 4) for one in levels],
            "phases_rad": [round(float(one), 4) for one in rng.uniform(0.0, 2 * np.pi, partials)],
            "level": self.level,
        }

    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        turn = 2 * np.pi * drawn["fundamental_hz"] * np.arange(signal.noisy.shape[1]) / signal.rate_hz
        hum = np.zeros(signal.noisy.shape[1])
        for k, (level_db, phase) in enumerate(zip(drawn["levels_db"], drawn["phases_rad"], strict=True), 1):
            if k * drawn["fundamental_hz"] < 0.5 * signal.rate_hz:
                hum += amplitude(level_db) * np.sin(k * turn + phase)
        return at_snr(signal, hum.astype(np.float32)[None], drawn["snr_db"], drawn["level"])


@dataclass(frozen=True)
class Wind(Degradation):
    """Add wind at the microphone: low-frequency noise in gusts.

    The spectrum is flat up to a corner drawn from ``corner_hz`` and falls from there (Nelke and Vary 2014 measured
    most of the energy below some 100 Hz). Loudness wanders by ``gust_db`` (standard deviation), ``gusts_per_s`` times
    a second.
    """

    snr_db: Range = (-5.0, 15.0)
    corner_hz: Range = (40.0, 150.0)
    fall_db_per_octave: Range = (6.0, 12.0)
    gusts_per_s: Range = (0.5, 3.0)
    gust_db: NotNegative = 8.0
    level: SpeechLevel = "active"
    probability: Share = 1.0

    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        drawn = {name: uniform(rng, getattr(self, name))
                 for name in ("snr_db", "corner_hz", "fall_db_per_octave", "gusts_per_s")}  # fmt: skip
        return {**drawn, "gust_db": self.gust_db, "level": self.level, "seed": int(rng.integers(2**31))}

    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        rng = np.random.Generator(np.random.Philox(key=drawn["seed"]))
        samples = signal.noisy.shape[1]
        octaves = np.log2(np.maximum(np.fft.rfftfreq(samples, 1 / signal.rate_hz) / drawn["corner_hz"], 1.0))
        wave = shaped(rng, samples, -drawn["fall_db_per_octave"] * octaves)
        wave *= amplitudes(wander_db(rng, samples, signal.rate_hz, drawn["gusts_per_s"], drawn["gust_db"]))
        return at_snr(signal, wave.astype(np.float32)[None], drawn["snr_db"], drawn["level"])


@dataclass(frozen=True)
class Clicks(Degradation):
    """Add clicks at random moments: few are faults of a cable, many the crackle of a record.

    Each is a burst of noise that dies away within a time constant drawn from ``decay_ms``. The loudest lies
    ``below_peak_db`` under the peak of what is heard, the others up to ``spread_db`` lower.
    """

    clicks_per_s: Range = (0.5, 20.0)
    below_peak_db: Range = (-3.0, 15.0)
    spread_db: NotNegative = 20.0
    decay_ms: Range = (0.1, 1.0)
    probability: Share = 1.0

    def __post_init__(self) -> None:
        if self.clicks_per_s[0] < 0.0 or self.decay_ms[0] <= 0.0:
            raise RecipeError("Clicks: clicks_per_s must not be negative, and decay_ms must be above 0")

    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        rate = uniform(rng, self.clicks_per_s)
        return {
            "clicks": max(1, int(rng.poisson(rate * samples / rate_hz))),
            "below_peak_db": uniform(rng, self.below_peak_db),
            "spread_db": self.spread_db,
            "decay_ms": uniform(rng, self.decay_ms),
            "seed": int(rng.integers(2**31)),
        }

    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        rng = np.random.Generator(np.random.Philox(key=drawn["seed"]))
        decay = drawn["decay_ms"] * 1e-3 * signal.rate_hz
        track = clicks(rng, signal.noisy.shape[1], drawn["clicks"], decay, drawn["spread_db"])
        loudest = peak(signal.noisy) * amplitude(-drawn["below_peak_db"])
        return signal.heard(signal.noisy + np.float32(loudest / peak(track)) * track)


def clicks(
    rng: np.random.Generator, samples: int, count: int, decay: float, spread_db: float
) -> Float32[ndarray, "1 T"]:
    """``count`` bursts that fall by 1/e in ``decay`` samples, the loudest with a peak of about one."""
    taper = np.exp(-np.arange(int(8 * decay) + 1) / decay)
    track = np.zeros(samples + taper.size)
    for i, start in enumerate(rng.integers(samples, size=count)):
        burst = rng.standard_normal(taper.size) * taper
        level_db = -rng.uniform(0.0, spread_db) if i else 0.0
        track[start : start + taper.size] += amplitude(level_db) * burst / np.abs(burst).max()
    return track[None, :samples].astype(np.float32)
