"""Which moments of a noisy signal hold speech: energies and a statistical voice-activity detector, 20 ms frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32
from numpy import ndarray

from auscult.units import samples

FRAME_S = 0.02
SMOOTHING = 0.98
"""Of the decision-directed a-priori SNR (Ephraim & Malah 1984)."""
LARGEST_SNR = 1e4
"""Bound of the a-posteriori SNR (40 dB): beyond it a frame is speech anyway."""
THRESHOLD = 0.5
"""Mean log likelihood ratio (nats a bin) above which a frame is speech."""
SHORTEST_SPEECH, SHORTEST_GAP = 3, 5
"""Frames: shorter runs of speech are taken back, then shorter gaps filled."""


@dataclass(frozen=True)
class Activity:
    """Per frame: the mean log likelihood ratio of speech against noise (nats), and the decision."""

    ratio: Float[ndarray, " N"]
    speech: Bool[ndarray, " N"]


def frames_of(wave: Float32[ndarray, "C T"], rate_hz: int) -> Float[ndarray, "N S"]:
    """Whole 20 ms frames of the channels' mean, side by side."""
    size = samples(FRAME_S, rate_hz)
    mono = wave.mean(0, dtype=np.float64)
    return mono[: mono.size // size * size].reshape(-1, size)


def activity(frames: Float[ndarray, "N S"]) -> Activity:
    """The likelihood-ratio detector of Sohn, Kim & Sung (1999).

    The noise spectrum is the mean over the quietest tenth of the frames that are not digital silence; the a-priori
    SNR follows the decision-directed rule.
    """
    spectra = np.abs(np.fft.rfft(frames * np.hanning(frames.shape[1]), axis=1)) ** 2
    sounding = np.flatnonzero(spectra.any(1))
    if not sounding.size:
        return Activity(np.zeros(len(frames)), np.zeros(len(frames), bool))
    quietest = sounding[np.argsort(spectra[sounding].sum(1))][: max(1, sounding.size // 10)]
    noise = spectra[quietest].mean(0)
    ratio = _ratios(np.minimum(spectra / np.maximum(noise, np.finfo(np.float64).tiny), LARGEST_SNR))
    return Activity(ratio, _without(_without(ratio > THRESHOLD, True, SHORTEST_SPEECH), False, SHORTEST_GAP))


def _ratios(posterior: Float[ndarray, "N F"]) -> Float[ndarray, " N"]:
    """Mean over bins of log p(frame | speech) - log p(frame | noise) (eq. 3 of the paper), frame after frame."""
    ratio, before = np.empty(len(posterior)), np.ones(posterior.shape[1])
    for n, gamma in enumerate(posterior):
        prior = SMOOTHING * before + (1 - SMOOTHING) * np.maximum(gamma - 1, 0)
        gain = prior / (1 + prior)
        ratio[n] = np.mean(gamma * gain - np.log1p(prior))
        before = gain**2 * gamma
    return ratio


def _without(marks: Bool[ndarray, " N"], value: bool, shortest: int) -> Bool[ndarray, " N"]:
    """Marks with the runs of ``value`` that are below the shortest length turned over."""
    edges = np.flatnonzero(np.diff(np.r_[not value, marks, not value]))
    out = marks.copy()
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start < shortest:
            out[start:end] = not value
    return out
