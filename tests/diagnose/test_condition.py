"""Instruments of a condition: each on a planted positive and a planted null, and the verdicts that follow."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from auscult.data.pairs import PairSource
from auscult.diagnose.clock import Clock
from auscult.diagnose.condition.answers import example, losses, said
from auscult.diagnose.condition.embedding import alike, effective_rank, space, types, vectors
from auscult.diagnose.condition.examination import Examination, examine
from auscult.diagnose.condition.exchange import NULL, exchange, lengths, origins
from auscult.diagnose.condition.gap import gap
from auscult.diagnose.condition.gradients import dropout, gradients
from auscult.diagnose.condition.items import Items
from auscult.diagnose.condition.paired import Difference, differences, find, ratio
from auscult.diagnose.condition.redundancy import redundancy
from auscult.diagnose.condition.references import References, of_another_type, swapped
from auscult.diagnose.condition.verdicts import Verdict, verdicts
from auscult.evaluate.summary import estimate
from auscult.hub import bundle
from auscult.methods.base import Method
from auscult.recipe import plan
from auscult.rng import Key
from tests.diagnose import planted
from tests.processes import Run
from tests.train.runs import SCORE, TOLD

pytest.importorskip("sklearn")
pytest.importorskip("pesq")

KEY = Key(0)
LONG = 600.0
TINY = {**TOLD["method"], "features": {**TOLD["method"]["features"], "hop": 32}}


@pytest.fixture(scope="module")
def items() -> Items:
    return planted.items()


@pytest.fixture(scope="module")
def few() -> Items:
    return planted.items(8)


@pytest.fixture(scope="module")
def used(items: Items) -> Examination:
    """The optimal filter of the noise that the reference tells."""
    return examine(planted.wiener(), items, KEY, LONG)


@pytest.fixture(scope="module")
def unused(items: Items) -> Examination:
    """The same net without injection."""
    return examine(planted.wiener(0.0), items, KEY, LONG)


def answers(of: Examination) -> dict[str, str]:
    return {one.question: one.answer for one in verdicts(of)}


def answer(of: Examination, question: str) -> Verdict:
    return next(one for one in verdicts(of) if question in one.question)


class TestReferences:
    def test_pieces_have_unit_rms_and_their_own_level(self) -> None:
        wave = torch.cat([torch.ones(1, 1, 50), 3 * torch.ones(1, 1, 50)], dim=2) / math.sqrt(5)
        whole = References(wave, torch.tensor([100]), torch.tensor([-1.0]))
        first, second = whole.halves()
        assert first.samples.tolist() == second.samples.tolist() == [50]
        for piece, rms in ((first, 1 / math.sqrt(5)), (second, 3 / math.sqrt(5))):
            assert piece.wave[0, 0, :50].square().mean() == pytest.approx(1.0)
            assert float(piece.wave[0, 0, 50:].abs().max()) == 0
            assert float(piece.level) == pytest.approx(-1 + math.log(rms))
        assert whole.first(101).samples.tolist() == [0]

    def test_slight_changes_are_slight(self, few: Items) -> None:
        own = few.own
        assert torch.allclose(own.louder().level - own.level, torch.tensor(math.log(10 ** (1 / 20))))
        assert own.faster(16_000).samples.tolist() == [round(0.98 * planted.PIECE)] * 8
        for changed in (own.faster(16_000), own.tilted()):
            n = int(changed.samples[0])
            assert changed.wave[0, 0, :n].square().mean() == pytest.approx(1.0, abs=1e-4)
        click = References(torch.eye(1, 100)[None], torch.tensor([100]), torch.tensor([0.0]))
        gain = np.abs(np.fft.rfft(click.tilted().wave[0, 0]))
        assert gain[0] / gain[-1] == pytest.approx(1.1 / 0.9)

    def test_nobody_is_told_its_own(self) -> None:
        places = swapped(50, KEY)
        assert sorted(places) == list(range(50))
        assert not (places == np.arange(50)).any()

    def test_another_type_keeps_the_level(self, few: Items) -> None:
        kinds = (None, *few.kinds[1:])
        other = of_another_type(few.own, kinds, KEY)
        assert other.present.tolist() == [False] + [True] * 7
        assert torch.equal(other.level, few.own.level)
        for i in range(1, 8):
            source = next(j for j in range(8) if torch.equal(few.own.wave[j], other.wave[i]))
            assert kinds[source] not in (None, kinds[i])


class TestStatistics:
    def test_a_ratio_of_sums_has_the_linearised_error(self) -> None:
        rng = np.random.default_rng(0)
        below = rng.uniform(1, 3, 400)
        above = 0.3 * below + 0.1 * rng.standard_normal(400)
        found = ratio(above, below)
        assert found.mean == pytest.approx(above.sum() / below.sum())
        error = (above - found.mean * below).std() / below.mean() / 20
        assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.05)

    def test_a_difference_is_shown_by_interval_and_correction(self) -> None:
        sure = 1 + 0.1 * np.random.default_rng(0).standard_normal(20)
        one, none, gone = differences({"a": sure, "b": 0 * sure, "c": np.full(20, np.nan)})
        assert (one.sign, none.sign, gone.sign) == (1, 0, 0)
        assert (none.of.low, none.of.high, none.p_holm) == (0, 0, 1)
        assert find((one, none, gone), "c") is None
        assert Difference("a", estimate(sure), 0.03, 0.06).sign == 0


class TestExchange:
    def test_the_loss_item_by_item_is_the_loss_of_the_batch(self, few: Items) -> None:
        model = planted.wiener()
        found = losses(model, few, {"own": few.own}, Clock.lasting(LONG))["own"]
        at = example(model, few)
        with torch.no_grad():
            whole = model.method.compared(lambda *_: said(model, at, model.encode(few.own)), at, few.clean)
        assert found.mean() == pytest.approx(float(whole.total), rel=1e-5)

    def test_a_reference_that_must_help(self, used: Examination) -> None:
        """At 0 dB the filter halves the error; what matters is the noise's spectrum, not 1 dB of its level."""
        found = {one.name: one for one in used.exchange.differences}
        for name in (NULL, "silence", "another item's", "another type's"):
            assert found[name].sign == 1
            assert found[name].of.low > 0.2 * used.exchange.own.mean
        assert found[NULL].of.mean == pytest.approx(found["silence"].of.mean)  # the filter of no noise is none
        assert abs(found["1 dB louder"].of.mean) < 0.02 * found[NULL].of.mean
        assert abs(found["filtered"].of.mean) < 0.02 * found[NULL].of.mean

    def test_a_reference_that_enters_nowhere(self, unused: Examination) -> None:
        for one in (*unused.exchange.differences, *unused.origins, *unused.lengths):
            assert (one.of.mean, one.of.low, one.of.high, one.p_holm, one.sign) == (0, 0, 0, 1, 0)
            assert one.of.items == 20

    def test_a_real_net_starts_without_effect(self, few: Items) -> None:
        found = exchange(planted.untrained(), few, KEY, Clock.lasting(LONG))
        assert all((one.of.low, one.of.high) == (0, 0) for one in found.differences)

    def test_types_unknown_are_types_left_out(self, few: Items) -> None:
        found = exchange(planted.wiener(), replace(few, kinds=(None,) * 8), KEY, Clock.lasting(LONG))
        assert find(found.differences, "another type's") is None

    def test_a_leak_is_told_from_help(self, items: Items, used: Examination) -> None:
        """Beside the crop another noise, within it the true one: it helps only where it overlaps."""
        first, second = items.own.halves()
        alike = replace(items, origins={"disjoint": first, "overlapping": second})
        found = replace(used, origins=origins(planted.wiener(), alike, Clock.lasting(LONG)))
        assert answer(found, "leaks").answer == "no"
        elsewhere = items.own.at(swapped(20, KEY))
        given = replace(items, origins={**items.origins, "disjoint": elsewhere})
        found = replace(used, origins=origins(planted.wiener(), given, Clock.lasting(LONG)))
        assert answer(found, "leaks").answer == "yes"
        assert find(found.origins, "overlapping over disjoint").sign == 1
        few = tuple(replace(one, p_holm=1.0) if one.name != "overlapping" else one for one in found.origins)
        assert answer(replace(found, origins=few), "leaks").answer == "not shown"  # absence of evidence is none

    def test_a_shorter_reference_saves_less(self, few: Items) -> None:
        """Of 10 ms the spectrum is a poor estimate; 0.2 s of reference hold a piece of 0.1 s, and none longer."""
        short, long = (few.longest.first(round(s * planted.RATE_HZ)) for s in (0.01, 0.1))
        found = losses(
            planted.wiener(), few, {"short": short, "long": long, "none": few.own.none()}, Clock.lasting(LONG)
        )
        assert 0 < (found["none"] - found["short"]).mean() < (found["none"] - found["long"]).mean()
        (saved,) = lengths(planted.wiener(), few, Clock.lasting(LONG))
        assert (saved.name, saved.sign) == ("0.1 s", 1)
        assert saved.of.mean == pytest.approx((found["none"] - found["long"]).mean())


