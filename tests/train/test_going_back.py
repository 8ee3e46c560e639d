"""Which saves stay, and going back to one of them: bit by bit what an uninterrupted run does, and nothing deleted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from auscult.hub.runs import read_history
from auscult.train.state import prune
from tests.processes import Run
from tests.train.runs import SCORE, VALIDATION, arguments, only_run, recipe, write_recipe


@pytest.fixture(autouse=True)
def fresh_accelerator() -> None:
    AcceleratorState._reset_state(reset_partial_state=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name.replace(".safetensors", "").replace("step-0000000", "") for path in folder.iterdir())


@pytest.mark.parametrize(
    ("newest", "states", "left"),
    [
        (1, False, ["2", "5", "5.optimiser"]),
        (3, False, ["2", "3", "4", "5", "5.optimiser"]),
        (1, True, ["2", "2.optimiser", "5", "5.optimiser"]),
        (2, True, ["2", "2.optimiser", "4", "4.optimiser", "5", "5.optimiser"]),
    ],
)
def test_which_files_stay(tmp_path: Path, newest: int, states: bool, left: list[str]) -> None:
    """Saves of steps 1 to 5, of which 2 was best, and an optimiser's state whose checkpoint was never written."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for step in range(1, 6):
        (folder / f"step-{step:08d}.safetensors").touch()
    for step in range(1, 7):
        (folder / f"step-{step:08d}.optimiser.safetensors").touch()
    prune(folder, [2], newest, states)
    assert names(folder) == left


def comparable(run: Path) -> list[dict[str, Any]]:
    """A history without what depends on the clock, and without where it was resumed."""
    clocks = ("items_per_s", "audio_per_s", "loader_wait_share", "peak_memory_mib")
    rows = [row for row in read_history(run / "history.jsonl") if row["kind"] != "start"]
    return [{k: v for k, v in row.items() if k not in clocks} for row in rows]


def test_going_back_equals_the_uninterrupted_run(auscult: Run, corpus: Path, tmp_path: Path) -> None:
    """Saves at 2, 3 (validated), 4 and 6, back to 3: weights, averages, optimiser and history come out the same."""
    path = write_recipe(tmp_path, recipe(SCORE, validation=VALIDATION))
    command = [*arguments(path, corpus, tmp_path / "runs"), "--save-every", "2", "--keep-newest", "9", "--keep-states"]
    assert auscult(*command)[0] == 0
    run = only_run(tmp_path / "runs")
    ends = [run / "checkpoints" / f"step-00000006{kind}.safetensors" for kind in ("", ".optimiser")]
    tensors, rows = [load_file(end) for end in ends], comparable(run)
    AcceleratorState._reset_state(reset_partial_state=True)
    code, output, _ = auscult(*command, "--resume-from", 3)
    assert code == 0
    aside = run / "set-aside-1"
    assert "resuming at step 3, 6 steps\nWENT BACK to step 3: all that was done after it now lies in" in output
    assert str(aside) in output
    assert names(aside / "checkpoints") == ["4", "4.optimiser", "6", "6.optimiser"]
    assert comparable(aside) == comparable(run) == rows
    assert [row["step"] for row in read_history(run / "history.jsonl") if row["kind"] == "start"] == [3]
    assert (aside / "samples" / "extremes-00000006" / "scores.json").is_file()
    for before, end in zip(tensors, ends, strict=True):
        after = load_file(end)
        assert after.keys() == before.keys()
        assert all(torch.equal(tensor, after[key]) for key, tensor in before.items())
    assert names(run / "checkpoints") == [f"{s}{kind}" for s in (2, 3, 4, 6) for kind in ("", ".optimiser")]


def test_where_a_run_cannot_go_back_to(auscult: Run, corpus: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path, recipe())
    command = [*arguments(path, corpus, tmp_path / "runs"), "--save-every", "2", "--keep-newest", "2"]

    def refusal(*more: object) -> str:
        AcceleratorState._reset_state(reset_partial_state=True)
        code, _, errors = auscult(*command, *more)
        assert code == 2
        return errors

    assert "no checkpoint of step 4; there is nothing to resume from" in refusal("--resume-from", 4)
    assert not (tmp_path / "runs").exists()
    AcceleratorState._reset_state(reset_partial_state=True)
    assert auscult(*command)[0] == 0
    before = {file: file.read_bytes() for file in only_run(tmp_path / "runs").rglob("*") if file.is_file()}
    said = refusal("--resume-from", 4)
    assert "its optimiser's state is gone (train with --keep-states to keep it); it can resume from 6" in said
    assert "--init-from starts a new run from these weights" in said
    assert "no checkpoint of step 5; it can resume from 6" in refusal("--resume-from", 5)
    newest = only_run(tmp_path / "runs") / "checkpoints" / "step-00000006.safetensors"
    assert "give one of them" in refusal("--resume-from", 6, "--init-from", newest)
    assert {file: file.read_bytes() for file in before} == before


def test_going_back_to_the_newest_save_moves_nothing(tmp_path: Path) -> None:
    from auscult.train.run import RunFolder

    run = RunFolder(tmp_path / "run")
    run.open({"name": "x"}, {})
    (run.checkpoints / "step-00000004.safetensors").touch()
    run.log({"kind": "step", "step": 4})
    assert run.set_aside(4) is None
    run.log({"kind": "step", "step": 5})
    aside = run.set_aside(4)
    assert aside is not None
    assert aside.name == "set-aside-1"
    assert [json.loads(line)["step"] for line in (aside / "history.jsonl").read_text().splitlines()] == [4, 5]
    assert (run.checkpoints / "step-00000004.safetensors").exists()
    (run.checkpoints / "step-00000006.safetensors").touch()
    assert str(run.set_aside(4)).endswith("set-aside-2")
    run.close()


def test_a_diverging_count_of_items_is_refused_when_going_back(auscult: Run, corpus: Path, tmp_path: Path) -> None:
    """A save of another number of items a step is no place to go back to: the message of any resume says so."""
    path = write_recipe(tmp_path, recipe(training={"steps": 1}))
    command = arguments(path, corpus, tmp_path / "runs")
    assert auscult(*command)[0] == 0
    state = only_run(tmp_path / "runs") / "checkpoints" / "step-00000001.optimiser.safetensors"
    state.write_bytes(state.read_bytes().replace(b'\\"items\\": 2', b'\\"items\\": 7'))
    AcceleratorState._reset_state(reset_partial_state=True)
    code, _, errors = auscult(*command, "--resume-from", 1)
    assert code == 2
    assert "learns from 7 items a step" in errors
