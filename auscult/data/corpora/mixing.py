"""What several corpora share: dividing noise recordings between splits, mixing by RMS or loudness, decay times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.audio.level import power
from auscult.data.corpora.base import SPLITS
from auscult.data.corpora.library import File, Span
from auscult.degrade.base import Signal, Unusable
from auscult.degrade.noise import at_snr
from auscult.errors import need
from auscult.rng import Key
from auscult.units import amplitude

SHARES = (0.8, 0.1, 0.1)
"""Of noise: train, valid, test."""
GAP_S = 1.0
"""Left unused between two splits that share one recording."""
_LOUDNESS_ROUNDS = 4
_LOUDNESS_TOLERANCE_DB = 0.01
_DECAY_DB = (-5.0, -35.0)
"""Where a reverberation time is read off (T30)."""


def allot(files: Sequence[File], key: Key, trim_s: float = 0.0) -> dict[str, list[Span]]:
    """Noise of one type for each split, without overlap.

    From three recordings on, whole recordings are dealt out in an order drawn by ``key``; fewer are divided in time,
    80 : 10 : 10, with a second unused between. ``trim_s`` is left out at both ends of every recording.
    """
    spans = [_trimmed(file, trim_s) for file in files]
    if len(spans) < len(SPLITS):
        return _in_time(spans)
    order = [spans[i] for i in key.numpy().permutation(len(spans))]
    few = max(1, round(SHARES[1] * len(order)))
    return {"valid": order[:few], "test": order[few : 2 * few], "train": order[2 * few :]}


def _trimmed(file: File, trim_s: float) -> Span:
    cut = round(trim_s * file.rate_hz)
    return Span(file, 0, file.samples) if 2 * cut >= file.samples else Span(file, cut, file.samples - cut)


def _in_time(spans: Sequence[Span]) -> dict[str, list[Span]]:
    parts: dict[str, list[Span]] = {split: [] for split in SPLITS}
    for span in spans:
        length, at = span.stop - span.start, 0.0
        gap = min(round(GAP_S * span.file.rate_hz), length // 50)
        for split, share in zip(SPLITS, SHARES, strict=True):
            first, last = round(at * length), round((at + share) * length)
            parts[split].append(Span(span.file, span.start + first + (gap if at else 0), span.start + last))
            at += share
    return parts


def mixed(clean: Float32[ndarray, "1 T"], noise: Float32[ndarray, "1 T"], snr_db: float, rate_hz: int) -> ndarray:
    """Speech plus noise at a ratio of mean squares over the whole item.

    Raises:
        Unusable: either is silent.
    """
    return at_snr(Signal(clean, clean, rate_hz), noise, snr_db, "rms").noisy


def loudness_lufs(wave: Float32[ndarray, "1 T"], rate_hz: int) -> float:
    """Integrated loudness (ITU-R BS.1770, pyloudnorm's filters).

    Raises:
        Unusable: shorter than a block of 0.4 s, or gated away whole.
    """
    meter = need("pyloudnorm", "mixing by loudness").Meter(rate_hz)
    if wave.shape[1] <= meter.block_size * rate_hz:
        raise Unusable("too short", "loudness needs 0.4 s")
    if power(wave) == 0.0 or not np.isfinite(loudness := meter.integrated_loudness(wave[0].astype(np.float64))):
        raise Unusable("silent", "no loudness is defined")
    return float(loudness)


def at_loudness(wave: Float32[ndarray, "1 T"], target_lufs: float, rate_hz: int) -> Float32[ndarray, "1 T"]:
    """Scale to a loudness. The gate of the measure has an absolute level, so scaling is checked and corrected.

    Raises:
        Unusable: as :func:`loudness_lufs`.
    """
    for _ in range(_LOUDNESS_ROUNDS):
        off_db = target_lufs - loudness_lufs(wave, rate_hz)
        if abs(off_db) < _LOUDNESS_TOLERANCE_DB:
            break
        wave = wave * np.float32(amplitude(off_db))
    return wave


def decay_s(response: Float32[ndarray, " T"], rate_hz: int) -> float:
    """Reverberation time of a response: a line through its energy decay (Schroeder) from -5 to -35 dB, to 60 dB.

    Raises:
        Unusable: silent, or it does not decay that far.
    """
    energy = np.cumsum(np.square(response[::-1], dtype=np.float64))[::-1]
    if energy[0] == 0.0:
        raise Unusable("silent room", "the response holds only zeros")
    decay_db = 10 * np.log10(np.maximum(energy / energy[0], 1e-20))
    first, last = (int(np.argmax(decay_db <= level_db)) for level_db in _DECAY_DB)
    if last <= first + 1:
        raise Unusable("no decay", "the response does not fall by 35 dB")
    times = np.arange(first, last) / rate_hz
    slope = np.polyfit(times, decay_db[first:last], 1)[0]
    return float(-60.0 / slope)


def spans_of(by_type: Mapping[str, Sequence[File]], key: Key, trim_s: float = 0.0) -> dict[str, list[tuple[str, Span]]]:
    """Every type's noise divided between the splits: (type, span) by split, sorted."""
    spans: dict[str, list[tuple[str, Span]]] = {split: [] for split in SPLITS}
    for kind in sorted(by_type):
        for split, own in allot(by_type[kind], key.child(kind), trim_s).items():
            spans[split] += [(kind, span) for span in sorted(own, key=lambda span: (span.file.path, span.start))]
    return spans
