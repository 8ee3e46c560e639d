"""Peak memory of restoring a long file with NCSN++: the engine's chunks against the whole file in one textbook call.

python benchmarks/memory.py [--seconds 60] [--channels 32]

Each line is a process of its own; the figure is its peak over what it held with the model open. One net call a chunk:
more calls need no more memory. Memory of the maps grows with ``channels`` (sgmse-plus has 128), so their ratio stays.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

import torch
from textbook import Textbook

from auscult import recipe
from auscult.methods.base import Method
from auscult.restore.engine import Restorer
from auscult.restore.models import ChunkModel, Cut, Model, model_of
from auscult.rng import Key

WAYS = ("textbook, whole file", "whole file", "chunks of 10 s", "chunks of 10 s, bf16")


def opened(way: str, seconds: float, channels: int) -> Model:
    """sgmse-plus of a width with random weights, restoring this way; the textbook without auscult's allocator."""
    node = recipe.read("sgmse-plus")["method"] | {"sampler": {"type": "DDIM", "steps": 1}}
    node["net"] |= {"channels": channels}
    method: Method = recipe.plan(node, Method, "method").build()
    nets, whole = method.nets(), Cut(seconds + 1.0)
    if way.startswith("textbook"):
        return ChunkModel(way, method, {"net": Textbook(nets["net"]).eval()}, "cpu", whole, "fp32")
    return model_of(way, method, nets, "cpu", whole if "whole" in way else Cut(), "bf16" if "bf16" in way else "fp32")


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(way: str, seconds: float, channels: int) -> None:
    restorer = Restorer(opened(way, seconds, channels))
    wave = 0.1 * Key(0).numpy().standard_normal(round(seconds * restorer.rate_hz)).astype("float32")
    restorer.enhance(wave[: restorer.rate_hz // 2], restorer.rate_hz)  # libraries and weights are at hand
    idle = peak_mib()
    restorer.enhance(wave, restorer.rate_hz)
    print(peak_mib() - idle)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--way", choices=WAYS, help="measure one way, here")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    if arguments.way:
        measure(arguments.way, arguments.seconds, arguments.channels)
        return
    print(f"| {arguments.seconds:g} s, {arguments.channels} channels | MiB | of the first |\n|---|---|---|")
    first = 0.0
    for way in WAYS:
        said = subprocess.run([sys.executable, *sys.argv, "--way", way], check=True, capture_output=True, text=True)
        mib = float(said.stdout)
        first = first or mib
        print(f"| {way} | {mib:.0f} | {mib / first:.2f} |", flush=True)


if __name__ == "__main__":
    main()
