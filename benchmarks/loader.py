"""Mixing on the fly: seconds of audio a second, per worker, with the built-in model's recipe.

python benchmarks/loader.py --data FOLDER [--workers 0 1 2]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from auscult import recipe
from auscult.data.loader import Loader, Share
from auscult.data.pairs import PairSource
from auscult.rng import Key


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=100)
    arguments = parser.parse_args()
    node = {**recipe.read("bandgru")["data"], "root": str(arguments.data)}
    source: PairSource = recipe.plan(node, PairSource, "data").build()
    assert source.crop_s is not None
    for workers in arguments.workers:
        started, first = time.perf_counter(), 0.0
        loader = Loader(source, Key(0), Share(batch=8), workers)
        for number, _ in enumerate(loader.steps(0, arguments.steps)):
            if number == 19:  # small banks are in memory by then, workers are up
                started, first = time.perf_counter(), number + 1
        rate = (arguments.steps - first) * 8 * source.crop_s / (time.perf_counter() - started)
        print(f"{workers} workers: {rate:6.0f}x real time, {rate / max(workers, 1):6.0f}x each")


if __name__ == "__main__":
    main()
