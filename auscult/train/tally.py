"""What a run records between two rows of its history."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather_object
from torch import nn

from auscult.data.pairs import PairBatch
from auscult.losses.base import Loss
from auscult.train.recurrence import Recurrence
from auscult.train.shares import gradient_shares

if TYPE_CHECKING:
    from auscult.train.loop import Trainer


class Tally:
    """What happened since the last logged row."""

    def __init__(self) -> None:
        self._recurrence = Recurrence()
        self._clear()

    def _clear(self) -> None:
        self.waited_s, self._started, self._steps, self._items = 0.0, time.perf_counter(), 0, 0
        self._skipped: Counter[str] = Counter()
        self._parts: dict[str, dict[str, float]] = {}
        self._weights: dict[str, Mapping[str, float]] = {}
        self._norms: dict[str, list[float]] = {}
        self._clipped: Counter[str] = Counter()
        self._unstepped: Counter[str] = Counter()
        self._notes: dict[str, dict[str, list[float]]] = {}
        self._dropped: dict[str, Counter[str]] = {}
        self._shares: dict[str, dict[str, Any]] = {}
        self._audio_s = 0.0
        self._positions: list[int] = []
        self._again = 0

    def start(self) -> None:
        """Learning begins now."""
        self._started = time.perf_counter()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Validations and saves are no part of the speed of learning."""
        since = time.perf_counter()
        yield
        self._started += time.perf_counter() - since

    def items(self, batches: list[PairBatch], total: int) -> None:
        self._steps += 1
        self._items += total
        for batch in batches:
            self._skipped.update(batch.skipped)
            self._positions += batch.positions
        self._again += self._recurrence.count(batches)

    def loss(self, turn: str, loss: Loss, weight: float) -> None:
        sums = self._parts.setdefault(turn, dict.fromkeys(loss.parts, 0.0))
        for name, part in loss.parts.items():
            sums[name] += float(part.detach()) * weight
        self._weights[turn] = loss.weights
        notes = self._notes.setdefault(turn, {})
        for name, value in loss.notes.items():
            notes.setdefault(name, []).append(value)
        self._dropped.setdefault(turn, Counter()).update(loss.dropped)

    def shares(self, turn: str, loss: Loss) -> None:
        """Sample how the parts of a loss pull at the estimate."""
        self._shares[turn] = gradient_shares(loss)

    def update(self, turn: str, norm: float, limit: float | None, stepped: bool) -> None:
        self._norms.setdefault(turn, []).append(norm)
        self._clipped[turn] += limit is not None and norm > limit
        self._unstepped[turn] += not stepped

    def row(self, trainer: Trainer) -> dict[str, Any]:
        """The row of a logged step; starts a new tally."""
        accelerator, state, plan = trainer.accelerator, trainer.state, trainer.plan
        elapsed = time.perf_counter() - self._started
        turns = {}
        for turn in trainer.turns:
            sums = torch.tensor(list(self._parts[turn].values()), dtype=torch.float64) / self._steps
            sums = accelerator.reduce(sums.float().to(accelerator.device), "mean")
            parts = dict(zip(self._parts[turn], sums.tolist(), strict=True))
            weights = self._weights[turn]
            turns[turn] = {
                "loss": sum(weights[name] * value for name, value in parts.items()),
                "parts": parts,
                "weights": dict(weights),
                "lr": state.optimisers[turn].param_groups[0]["lr"],
                "grad_norm": max(self._norms[turn]),
                "grad_norm_mean": sum(self._norms[turn]) / self._steps,
                "clipped_share": self._clipped[turn] / self._steps,
                "unstepped": self._unstepped[turn],
                **self._shares.get(turn, {}),
            }
            if turn in state.averages:
                average = state.averages[turn]
                turns[turn] |= {"ema_distance": average.distance(state.nets[turn]), "ema_updates": average.updates}
        rank = {
            "rank": accelerator.process_index,
            "step": state.step,
            "parameters": {name: fingerprint(net) for name, net in state.nets.items()},
            "positions": [min(self._positions), max(self._positions)],
            "again": self._again,
            "skipped": dict(self._skipped),
            "notes": {turn: {name: fmean(v) for name, v in notes.items()} for turn, notes in self._notes.items()},
            "dropped": {turn: dict(causes) for turn, causes in self._dropped.items()},
        }
        ranks = gather_object([rank]) if accelerator.num_processes > 1 else [rank]
        for turn in trainer.turns:
            turns[turn] |= _over_ranks(turn, ranks)
        row = {
            "kind": "step",
            "step": state.step,
            "turns": turns,
            "items": self._items,
            "skipped": dict(sum((Counter(rank["skipped"]) for rank in ranks), Counter())),
            "items_per_s": self._items / elapsed,
            "audio_per_s": self._items * (plan.data.crop_s or 0.0) / elapsed,
            "loader_wait_share": self.waited_s / elapsed,
            "peak_memory_mib": peak_memory_mib(accelerator.device),
            "ranks": ranks,
        }
        self._clear()
        return row


def _over_ranks(turn: str, ranks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means of the notes of a turn, and what it dropped, over all processes."""
    notes = [rank["notes"].get(turn, {}) for rank in ranks]
    names = dict.fromkeys(name for one in notes for name in one)
    means = {name: fmean(one[name] for one in notes if name in one) for name in names}
    dropped = sum((Counter(rank["dropped"].get(turn, {})) for rank in ranks), Counter[str]())
    return ({"notes": means} if means else {}) | ({"dropped": dict(dropped)} if dropped else {})


def fingerprint(net: nn.Module) -> str:
    """Eight hex digits that tell whether two processes hold the same weights."""
    total = torch.stack([p.detach().double().sum() for p in net.parameters()]).cpu()
    weights = torch.arange(1, total.numel() + 1, dtype=torch.float64)
    return f"{hash(float((total * weights).sum())) & 0xFFFFFFFF:08x}"


def peak_memory_mib(device: torch.device) -> float:
    """Peak memory of the process, on the GPU where there is one."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
