"""TSCNet (CMGAN's generator, 1.83 M parameters) against a textbook form of it, side by side in one run.

python benchmarks/cmgan.py [--repeats 3] [--limit-gib 8]

Both run on the same weights and give the same output. The textbook form is the net as one writes it down: angle, cosine
and sine, maps joined and padded before each dense layer, an embedding gathered for each pair of positions, all scores
kept, convolutions on sequences. Runs are interleaved; the shortest counts. Memory is the peak of a process of its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from auscult.allocator import keep_freed_memory
from auscult.features.spectral import CompressedSTFT
from auscult.nets.conformer import Conformer, ConvolutionModule, RelativeAttention
from auscult.nets.dense import DilatedDense
from auscult.nets.tscnet import TSCNet

STFT = CompressedSTFT(400, 100, "hamming", exponent=0.3, factor=1.0)


class Ours(nn.Module):
    """Plain spectrum in, compressed estimate out."""

    def __init__(self, net: TSCNet):
        super().__init__()
        self.net = net

    def forward(self, spectrum: Tensor) -> Tensor:
        return self.net(STFT.compress(spectrum))


class Textbook(nn.Module):
    """The same on the same weights, computed the plain way."""

    def __init__(self, net: TSCNet):
        super().__init__()
        self.net = net

    def forward(self, spectrum: Tensor) -> Tensor:
        net = self.net
        magnitude, phase = spectrum[:, 0].mT.abs()[:, None] ** 0.3, spectrum[:, 0].mT.angle()[:, None]
        x = torch.cat([magnitude, magnitude * torch.cos(phase), magnitude * torch.sin(phase)], dim=1)
        h = net.encoder.shrink(_dense(net.encoder.dense, net.encoder.stem(x)))
        for block in net.blocks:
            b, c, n, f = h.shape
            along = h.permute(0, 3, 2, 1).reshape(b * f, n, c)
            along = (_conformer(block.time, along) + along).view(b, f, n, c)
            across = along.transpose(1, 2).reshape(b * n, f, c)
            h = (_conformer(block.frequency, across) + across).view(b, n, f, c).permute(0, 3, 1, 2)
        decoder = net.mask
        m = decoder.last(decoder.act(decoder.norm(decoder.head(decoder.grow(_dense(decoder.dense, h))))))
        masked = magnitude * decoder.last_act(m.transpose(1, 3)).transpose(1, 3)
        decoder = net.complex
        extra = decoder.head(decoder.act(decoder.norm(decoder.grow(_dense(decoder.dense, h)))))
        real, imaginary = masked * torch.cos(phase) + extra[:, :1], masked * torch.sin(phase) + extra[:, 1:]
        return torch.complex(real, imaginary).mT


def _dense(block: DilatedDense, x: Tensor) -> Tensor:
    seen = x
    for layer in block.layers:
        conv = layer.conv
        padded = F.pad(seen, (1, 1, conv.dilation[0], 0))
        x = layer.act(layer.norm(F.conv2d(padded, conv.weight, conv.bias, dilation=conv.dilation)))
        seen = torch.cat([x, seen], dim=1)
    return x


def _conformer(conformer: Conformer, x: Tensor) -> Tensor:
    x = x + 0.5 * conformer.step_in(x)
    x = x + _attention(conformer.attention, x)
    x = x + _convolution(conformer.convolution, x)
    x = x + 0.5 * conformer.step_out(x)
    return conformer.norm(x)


def _attention(layer: RelativeAttention, x: Tensor) -> Tensor:
    h, length = layer.norm(x), x.shape[1]
    q, k, v = (
        t.unflatten(-1, (layer.heads, -1)).transpose(1, 2)
        for t in (layer.query(h), *layer.key_value(h).chunk(2, dim=-1))
    )
    scale, position = q.shape[-1] ** -0.5, torch.arange(length)
    distance = (position[:, None] - position).clamp(-layer.max_distance, layer.max_distance)
    embeddings = layer.positions[distance + layer.max_distance]
    scores = torch.einsum("shid,shjd->shij", q, k) * scale
    scores = scores + torch.einsum("shid,ijd->shij", q, embeddings) * scale
    mixed = torch.einsum("shij,shjd->shid", scores.softmax(dim=-1), v)
    return layer.dropout(layer.out(mixed.transpose(1, 2).flatten(-2)))


def _convolution(module: ConvolutionModule, x: Tensor) -> Tensor:
    gated, depthwise, norm, narrow = module.gated, module.depthwise, module.batch_norm, module.narrow
    h = F.glu(F.conv1d(module.norm(x).transpose(1, 2), gated.weight[..., None], gated.bias), dim=1)
    h = F.conv1d(h, depthwise.weight[:, :, 0], depthwise.bias, padding=depthwise.padding[1], groups=depthwise.groups)
    h = F.batch_norm(h, norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.training)
    return F.conv1d(F.silu(h), narrow.weight[..., None], narrow.bias).transpose(1, 2)


def forms() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    net = TSCNet().eval()
    return {"textbook": Textbook(net), "auscult": Ours(net)}


def spectrum(seconds: float) -> Tensor:
    torch.manual_seed(1)
    return STFT.spectrum(torch.randn(1, 1, int(seconds * 16_000)))


def restored(form: nn.Module, z: Tensor) -> Tensor:
    with torch.inference_mode():
        return form(z)


def learnt(form: nn.Module, z: Tensor) -> Tensor:
    form.zero_grad()
    out = form.train()(z)
    out.abs().square().mean().backward()
    form.eval()
    return out


def compare(what: str, step: Callable[[nn.Module, Tensor], Tensor], seconds: float, repeats: int) -> None:
    """Print the shortest of several interleaved runs of each form."""
    z, both = spectrum(seconds), forms()
    times: Mapping[str, list[float]] = {name: [] for name in both}
    for _ in range(repeats + 1):  # the first one warms up
        for name, form in both.items():
            started = time.perf_counter()
            step(form, z)
            times[name].append(time.perf_counter() - started)
    plain, ours = (min(times[name][1:]) for name in both)
    print(f"{what}, {seconds:.0f} s: textbook {plain:.2f} s, auscult {ours:.2f} s, {plain / ours:.2f}x", flush=True)


def deviation() -> float:
    """The largest difference of the two forms on one second, over the mean magnitude."""
    first, second = (restored(form, spectrum(1.0)) for form in forms().values())
    return float((first - second).abs().max() / first.abs().mean())


def peak(name: str, step: Callable[[nn.Module, Tensor], Tensor], seconds: float, limit_gib: float) -> None:
    """Print the peak memory of this process around one step."""
    resource.setrlimit(resource.RLIMIT_AS, (int(limit_gib * 2**30),) * 2)
    keep_freed_memory()
    try:
        step(forms()[name], spectrum(seconds))
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        print(f"more than {limit_gib:.0f} GiB")
    else:
        print(f"{peak_gib():.2f} GiB")


STEPS = {"forward": restored, "forward and backward": learnt}


def peak_gib() -> float:
    """Of this process since it started; ru_maxrss would also count its parent's."""
    status = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in status if line.startswith("VmHWM")]
    return int(line.split()[1]) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit-gib", type=float, default=8.0, help="address space of a process measured for memory")
    parser.add_argument(
        "--peak", nargs=3, metavar=("FORM", "STEP", "SECONDS"), help="measure one peak, in this process"
    )
    arguments = parser.parse_args()
    if arguments.peak:
        name, step, seconds = arguments.peak
        return peak(name, STEPS[step], float(seconds), arguments.limit_gib)
    keep_freed_memory()
    print(f"{torch.get_num_threads()} threads, best of {arguments.repeats}; outputs differ by {deviation():.1e} (1 s)")
    for step, seconds in (("forward", 2.0), ("forward", 4.0), ("forward and backward", 2.0)):
        compare(step, STEPS[step], seconds, arguments.repeats)
    for step, seconds in (("forward", 2.0), ("forward", 10.0), ("forward and backward", 2.0)):
        for name in ("textbook", "auscult"):
            command = [sys.executable, __file__, "--limit-gib", str(arguments.limit_gib)]
            command += ["--peak", name, step, str(seconds)]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
            print(f"peak memory, {step}, {seconds:.0f} s, {name}: {said}", flush=True)
    return None


if __name__ == "__main__":
    main()