class TestGap:
    def test_closed_form(self, used: Examination, unused: Examination, items: Items) -> None:
        """F_null is y, F_told G y: the gap is |1 - G| weighted by |y|, at every time the same."""
        model = planted.wiener()
        y = model.method.encode(items.noisy)
        told = model.encode(items.own)
        with torch.no_grad():
            removed = y - model.net(torch.cat([y, y], dim=1), torch.ones(20), told)
        norms = [float(x.abs().square().sum((1, 2, 3)).sqrt().sum()) for x in (removed, y)]
        assert {round(one.of.mean, 5) for one in used.gap} == {round(norms[0] / norms[1], 5)}
        assert all((one.of.mean, one.of.high) == (0, 0) for one in unused.gap)

    def test_a_real_net_starts_without_a_gap(self, few: Items) -> None:
        assert all(one.of.high == 0 for one in gap(planted.untrained(), few, Clock.lasting(LONG)))


class TestEmbedding:
    def test_effective_rank_counts_equal_directions(self) -> None:
        assert effective_rank(np.eye(6, 9)) == pytest.approx(6)
        assert effective_rank(np.ones((6, 9))) == pytest.approx(1)

    def test_spectra_know_their_noise(self, used: Examination) -> None:
        assert used.alike.difference.of.low > 0.3
        assert used.types.accuracy.mean == 1
        assert used.types.accuracy_p == used.types.silhouette_p == 0.01
        assert 0.1 < used.types.chance < 0.3  # below 1/4: a type that is rare among the others is common here

    def test_a_collapsed_encoder_is_said_to_be(self, few: Items, unused: Examination) -> None:
        model = planted.collapsed()
        z = vectors(model, few.own)
        found = replace(unused, space=space(model, z), alike=alike(model, few, KEY))
        assert found.space.effective_rank == pytest.approx(1)
        assert (found.space.dead, found.space.dimensions) == (16, 16)
        assert (found.space.spread.low, found.space.spread.high) == (0, 0)
        assert found.alike.difference.of.mean == pytest.approx(0, abs=1e-9)
        assert answer(found, "collapsed").answer == "yes"
        assert "effective rank 1.0 of 16" in answer(found, "collapsed").words
        assert answer(found, "redundant").answer == "not measured"
        assert answer(unused, "collapsed").answer == "no"

    def test_labels_of_chance_are_not_told(self, items: Items) -> None:
        rng = np.random.default_rng(1)
        found = types(rng.standard_normal((60, 8)), [list("abc")[i % 3] for i in range(60)], KEY)
        assert found.accuracy_p > 0.05
        assert found.silhouette_p > 0.05
        assert types(vectors(planted.wiener(), items.own), ("a",) * 20, KEY) is None


