"""Evaluations that are killed go on; with other settings they are refused; other evaluations stand beside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from auscult.audio.clip import Clip
from auscult.audio.writer import write
from auscult.errors import EvaluationError
from auscult.evaluate.conduct import Conduct, carry_out
from auscult.evaluate.datasets import DataSet
from auscult.evaluate.rows import Evaluation, Row
from auscult.evaluate.store import Store, join, load
from auscult.evaluate.study import Plan, Study, System, plan
from tests.processes import hearing_ctrl_c, members


def planned(folders: Path, metrics: tuple[str, ...] = ("si_sdr",), **systems: str) -> Plan:
    chosen = {name: System(folder=str(folders / path)) for name, path in systems.items()}
    return plan(Study({"test": DataSet(folders)}, chosen, metrics=metrics), folders / "out")


def evaluated(folders: Path, out: Path, work: Plan, new: list[Row]) -> Evaluation:
    with Store(out, work.evaluation) as store:
        carry_out(work, store, Conduct(), new.append)
        return store.evaluation()


def test_a_killed_evaluation_goes_on_and_redoes_nothing(folders: Path) -> None:
    work, new = planned(folders, oracle="clean"), []
    whole = evaluated(folders, folders / "out", work, new)
    assert len(new) == 6
    rows = folders / "out" / "rows.jsonl"
    lines = rows.read_text().splitlines()
    rows.write_text("\n".join([*lines[:4], lines[4][:30]]))  # as kill -9 leaves it
    again: list[Row] = []
    assert evaluated(folders, folders / "out", work, again) == whole
    assert len(again) == 2
    assert load(folders / "out") == whole


def test_perfect_estimates_survive_the_folder(folders: Path) -> None:
    """An infinite SI-SDR is a number, also in JSON."""
    evaluated(folders, folders / "out", planned(folders, oracle="clean"), [])
    assert {row.scores["si_sdr"] for row in load(folders / "out").rows if row.system == "oracle"} == {float("inf")}


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        (("si_sdr", "snr"), r"holds an evaluation with other settings \(protocol.metrics.snr: absent against auscult"),
        (("snr",), r"metrics.si_sdr: auscult .* against absent; protocol.metrics.snr"),
    ],
)
def test_other_settings_are_refused(folders: Path, metrics: tuple[str, ...], says: str) -> None:
    evaluated(folders, folders / "out", planned(folders), [])
    with pytest.raises(EvaluationError, match=says + ".*choose another --out"):
        Store(folders / "out", planned(folders, metrics).evaluation).__enter__()


def test_files_that_changed_are_not_taken_for_scored(folders: Path) -> None:
    new: list[Row] = []
    evaluated(folders, folders / "out", planned(folders), new)
    (folders / "noisy" / "0.flac").write_bytes((folders / "clean" / "0.flac").read_bytes())
    (folders / "out" / "restored").mkdir()
    (folders / "out" / "restored" / "mine.wav").touch()  # recordings are nobody's to delete, --overwrite or not
    work = planned(folders)
    with pytest.raises(EvaluationError, match=r"systems.noisy.content: .*or --overwrite it"):
        Store(folders / "out", work.evaluation).__enter__()
    with Store(folders / "out", work.evaluation, overwrite=True) as store:
        assert store.rows == []
        carry_out(work, store, Conduct(), new.append)
    assert (folders / "out" / "restored" / "mine.wav").exists()
    with Store(folders / "out", work.evaluation, overwrite=True) as store:  # the same again: nothing to throw away
        assert len(store.rows) == 3


def test_a_folder_in_use_is_refused(folders: Path) -> None:
    work = planned(folders)
    with (
        Store(folders / "out", work.evaluation),
        pytest.raises(EvaluationError, match="another process evaluates in this folder"),
    ):
        Store(folders / "out", work.evaluation).__enter__()


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("evaluation.json", "{", "evaluation.json: damaged"),
        ("evaluation.json", "{}", "evaluation.json: damaged"),
        ("rows.jsonl", "{}\n{}\n", "rows.jsonl:1: damaged"),
    ],
)
def test_damaged_evaluations_are_named(folders: Path, file: str, text: str, says: str) -> None:
    evaluated(folders, folders / "out", planned(folders), [])
    (folders / "out" / file).write_text(text)
    with pytest.raises(EvaluationError, match=says):
        load(folders / "out")
    with pytest.raises(EvaluationError, match="no evaluation in it"):
        load(folders)


def test_evaluations_stand_side_by_side_when_measured_alike(folders: Path) -> None:
    own = evaluated(folders, folders / "a", planned(folders, oracle="clean"), [])
    other = evaluated(folders, folders / "b", planned(folders, copy="noisy"), [])
    whole, notes = join(own, {"b": other}, mixed=False)
    assert list(whole.systems) == ["noisy", "oracle", "copy"]
    assert len(whole.rows) == 9
    assert notes == []
    with pytest.raises(EvaluationError, match="b: has a system 'oracle' as we do"):
        join(own, {"b": own}, mixed=False)


def test_numbers_of_another_protocol_are_refused_or_marked(folders: Path) -> None:
    own = evaluated(folders, folders / "a", planned(folders, ("si_sdr", "snr"), oracle="clean"), [])
    other = evaluated(folders, folders / "b", planned(folders, copy="noisy"), [])
    with pytest.raises(EvaluationError, match=r"measured by another protocol .*metrics.snr.* add --mixed"):
        join(own, {"b": other}, mixed=False)
    whole, notes = join(own, {"b": other}, mixed=True)
    assert list(whole.systems) == ["noisy", "oracle", "copy†"]
    assert whole.systems["copy†"]["protocol"] == other.fingerprint
    assert notes[0].startswith("† from b, measured by another protocol")
    elsewhere = replace(other, rows=tuple(replace(row, data="other") for row in other.rows))
    with pytest.raises(EvaluationError, match="none of the items of 'copy' is among ours"):
        join(own, {"b": elsewhere}, mixed=True)


def test_fingerprints_tell_protocols_apart(folders: Path) -> None:
    one, two = planned(folders), planned(folders, ("snr",))
    assert one.evaluation.fingerprint == planned(folders, oracle="clean").evaluation.fingerprint
    assert one.evaluation.fingerprint != two.evaluation.fingerprint
    (folders / "clean" / "2.flac").unlink()
    (folders / "noisy" / "2.flac").unlink()
    assert planned(folders).evaluation.fingerprint != one.evaluation.fingerprint


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_command_leaves_no_worker_and_goes_on(clean: Clip, noisy: Clip, tmp_path: Path, stop: int) -> None:
    """Ctrl-C to the whole group, or kill -9 to the main process: what is finished is kept, and not done again."""
    for side, clip in (("clean", clean), ("noisy", noisy)):
        write(tmp_path / side / "0.wav", clip)
        for i in range(1, 20):
            (tmp_path / side / f"{i}.wav").symlink_to(tmp_path / side / "0.wav")
    rows = tmp_path / "out" / "rows.jsonl"
    command = [sys.executable, "-m", "auscult", "evaluate", "--data", str(tmp_path), "-o", str(rows.parent),
               "--workers", "2", "--metrics", "pesq", "--no-report"]  # fmt: skip
    with hearing_ctrl_c():
        run = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    with run:
        while not (rows.exists() and rows.stat().st_size):
            time.sleep(0.05)
        os.killpg(run.pid, stop) if stop == signal.SIGINT else run.kill()
        _, told = run.communicate(timeout=60)
    assert run.returncode == (130 if stop == signal.SIGINT else -9)
    assert stop == signal.SIGKILL or told == "auscult: stopped\n"
    kept = rows.read_text().splitlines()
    assert 0 < len(kept) < 20
    while members(run.pid):
        time.sleep(0.05)  # the test's timeout ends it if a worker stays
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert rows.read_text().splitlines()[: len(kept) - 1] == kept[:-1]
    assert len(rows.read_text().splitlines()) == 20
