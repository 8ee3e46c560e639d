"""Nothing is lost: killed at any point, even during a save, a run ends bit-identical to an uninterrupted one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.processes import hearing_ctrl_c, members
from tests.train.runs import (
    SCORE,
    VALIDATION,
    arguments,
    auscult,
    environment,
    only_run,
    recipe,
    write_recipe,
)

# Where a run dies: the n-th call of a function, before or after it does its work.
DIE = """
import os, signal
import auscult.train.ema, auscult.train.state
place = {module}
real, calls = place.{name}, [0]
def dying(*a, **k):
    calls[0] += 1
    if calls[0] == {nth} and {before}:
        os.kill(os.getpid(), signal.SIGKILL)
    out = real(*a, **k)
    if calls[0] == {nth}:
        os.kill(os.getpid(), signal.SIGKILL)
    return out
place.{name} = dying
"""

# module, function, call, before it, and the step that the resumed run starts from
POINTS = {
    "in step 4": ("auscult.train.ema", "floating", 8, True, 3),
    "before the optimiser file is renamed": ("os", "replace", 24, True, 3),
    "between optimiser file and checkpoint": ("auscult.train.state", "write_bytes", 2, False, 2),
    "after the checkpoint, before tidying": ("auscult.train.state", "save", 2, False, 3),
}


def final(runs: Path) -> dict[str, torch.Tensor]:
    run = only_run(runs)
    newest = sorted((run / "checkpoints").glob("step-*[0-9].safetensors"))[-1]
    assert newest.name == "step-00000006.safetensors"
    return load_file(newest)


@pytest.fixture(scope="module")
def whole(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The score model, uninterrupted: dropout, noise and times all drawn, saved every two steps."""
    folder = tmp_path_factory.mktemp("whole")
    path = write_recipe(folder, recipe(SCORE, validation=VALIDATION))
    done = auscult(arguments(path, corpus, folder / "runs", "--save-every", "2"))
    assert done.returncode == 0, done.stderr
    return final(folder / "runs")


@pytest.mark.parametrize("point", POINTS)
def test_killed_and_resumed_equals_uninterrupted(
    whole: dict[str, torch.Tensor], corpus: Path, tmp_path: Path, point: str
) -> None:
    module, name, nth, before, step = POINTS[point]
    path = write_recipe(tmp_path, recipe(SCORE, validation=VALIDATION))
    command = arguments(path, corpus, tmp_path / "runs", "--save-every", "2")
    killed = auscult(command, prelude=DIE.format(module=module, name=name, nth=nth, before=before))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = auscult(command)
    assert resumed.returncode == 0, resumed.stderr
    assert f"resuming at step {step}," in resumed.stdout
    after = final(tmp_path / "runs")
    assert after.keys() == whole.keys()
    for key, tensor in whole.items():
        assert torch.equal(after[key], tensor), key
    rows = [json.loads(line) for line in (only_run(tmp_path / "runs") / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "step"] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in rows if row["kind"] == "validation"] == [3, 6]


def test_stopped_where_asked_and_gone_on_with(whole: dict[str, torch.Tensor], corpus: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path, recipe(SCORE, validation=VALIDATION))
    command = arguments(path, corpus, tmp_path / "runs", "--save-every", "100")
    stopped = auscult([*command, "--stop-after", "4"])
    assert stopped.returncode == 0, stopped.stderr
    assert "saved and stopped as asked at step 4" in stopped.stdout
    again = auscult([*command, "--stop-after", "4"])
    assert "saved and stopped as asked at step 4" in again.stdout, "there is nothing to learn up to step 4"
    assert "finished at step 6" in auscult(command).stdout
    after = final(tmp_path / "runs")
    assert all(torch.equal(after[key], tensor) for key, tensor in whole.items())


def endless(corpus: Path, tmp_path: Path, workers: int) -> subprocess.Popen[str]:
    """A run that goes on until it is stopped, in a process group of its own; returns once it learns."""
    path = write_recipe(tmp_path, recipe(training={"steps": 100_000, "batch": 2}))
    command = arguments(path, corpus, tmp_path / "runs", "--save-every", "100000", "--workers", str(workers))
    with hearing_ctrl_c():
        run = subprocess.Popen(
            [sys.executable, "-m", "auscult", *command],
            env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and not any(p.stat().st_size for p in tmp_path.glob("runs/*/history.jsonl")):
        time.sleep(0.1)
    return run


@pytest.mark.parametrize("stop", ["SIGTERM to the trainer", "Ctrl-C to the whole group, with workers"])
def test_signals_save_and_stop(corpus: Path, tmp_path: Path, stop: str) -> None:
    group = stop.startswith("Ctrl-C")
    with endless(corpus, tmp_path, workers=1 if group else 0) as run:
        if group:
            os.killpg(run.pid, signal.SIGINT)
        else:
            run.send_signal(signal.SIGTERM)
        output, _ = run.communicate(timeout=100)
    assert run.returncode == 130
    assert "stopped and saved at step" in output
    saved = list(tmp_path.glob("runs/*/checkpoints/step-*[0-9].safetensors"))
    assert len(saved) == 1
    step = int(saved[0].stem.removeprefix("step-"))
    rows = only_run(tmp_path / "runs").joinpath("history.jsonl").read_text().splitlines()
    assert json.loads(rows[-1])["step"] == step > 0


def test_two_processes_cannot_train_in_one_folder(corpus: Path, tmp_path: Path) -> None:
    from auscult.errors import TrainingError
    from auscult.train.run import RunFolder

    first, second = (RunFolder(tmp_path / "run") for _ in range(2))
    first.open({"name": "x"}, {})
    with pytest.raises(TrainingError, match="another process is training in this folder"):
        second.open({"name": "x"}, {})
    second.close()
    first.close()
    second.open({"name": "x"}, {})
    second.close()


def test_workers_end_with_a_killed_trainer(corpus: Path, tmp_path: Path) -> None:
    with endless(corpus, tmp_path, workers=1) as run:
        group = members(run.pid)
        assert len(group) > 1
        run.kill()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and members(run.pid) - {run.pid}:
            time.sleep(0.1)
        assert not members(run.pid) - {run.pid}