def test_redundancy_of_what_the_input_tells_and_of_what_it_does_not(items: Items, used: Examination) -> None:
    """At 0 dB a steady noise's spectrum stands in the noisy input; random vectors do not."""
    assert used.redundancy.low > 0.8
    assert answer(used, "redundant").answer == "yes"
    chance = redundancy(items.noisy, np.random.default_rng(0).standard_normal((20, 16)))
    assert chance.high < 0.2
    assert answer(replace(used, redundancy=chance), "redundant").answer == "no"


class TestGradients:
    def test_zeros_keep_the_gradient_from_the_encoder(self, few: Items) -> None:
        model = planted.untrained()
        at_start = {one.part.split()[0]: one.norm for one in gradients(model, few)}
        assert at_start["encoder"] == at_start["null"] == 0
        with torch.no_grad():
            for parameter in model.condition.injections.parameters():
                parameter.add_(0.1)
        moved = gradients(model, few)
        assert all(one.norm > 0 for one in moved)
        assert [one.part for one in moved][-1] == "the net"
        assert sum(one.parameters for one in moved) == sum(p.numel() for p in model.net.parameters() if p.requires_grad)

    def test_drop_out_as_a_run_logged_it(self) -> None:
        rows = [{"turns": {"net": {"notes": {"dropped": share, "no_reference": 0.0}}}} for share in (0.0, 0.25) * 10]
        found = dropout(planted.wiener(), [*rows, {"validation": {}}])
        assert (found.asked, found.realised.mean, found.realised.items) == (0.1, 0.125, 20)
        assert found.realised.low < 0.1 < 0.125 < found.realised.high
        assert dropout(planted.wiener(), [{"turns": {"net": {}}}]) is None


