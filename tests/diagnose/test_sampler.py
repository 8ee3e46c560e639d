"""Models whose every answer is known: read as trained, in the wrong sign or parametrisation, sampled well and badly."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from auscult.audio.clip import Clip
from auscult.diagnose.case import Case, Given
from auscult.diagnose.checks.one_step import ONE_STEP
from auscult.diagnose.checks.sampler import SAMPLER
from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import HeardItem, Items, Model
from auscult.diagnose.finding import Finding
from auscult.diagnose.gather.model import gather_model
from auscult.diagnose.measure.clips import clips
from auscult.features.normalise import Normalise
from auscult.features.spectral import CompressedSTFT
from auscult.methods.objective import DataMatching
from auscult.methods.parametrisation import DataPrediction, NegativeScore, Parametrisation
from auscult.methods.score import ScoreModel
from auscult.paths.ouve import OUVE
from auscult.paths.sbve import SBVE
from auscult.rng import Draws, Key
from auscult.samplers.bridge import BridgeODE
from auscult.samplers.few_step import DDIM
from auscult.samplers.predictor_corrector import PredictorCorrector
from auscult.shapes import bcast

FEATURES = CompressedSTFT(n_fft=126, hop=64)


class Oracle(nn.Module):
    """Knows the clean spectra of the clips, errs by a share of what distinguishes them from y, and says F as asked."""

    def __init__(self, says: str, error: float, path: OUVE | SBVE):
        super().__init__()
        self.says, self.error, self.path = says, error, path
        self.clean: Tensor = torch.zeros(0)
        self.restless, self.blind = False, 0.0

    def forward(self, inputs: Tensor, t: Tensor) -> Tensor:
        x, y = inputs[:, :1], inputs[:, 1:]
        share = self.error + 3.0 * (t < self.blind).float()
        clean = self.clean + bcast(share, y) * (y - self.clean)
        noise = (x - self.path.mean(clean, y, t)) / bcast(self.path.std(t), x)
        answers = {"clean": clean, "noise": noise, "score": -noise / bcast(self.path.std(t), x)}
        answers["minus score"], answers["minus clean"] = -answers["score"], -clean
        shaken = 0.1 * torch.randn_like(x.real) if self.restless else 0.0
        return answers[self.says] + shaken


@pytest.fixture(scope="module")
def items(clean: Clip, noisy: Clip) -> Items:
    starts = np.linspace(0, clean.samples - 32_000, 5).astype(int)
    heard = [HeardItem(f"u{i}", clean.wave[0, s : s + 32_000], noisy.wave[0, s : s + 32_000], 16_000)
             for i, s in enumerate(starts)]  # fmt: skip
    return Items(heard, "files", False)


def case(
    items: Items,
    says: str,
    parametrisation: Parametrisation,
    path: OUVE | SBVE = OUVE(),
    sampler: object = DDIM(steps=4),
    error: float = 0.3,
    t_eps: float = 0.03,
) -> tuple[Case, Oracle]:
    net = Oracle(says, error, path)
    method = ScoreModel(net, FEATURES, path, parametrisation, DataMatching(), sampler, normalise=Normalise("peak"),
                        t_eps=t_eps, frame_grid=1)  # fmt: skip
    found = Case(Given(checkpoint=Path("oracle")), Clock.lasting(60))
    net.clean = method.encode(clips(items.items, 16_000, method.normalise)[0])
    found.__dict__ |= {"items": items, "model": Model(Path("oracle"), method, {"net": net}, None, 1, {"t_eps": t_eps})}
    return found, net


READINGS = [
    ("clean", DataPrediction(), OUVE(), None),
    ("clean", DataPrediction(), SBVE(), None),
    ("minus score", NegativeScore(), OUVE(), None),
    ("minus clean", DataPrediction(), OUVE(), "with the opposite sign"),
    ("minus clean", DataPrediction(), SBVE(), "with the opposite sign"),
    ("score", NegativeScore(), OUVE(), "with the opposite sign"),
    ("noise", NegativeScore(), OUVE(), "over sigma"),
    ("noise", DataPrediction(), OUVE(), "as the noise"),
    ("score", DataPrediction(), OUVE(), "as the score"),
    ("clean", NegativeScore(), OUVE(), "as the clean spectrum"),
]


@pytest.mark.parametrize(("says", "read", "path", "fits"), READINGS)
def test_an_answer_is_read_as_it_was_meant(items, says, read, path, fits):
    found = ONE_STEP.run(case(items, says, read, path)[0])
    if fits is None:
        assert (found.verdict, found.causes) == ("healthy", ("parametrisation", "unlearned-times"))
    else:
        assert (found.verdict, found.causes[0]) == ("fault", "parametrisation")
        assert fits in found.says or "as " in found.says


@pytest.mark.parametrize("error", [0.1, 0.3, 0.4])
def test_weak_models_are_not_accused(items, error):
    found = ONE_STEP.run(case(items, "clean", DataPrediction(), error=error)[0])
    assert found.verdict in ("healthy", "cannot tell")


def test_a_net_that_never_learned_is_no_wrong_parametrisation(items):
    of, net = case(items, "clean", DataPrediction())
    net.clean = Draws.of([Key(5)] * len(net.clean)).normal_like(net.clean)
    assert ONE_STEP.run(of).verdict == "cannot tell"


def test_times_that_were_not_learned(items):
    of, net = case(items, "clean", DataPrediction())
    net.blind = 0.4
    found = ONE_STEP.run(of)
    assert (found.verdict, found.causes) == ("suspect", ("unlearned-times",))
    assert "t = 0.05, 0.25" in found.says


def findings(of: Case) -> list[Finding]:
    return list(SAMPLER.run(of))


def alarms(found: list[Finding]) -> set[tuple[str, str]]:
    return {(one.verdict, one.causes[0]) for one in found if one.verdict in ("fault", "suspect")}


@pytest.mark.parametrize(
    ("sampler", "path"),
    [(DDIM(steps=4), OUVE()), (BridgeODE(steps=4, time_label="prev"), SBVE()),
     (PredictorCorrector(steps=16, snr=0.3), OUVE())],
)  # fmt: skip
def test_a_good_sampler_raises_no_alarm(items, sampler, path):
    found = findings(case(items, "clean", DataPrediction(), path, sampler)[0])
    assert alarms(found) == set()
    ruled_out = {cause for one in found if one.verdict == "healthy" for cause in one.causes}
    assert {"unseeded", "output-level", "transform-mismatch", "too-few-steps"} <= ruled_out


def test_too_few_steps(items):
    found = findings(case(items, "clean", DataPrediction(), sampler=PredictorCorrector(steps=2, corrector="none"))[0])
    assert ("fault", "too-few-steps") in alarms(found)
    assert any(one.remedy and one.remedy.settings == ("method.sampler.steps=4",) for one in found)


def test_a_corrector_whose_noise_stays(items):
    sampler = PredictorCorrector(steps=8, corrector="annealed", snr=0.9, t_eps=0.3)
    found = findings(case(items, "clean", DataPrediction(), sampler=sampler, t_eps=0.3)[0])
    assert ("fault", "corrector") in alarms(found)


def test_a_sampler_that_stops_where_training_did_not(items):
    sampler = PredictorCorrector(steps=8, corrector="none", t_eps=0.5)
    found = findings(case(items, "clean", DataPrediction(), sampler=sampler)[0])
    assert "time-mismatch" in {cause for _, cause in alarms(found)}


def test_a_net_with_chance_of_its_own_and_wasted_steps(items, monkeypatch):
    monkeypatch.setattr("auscult.diagnose.checks.sampler.MANY", 8)
    of, net = case(items, "clean", DataPrediction(), sampler=DDIM(steps=8))
    net.restless = True
    found = alarms(findings(of))
    assert ("fault", "unseeded") in found
    assert alarms(findings(case(items, "clean", DataPrediction(), sampler=DDIM(steps=8))[0])) == {
        ("suspect", "wasted-steps")
    }


def test_without_a_checkpoint_there_is_nothing_to_ask(tmp_path):
    of = Case(Given(checkpoint=tmp_path / "none.safetensors"), Clock.lasting(5))
    assert of.why_absent("model") is not None
    with pytest.raises(Exception, match="no checkpoint"):
        gather_model(of)
