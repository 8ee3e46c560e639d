"""``auscult diagnose`` as a person types it: its words, its page, its exit codes, its answers to bad input."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from auscult.audio.clip import Clip
from auscult.diagnose.checks import checks
from auscult.diagnose.rates import FILE, Rate, rates, rates_of
from tests.diagnose.made_pairs import folder, made
from tests.processes import Run


@pytest.fixture
def chance(tmp_path: Path) -> Path:
    """Scores of 120 items whose input and output have nothing to do with the reference."""
    rng = np.random.default_rng(3)
    noisy, enhanced = (10 * np.log10(rng.chisquare(1, 120)) - 31 for _ in range(2))
    path = tmp_path / "per_item.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["item", "si_snr_noisy", "si_snr_enhanced"])
        rows.writerows((f"u{i}", a, b) for i, (a, b) in enumerate(zip(noisy, enhanced, strict=True)))
    return path


def test_a_table_of_chance_is_told_in_words_data_and_a_page(auscult: Run, chance: Path, tmp_path: Path) -> None:
    code, out, err = auscult(
        "diagnose", "--scores", chance, "--json", tmp_path / "d.json", "--html", tmp_path / "d.html"
    )
    assert code == 1
    assert out.startswith("the cause is: clean and noisy are different recordings\n")
    assert "  or        clean and noisy are cropped at places of their own\n" in out
    assert "(normal: above -18 for any mixture in use)" in out
    assert "no history was given (--history FILE, or --run DIR)\n    would allow: " in out
    found = json.loads((tmp_path / "d.json").read_text())
    assert found["exit_code"] == 1
    assert found["findings"][0]["causes"][0] == "unrelated-pairs"
    page = (tmp_path / "d.html").read_text()
    assert "<h1>the cause is: clean and noisy are different recordings</h1>" in page
    assert f"page: {tmp_path / 'd.html'}" in err


def test_sound_data_are_no_fault_and_programs_read_them(auscult: Run, clean: Clip, tmp_path: Path) -> None:
    data = folder(tmp_path / "data", made(clean.wave[0]))
    code, out, _ = auscult("diagnose", "-d", data, "--fact", "rate_hz=16000", "--only", "data", "--json", "-")
    found = json.loads(out)
    assert (code, found["exit_code"], found["findings"]) == (0, 0, [])
    assert found["facts"]["rate_hz"] == {"value": 16000, "source": "--fact"}
    assert {"unrelated-pairs", "lag"} <= {cause for one in found["ruled_out"] for cause in one["causes"]}


def test_a_check_that_fails_costs_no_other_answer(auscult: Run, chance: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(case: object) -> None:
        raise ZeroDivisionError("division by zero")

    mended = [replace(one, run=broken) if one.id == "too-few-items" else one for one in checks()]
    monkeypatch.setattr("auscult.diagnose.examine.checks", lambda: mended)
    code, out, _ = auscult("diagnose", "--scores", chance)
    assert code == 1
    assert "clean and noisy are different recordings" in out
    told = "the check itself failed, please report it: ZeroDivisionError: division by zero"
    assert f"{told}\n    would allow: too-few-items" in out


def test_every_check_is_explained(auscult: Run) -> None:
    code, out, _ = auscult("diagnose", "--list")
    assert code == 0
    for check in checks():
        assert f"  {check.id}  {check.asks}\n" in out


def test_rates_are_told_with_their_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auscult.diagnose.rates.rates", lambda: {"oracle": Rate(210, 0, 1, 12, 11)})
    told = "0 false alarms and 1 suspicion in 210 healthy cases; named 12 faults, 11 rightly"
    assert rates_of("oracle") == told
    assert rates_of("descent") == "not measured"


def test_the_rates_that_are_shipped_are_of_checks_that_exist() -> None:
    assert json.loads(FILE.read_text())["split"] == "test"
    assert rates().keys() <= {check.id for check in checks()}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing was given; give at least one of --data"),
        (("--data", "nowhere"), "--data nowhere: no such file or folder"),
        (("--scores", "nowhere.csv"), "--scores nowhere.csv: no such file or folder"),
        (("--recipe", "bandgru", "--only", "dta"), "--only dta: unknown (did you mean 'data'?)"),
        (("--recipe", "bandgru", "--fact", "rate"), "--fact rate: NAME=VALUE is needed"),
        (("--recipe", "bandgru", "--fact", "rate=1"), "--fact rate: unknown (did you mean 'rate_hz'?)"),
        (("--recipe", "bandgru", "--budget", "5"), "--budget 5: a number with its unit is needed"),
    ],
)
def test_bad_input_is_answered_in_a_line(auscult: Run, arguments: tuple[str, ...], words: str) -> None:
    code, _, err = auscult("diagnose", *arguments)
    assert code == 2
    assert words in err
    assert err.count("\n") == 1
