"""The training loop, whole and in view.

One step: draw the step's items, learn each turn of the method from them (forward, loss, backward, clip, update),
average, log; now and then validate and save. Everything random is keyed by the step, so a resumed run repeats what
an uninterrupted one would have done.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import gather_object
from torch import nn

from auscult.allocator import keep_freed_memory
from auscult.data.loader import Loader, Share
from auscult.data.pairs import Pair, PairBatch
from auscult.hub.bundle import Meta
from auscult.methods.base import Batch
from auscult.rng import Draws, Key
from auscult.train.calibration import calibration
from auscult.train.ema import Average
from auscult.train.extremes import write_extremes
from auscult.train.run import RunFolder
from auscult.train.setup import RunPlan
from auscult.train.state import State, check_save, newest_save, prune, step_of
from auscult.train.tally import Tally
from auscult.train.track import Tracker
from auscult.train.validate import Baseline, Outcome, held_out, validate

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Ending:
    """How a run ended: ``finished``, ``stopped`` by a signal, ``paused`` as asked, or ``early`` without a new best."""

    reason: str
    step: int
    best: tuple[int, float] | None


class Trainer:
    """Everything the loop holds while it runs."""

    def __init__(self, plan: RunPlan, run: RunFolder, report: Callable[[Mapping[str, Any]], None]):
        self.plan, self.run, self._report = plan, run, report
        settings = plan.training
        handlers = [DistributedDataParallelKwargs(broadcast_buffers=False)]
        self.accelerator = Accelerator(cpu=plan.options.device == "cpu", kwargs_handlers=handlers)
        device = self.accelerator.device
        if device.type == "cpu":
            keep_freed_memory()
        self.key = Key(plan.seed)
        self.method = plan.method()  # before the folder: what it refuses leaves none behind
        nets = self.method.nets()
        back_to, self.set_aside = plan.options.resume_from, None
        if back_to is not None:
            check_save(run.checkpoints, back_to)
        if self.accelerator.is_main_process:
            run.open(plan.resolved, plan.recordings)
            self.set_aside = run.set_aside(back_to) if back_to is not None else None
        self.accelerator.wait_for_everyone()
        self.started_from = plan.initialise(nets)
        self.turns = self.method.turns
        optimisers = {turn: plan.optimisers[turn].build(nets[turn]) for turn in self.turns}
        for net in nets.values():
            net.to(device)
        decay = settings.ema_decay
        averages = {turn: Average(nets[turn], decay) for turn in self.turns} if decay is not None else {}
        # One scaler a turn: with a shared one, the second turn's gradients would be unscaled twice.
        fp16 = settings.precision == "fp16"
        scalers = {turn: torch.amp.GradScaler(device.type, enabled=fp16) for turn in self.turns}
        place, processes = self.accelerator.process_index, self.accelerator.num_processes
        self.share = Share(settings.batch, settings.accumulate, place, processes)
        self.state = State(nets, averages, optimisers, scalers, self.share.items)
        if (save := newest_save(run.checkpoints)) is not None:
            self.state.load(save)
        if self.accelerator.is_main_process:
            run.cut_history(self.state.step)
        self.wrapped = {turn: self.accelerator.prepare_model(nets[turn]) for turn in self.turns}
        self.tally = Tally()
        self.baseline = Baseline(plan.validation.metrics if plan.validation else ())
        self._stop: int | None = None

    def fit(self) -> Ending:
        """Train to the last step, a signal, or the end of patience."""
        plan, state = self.plan, self.state
        if ended := self._ended():
            return Ending(ended, state.step, state.best)
        pairs = list(held_out(plan.validation, self.key.child("validation")).values()) if plan.validation else []
        loader = Loader(plan.data, self.key.child("data"), self.share, plan.options.workers)
        with ExitStack() as stack:
            stack.enter_context(self._signals())
            main = self.accelerator.is_main_process
            tracker = stack.enter_context(Tracker(plan.options.trackers if main else (), self.run.path, state.step))
            steps = stack.enter_context(closing(loader.steps(state.step, plan.training.steps)))
            if main and 0 < state.step < plan.training.steps:
                self.run.log({"kind": "start", "step": state.step})
            self.tally.start()
            while state.step < plan.training.steps:
                self.learn(self._next(steps))
                state.step += 1
                last = state.step == plan.training.steps
                if self._logs(state.step):
                    self._log(self.tally.row(self), tracker)
                outcome = None
                if plan.validation and (state.step % plan.validation.every == 0 or last):
                    with self.tally.paused():
                        outcome = self._validate(pairs, tracker)
                ended = "" if last else self._ended()
                if outcome or last or ended or state.step % plan.options.save_every == 0:
                    with self.tally.paused():
                        self._save(outcome)
                if ended:
                    return Ending(ended, state.step, state.best)
        return Ending("finished", state.step, state.best)

    def _logs(self, step: int) -> bool:
        """Whether a row is written after this step."""
        return step % self.plan.options.log_every == 0 or step == self.plan.training.steps

    def _next(self, steps: Iterator[list[PairBatch]]) -> list[PairBatch]:
        """The next step's items; if they cannot be had, what was learned so far is saved first."""
        waited, batches = time.perf_counter(), None
        try:
            batches = next(steps)
        finally:
            self.tally.waited_s += time.perf_counter() - waited
            if batches is None:
                self._rescue()
        return batches

    def learn(self, batches: list[PairBatch]) -> None:
        """One step of every turn."""
        state, accelerator = self.state, self.accelerator
        torch.manual_seed(self.key.child("dropout", state.step, accelerator.process_index).integer())
        counts = [int(batch.valid.sum()) for batch in batches]
        total = int(accelerator.reduce(torch.tensor(float(sum(counts)), device=accelerator.device)))
        self.tally.items(batches, total)
        for micro, (batch, count) in enumerate(zip(batches, counts, strict=True)):
            # Every item weighs the same, wherever it is: DDP averages over processes, so undo that.
            weight = count * accelerator.num_processes / max(total, 1)
            self._backward(batch, weight, last=micro == len(batches) - 1)
        for turn in self.turns:
            self._update(turn, total)

    def _backward(self, pairs: PairBatch, weight: float, last: bool) -> None:
        """Gradients of one micro-batch, each turn's into its own net only."""
        method, device = self.method, self.accelerator.device
        batch = Batch.of(pairs, method.normalise, device)
        positions = [p for p, valid in zip(pairs.positions, pairs.valid, strict=True) if valid] or [pairs.positions[0]]
        draws = Draws.of(self.key.child("train", position) for position in positions)
        half = HALF.get(self.plan.training.precision)
        with ExitStack() as stack:
            for net in self.wrapped.values():
                if not last:
                    stack.enter_context(self.accelerator.no_sync(net))
                learning(net)
            cast = torch.autocast(device.type, half, enabled=half is not None)
            with cast:
                shared = method.forward(self._seen_by(self.turns[0]), batch, draws)
            for turn in self.turns:
                with cast:
                    loss = method.loss(turn, self._seen_by(turn), batch, shared, draws)
                if last and self._logs(self.state.step + 1):
                    self.tally.shares(turn, loss)
                learners = [p for p in self.state.nets[turn].parameters() if p.requires_grad]
                self.state.scalers[turn].scale(loss.total * weight).backward(inputs=learners)
                self.tally.loss(turn, loss, weight)

    def _seen_by(self, turn: str) -> dict[str, nn.Module]:
        """The nets as a turn gets them: its own wrapped for gradient exchange, the others bare."""
        return {**self.state.nets, turn: self.wrapped[turn]}

    def _update(self, turn: str, total: int) -> None:
        """Clip, step, average. A step without items or with an infinite gradient is left out, and counted."""
        state, optimiser, scaler = self.state, self.state.optimisers[turn], self.state.scalers[turn]
        factor = self.plan.schedules[turn].factor(state.step, self.plan.training.steps, state.scores)
        for group in optimiser.param_groups:
            group["lr"] = self.plan.optimisers[turn].lr * group["scale"] * factor
        limit = self.plan.training.clip_norm
        scaler.unscale_(optimiser)
        norm = float(torch.nn.utils.clip_grad_norm_(state.nets[turn].parameters(), limit or math.inf))
        stepped = total > 0 and math.isfinite(norm)
        if total > 0 and (stepped or scaler.is_enabled()):  # the scaler leaves an infinite step out itself
            scaler.step(optimiser)
        scaler.update()
        if stepped and turn in state.averages:
            state.averages[turn].update(state.nets[turn])
        optimiser.zero_grad()
        self.tally.update(turn, norm, limit, stepped)

    def _validate(self, pairs: list[Pair], tracker: Tracker) -> Outcome:
        """Score the averaged weights (a copy; the learning net is untouched) on this process's share of the items."""
        validation, accelerator, state = self.plan.validation, self.accelerator, self.state
        assert validation is not None
        method = self.plan.method()
        nets = method.nets()
        for name, net in nets.items():
            weights = dict(state.nets[name].state_dict())
            if name in state.averages:
                weights |= state.averages[name].tensors
            net.load_state_dict(weights)
            net.to(accelerator.device).eval()
        mine = pairs[accelerator.process_index :: accelerator.num_processes]
        samples = self.run.samples if accelerator.is_main_process else None
        judged = validate(validation, method, nets, mine, self.baseline, accelerator.device, samples, state.step)
        judged = gather_object(judged) if accelerator.num_processes > 1 else judged
        if samples is not None:
            write_extremes(samples, judged, validation.extremes, validation.select, state.step)
        outcome = Outcome.of(judged, validation.metrics)
        state.scores.append((state.step, validation.rank(outcome.standing)))
        row = {
            "kind": "validation",
            "step": state.step,
            "means": outcome.means,
            "items": [{"item": r.item, **r.scores, "failed": r.failures} for r in outcome.rows],
            "lost": outcome.lost,
        }
        if accelerator.is_main_process and (found := self._calibration(mine)):
            row["calibration"] = found
        self._log(row, tracker)
        return outcome

    def _calibration(self, pairs: list[Pair]) -> dict[str, float] | None:
        """Of the nets that learn now: the discriminator that the net learns from, not its average."""
        nets = self.state.nets
        for net in nets.values():
            net.eval()
        return calibration(self.method, nets, pairs, self.plan.data.crop_s or 2.0)

    def _save(self, outcome: Outcome | None) -> None:
        if self.accelerator.is_main_process:
            self._write(outcome)
        self.accelerator.wait_for_everyone()

    def _write(self, outcome: Outcome | None) -> None:
        """A checkpoint of this step; only the newest and the best stay."""
        plan, state = self.plan, self.state
        scores = {name: value for name, value in outcome.means.items() if math.isfinite(value)} if outcome else {}
        selected = state.scores[-1][1] if outcome and math.isfinite(state.scores[-1][1]) else None
        meta = Meta(plan.resolved["method"], plan.name, state.step, scores, selected, str(self.run.path.name))
        state.save(self.run.checkpoints, meta)
        keep = plan.validation.keep_best if plan.validation else 0
        best = sorted((pair for pair in state.scores if math.isfinite(pair[1])), key=lambda pair: -pair[1])[:keep]
        options = plan.options
        prune(self.run.checkpoints, [step for step, _ in best], options.keep_newest, options.keep_states)

    def _rescue(self) -> None:
        """Save what was learned since the last save, without waiting for processes that may never come."""
        save = newest_save(self.run.checkpoints)
        if self.accelerator.is_main_process and (save is None or step_of(save) < self.state.step):
            self._write(None)

    def _ended(self) -> str:
        """Why the run ends before its last step; empty where it goes on."""
        pause = self.plan.options.stop_after
        if self._stopped():
            return "stopped"
        if self._out_of_patience():
            return "early"
        return "paused" if pause is not None and pause <= self.state.step < self.plan.training.steps else ""

    def _stopped(self) -> bool:
        """Whether any process was asked to stop."""
        asked = torch.tensor(float(self._stop is not None), device=self.accelerator.device)
        return float(self.accelerator.reduce(asked)) > 0

    def _out_of_patience(self) -> bool:
        """Whether too many validations have passed without a new best."""
        validation, best = self.plan.validation, self.state.best
        if validation is None or validation.patience is None or best is None or not math.isfinite(best[1]):
            return False
        return sum(step > best[0] for step, _ in self.state.scores) >= validation.patience

    def _log(self, row: dict[str, Any], tracker: Tracker) -> None:
        if self.accelerator.is_main_process:
            self.run.log(row)
            tracker.log(row)
            self._report(row)

    def _signals(self) -> ExitStack:
        """SIGINT and SIGTERM end the run after the current step, saved."""

        def note(number: int, _: FrameType | None) -> None:
            self._stop = number

        stack = ExitStack()
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                stack.callback(signal.signal, number, signal.signal(number, note))
        return stack


def learning(net: nn.Module) -> None:
    """Training mode, except for parts whose every parameter is frozen: their statistics and dropout rest as well."""
    net.train()
    for part in net.modules():
        parameters = list(part.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            part.eval()
