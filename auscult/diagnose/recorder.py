"""A logger of a few lines for anyone's training loop: it writes the history that the doctor reads.

with Recorder("runs/mine", net=net, optimiser=opt) as rec:
    for batch in loader:
        loss = ...; loss.backward(); norm = clip_grad_norm_(net.parameters(), 1.0); opt.step()
        rec.step(loss, grad_norm=norm, clip_norm=1.0)
        opt.zero_grad()
    rec.validation({"p232_001.wav": {"pesq": 2.9}, ...})
"""

from __future__ import annotations

import hashlib
import json
import math
import resource
import struct
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from auscult.errors import TrainingError
from auscult.hub.runs import HISTORY

if TYPE_CHECKING:
    from torch import Tensor, nn, optim


class Recorder:
    """Writes ``history.jsonl`` into a folder: a row every so many steps, one a validation; appended to when resumed.

    Losses and norms are summed where they are and fetched from the device with a row only, so that a step costs
    next to nothing; the update of the weights is measured over the last step of each row.

    Args:
        net: the net that learns; without it there are no norms and ratios.
        optimiser: tells the learning rate.
        ema: the averaged weights, as a net or as tensors by name.
        every: steps a row.
        rank: of this process; others than 0 write what they are and saw into a file of their own.
        step: the step that is resumed from.

    Raises:
        TrainingError: the folder cannot be written, or ``every`` is no count.
    """

    def __init__(
        self,
        folder: str | Path,
        net: nn.Module | None = None,
        optimiser: optim.Optimizer | None = None,
        ema: nn.Module | Mapping[str, Tensor] | None = None,
        every: int = 50,
        rank: int = 0,
        step: int = 0,
    ):
        if every < 1:
            raise TrainingError(f"Recorder(every={every}): a row takes 1 step or more")
        self.net, self.optimiser, self.ema = net, optimiser, ema
        self.every, self.rank, self.steps = every, rank, step
        self._file = _opened(Path(folder), rank)
        self._parameters = list(net.named_parameters()) if net is not None else []
        self._before: list[Tensor] | None = None
        self._write({"kind": "start", "step": step})
        self._clear()

    def _clear(self) -> None:
        self._sums: dict[str, Any] = {}
        self._norms: list[Any] = []
        self._clip: float | None = None
        self._seen: list[str] = []
        self._items, self._count, self._waited_s = 0, 0, 0.0
        self._since = time.perf_counter()

    def step(
        self,
        loss: float | Tensor,
        parts: Mapping[str, float | Tensor] | None = None,
        grad_norm: float | Tensor | None = None,
        clip_norm: float | None = None,
        items: Iterable[object] | int | None = None,
        wait_s: float = 0.0,
    ) -> None:
        """After the optimiser's step and before ``zero_grad``.

        Args:
            parts: the loss's weighted parts.
            grad_norm: before clipping; without it the norm of the gradients as they are now, at the row's last step.
            clip_norm: its bound.
            items: names or indices of the items of the step, or how many.
            wait_s: seconds that the step waited for its data.
        """
        self.steps, self._count = self.steps + 1, self._count + 1
        for name, value in {"loss": loss, **{f"parts/{name}": part for name, part in (parts or {}).items()}}.items():
            self._sums[name] = self._sums.get(name, 0.0) + _detached(value)
        if grad_norm is not None:
            self._norms.append(_detached(grad_norm))
        self._clip, self._waited_s = clip_norm, self._waited_s + wait_s
        if items is not None:
            self._saw(items)
        if self._count == self.every:
            self._row()
        if self._count == self.every - 1:
            self._before = [p.detach().clone() for _, p in self._parameters]

    def _saw(self, items: Iterable[object] | int) -> None:
        names = [] if isinstance(items, int) else [str(item) for item in items]
        self._items += items if isinstance(items, int) else len(names)
        if names:
            self._seen.append(hashlib.sha256("\0".join(names).encode()).hexdigest()[:8])

    def validation(
        self,
        scores: Mapping[str, Mapping[str, float]] | None = None,
        loss: float | None = None,
        step: int | None = None,
    ) -> None:
        """Scores of every item by metric, and the validation loss."""
        items = scores or {}
        metrics = dict.fromkeys(metric for one in items.values() for metric in one)
        means = {
            metric: _number(_mean([float(one[metric]) for one in items.values() if metric in one]))
            for metric in metrics
        }
        means |= {"loss": _number(loss)} if loss is not None else {}
        rows: list[dict[str, Any]] = [
            {"item": name, **{m: _number(v) for m, v in one.items()}, "failed": {}} for name, one in items.items()
        ]
        at = self.steps if step is None else step
        if self.rank == 0:
            self._write({"kind": "validation", "step": at, "means": means, "items": rows})

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write what is left, and release the file."""
        if self._count:
            self._row()
        self._file.close()

    def _row(self) -> None:
        """The row of a logged step."""
        elapsed = max(time.perf_counter() - self._since, 1e-9)
        sums = {name: _number(value / self._count) for name, value in self._sums.items()}
        ratios, digest = self._movement()
        parts = {name.removeprefix("parts/"): value for name, value in sums.items() if name != "loss"}
        turn: dict[str, Any] = {"loss": sums["loss"], "parts": parts, "weights": dict.fromkeys(parts, 1.0)}
        turn |= self._rates() | self._gradients() | ({"update_ratio": ratios} if ratios else {}) | self._average()
        rank: dict[str, Any] = {"rank": self.rank, "step": self.steps} | ({"parameters": digest} if digest else {})
        rank |= {"seen": self._seen} if self._seen else {}
        row: dict[str, Any] = {
            "kind": "step",
            "step": self.steps,
            "turns": {"net": turn},
            "skipped": {},
            "ranks": [rank],
        }
        row |= {"items": self._items, "items_per_s": self._items / elapsed}
        row |= {"loader_wait_share": self._waited_s / elapsed} if self._waited_s else {}
        row["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        self._write(row)
        self._before = None
        self._clear()

    def _rates(self) -> dict[str, float]:
        return {"lr": float(self.optimiser.param_groups[0]["lr"])} if self.optimiser is not None else {}

    def _gradients(self) -> dict[str, float | str]:
        """Largest and mean norm before clipping, and the share of steps above the bound."""
        norms = [float(norm) for norm in self._norms] or self._norm_now()
        if not norms:
            return {}
        clip = self._clip
        clipped = {"clipped_share": sum(norm > clip for norm in norms) / len(norms)} if clip is not None else {}
        return {"grad_norm": _number(max(norms)), "grad_norm_mean": _number(_mean(norms)), **clipped}

    def _norm_now(self) -> list[float]:
        gradients = [p.grad for _, p in self._parameters if p.grad is not None]
        if not gradients:
            return []
        import torch

        return [float(torch.stack(torch._foreach_norm(gradients)).norm())]

    def _movement(self) -> tuple[dict[str, float], str]:
        """Update over weights of the last step, of each child of the net and of ``all``; a digest of the weights."""
        if not self._parameters:
            return {}, ""
        import torch

        weights = [p.detach() for _, p in self._parameters]
        sizes = torch.stack(torch._foreach_norm(weights)).double().square().tolist()
        digest = hashlib.sha256(struct.pack(f"{len(sizes)}d", *sizes)).hexdigest()[:8]
        if self._before is None or self._count < self.every:
            return {}, digest
        moved = torch.stack(torch._foreach_norm(torch._foreach_sub(weights, self._before))).double().square().tolist()
        groups: dict[str, list[float]] = {}
        for (name, _), way, size in zip(self._parameters, moved, sizes, strict=True):
            for group in dict.fromkeys((name.partition(".")[0], "all")):
                sums = groups.setdefault(group, [0.0, 0.0])
                sums[0], sums[1] = sums[0] + way, sums[1] + size
        return {
            n: math.sqrt(way / size) for n, (way, size) in groups.items() if size > 0 and math.isfinite(way)
        }, digest

    def _average(self) -> dict[str, float]:
        """Distance of the averaged weights from the net's, over the norm of these."""
        if self.ema is None or not self._parameters:
            return {}
        tensors = self.ema if isinstance(self.ema, Mapping) else dict(self.ema.named_parameters())
        both = [(p.detach(), tensors[name].detach()) for name, p in self._parameters if name in tensors]
        apart = sum(float((one.float() - other.float()).square().sum()) for one, other in both)
        size = sum(float(one.float().square().sum()) for one, _ in both)
        return {"ema_distance": math.sqrt(apart / size)} if size and math.isfinite(apart) else {}

    def _write(self, row: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()


def _opened(folder: Path, rank: int) -> IO[str]:
    name = HISTORY if rank == 0 else f"{Path(HISTORY).stem}.rank{rank}.jsonl"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return open(folder / name, "a", encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from error


def _detached(value: Any) -> Any:
    return value.detach() if hasattr(value, "detach") else value


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _number(value: Any) -> float | str:
    """JSON has no NaN: a number that is not finite becomes text, as in our own histories."""
    number = float(value)
    return number if math.isfinite(number) else str(number)
