"""What super-resolution of speech costs nothing: the low band mirrored up, or shaped noise, under a fitted envelope.

    OMP_NUM_THREADS=1 python benchmarks/superres_baselines.py --data FOLDER
    OMP_NUM_THREADS=1 python benchmarks/superres_baselines.py --data FOLDER --model runs/flow-stft-small-1a2b3c4d

A model has to beat these; ``--model`` shows by how much, file by file, with intervals over speakers. Inputs are
low-passed as in SAGA-SR's validation (Chebyshev-I of order 8, resampled to twice the cut-off and back). For every frame
the levels of the upper bands are predicted from those of the lower ones by ridge regression, fitted on training
speakers; the low band then stays the input's (fade below the measured knee).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Complex64, Float, Float32
from numpy import ndarray

from auscult.audio.clip import read
from auscult.audio.splice import splice_line
from auscult.audio.stft import STFT
from auscult.degrade.lowpass import low_passed
from auscult.evaluate.statistics import interval
from auscult.metrics.base import Metric, Signals
from auscult.metrics.energy import SiSdr
from auscult.metrics.spectral import Lsd, LsdHigh, LsdLow, LsdSsrEval
from auscult.metrics.superresolution import LowBandDeviation, RollOffError
from auscult.restore import load
from auscult.restore.engine import Restorer
from auscult.restore.replacement import replace, transform

Wave = Float32[ndarray, "1 T"]
Levels = Float[ndarray, "N K"]
SETS = (("fullband.jsonl", 48_000, (4_000, 8_000)), ("", 16_000, (4_000,)))
LOW_BANDS, HIGH_BAND_HZ = 12, 500.0
START = 0.9
"""The new band begins at this share of the cut-off, where resampling begins to take away."""
RIDGE = 1e-3
FLOOR_DB = -120.0
COMPARED = ("lsd", "lsd_high")
"""Metrics in which models are compared with what costs nothing."""
System = Callable[[Wave], Wave]


@dataclass(frozen=True)
class Recording:
    """Speech, mono, and who speaks."""

    wave: Wave
    speaker: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", action="append", default=[], help="runs or files of super-resolution; repeatable")
    given = parser.parse_args()
    models = {name: load(name) for name in given.model}
    for manifest, rate_hz, cutoffs_hz in SETS:
        usable = {name: model for name, model in models.items() if model.rate_hz == rate_hz}
        if models and not usable:
            continue
        train, valid = (recordings(given.data, manifest, split) for split in ("train", "valid"))
        train = train[:: max(1, len(train) // 80)]
        for cutoff_hz in cutoffs_hz:
            print(f"\n{2 * cutoff_hz / 1e3:g} -> {rate_hz / 1e3:g} kHz, {len(valid)} files of {len(train)} to fit\n")
            compare(train, valid, rate_hz, cutoff_hz, usable)


def recordings(data: Path, manifest: str, split: str) -> list[Recording]:
    rows = [json.loads(line) for line in (data / (manifest or f"{split}.jsonl")).open()]
    wanted = [row for row in rows if row["kind"] == "speech" and row.get("split", split) == split]
    if not manifest:
        step = max(1, len(wanted) // 200)
        wanted = [row for row in wanted if row.get("source_bandwidth_hz", 8_000) >= 7_500][::step]
    waves = (read(data / row["path"]).wave.mean(axis=0, keepdims=True) for row in wanted)
    return [Recording(wave, row["speaker"]) for row, wave in zip(wanted, waves, strict=True)]


def narrowed(wave: Wave, rate_hz: int, cutoff_hz: int) -> Wave:
    drawn = {"family": "chebyshev1", "order": 8, "cutoff_hz": cutoff_hz, "ripple_db": 0.1, "stop_db": 60.0}
    return low_passed(wave, rate_hz, drawn | {"resampled": True})


def compare(
    train: Sequence[Recording], valid: Sequence[Recording], rate_hz: int, cutoff_hz: int, models: Mapping[str, Restorer]
) -> None:
    """Means of every system, and what the models are better by than the systems that learned nothing."""
    envelope = fit(((one.wave, narrowed(one.wave, rate_hz, cutoff_hz)) for one in train), rate_hz, cutoff_hz)
    rng = np.random.default_rng(0)
    simple: Mapping[str, System] = {
        "low-passed": lambda narrow: narrow,
        "shaped noise": lambda narrow: kept(narrow, shaped_noise(narrow, envelope, rng), rate_hz),
        "low band mirrored": lambda narrow: kept(narrow, replicate_band(narrow, envelope), rate_hz),
    }
    learned = {name: restoring(model, rate_hz) for name, model in models.items()}
    edge_hz = float(cutoff_hz)
    metrics: tuple[Metric, ...] = (
        *(Lsd(), LsdLow(edge_hz), LsdHigh(edge_hz), LsdSsrEval()),
        *(RollOffError(), LowBandDeviation(edge_hz), SiSdr()),
    )
    names = [metric.name for metric in metrics]
    print("| | " + " | ".join(names) + " | lines |\n|---|" + "---|" * (len(metrics) + 1))
    scores = {}
    for name, system in {**simple, **learned}.items():
        scores[name], lines = judged(system, valid, rate_hz, cutoff_hz, metrics)
        print(f"| {name} | " + " | ".join(f"{mean:.3g}" for mean in scores[name].mean(axis=0)) + f" | {lines} |")
    speakers = np.unique([one.speaker for one in valid], return_inverse=True)[1]
    for name in learned:
        for metric in COMPARED:
            column = names.index(metric)
            for other in ("shaped noise", "low band mirrored"):
                difference = scores[name][:, column] - scores[other][:, column]
                low, high = interval(difference, speakers)
                print(f"\n{metric}, {name} - {other}: {difference.mean():+.3f} [{low:+.3f}, {high:+.3f}]")


def judged(
    system: System, valid: Sequence[Recording], rate_hz: int, cutoff_hz: int, metrics: Sequence[Metric]
) -> tuple[Float[ndarray, "files metrics"], int]:
    """Scores of every file, and in how many a line is seen at the splice."""
    scores, lines = [], 0
    for one in valid:
        narrow = narrowed(one.wave, rate_hz, cutoff_hz)
        estimate = system(narrow)
        signals = Signals(estimate[0], rate_hz, one.wave[0], narrow[0])
        scores.append([metric(signals) for metric in metrics])
        lines += splice_line(estimate[0], rate_hz).found
    return np.array(scores), lines


def restoring(model: Restorer, rate_hz: int) -> System:
    """A model as ``auscult enhance`` runs it."""
    return lambda narrow: model.enhance(narrow, rate_hz)


def kept(narrow: Wave, generated: Wave, rate_hz: int) -> Wave:
    return replace(narrow, generated, rate_hz)[0]


@dataclass(frozen=True)
class Envelope:
    """Levels of the upper bands as a linear function of those of the lower ones, and how both are cut."""

    stft: STFT
    rate_hz: int
    low_edges: ndarray
    high_edges: ndarray
    coefficients: Float[ndarray, "K M"]

    def gains_db(self, spectrum: Complex64[ndarray, "N F"]) -> Float[ndarray, "N F"]:
        """Predicted level of every bin of the new band, interpolated between the middles of the bands."""
        return interpolated(features(spectrum, self.low_edges) @ self.coefficients, self.high_edges)


def band_edges(stft: STFT, rate_hz: int, cutoff_hz: int) -> tuple[ndarray, ndarray]:
    """First bins of the lower bands (of equal width on a logarithmic scale from 100 Hz) and of the upper ones."""
    width_hz, top = rate_hz / stft.n_fft, stft.n_fft // 2 + 1
    cut = round(START * cutoff_hz / width_hz)
    low = np.unique(np.round(np.geomspace(100 / width_hz, cut, LOW_BANDS + 1)).astype(int))
    return low, np.unique(np.round(np.linspace(cut, top, round((top - cut) * width_hz / HIGH_BAND_HZ) + 1)).astype(int))


def band_levels(spectrum: Complex64[ndarray, "N F"], edges: ndarray) -> Levels:
    """Mean of the bins' levels in dB, band by band."""
    levels_db = 20 * np.log10(np.maximum(np.abs(spectrum[:, edges[0] : edges[-1]]), 10 ** (FLOOR_DB / 20)))
    starts = edges[:-1] - edges[0]
    return np.add.reduceat(levels_db, starts, axis=1) / np.diff(edges)


