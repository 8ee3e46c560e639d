"""Where CMGAN's losses lead without any net: plain gradient descent on the spectrum itself, from the noisy one.

As intended, and with the published trainer's defect (the time term compares with clean waves that are not normalised).
A loss that leads away from the target on this path leads every net there.

    python benchmarks/descent.py --clean FOLDER --noisy FOLDER [--items 4] [--steps 1200]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from auscult.audio.clip import find_audio, read
from auscult.features.normalise import Normalise, Statistics
from auscult.features.spectral import CompressedSTFT
from auscult.losses.spectral import ComplexError, MagnitudeError
from auscult.losses.waveform import L1
from auscult.methods.notes import gain
from auscult.metrics.base import Signals
from auscult.metrics.perceptual import PesqWideband

SHOWN = (0, 10, 40, 150, 300, 600, 1200)
FEATURES = CompressedSTFT(400, 100, "hamming", exponent=0.3, factor=1.0)
RATE = 0.05


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("clean", "noisy"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--items", type=int, default=4)
    parser.add_argument("--steps", type=int, default=SHOWN[-1])
    given = parser.parse_args()
    names = [path.name for path in find_audio(given.clean)][: given.items]
    pairs = [[read(folder / name).wave for folder in (given.clean, given.noisy)] for name in names]
    shown = [step for step in SHOWN if step <= given.steps]
    print("| | " + " | ".join(map(str, shown)) + " |\n|" + "---|" * (len(shown) + 1))
    for title, defect in (("as intended", False), ("with the defect", True)):
        found = np.array([list(descent(clean, noisy, shown, defect)) for clean, noisy in pairs]).mean(0)
        for column, quantity in enumerate(("loss", "PESQ", "gain")):
            print(f"| {title}: {quantity} | " + " | ".join(f"{value:.3f}" for value in found[:, column]) + " |")


def descent(clean: np.ndarray, noisy: np.ndarray, shown: list[int], defect: bool) -> list[tuple[float, float, float]]:
    """Loss, PESQ and gain at some steps."""
    level = float(Normalise("rms").gain(Statistics.of(noisy[None]))[0])
    target = level * torch.from_numpy(clean)[None]
    z = FEATURES.encode(level * torch.from_numpy(noisy)[None]).requires_grad_()
    loss = losses(target, level, defect)
    rows = []
    for step in range(shown[-1] + 1):
        wave = FEATURES.decode(z, target.shape[-1])
        value = loss(z, wave)
        if step in shown:
            pesq = PesqWideband()(Signals(wave.detach()[0, 0].numpy(), 16_000, clean=clean[0]))
            rows.append((value.item(), pesq, gain(wave, target)))
        (gradient,) = torch.autograd.grad(value, z)
        z = (z.detach() - RATE * z.numel() * gradient).requires_grad_()
    return rows


def losses(target: Tensor, level: float, defect: bool) -> Callable[[Tensor, Tensor], Tensor]:
    spectrum, compared = FEATURES.encode(target), target / level if defect else target

    def loss(z: Tensor, wave: Tensor) -> Tensor:
        spectral = MagnitudeError(0.9)(z, spectrum).total + ComplexError(0.1)(z, spectrum).total
        return spectral + L1(0.2)(wave, compared).total

    return loss


if __name__ == "__main__":
    main()
