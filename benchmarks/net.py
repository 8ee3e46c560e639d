"""NCSN++ (65.6 M parameters): one call on 256 frames, against the textbook baseline, side by side in one run.

python benchmarks/net.py [--frames 256] [--repeats 5]

The textbook runs as PyTorch comes, then once more with the allocator setting that auscult makes when it opens a model
(auscult.allocator: freed memory is kept), so that both gains can be told apart.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from textbook import Textbook
from torch import Tensor

from auscult.allocator import keep_freed_memory
from auscult.nets.ncsnpp import V1, NCSNpp


def best(call: Callable[[], Tensor], repeats: int) -> float:
    """Shortest of several runs, in seconds, after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    net = NCSNpp(**V1).eval()
    with torch.no_grad():  # outputs start at zero; make them mean something
        for parameter in net.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    textbook = Textbook(net).eval()
    inputs, t = torch.randn(1, 2, 256, arguments.frames, dtype=torch.complex64), torch.tensor([0.5])

    def bf16() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return net(inputs, t)

    with torch.inference_mode():
        reference = textbook(inputs, t)
        scale = float(reference.abs().mean())
        rows = [("textbook fp32", best(lambda: textbook(inputs, t), arguments.repeats), reference)]
        keep_freed_memory()
        rows += [
            ("textbook fp32, memory kept", best(lambda: textbook(inputs, t), arguments.repeats), reference),
            ("auscult fp32", best(lambda: net(inputs, t), arguments.repeats), net(inputs, t)),
            ("auscult bf16 autocast", best(bf16, arguments.repeats), bf16()),
        ]
    print(f"{torch.get_num_threads()} threads, {arguments.frames} frames, best of {arguments.repeats}")
    for name, seconds, out in rows:
        apart = (out - reference).abs()
        print(
            f"{name:27s} {seconds:7.2f} s  {rows[0][1] / seconds:5.2f}x  deviation over mean magnitude: "
            f"mean {float(apart.mean()) / scale:.1e}, largest {float(apart.max()) / scale:.1e}"
        )


if __name__ == "__main__":
    main()