class TestRestoration:
    def test_the_filter_restores(self, used: Examination) -> None:
        found = {one.name: one for one in used.restoration.differences["si_sdr"]}
        assert found["none"].of.mean == pytest.approx(-7.25, abs=0.3)
        assert found["none"].sign == found["another item's"].sign == found["w = 2"].sign == -1
        assert found["overlapping"].sign == 0
        assert set(used.restoration.differences) == {"si_sdr", "pesq"}

    def test_without_injection_all_restorations_are_the_same(self, unused: Examination) -> None:
        for compared in unused.restoration.differences.values():
            assert max(abs(one.of.mean) for one in compared) < 1e-5
            assert not any(one.sign for one in compared)


def test_verdicts(used: Examination, unused: Examination) -> None:
    found = answers(used)
    assert found.pop("Does it only help because it leaks?") in ("no", "in part")  # the noise's own spectrum is better
    assert found.pop("Does learning reach it?") == "no"  # the filter has no injection that learns
    assert found == {
        "Is it used?": "yes",
        "Does it help?": "yes",
        "Is it redundant?": "yes",
        "Has the embedding collapsed?": "no",
        "Does it know a noise again?": "yes",
        "Does a reference from the noisy recording serve?": "not measured",
    }
    found = answers(unused)
    assert (found["Is it used?"], found["Does it help?"]) == ("no", "not shown")
    assert found["Does it only help because it leaks?"] == "not shown"


def test_what_does_not_help_all_is_helped_in_part(used: Examination) -> None:
    worse = replace(used.exchange, differences=differences({NULL: -1 + 0.01 * np.arange(20.0)}))
    found = answer(replace(used, exchange=worse), "help?")
    assert (found.answer, found.words) == ("in part", "better in si_sdr, pesq; worse in the loss")


def test_time_that_is_up_is_said(few: Items) -> None:
    found = examine(planted.wiener(), few, KEY, 0.0)
    assert found.exchange is found.gap is found.restoration is found.space is None
    assert set(found.left_out) >= {"exchange", "gap", "restoration", "embedding"}
    assert "raise --budget" in found.left_out["exchange"]
    assert set(answers(found).values()) == {"not measured"}


def test_the_first_batch_is_always_done(items: Items) -> None:
    found = losses(planted.wiener(), items, {"own": items.own}, Clock.lasting(0.0))["own"]
    assert np.flatnonzero(np.isfinite(found)).tolist() == list(range(8))


