"""The page of training runs: numbers against known truth, and what the page does in a browser."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from auscult.audio.clip import Clip
from auscult.audio.writer import write
from auscult.cli import app
from auscult.diagnose.reference import Band, Reference
from auscult.errors import AuscultError, DataError
from auscult.hub.runs import read_history
from auscult.report.curves import curves_of
from auscult.report.evaluation import AUDIO_FOLDER
from auscult.report.runfolder import Run, read_run
from auscult.report.runs import write_runs
from auscult.report.tables import figures
from auscult.train.history import (
    History,
    Series,
    last_third,
    paired,
    ranked,
    smoothed,
    stages,
    thinned,
    unlike,
)
from tests.report.conftest import luminance, problems
from tests.train.runs import VALIDATION, recipe, write_recipe

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

RECIPE: dict[str, Any] = {
    "name": "made",
    "seed": 0,
    "method": {"type": "Regression", "net": {"type": "BandGRU", "channels": 4}},
    "training": {"steps": 300, "batch": 4, "clip_norm": 2.0},
    "validation": {"data": {"crop_s": None}, "metrics": ["pesq", "lsd"], "select": "pesq", "keep_best": 2},
}


def step_row(step: int, loss: Any = 1.0, clipped: float = 0.0, **more: Any) -> dict[str, Any]:
    """A logged step of one turn, whose loss has two parts: 3 x 0.5 and 1 x 0.5."""
    turn = {
        "loss": loss,
        "parts": {"near": 3.0, "far": 0.5},
        "weights": {"near": 0.5, "far": 1.0},
        "lr": 1e-3,
        "grad_norm": 3.0,
        "grad_norm_mean": 1.0,
        "clipped_share": clipped,
        "unstepped": 0,
    }
    row = {"kind": "step", "step": step, "turns": {"net": turn}, "items": 40, "skipped": {}, "items_per_s": 20.0}
    return row | {"loader_wait_share": 0.01, "peak_memory_mib": 900.0, "audio_per_s": 80.0} | more


def validation_row(step: int, level: float, items: int = 12, **more: Any) -> dict[str, Any]:
    """Item ``i`` scores ``level`` + i / 10 in pesq, and gets no score in lsd if it is the first."""
    rows = [
        {"item": f"i{i}", "pesq": level + i / 10, **({"lsd": 5.0 - level} if i else {}),
         "failed": {} if i else {"lsd": "silence"}} for i in range(items)
    ]  # fmt: skip
    means = {"pesq": level + (items - 1) / 20, "lsd": 5.0 - level}
    return {"kind": "validation", "step": step, "means": means, "items": rows, "lost": {}} | more


def made_rows(levels: tuple[float, ...] = (1.0, 1.5, 1.4)) -> list[dict[str, Any]]:
    """300 steps, a row every ten, the loss falling from 1 by 0.002 a step; validations at 100, 200 and 300."""
    rows: list[dict[str, Any]] = []
    for step in range(10, 301, 10):
        rows.append(step_row(step, 1 - 0.002 * step, clipped=float(step <= 60), skipped={"silent": 1}))
        if step % 100 == 0:
            rows.append(validation_row(step, levels[step // 100 - 1]))
    return rows


def make_run(
    folder: Path, rows: list[dict[str, Any]] | None = None, changes: dict[str, Any] | None = None, samples: int = 2
) -> Path:
    """A run folder without checkpoints."""
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, **(changes or {})}))
    (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows or made_rows()))
    start = {"versions": {"auscult": "0.1.0"}, "device": "abacus", "cpus": 2, "threads": 1}
    (folder / "environment.json").write_text(json.dumps([start]))
    rng = np.random.default_rng(1)
    for number in range(samples):
        for level, role in ((0.3, "noisy"), (0.1, "restored"), (0.05, "clean")):
            wave = (level * rng.standard_normal((1, 24_000))).astype(np.float32)
            write(folder / "samples" / f"{number}-{role}.flac", Clip(np.clip(wave, -1, 1), 16_000))
        for step in range(100, 100 * samples + 500, 100):  # the last one is the restored one
            write(folder / "samples" / f"{number}-step-{step:08d}.flac", Clip(np.clip(wave, -1, 1), 16_000))
    return folder


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "made-0123abcd")


@pytest.fixture(scope="module")
def run(run_folder: Path) -> Run:
    return read_run(run_folder)


# Numbers


def test_series_of_a_history() -> None:
    history = History.of([step_row(10, 0.5), step_row(20, "nan"), step_row(30, "inf"), step_row(40, 0.25)])
    loss = history.series("turns", "net", "loss")
    assert loss.steps.tolist() == [10, 20, 30, 40]
    assert loss.gaps.tolist() == [20, 30]
    assert loss.mean == pytest.approx(0.375)
    assert history.series("turns", "net", "ema_distance").steps.size == 0
    assert history.series("nothing", "there").steps.size == 0


def test_trend_is_the_slope_over_1000_steps() -> None:
    steps = np.arange(10, 1_000, 10)
    values = 3 - 0.004 * steps
    values[7] = np.nan
    assert Series(steps, values).trend == pytest.approx(-4.0)
    assert math.isnan(Series(steps[:1], values[:1]).trend)
    assert math.isnan(Series(steps[:0], values[:0]).trend)


def test_shares_weigh_the_parts() -> None:
    shares = History.of([step_row(10), step_row(20)]).shares("net")
    assert shares["near"].values == pytest.approx([0.75, 0.75])
    assert shares["far"].values == pytest.approx([0.25, 0.25])


def test_a_part_that_is_not_finite_leaves_a_gap_in_the_shares() -> None:
    row = step_row(20)
    row["turns"]["net"]["parts"]["far"] = "inf"
    shares = History.of([step_row(10), row]).shares("net")
    assert [list(series.gaps) for series in shares.values()] == [[20], [20]]


def test_counts_over_the_whole_run(run: Run) -> None:
    history = run.history
    assert history.clipped_share("net") == pytest.approx(0.2)
    assert dict(history.skipped) == {"silent": 30}
    assert history.items == 1_200
    assert history.learning_s == pytest.approx(60.0)


def test_rows_weigh_by_the_steps_they_speak_for() -> None:
    history = History.of([step_row(90, clipped=0.0), step_row(100, clipped=1.0)])
    assert history.clipped_share("net") == pytest.approx(0.1)


def test_smoothing_keeps_lines_and_gaps() -> None:
    steps = np.arange(50)
    values = 2.0 * steps
    assert smoothed(Series(steps, values), 9).values[:45] == pytest.approx(values[:45])
    values[20] = np.nan
    smooth = smoothed(Series(steps, values), 9).values
    assert np.flatnonzero(np.isnan(smooth)).tolist() == [20]
    peaks = np.ones(50)
    peaks[25] = 1e6
    assert smoothed(Series(steps, peaks), 9, geometric=True).values.max() < 10
    assert smoothed(Series(steps, peaks), 1).values == pytest.approx(peaks)


def test_thinning_keeps_extremes_ends_and_gaps() -> None:
    steps = np.arange(20_000)
    values = np.sin(steps / 3_000)
    values[[5_001, 12_345]] = 9.0, -9.0
    values[777] = np.nan
    thin = thinned(Series(steps, values), 200)
    assert thin.steps.size < 210
    assert {0, 5_001, 12_345, 777, 19_999} <= set(thin.steps.tolist())
    assert np.nanmax(thin.values) == 9.0
    assert (np.diff(thin.steps) > 0).all()
    assert thinned(Series(steps[:50], values[:50]), 200).steps.size == 50


def test_ranking_of_validations(run: Run) -> None:
    assert [one.step for one, _ in ranked(run.history, "pesq", True)] == [200, 300, 100]
    assert [one.step for one, _ in ranked(run.history, "lsd", False)] == [200, 300, 100]
    assert [one.step for one, _ in ranked(run.history, "pesq", True, {300: 9.0})] == [300, 200, 100]
    assert ranked(run.history, "unknown", True) == []


def test_lost_items_do_not_make_a_validation_the_best() -> None:
    history = History.of([step_row(10), validation_row(10, 2.0, lost={"pesq": 3}), validation_row(20, 1.0)])
    assert [one.step for one, _ in ranked(history, "pesq", True)] == [20, 10]
    assert [one.step for one, _ in ranked(history, "pesq", True, {10: 1.9})] == [10, 20]


def test_validations_without_a_finite_mean_have_no_rank() -> None:
    history = History.of([step_row(10), validation_row(10, 1.0, means={"pesq": "nan"}), validation_row(20, 1.0)])
    assert [one.step for one, _ in ranked(history, "pesq", True)] == [20]


def test_the_last_third_is_judged_item_by_item(run: Run) -> None:
    found = last_third(run.history, "pesq")
    assert found is not None
    last, before, change = found
    assert (last.step, before.step, change.items) == (300, 200, 12)
    assert (change.mean, change.low, change.high) == pytest.approx((-0.1, -0.1, -0.1))
    assert last_third(History.of(made_rows()[:8]), "pesq") is None


def test_pairs_are_of_the_items_that_both_scored() -> None:
    a, b = History.of([validation_row(1, 1.0, items=5), validation_row(2, 2.0, items=8)]).validations
    assert paired(b, a, "pesq").items == 5
    assert paired(b, a, "pesq").mean == pytest.approx(1.0)
    assert paired(b, a, "lsd").items == 4
    assert paired(b, a, "unknown").items == 0


def test_items_of_one_name_are_told_apart() -> None:
    row = validation_row(1, 1.0, items=2)
    row["items"][1]["item"] = "i0"
    (validation,) = History.of([row]).validations
    assert list(validation.scores) == ["i0", "i0 (2)"]


def test_stages_are_thirds() -> None:
    assert [(one.name, one.low, one.high) for one in stages(300)] == [
        ("early", 0, 100), ("middle", 100, 200), ("late", 200, 300)]  # fmt: skip
    rows = Series(np.arange(10, 301, 10), np.arange(30.0))
    assert sum(rows.within(one.low, one.high).steps.size for one in stages(300)) == 30


def test_recipes_differ_leaf_by_leaf() -> None:
    a = {"x": {"y": 1, "z": [1, 2]}, "list": [{"k": 1}], "same": None}
    b = {"x": {"y": 2, "z": [1, 2]}, "list": [{"k": 1}, {"k": 3}], "same": None}
    assert unlike([a, b]) == [("x.y", [1, 2]), ("list.1.k", [None, 3])]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.012345, "0.0123"), (1434.4, "1434"), (-2.5, "−2.50"), (2e-7, "2.00e−07"), (0.0, "0.00"), (math.nan, "–")],
)
def test_figures(value: float, text: str) -> None:
    assert figures(value) == text


def test_long_histories_make_small_pages(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    noise = rng.standard_normal(20_000)
    rows = [step_row(10 * i, 1 + 0.1 * float(noise[i])) for i in range(1, 20_000)]
    folder = make_run(tmp_path / "long", rows, {"training": {"steps": 200_000, "clip_norm": None}}, samples=0)
    payload = json.dumps(curves_of([read_run(folder)]))
    assert len(payload) < 120_000


HEALTHY = Reference("made", 5, {}, "", {
    "train.loss": Band([100.0, 200.0, 300.0], [0.8, 0.6, 0.4], [0.7, 0.5, 0.3], [0.9, 0.7, 0.5]),
    "valid.pesq": Band([100.0, 300.0], [1.5, 2.0], [1.4, 1.9], [1.6, 2.1]),
})  # fmt: skip


def test_healthy_runs_of_the_recipe_lie_behind_its_curves(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [one for one in curves_of([run]) if "band" in one], "no reference, no band"
    monkeypatch.setattr("auscult.report.curves.load", lambda name: HEALTHY if name == RECIPE["name"] else None)
    bands = {one["title"]: one["band"] for one in curves_of([run]) if "band" in one}
    assert list(bands) == ["loss", "pesq, higher is better"]
    assert bands["loss"]["low"] == [0.7, 0.5, 0.3]
    assert "5 seeds" in bands["loss"]["words"]


# The page


def text_of(folder: Path, *others: Path, audio: Any = "none") -> str:
    path = folder.parent / "page.html"
    write_runs(path, [folder, *others], audio)
    return path.read_text()


def test_what_happened_in_words(run_folder: Path) -> None:
    text = text_of(run_folder)
    for words in (
        "300 of 300 steps in 1 min 00 s of learning.",
        "The best of 3 validations by pesq was at step 200: 2.05 [",
        "The last third made it worse: pesq −0.100 [−0.100, −0.100] from step 200 to step 300, item by item.",
        "The gradient was clipped at norm 2 in 20 % of the steps.",
        "30 draws were skipped, 2.4 % of all: silent 30.",
        "abacus · CPUs 2, threads 1",
        "0123abcd",
        "300 of 300, finished",
        "lsd: silence",
    ):
        assert words in text, words
    assert "hold numbers that are not finite" not in text
    assert "<audio" not in text


def test_one_file_holds_everything(run_folder: Path, tmp_path: Path) -> None:
    write_runs(tmp_path / "page.html", [run_folder])
    text = (tmp_path / "page.html").read_text()
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]
    assert text.count("<audio") == 12
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", text)
    assert not re.search(r"url\((?!data:|#)|@import|https?://(?!www\.w3\.org/2000/svg)", text)


def test_audio_beside_the_page(run_folder: Path, tmp_path: Path) -> None:
    write_runs(tmp_path / "page.html", [run_folder], "beside")
    addresses = re.findall(r'<audio[^>]* src="([^"]+)"', (tmp_path / "page.html").read_text())
    assert len(addresses) == len(set(addresses)) == 12
    assert all(one.startswith(f"{AUDIO_FOLDER}/") and (tmp_path / one).is_file() for one in addresses)


def test_gaps_are_said(tmp_path: Path) -> None:
    rows = made_rows()
    rows[4]["turns"]["net"]["loss"] = "nan"
    rows[6]["turns"]["net"]["grad_norm"] = "inf"
    text = text_of(make_run(tmp_path / "gaps", rows))
    assert "2 of 30 rows hold numbers that are not finite, the first at step 50: gaps in the curves" in text
    assert "1 not finite, from step 50" in text


def test_unfinished_cut_and_not_validated(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "short", [step_row(10, 0.9), step_row(20, 0.8), step_row(30, 0.7)], samples=0)
    with open(folder / "history.jsonl", "a") as file:
        file.write('{"kind": "step", "st')
    text = text_of(folder)
    assert "30 of 300, not finished" in text
    assert "It was not validated" in text
    assert "None: no validation has left samples." in text


def test_damaged_checkpoints_and_environment_cost_their_facts_only(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "damaged", samples=0)
    (folder / "environment.json").write_text("{cut")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "step-00000100.safetensors").write_bytes(b"cut")
    assert "step-00000100.safetensors: not a readable checkpoint" in text_of(folder)


def test_two_runs_on_the_same_items(run_folder: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", made_rows((1.2, 1.8, 2.0)), {"training": {"steps": 300, "clip_norm": 1.0}})
    text = text_of(run_folder, other)
    assert re.search(r'class="difference better">\+0\.500 \[\+0\.500, \+0\.500\]<', text)
    assert "12 common items" in text
    assert re.search(r"training\.clip_norm</code></td><td>2.0</td><td>1.0<", text)
    assert "†" not in text
    assert text.count('<article class="card">') == 2


def test_runs_validated_on_other_data_are_marked(run_folder: Path, tmp_path: Path) -> None:
    validation = {**RECIPE["validation"], "data": {"crop_s": 4.0}}
    other = make_run(tmp_path / "other", changes={"validation": validation}, samples=0)
    text = text_of(run_folder, other)
    assert "† other was validated on other mixtures than made-0123abcd (validation.data.crop_s differ)" in text
    assert 'class="difference better"' not in text


def test_what_is_no_run_is_said_in_one_line(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="neither a run"):
        read_run(tmp_path / "empty")
    for history in ("", '{"kind": "step", "st'):
        shutil.copytree(run_folder, tmp_path / "new")
        (tmp_path / "new" / "history.jsonl").write_text(history)
        with pytest.raises(DataError, match="no history yet"):
            read_run(tmp_path / "new")
        shutil.rmtree(tmp_path / "new")
    shutil.copytree(run_folder, tmp_path / "odd")
    for history in (
        "3\n",
        '{"kind": "step"}\n',
        '{"kind": "step", "step": 1, "turns": 3, "items": 1, "skipped": {}}\n',
    ):
        (tmp_path / "odd" / "history.jsonl").write_text(history)
        with pytest.raises(DataError, match="not the history of a run"):
            read_run(tmp_path / "odd")
    for content in ("[", "3", "{}", "\xff"):
        (tmp_path / "odd" / "recipe.yaml").write_text(content, encoding="latin-1")
        with pytest.raises(DataError, match="not the recipe of a run"):
            read_run(tmp_path / "odd")
    with pytest.raises(DataError, match="given twice"):
        write_runs(tmp_path / "page.html", [run_folder, run_folder / "." / "samples" / ".."])


def test_names_are_text_wherever_they_appear(open_page: Callable[..., Any], tmp_path: Path) -> None:
    hostile = "<img src=x onerror='throw 1'>"
    rows = made_rows()
    for row in rows:
        if row["kind"] == "validation":
            row["items"][0]["item"] = hostile
            row["items"][0]["failed"] = {hostile: hostile}
        else:
            row["skipped"] = {hostile: 1}
            row["turns"]["net"]["parts"] = {hostile: 1.0, "</script>": 2.0}
    folder = make_run(tmp_path / "hostile &lt;", rows, {"name": hostile})
    write_runs(tmp_path / "page.html", [folder], "none")
    page = open_page(tmp_path / "page.html")
    page.wait_for_selector("html[data-ready]")
    assert page.locator("img[src=x]").count() == 0
    assert problems(page) == []


# The command


def command(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny run, trained to its end."""
    folder = tmp_path_factory.mktemp("trained")
    content = recipe(validation={**VALIDATION, "metrics": ["si_sdr", "lsd"]}, training={"steps": 9})
    arguments = ["train", str(write_recipe(folder, content)), "-d", str(corpus), "--runs", str(folder / "runs"),
                 "--device", "cpu", "--workers", "0", "--log-every", "1", "--force"]  # fmt: skip
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (run,) = (folder / "runs").iterdir()
    return run


