"""The loss asked questions: three projects that are not ours, ours, and losses with known faults."""

from functools import cache

import pytest
import torch
from torch import nn

from auscult.diagnose.case import Case, Given
from auscult.diagnose.checks.loss_descent import check_descent
from auscult.diagnose.checks.loss_model import check_connected, check_one_batch
from auscult.diagnose.checks.loss_oracle import check_oracle, surveyed
from auscult.diagnose.checks.loss_terms import check_terms
from auscult.diagnose.clock import Clock
from auscult.diagnose.examine import Diagnosis, examine

PROJECTS = "tests.diagnose.foreign_projects"
SCRIPT = f"{PROJECTS}.plain_script.train"
SYSTEM = f"{PROJECTS}.lightning_style.system"
TRAINER = f"{PROJECTS}.argparse_trainer.train"
HERE = "tests.diagnose.test_loss_checks"


def case(**given) -> Case:
    return Case(Given(trust=("tests",), **given), Clock.lasting(60.0))


@cache
def diagnosis(project: str, loss: str, model: str | None = None) -> Diagnosis:
    named = {"loader": f"{project}:make_loader", "loss": f"{project}:{loss}"}
    named |= {"model": f"{project}:{model}"} if model else {}
    return examine(Given(trust=("tests",), facts={"rate_hz": 16000}, **named), families=("loss",))


def blamed(found: Diagnosis) -> list[tuple[str, str]]:
    return [(one.finding.verdict, one.finding.causes[0]) for one in found.ranked]


@pytest.mark.parametrize(
    ("project", "loss", "model"),
    [(SCRIPT, "loss_fn", "build"), (SYSTEM, "loss_fn", "build"), (TRAINER, "loss_fn", None)],
)
def test_a_healthy_project_is_left_alone_and_its_owner_s_suspicions_are_ruled_out(project, loss, model):
    found = diagnosis(project, loss, model)
    assert blamed(found) == []
    ruled_out = {cause for one in found.ruled_out for cause in one.causes}
    assert {
        "target-scale",
        "target-misaligned",
        "loss-sign",
        "loss-ignores-estimate",
        "contradictory-terms",
    } <= ruled_out
    assert ({"model-disconnected", "frozen-module"} <= ruled_out) == (model is not None)
    assert found.exit_code == 0


@pytest.mark.parametrize(
    ("project", "loss", "cause"),
    [
        (TRAINER, "loss_refactored", "target-scale"),
        (SYSTEM, "loss_of_normalised_target", "target-scale"),
        (SCRIPT, "wrong_sign", "loss-sign"),
        (SCRIPT, "late_target", "target-misaligned"),
        (SCRIPT, "broadcast_l1", "target-misaligned"),
        (SCRIPT, "own_input", "target-misaligned"),
        (SCRIPT, "for_the_log", "loss-ignores-estimate"),
    ],
)
def test_a_fault_of_somebody_else_s_loss_is_the_one_cause_named(project, loss, cause):
    found = diagnosis(project, loss)
    assert blamed(found) == [("fault", cause)]
    assert found.ranked[0].finding.certain
    assert found.exit_code == 1


def test_the_level_defect_is_said_with_the_term_and_the_level_that_the_loss_wants():
    (found,) = diagnosis(TRAINER, "loss_refactored").ranked
    finding, (walked,) = found.finding, found.folded
    assert "term time" in finding.says
    numbers = {one.what: one.value for one in finding.measured}
    assert 0.4 < numbers["gain on the target with the least loss"] < 0.75
    assert numbers["time at the perfect estimate"] == pytest.approx(numbers["loss of the perfect estimate"], rel=1e-3)
    reached = {one.what: one.value for one in walked.measured}
    assert reached["level where descent from the target ends"] < 0.6
    assert reached["best SI-SDR on the way down from the input"] > reached["SI-SDR at the end of it"]


@pytest.mark.parametrize(("defect", "verdict"), [(False, "healthy"), (True, "fault")])
def test_ours_with_the_published_level_defect_is_told_from_ours_without(defect, verdict):
    settings = (f"method.reproduce_published_level_defect={str(defect).lower()}",)
    finding = check_oracle(case(recipe="cmgan-small", settings=settings))
    assert (finding.verdict, finding.causes[0]) == (verdict, "target-scale")


def quarter_level(estimate, clean):
    return (estimate - 0.25 * clean).square().mean()


def later(estimate, clean):
    return (estimate[:, 64:] - clean[:, :-64]).square().mean()


