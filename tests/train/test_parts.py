"""Schedules, averages, optimiser groups, early stopping, precision: each against what it should do."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from torch import nn

from auscult.errors import RecipeError, TrainingError
from auscult.evaluate.score import Row
from auscult.hub.bundle import read_meta
from auscult.hub.runs import read_history
from auscult.train.ema import Average
from auscult.train.extremes import Judged
from auscult.train.loop import Trainer, learning
from auscult.train.run import RunFolder
from auscult.train.schedule import Constant, CosineRestarts, Plateau, StepDecay, WarmupCosine
from auscult.train.settings import Optimiser, Options, Validation
from auscult.train.setup import RunPlan, plan_run
from auscult.train.track import Tracker
from auscult.train.validate import Outcome
from tests.train.runs import ADVERSARIAL, REGRESSION, SCORE, VALIDATION, recipe, write_package


def run_here(corpus: Path, tmp_path: Path, content: dict[str, Any], **options: Any) -> tuple[Trainer, Path]:
    plan: RunPlan = plan_run(content, Options(workers=0, device="cpu", log_every=1, **options), corpus)
    folder = RunFolder(tmp_path / plan.folder_name)
    trainer = Trainer(plan, folder, [].append)
    trainer.ending = trainer.fit()  # type: ignore[attr-defined]
    folder.close()
    return trainer, folder.path


@pytest.fixture(autouse=True)
def fresh_accelerator() -> None:
    """Accelerate keeps the precision of a process's first run; these tests train several in one."""
    AcceleratorState._reset_state(reset_partial_state=True)


class TestSchedules:
    def test_constant_and_warm_up(self) -> None:
        assert [Constant(4).factor(s, 100, []) for s in (0, 1, 3, 50)] == [0.25, 0.5, 1.0, 1.0]

    def test_cosine_reaches_its_floor_at_the_last_step(self) -> None:
        schedule = WarmupCosine(10, 0.1)
        assert schedule.factor(10, 101, []) == 1.0
        assert schedule.factor(55, 101, []) == pytest.approx(0.55)
        assert schedule.factor(100, 101, []) == pytest.approx(0.1)

    def test_restarts_follow_sgdr(self) -> None:
        """Cycles of 10, 20 and 40 steps after a warm-up of 5; as torch's scheduler, but a function of the step."""
        schedule = CosineRestarts(period=10, multiplier=2, floor=0.1, warmup_steps=5)
        assert [schedule.factor(s, 1, []) for s in (0, 4)] == [0.2, 1.0]
        assert [schedule.factor(5 + s, 1, []) for s in (0, 10, 30, 70)] == [1.0] * 4
        assert [schedule.factor(5 + s, 1, []) for s in (5, 20, 50)] == pytest.approx([0.55] * 3)
        optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimiser, T_0=10, T_mult=2, eta_min=0.1)
        for step in range(100):
            assert schedule.factor(5 + step, 1, []) == pytest.approx(theirs.get_last_lr()[0], abs=1e-9), step
            optimiser.step()
            theirs.step()

    def test_restarts_of_equal_length(self) -> None:
        schedule = CosineRestarts(period=7)
        assert [schedule.factor(s, 1, []) for s in range(7)] == [schedule.factor(7_000 + s, 1, []) for s in range(7)]
        assert schedule.factor(6, 1, []) == pytest.approx(0.5 * (1 + math.cos(math.pi * 6 / 7)))

    def test_steps(self) -> None:
        assert [StepDecay(10, 0.5).factor(s, 100, []) for s in (0, 9, 10, 25)] == [1, 1, 0.5, 0.25]

    def test_plateau_cuts_after_patience_without_a_new_best(self) -> None:
        schedule = Plateau(gamma=0.5, patience=2, floor=0.2)
        scores = [(i, s) for i, s in enumerate([1.0, 2.0, 1.5, 1.9, 1.8, 1.7, 1.6, 1.5])]
        assert [schedule.factor(0, 1, scores[:n]) for n in range(9)] == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.2]