def interpolated(levels_db: Levels, edges: ndarray) -> Float[ndarray, "N F"]:
    """Levels of bands at every bin, linear between the middles."""
    middles, bins = (edges[:-1] + edges[1:] - 1) / 2, np.arange(edges[0], edges[-1])
    return np.stack([np.interp(bins, middles, frame) for frame in levels_db])


def features(spectrum: Complex64[ndarray, "N F"], edges: ndarray) -> Levels:
    levels_db = band_levels(spectrum, edges)
    return np.concatenate([levels_db, np.ones((len(levels_db), 1))], axis=1)


def fit(pairs: Iterator[tuple[Wave, Wave]], rate_hz: int, cutoff_hz: int) -> Envelope:
    """Ridge regression over all frames of pairs of full and narrow recordings."""
    stft = transform(rate_hz)
    low, high = band_edges(stft, rate_hz, cutoff_hz)
    size = len(low), len(high) - 1
    squares, products = np.zeros((size[0], size[0])), np.zeros(size)
    for wave, narrow in pairs:
        x, y = features(stft.forward(narrow)[0], low), band_levels(stft.forward(wave)[0], high)
        squares, products = squares + x.T @ x, products + x.T @ y
    ridge = RIDGE * np.trace(squares) / size[0] * np.eye(size[0])
    return Envelope(stft, rate_hz, low, high, np.linalg.solve(squares + ridge, products))