def log_spectral(estimate, clean):
    window = torch.hann_window(512)
    levels = [
        torch.stft(x, 512, window=window, return_complex=True).abs().clamp_min(1e-5).log() for x in (estimate, clean)
    ]
    return (levels[0] - levels[1]).abs().mean()


def pulled_apart(estimate, clean, noisy):
    return {"clean": (estimate - clean).square().sum(), "input": (estimate - 2 * noisy + clean).square().sum()}


def one_loud_term(estimate, clean):
    spectra = [torch.fft.rfft(x).abs() for x in (estimate, clean)]
    return {
        "magnitude": 1e3 * (spectra[0] - spectra[1]).square().mean(),
        "samples": 1e-9 * (estimate - clean).abs().mean(),
    }


def with_a_silent_item():
    clean = torch.sin(torch.arange(16000.0) / 9).reshape(2, 8000)
    clean[1] = 0.0
    yield {"clean": clean, "noisy": clean + 0.1 * torch.randn(2, 8000), "names": ["speech", "pause"]}


def relative(estimate, clean):
    return ((estimate - clean) / clean.abs().amax(-1, keepdim=True)).nan_to_num(posinf=torch.nan).square().mean()


def with_offset(estimate, clean):
    return (estimate - clean).abs().mean() + 3.0


def test_the_survey_finds_the_level_and_place_that_a_loss_wants():
    level = surveyed(case(loss=f"{HERE}:quarter_level").practice)
    assert level.best_gain() == pytest.approx(0.25, rel=0.02)
    assert level.perfect["total"] / level.silent["total"] == pytest.approx(0.75**2 / 0.25**2, rel=1e-4)
    assert surveyed(case(loss=f"{HERE}:later").practice).best_shift() == 64


def test_a_loss_without_value_where_the_target_is_silent_is_named_with_the_item():
    found = check_oracle(case(loader=f"{HERE}:with_a_silent_item", loss=f"{HERE}:relative"))
    assert (found.verdict, found.causes) == ("fault", ("not-finite-loss", "silent-items"))
    assert "1 of the items have a silent target: pause" in found.says


@pytest.mark.parametrize("loss", ["log_spectral", "with_offset"])
def test_losses_that_are_blind_to_phase_or_not_zero_at_the_target_are_healthy(loss):
    asked = case(loss=f"{HERE}:{loss}")
    for finding in (check_oracle(asked), check_descent(asked)):
        assert finding.verdict == "healthy"
    assert ("loss-floor" in check_oracle(asked).causes) == (loss == "log_spectral")


def items_averaged(estimate, clean):
    return (estimate.mean(0) - clean.mean(0)).square().mean()


def overlapping(factor):
    """Two terms that have an eighth of the samples in common: a cosine of 0.22 in stationary noise."""

    def loss(estimate, clean):
        error = (estimate - clean).square()
        part = 9 * error.shape[-1] // 16
        return {"first": factor * error[:, :part].sum(), "last": error[:, -part:].sum()}

    return loss


balanced, overweight = overlapping(1.0), overlapping(1e3)


def one_for_the_log(estimate, clean):
    found = balanced(estimate, clean)
    return {**found, "last": found["last"].detach() + 0.0 * estimate.sum()}


def one_of_two_negated(estimate, clean):
    spectra = [torch.stft(x, 512, window=torch.hann_window(512), return_complex=True) for x in (estimate, clean)]
    magnitudes = [z.abs().clamp_min(1e-4) ** 0.3 for z in spectra]
    ratio = (estimate - clean).square().sum(-1) / clean.square().sum(-1).clamp_min(1e-6)
    return {"ratio": -ratio.mean(), "magnitude": (magnitudes[0] - magnitudes[1]).square().mean()}


def test_a_loss_that_does_not_tell_items_apart_is_at_fault():
    found = check_oracle(case(loss=f"{HERE}:items_averaged"))
    assert (found.verdict, found.causes) == ("fault", ("target-misaligned", "loss-floor"))
    assert "averaged" in found.says


def each_in_its_own_gain_averaged(estimate, clean):
    gains = torch.arange(1.0, len(clean) + 1)[:, None]
    return ((gains * estimate).mean(0) - (gains * clean).mean(0)).square().mean()


def test_items_are_not_told_apart_whatever_their_gains():
    found = check_oracle(case(loss=f"{HERE}:each_in_its_own_gain_averaged"))
    assert (found.verdict, found.causes[0]) == ("fault", "target-misaligned")
    assert "the gradients of all" in found.says


