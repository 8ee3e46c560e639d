"""Cost of scoring: 824 pairs with PESQ-WB, ESTOI and SI-SDR, one process, two processes, and the libraries alone.

    OMP_NUM_THREADS=1 python benchmarks/evaluate.py --data FOLDER [--items 824]

The pairs are the 40 of DATA/vbdmd_p257 under as many names as asked. "Libraries alone" is a loop over pairs already in
memory that calls ``pesq.pesq`` and ``pystoi.stoi`` and nothing else; the engine's times hold everything from the plan
to the last row on disk, start of its processes included. Each is the best of two.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pesq
import pystoi

from auscult.audio.clip import read
from auscult.evaluate.conduct import Conduct, carry_out
from auscult.evaluate.datasets import DataSet
from auscult.evaluate.store import Store
from auscult.evaluate.study import Study, plan

REPEATS = 2


def linked(source: Path, folder: Path, items: int) -> Path:
    """The pairs under ``items`` names."""
    names = sorted(path.name for path in (source / "clean").iterdir())
    for side in ("clean", "noisy"):
        (folder / side).mkdir()
        for i in range(items):
            (folder / side / f"{i:04d}.flac").symlink_to((source / side / names[i % len(names)]).resolve())
    return folder


def libraries_alone(folder: Path) -> float:
    """Seconds in the two libraries."""
    paths = sorted((folder / "clean").iterdir())
    pairs = [(read(path).wave[0], read(folder / "noisy" / path.name).wave[0]) for path in paths]
    pystoi.stoi(*pairs[0], 16_000, extended=True)
    started = time.perf_counter()
    for clean, noisy in pairs:
        pesq.pesq(16_000, clean, noisy, "wb")
        pystoi.stoi(clean.astype(np.float64), noisy.astype(np.float64), 16_000, extended=True)
    return time.perf_counter() - started


def engine(folder: Path, out: Path, workers: int) -> float:
    """Seconds of the whole evaluation."""
    started = time.perf_counter()
    planned = plan(Study({"pairs": DataSet(folder)}), out)
    with Store(out, planned.evaluation) as store:
        carry_out(planned, store, Conduct(workers), [].append)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--items", type=int, default=824)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        linked(arguments.data / "vbdmd_p257", folder, arguments.items)
        alone = min(libraries_alone(folder) for _ in range(REPEATS))
        one, two = (
            min(engine(folder, folder / f"out-{workers}-{i}", workers) for i in range(REPEATS)) for workers in (1, 2)
        )
    print("| | seconds | against |\n|---|---|---|")
    print(f"| PESQ and STOI libraries alone, one process | {alone:.1f} | |")
    print(f"| engine, one process | {one:.1f} | {one / alone:.2f} of the libraries alone |")
    print(f"| engine, two processes | {two:.1f} | {one / two:.2f} times faster than one |")


if __name__ == "__main__":
    main()
