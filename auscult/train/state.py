"""What learns, and how all of it is saved and found again, bit by bit, without pickle.

A save is two files: the optimiser's first, then the checkpoint, each written aside, flushed and renamed. A
checkpoint with an optimiser file of its step beside it is a place to resume from; so a crash at any moment leaves
either the save before or the save after. Which saves stay is for :func:`prune` to say.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor, nn

from auscult.errors import TrainingError
from auscult.files import write_bytes
from auscult.hub.bundle import Meta, read_tensors, save
from auscult.hub.runs import OPTIMISER, checkpoints
from auscult.train.ema import Average


@dataclass
class State:
    """Nets, averages, optimisers and progress of a run."""

    nets: dict[str, nn.Module]
    averages: dict[str, Average]
    optimisers: Mapping[str, torch.optim.Optimizer]
    scalers: Mapping[str, torch.amp.GradScaler]
    items: int
    """Items a step: with the step, the position in the stream of data."""
    step: int = 0
    scores: list[tuple[int, float]] = field(default_factory=list)

    @property
    def best(self) -> tuple[int, float] | None:
        """Step and rank of the best validation so far."""
        return max(self.scores, key=lambda pair: pair[1], default=None)

    def tensors(self) -> dict[str, Tensor]:
        """Everything a checkpoint holds."""
        live = {f"{name}.{key}": t for name, net in self.nets.items() for key, t in net.state_dict().items()}
        mean = {f"ema.{name}.{key}": t for name, average in self.averages.items() for key, t in average.tensors.items()}
        return live | mean

    def save(self, folder: Path, meta: Meta) -> Path:
        """Write both files of this step."""
        path = checkpoint_at(folder, self.step)
        from safetensors.torch import save as serialise

        progress = {
            "step": self.step,
            "items": self.items,
            "scores": [(step, rank if math.isfinite(rank) else None) for step, rank in self.scores],
            "scalers": {name: scaler.state_dict() for name, scaler in self.scalers.items()},
            "updates": {name: average.updates for name, average in self.averages.items()},
        }
        write_bytes(_beside(path), serialise(_flatten(self.optimisers), {"progress": json.dumps(progress)}))
        save(path, self.tensors(), meta)
        return path

    def load(self, path: Path) -> None:
        """Continue from a save."""
        tensors = read_tensors(path)
        for name, net in self.nets.items():
            net.load_state_dict({k.removeprefix(f"{name}."): t for k, t in tensors.items() if k.startswith(f"{name}.")})
        with safetensors.safe_open(str(_beside(path)), "pt") as file:
            progress = json.loads(file.metadata()["progress"])
        if progress["items"] != self.items:
            raise TrainingError(
                f"{path.parent.parent}: this run learns from {progress['items']} items a step, the command at hand "
                f"from {self.items} (batch x accumulate x processes); launch as many processes as before"
            )
        for name, scaler in self.scalers.items():
            scaler.load_state_dict(progress["scalers"][name])
        for name, average in self.averages.items():
            prefix = f"ema.{name}."
            own = {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
            average.load(own, progress["updates"][name])
        _unflatten(self.optimisers, read_tensors(_beside(path)))
        self.step = progress["step"]
        self.scores = [(step, -math.inf if rank is None else rank) for step, rank in progress["scores"]]


def checkpoint_at(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"step-{step:08d}.safetensors"


def saves(folder: Path) -> list[Path]:
    """Checkpoints that a run can resume from, oldest first."""
    return [path for path in checkpoints(folder.parent) if _beside(path).exists()]


def newest_save(folder: Path) -> Path | None:
    """The newest checkpoint that a run can resume from."""
    return found[-1] if (found := saves(folder)) else None


def check_save(folder: Path, step: int) -> None:
    """Refuse to go back to a step of which nothing, or not everything, is there.

    Raises:
        TrainingError: no checkpoint of that step, or none with its optimiser's state; says which there are.
    """
    path, steps = checkpoint_at(folder, step), [step_of(save) for save in saves(folder)]
    if step in steps:
        return
    there = f"it can resume from {', '.join(map(str, steps))}" if steps else "there is nothing to resume from"
    if path.exists():
        raise TrainingError(
            f"{path}: its optimiser's state is gone (train with --keep-states to keep it); {there}, "
            "and --init-from starts a new run from these weights"
        )
    raise TrainingError(f"{folder.parent}: no checkpoint of step {step}; {there}")


def step_of(path: Path) -> int:
    """The step a checkpoint was saved at."""
    return int(path.name.removeprefix("step-").partition(".")[0])


def prune(folder: Path, best: Sequence[int], newest: int, states: bool) -> None:
    """Remove checkpoints but the ``newest`` and those of the ``best`` steps.

    Optimisers' states go too, but for the newest checkpoint's; with ``states``, but for those of all that stay.
    """
    found = checkpoints(folder.parent)
    keep = {*found[-newest:], *(checkpoint_at(folder, step) for step in best)}
    whole = {_beside(path) for path in (keep if states else found[-1:])}
    for path in found:
        if path not in keep:
            path.unlink()
    for path in folder.glob(f"step-*{OPTIMISER}"):
        if path not in whole:
            path.unlink()


def _beside(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".safetensors") + OPTIMISER)


def _flatten(optimisers: Mapping[str, torch.optim.Optimizer]) -> dict[str, Tensor]:
    """Optimiser states as named tensors: ``<turn>/<parameter number>/<name>``."""
    flat: dict[str, Tensor] = {}
    for turn, optimiser in optimisers.items():
        for number, values in optimiser.state_dict()["state"].items():
            for name, value in values.items():
                if value is not None:
                    flat[f"{turn}/{number}/{name}"] = torch.as_tensor(value).detach().cpu().contiguous().clone()
    return flat


def _unflatten(optimisers: Mapping[str, torch.optim.Optimizer], flat: Mapping[str, Tensor]) -> None:
    states: dict[str, dict[int, dict[str, Any]]] = {turn: {} for turn in optimisers}
    for key, tensor in flat.items():
        turn, number, name = key.split("/")
        if turn not in states:
            raise TrainingError(f"the save holds an optimiser for '{turn}', which this method does not train")
        states[turn].setdefault(int(number), {})[name] = tensor
    for turn, optimiser in optimisers.items():
        optimiser.load_state_dict({"state": states[turn], "param_groups": optimiser.state_dict()["param_groups"]})
