"""``auscult audit``: what it shows of healthy and faulty sets, its page, and bad input in one line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from auscult.audio.clip import Clip
from auscult.diagnose.evidence import FilePair
from auscult.diagnose.gather.files import gather_files
from tests.diagnose.made_pairs import RATE, Given, Pair, case_of, changed, folder, made
from tests.processes import Run


@pytest.fixture(scope="module")
def pairs(clean: Clip) -> list[Pair]:
    return made(clean.wave[0])


@pytest.fixture(scope="module")
def healthy(pairs: list[Pair], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("healthy"), pairs)


def _told(auscult: Run, *arguments: object) -> tuple[int, dict[str, Any]]:
    code, out, err = auscult("audit", *arguments, "--json", "-")
    assert out, err
    return code, json.loads(out)


def test_a_healthy_set_is_shown_in_numbers(auscult: Run, healthy: Path) -> None:
    code, found = _told(auscult, healthy)
    assert (code, found["findings"], found["verdict"]) == (0, [], "no fault found")
    (split,) = found["splits"]
    assert (split["name"], split["pairs"], split["rates"], split["channels"]) == ("data", 10, {"16000": 20}, {"1": 20})
    assert split["hours"] == pytest.approx(10 * 2.5 / 3600, rel=0.01)
    assert split["lengths_s"] == pytest.approx([2.5, 2.5, 2.5])
    numbers = {row["what"]: row for row in found["quantities"]}
    lag, snr, gain = (numbers[name] for name in ("noisy behind clean", "SNR", "clean within noisy"))
    assert (lag["low"], lag["high"], lag["items"]) == (0, 0, 10)
    assert -7 < snr["low"] < snr["high"] < 17
    assert abs(gain["middle"]) < 0.1
    assert {"lag", "pair-gain", "polarity", "unreadable-files"} <= {
        c for one in found["ruled_out"] for c in one["causes"]
    }


def test_no_torch_is_imported(healthy: Path) -> None:
    code = ("import sys; from auscult.cli import app\n"
            f"app(['audit', {str(healthy)!r}, '--items', '3'], standalone_mode=False)\n"
            "print('torch' in sys.modules)")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip().endswith("\nFalse"), done.stdout + done.stderr


def test_the_table_comes_before_the_verdict(auscult: Run, healthy: Path) -> None:
    code, out, _ = auscult("audit", healthy)
    assert code == 0
    assert out.index("pairs") < out.index("noisy behind clean, ms") < out.index("no fault found")


def test_a_late_set_exits_with_one_and_its_page_plays_the_pairs(
    auscult: Run, pairs: list[Pair], tmp_path: Path
) -> None:
    late = folder(tmp_path / "late", changed(pairs, lambda c, n, _: (c[480:], n[:-480])))
    code, out, _ = auscult("audit", late, "--html", tmp_path / "audit.html")
    assert code == 1
    assert "the cause is: noisy lags behind clean" in out
    page = (tmp_path / "audit.html").read_text()
    assert "The pairs that fit least" in page
    assert "What was looked at" in page
    assert page.count("<audio") == 2 * (3 + 5)  # both sides of three exhibits and of the five that fit least


def test_files_of_another_rate_than_is_stated_are_suspect(auscult: Run, healthy: Path) -> None:
    code, found = _told(auscult, healthy, "--rate", RATE)
    assert (code, found["findings"]) == (0, [])
    assert "all 20 files have 16000 Hz" in json.dumps(found["ruled_out"])
    code, found = _told(auscult, healthy, "--rate", 48_000)
    assert code == 0  # a loader may resample: a suspicion
    assert [(one["verdict"], one["causes"]) for one in found["findings"]] == [("suspect", ["wrong-rate"])]
    assert "20 of 20 files do not have the 48000 Hz that --fact says: 20 of 16000 Hz" in found["findings"][0]["says"]


def test_splits_are_compared(auscult: Run, pairs: list[Pair], tmp_path: Path) -> None:
    folder(tmp_path / "a", pairs[:6])
    folder(tmp_path / "b", pairs[3:8])
    code, found = _told(auscult, "--split", f"valid={tmp_path / 'a'}", "--split", f"test={tmp_path / 'b'}")
    assert code == 1
    assert found["findings"][0]["causes"] == ["leaked-split"]
    assert "3 of 5 recordings" in found["findings"][0]["says"]


def test_of_large_sets_a_sample_is_read(healthy: Path) -> None:
    files = gather_files(case_of(Given(data={"data": healthy}, most_files=4)))
    assert (len(files.splits["data"]), files.listed["data"]) == (4, 10)
    assert all(isinstance(one, FilePair) for one in files.splits["data"])


def test_bad_input_is_one_line_and_exit_code_two(auscult: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    rows = {"words.jsonl": "no json", "bare.jsonl": '{"speaker": "a"}',
            "lag.jsonl": '{"clean": "a.wav", "noisy": "b.wav", "lag_samples": "late"}',
            "gone.jsonl": '{"clean": "a.wav", "noisy": "b.wav"}'}  # fmt: skip
    for name, row in rows.items():
        (tmp_path / name).write_text(row + "\n")
    bad = {
        (): "give either one folder or manifest, or --split",
        (tmp_path / "none",): "no such folder or manifest",
        (tmp_path / "empty",): "no pairs, manifest or audio in it",
        (tmp_path / "words.jsonl",): "words.jsonl:1: not JSON",
        (tmp_path / "bare.jsonl",): "bare.jsonl:1: the row names neither clean and noisy nor a path",
        (tmp_path / "lag.jsonl",): "lag.jsonl:1: lag_samples must be a whole number of samples, this is 'late'",
        (tmp_path / "gone.jsonl",): "no pair can be read: .*a.wav: no such file",
        ("--split", tmp_path / "empty"): "NAME=PATH is needed",
    }
    for arguments, message in bad.items():
        code, _, err = auscult("audit", *arguments)
        assert code == 2, arguments
        assert len(err.strip().splitlines()) == 1, err
        assert re.search(message, err), err


def test_one_broken_file_among_many_is_named(auscult: Run, pairs: list[Pair], tmp_path: Path) -> None:
    folder(tmp_path, pairs)
    (tmp_path / "noisy" / "u004.wav").write_text("this is not audio")
    code, found = _told(auscult, tmp_path)
    assert code == 1
    assert found["findings"][0]["causes"] == ["unreadable-files"]
    assert found["findings"][0]["exhibits"][0]["name"].endswith("noisy/u004.wav")
    assert found["splits"][0]["pairs"] == 10
    assert found["splits"][0]["looked"] == 9


def test_sides_that_do_not_match_are_counted(auscult: Run, pairs: list[Pair], tmp_path: Path) -> None:
    folder(tmp_path, pairs)
    soundfile.write(tmp_path / "clean" / "alone.wav", np.zeros(RATE, np.float32) + 0.1, RATE)
    code, found = _told(auscult, tmp_path)
    assert code == 0  # a suspicion
    assert found["findings"][0]["says"] == "1 files have no partner of their name (4.8%)"