class TestAverage:
    def test_it_is_the_running_average_of_torch_ema(self) -> None:
        net = nn.Linear(1, 1, bias=False)
        nn.init.constant_(net.weight, 1.0)
        average, expected = Average(net, 0.9), 1.0
        for n in range(1, 30):
            nn.init.constant_(net.weight, float(n))
            average.update(net)
            decay = min(0.9, (1 + n) / (10 + n))
            expected -= (1 - decay) * (expected - n)
        assert float(average.tensors["weight"]) == pytest.approx(expected, rel=1e-6)
        assert float(net.weight.detach()) == 29.0
        assert average.distance(net) == pytest.approx((29 - expected) / 29, rel=1e-5)

    def test_buffers_are_averaged_and_counters_left_alone(self) -> None:
        net = nn.BatchNorm1d(2)
        average = Average(net, 0.5)
        assert set(average.tensors) == {"weight", "bias", "running_mean", "running_var"}


class TestOptimiser:
    def net(self) -> nn.Module:
        return nn.ModuleDict({"encoder": nn.Linear(2, 2), "head": nn.Linear(2, 2)})

    def test_frozen_tensors_do_not_learn_and_scales_make_groups(self) -> None:
        net = self.net()
        optimiser = Optimiser(lr=0.1, freeze=("encoder.weight",), lr_scale={"head.*": 0.5}).build(net)
        assert not net["encoder"].weight.requires_grad  # type: ignore[index, union-attr]
        assert {group["lr"]: len(group["params"]) for group in optimiser.param_groups} == {0.1: 1, 0.05: 2}

    @pytest.mark.parametrize("algorithm", ["adam", "adamw", "sgd"])
    def test_algorithms(self, algorithm: Any) -> None:
        assert type(Optimiser(algorithm).build(self.net())).__name__.lower() == algorithm

    def test_patterns_that_fit_nothing_and_nothing_left(self) -> None:
        with pytest.raises(RecipeError, match="the pattern 'decoder.*' fits no tensor"):
            Optimiser(freeze=("decoder.*",)).build(self.net())
        with pytest.raises(RecipeError, match="every tensor is frozen"):
            Optimiser(freeze=("*",)).build(self.net())


