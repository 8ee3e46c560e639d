"""What each metric is, what it hears (its response to known changes of real speech) and what it costs.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py --data FOLDER > tables.md

The 40 real VoiceBank-DEMAND pairs (speaker p257); metrics without reference on every fourth of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy import ndarray

from auscult.audio.clip import read
from auscult.audio.resample import fit_length, resample
from auscult.catalogue import CATALOGUE, find
from auscult.metrics.base import Metric, MetricFailure, Signals
from auscult.metrics.spectral import LsdHigh, LsdLow

RATE_HZ = 16_000
FIXED = {"lsd_low": LsdLow(4_000.0), "lsd_high": LsdHigh(4_000.0)}
METRICS: list[Metric] = [FIXED[name] if name in FIXED else find(name)() for name in CATALOGUE["metric"]]
Change = Callable[[ndarray], ndarray]


def shifted(wave: ndarray) -> ndarray:
    return np.append(np.zeros(8, np.float32), wave[:-8])


def low_passed(cutoff_hz: float) -> Change:
    def apply(wave: ndarray) -> ndarray:
        spectrum = np.fft.rfft(wave)
        spectrum[np.fft.rfftfreq(wave.size, 1 / RATE_HZ) > cutoff_hz] = 0
        return np.fft.irfft(spectrum, wave.size)

    return apply


def clipped(wave: ndarray) -> ndarray:
    ceiling = np.abs(wave).max() * 10 ** (-12 / 20)
    return np.clip(wave, -ceiling, ceiling)


def with_noise(snr_db: float) -> Change:
    def apply(wave: ndarray) -> ndarray:
        noise = np.random.default_rng(0).standard_normal(wave.size)
        return wave + noise * np.sqrt(np.square(wave).mean() * 10 ** (-snr_db / 10))

    return apply


def coarse(wave: ndarray) -> ndarray:
    return np.round(0.1 * wave * 32_768) / 32_768 * 10


def slow(wave: ndarray) -> ndarray:
    return fit_length(resample(wave[None], 16_000, 16_160), wave.size)[0]


CHANGES: dict[str, Change] = {
    "none": np.copy,
    "-6 dB": lambda wave: 0.5 * wave,
    "-20 dB": lambda wave: 0.1 * wave,
    "8 samples late": shifted,
    "inverted": np.negative,
    "low-pass 4 kHz": low_passed(4_000),
    "low-pass 3.4 kHz": low_passed(3_400),
    "clipped 12 dB under peak": clipped,
    "white noise 20 dB": with_noise(20),
    "white noise 10 dB": with_noise(10),
    "16-bit steps at -20 dB": coarse,
    "1 % slower": slow,
}
ON_NOISY = ("none", "-6 dB", "8 samples late", "inverted", "low-pass 4 kHz", "clipped 12 dB under peak")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data / "vbdmd_p257"
    pairs = [
        (read(folder / "clean" / path.name).wave[0], read(path).wave[0])
        for path in sorted((folder / "noisy").iterdir())
    ]
    compared, alone = ([metric for metric in METRICS if bool(metric.needs) is flag] for flag in (True, False))
    facts()
    print("\nClean speech, changed:\n")
    table(compared, responses(compared, pairs, CHANGES, of_clean=True))
    print("\nNoisy speech, changed:\n")
    table(compared, responses(compared, pairs, {name: CHANGES[name] for name in ON_NOISY}, of_clean=False))
    print("\nMetrics without reference, clean speech changed:\n")
    table(alone, responses(alone, pairs[::4], CHANGES, of_clean=True))
    print("\n| metric | ms for a pair of 3 s |\n|---|---|")
    for metric in METRICS:
        print(f"| {metric.name} | {cost_ms(metric, *pairs[0]):.1f} |")


def facts() -> None:
    direction = {True: "higher", False: "lower", None: "neither"}
    print("| metric | unit | better | rate | needs | source | code |\n|---|---|---|---|---|---|---|")
    for metric in METRICS:
        rate = f"{metric.rate_hz / 1e3:g} kHz" if metric.rate_hz else "the file's"
        needs = ", ".join(type(metric).needs) or "none"
        row = (metric.name, metric.unit or "none", direction[metric.higher_is_better], rate, needs, metric.source)
        print("| " + " | ".join(text.replace("|", "\\|") for text in (*row, metric.extra or "auscult")) + " |")


def responses(
    metrics: Sequence[Metric], pairs: Sequence[tuple[ndarray, ndarray]], changes: Mapping[str, Change], of_clean: bool
) -> dict[str, list[str]]:
    """Means over the pairs by change; how many were not scored in brackets."""
    columns = {}
    for name, change in changes.items():
        scores: list[list[float]] = [[] for _ in metrics]
        for clean, noisy in pairs:
            estimate = change(clean if of_clean else noisy).astype(np.float32)
            signals = Signals(estimate, RATE_HZ, clean, noisy)
            for found, metric in zip(scores, metrics, strict=True):
                try:
                    found.append(metric(signals))
                except MetricFailure:
                    continue
        columns[name] = [cell(found, len(pairs)) for found in scores]
    return columns


def cell(scores: Sequence[float], items: int) -> str:
    if not scores:
        return "not scored"
    mean = np.mean(scores)
    if np.isinf(mean):
        shown = "∞"
    elif abs(mean) < 1e-6:
        shown = "0"
    else:
        shown = f"{mean:.0f}" if abs(mean) >= 100 else f"{mean:.3g}"
    return shown if len(scores) == items else f"{shown} ({items - len(scores)} not scored)"


def table(metrics: Sequence[Metric], columns: Mapping[str, Sequence[str]]) -> None:
    print("| | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for row, metric in enumerate(metrics):
        print(f"| {metric.label} | " + " | ".join(column[row] for column in columns.values()) + " |")


def cost_ms(metric: Metric, clean: ndarray, noisy: ndarray) -> float:
    """Median of five, with nothing shared between metrics."""
    cut = slice(RATE_HZ, 4 * RATE_HZ)
    times = []
    for _ in range(6):
        signals = Signals(noisy[cut], RATE_HZ, clean[cut], noisy[cut])
        start = time.perf_counter()
        metric(signals)
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times[1:]))


if __name__ == "__main__":
    main()
