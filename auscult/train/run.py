"""A run folder: who may write in it, what it records, and what is saved so that nothing is lost.

runs/<recipe>-<8 hex>/
    recipe.yaml          the resolved recipe, every default in view
    environment.json     versions, device, data: one entry for every start or resume
    preflight.json       what was seen of data and loss before step 0 (written by the command)
    history.jsonl        one row a logged step, one a validation, one a resume
    checkpoints/         step-*.safetensors (nets and averages), step-*.optimiser.safetensors beside the newest
    samples/             a few validation items: N-noisy, N-clean, N-restored, and N-step-* of every validation;
                         extremes-*: the items that the last validation gained most and least on, with scores
    set-aside-N/         what was done after a step that the run went back to
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import yaml

from auscult.errors import TrainingError
from auscult.files import lock, sweep, write_bytes
from auscult.hub.runs import OPTIMISER, read_history
from auscult.version import __version__

Row = dict[str, Any]
SET_ASIDE = "set-aside-"


class RunFolder:
    """The files of one run; held by at most one process at a time."""

    def __init__(self, path: Path):
        self.path = path
        self._lock: IO[str] | None = None
        self._history: IO[str] | None = None

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    def open(self, resolved: Mapping[str, Any], recordings: Mapping[str, str]) -> None:
        """Create the folder if needed, lock it, record recipe and environment.

        Raises:
            TrainingError: another process trains in it, or it cannot be written.
        """
        try:
            self._lock = lock(self.path)
            self.checkpoints.mkdir(exist_ok=True)
            self.samples.mkdir(exist_ok=True)
        except BlockingIOError as error:
            raise TrainingError(
                f"{self.path}: another process is training in this folder; wait for it or stop it"
            ) from error
        except OSError as error:
            raise TrainingError(f"{self.path}: cannot be written ({error}); choose another --runs folder") from error
        for folder in (self.path, self.checkpoints, self.samples):
            sweep(folder)
        if not (self.path / "recipe.yaml").exists():
            write_bytes(self.path / "recipe.yaml", yaml.safe_dump(dict(resolved), sort_keys=False).encode())
        path = self.path / "environment.json"
        earlier = json.loads(path.read_bytes()) if path.exists() else []
        earlier = earlier if isinstance(earlier, list) else [earlier]
        starts = [*earlier, {**environment(), "recordings": dict(recordings)}]
        write_bytes(path, json.dumps(starts, indent=1).encode())

    def cut_history(self, step: int) -> None:
        """Drop rows after ``step``: they belong to work that was lost."""
        path = self.path / "history.jsonl"
        rows = list(read_history(path)) if path.exists() else []
        kept = [row for row in rows if row["step"] <= step]
        write_bytes(path, "".join(json.dumps(row) + "\n" for row in kept).encode())

    def set_aside(self, step: int) -> Path | None:
        """Move what came after ``step`` into a folder of its own, the newest first; with a copy of the history.

        Returns that folder; None where nothing came after.
        """
        held = [(at, path) for folder in (self.checkpoints, self.samples) for path in folder.iterdir()
                if (at := _step_of(path.name)) is not None and at > step]  # fmt: skip
        history = self.path / "history.jsonl"
        rows = read_history(history) if history.exists() else []
        if not held and all(row["step"] <= step for row in rows):
            return None
        aside = self.path / f"{SET_ASIDE}{1 + sum(1 for _ in self.path.glob(f'{SET_ASIDE}*'))}"
        write_bytes(aside / "history.jsonl", history.read_bytes() if rows else b"")
        # An optimiser's state goes before its checkpoint: without it, that is no place to resume from.
        for _, path in sorted(held, key=lambda one: (-one[0], not one[1].name.endswith(OPTIMISER))):
            (aside / path.parent.name).mkdir(exist_ok=True)
            path.rename(aside / path.parent.name / path.name)
        return aside

    def log(self, row: Row) -> None:
        """Append a row to the history."""
        if self._history is None:
            self._history = open(self.path / "history.jsonl", "a", encoding="utf-8")  # noqa: SIM115
        self._history.write(json.dumps(_finite(row)) + "\n")
        self._history.flush()

    def close(self) -> None:
        """Release the folder."""
        for file in (self._history, self._lock):
            if file is not None:
                file.close()
        self._history = self._lock = None


def _step_of(name: str) -> int | None:
    """The step in a file's name; None where it is of no step."""
    found = re.search(r"(?:step|extremes)-(\d{8})", name)
    return int(found.group(1)) if found else None


def environment() -> dict[str, Any]:
    """Versions and machine, for the record."""
    import accelerate
    import numpy
    import torch

    versions = {"auscult": __version__, "python": platform.python_version(), "torch": torch.__version__}
    versions |= {"numpy": numpy.__version__, "accelerate": accelerate.__version__}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    return {
        "versions": versions,
        "commit": _commit(),
        "device": device,
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def _commit() -> str | None:
    """The commit of the checkout that auscult runs from; None where it is installed as a package."""
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _finite(value: Any) -> Any:
    """JSON has no NaN: numbers that are not finite become text, so that readers see what happened."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
