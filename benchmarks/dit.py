"""The DiT (43.8 M parameters) on the three branches of two-condition guidance, and the codec, against the plain way.

python benchmarks/dit.py [--frames 32] [--steps 10] [--words 20] [--repeats 5] [--samples 65536]

A batch of three is evaluated at every step: nothing, the latent beside, the latent and the text. The plain way takes
all 128 text tokens, of which all but ``words`` are padding, and two for the roll-offs, zeros for the branches that have
none, and makes keys and values of every block at every step. Ours makes them once for all steps, of the tokens that
are there and one zero; two of the three branches have none. The codec is the published one, with and without folding.
Runs are interleaved, the shortest counts; what is counted is processor time, which other work disturbs less.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn

from auscult.allocator import keep_freed_memory
from auscult.nets.dit import DiT
from auscult.nets.oobleck import Oobleck

TEXT, ROLLOFFS = 128, 2
Net = TypeVar("Net", bound=nn.Module)


def timed(calls: dict[str, Callable[[], Tensor]], repeats: int) -> dict[str, float]:
    """Shortest of several interleaved runs of each, in seconds of the processor, after one to warm up."""
    best = dict.fromkeys(calls, math.inf)
    for turn in range(repeats + 1):
        for name, call in calls.items():
            started = time.process_time()
            call()
            if turn:
                best[name] = min(best[name], time.process_time() - started)
    return best


def report(what: str, calls: dict[str, Callable[[], Tensor]], repeats: int) -> None:
    """A line: seconds of both, gain, largest deviation over the largest value."""
    first, second = (call() for call in calls.values())
    apart = float((first - second).abs().max() / first.abs().max())
    seconds = timed(calls, repeats)
    slow, fast = seconds.values()
    shown = ", ".join(f"{name} {1e3 * value:.1f} ms" for name, value in seconds.items())
    print(f"{what:34s} {shown}: {100 * (fast / slow - 1):+.0f} %  deviation {apart:.0e}", flush=True)


def moved(net: Net) -> Net:
    """Away from where it starts: branches of the one are zero there, exponentials of the other one."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return net.eval()


def transformer(arguments: argparse.Namespace) -> dict[str, Callable[[], Tensor]]:
    net = moved(DiT(width=512, depth=8, heads=8, token_width=512, global_width=1024))
    present = torch.zeros(3, TEXT + ROLLOFFS, dtype=torch.bool)
    present[2, : arguments.words], present[2, TEXT:] = True, True
    tokens = torch.randn(3, TEXT + ROLLOFFS, 512) * present[..., None]
    vector = torch.randn(1, 1024).expand(3, -1)
    start = torch.randn(1, 64, arguments.frames).expand(3, -1, -1)
    beside = torch.cat([torch.full_like(start[:1], -5.0), start[:2]])
    times = torch.linspace(1, 0.5, arguments.steps + 1)

    def walk(context: Callable[[], object]) -> Tensor:
        x = start
        for now, later in pairwise(times):
            x = x + (later - now) * net(x, now.expand(3), context(), beside)
        return x

    def plain() -> Tensor:
        return walk(lambda: net.context(tokens, global_cond=vector))

    def ours() -> Tensor:
        once = net.context(tokens, present, vector)
        return walk(lambda: once)

    return {"plain": plain, "auscult": ours}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--words", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--samples", type=int, default=65_536)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    keep_freed_memory()  # for all
    print(f"{torch.get_num_threads()} threads")
    with torch.inference_mode():
        what = f"DiT, {arguments.steps} steps of {arguments.frames} frames"
        report(what, transformer(arguments), arguments.repeats)
        codec = moved(Oobleck())
        fast, wave = codec.folded(), torch.randn(1, 2, arguments.samples)
        z = codec.encode(wave).mean
        encode = {"plain": lambda: codec.encode(wave).mean, "folded": lambda: fast.encode(wave).mean}
        report(f"codec, encode {arguments.samples} samples", encode, arguments.repeats)
        decode = {"plain": lambda: codec.decode(z), "folded": lambda: fast.decode(z)}
        report(f"codec, decode {arguments.samples} samples", decode, arguments.repeats)


if __name__ == "__main__":
    main()
