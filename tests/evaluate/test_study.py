"""From options or a matrix file to the list of what is scored; what does not fit is named before anything runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from auscult.audio.clip import Clip
from auscult.audio.resample import resample
from auscult.audio.writer import write
from auscult.errors import AuscultError, DataError, RecipeError
from auscult.evaluate.datasets import DataSet
from auscult.evaluate.study import Study, System, plan


def test_layouts_and_names(folders: Path) -> None:
    by_layout = DataSet(folders).contents("a", {}).items
    by_sides = DataSet(clean=folders / "clean", noisy=folders / "noisy").contents("a", {}).items
    assert by_layout == by_sides
    assert [item.name for item in by_layout] == ["0", "1", "2"]
    assert by_layout[0].facts == {"duration_s": 2.0}
    (folders / "clean").rename(folders / "clean_testset_wav")
    (folders / "noisy").rename(folders / "noisy_testset_wav")
    assert len(DataSet(folders).contents("a", {}).items) == 3


def test_the_snr_behind_a_noisy_name_is_no_part_of_it(folders: Path) -> None:
    for path in list((folders / "noisy").iterdir()):
        path.rename(path.with_name(f"{path.stem}_-2.5dB.flac"))
    assert [item.name for item in DataSet(folders).contents("a", {}).items] == ["0", "1", "2"]


def test_facts_of_names_tables_and_manifests(folders: Path) -> None:
    for side in ("clean", "noisy"):
        for i, path in enumerate(sorted((folders / side).iterdir())):
            path.rename(path.with_name(f"p25{i}_00{i}.flac"))
    (folders / "list.txt").write_text("p250_000 bus 7.5\np251_001 cafe 2.5\n")
    (folders / "facts.csv").write_text("item,room,t60\np250_000,hall,1.2\n")
    items = DataSet(folders, facts=folders / "list.txt", patterns={"take": r"_(\d+)$"}).contents("a", {}).items
    assert items[0].facts == {"duration_s": 2.0, "speaker": "p250", "take": 0.0, "noise_type": "bus", "snr_db": 7.5}
    assert "noise_type" not in items[2].facts
    assert DataSet(folders, facts=folders / "facts.csv").contents("a", {}).items[0].facts["t60"] == 1.2
    rows = [
        {
            "clean": f"clean/p25{i}_00{i}.flac",
            "noisy": f"noisy/p25{i}_00{i}.flac",
            "noise": {"type": "rain", "snr_db": i},
        }
        for i in range(2)
    ]
    (folders / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    listed = DataSet(manifest=folders / "pairs.jsonl").contents("a", {}).items
    assert listed[1].facts == {"duration_s": 2.0, "speaker": "p251", "noise.type": "rain", "noise.snr_db": 1}


def lose(folders: Path) -> None:
    (folders / "noisy" / "2.flac").rename(folders / "noisy" / "9.flac")


def shorten(folders: Path) -> None:
    write(folders / "noisy" / "0.flac", Clip(np.ones((1, 31_999), np.float32) / 2, 16_000))


def slow(folders: Path) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, (1, 32_000)).astype(np.float32)
    write(folders / "noisy" / "0.flac", Clip(resample(wave, 16_000, 8_000), 8_000))


def damage(folders: Path) -> None:
    (folders / "clean" / "1.flac").write_bytes(b"fLaC")


def double(folders: Path) -> None:
    write(folders / "clean" / "0.wav", Clip(np.ones((1, 32_000), np.float32) / 2, 16_000))


def empty(folders: Path) -> None:
    for path in (folders / "clean").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lose, r"test: the sides do not match: clean lacks 1 \(9\); noisy lacks 1 \(2\); add --common"),
        (
            shorten,
            r"1 files differ from their partners: noisy/0 has 31999 samples at 16000 Hz, clean 32000 at 16000 Hz",
        ),
        (slow, r"noisy/0 has 16000 samples at 8000 Hz, clean 32000 at 16000 Hz; nothing is cut or resampled"),
        (damage, r"1 files cannot be read: .*1\.flac"),
        (double, r"two files share the name '0'"),
        (empty, r"clean: no audio file in it"),
    ],
)
def test_files_that_do_not_fit_are_named(folders: Path, change: object, says: str) -> None:
    change(folders)  # type: ignore[operator]
    with pytest.raises(DataError, match=says):
        plan(Study({"test": DataSet(folders)}), folders / "out")


def test_a_system_with_fewer_items_is_named_and_common_ones_are_kept(folders: Path, clean: Clip) -> None:
    write(folders / "restored" / "1.flac", clean.with_wave(clean.wave[:, 28_000:60_000]))
    study = Study({"test": DataSet(folders)}, {"short": System(folder=str(folders / "restored"))})
    with pytest.raises(DataError, match=r"the sides do not match: short lacks 2 \(0, 2\)"):
        plan(study, folders / "out")
    assert [task.item.name for task in plan(study, folders / "out", common=True).tasks] == ["1", "1"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"facts": "facts.csv"}, "facts.csv: none of its 1 items is in a; it knows zz"),
        ({"facts": "bad.csv"}, "bad.csv: a table of facts is a CSV with a column 'item'"),
        ({"facts": "none.csv"}, "none.csv: cannot be read as a table"),
        ({"patterns": {"speaker": "("}}, r"patterns.speaker: '\(' is not a regular expression"),
        ({"patterns": {"speaker": "p"}}, "patterns.speaker: 'p' needs exactly one group"),
    ],
)
def test_facts_that_cannot_be(folders: Path, given: dict[str, object], says: str) -> None:
    (folders / "facts.csv").write_text("item,room\nzz,hall\n")
    (folders / "bad.csv").write_text("name,room\nzz,hall\n")
    if "facts" in given:
        given = {"facts": folders / str(given["facts"])}
    with pytest.raises(DataError, match=says):
        DataSet(folders, **given).contents("a", {})  # type: ignore[arg-type]


def test_manifests_that_cannot_be(folders: Path) -> None:
    path = folders / "pairs.jsonl"
    path.write_text('{"speech": "clean/0.flac"}\n')
    with pytest.raises(DataError, match="pairs.jsonl:1: the row has neither 'clean' nor 'noisy'"):
        DataSet(manifest=path).contents("a", {})
    path.write_text('{"noisy": "noisy/0.flac"}\n' * 2)
    with pytest.raises(DataError, match="pairs.jsonl:2: a second item '0'"):
        DataSet(manifest=path).contents("a", {})
    path.write_text('{"noisy": "noisy/0.flac", "item": "../../0"}\n')
    with pytest.raises(DataError, match="pairs.jsonl:1: the item '../../0' would leave its folder"):
        DataSet(manifest=path).contents("a", {})
    with pytest.raises(DataError, match="no known layout in it; known are clean and noisy"):
        DataSet(folders / "clean").contents("a", {})


def test_settings_make_systems_and_seeds_make_repetitions(folders: Path, score_checkpoint: Path) -> None:
    study = Study(
        {"test": DataSet(folders)},
        {"default": System(model="default"), "score": System(model=str(score_checkpoint), settings={"steps": [2, 4]})},
        {"seed": [0, 1], "strength": 0.5},
    )
    planned = plan(study, folders / "out")
    systems = planned.evaluation.systems
    assert list(systems) == ["noisy", "default", "score steps=2", "score steps=4"]
    assert systems["default"]["seeds"] == [None]
    assert systems["score steps=4"]["seeds"] == [0, 1]
    assert systems["score steps=4"]["method"]["sampler"]["steps"] == 4
    assert systems["score steps=4"]["strength"] == 0.5
    assert len(planned.tasks) == 3 * (1 + 1 + 2 + 2)
    kept = [task.source.keep for task in planned.tasks if task.system == "score steps=4"]  # type: ignore[attr-defined]
    assert len(set(kept)) == 6
    assert re.fullmatch(
        r"restored/test/score_steps=4-[0-9a-f]{8}/seed-0/0.wav", str(kept[0].relative_to(folders / "out"))
    )
    (folders / "noisy" / "0.flac").write_bytes((folders / "noisy" / "1.flac").read_bytes())
    again = [task.source.keep for task in plan(study, folders / "out").tasks if task.system == "score steps=4"]  # type: ignore[attr-defined]
    assert not set(kept) & set(again)  # another input is another restoration, never taken for the first


def test_a_matrix_file(folders: Path, score_checkpoint: Path) -> None:
    (folders / "restored").symlink_to(folders / "clean")
    (folders / "study.yaml").write_text(f"""
