"""What a run folder holds, for whoever opens one: no torch, nothing of the training loop."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from auscult.errors import CheckpointError
from auscult.hub.bundle import read_meta

RECIPE, HISTORY = "recipe.yaml", "history.jsonl"
CHECKPOINTS = "checkpoints"
OPTIMISER = ".optimiser.safetensors"


def checkpoints(run: Path) -> list[Path]:
    """Model files of a run, oldest first; the optimisers' states beside them are none."""
    found = (run / CHECKPOINTS).glob("step-*.safetensors")
    return sorted(path for path in found if not path.name.endswith(OPTIMISER))


def best_checkpoint(run: Path) -> Path:
    """The checkpoint with the best score of the run's selection metric; the newest where none was scored.

    Raises:
        CheckpointError: no checkpoint in the folder.
    """
    found = checkpoints(run)
    if not found:
        raise CheckpointError(f"{run}: no checkpoint in it; a run folder has {CHECKPOINTS}/step-*.safetensors")

    def rank(path: Path) -> tuple[float, str]:
        selected = read_meta(path).selected
        return -math.inf if selected is None else selected, path.name

    return max(found, key=rank)


def read_history(path: Path) -> list[dict[str, Any]]:
    """Rows of a history; a last line that was cut short by a crash is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