def replicate_band(narrow: Wave, envelope: Envelope) -> Wave:
    """The upper half of the low band, mirrored up and down as often as it fits, every band at its predicted level.

    Mirrored, because copies that all begin at the same end leave a line at every seam. A carrier of k bins turns a
    frame's phase by 2 pi k (n hop / n_fft - 1/2), n being the frame; mirroring conjugates.
    """
    stft = envelope.stft
    spectrum, cut = stft.forward(narrow)[0], int(envelope.high_edges[0])
    bins, half = np.arange(cut, spectrum.shape[1]), cut // 2
    place = (bins - cut) % (2 * half)
    mirrored = place < half
    source = cut - 1 - np.where(mirrored, place, 2 * half - 1 - place)
    carrier = np.where(mirrored, bins + source, bins - source)
    turns = np.outer(np.arange(len(spectrum)) * stft.hop / stft.n_fft - 0.5, carrier)
    band = np.where(mirrored, spectrum[:, source].conj(), spectrum[:, source])
    return with_band(narrow, spectrum, band * np.exp(2j * np.pi * turns), envelope)


def shaped_noise(narrow: Wave, envelope: Envelope, rng: np.random.Generator) -> Wave:
    """White noise at the predicted levels."""
    spectrum, cut = envelope.stft.forward(narrow)[0], envelope.high_edges[0]
    noise = envelope.stft.forward(rng.standard_normal(narrow.shape).astype(np.float32))[0]
    return with_band(narrow, spectrum, noise[:, cut:], envelope)


def with_band(narrow: Wave, spectrum: ndarray, band: ndarray, envelope: Envelope) -> Wave:
    """The spectrum with another upper band, whose own levels give way to the predicted ones."""
    cut, edges = envelope.high_edges[0], envelope.high_edges - envelope.high_edges[0]
    own_db = interpolated(band_levels(band, edges), edges)
    band = band * 10 ** ((envelope.gains_db(spectrum) - own_db) / 20)
    whole = np.concatenate([spectrum[:, :cut], band], axis=1).astype(np.complex64)
    return envelope.stft.inverse(whole[None], narrow.shape[1])


if __name__ == "__main__":
    main()
