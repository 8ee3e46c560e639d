"""What a ladder's folder records: what was declared before the first score, and which run and scores an arm has.

<ladder>/
    ladder.yaml      the ladder as it was last run
    declared.json    metric, margins, contrasts and items of the first run: what is decided cannot be changed later
    arms.json        every arm: role, differences, parameters; every training: run folder and folder of scores
    items/           what all arms are judged on
    recipes/ logs/   of trainings in other processes
    scores/          an evaluation folder a training and way of restoring
    restored/        what models made of the items, by checkpoint and settings
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic
import yaml

from auscult.ablate.ladder import Contrast, Ladder
from auscult.errors import EvaluationError, TrainingError
from auscult.files import write_bytes
from auscult.hub.runs import CHECKPOINTS, checkpoints
from auscult.version import __version__

LADDER, DECLARED, ARMS = "ladder.yaml", "declared.json", "arms.json"


@dataclass(frozen=True)
class Declared:
    """What was written down before the first score."""

    metric: str
    margin: float
    items: str
    contrasts: dict[str, Contrast]


@dataclass(frozen=True)
class Training:
    """One training of an arm, as far as it is known. ``scores`` is empty while it has none."""

    seed: int
    run: str
    scores: str = ""
    step: int = 0
    failure: str = ""


@dataclass(frozen=True)
class ArmRecord:
    """One arm, for reports."""

    name: str
    role: str
    parent: str
    differences: tuple[str, ...] = ()
    group: str = ""
    words: str = ""
    parameters: int = 0
    trainings: tuple[Training, ...] = ()

    def training(self, seed: int) -> Training | None:
        """The training of a seed."""
        return next((one for one in self.trainings if one.seed == seed), None)


@dataclass(frozen=True)
class Record:
    """Everything that a report needs beside the scores."""

    ladder: Ladder
    declared: Declared
    arms: dict[str, ArmRecord] = field(default_factory=dict)

    def write(self, out: Path) -> None:
        """Keep it."""
        write_bytes(out / LADDER, yaml.safe_dump(_plain(self.ladder), sort_keys=False).encode())
        write_bytes(out / ARMS, json.dumps(_plain(self.arms), indent=1).encode())

    @classmethod
    def read(cls, out: Path) -> Record:
        """What was kept.

        Raises:
            EvaluationError: no ladder was run there, or its files are damaged.
        """
        try:
            ladder = pydantic.TypeAdapter(Ladder).validate_python(yaml.safe_load((out / LADDER).read_text()))
            arms = pydantic.TypeAdapter(dict[str, ArmRecord]).validate_json((out / ARMS).read_bytes())
            return cls(ladder, _declared(out), arms)
        except FileNotFoundError as error:
            raise EvaluationError(f"{out}: no ladder was run here; auscult ablate run LADDER --out {out}") from error
        except (ValueError, TypeError, yaml.YAMLError) as error:
            raise EvaluationError(
                f"{out}: its record is damaged ({type(error).__name__}); run the ladder again"
            ) from error


def declare(ladder: Ladder, items: str, out: Path) -> Declared:
    """What is decided: by the first run, and kept. Contrasts may be added later; they are exploratory then.

    Raises:
        EvaluationError: metric, margin, items or a contrast are not what was declared.
    """
    factors = {name: dataclasses.replace(one, margin=ladder.margin_of(name)) for name, one in ladder.factors.items()}
    now = Declared(ladder.metric, ladder.margin, items, factors)
    if not (out / DECLARED).exists():
        write_bytes(out / DECLARED, json.dumps(_plain(now), indent=1).encode())
        return now
    was = _declared(out)
    for what in ("metric", "margin", "items"):
        if getattr(was, what) != getattr(now, what):
            raise EvaluationError(
                f"{out}: {what} {getattr(was, what)} was declared, this is {getattr(now, what)}; what was declared "
                "before the scores stays: give it again, or choose another --out"
            )
    for name, contrast in was.contrasts.items():
        if factors.get(name) != contrast:
            raise EvaluationError(
                f"{out}: the contrast '{name}' ({contrast.arm} against {contrast.against}, margin {contrast.margin:g}) "
                "was declared and is gone or another now; keep it, and add others under other names"
            )
    return was


def _declared(out: Path) -> Declared:
    return pydantic.TypeAdapter(Declared).validate_json((out / DECLARED).read_bytes())


def step_of(run: Path) -> int:
    """The step of a run's newest checkpoint; 0 where there is none."""
    found = checkpoints(run) if (run / CHECKPOINTS).is_dir() else []
    return int(found[-1].name.removeprefix("step-").partition(".")[0]) if found else 0


def check_code(run: Path) -> None:
    """Refuse a run that another version of auscult has trained: arms would differ by more than was declared.

    Raises:
        TrainingError: it was.
    """
    versions = {start["versions"]["auscult"] for start in starts(run)}
    if others := versions - {__version__}:
        raise TrainingError(
            f"{run}: trained by auscult {', '.join(sorted(others))}, this is {__version__}; the arms of a ladder need "
            "one version: choose another --runs folder"
        )


def commits(run: Path) -> set[str]:
    """The commits that a run was trained at; empty where auscult was installed as a package."""
    return {start["commit"] for start in starts(run) if start.get("commit")}


def starts(run: Path) -> list[Mapping[str, Any]]:
    """The entries of a run's environment, one a start."""
    try:
        found = json.loads((run / "environment.json").read_bytes())
    except FileNotFoundError:
        return []
    return found if isinstance(found, list) else [found]


def _plain(value: Any) -> Any:
    return pydantic.TypeAdapter(type(value)).dump_python(value, mode="json")
