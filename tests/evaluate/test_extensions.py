"""Super-resolution in a study: every item's caption, roll-off and splice reach the restoration; bad ones are named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auscult.audio.clip import Clip, read
from auscult.audio.resample import resample
from auscult.audio.rolloff import LAST_BELOW
from auscult.audio.writer import write
from auscult.errors import AuscultError, DataError, RecipeError, RestorationError
from auscult.evaluate.datasets import DataSet
from auscult.evaluate.extensions import Extensions
from auscult.evaluate.rows import Item
from auscult.evaluate.sources import Restored
from auscult.evaluate.study import Plan, Study, System, plan
from auscult.hub.bundle import Meta, save
from auscult.restore.engine import Restorer
from tests.methods.test_flow import TRANSFORMER, U_NET, built
from tests.noise import shaken

UNAIMED = {
    **TRANSFORMER,
    "net": {**TRANSFORMER["net"], "dit": {**TRANSFORMER["net"]["dit"], "global_width": 32},
            "rolloff": {**TRANSFORMER["net"]["rolloff"], "target": False}},
}  # fmt: skip
"""It is told of the input's roll-off alone."""
CAPTIONS = ("a man", "a woman", "a child")


def checkpoint(folder: Path, node: dict[str, Any]) -> Path:
    """A model of random weights whose every condition counts."""
    method = built(node)
    shaken(method.nets()["net"])
    tensors = {f"net.{name}": tensor for name, tensor in method.nets()["net"].state_dict().items()}
    save(folder / "m.safetensors", tensors, Meta(node))
    return folder / "m.safetensors"


@pytest.fixture
def items(clean: Clip, tmp_path: Path) -> Path:
    """Three pieces of speech with captions, cut at 4 kHz."""
    rows = []
    for i, caption in enumerate(CAPTIONS):
        piece = clean.wave[:, 16_000 + 9_000 * i :][:, :8_000]
        low = resample(resample(piece, 16_000, 8_000), 8_000, 16_000)
        for side, wave in (("clean", piece), ("noisy", low)):
            write(tmp_path / side / f"{i}.wav", Clip(wave, 16_000), on_clip="float")
        rows.append({"item": str(i), "clean": f"clean/{i}.wav", "noisy": f"noisy/{i}.wav", "caption": caption})
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def planned(items: Path, node: dict[str, Any] = TRANSFORMER, **settings: Any) -> Plan:
    model = checkpoint(items, {**node, "conditioning": {"drop_low": 0.1}} if node is TRANSFORMER else node)
    study = Study({"d": DataSet(manifest=items / "items.jsonl")}, {"m": System(str(model), settings=settings)},
                  metrics=("lsd",))  # fmt: skip
    return plan(study, items / "out")


def heard(items: Path, **settings: Any) -> list[np.ndarray]:
    tasks = [task for task in planned(items, **settings).tasks if task.system != "noisy"]
    return [task.source.hear(task.item, "cpu").clip.wave for task in tasks]


def test_captions_reach_the_restoration_of_their_items(items: Path) -> None:
    own, same, none, exchanged = (heard(items, caption=say) for say in ("own", "own", "none", "exchanged"))
    assert all(np.array_equal(*pair) for pair in zip(own, same, strict=True))
    for other in (none, exchanged):
        assert not any(np.array_equal(*pair) for pair in zip(own, other, strict=True))


def test_other_captions_of_the_same_items_are_other_restorations(items: Path) -> None:
    before = {str(task.source.keep) for task in planned(items).tasks if isinstance(task.source, Restored)}
    text = (items / "items.jsonl").read_text()
    (items / "items.jsonl").write_text(text.replace("a man", "a dog"))
    after = {str(task.source.keep) for task in planned(items).tasks if isinstance(task.source, Restored)}
    assert not before & after


def test_all_splices_are_made_of_one_restoration(items: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    enhance = Restorer.enhance
    monkeypatch.setattr(Restorer, "enhance", lambda *given: calls.append(1) or enhance(*given))
    waves = {splice: heard(items, splice=splice) for splice in ("hard", "none", "knee", "cosine")}
    assert len(calls) == len(CAPTIONS)
    for other in ("hard", "knee", "cosine"):
        assert not np.array_equal(waves["none"][0], waves[other][0])


def test_an_oracle_asks_for_the_rolloff_of_the_clean_side(items: Path) -> None:
    (task, *_) = [task for task in planned(items, rolloff="oracle").tasks if task.system.startswith("m")]
    assert "rolloff=oracle" in task.system  # a bound is always said
    clean = read(items / "clean" / "0.wav")
    ratio = LAST_BELOW.of(clean.wave[0], 16_000).ratio
    (told, *_) = [one for one in planned(items, rolloff=ratio).tasks if one.system == "m"]
    assert np.array_equal(task.source.hear(task.item, "cpu").clip.wave, told.source.hear(told.item, "cpu").clip.wave)


def test_settings_are_swept_like_others(items: Path) -> None:
    systems = planned(items, splice=["hard", "none"], caption=["own", "none"]).evaluation.systems
    assert len(systems) == 5
    assert "m splice=hard caption=own" in systems or "m caption=own splice=hard" in systems


@pytest.mark.parametrize(("node", "settings", "kind", "says"), [
    (TRANSFORMER, {"caption": "exchangd"}, RecipeError, "did you mean 'exchanged'"),
    (TRANSFORMER, {"splice": "hrad"}, RecipeError, "allowed are knee, hard, cosine, none"),
    (TRANSFORMER, {"rolloff": "high"}, RecipeError, "a share of half the rate"),
    (TRANSFORMER, {"rolloff": 1.5}, RestorationError, "give 0 to 1"),
    (U_NET, {"caption": "none"}, RestorationError, "no text encoder"),
    (U_NET, {"rolloff": "oracle"}, RestorationError, "not told of roll-offs"),
    (UNAIMED, {"rolloff": 0.5}, RestorationError, "not told of roll-offs"),
])  # fmt: skip
def test_settings_that_cannot_be(
    node: dict[str, Any], settings: dict[str, Any], kind: type[AuscultError], says: str, items: Path
) -> None:
    with pytest.raises(kind, match=says):
        planned(items, node, **settings)


def test_items_without_captions(items: Path) -> None:
    text = (items / "items.jsonl").read_text().replace('"caption"', '"remark"')
    (items / "items.jsonl").write_text(text)
    assert len(heard(items)) == len(CAPTIONS)  # a model that hears text restores without
    with pytest.raises(DataError, match="caption exchanged: no caption for 0, 1, 2"):
        planned(items, caption="exchanged")


def test_others_are_no_models_of_super_resolution(items: Path) -> None:
    study = Study({"d": DataSet(manifest=items / "items.jsonl")}, {"m": System("default")}, metrics=("lsd",))
    with pytest.raises(RestorationError, match="no model of super-resolution: leave splice out"):
        plan(replace(study, systems={"m": System("default", settings={"splice": "hard"})}), items / "out")
    with pytest.raises(RestorationError, match="the model is no model of super-resolution: leave caption out"):
        plan(replace(study, settings={"caption": "none"}), items / "out")


def test_constant_captions_are_the_same_of_all() -> None:
    items = [Item("d", str(i), facts={"caption": text}, rate_hz=16_000) for i, text in enumerate(CAPTIONS)]
    found = Extensions.of({"caption": "constant"}, items, {"text"}, "m")
    assert len({request.caption for request in found.requests}) == 1
    assert Extensions.of({}, items, set(), "m").requests[0].caption is None
