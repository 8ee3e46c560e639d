"""Trackers: TensorBoard, Weights & Biases and CSV, switched on by flag. The history is always written beside them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from auscult.errors import TrainingError, nearest, need
from auscult.files import write_bytes


class _Sink(Protocol):
    def log(self, values: Mapping[str, float], step: int) -> None: ...

    def close(self) -> None: ...


class Tracker:
    """Sends every row's numbers, flattened to ``net/parts/magnitude``, to the trackers asked for."""

    def __init__(self, names: Sequence[str], run: Path, step: int):
        for name in names:
            if name not in _SINKS:
                raise TrainingError(f"no tracker '{name}'{nearest(name, _SINKS)}; allowed: {', '.join(_SINKS)}")
        self._sinks: list[_Sink] = [_SINKS[name](run, step) for name in names]

    def log(self, row: Mapping[str, Any]) -> None:
        """One row of the history."""
        values = flatten({k: v for k, v in row.items() if k not in ("kind", "step", "ranks", "items")})
        for sink in self._sinks:
            sink.log({f"{row['kind']}/{name}": value for name, value in values.items()}, row["step"])

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sink in self._sinks:
            sink.close()


def flatten(node: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Numbers of a nested mapping by path."""
    flat: dict[str, float] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}/")
        elif isinstance(value, int | float):
            flat[f"{prefix}{key}"] = float(value)
    return flat


class _Csv:
    """``track.csv``: one line a number (step, name, value), so that columns may come and go."""

    def __init__(self, run: Path, step: int):
        path = run / "track.csv"
        lines = path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
        kept = [line for line in lines if int(line.partition(",")[0]) <= step]
        write_bytes(path, "".join(f"{line}\n" for line in ["step,name,value", *kept]).encode())
        self._file = open(path, "a", newline="", encoding="utf-8")  # noqa: SIM115  held for the life of the run
        self._writer = csv.writer(self._file, lineterminator="\n")

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._writer.writerows([step, name, value] for name, value in values.items())
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _TensorBoard:
    def __init__(self, run: Path, step: int):
        need("tensorboard", "the tracker tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1)

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    def __init__(self, run: Path, step: int):
        wandb = need("wandb", "the tracker wandb")
        self._run = wandb.init(project="auscult", id=run.name, name=run.name, dir=str(run), resume="allow")

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


_SINKS = {"csv": _Csv, "tensorboard": _TensorBoard, "wandb": _Wandb}
