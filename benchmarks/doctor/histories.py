"""A run as the histories that other trainers write of it: tables, JSON lines, TensorBoard events, logs.

Every format holds the same: loss and its parts, learning rate, gradient norm, the discriminator's loss, and the means
of each validation. What only our own history has (averages, items, processes, weights) is in none of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from auscult.hub.runs import read_history

Row = tuple[int, Mapping[str, float]]
"""Step, and values by the names of :func:`rows`."""
Writer = Callable[[Sequence[Row], int | None, Path], dict[str, Any]]
"""(rows, step at which the run was resumed, folder) to what the doctor is given."""

PLAIN = {"loss": "train_loss", "lr": "lr", "norm": "grad_norm", "valid pesq": "val_pesq", "valid si_sdr": "val_si_sdr"}
UNUSUAL = {"loss": "objective (smoothed)", "lr": "opt/eta", "norm": "|g|2", "disc": "D objective",
           "valid pesq": "MOS-LQO wb", "valid si_sdr": "SISDR held out"}  # fmt: skip
MEANT = {"iter": "step", "objective (smoothed)": "train.loss", "opt/eta": "lr", "|g|2": "grad_norm",
         "D objective": "discriminator.loss", "MOS-LQO wb": "valid.pesq", "SISDR held out": "valid.si_sdr"}  # fmt: skip
"""What a user would say of such columns, by ``--column``."""


def rows(history: Path) -> Iterator[Row]:
    """Of a history of ours: ``loss``, ``part <name>``, ``lr``, ``norm``, ``disc``, ``valid <metric>``."""
    for row in read_history(history):
        if row["kind"] == "validation":
            yield row["step"], {f"valid {name}": float(value) for name, value in row["means"].items()}
        elif row["kind"] == "step":
            yield row["step"], dict(_of_step(row["turns"]))


def _of_step(turns: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    net = next(iter(turns.values()))
    yield from (("loss", float(net["loss"])), ("lr", float(net["lr"])), ("norm", float(net["grad_norm"])))
    if len(net["parts"]) > 1:
        yield from ((f"part {name}", float(value)) for name, value in net["parts"].items())
    if "discriminator" in turns:
        yield "disc", float(turns["discriminator"]["loss"])


def plain_table(found: Sequence[Row], resumed_at: int | None, folder: Path) -> dict[str, Any]:
    """The ragged table of a common trainer, without parts: a row a logged step, a row a validation."""
    return {"history": _table(found, "step", PLAIN, ",", folder / "metrics.csv")}


def unusual_table(found: Sequence[Row], resumed_at: int | None, folder: Path) -> dict[str, Any]:
    """Somebody's own table; no reader can guess its columns, so they are said."""
    seen = {name for _, values in found for name in values}
    columns = {name: UNUSUAL[name] for name in UNUSUAL if name in seen}
    meant = {column: MEANT[column] for column in ("iter", *columns.values())}
    return {"history": _table(found, "iter", columns, ";", folder / "log.csv"), "columns": meant}


def _table(found: Sequence[Row], step: str, columns: Mapping[str, str], between: str, path: Path) -> Path:
    lines = [between.join((step, *columns.values()))]
    lines += [between.join((str(at), *(str(values.get(name, "")) for name in columns))) for at, values in found]
    path.write_text("\n".join(lines) + "\n")
    return path


def json_lines(found: Sequence[Row], resumed_at: int | None, folder: Path) -> dict[str, Any]:
    """A nested record a line."""
    path = folder / "train_log.jsonl"
    path.write_text("".join(json.dumps({"global_step": at, **_nested(values)}) + "\n" for at, values in found))
    return {"history": path}


def _nested(values: Mapping[str, float]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for name, value in values.items():
        kind, _, rest = name.partition(" ")
        group = "optim" if kind == "lr" else "eval" if kind == "valid" else "train"
        key = {"norm": "gnorm", "disc": "d_loss", "valid": rest, "part": f"loss_{rest}"}.get(kind, kind)
        record.setdefault(group, {})[key] = value
    return record


def events(found: Sequence[Row], resumed_at: int | None, folder: Path) -> dict[str, Any]:
    """TensorBoard scalars; a resumed run begins a second file."""
    from torch.utils.tensorboard import SummaryWriter

    again = float("inf") if resumed_at is None else resumed_at
    for number, part in enumerate(([r for r in found if r[0] <= again], [r for r in found if r[0] > again])):
        if not part:
            continue
        with SummaryWriter(str(folder / "events"), filename_suffix=f".{number}") as writer:  # type: ignore[no-untyped-call]
            for at, values in part:
                for name, value in values.items():
                    writer.add_scalar(_tag(name), value, at)  # type: ignore[no-untyped-call]
    return {"history": folder / "events"}


def _tag(name: str) -> str:
    kind, _, rest = name.partition(" ")
    known = {"loss": "Loss/train", "part": f"Loss/train_{rest}", "disc": "Loss/discriminator", "lr": "LR",
             "norm": "GradNorm", "valid": f"Metrics_val/{rest.upper()}"}  # fmt: skip
    return known[kind]


def log_lines(found: Sequence[Row], resumed_at: int | None, folder: Path) -> dict[str, Any]:
    """What a trainer prints, to four digits."""
    path, lines, told = folder / "train.log", ["INFO config: batch=4 crop_s=1.0"], False
    for number, (at, values) in enumerate(found):
        if resumed_at is not None and at > resumed_at and not told:
            lines.append(f"INFO resuming from checkpoint step-{resumed_at:08d}")
            told = True
        lines.append(f"2026-01-05 11:{number // 60:02d}:{number % 60:02d} INFO {_said(at, values)}")
    path.write_text("\n".join(lines) + "\n")
    return {"history": path}


def _said(at: int, values: Mapping[str, float]) -> str:
    validation = any(name.startswith("valid ") for name in values)
    short = {"norm": "grad_norm", "disc": "d_loss"}
    told = {short.get(name, name.replace("part ", "loss_").removeprefix("valid ")): v for name, v in values.items()}
    return f"[{'valid' if validation else 'train'}] step {at}: " + " ".join(f"{k}={v:.4g}" for k, v in told.items())


WRITERS: Mapping[str, Writer] = {
    "history": plain_table,
    "history-table": unusual_table,
    "history-lines": json_lines,
    "history-events": events,
    "history-log": log_lines,
}
"""By the way that a case is given."""


def foreign(way: str, history: Path, resumed: bool, folder: Path) -> dict[str, Any]:
    """Write a run's history in a format, and say what a doctor is given of it. Resumed runs are so half-way."""
    found = list(rows(history))
    return WRITERS[way](found, found[-1][0] // 2 if resumed and found else None, folder)