def test_a_real_run_through_the_command(trained: Path, open_page: Callable[..., Any]) -> None:
    result = command(trained)
    assert result.exit_code == 0, result.output
    assert re.fullmatch(r"page: .*report\.html \(\d\.\d MB\)\n", result.output)
    rows = [row for row in read_history(trained / "history.jsonl") if row["kind"] == "validation"]
    best = max(rows, key=lambda row: row["means"]["si_sdr"])["step"]
    page = open_page(trained / "report.html")
    page.wait_for_selector("html[data-ready]")
    assert f"The best of 3 validations by si_sdr was at step {best}:" in page.locator(".verdict").inner_text()
    # Two samples (noisy, steps 3 and 6, restored, clean), the worst and the best item (noisy, restored, clean).
    assert page.locator("audio").count() == 2 * 5 + 2 * 3
    (table,) = trained.glob("samples/extremes-00000009/scores.json")
    for item in json.loads(table.read_text())["items"]:
        card = page.locator(".card", has_text=f"{item['place'].replace('-', ' ')}: {item['item']}")
        assert f"si_sdr {figures(item['noisy']['si_sdr'])} → {figures(item['restored']['si_sdr'])}" in card.inner_text()
        assert f"AddNoise snr_db {figures(5.0)}" in card.inner_text()
        assert card.locator("audio").count() == 3
    assert problems(page) == []


