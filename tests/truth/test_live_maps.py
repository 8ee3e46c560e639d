"""How much NCSN++ holds at once at inference: as counted by hand, with maps freed as soon as they are used."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from auscult.nets.ncsnpp import NCSNpp

BINS, FRAMES, WIDTH = 32, 64, 32
UNIT = BINS * FRAMES * WIDTH * 4  # bytes of one map of the first level, float32


class Live(TorchDispatchMode):
    """Bytes of maps that operations have made and somebody still holds, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor) and function._schema.returns[0].alias_info is None and tensor.dim() == 4:
                self.held[id(tensor)] = tensor.nbytes
                weakref.finalize(tensor, self.held.pop, id(tensor), None)
        self.peak = max(self.peak, sum(self.held.values()))
        return result


@pytest.mark.parametrize(("blocks", "units"), [(1, 6), (2, 7)])
def test_only_what_is_still_needed_is_held(blocks: int, units: int) -> None:
    """The peak is the first convolution of the last level: the joined map, 2 units, the same activated, 2 units, what
    it makes, 1, and the skips below the joined one: the stem's and those of all blocks but one. The pyramids add a
    fifth of a unit."""
    net = NCSNpp(channels=WIDTH, multipliers=(1, 1), blocks=blocks, attention_heights=(), bins=BINS).eval()
    inputs, t = torch.randn(1, 2, BINS, FRAMES, dtype=torch.complex64), torch.tensor([0.5])
    with torch.no_grad(), Live() as live:
        net(inputs, t)
    assert units <= live.peak / UNIT < units + 0.25
