"""A package of the user's own supplies net, path, method, degradation, metric and data; checkpoints need trust."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.train.runs import (
    REGRESSION,
    SCORE,
    VALIDATION,
    arguments,
    auscult,
    environment,
    only_run,
    recipe,
    write_package,
    write_recipe,
)


def test_parts_of_the_users_own(corpus: Path, tmp_path: Path) -> None:
    """Net, degradation and metric: trained, validated, restored; the checkpoint is refused without trust."""
    env = environment(write_package(tmp_path))
    method = {**REGRESSION["method"], "net": {"type": "my_pkg.nets.Gain", "start": 0.7}}
    data = {**REGRESSION["data"], "degradations": [{"type": "my_pkg.parts.Invert"}]}
    validation = {**VALIDATION, "metrics": ["my_pkg.parts.Correlation"], "select": "my_pkg.parts.Correlation"}
    path = write_recipe(tmp_path, recipe(method=method, data=data, validation=validation, training={"steps": 3}))
    done = auscult(arguments(path, corpus, tmp_path / "runs"), env)
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path / "runs")
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert "correlation" in rows[-1]["means"]
    source = str(corpus / "speech" / "speech0.wav")
    command = ["enhance", source, "-m", str(run), "-o", str(tmp_path / "out.wav"), "--device", "cpu"]
    refused = auscult(command, env)
    assert refused.returncode == 2
    assert "asks for the class 'my_pkg.nets.Gain' from outside auscult" in refused.stderr
    assert "--trust my_pkg" in refused.stderr
    trusted = auscult([*command, "--trust", "my_pkg"], env)
    assert trusted.returncode == 0, trusted.stderr
    assert (tmp_path / "out.wav").exists()


@pytest.mark.parametrize("kind", ["path", "method"])
def test_a_path_and_a_method_of_the_users_own(kind: str, corpus: Path, tmp_path: Path) -> None:
    env = environment(write_package(tmp_path))
    method = (
        {**SCORE["method"], "path": {"type": "my_pkg.parts.Straight"}}
        if kind == "path"
        else {"type": "my_pkg.methods.Adversarial", "features": REGRESSION["method"]["features"]}
    )
    path = write_recipe(tmp_path, recipe(SCORE, method=method, training={"steps": 2}))
    done = auscult(arguments(path, corpus, tmp_path / "runs"), env)
    assert done.returncode == 0, done.stderr
    command = ["enhance", str(corpus / "speech" / "speech0.wav"), "-m", str(only_run(tmp_path / "runs")), "-o",
               str(tmp_path / "out.wav"), "--trust", "my_pkg", "--device", "cpu"]  # fmt: skip
    restored = auscult(command, env)
    assert restored.returncode == 0, restored.stderr


def test_a_class_that_is_not_there_is_named(corpus: Path, tmp_path: Path) -> None:
    method = {**REGRESSION["method"], "net": {"type": "my_pkg.nets.Missing"}}
    path = write_recipe(tmp_path, recipe(method=method))
    done = auscult(arguments(path, corpus, tmp_path / "runs"), environment(write_package(tmp_path)))
    assert done.returncode == 2
    assert "method.net.type: 'my_pkg.nets.Missing' cannot be imported" in done.stderr
