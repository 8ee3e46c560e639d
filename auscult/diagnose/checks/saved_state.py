"""What a run saved beside its weights: did the optimiser and the average take part in all of it?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import safetensors

from auscult.diagnose.check import Check
from auscult.diagnose.finding import Finding, Measured
from auscult.hub.bundle import read_meta
from auscult.hub.runs import OPTIMISER

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

MISSING = 0.05
"""Share of the steps that an optimiser or average may not have seen; healthy runs miss none."""


@dataclass(frozen=True)
class Counted:
    """Steps of a run as its newest save counts them, of each net: those of its optimiser, updates of its average."""

    run: int
    steps: Mapping[str, int]
    updates: Mapping[str, int]


def check_saved_state(case: Case) -> Finding | None:
    """Whether optimiser and average count as many steps as the run."""
    counted = next((found for path in reversed(case.run.checkpoints) if (found := _counted(path)) is not None), None)
    if counted is None or counted.run < 10:
        return None
    taken = counted.run - _left_out(case)
    kinds = {"the optimiser of": counted.steps, "the average of": counted.updates}
    counts = {f"{kind} {name}": count for kind, of in kinds.items() for name, count in of.items()}
    if not counts:
        return None
    measured = [Measured(f"steps that {name} counts", count, f"of {taken}", "all") for name, count in counts.items()]
    short = {name: count for name, count in counts.items() if count < (1 - MISSING) * taken}
    if short:
        name = min(short, key=lambda one: short[one])
        says = f"{name} has seen {short[name]} of {taken} steps: it began anew {taken - short[name]} steps into the run"
        return Finding("saved-state", "fault", ("lost-state",), says, measured, certain=True)
    says = f"optimiser and average count {min(counts.values())} of {taken} steps"
    return Finding("saved-state", "healthy", ("lost-state",), says, measured)


def _counted(checkpoint: Path) -> Counted | None:
    """None where no optimiser was saved beside a checkpoint, or the file cannot be read."""
    beside = checkpoint.with_name(checkpoint.name.removesuffix(".safetensors") + OPTIMISER)
    if not beside.is_file():
        return None
    try:
        with safetensors.safe_open(str(beside), "numpy") as file:
            progress = json.loads((file.metadata() or {})["progress"])
            steps: dict[str, int] = {}
            for key in file.keys():  # noqa: SIM118
                turn, _, name = key.split("/")
                if name == "step":
                    steps[turn] = max(steps.get(turn, 0), int(file.get_tensor(key)))
            return Counted(read_meta(checkpoint).step, steps, {str(k): int(v) for k, v in progress["updates"].items()})
    except (safetensors.SafetensorError, OSError, KeyError, ValueError):
        return None


def _left_out(case: Case) -> int:
    """Steps without an update, for want of items or for a gradient that was not finite."""
    curves = case.get("curves")
    curve = curves.curves.get("unstepped") if curves is not None else None
    return int(np.nansum(curve.values)) if curve is not None else 0


SAVED_STATE = Check(
    "saved-state", "optimisation", "Did optimiser and average take part in the whole run?", ("run",), 0.5,
    f"fault: the newest save counts {100 * MISSING:g} % fewer steps of the optimiser, or updates of the average, than "
    "the run has steps with an update. Healthy and resumed runs: all.",
    "Definition: Adam's step counter and the average's beside the run's", check_saved_state,
)  # fmt: skip
