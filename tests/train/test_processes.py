"""Two processes learn what one process with the same global batch learns: one learner, two learners, empty ranks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.train.runs import (
    ADVERSARIAL,
    REGRESSION,
    TOLD,
    arguments,
    auscult,
    environment,
    only_run,
    recipe,
    together,
    write_package,
    write_recipe,
)

PATCHY = {**REGRESSION["data"], "type": "my_pkg.data.Patchy"}

# Plain momentum: Adam divides rounding differences by gradients that are all but zero.
SGD = {"algorithm": "sgd", "lr": 0.05, "momentum": 0.9}

CASES: dict[str, dict[str, Any]] = {
    "one learner": {},
    "two learners": {"method": ADVERSARIAL},
    "a noise condition": {"base": TOLD},
    "ranks without a valid item": {"method": ADVERSARIAL, "data": PATCHY},
}


def outcome(runs: Path) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    run = only_run(runs)
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return load_file(sorted((run / "checkpoints").glob("step-*[0-9].safetensors"))[-1]), rows


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(case: str, corpus: Path, tmp_path: Path) -> None:
    env = environment(write_package(tmp_path))
    for processes, batch in ((1, 2), (2, 1)):
        content = recipe(**CASES[case], training={"steps": 5, "batch": batch, "clip_norm": 0.5}, optimiser=SGD)
        path = write_recipe(tmp_path, content, f"{processes}.yaml")
        command = arguments(path, corpus, tmp_path / f"runs{processes}")
        if processes == 1:
            done = auscult(command, env)
            assert done.returncode == 0, done.stderr
        else:
            together(command, processes, env)
    (one, rows_one), (two, rows_two) = (outcome(tmp_path / f"runs{n}") for n in (1, 2))
    assert one.keys() == two.keys()
    for key in one:
        assert torch.allclose(one[key], two[key], rtol=1e-4, atol=1e-6), key
    for a, b in zip(rows_one, rows_two, strict=True):
        assert a["items"] == b["items"]
        for turn, values in a["turns"].items():
            assert b["turns"][turn]["loss"] == pytest.approx(values["loss"], rel=1e-4, abs=1e-6)
            assert b["turns"][turn]["grad_norm"] == pytest.approx(values["grad_norm"], rel=1e-3, abs=1e-6)
        prints = [rank["parameters"] for rank in b["ranks"]]
        assert len(prints) == 2
        assert prints[0] == prints[1]
    if case == "ranks without a valid item":
        assert {row["items"] for row in rows_two} > {1}
        assert sum(row["skipped"].get("odd", 0) for row in rows_one) > 0


def test_accumulation_equals_a_large_batch(corpus: Path, tmp_path: Path) -> None:
    results = []
    for batch, accumulate in ((4, 1), (2, 2)):
        content = recipe(training={"steps": 4, "batch": batch, "accumulate": accumulate}, optimiser=SGD)
        path = write_recipe(tmp_path, content, f"{accumulate}.yaml")
        done = auscult(arguments(path, corpus, tmp_path / f"runs{accumulate}"))
        assert done.returncode == 0, done.stderr
        results.append(outcome(tmp_path / f"runs{accumulate}")[0])
    for key in results[0]:
        assert torch.allclose(results[0][key], results[1][key], rtol=1e-4, atol=1e-6), key
