"""Recipes: typos and wrong types are named with the key, the class, what is allowed and the nearest match."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from auscult import recipe
from auscult.audio.clip import read as read_audio
from auscult.audio.writer import write
from auscult.degrade.base import Degradation
from auscult.degrade.noise import AddNoise
from auscult.errors import RecipeError
from auscult.methods.base import Method
from auscult.paths.base import LinearPath
from auscult.paths.ouve import OUVE
from auscult.train.settings import Options, Training
from auscult.train.setup import plan_run
from tests.train.runs import REGRESSION, SCORE


@dataclass(frozen=True)
class Inner:
    depth: int = 1
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    inner: Inner
    rate: float
    kind: str | None = None
    links: tuple[Degradation, ...] = ()
    table: dict[str, Inner] = field(default_factory=dict)


def test_defaults_are_filled_in_and_types_converted() -> None:
    plan = recipe.plan({"inner": {"depth": "3"}, "rate": "1e-3", "table": {"a": {"names": ["x"]}}}, Outer, "top")
    built = plan.build()
    assert built == Outer(Inner(3), 0.001, table={"a": Inner(1, ("x",))})
    assert plan.as_dict()["inner"] == {"depth": 3, "names": []}


def test_parts_are_named_by_type() -> None:
    plan = recipe.plan({"inner": {}, "rate": 1, "links": [{"type": "AddNoise", "snr_db": [0, 5]}]}, Outer, "top")
    assert plan.build().links == (AddNoise(snr_db=(0.0, 5.0)),)
    assert plan.as_dict()["links"][0]["type"] == "AddNoise"
    assert recipe.plan(plan.as_dict(), Outer, "again").build() == plan.build()


@pytest.mark.parametrize(("node", "message"), [
    ({"rate": 1}, r"top\.inner: missing; Outer needs it"),
    ({"inner": {}, "rate": 1, "knd": "x"}, r"top\.knd: unknown key of Outer .did you mean 'kind'.*allowed: inner"),
    ({"inner": {"dept": 1}, "rate": 1}, r"top\.inner\.dept: unknown key of Inner .did you mean 'depth'"),
    ({"inner": {}, "rate": "fast"}, r"top\.rate: input should be a valid number.*'fast'"),
    ({"inner": {"names": ["a", 5]}, "rate": 1}, r"top\.inner\.names\.1: input should be a valid string; this is 5"),
    ({"inner": 3, "rate": 1}, r"top\.inner: a mapping for Inner is needed, this is 3"),
    ({"inner": {}, "rate": 1, "links": {"type": "Gain"}}, r"top\.links: a list is needed"),
    ({"inner": {}, "rate": 1, "links": [{"snr_db": [0, 1]}]}, r"top\.links\.0: has no 'type'; name a Degradation"),
    ({"inner": {}, "rate": 1, "links": [{"type": "L1"}]}, r"top\.links\.0\.type: L1 is not a Degradation"),
    ({"inner": {}, "rate": 1, "links": [{"type": "AdNoise"}]}, r"links\.0\.type: 'AdNoise' .*did you mean 'AddNoise'"),
    ({"inner": {}, "rate": 1, "links": [{"type": 3}]}, r"links\.0\.type: the name of a class is needed"),
    ({"inner": {}, "rate": 1, "table": []}, r"top\.table: a mapping is needed"),
])  # fmt: skip
def test_mistakes_are_named(node: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        recipe.plan(node, Outer, "top")
    assert "\n" not in str(caught.value)


def test_overrides_reach_mappings_and_lists() -> None:
    raw = {"a": {"b": 1, "list": [{"x": 1}, 2]}}
    out = recipe.override(raw, ["a.b=2.5", "a.list.0.x=[1, 2]", "a.list.1=z", "new.deep=true"])
    assert out == {"a": {"b": 2.5, "list": [{"x": [1, 2]}, "z"]}, "new": {"deep": True}}
    assert raw["a"]["b"] == 1
    for bad in ("a.b", "=3", "a.list.7=1", "a.b.c=1"):
        with pytest.raises(RecipeError, match="--set"):
            recipe.override(raw, [bad])


def test_reading_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("training: {steps: 3}\n")
    assert recipe.read(path, ["training.steps=5"]) == {"training": {"steps": 5}, "name": "mine"}
    path.write_text("a: [1,\n")
    with pytest.raises(RecipeError, match="not YAML"):
        recipe.read(path)
    path.write_text("- 1\n")
    with pytest.raises(RecipeError, match="a recipe is a mapping of sections, this is a list"):
        recipe.read(path)
    with pytest.raises(RecipeError, match=r"no recipe 'bandgr' .did you mean 'bandgru'"):
        recipe.read("bandgr")


def test_a_changed_recording_is_another_run(corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(corpus, tmp_path / "copy")
    same = plan_run(REGRESSION, Options(), corpus).folder_name
    assert plan_run(REGRESSION, Options(), tmp_path / "copy").folder_name == same
    noise = read_audio(tmp_path / "copy" / "noise" / "noise0.wav")
    write(tmp_path / "copy" / "noise" / "noise0.wav", noise.with_wave(noise.wave[:, 1:]))
    assert plan_run(REGRESSION, Options(), tmp_path / "copy").folder_name != same


def test_the_hash_covers_what_changes_the_result(corpus: Path) -> None:
    def name(content: dict[str, Any], options: Options = Options(), root: Path = corpus) -> str:
        return plan_run(content, options, root).folder_name

    same = name(REGRESSION)
    assert same.startswith("tiny-")
    assert len(same) == len("tiny-") + 8
    assert name(REGRESSION, Options(workers=3, save_every=7)) == same
    explicit = {**REGRESSION, "training": {**REGRESSION["training"], "accumulate": 1}}
    assert name(explicit) == same
    assert name({**REGRESSION, "seed": 1}) != same
    fewer = {**REGRESSION["data"], "speech": {"manifest": "all.jsonl", "where": {"speaker": "s0"}}}
    assert name({**REGRESSION, "data": fewer}) != same
    assert name({**REGRESSION, "optimiser": {"lr": 0.002}}) != same


@pytest.mark.parametrize(("change", "message"), [
    ({"trainng": {}}, "trainng: unknown section .did you mean 'training'"),
    ({"training": {"step": 3}}, r"training\.step: unknown key of Training .did you mean 'steps'"),
    ({"method": None}, "method: a mapping for Method is needed"),
    ({"optimiser": {"lr": "big"}}, r"optimiser\.lr: input should be a valid number"),
    ({"training": {"steps": 0}}, r"training\.steps: input should be greater than 0"),
    ({"training": {"steps": 1, "ema_decay": 1.5}}, r"training\.ema_decay: input should be less than or equal to 1"),
    ({"data": {**REGRESSION["data"], "crop_s": -1}}, r"data\.crop_s: input should be greater than 0"),
    ({"data": {**REGRESSION["data"], "degradations": [{"type": "AddNoise", "snr_db": [10, 0]}]}},
     r"data\.degradations\.0\.snr_db: .*the lowest value comes first, not 10\.0 before 0\.0"),
    ({"optimiser": {"lr": -1}}, r"optimiser\.lr: input should be greater than or equal to 0"),
    ({"optimiser": {"betas": [1.0, 0.9]}}, r"optimiser\.betas\.0: input should be less than 1"),
    ({"method": {**REGRESSION["method"], "losses": []}}, "losses: at least one is needed"),
    ({"method": {**SCORE["method"], "path": {"type": "OUVE", "sigma_min": 0}}},
     r"method\.path\.sigma_min: input should be greater than 0"),
    ({"method": {**SCORE["method"], "path": {"type": "OUVE", "sigma_max": 0.01}}}, "sigma_max 0.01 must exceed"),
    ({"method": {**SCORE["method"], "t_eps": 0}}, r"method\.t_eps: input should be greater than 0"),
    ({"schedule": {"type": "Cosine"}}, r"schedule\.type: 'Cosine' is not in the catalogue"),
])  # fmt: skip
def test_bad_sections_are_named(corpus: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        plan_run({**REGRESSION, **change}, Options(), corpus).method()


def test_a_section_that_training_needs(corpus: Path) -> None:
    with pytest.raises(RecipeError, match="data: missing"):
        plan_run({"method": REGRESSION["method"], "training": {"steps": 1}}, Options(), corpus)


def test_data_binds_without_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys\nfrom auscult import recipe\nfrom auscult.data.pairs import PairSource\n"
        "raw = recipe.read('bandgru')\nrecipe.plan(raw['data'], PairSource, 'data')\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", recipe.shipped())
def test_shipped_recipes_bind(name: str) -> None:
    raw = recipe.read(name)
    with torch.device("meta"):
        assert recipe.plan(raw["method"], Method, "method").build().nets()
    assert recipe.plan(raw["training"], Training, "training").build().steps > 0
    text = recipe.shipped()[name].read_text()
    assert text.startswith("# ")
    assert f"auscult train {name}" in text


def test_defaults_of_a_users_own_class_are_recorded_with_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Mine(OUVE):
        theta: float = 2.0

    class Net(nn.Module):
        def __init__(self, path: LinearPath = Mine(), act: nn.Module | None = None):
            super().__init__()

    here = sys.modules[__name__]
    for made in (Mine, Net):
        made.__qualname__ = made.__name__
        monkeypatch.setattr(here, made.__name__, made, raising=False)
    plan = recipe.plan({"type": f"{__name__}.Net"}, nn.Module, "net")
    recorded = plan.as_dict()
    assert recorded["path"]["type"] == f"{__name__}.Mine"
    assert recipe.plan(recorded, nn.Module, "net").as_dict() == recorded
    monkeypatch.setattr(Net.__init__, "__defaults__", (Mine(), nn.PReLU()))
    with pytest.raises(RecipeError, match=r"net\.act: the default of Net is a PReLU, which a run cannot record"):
        recipe.plan({"type": f"{__name__}.Net"}, nn.Module, "net")
    for name in (".x", ".my.Net", ".."):
        with pytest.raises(RecipeError, match=r"net\.type: '.*' cannot be imported"):
            recipe.plan({"type": name}, nn.Module, "net")


def test_score_recipe_builds_its_parts() -> None:
    method = recipe.plan(SCORE["method"], Method, "method").build()
    assert method.sampler.calls == 2
