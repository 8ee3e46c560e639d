"""Measures on the weights in the checkpoints of one run: what moved, what its average did. numpy only."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
from numpy import ndarray

from auscult.errors import CheckpointError
from auscult.hub.bundle import read_meta

AVERAGED = "ema."
CONSTANT = re.compile(
    r"(.*\.)?(window|frequencies|freqs?|basis|filters?|filterbank|mask|positions?|table|sigmas?|running_(mean|var)"
    r"|num_batches_tracked|scale_factor|_u|_v)|(.*\.)?(i?erb(_fc)?|mel|i?stft|i?dft|fourier|window|filterbank)\..*"
)
"""Names that constants and statistics have; they may rest."""


@dataclass(frozen=True)
class Moved:
    """Two checkpoints compared, net by net.

    Args:
        resting: modules whose every tensor with a gradient is the same to the bit, by the numbers they hold.
        numbers: held by all modules that were compared.
        distance: of the weights, over their norm.
    """

    steps: int
    resting: Mapping[str, int]
    numbers: int
    distance: float


@dataclass(frozen=True)
class Averaged:
    """Averages of two checkpoints beside the raw weights.

    Args:
        same_as_raw: whether the average is the raw weights to the bit in both, and these moved.
        rests: whether the average is the same to the bit in both, where the raw weights are not.
        lag: steps by which the last average trails, read off the way between the two; None where nothing moved.
    """

    same_as_raw: bool
    rests: bool
    lag: float | None


class Weights:
    """Tensors of a checkpoint, read one at a time.

    Raises:
        CheckpointError: it is none of ours, or cannot be read.
    """

    def __init__(self, path: Path):
        self.path, self.step = path, read_meta(path).step
        self._file = safetensors.safe_open(str(path), "numpy")
        self.names = frozenset(self._file.keys())

    def tensor(self, name: str) -> ndarray:
        """One tensor."""
        return self._file.get_tensor(name)

    def is_floating(self, name: str) -> bool:
        """By its header."""
        return self._file.get_slice(name).get_dtype() in ("F64", "F32", "F16")


def opened(paths: Sequence[Path]) -> list[Weights]:
    """Checkpoints by step, those that cannot be read left out."""
    found = []
    for path in paths:
        try:
            found.append(Weights(path))
        except CheckpointError:
            continue
    return sorted(found, key=lambda one: one.step)


def learnable(one: Weights) -> list[str]:
    """Raw tensors that look like parameters: floating, and not named like a constant."""
    raw = sorted(name for name in one.names if not name.startswith(AVERAGED) and not CONSTANT.fullmatch(name))
    return [name for name in raw if one.is_floating(name)]


def moved(first: Weights, last: Weights) -> Moved:
    """What changed between two checkpoints."""
    rests: dict[str, bool] = {}
    sizes: dict[str, int] = {}
    apart = size = 0.0
    for name in learnable(last):
        if name not in first.names:
            continue
        before, after = first.tensor(name).astype(float), last.tensor(name).astype(float)
        module = name.rpartition(".")[0]
        rests[module] = rests.get(module, True) and before.shape == after.shape and bool(np.array_equal(before, after))
        sizes[module] = sizes.get(module, 0) + after.size
        if before.shape == after.shape:
            apart, size = apart + float(((after - before) ** 2).sum()), size + float((after**2).sum())
    resting = {module: sizes[module] for module, still in rests.items() if still}
    return Moved(last.step - first.step, resting, sum(sizes.values()), math.sqrt(apart / size) if size else 0.0)


def averaged(first: Weights, last: Weights) -> Averaged | None:
    """What the averages did between two checkpoints; None where there are none."""
    names = [n for n in learnable(last) if AVERAGED + n in last.names and {n, AVERAGED + n} <= first.names]
    if not names:
        return None
    same = [True, True]
    rests, moves = True, False
    along = length = 0.0
    for name in names:
        raw = [one.tensor(name).astype(float) for one in (first, last)]
        mean = [one.tensor(AVERAGED + name).astype(float) for one in (first, last)]
        same = [same[i] and _close(raw[i], mean[i]) for i in (0, 1)]
        rests = rests and bool(np.array_equal(mean[0], mean[1]))
        moves = moves or not np.array_equal(raw[0], raw[1])
        way = raw[1] - raw[0]
        along, length = along + float(((mean[1] - raw[0]) * way).sum()), length + float((way**2).sum())
    lag = (1 - along / length) * (last.step - first.step) if length > 0 else None
    return Averaged(all(same) and moves, rests and moves, lag)


def _close(one: ndarray, other: ndarray) -> bool:
    """Equal to the rounding of half precision, in which averages may be kept."""
    return one.shape == other.shape and bool(np.array_equal(one.astype(np.float32), other.astype(np.float32)))