class TestRuns:
    def test_frozen_weights_stay_and_the_rest_moves(self, corpus: Path, tmp_path: Path) -> None:
        content = recipe(optimiser={"freeze": ["conv_in.*"]}, training={"steps": 3})
        trainer, run = run_here(corpus, tmp_path, content)
        start = trainer.plan.method().nets()["net"].state_dict()
        saved = load_file(next((run / "checkpoints").glob("step-*[0-9].safetensors")))
        assert torch.equal(saved["net.conv_in.weight"], start["conv_in.weight"])
        assert not torch.equal(saved["net.conv_narrow.weight"], start["conv_narrow.weight"])

    @pytest.mark.parametrize("base", [REGRESSION, SCORE], ids=["regression", "score"])
    def test_the_loss_falls(self, corpus: Path, tmp_path: Path, base: dict[str, Any]) -> None:
        content = recipe(base, training={"steps": 40, "batch": 4}, optimiser={"lr": 0.01})
        _, run = run_here(corpus, tmp_path, content)
        losses = [row["turns"]["net"]["loss"] for row in read_history(run / "history.jsonl")]
        assert sum(losses[-8:]) < 0.9 * sum(losses[:8])

    def test_early_stopping_and_best_checkpoints(self, corpus: Path, tmp_path: Path) -> None:
        """With a rate of zero nothing improves: the first validation stays best, and patience ends the run."""
        validation = {**VALIDATION, "every": 1, "patience": 3, "keep_best": 1}
        content = recipe(validation=validation, optimiser={"lr": 0.0}, training={"steps": 50})
        trainer, run = run_here(corpus, tmp_path, content, save_every=1)
        ending = trainer.ending  # type: ignore[attr-defined]
        assert (ending.reason, ending.step) == ("early", 4)
        assert ending.best[0] == 1
        names = sorted(path.name for path in (run / "checkpoints").iterdir())
        assert names == [
            "step-00000001.safetensors", "step-00000004.optimiser.safetensors", "step-00000004.safetensors",
        ]  # fmt: skip

    def test_the_learning_net_is_untouched_by_validation(self, corpus: Path, tmp_path: Path) -> None:
        with_validation = recipe(validation={**VALIDATION, "every": 2}, training={"steps": 6})
        finals = []
        for content in (recipe(training={"steps": 6}), with_validation):
            _, run = run_here(corpus, tmp_path, content)
            finals.append(load_file(run / "checkpoints" / "step-00000006.safetensors"))
        for key, tensor in finals[0].items():
            assert torch.equal(tensor, finals[1][key]), key

    def test_bf16_learns(self, corpus: Path, tmp_path: Path) -> None:
        content = recipe(SCORE, training={"steps": 3, "precision": "bf16"})
        _, run = run_here(corpus, tmp_path, content)
        losses = [row["turns"]["net"]["loss"] for row in read_history(run / "history.jsonl")]
        assert all(math.isfinite(loss) for loss in losses)

    def test_fp16_is_refused_without_a_gpu(self, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(TrainingError, match="fp16 needs a GPU"):
            plan_run(recipe(training={"precision": "fp16"}), Options(), corpus)

    def test_a_step_with_an_infinite_gradient_is_skipped_and_counted(
        self, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from auscult.losses.base import Loss
        from auscult.methods.regression import Regression

        real = Regression.loss

        def poisoned(self: Regression, turn: str, nets: Any, batch: Any, shared: Any, draws: Any) -> Loss:
            loss = real(self, turn, nets, batch, shared, draws)
            calls.append(1)
            return Loss({k: v * (math.inf if len(calls) == 2 else 1.0) for k, v in loss.parts.items()}, loss.weights)

        calls: list[int] = []
        monkeypatch.setattr(Regression, "loss", poisoned)
        _, run = run_here(corpus, tmp_path, recipe(training={"steps": 3}))
        rows = read_history(run / "history.jsonl")
        assert [row["turns"]["net"]["unstepped"] for row in rows] == [0, 1, 0]
        saved = load_file(run / "checkpoints" / "step-00000003.safetensors")
        assert all(torch.isfinite(t).all() for t in saved.values() if t.is_floating_point())

    def test_a_diverged_net_is_a_validation_without_scores(
        self, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from auscult.methods.regression import Regression

        monkeypatch.setattr(Regression, "frame_step", lambda *_: None)
        monkeypatch.setattr(Regression, "restore", lambda *given: given[2] * math.nan)
        trainer, run = run_here(corpus, tmp_path, recipe(validation=VALIDATION, training={"steps": 3}))
        (row,) = [row for row in read_history(run / "history.jsonl") if row["kind"] == "validation"]
        assert all("NaN or infinity" in item["failed"]["si_sdr"] for item in row["items"])
        assert row["lost"] == {"si_sdr": 2}
        assert trainer.state.scores == [(3, -math.inf)]

    def test_one_scaler_a_turn_leaves_overflows_out(
        self, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """fp16 with two learners: each turn's gradients are unscaled once; overflow halves that turn's scale alone."""
        monkeypatch.syspath_prepend(str(write_package(tmp_path)))
        with monkeypatch.context() as there:
            there.setattr(torch.cuda, "is_available", lambda: True)
            content = recipe(method=ADVERSARIAL, training={"steps": 4, "precision": "fp16"})
            plan = plan_run(content, Options(workers=0, device="cpu", log_every=1), corpus)
        trainer = Trainer(plan, RunFolder(tmp_path / "run"), [].append)
        trainer.state.scalers["net"] = torch.amp.GradScaler("cpu", init_scale=1.0)
        trainer.state.scalers["judge"] = torch.amp.GradScaler("cpu", init_scale=2.0**126, growth_interval=1000)
        trainer.fit()
        trainer.run.close()
        rows = [row["turns"] for row in read_history(tmp_path / "run" / "history.jsonl")]
        missed = {turn: sum(row[turn]["unstepped"] for row in rows) for turn in ("net", "judge")}
        assert missed["net"] == 0
        assert missed["judge"] > 0
        assert trainer.state.scalers["judge"].get_scale() == 2.0 ** (126 - missed["judge"])
        AcceleratorState._reset_state(reset_partial_state=True)
        _, plain = run_here(corpus, tmp_path, recipe(method=ADVERSARIAL, training={"steps": 1}))
        (first,) = read_history(plain / "history.jsonl")
        assert rows[0]["net"]["grad_norm"] == pytest.approx(first["turns"]["net"]["grad_norm"], rel=0.01)
        AcceleratorState._reset_state(reset_partial_state=True)
        again = Trainer(plan, RunFolder(tmp_path / "run"), [].append)
        assert again.state.step == 4
        assert again.state.scalers["judge"].get_scale() == trainer.state.scalers["judge"].get_scale()
        again.run.close()

    def test_a_resume_with_another_number_of_items_is_refused(self, corpus: Path, tmp_path: Path) -> None:
        trainer, run = run_here(corpus, tmp_path, recipe(training={"steps": 1}))
        trainer.state.items = 7
        with pytest.raises(TrainingError, match=r"learns from 2 items a step, the command at hand from 7"):
            trainer.state.load(run / "checkpoints" / "step-00000001.safetensors")

    def test_a_run_that_ended_early_stays_ended(self, corpus: Path, tmp_path: Path) -> None:
        validation = {**VALIDATION, "every": 1, "patience": 2}
        content = recipe(validation=validation, optimiser={"lr": 0.0}, training={"steps": 50})
        first, run = run_here(corpus, tmp_path, content)
        history = (run / "history.jsonl").read_text()
        AcceleratorState._reset_state(reset_partial_state=True)
        second, _ = run_here(corpus, tmp_path, content)
        assert second.ending == first.ending  # type: ignore[attr-defined]
        assert (run / "history.jsonl").read_text() == history

    def test_data_of_another_rate_are_refused(self, corpus: Path) -> None:
        with pytest.raises(RecipeError, match=r"data\.rate_hz is 8000, method\.rate_hz is 16000"):
            plan_run(recipe(data={"rate_hz": 8_000}), Options(), corpus)
        with pytest.raises(RecipeError, match=r"validation\.data\.rate_hz is 8000"):
            validation = {**VALIDATION, "data": {**VALIDATION["data"], "rate_hz": 8_000}}
            plan_run(recipe(validation=validation), Options(), corpus)

    def test_validation_settings_are_checked_before_training(self, corpus: Path) -> None:
        with pytest.raises(RecipeError, match="validation.select: 'pesq' is not among metrics: si_sdr"):
            plan_run(recipe(validation={**VALIDATION, "select": "pesq"}), Options(), corpus)
        with pytest.raises(RecipeError, match="'sisdr' is not in the catalogue"):
            plan_run(recipe(validation={**VALIDATION, "metrics": ["sisdr"], "select": "sisdr"}), Options(), corpus)

    def test_ranks_follow_the_metrics_direction(self, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from auscult.metrics.energy import SiSdr

        validation = plan_run(recipe(validation=VALIDATION), Options(), corpus).validation
        assert validation is not None
        assert validation.rank({"si_sdr": 3.0}) == 3.0
        assert validation.rank({"si_sdr": math.nan}) == -math.inf
        monkeypatch.setattr(SiSdr, "higher_is_better", False)
        assert validation.rank({"si_sdr": 3.0}) == -3.0

    def test_a_loader_that_fails_loses_nothing(
        self, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was learned is saved; the score of a checkpoint that was just validated stays."""
        for fails_at, scored in ((2, False), (3, True)):
            content = recipe(validation=VALIDATION, training={"steps": 6}, seed=fails_at)
            plan = plan_run(content, Options(workers=0, device="cpu", log_every=1), corpus)
            trainer = Trainer(plan, RunFolder(tmp_path / str(fails_at)), [].append)
            real = trainer._next

            def failing(steps: Any, trainer: Trainer = trainer, at: int = fails_at, real: Any = real) -> Any:
                return real(iter([])) if trainer.state.step == at else real(steps)

            monkeypatch.setattr(trainer, "_next", failing)
            with pytest.raises(StopIteration):
                trainer.fit()
            trainer.run.close()
            meta = read_meta(trainer.run.checkpoints / f"step-{fails_at:08d}.safetensors")
            assert ("si_sdr" in meta.scores) == scored
            AcceleratorState._reset_state(reset_partial_state=True)

    def test_items_that_a_net_loses_do_not_flatter_it(self) -> None:
        """Three items of 2 dB, or one of 9 dB and two lost ones whose noisy input has -2 dB: the first net is ahead."""
        healthy = Outcome.of([Judged(Row("valid", "net", str(i), {"si_sdr": 2.0})) for i in range(3)], ["si_sdr"])
        lost = Judged(Row("valid", "net", "x", {}, {"si_sdr": "silence"}), {"si_sdr": -2.0})
        broken = Outcome.of([Judged(Row("valid", "net", "0", {"si_sdr": 9.0})), lost, lost], ["si_sdr"])
        assert (broken.means["si_sdr"], broken.lost) == (9.0, {"si_sdr": 2})
        assert broken.standing["si_sdr"] == pytest.approx(5 / 3)
        assert healthy.standing["si_sdr"] == 2.0
        assert math.isnan(Outcome.of([lost], ["si_sdr"]).standing["si_sdr"])

    def test_frozen_parts_rest(self) -> None:
        net = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2), nn.Dropout())
        net[0].requires_grad_(False)
        learning(net)
        assert [part.training for part in net] == [False, True, True]

    def test_history_survives_a_cut_line(self, tmp_path: Path) -> None:
        (tmp_path / "history.jsonl").write_text(json.dumps({"step": 1}) + "\n" + '{"step": 2, "lo')
        assert read_history(tmp_path / "history.jsonl") == [{"step": 1}]

    def test_validation_items_are_spread_evenly(self, corpus: Path) -> None:
        plan = plan_run(recipe(validation={**VALIDATION, "items": 2}), Options(), corpus)
        assert isinstance(plan.validation, Validation)
        assert list(plan.validation.indices()) == [0, 1]


class TestTrackers:
    ROW: ClassVar = {"kind": "step", "step": 3, "turns": {"net": {"loss": 0.5}}, "ranks": [], "items": 4, "text": "x"}

    def test_csv_is_cut_back_to_where_the_run_resumes(self, tmp_path: Path) -> None:
        with Tracker(["csv"], tmp_path, 0) as tracker:
            for step in (1, 2, 3):
                tracker.log({**self.ROW, "step": step})
        with Tracker(["csv"], tmp_path, 2) as tracker:
            tracker.log(self.ROW)
        lines = (tmp_path / "track.csv").read_text().splitlines()
        assert lines == ["step,name,value", *(f"{step},step/turns/net/loss,0.5" for step in (1, 2, 3))]

    def test_wandb_gets_the_runs_name_and_numbers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Against a stand-in with the three calls we make."""
        seen: list[Any] = []
        run = SimpleNamespace(log=lambda values, step: seen.append((values, step)), finish=lambda: seen.append("end"))
        fake = SimpleNamespace(init=lambda **settings: (seen.append(settings), run)[1])
        monkeypatch.setitem(sys.modules, "wandb", fake)
        with Tracker(["wandb"], tmp_path, 0) as tracker:
            tracker.log(self.ROW)
        assert seen[0]["id"] == tmp_path.name
        assert seen[0]["resume"] == "allow"
        assert seen[1:] == [({"step/turns/net/loss": 0.5}, 3), "end"]


def test_a_method_that_refuses_its_values_leaves_no_folder(corpus: Path, tmp_path: Path) -> None:
    method = {**REGRESSION["method"], "net": {"type": "TSCNet", "n_fft": 402}}
    plan = plan_run(recipe(method=method), Options(workers=0, device="cpu"), corpus)
    with pytest.raises(RecipeError, match="multiple of 4"):
        Trainer(plan, RunFolder(tmp_path / "run"), print)
    assert not (tmp_path / "run").exists()
