"""The four real cases of docs/cases, replayed on made speech: the cause first, and no word of their healthy twins."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from auscult.diagnose.case import Given
from auscult.diagnose.examine import Diagnosis, examine
from auscult.errors import RecipeError
from auscult.nets.dit import DiT
from benchmarks import cases
from benchmarks.cases import Replay

TABLE = Path(os.environ.get("AUSCULT_CASES", cases.ROOT.parent / "shared" / "cases")) / "tfgridnet_192_items.csv"
SAMPLE = cases.speech(None)


@pytest.fixture(autouse=True)
def _projects(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (cases.ROOT, cases.CASES):
        monkeypatch.syspath_prepend(str(folder))


def ways(replays: Iterator[Replay]) -> dict[str, Replay]:
    return {one.way: one for one in replays}


def first(found: Diagnosis) -> tuple[str, str]:
    return found.ranked[0].finding.verdict, found.ranked[0].finding.causes[0]


def silent(found: Diagnosis) -> bool:
    return bool(found.ran) and not found.ranked


def ruled_out(found: Diagnosis) -> set[str]:
    return {cause for one in found.ruled_out for cause in one.causes}


def test_a_corpus_left_at_48_khz(tmp_path: Path) -> None:
    way = ways(cases.voicebank_48k(tmp_path, SAMPLE))
    found = way["loader and files"].run()
    assert [first(found), (found.ranked[1].finding.verdict, found.ranked[1].finding.causes[0])] == [
        ("fault", "wrong-rate"),
        ("fault", "valid-is-test"),
    ], "what makes results bad comes before what only flatters them"
    heard = {one.what: one.value for one in found.ranked[0].finding.measured}
    assert heard["the same at 3 times the rate"] < 12 < heard["squared distance from read speech as it is heard"]
    assert {"unrelated-pairs", "lag", "pair-gain", "clipping"} <= ruled_out(found)
    assert silent(way["loader and files, healthy"].run())


def test_of_files_alone_the_rate_is_no_fault(tmp_path: Path) -> None:
    """Files at 48 kHz are as they should be: the fault lies in who reads them."""
    way = ways(cases.voicebank_48k(tmp_path, SAMPLE))
    found = way["files"].run()
    named = [one.finding.causes[0] for one in found.ranked]
    assert "valid-is-test" in named
    assert "wrong-rate" not in named


def test_a_time_term_at_another_level(tmp_path: Path) -> None:
    way = ways(cases.cmgan_level(tmp_path, SAMPLE))
    found = way["loader and loss"].run()
    assert first(found) == ("fault", "target-scale")
    assert found.ranked[0].finding.certain
    assert "the term time" in found.ranked[0].finding.says
    healthy = way["loader and loss, healthy"].run()
    assert silent(healthy)
    assert {"target-scale", "target-misaligned", "loss-floor"} <= ruled_out(healthy)


@pytest.mark.parametrize(("loss", "verdict"), [("quieter_target", "fault"), ("energy_prior", "suspect")])
def test_a_term_at_another_level_under_a_stronger_one(loss: str, verdict: str) -> None:
    """The whole is best at the target; only a term that is a distance to another level of it is a fault."""
    found = examine(Given(loss=f"tests.cases.losses:{loss}", trust=("tests",)), families=("loss",))
    (oracle,) = [one.finding for one in found.ranked if one.finding.check == "oracle"]
    assert oracle.verdict == verdict
    assert (oracle.causes[0] == "target-scale") == (verdict == "fault")


def test_the_published_log_is_too_sparse_to_accuse_anything() -> None:
    found = examine(Given(history=cases.CASES / "cmgan_level" / "log.csv"))
    assert not found.ranked
    (open_one,) = found.open
    assert open_one.causes[0] == "loss-metric-divergence"
    assert "2.64" in open_one.says
    assert "2.07" in open_one.says


def test_crops_of_their_own(tmp_path: Path) -> None:
    way = ways(cases.tfgridnet_crops(tmp_path, [clip for clip in SAMPLE for _ in range(2)], None))
    project = way["loader and loss"]
    asked = replace(project.given, facts={**project.given.facts, "snr_db": [0.0, 15.0]})
    found = replace(project, given=asked).run()
    assert first(found) == ("fault", "independent-crops")
    named = {cause for one in found.ranked for each in (one.finding, *one.folded) for cause in each.causes[:1]}
    assert "snr-off" not in named, "what holds no clean speech has no SNR to be off"
    assert {"target-scale", "loss-sign", "polarity", "clipping"} <= ruled_out(found)
    assert silent(way["loader and loss, healthy"].run())


def test_a_table_of_chance(tmp_path: Path) -> None:
    way = ways(cases.tfgridnet_crops(tmp_path, SAMPLE, None))
    assert first(way["scores"].run()) == ("fault", "unrelated-pairs")
    assert silent(way["scores, healthy"].run())


@pytest.mark.skipif(not TABLE.is_file(), reason="the run's own table is not ours to publish")
def test_the_table_of_the_run_itself() -> None:
    with TABLE.open() as file:
        noisy = [float(row["si_snr_noisy"]) for row in csv.DictReader(file)]
    assert np.mean(noisy) == pytest.approx(-36.40, abs=0.01)
    found = examine(Given(scores=TABLE))
    assert first(found) == ("fault", "unrelated-pairs")
    numbers = {one.what: one.value for one in found.ranked[0].finding.measured}
    assert numbers["effective samples by the law of unrelated signals"] == pytest.approx(1226, abs=2)
    assert numbers["t of the improvement"] < 2
    assert [one.causes[0] for one in found.open] == ["too-few-items"]


def test_a_hard_splice_at_the_roll_off(tmp_path: Path) -> None:
    whole = np.concatenate([wave for _, wave in SAMPLE], axis=1)
    parts = [("p", part) for part in np.array_split(whole, 4, axis=1)]
    found, healthy = (one.run() for one in cases.saga_line(tmp_path, parts, 16_000, 2_000))
    assert first(found) == ("fault", "splice-line")
    assert {"output-lag", "output-level", "chunk-seams"} <= ruled_out(found)
    assert not healthy.faults
    assert "splice-line" in ruled_out(healthy)


def test_a_chain_of_dimensions_that_would_be_silent_is_refused() -> None:
    """Text of 768 in a net of 512: the reference repeats its heads zero times and adds nothing, without an error."""
    with pytest.raises(
        RecipeError, match=r"512 / 8 heads = 64 channels a head, tokens of 768 / 64 = 12 key-value heads"
    ):
        DiT(width=512, depth=1, heads=8, token_width=768)
    DiT(width=512, depth=1, heads=8, token_width=512)