def test_without_drop_out_there_is_no_null(few: Items) -> None:
    found = examine(planted.wiener(drop=0.0), few, KEY, LONG)
    assert found.gap is found.lengths is None
    assert "trained without drop-out" in found.left_out["gap"]
    assert find(found.exchange.differences, NULL) is None
    assert [one.name for one in found.restoration.differences["si_sdr"]] == ["another item's", "overlapping"]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a net with a condition, as it starts."""
    folder = tmp_path_factory.mktemp("runs") / "tiny-told-0"
    write_checkpoint(folder / "checkpoints" / "step-00000000.safetensors", TINY)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(TOLD))
    row = {"step": 1, "turns": {"net": {"notes": {"dropped": 0.5, "no_reference": 0.0}}}}
    (folder / "history.jsonl").write_text(json.dumps(row) + "\n")
    return folder


def write_checkpoint(path: Path, method: dict[str, object]) -> None:
    torch.manual_seed(0)
    net = plan(method, Method, "method").build().nets()["net"]
    tensors = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    bundle.save(path, tensors, bundle.Meta(method, "tiny"))


class TestCommand:
    def test_tables_json_and_page(self, auscult: Run, run_folder: Path, corpus: Path, tmp_path: Path) -> None:
        pytest.importorskip("jinja2")
        pytest.importorskip("matplotlib")
        code, out, err = auscult("condition", run_folder, "--data", corpus, "--items", 8, "--budget", "5m", "--set",
                                 "crop_s=0.15", "--device", "cpu", "-o", tmp_path)  # fmt: skip
        assert code == 0, err
        assert re.search(r"Is it used\?\s+no\s+ignored", out)
        assert "types of noise: left out: the data names no two types" in err
        found = json.loads((tmp_path / "condition.json").read_text())
        assert (found["data"], found["name"]) == ("data", "tiny-told-0/step-00000000")
        assert found["dropout"]["realised"]["mean"] == 0.5
        assert {one["of"]["high"] for one in found["gap"]} == {0}
        assert len(found["verdicts"]) == 8
        page = (tmp_path / "condition.html").read_text()
        assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
        assert page.count("data:image/png") == 3
        for words in ("Is it used?", "another item&#39;s", "Restored: pesq", "left out"):
            assert words in page

    def test_what_cannot_be_examined(self, auscult: Run, run_folder: Path, corpus: Path, tmp_path: Path) -> None:
        plain, alone = tmp_path / "plain.safetensors", tmp_path / "alone.safetensors"
        write_checkpoint(plain, SCORE["method"])
        write_checkpoint(alone, TOLD["method"])
        unreferenced = tmp_path / "recipe.yaml"
        unreferenced.write_text(yaml.safe_dump({"data": SCORE["data"]}))
        for arguments, words in (
            ([plain], "this ScoreModel has no noise condition to examine"),
            ([alone], "names no data: give its recipe, --recipe"),
            ([alone, "--recipe", unreferenced], "gives no noise references"),
            ([run_folder, "--items", 5], "5 of 5 items have a noise reference; at least 8 are needed"),
            ([run_folder, "--set", "origin=none"], "gives no noise references"),
            ([run_folder, "--budget", "soon"], "--budget soon: a number with its unit"),
        ):
            code, _, err = auscult("condition", *arguments, "--data", corpus, "--device", "cpu", "-o", tmp_path)
            assert (code, words in err) == (2, True), err
            assert len(err.strip().splitlines()) == 1


def test_items_are_the_same_whatever_their_references(corpus: Path) -> None:
    from auscult.diagnose.condition.items import draw
    from auscult.diagnose.condition.recordings import Recordings
    from auscult.features.normalise import Normalise

    recordings = Recordings.of(TOLD["data"], corpus)
    assert isinstance(recordings.source, PairSource)
    drawn = draw(recordings, Normalise("peak"), 10, KEY)
    again = draw(replace(recordings, origin="overlapping"), Normalise("peak"), 10, KEY)
    assert torch.equal(drawn.clean, again.clean)
    assert torch.equal(drawn.noisy, again.noisy)
    assert torch.allclose(drawn.noisy.abs().amax((1, 2)), torch.tensor(1.0))
    assert torch.equal(again.own.wave, drawn.origins["overlapping"].wave)
    assert drawn.own.present.all()
    assert drawn.longest.samples.tolist() == [3_200] * len(drawn)
