"""A training step that can be asked questions: what each method's loss is at the perfect estimate, and foreign code."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from auscult.data.captions import as_text
from auscult.diagnose.case import Case, Given
from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import Absent, Step
from auscult.diagnose.examine import examine
from auscult.diagnose.gather.calling import LossCall, terms
from auscult.diagnose.gather.foreign import items_of
from auscult.diagnose.gather.practice import CAPTION, Ours, synthetic_batches
from auscult.errors import DataError, RecipeError, TrustError
from auscult.features.spectral import CompressedSTFT
from auscult.losses.waveform import L1
from auscult.methods.bridge import BridgeResidual
from auscult.methods.objective import DataMatching, DenoiserMatching, ScoreMatching
from auscult.methods.parametrisation import DataPrediction, Denoiser, NegativeScore, Residual, ScaledScore, Scaling
from auscult.methods.regression import Regression
from auscult.methods.score import ScoreModel
from auscult.methods.storm import StoRM
from auscult.paths.bbed import BBED
from auscult.paths.ouve import OUVE
from auscult.paths.sbve import SBVE
from auscult.paths.ve import VE
from auscult.paths.vp import VP, SubVP
from auscult.rng import Key
from auscult.samplers.few_step import Multistep

PROJECTS = "tests.diagnose.foreign_projects"
SCRIPT, SYSTEM = f"{PROJECTS}.plain_script.train", f"{PROJECTS}.lightning_style.system"


def case(**given) -> Case:
    return Case(Given(**given), Clock.lasting(60.0))


def totals(practice, step, estimate) -> float:
    with torch.no_grad():
        parts = practice.loss(step, estimate)
    return sum(float(part) for name, part in parts.items() if name != "adversarial")


@pytest.mark.parametrize("recipe", ["gtcrn", "cmgan-small", "noise-small", "sb-pesq-small", "tfgridnet-dns", "mpsenet",
                                    "flow-stft-small"])  # fmt: skip
def test_the_perfect_estimate_has_no_loss_in_any_kind_of_recipe(recipe):
    practice = case(recipe=recipe).practice
    (step,) = practice.steps(1)
    noisy = totals(practice, step, step.noisy)
    assert totals(practice, step, step.clean) < 1e-6 * noisy
    assert totals(practice, step, 0.5 * step.clean + 0.5 * step.noisy) > 0.1 * noisy


class OneWeight(nn.Module):
    """The last of its input maps, scaled."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, z, *asked):
        return self.scale * z[:, -1:]


FEATURES = CompressedSTFT(126, 64)


def asked(build) -> Ours:
    method = build()
    return Ours(method, build, synthetic_batches(method.rate_hz), "test", Key(1))


@pytest.mark.parametrize("objective", [ScoreMatching(), DenoiserMatching("edm"), DataMatching("edm", waves=(L1(),))])
@pytest.mark.parametrize(
    ("path", "parametrisation"),
    [
        (OUVE(), NegativeScore()),
        (OUVE(), ScaledScore(Scaling("edm", "1/sigma", "edm", "1/sigma"))),
        (VE(), Denoiser()),
        (VP(), DataPrediction(Scaling(c_out="edm", c_skip="edm"))),
        (SubVP(), Residual()),
        (BBED(), Residual()),
        (SBVE(), BridgeResidual()),
        (SBVE(), DataPrediction()),
    ],
)
def test_the_answer_is_found_that_makes_a_diffusion_s_clean_estimate_the_given_one(path, parametrisation, objective):
    practice = asked(
        lambda: ScoreModel(OneWeight(), FEATURES, path, parametrisation, objective, Multistep(2), frame_grid=8)
    )
    (step,) = practice.steps(1)
    assert totals(practice, step, step.clean) < 1e-5 * totals(practice, step, step.noisy)