def test_damaged_scores_of_extremes_are_said(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "damaged", samples=0)
    (folder / "samples" / "extremes-00000300").mkdir(parents=True)
    (folder / "samples" / "extremes-00000300" / "scores.json").write_text('{"items": [{}]}')
    with pytest.raises(DataError, match="not the scores of a validation's extremes"):
        write_runs(tmp_path / "page.html", [folder])


def test_several_runs_make_one_page_here(
    trained: Path, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(trained, run_folder, "--audio", "none").exit_code == 0
    assert "Comparison" in (tmp_path / "runs-report.html").read_text()


def test_an_evaluation_gets_its_page_again(corpus: Path, run_folder: Path, tmp_path: Path) -> None:
    pairs = corpus / "pairs"
    arguments = ["evaluate", "--clean", pairs / "clean", "--noisy", pairs / "noisy", "-o", tmp_path / "e", "--metrics",
                 "si_sdr,lsd", "--workers", "1", "--no-report"]  # fmt: skip
    assert CliRunner().invoke(app, list(map(str, arguments))).exit_code == 0
    summary = json.loads((tmp_path / "e" / "summary.json").read_text())
    summary["notes"].append("Known scores were found again.")
    (tmp_path / "e" / "summary.json").write_text(json.dumps(summary))
    assert command(tmp_path / "e", "--audio", "none", "--metric", "lsd").exit_code == 0
    text = (tmp_path / "e" / "report.html").read_text()
    assert "change of lsd" in text
    assert "Known scores were found again." in text
    refused = {
        "no metric 'pesk'": (tmp_path / "e", "--metric", "pesk"),
        "no system 'x'": (tmp_path / "e", "--system", "x"),
        "a page is of runs or of an evaluation": (tmp_path / "e", run_folder),
        "--metric is for evaluations": (run_folder, "--metric", "lsd"),
        "have one each": (tmp_path / "e", tmp_path / "e", "-o", tmp_path / "x.html"),
        "neither a run": (tmp_path,),
    }
    for words, given in refused.items():
        result = command(*given)
        assert isinstance(result.exception, AuscultError), words
        assert words in str(result.exception)
        assert "\n" not in str(result.exception)


def test_the_page_needs_no_torch(run_folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from auscult.report.runs import write_runs\n"
        f"write_runs(Path({str(tmp_path / 'page.html')!r}), [Path({str(run_folder)!r})])\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# In the browser


@pytest.fixture(scope="module")
def single(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_runs(path, [run_folder])
    return path


@pytest.fixture(scope="module")
def several(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    rows = made_rows((1.2, 1.8, 2.0))
    rows[3]["turns"]["net"]["loss"] = "nan"
    other = make_run(folder / "other-with-a-long-name-89abcdef", rows, {"training": {"steps": 500, "clip_norm": 0.5}})
    write_runs(folder / "page.html", [run_folder, other])
    return folder / "page.html"


def test_every_chart_is_drawn(open_page: Callable[..., Any], single: Path) -> None:
    page = open_page(single, viewport={"width": 1280, "height": 900})
    page.wait_for_selector("html[data-ready]")
    titles = page.locator("#curves figcaption").all_inner_texts()
    assert titles[:4] == [
        "loss",
        "near, without weight",
        "far, without weight",
        "share of each part, weight × value (%)",
    ]
    assert {"pesq, higher is better", "lsd, lower is better", "learning rate", "peak memory (MiB)"} <= set(titles)
    assert page.locator(".chart svg").count() == len(titles)
    assert page.locator("text=clip limit 2").count() == 1
    assert page.locator(".chart .best").count() == 2
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert "NaN" not in page.locator("#curves").inner_html()
    assert problems(page) == []


def test_the_band_of_healthy_runs_is_drawn(
    open_page: Callable[..., Any], run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auscult.report.curves.load", lambda _: HEALTHY)
    write_runs(tmp_path / "page.html", [run_folder])
    page = open_page(tmp_path / "page.html", viewport={"width": 1280, "height": 900})
    page.wait_for_selector("html[data-ready]")
    assert page.locator(".chart path.healthy").count() == 2
    assert page.locator("figcaption .healthy").first.inner_text().startswith("grey: where 95 % of further healthy runs")
    assert "NaN" not in page.locator("#curves").inner_html()
    assert problems(page) == []


def test_points_say_what_they_are(open_page: Callable[..., Any], several: Path) -> None:
    page = open_page(several, viewport={"width": 1280, "height": 900})
    box = page.locator("figure", has_text="pesq, higher is better").locator(".chart")
    box.scroll_into_view_if_needed()
    box.locator(".best").first.hover(force=True)
    words = page.locator("#tip").inner_text()
    assert re.fullmatch(r"made-0123abcd\nstep 200: 2\.05 \[1\.\d\d, 2\.\d\d\]\n12 items, the best validation", words)
    assert page.locator("#tip").is_visible()
    box = page.locator("#curves .chart").first
    box.scroll_into_view_if_needed()
    x, y = box.evaluate("""(node) => {
        const line = node.querySelector(".line"), frame = node.firstChild.getBoundingClientRect();
        const at = line.getPointAtLength(line.getTotalLength() / 2);
        return [frame.left + at.x, frame.top + at.y];
    }""")
    page.mouse.move(x, y)
    assert re.fullmatch(r"made-0123abcd\nstep \d+: 0\.\d+", page.locator("#tip").inner_text())
    assert page.locator("#curves .gap").count() == 1
    assert problems(page) == []


def test_runs_are_hidden_and_losses_become_logarithmic(open_page: Callable[..., Any], several: Path) -> None:
    page = open_page(several, viewport={"width": 1280, "height": 900})
    chart = page.locator("#curves .chart").first
    assert chart.locator(".line").count() == 2
    before = chart.inner_html()
    page.locator("#log").check()
    assert chart.inner_html() != before
    page.locator(".legend button").first.click()
    assert chart.locator(".line").count() == 1
    page.locator(".legend button").nth(1).click()
    assert chart.inner_text() == "Nothing chosen."
    page.locator(".legend button").first.click()
    assert chart.locator(".line").count() == 1
    dashes = page.evaluate(
        "[...document.querySelectorAll('.sample .line')].map((l) => getComputedStyle(l).strokeDasharray)"
    )
    assert len(set(dashes)) == 2
    assert problems(page) == []


def test_players_play_one_at_a_time_at_one_position(open_page: Callable[..., Any], single: Path) -> None:
    page = open_page(single)
    page.evaluate("document.querySelectorAll('audio')[0].play()")
    page.wait_for_function("document.querySelectorAll('audio')[0].currentTime > 0.3")
    page.evaluate("document.querySelectorAll('audio')[1].play()")
    page.wait_for_function("document.querySelectorAll('audio')[1].currentTime > 0.35")
    assert page.evaluate("[...document.querySelectorAll('audio')].filter((a) => !a.paused && !a.ended).length") == 1
    page.evaluate("document.querySelectorAll('audio')[6].play()")
    page.wait_for_function("document.querySelectorAll('audio')[6].currentTime > 0")
    assert page.evaluate("document.querySelectorAll('audio')[6].currentTime < 0.3")
    assert problems(page) == []


def test_items_sort(open_page: Callable[..., Any], single: Path) -> None:
    page = open_page(single)

    def column(number: int) -> list[str]:
        return page.locator(f".items tbody tr > :nth-child({number})").all_inner_texts()

    assert column(1)[:2] == ["i0", "i1"]
    page.locator(".items thead button", has_text="pesq").click()
    page.locator(".items thead button", has_text="pesq").click()
    assert column(1)[0] == "i11"
    assert page.locator(".items th[aria-sort=descending]").inner_text().startswith("pesq")
    page.locator(".items thead button", has_text="lsd").click()
    assert column(4)[-1] == "–"
    page.locator(".items thead button", has_text="item").click()
    assert column(1)[:3] == ["i0", "i1", "i2"]
    assert problems(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_no_width_scrolls_the_page(
    open_page: Callable[..., Any], single: Path, several: Path, scheme: str, width: int
) -> None:
    for one in (single, several):
        page = open_page(one, viewport={"width": width, "height": 844}, color_scheme=scheme)
        page.wait_for_selector("html[data-ready]")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ink, paper = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        assert (luminance(ink) > luminance(paper)) == (scheme == "dark")
        assert problems(page) == []


def test_charts_follow_the_width(open_page: Callable[..., Any], single: Path) -> None:
    page = open_page(single, viewport={"width": 1200, "height": 800})
    page.set_viewport_size({"width": 420, "height": 800})
    page.wait_for_function("Number(document.querySelector('.chart svg').getAttribute('width')) < 420")


def test_a_few_earlier_restorations_are_shown(run_folder: Path, tmp_path: Path) -> None:
    """Of steps 100 to 600, the last is the restored one: of the others the first, the middle and the last."""
    write_runs(tmp_path / "page.html", [run_folder], audio="beside")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    labels = re.findall(r"<figcaption[^>]*>([^<]+)</figcaption><audio", text)
    assert labels[: len(labels) // 2] == ["noisy", "step 100", "step 300", "step 500", "restored", "clean"]
