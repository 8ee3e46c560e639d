"""The built-in model: speed on one core, and the memory that a one-hour file takes over the idle process.

python benchmarks/engine.py [--hours 1]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import auscult
from auscult.audio.clip import read
from auscult.audio.writer import Writer
from auscult.restore.engine import Job

EXAMPLE = Path(__file__).parent.parent / "examples" / "noisy" / "walk.flac"


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def speed(seconds: float = 60.0) -> None:
    clip = read(EXAMPLE)
    wave = np.resize(clip.wave, (1, round(seconds * clip.rate_hz)))
    model = auscult.load("default")
    for rate_hz in (16_000, 48_000):
        held = wave if rate_hz == 16_000 else np.repeat(wave, 3, axis=1)
        model.enhance(held[:, :rate_hz], rate_hz)
        times = []
        for _ in range(5):
            started = time.perf_counter()
            model.enhance(held, rate_hz)
            times.append(time.perf_counter() - started)
        best = min(times)
        print(f"{rate_hz} Hz: {seconds / best:.0f}x real time (best of 5), {best / seconds * 16:.2f} ms a frame")


def memory(hours: float) -> None:
    clip = read(EXAMPLE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.flac"
        with Writer(path, clip.rate_hz, 1, None) as writer:
            for _ in range(round(hours * 3600 / clip.duration_s)):
                writer.write(clip.wave)
        model = auscult.load("default")
        idle = peak_mib()
        report = model.enhance_file(*vars(Job(path, Path(folder) / "out.flac")).values())
        print(f"{report.duration_s / 3600:.2f} h file: {report.speed:.0f}x real time, "
              f"{peak_mib() - idle:.0f} MiB over the idle process ({idle:.0f} MiB)")  # fmt: skip


def command_line() -> None:
    times = []
    for _ in range(10):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "auscult", "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    print(f"auscult --help: {min(times):.2f} s (best of 10)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0)
    arguments = parser.parse_args()
    memory(arguments.hours)  # first: peaks of a process only rise
    speed()
    command_line()


if __name__ == "__main__":
    main()
