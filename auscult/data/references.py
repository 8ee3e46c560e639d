"""Noise references: a piece of an item's noise that a net may be told of, and the stretch of a file that serves as one.

With both sides at hand the noise is n = noisy - clean, at the gain of the pair. Without the clean side it is what
stands between words: a stretch of the noisy signal without speech.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from auscult.audio.level import power
from auscult.audio.resample import fit_length
from auscult.data.activity import FRAME_S, activity, frames_of
from auscult.degrade.base import Drawn
from auscult.units import to_db

Wave = Float32[ndarray, "C T"]
Detector = Literal["auto", "vad", "energy"]

CLEARANCE_DB = 10.0
"""A stretch is noise where the 90th percentile of its frame powers stays this far below the file's 95th percentile."""
SPEECH_SHARE = 0.1
"""The largest share of frames in a stretch of noise that the voice-activity detector may take for speech."""
SHORTEST_S = 0.1
"""A shorter reference says too little."""
TYPE = "NoiseReference"
"""The ``type`` of what provenance says of a reference."""
SILENT = 1e-5
"""A reference of a lower RMS (full scale 1) is silence, which says nothing of a noise."""


@dataclass(frozen=True)
class Reference:
    """Noise at unit RMS, its RMS in the recording apart from it, and where it comes from (fit for JSON)."""

    wave: Float32[ndarray, "1 T"]
    rms: float
    origin: Drawn

    @classmethod
    def of(cls, noise: Wave, origin: Drawn) -> Reference | None:
        """A reference from a stretch of noise, its channels averaged; None where it is silent."""
        mono = noise.mean(0, keepdims=True)
        rms = float(np.sqrt(power(mono)))
        if rms < SILENT:
            return None
        return cls((mono / rms).astype(np.float32), rms, {"type": TYPE, **origin})

    def level(self, noisy_peak: float) -> float:
        """ln(RMS over the peak of the noisy signal it is told of): the same at any gain of the recording."""
        return float(np.log(self.rms / max(noisy_peak, SILENT)))


def located(start: int, length: int, rate_hz: int) -> Drawn:
    """A stretch in seconds, for provenance."""
    return {"start_s": round(start / rate_hz, 3), "duration_s": round(length / rate_hz, 3)}


def conditions(reference: Reference | None, longest: int, noisy_peak: float) -> dict[str, ndarray]:
    """A reference (or its absence) as arrays that stack into batches.

    ``noise`` float32 (1, longest), zero behind its end; ``noise_samples`` int64 (), 0: no reference;
    ``noise_level`` float32 (), ln(RMS over ``noisy_peak``), 0 without reference.
    """
    if reference is None:
        wave, level = np.zeros((1, 0), np.float32), 0.0
    else:
        wave, level = reference.wave[:, :longest], reference.level(noisy_peak)
    return {
        "noise": fit_length(wave, longest),
        "noise_samples": np.array(wave.shape[1], np.int64),
        "noise_level": np.array(level, np.float32),
    }


def from_noisy(noisy: Wave, rate_hz: int, duration_s: float, detector: Detector = "auto") -> Reference | None:
    """The stretch of a noisy signal that is least like speech; None where none is clear of it.

    ``vad``: the window with the fewest speech frames, at most one in ten, and of several the one of least likelihood
    ratio. ``energy``: the window whose 90th percentile of 20 ms frame powers is least, at least 10 dB below the
    file's 95th percentile. ``auto``: by voice activity, else by energy. A window is ``duration_s`` in whole frames;
    one with a silent frame does not serve.
    """
    frames, window = frames_of(noisy, rate_hz), max(1, int(duration_s / FRAME_S + 1e-6))
    powers = np.mean(frames**2, axis=1)
    if len(powers) < window or not (sounding := _windows(powers, window).min(1) >= SILENT**2).any():
        return None
    for name in ("vad", "energy") if detector == "auto" else (detector,):
        first = _by_activity(frames, window, sounding) if name == "vad" else _by_energy(powers, window, sounding)
        if first is not None:
            start, length = first * frames.shape[1], window * frames.shape[1]
            origin = {"origin": f"noise_only:{name}", **located(start, length, rate_hz)}
            return Reference.of(noisy[:, start : start + length], origin)
    return None


def _by_activity(frames: Float[ndarray, "N S"], window: int, sounding: ndarray) -> int | None:
    found = activity(frames)
    share = np.where(sounding, _windows(found.speech.astype(float), window).mean(1), np.inf)
    first = int(np.lexsort((_windows(found.ratio, window).mean(1), share))[0])
    return first if share[first] <= SPEECH_SHARE else None


def _by_energy(powers: Float[ndarray, " N"], window: int, sounding: ndarray) -> int | None:
    loud = np.where(sounding, np.quantile(_windows(powers, window), 0.9, axis=1), np.inf)
    first = int(loud.argmin())
    return first if to_db(float(np.quantile(powers, 0.95) / loud[first])) >= CLEARANCE_DB else None


def _windows(values: Float[ndarray, " N"], window: int) -> Float[ndarray, "M W"]:
    return np.lib.stride_tricks.sliding_window_view(values, window)
