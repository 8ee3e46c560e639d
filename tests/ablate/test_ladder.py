"""Ladders are read strictly: one change an arm, known leaves, one list of items, names that fit together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auscult.ablate import ladder as ladders
from auscult.ablate.arms import bind
from auscult.ablate.plan import lines_of, plan
from auscult.errors import AuscultError, RecipeError
from tests.ablate.ladders import LADDER, TINY, TINY_SCORE, with_captions, with_lists, write_ladder


def refused(tmp_path: Path, corpus: Path, base: dict[str, Any] = TINY, **changes: Any) -> str:
    path = write_ladder(tmp_path, {**LADDER, "contrasts": {}, **changes}, base)
    with pytest.raises(AuscultError) as caught:
        bind(ladders.read(path), corpus)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seeds": []}, ["seeds: at least one training seed"]),
        ({"seeds": [1, 1]}, ["names a seed twice"]),
        ({"metric": "peskq"}, ["'peskq' is not in the catalogue", "did you mean 'pesq'"]),
        ({"metric": "loudness"}, ["neither more nor less is better"]),
        ({"margin": 0}, ["margin", "greater than 0"]),
        ({"arms": {}}, ["arms: none"]),
        ({"arms": {"base": {"weights": "net"}}}, ["'base' cannot name an arm"]),
        ({"arms": {"a": {"weights": "net", "parent": "quik"}}}, ["no arm 'quik'"]),
        ({"arms": {"a": {"weights": "net", "parent": "b"}, "b": {"weights": "ema", "parent": "a"}}}, ["own ancestor"]),
        ({"arms": {"a": {"weights": "net", "evaluation": {"items": 3}}}}, ["arms.a.evaluation: unknown key of Arm"]),
        ({"arms": {"a": {"change": {"training.batch": 3, "optimiser.lr": 0.1}}}}, ["in 2 leaves", "group:"]),
        ({"arms": {"a": {"change": {"training.batch": 2}}}}, ["changes nothing"]),
        ({"arms": {"a": {"change": {"method.net.chanels": 8}}}}, ["arm 'a'", "did you mean 'channels'"]),
        ({"arms": {"a": {"change": {"trainin.batch": 8}}}}, ["arm 'a'", "did you mean 'training'"]),
        ({"arms": {"a": {"settings": {"sampler.stps": 8}}}}, ["arm 'a'", "unknown key"]),
        ({"arms": {"a": {"change": {"validation.items": 3}}}}, ["changes validation.items", "judged on one list"]),
        ({"arms": {"a": {"change": {"seed": 3}}}}, ["changes seed", "the ladder's seeds"]),
        ({"contrasts": {"x": {"arm": "quik"}}}, ["contrasts.x: no arm 'quik'", "did you mean 'quick'"]),
        ({"contrasts": {"x": {"arm": "raw", "against": "raw"}}}, ["compares raw with itself"]),
        ({"controls": {"c": {"change": {"training.batch": 3}}}}, ["controls.c: no contrast uses it"]),
        ({"controls": {"raw": {"change": {"training.batch": 3}}}}, ["both an arm and a control"]),
    ],
)  # fmt: skip
def test_bad_ladders_are_refused_in_one_line(
    changes: dict[str, Any], words: list[str], tmp_path: Path, corpus: Path
) -> None:
    message = refused(tmp_path, corpus, **changes)
    assert all(word in message for word in words), message


def test_an_unknown_ladder_is_named_with_its_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'gan-weight'"):
        ladders.read("gan-weihgt")


def test_differences_are_exact_and_chain_from_parent_to_arm(tmp_path: Path, corpus: Path) -> None:
    arms = {
        "wide": {"change": {"method.net.channels": 6}},
        "wide-long": {"parent": "wide", "change": {"training.steps": 9}},
        "raw": {"parent": "wide-long", "weights": "net"},
    }
    rungs = bind(ladders.read(write_ladder(tmp_path, {**LADDER, "arms": arms, "contrasts": {}})), corpus)
    assert [rung.change for rung in rungs.values()] == [
        [],
        ["method.net.channels: 4 -> 6"],
        ["training.steps: 4 -> 9"],
        ["restoration.weights: auto -> net"],
    ]
    assert rungs["raw"].plan.training.steps == 9
    assert rungs["raw"].folder_name(1) == rungs["wide-long"].folder_name(1) != rungs["wide-long"].folder_name(0)
    assert len({rung.folder_name(0) for rung in rungs.values()}) == 3


def test_a_declared_group_may_change_several_leaves_and_is_told_as_one_part(tmp_path: Path, corpus: Path) -> None:
    arms = {
        "pc": {"settings": {"sampler": {"type": "PredictorCorrector", "steps": 3}}, "group": "the sampler"},
        "more": {"parent": "pc", "settings": {"sampler.steps": 5}},
    }
    path = write_ladder(tmp_path, {**LADDER, "arms": arms, "contrasts": {}}, TINY_SCORE)
    rungs = bind(ladders.read(path), corpus)
    assert rungs["pc"].change[0] == "restoration.sampler: Multistep -> PredictorCorrector"
    assert rungs["more"].change == ["restoration.sampler.steps: 3 -> 5"]
    assert rungs["more"].folder_name(0) == rungs["base"].folder_name(0)


SHALLOW = {
    "noise-small": {"method.net.multipliers": [1]},
    "score-small": {"method.net.multipliers": [1]},
    "sagasr-tiny": {"method.net.dit.depth": 1},
}
"""One level or block instead of four: a dry run costs time for each, whatever its width."""


@pytest.mark.parametrize("name", ladders.shipped())
def test_shipped_ladders_pass_their_plan(
    name: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(with_captions(with_lists(corpus)))
    ladder = ladders.read(name)
    ladder = replace(ladder, common={**ladder.common, **SHALLOW.get(ladder.recipe, {})})
    planned = plan(ladder, corpus, tmp_path / "runs", tmp_path / "out")
    assert not list(tmp_path.iterdir())  # nothing is written
    assert {arm.rung.name for arm in planned.arms} == ladder.everyone.keys()
    for arm in planned.arms:
        for net in arm.rehearsal.nets.values():
            assert net.call is not None
            assert net.calls > 0 < net.call.forward_flops < net.call.backward_flops
            assert not net.call.unreached
    assert "contrasts in" in lines_of(planned)[0]