@pytest.mark.parametrize("joint", [True, False])
def test_both_terms_of_storm_are_zero_at_the_perfect_estimate_and_both_nets_are_reached(joint):
    practice = asked(
        lambda: StoRM(OneWeight(), OneWeight(), FEATURES, OUVE(), joint=joint, frame_grid=8, condition="noisy")
    )
    (step,) = practice.steps(1)
    assert practice.loss(step).keys() == {"predictor", "score"}
    assert totals(practice, step, step.clean) < 1e-6 * totals(practice, step, step.noisy)
    torch.stack(list(practice.loss(step).values())).sum().backward()
    assert all(float(net.scale.grad.abs()) > 0 for net in practice.nets().values())
    assert torch.allclose(practice.estimate(step), step.noisy, atol=1e-5)  # D(y) = y: the denoiser passes its input


def test_a_net_that_passes_its_input_gives_the_noisy_waves_at_the_loader_s_level():
    plain = CompressedSTFT(512, 128, transform="none")
    practice = asked(lambda: Regression(OneWeight(), plain, (L1(),)))
    (step,) = practice.steps(1)
    assert torch.allclose(practice.estimate(step), step.noisy, atol=1e-6)
    smaller = practice.part(step)
    assert smaller.clean.shape == (1, 8000)
    assert torch.equal(smaller.clean[0], step.clean[0, :8000])
    assert float(practice.loss(smaller)["l1"].detach()) == pytest.approx(
        float((step.noisy - step.clean)[0, :8000].abs().mean()), 1e-4
    )


def test_fresh_nets_are_new_and_the_same_question_has_the_same_answer():
    practice = case(recipe="score-small").practice
    (step,) = practice.steps(1)
    once, again = (float(practice.loss(step)["data"].detach()) for _ in range(2))
    weights = [next(iter(p.nets()["net"].parameters())) for p in (practice, practice.fresh())]
    assert once == again
    assert not torch.equal(*weights)


def test_without_anything_that_trains_it_is_said_what_to_give():
    with pytest.raises(Absent, match=r"--recipe.*--loader"):
        _ = case().practice


def test_synthetic_items_say_what_they_are_to_nets_that_hear_text():
    """A tower that is told nothing learns nothing, and would look frozen."""
    batch = synthetic_batches(16_000)(0, 0)
    assert {as_text(row) for row in batch.conditions["text"]} == {CAPTION}


def test_data_that_do_not_fit_the_recipe_are_said_and_replaced(tmp_path):
    asked_with = case(recipe="gtcrn", data={"data": tmp_path})
    assert asked_with.practice.steps(1)[0].names[0] == "synthetic 0"
    assert "synthetic" in asked_with.notes[0]
    assert str(tmp_path) in asked_with.notes[0]


def test_nothing_is_imported_before_its_package_is_trusted():
    with pytest.raises(TrustError, match="--trust not_trusted_at_all"):
        _ = case(loss="not_trusted_at_all.train:loss").practice
    assert "not_trusted_at_all" not in sys.modules


@pytest.mark.parametrize(
    ("flag", "name", "what"),
    [
        ("loss", "tests.train", "give package.module:function"),
        ("loss", f"{SCRIPT}:no_such_loss", "no attribute 'no_such_loss'"),
        ("loader", "tests.no_such_module:make", "no_such_module.*PYTHONPATH"),
        ("model", f"{SCRIPT}:LONG", "a int, a function is needed"),
    ],
)
def test_names_that_lead_nowhere_are_refused_in_one_line(flag, name, what):
    with pytest.raises(RecipeError, match=what) as error:
        _ = case(**{flag: name}, trust=("tests",)).practice
    assert "\n" not in str(error.value)


def plain_tuples():
    yield torch.zeros(2, 100), torch.zeros(2, 100)


def unequal_sides():
    yield {"clean": torch.zeros(2, 100), "noisy": torch.zeros(2, 90)}


def stereo():
    yield {"clean": torch.zeros(2, 2, 100), "noisy": torch.zeros(2, 2, 100)}


