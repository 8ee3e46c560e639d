"""What runs record beside their curves: counters of states, items that come again, references that hold the answer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file
from torch import nn

from auscult.conditions.noise_reference import KEYS
from auscult.data.pairs import PairBatch
from auscult.diagnose.case import Case, Given
from auscult.diagnose.checks.adversarial import IDLE
from auscult.diagnose.checks.condition_source import CONDITION_SOURCE
from auscult.diagnose.checks.divergence import DIVERGENCE
from auscult.diagnose.checks.processes import ORDER
from auscult.diagnose.checks.raw_weights import RAW_WEIGHTS
from auscult.diagnose.checks.saved_state import SAVED_STATE
from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import Model, OutputItem, Outputs, Run, Step
from auscult.diagnose.measure.bend import bend
from auscult.diagnose.measure.overlap import overlaps
from auscult.features.spectral import CompressedSTFT
from auscult.hub.bundle import Meta
from auscult.losses.waveform import L1
from auscult.methods.regression import Regression
from auscult.rng import Draws
from auscult.train.recurrence import Recurrence
from tests.diagnose.made_curves import case_of, curve, findings, only


def saved(folder: Path, step: int, adam: int, updates: int) -> Case:
    path = folder / f"step-{step:08d}.safetensors"
    save_file({"net.w": torch.zeros(2)}, path, {"auscult": Meta({"type": "Regression"}, step=step).to_json()})
    progress = {"progress": json.dumps({"step": step, "updates": {"net": updates}})}
    counters = {"net/0/step": torch.tensor(float(adam)), "net/0/exp_avg": torch.zeros(2)}
    save_file(counters, folder / f"step-{step:08d}.optimiser.safetensors", progress)
    return case_of({}, run=Run(folder, {}, [path]))


@pytest.mark.parametrize(("adam", "updates", "what"), [(70, 140, "the optimiser of net"), (140, 70, "the average of")])
def test_a_state_that_began_anew(tmp_path: Path, adam: int, updates: int, what: str) -> None:
    one = only(SAVED_STATE, saved(tmp_path, 140, adam, updates))
    assert (one.verdict, one.causes, one.certain) == ("fault", ("lost-state",), True)
    assert f"{what}" in one.says
    assert "has seen 70 of 140 steps" in one.says


def test_states_that_went_on(tmp_path: Path) -> None:
    case = saved(tmp_path, 140, 138, 138)
    case.__dict__["curves"] = case_of({"unstepped": curve(np.array([0.0, 1.0, 1.0]))}).curves
    assert only(SAVED_STATE, case).verdict == "healthy"


def batch(rng: np.random.Generator, order: list[int], fresh: bool) -> PairBatch:
    """Items by number; ``fresh`` draws their noise anew."""
    clean = np.stack([np.random.default_rng(i).standard_normal((1, 800)) for i in order]).astype(np.float32)
    noise = rng.standard_normal(clean.shape) if fresh else 0.0
    count = len(order)
    return PairBatch(clean, (clean + noise).astype(np.float32), np.full(count, 800), np.zeros(count, int),
                     np.ones(count, bool), tuple(order), tuple(map(str, order)), ((),) * count)  # fmt: skip


@pytest.mark.parametrize(
    ("shuffled", "fresh", "verdict"), [(True, True, "healthy"), (True, False, "healthy"), (False, False, "fault")]
)
def test_items_that_come_again_in_one_order(shuffled: bool, fresh: bool, verdict: str) -> None:
    """An epoch of 22 items is no multiple of a batch of 4: batches of the second one hold others together."""
    rng, again = np.random.default_rng(0), Recurrence()
    stream = [int(i) for _ in range(12) for i in (rng.permutation(22) if shuffled else range(22))]
    counts = [again.count([batch(rng, stream[at : at + 4], fresh)]) for at in range(0, len(stream), 4)]
    rows = [{"rank": 0, "step": i, "again": count} for i, count in enumerate(counts)]
    items = {"items": curve(np.full(len(counts), 4.0), 1.0)}
    one = only(ORDER, case_of(items, ranks=rows))
    assert (one.verdict, one.causes[0]) == (verdict, "same-order")


def test_a_discriminator_that_does_not_learn_and_some_that_do() -> None:
    def of(ratings: list[float]) -> Case:
        rated = curve(np.array(ratings))
        return case_of({"discriminator.loss": curve(np.full(40, 0.4)), "calibration.of_clean": rated})

    idle = only(IDLE, of([0.4874, 0.4874, 0.4875, 0.4874, 0.4874]))
    assert (idle.verdict, idle.causes[0]) == ("fault", "discriminator-uncalibrated")
    assert only(IDLE, of([0.697, 0.602, 0.718, 0.782, 0.694, 0.952])).verdict == "healthy"
    assert not findings(IDLE, of([0.995, 0.998, 0.997, 0.999]))
    assert not findings(IDLE, of([0.4874, 0.4874]))


class Told:
    """A practice whose items come with a reference: out of their noise, or out of another."""

    rate_hz = 16_000

    def __init__(self, overlapping: bool, hum: bool = False):
        self.overlapping, self.hum = overlapping, hum

    def steps(self, count: int, epoch: int = 0) -> list[Step]:
        rng = np.random.default_rng(3)
        t = np.arange(16_000) / 16_000
        clean, noise = rng.standard_normal((2, 4, 8000))
        noise = np.stack([np.sin(2 * np.pi * (50 + i) * t) for i in range(4)])[:, :8000] if self.hum else noise
        reference = noise[:, 2000:6000] if self.overlapping else rng.standard_normal((4, 4000))
        if self.hum:
            reference = np.stack([np.sin(2 * np.pi * (50 + i) * t) for i in range(4)])[:, 11_000:15_000]
        told = dict(zip(KEYS, (reference[:, None], np.full(4, 4000), np.zeros(4)), strict=True))
        tensors = {name: torch.from_numpy(value) for name, value in told.items()}
        return [Step(torch.from_numpy(clean), torch.from_numpy(clean + noise), (), told=tensors)] * count


@pytest.mark.parametrize(
    ("practice", "verdict"), [(Told(True), "fault"), (Told(False), "healthy"), (Told(False, hum=True), "healthy")]
)
def test_references_that_hold_what_is_to_be_removed(practice: Told, verdict: str) -> None:
    case = case_of({})
    case.__dict__["practice"] = practice
    one = only(CONDITION_SOURCE, case)
    assert (one.verdict, one.causes) == (verdict, ("condition-leaks",))


def test_a_reference_of_which_only_the_end_lies_within() -> None:
    whole = np.random.default_rng(1).standard_normal(24_000)
    assert overlaps(whole[4000:12_000], whole[8000:], 16_000)
    assert not overlaps(whole[:7000], whole[8000:], 16_000)
    assert not overlaps(np.zeros(4000), whole, 16_000)


def test_the_place_of_a_turn() -> None:
    at = np.arange(1.0, 31.0)
    values = np.minimum(at, 12.0) - 0.5 * np.maximum(at - 12, 0) + 0.1 * np.random.default_rng(2).standard_normal(30)
    found = bend(curve(values, 1.0))
    assert found is not None
    assert found.at == pytest.approx(12, abs=1)
    assert (found.before, found.after) == (pytest.approx(1, abs=0.05), pytest.approx(-0.5, abs=0.05))
    assert found.z_after < -20
    assert bend(curve(np.ones(5))) is None


def test_a_metric_that_leaves_its_loss_and_one_that_follows() -> None:
    rng = np.random.default_rng(4)
    at = np.arange(1.0, 25.0)
    loss = curve(0.3 * np.exp(-at / 10) + 0.1 + 0.001 * rng.standard_normal(24), 1.0)
    pesq = curve(1.5 + 0.1 * np.minimum(at, 8) - 0.04 * np.maximum(at - 8, 0) + 0.02 * rng.standard_normal(24), 1.0)
    one = only(DIVERGENCE, case_of({"valid.loss": loss, "valid.pesq": pesq}, "epoch"))
    assert (one.verdict, one.causes[0]) == ("fault", "loss-metric-divergence")
    assert one.measured[0].value == pytest.approx(8, abs=1)
    follows = curve(2.5 - 3 * loss.values + 0.02 * rng.standard_normal(24), 1.0)
    assert only(DIVERGENCE, case_of({"valid.loss": loss, "valid.pesq": follows}, "epoch")).verdict == "healthy"
    overfit = curve(0.2 + 0.01 * np.abs(at - 8), 1.0)
    assert not findings(DIVERGENCE, case_of({"valid.loss": overfit, "valid.pesq": pesq}, "epoch")), "both turn"


class Scale(nn.Module):
    """A net that pulls the upper half of the spectrum down."""

    def __init__(self, amount: float):
        super().__init__()
        self.amount = nn.Parameter(torch.tensor(amount))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        half = z.shape[-2] // 2
        return torch.cat([z[..., :half, :], self.amount * z[..., half:, :]], dim=-2)


@pytest.mark.parametrize(("used", "verdict"), [(0.2, "fault"), (0.6, "healthy"), (0.4, "cannot tell")])
def test_files_that_raw_weights_restored(tmp_path: Path, used: float, verdict: str) -> None:
    def nets(amount: float) -> dict[str, nn.Module]:
        return {"net": Scale(amount).eval()}

    method = Regression(Scale(0.6), CompressedSTFT(126, 64), (L1(),))
    items = []
    for number in range(3):
        noisy = 0.1 * np.random.default_rng(number).standard_normal((1, 16_000)).astype(np.float32)
        with torch.no_grad():
            made = method.restore(nets(used), torch.from_numpy(noisy)[None], Draws([0]))[0].numpy()
        paths = [tmp_path / f"{side}-{number}.wav" for side in ("noisy", "made")]
        for path, wave in zip(paths, (noisy, made), strict=True):
            soundfile.write(path, wave[0], 16_000)
        items.append(OutputItem(str(number), paths[1], None, paths[0]))
    case = Case(Given(), Clock.lasting(60))
    case.__dict__ |= {"outputs": Outputs(items, "made"),
                      "model": Model(tmp_path, method, nets(0.6), nets(0.2), 100)}  # fmt: skip
    assert only(RAW_WEIGHTS, case).verdict == verdict
