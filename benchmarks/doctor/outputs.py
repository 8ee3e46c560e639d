"""Restorations and their scores, as a user has them: a folder of files, a table."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from scipy.signal import istft, stft

from auscult.evaluate.score import STANDARD, Waves, metrics_named, score_waves
from benchmarks.doctor.faults_results import Output, Outputs, Table
from benchmarks.doctor.recorded import Recorded, Wave, write_wave
from benchmarks.doctor.spec import TRUST

System = Callable[[Recorded], Wave]


def restored(pairs: Sequence[Recorded], system: str) -> list[Output]:
    """Pairs through a system: ``subtraction``, ``default`` (the built-in model), or a checkpoint."""
    through = _subtracted if system == "subtraction" else _model(system)
    return [Output(one, through(one), one.rate_hz, one.name) for one in pairs]


@cache
def _model(name: str) -> System:
    from auscult.restore import load

    restorer = load(name, device="cpu", trust=TRUST)
    return lambda one: restorer.enhance(one.noisy[None].astype(np.float32), one.rate_hz)[0]


def _subtracted(one: Recorded) -> Wave:
    """Spectral subtraction with the quietest tenth of each bin as noise."""
    _, _, spectrum = stft(one.noisy, nperseg=512)
    magnitude = np.abs(spectrum)
    noise = 1.5 * np.quantile(magnitude, 0.1, axis=1, keepdims=True)
    gain = np.maximum(1 - noise / np.maximum(magnitude, 1e-9), 0.1)
    return istft(gain * spectrum, nperseg=512)[1][: one.noisy.size].astype(np.float32)


def write_outputs(outputs: Outputs, folder: Path) -> Path:
    """One file an output, under its name."""
    for one in outputs:
        write_wave(folder / one.name, np.clip(one.wave, -1, 1), one.rate_hz)
    return folder


def scores_of(outputs: Outputs) -> Table:
    """PESQ, ESTOI and SI-SDR of noisy and enhanced, item by item."""
    metrics = metrics_named(STANDARD)
    rows = []
    for one in outputs:
        sides = {"noisy": one.pair.noisy, "enhanced": one.wave}
        found = {
            side: score_waves(metrics, Waves(wave[None], one.rate_hz, one.pair.clean[None])).scores
            for side, wave in sides.items()
        }
        rows.append({f"{name}_{side}": scores.get(name, np.nan) for side, scores in found.items() for name in STANDARD})
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {"item": np.array([one.name for one in outputs]), **columns}


def write_table(table: Table, path: Path) -> Path:
    """A CSV file."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return path
