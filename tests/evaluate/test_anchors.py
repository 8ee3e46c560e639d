"""Known numbers: the real ones are met, wrong files are stopped with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from auscult.audio.clip import Clip, read
from auscult.audio.resample import resample
from auscult.audio.writer import write
from auscult.errors import EvaluationError
from auscult.evaluate.anchors import in_words, known, likely_reason, recognised
from auscult.evaluate.conduct import Conduct, carry_out
from auscult.evaluate.datasets import DataSet
from auscult.evaluate.rows import Item
from auscult.evaluate.store import Store
from auscult.evaluate.study import Study, System, plan
from tests.conftest import ROOT


def test_the_table_is_complete() -> None:
    for anchor in known().anchors.values():
        assert (anchor.list is None) != (anchor.items is None)
        assert all(tolerance > 0 for _, tolerance in anchor.scores.values())
    for published in known().checkpoints.values():
        assert published.data in known().anchors
        assert len(published.sha256) == 64


def test_voicebank_is_known_by_number_and_names() -> None:
    names = [f"p{232 + 25 * (i % 2)}_{i:03d}" for i in range(824)]
    items = [Item("x", name) for name in names]
    assert recognised(items) == "VoiceBank-DEMAND test"
    assert recognised(items[1:]) is None
    assert known().anchors["VoiceBank-DEMAND test"].scores["csig"][0] == 3.35


@pytest.fixture
def scored(data: Path, tmp_path: Path) -> Callable[..., list[str]]:
    def score(folder: Path, *models: str, metric: str = "si_sdr", anchored: bool = True) -> list[str]:
        study = Study({"p257": DataSet(folder)}, {m: System(model=m) for m in models}, metrics=(metric,))
        work = plan(study, tmp_path / "out")
        with Store(tmp_path / "out", work.evaluation) as store:
            return in_words(carry_out(work, store, Conduct(anchored=anchored), [].append))

    return score


def test_the_built_in_model_calibrates_the_scorer(data: Path, scored: Callable[..., list[str]]) -> None:
    said = scored(data / "vbdmd_p257", "default")
    assert said == [
        "p257, noisy (VoiceBank-DEMAND test, speaker p257, 40 pairs): as known: si_sdr 5.841 (known 5.84 ± 0.02)",
        "default (auscult's built-in model): as known: si_sdr 15.687 (known 15.69 ± 0.05)",
    ]


@pytest.fixture
def pairs(data: Path, tmp_path: Path) -> Callable[..., Path]:
    """The 40 pairs, with something done to the noisy side."""

    def make(change: Callable[[np.ndarray], np.ndarray], rate_hz: int = 16_000, both: bool = False) -> Path:
        paths = sorted((data / "vbdmd_p257" / "noisy").iterdir())
        for i, path in enumerate(paths):
            clean, noisy = read(path.parent.parent / "clean" / path.name), read(path)
            other = read(paths[(i + 1) % len(paths)])
            wave = np.resize(other.wave, noisy.wave.shape) if change is unrelated else change(noisy.wave)
            reference = change(clean.wave) if both else clean.wave
            write(tmp_path / "p" / "noisy" / path.name, Clip(wave, rate_hz))
            write(tmp_path / "p" / "clean" / path.name, Clip(reference, rate_hz))
        return tmp_path / "p"

    return make


def unrelated(wave: np.ndarray) -> np.ndarray:
    return wave


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda wave: np.roll(wave, 8), r"shifted against clean ones by 8 samples"),
        (lambda wave: 0.5 * wave + 0.01 * np.roll(wave, 3), "at 0.5. times its level: one side was normalised"),
        (unrelated, "look unrelated"),
    ],
)
def test_wrong_files_stop_with_the_reason(
    scored: Callable[..., list[str]], pairs: Callable[..., Path], change: Callable[..., np.ndarray], says: str
) -> None:
    folder = pairs(change)
    with pytest.raises(
        EvaluationError, match=f"is VoiceBank-DEMAND test, speaker p257.*Likely: .*{says}.*--no-anchors"
    ):
        scored(folder)
    assert "not as known" in scored(folder, anchored=False)[0]


def test_another_rate_is_the_first_suspect(pairs: Callable[..., Path]) -> None:
    folder = pairs(lambda wave: resample(wave, 16_000, 8_000), 8_000, both=True)
    items = DataSet(folder).contents("p257", {}).items
    assert likely_reason(items, 16_000).startswith("the files say 8000 Hz, the set is scored at 16000 Hz")


def test_checkpoints_with_other_settings_are_not_compared(data: Path, tmp_path: Path) -> None:
    from auscult.evaluate.anchors import calibration
    from auscult.evaluate.rows import Row

    study = Study({"p257": DataSet(data / "vbdmd_p257")}, {"d": System(model="default")}, metrics=("si_sdr",))
    head = plan(study, tmp_path).evaluation
    rows = tuple(Row("p257", "d", item.name, {"si_sdr": 1.0}) for item in head.items)
    whole = replace(head, rows=rows)
    assert not calibration(whole)[0].agrees
    half = {**head.systems["d"], "strength": 0.5}
    assert calibration(replace(whole, systems={**head.systems, "d": half})) == []


def test_the_docs_hold_the_table() -> None:
    page = (ROOT / "docs" / "calibration.md").read_text(encoding="utf-8")
    for name, anchor in known().anchors.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
        assert all(f" {value:g} ± {tolerance:g} |" in row for value, tolerance in anchor.scores.values())
        assert ("(quoted)" in row) == anchor.quoted
    for name, published in known().checkpoints.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
        assert published.sha256[:16] in row
        assert all(f" {value:g} ± {tolerance:g} |" in row for value, tolerance in published.scores.values())