def test_a_negated_term_is_named_for_what_it_is_not_for_what_it_does_to_the_whole():
    found = check_oracle(case(loss=f"{HERE}:one_of_two_negated"))
    assert (found.verdict, found.causes) == ("fault", ("loss-sign",))
    assert "the term ratio" in found.says


def test_terms_that_are_overweight_or_cut_off_are_suspected_and_balanced_ones_are_not():
    assert check_terms(case(loss=f"{HERE}:balanced")).verdict == "healthy"
    heavy = check_terms(case(loss=f"{HERE}:overweight"))
    assert (heavy.verdict, heavy.causes, "term first has" in heavy.says) == ("suspect", ("term-dominates",), True)
    cut = check_terms(case(loss=f"{HERE}:one_for_the_log"))
    assert (cut.verdict, cut.causes, "last" in cut.says) == ("suspect", ("loss-ignores-estimate",), True)


def test_terms_that_pull_apart_and_a_term_that_drowns_the_rest_are_suspected():
    apart = check_terms(case(loss=f"{HERE}:pulled_apart"))
    assert (apart.verdict, apart.causes[0]) == ("suspect", "contradictory-terms")
    loud = check_terms(case(loss=f"{HERE}:one_loud_term"))
    assert (loud.verdict, loud.causes[0]) == ("suspect", "term-dominates")


class Masked(nn.Module):
    """A masking net with faults of its graph."""

    def __init__(self, fault: str = ""):
        super().__init__()
        self.encoder, self.decoder = nn.Conv1d(1, 16, 32, 16, 8), nn.ConvTranspose1d(16, 1, 32, 16, 8)
        self.mask, self.unused = nn.Conv1d(16, 16, 3, 1, 1), nn.Linear(1, 1)
        self.fault = fault
        if fault == "frozen":
            self.mask.requires_grad_(False)
        elif fault == "loaded":
            self.mask.requires_grad_(False)
            for parameter in self.mask.parameters():
                nn.init.constant_(parameter, 0.01)

    def forward(self, noisy):
        z = self.encoder(noisy[:, None]).relu()
        mask = self.mask(z).sigmoid()
        wave = self.decoder(z * (mask.detach() if self.fault == "detached" else mask))[:, 0]
        return wave.detach() if self.fault == "cut" else wave


def healthy():
    return Masked()


def detached():
    return Masked("detached")


def frozen():
    return Masked("frozen")


def loaded():
    return Masked("loaded")


def cut():
    return Masked("cut")


@pytest.mark.parametrize(
    ("model", "verdict", "cause", "where"),
    [
        ("healthy", "healthy", "model-disconnected", "99.9 %"),
        ("loaded", "healthy", "model-disconnected", "99.9 %"),
        ("detached", "fault", "frozen-module", "model.mask"),
        ("frozen", "suspect", "frozen-module", "model.mask"),
        ("cut", "fault", "model-disconnected", "none of the model's"),
    ],
)
def test_parts_that_no_gradient_reaches_are_named(model, verdict, cause, where):
    found = check_connected(case(loss=f"{SCRIPT}:loss_fn", model=f"{HERE}:{model}"))
    assert (found.verdict, found.causes[0]) == (verdict, cause)
    assert where in found.says


@pytest.mark.parametrize("facts", [{}, {"lr": 1e-2}])
def test_one_batch_is_learned_by_heart(facts):
    found = check_one_batch(case(loss=f"{HERE}:quarter_level", model=f"{HERE}:healthy", facts=facts))
    assert (found.verdict, found.causes[0]) == ("healthy", "model-disconnected")
    numbers = {one.what: one.value for one in found.measured}
    assert numbers["lowest"] < 0.8 * numbers["loss at first"]


class Exploding(nn.Module):
    """A high power of a sum of many weights: fine at small rates, and beyond all bounds at large ones."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(2000))

    def forward(self, noisy):
        return noisy * (1 + self.weights.sum()) ** 9


def exploding():
    return Exploding()


def test_a_rate_at_which_one_batch_explodes_is_suspected():
    found = check_one_batch(
        case(loss=f"{HERE}:quarter_level", model=f"{HERE}:exploding", facts={"rate_hz": 16000, "lr": 1e-2})
    )
    assert (found.verdict, found.causes[0]) == ("suspect", "rate-too-high")
