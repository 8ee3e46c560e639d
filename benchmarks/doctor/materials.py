"""From a planned case to a folder that a doctor is given; whatever is there already is kept."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from auscult.diagnose.case import Given
from auscult.hub.runs import HISTORY, checkpoints
from benchmarks.doctor.cases import Planned, fault_of
from benchmarks.doctor.corpora import corpora, draw_tree
from benchmarks.doctor.faults_code import STARTS_FROM
from benchmarks.doctor.histories import foreign
from benchmarks.doctor.outputs import restored, scores_of, write_outputs, write_table
from benchmarks.doctor.recorded import Tree, generator, write_tree
from benchmarks.doctor.runs import recipe_of, train
from benchmarks.doctor.spec import TRUST, Training

GIVEN = "given.json"
HERE = Path(__file__).parent
JUDGES = ("verdict", "figures", "table", "baselines", "cure", "__main__")
"""Modules that make no case."""
BASE_STEPS = ("training.steps=300", "validation.every=100")
Told = dict[str, Any]


@cache
def made_by() -> str:
    """Changes when what makes cases does: recipes, corpora, faults, hooks and slips."""
    parts = [path for path in sorted(HERE.rglob("*")) if path.suffix in (".py", ".yaml") and path.stem not in JUDGES]
    return hashlib.sha256(b"".join(path.read_bytes() for path in parts)).hexdigest()[:8]


@dataclass(frozen=True)
class Shelf:
    """Where recordings are, and where everything is kept that was made of them by this version of the benchmark."""

    data: Path
    kept: Path

    @property
    def out(self) -> Path:
        return self.kept / f"made-{made_by()}"

    def folder(self, case: Planned) -> Path:
        return self.out / "cases" / case.id

    def base(self, split: str, recipe: str) -> Path:
        """The checkpoint that short runs of a recipe start from, trained on a corpus of the split."""
        folder = self.out / "bases" / f"{split}-{recipe}"
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            write_tree(draw_tree("training", split, 0, self.data, ("train", "valid")), folder / "corpus")
            run = train(recipe, Training(), 99, folder / "corpus", folder, extra=BASE_STEPS)
            (folder / "done").write_text(str(checkpoints(run)[-1]))
        return Path((folder / "done").read_text())

    def start(self, split: str, recipe: str) -> Path | None:
        """What a run of a recipe begins with; None: with nothing."""
        return self.base(split, STARTS_FROM[recipe]) if recipe in STARTS_FROM else None


def made(case: Planned, shelf: Shelf) -> Given:
    """The case as it is given, made where it is not there."""
    folder = shelf.folder(case)
    with _alone(folder):
        if not (folder / GIVEN).exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            told = MAKERS[case.material](case, folder, shelf)
            (folder / GIVEN).write_text(json.dumps(told, default=str))
    return _given(json.loads((folder / GIVEN).read_text()))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two histories of one run must not train it twice at once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _given(told: Told) -> Given:
    paths = {name: Path(told[name]) for name in ("run", "checkpoint", "outputs", "history", "scores") if name in told}
    rest = {name: told[name] for name in ("recipe", "facts", "columns") if name in told}
    data = {split: Path(path) for split, path in told.get("data", {}).items()}
    return Given(data=data, trust=TRUST, **paths, **rest)


def _tree(case: Planned, shelf: Shelf) -> Tree:
    seed = case.seed if case.material != "run" else case.seed % 3
    return draw_tree(case.corpus, case.split, seed, shelf.data, case.splits)


def _rate(case: Planned) -> int:
    return corpora()[case.corpus].rate_hz


def _data(case: Planned, folder: Path, shelf: Shelf) -> Told:
    tree = _tree(case, shelf)
    if (fault := fault_of(case)) is not None:
        tree = fault.inject(tree, generator(case.id), case.severity)
    where = write_tree(tree, folder / "data")
    if case.given == "recipe" and _rate(case) == 16_000:
        return _with_recipe(case, Training(), folder)
    return {"data": where, "facts": {"rate_hz": _rate(case)}}


def _code(case: Planned, folder: Path, shelf: Shelf) -> Told:
    write_tree(_tree(case, shelf), folder / "data")
    return _with_recipe(case, _training(case), folder)


def _training(case: Planned) -> Training:
    fault = fault_of(case)
    what = fault.inject(case.severity) if fault is not None else Training(resumed=case.resumed)
    return replace(what, settings=(*what.settings, *case.settings))


def _with_recipe(case: Planned, what: Training, folder: Path) -> Told:
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(recipe_of(case.recipe, what, case.seed), sort_keys=False))
    return {"data": {"data": folder / "data"}, "recipe": recipe}


def _run(case: Planned, folder: Path, shelf: Shelf) -> Told:
    """All ways of giving a run share one training, under the id of the first."""
    if case.as_history:
        other = replace(case, given="run")
        made(other, shelf)
        run = next((shelf.folder(other) / "train").glob("run-*"))
        return foreign(case.given, run / HISTORY, _training(case).resumed, folder)
    write_tree(_tree(case, shelf), folder / "data")
    start = shelf.start(case.split, case.recipe)
    run = train(case.recipe, _training(case), case.seed, folder / "data", folder / "train", start)
    return {"run": run, "data": {"data": folder / "data"}}


def _outputs(case: Planned, folder: Path, shelf: Shelf) -> Told:
    tree = _tree(case, shelf)
    where = write_tree(tree, folder / "data")
    outputs = restored(tree["data"], _system(case, shelf))
    if (fault := fault_of(case)) is not None:
        outputs = fault.inject(outputs, generator(case.id), case.severity)
    return {"data": where, "outputs": write_outputs(outputs, folder / "enhanced"), "facts": {"rate_hz": _rate(case)}}


def _scores(case: Planned, folder: Path, shelf: Shelf) -> Told:
    table = scores_of(restored(_tree(case, shelf)["data"][:24], _system(case, shelf)))
    if (fault := fault_of(case)) is not None:
        table = fault.inject(table, generator(case.id), case.severity)
    return {"scores": write_table(table, folder / "scores.csv")}


def _system(case: Planned, shelf: Shelf) -> str:
    return str(shelf.base(case.split, case.recipe)) if case.recipe == "regression" else case.recipe


def _sampler(case: Planned, folder: Path, shelf: Shelf) -> Told:
    """A checkpoint whose settings at restoration are not those of its training, where that is the fault."""
    from auscult.hub.bundle import read_meta, read_tensors, save
    from auscult.recipe import override

    write_tree(_tree(case, shelf), folder / "data")
    source, target = shelf.base(case.split, case.recipe), folder / "model.safetensors"
    meta, fault = read_meta(source), fault_of(case)
    settings = fault.inject(case.severity) if fault is not None else ()
    method = override({"method": dict(meta.method)}, [f"method.{one}" for one in settings])["method"]
    save(target, read_tensors(source), replace(meta, method=method))
    return {"checkpoint": target, "data": {"data": folder / "data"}}


MAKERS: Mapping[str, Callable[[Planned, Path, Shelf], Told]] = {
    "data": _data, "loader": _code, "loss": _code, "run": _run,
    "outputs": _outputs, "scores": _scores, "sampler": _sampler,
}  # fmt: skip


def bases(cases: list[Planned]) -> set[tuple[str, str]]:
    """Shared trainings that cases need: (split, recipe)."""
    warm = {(case.split, STARTS_FROM[case.recipe]) for case in cases if case.recipe in STARTS_FROM}
    restoring = {(case.split, case.recipe) for case in cases if case.material in ("outputs", "scores")}
    return {one for one in warm | restoring if one[1] not in ("default", "subtraction")}