def breaks():
    yield {"clean": [0.1] * 8, "noisy": np.zeros(8)}
    raise OSError("disk\ngone")


@pytest.mark.parametrize(
    ("loader", "what"),
    [
        ("plain_tuples", "tuple without 'clean'.*not guessed.*'noisy'"),
        ("unequal_sides", r"\(2, 100\) and noisy as \(2, 90\)"),
        ("stereo", r"\(2, 2, 100\).*one channel"),
        ("breaks", r"breaks raised OSError: disk gone \(test_practice.py, line \d+, in breaks\)"),
    ],
)
def test_what_a_loader_gives_amiss_is_said_in_one_line(loader, what):
    practice = case(loader=f"tests.diagnose.test_practice:{loader}", trust=("tests",)).practice
    with pytest.raises(DataError, match=what) as error:
        practice.steps(2)
    assert "\n" not in str(error.value)


def test_items_of_a_foreign_loader_carry_names_places_and_the_stated_rate():
    given = {"loader": f"{SCRIPT}:make_loader", "trust": ("tests",)}
    items = items_of(case(**given, facts={"rate_hz": 16000}).practice, most=10)
    assert [item.name for item in items[:2]] == ["item 0", "item 1"]
    assert len(items) == 10
    assert items[3].rate_hz == 16000
    assert items[3].clean.shape == (8000,)
    starts = {item.start for item in items}
    assert None not in starts
    assert len(starts) == 10
    with pytest.raises(Absent, match="rate_hz=16000"):
        items_of(case(**given).practice)


@pytest.mark.parametrize(
    ("loader", "cause"),
    [("long_loader", None), ("independent_loader", "independent-crops"), ("wrong_rate_loader", "wrong-rate")],
)
def test_what_a_foreign_loader_does_to_its_pairs_is_named(loader, cause):
    given = Given(loader=f"{SCRIPT}:{loader}", facts={"rate_hz": 16000}, trust=("tests",))
    found = examine(given, families=("data",))
    assert [one.finding.verdict for one in found.ranked] == (["fault"] if cause else [])
    assert cause is None or cause in found.ranked[0].finding.causes


STEP = Step(torch.ones(1, 4), torch.full((1, 4), 3.0), ("a",), {"extra": 7})


@pytest.mark.parametrize(
    ("loss", "value"),
    [
        (lambda est, ref: est - ref, 1.0),
        (lambda a, b, c: a + b * c, 5.0),
        (lambda target, estimate: estimate - target, 1.0),
        (lambda enhanced, batch: enhanced + batch["extra"], 9.0),
        (lambda estimate, clean, weight=10: weight * (estimate - clean), 10.0),
    ],
)
def test_a_loss_gets_what_its_parameters_are_called(loss, value):
    assert float(LossCall(loss)(torch.full((1, 4), 2.0), STEP).mean()) == value


def test_a_loss_that_cannot_be_called_is_refused():
    with pytest.raises(DataError, match=r"\(a, b, c, d\): give a function of \(estimate, clean\)"):
        LossCall(lambda a, b, c, d: a + b + c + d)


def test_what_a_loss_returns_is_split_into_parts_that_add_up():
    one = torch.tensor(1.0, requires_grad=True)
    assert {k: float(v.detach()) for k, v in terms(one * torch.ones(3)).items()} == {"loss": 1.0}
    assert terms({"loss": 3 * one, "a": one, "b": 2 * one}).keys() == {"a", "b"}
    assert terms({"loss": 3 * one, "a": one, "pesq": torch.tensor(2.5)}).keys() == {"loss"}
    assert terms({"a": one, "b": 2 * one, "pesq": 2.5}).keys() == {"a", "b"}
    assert terms((3 * one, {"a": one, "b": 2 * one})).keys() == {"a", "b"}
    with pytest.raises(DataError, match="a str"):
        terms("low")
