"""TF-GridNet V2 against the textbook form of the same net, side by side: forward, and with backward.

python benchmarks/tfgridnet.py [--frames 126] [--layers 1] [--repeats 3] [--gpu]

The textbook keeps maps as [B, C, N, F], cuts windows with Unfold, undoes them with ConvTranspose1d, loops over heads
and holds the scores of its attention, as the first published code does. It runs on the weights of
:class:`auscult.nets.tfgridnet.TFGridNet` and gives the same output. Runs of both are interleaved, the shortest counts;
on a CPU what is counted is processor time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from auscult.allocator import keep_freed_memory
from auscult.nets.gridblock import EPS, FrameAttention, GridBlock, HeadNorm, Recurrence
from auscult.nets.tfgridnet import TFGridNet

SIZES = {
    "I1J1, 128 channels": {"embedding": 128, "hidden": 128, "kernel": 1, "qk_channels": 2, "bins": 257},
    "I4J1, 48 channels": {"embedding": 48, "hidden": 192, "kernel": 4, "qk_channels": 2, "bins": 257},
    "I4J4, 24 channels": {"embedding": 24, "hidden": 32, "kernel": 4, "stride": 4, "qk_channels": 2, "bins": 257},
}


class Textbook(nn.Module):
    """The same net, computed the plain way."""

    def __init__(self, net: TFGridNet):
        super().__init__()
        self.net = copy.deepcopy(net).to(memory_format=torch.contiguous_format)
        for block in self.net.blocks:
            for part in (block.across, block.along):
                part.lstm = _batch_first(part)

    def forward(self, z: Tensor) -> Tensor:
        """As ``TFGridNet.forward``."""
        net = self.net
        h = net.stem_norm(net.stem(torch.cat([z.real, z.imag], dim=1).transpose(2, 3)))
        for block in net.blocks:
            h = _block(block, h)
        out = F.conv_transpose2d(h, net.output.weight.transpose(0, 1).flip(2, 3), net.output.bias, padding=1)
        real, imaginary = out.unflatten(1, (net.sources, 2)).transpose(3, 4).unbind(2)
        return torch.complex(real, imaginary)


def _block(block: GridBlock, x: Tensor) -> Tensor:
    batch, channels, frames, bins = x.shape
    around = (*block.grid.padding(bins), *block.grid.padding(frames))
    h = F.pad(x, around)
    long, high = h.shape[2:]
    rows = _norm(h, block.across.norm).permute(0, 2, 1, 3).reshape(batch * long, channels, high)
    h = h + _recur(block.across, rows).view(batch, long, channels, high).permute(0, 2, 1, 3)
    rows = _norm(h, block.along.norm).permute(0, 3, 1, 2).reshape(batch * high, channels, long)
    h = h + _recur(block.along, rows).view(batch, high, channels, long).permute(0, 2, 3, 1)
    h = h[:, :, around[2] :, around[0] :][:, :, :frames, :bins]
    return h + _attend(block.attention, h)


def _norm(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    mean, variance = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
    return (x - mean) / (variance + EPS).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]


def _recur(part: Recurrence, rows: Tensor) -> Tensor:
    cut = F.unfold(rows[..., None], (part.kernel, 1), stride=(part.stride, 1)).transpose(1, 2)  # channel-major
    out = part.lstm(cut)[0].transpose(1, 2)
    weight = part.linear.weight.unflatten(0, (part.kernel, -1)).permute(2, 1, 0)
    back = F.conv_transpose1d(out, weight, stride=part.stride)
    return back + part.bias.view(-1, rows.shape[1]).T.repeat(1, back.shape[2] * rows.shape[1] // part.bias.numel())


def _attend(attention: FrameAttention, x: Tensor) -> Tensor:
    weights, biases = attention.mix.weight.split(attention.split), attention.mix.bias.split(attention.split)
    heads = []
    for head in range(attention.heads):
        parts = []
        for weight, bias, norm in zip(weights, biases, (attention.query, attention.key, attention.value), strict=True):
            own = slice(head * weight.shape[0] // attention.heads, (head + 1) * weight.shape[0] // attention.heads)
            parts.append(_head(F.conv2d(x, weight[own, :, None, None], bias[own]), norm, head))
        query, key, value = (part.transpose(1, 2).flatten(2) for part in parts)
        scores = torch.softmax(query @ key.transpose(1, 2) / math.sqrt(query.shape[2]), dim=2)
        heads.append((scores @ value).unflatten(2, (-1, x.shape[3])).transpose(1, 2))
    out = F.conv2d(torch.cat(heads, dim=1), attention.out.weight[:, :, None, None], attention.out.bias)
    return _head(out, attention.out_norm, 0)


def _head(x: Tensor, norm: HeadNorm, head: int) -> Tensor:
    x = F.prelu(x, norm.slope[head : head + 1])
    mean, variance = x.mean((1, 3), keepdim=True), x.var((1, 3), unbiased=False, keepdim=True)
    return (x - mean) / (variance + EPS).sqrt() * norm.weight[head].T[:, None] + norm.bias[head].T[:, None]


def _batch_first(part: Recurrence) -> nn.LSTM:
    lstm = nn.LSTM(part.lstm.input_size, part.lstm.hidden_size, batch_first=True, bidirectional=True)
    state = part.lstm.state_dict()
    for key in ("weight_ih_l0", "weight_ih_l0_reverse"):
        state[key] = state[key].unflatten(1, (part.kernel, -1)).transpose(1, 2).flatten(1)
    lstm.load_state_dict(state)
    return lstm


def timed(calls: dict[str, Callable[[], None]], repeats: int, device: str) -> dict[str, float]:
    """Shortest of several interleaved runs of each, in seconds, after one to warm up; on a CPU its own seconds."""
    best = dict.fromkeys(calls, math.inf)
    clock = time.perf_counter if device == "cuda" else time.process_time
    for turn in range(repeats + 1):
        for name, call in calls.items():
            started = clock()
            call()
            if device == "cuda":
                torch.cuda.synchronize()
            if turn:
                best[name] = min(best[name], clock() - started)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=126)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--gpu", action="store_true")
    arguments = parser.parse_args()
    device = "cuda" if arguments.gpu else "cpu"
    keep_freed_memory()  # for both
    print(f"{device}, {torch.get_num_threads()} threads, {arguments.frames} frames, {arguments.layers} blocks")
    for name, sizes in SIZES.items():
        compare(name, sizes, arguments, device)


def compare(name: str, sizes: dict[str, int], arguments: argparse.Namespace, device: str) -> None:
    """One line for each of forward, and forward with backward."""
    torch.manual_seed(0)
    net = TFGridNet("v2", layers=arguments.layers, **sizes).to(device)
    textbook = Textbook(net)
    z = torch.randn(1, 1, 257, arguments.frames, dtype=torch.complex64, device=device)
    with torch.no_grad():
        reference, out = textbook(z), net(z)
    apart = float((out - reference).abs().max() / reference.abs().mean())

    def forward(chosen: nn.Module, half: bool) -> None:
        with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=half):
            chosen(z)

    def both(chosen: nn.Module, half: bool) -> None:
        with torch.autocast(device, torch.bfloat16, enabled=half):
            loss = chosen(z).abs().sum()
        loss.backward()

    for what, run in (("forward", forward), ("forward and backward", both)):
        calls = {
            "textbook": partial(run, textbook, False),
            "auscult": partial(run, net, False),
            "auscult bf16": partial(run, net, True),
        }
        seconds = timed(calls, arguments.repeats, device)
        gains = (f"{which} {value:.3f} s ({seconds['textbook'] / value:.2f}x)" for which, value in seconds.items())
        print(f"{name:20s} {what:21s} {'  '.join(gains)}  deviation {apart:.0e}", flush=True)


if __name__ == "__main__":
    main()