data:
  in-distribution: {{folder: .}}
  ood: {{clean: clean, noisy: noisy}}
systems:
  built-in: {{model: default}}
  theirs: {{folder: restored}}
  score: {{model: {score_checkpoint}, settings: {{sampler.steps: 3}}}}
settings: {{seed: [0, 1, 2]}}
metrics: [si_sdr, snr]
""")
    study = Study.read(folders / "study.yaml")
    planned = plan(study, folders / "out")
    assert planned.metrics == ("si_sdr", "snr")
    assert {item.data for item in planned.evaluation.items} == {"in-distribution", "ood"}
    assert len(planned.tasks) == 2 * 3 * (1 + 1 + 1 + 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("data: {a: {folder: .}}\nsystem: {}", r"study.yaml.system: unknown key of Study .did you mean 'systems'"),
        ("data: {a: {foldr: .}}", r"study.yaml.data.a.foldr: unknown key of DataSet .did you mean 'folder'"),
        ("data: {a: {folder: .}}\nsystems: {x: {}}", "a system has either a model or a folder"),
        ("data: {a: {folder: .}}\nsystems: {x: {model: gone.pt}}", "no model '.*gone.pt'"),
        ("data: {a: {folder: .}}\nsystems: {noisy: {model: default}}", "'noisy' is the name of the unprocessed input"),
        (
            "data: {a: {folder: .}}\nsystems: {x: {model: default}}\nsettings: {steps: 3}",
            "built-in model has no settings",
        ),
        ("data: {a: {folder: .}}\nsystems: {x: {model: default}}\nsettings: {seed: 0.5}", "a seed is a whole number"),
        ("data: {a: {folder: .}}\nmetrics: [pesk]", "did you mean 'pesq'"),
        ("data: {}", "a study needs at least one data set"),
        ("data: [", "study.yaml: cannot be read as YAML"),
        ("data: {a: {noisy: noisy}}\nmetrics: [pesq]", "the metric pesq needs clean files; give their folder"),
    ],
)
def test_matrices_that_cannot_be(folders: Path, text: str, says: str) -> None:
    (folders / "study.yaml").write_text(text)
    with pytest.raises(AuscultError, match=says):
        plan(Study.read(folders / "study.yaml"), folders / "out")


def test_models_need_noisy_files(folders: Path) -> None:
    study = Study({"test": DataSet(clean=folders / "clean")}, {"x": System(model="default")})
    with pytest.raises(DataError, match="the model x needs noisy files; test has none"):
        plan(study, folders / "out")


def test_without_clean_files_metrics_without_reference_are_taken(folders: Path) -> None:
    study = Study({"test": DataSet()}, {"restored": System(folder=str(folders / "noisy"))})
    planned = plan(study, folders / "out")
    assert {"dnsmos_ovrl", "loudness"} <= set(planned.metrics)
    assert "pesq" not in planned.metrics
    with pytest.raises(DataError, match="nothing to score"):
        plan(Study({"test": DataSet(clean=folders / "clean")}), folders / "out")


def test_short_names_of_settings_must_fit_one(folders: Path) -> None:
    from auscult.recipe import in_full

    whole = {"sampler": {"steps": 3, "snr": 0.5}, "path": {"steps": 1, "theta": 1.5}}
    assert in_full(whole, "theta=2") == "path.theta=2"
    assert in_full(whole, "sampler.steps=2") == "sampler.steps=2"
    assert in_full(whole, "nothing=2") == "nothing=2"
    with pytest.raises(RecipeError, match="'steps' could be sampler.steps or path.steps; give it in full"):
        in_full(whole, "steps=2")
