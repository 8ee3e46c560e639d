"""The training loop, whole and in view.

One step: draw the step's items, learn each turn of the method from them (forward, loss, backward, clip, update),
average, log; now and then validate and save. Everything random is keyed by the step, so a resumed run repeats what
an uninterrupted one would have done.
"""

from __future__ import annotations

import math
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import gather_object
from torch import nn

from auscult.data.loader import Loader, Share
from auscult.data.pairs import PairBatch
from auscult.hub.bundle import Meta
from auscult.losses.base import Loss
from auscult.methods.base import Batch
from auscult.rng import Draws, Key
from auscult.train.ema import Average
from auscult.train.run import RunFolder
from auscult.train.setup import RunPlan
from auscult.train.state import State, newest_save, prune
from auscult.train.track import Tracker
from auscult.train.validate import Outcome, held_out, validate

MIXED = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


@dataclass(frozen=True)
class Ending:
    """How a run ended: ``finished``, ``stopped`` by a signal, or ``early`` without a new best."""

    reason: str
    step: int
    best: tuple[int, float] | None


class Trainer:
    """Everything the loop holds while it runs."""

    def __init__(self, plan: RunPlan, run: RunFolder, report: Callable[[Mapping[str, Any]], None]):
        self.plan, self.run, self._report = plan, run, report
        settings = plan.training
        self.accelerator = Accelerator(
            mixed_precision=MIXED[settings.precision],
            cpu=plan.options.device == "cpu",
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
        if self.accelerator.is_main_process:
            run.open(plan.resolved, plan.recordings)
        self.key = Key(plan.seed)
        self.method = plan.method()
        nets = self.method.nets()
        self.started_from = plan.initialise(nets)
        self.turns = self.method.turns
        optimisers = {turn: plan.optimisers[turn].build(nets[turn]) for turn in self.turns}
        for net in nets.values():
            net.to(self.accelerator.device)
        decay = settings.ema_decay
        averages = {turn: Average(nets[turn], decay) for turn in self.turns} if decay is not None else {}
        self.state = State(nets, averages, optimisers)
        if (save := newest_save(run.checkpoints)) is not None:
            self.state.load(save)
        if self.accelerator.is_main_process:
            run.cut_history(self.state.step)
        self.wrapped = {turn: self.accelerator.prepare_model(nets[turn]) for turn in self.turns}
        self.steppers = {turn: self.accelerator.prepare_optimizer(optimisers[turn]) for turn in self.turns}
        self.share = Share(
            settings.batch, settings.accumulate, self.accelerator.process_index, self.accelerator.num_processes
        )
        self.tally = Tally()
        self._stop: int | None = None

    def fit(self) -> Ending:
        """Train to the last step, a signal, or the end of patience."""
        plan, state = self.plan, self.state
        pairs = held_out(plan.validation, self.key.child("validation")) if plan.validation else []
        loader = Loader(plan.data, self.key.child("data"), self.share, plan.options.workers)
        steps = loader.steps(state.step, plan.training.steps)
        with ExitStack() as stack:
            stack.enter_context(self._signals())
            tracker = stack.enter_context(
                Tracker(plan.options.trackers, self.run.path, self.accelerator.is_main_process)
            )
            stack.enter_context(closing(steps))
            while state.step < plan.training.steps:
                waited = time.perf_counter()
                batches = next(steps)
                self.tally.waited_s += time.perf_counter() - waited
                self.learn(batches)
                state.step += 1
                last = state.step == plan.training.steps
                if state.step % plan.options.log_every == 0 or last:
                    self._log(self.tally.row(self), tracker)
                outcome = None
                if plan.validation and (state.step % plan.validation.every == 0 or last):
                    outcome = self._validate(pairs, tracker)
                ended = self._ended(outcome)
                if outcome or last or ended or state.step % plan.options.save_every == 0:
                    self._save(outcome)
                if ended:
                    return Ending(ended, state.step, state.best)
        return Ending("finished", state.step, state.best)

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
        accelerator, method = self.accelerator, self.method
        batch = Batch.of(pairs, method.normalise, accelerator.device)
        positions = [p for p, valid in zip(pairs.positions, pairs.valid, strict=True) if valid] or [pairs.positions[0]]
        draws = Draws.of(self.key.child("train", position) for position in positions)
        with ExitStack() as stack:
            if not last:
                for net in self.wrapped.values():
                    stack.enter_context(accelerator.no_sync(net))
            for net in self.wrapped.values():
                net.train()
            with accelerator.autocast():
                shared = method.forward(self._seen_by(self.turns[0]), batch, draws)
            for turn in self.turns:
                with accelerator.autocast():
                    loss = method.loss(turn, self._seen_by(turn), batch, shared, draws)
                learners = [p for p in self.state.nets[turn].parameters() if p.requires_grad]
                accelerator.backward(loss.total * weight, inputs=learners)
                self.tally.loss(turn, loss, weight)

    def _seen_by(self, turn: str) -> dict[str, nn.Module]:
        """The nets as a turn gets them: its own wrapped for gradient exchange, the others bare."""
        return {**self.state.nets, turn: self.wrapped[turn]}

    def _update(self, turn: str, total: int) -> None:
        """Clip, step, average."""
        state, stepper = self.state, self.steppers[turn]
        schedule = self.plan.schedules[turn]
        factor = schedule.factor(state.step, self.plan.training.steps, state.scores)
        for group in stepper.param_groups:
            group["lr"] = self.plan.optimisers[turn].lr * group["scale"] * factor
        limit = self.plan.training.clip_norm
        norm = float(self.accelerator.clip_grad_norm_(state.nets[turn].parameters(), limit or math.inf))
        stepped = total > 0 and math.isfinite(norm)
        if stepped:
            stepper.step()
            if turn in state.averages:
                state.averages[turn].update(state.nets[turn])
        stepper.zero_grad()
        self.tally.update(turn, norm, limit, stepped)

    def _validate(self, pairs: list[Any], tracker: Tracker) -> Outcome:
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
        outcome = validate(validation, method, nets, mine, accelerator.device, samples)
        rows = tuple(gather_object(list(outcome.rows))) if accelerator.num_processes > 1 else outcome.rows
        outcome = Outcome.of(rows, list(outcome.means))
        state.scores.append((state.step, outcome.means[validation.select]))
        row = {
            "kind": "validation",
            "step": state.step,
            "means": outcome.means,
            "items": [{"item": r.item, **r.scores, "failed": r.failures} for r in rows],
        }
        self._log(row, tracker)
        return outcome

    def _save(self, outcome: Outcome | None) -> None:
        plan, state = self.plan, self.state
        if self.accelerator.is_main_process:
            scores = dict(outcome.means) if outcome else {}
            selected = scores.get(plan.validation.select) if plan.validation else None
            meta = Meta(plan.resolved["method"], plan.name, state.step, scores, selected, str(self.run.path.name))
            state.save(self.run.checkpoints, meta)
            keep = plan.validation.keep_best if plan.validation else 0
            best = sorted(state.scores, key=lambda pair: -pair[1])[:keep]
            prune(self.run.checkpoints, {self.run.checkpoints / f"step-{step:08d}.safetensors" for step, _ in best})
        self.accelerator.wait_for_everyone()

    def _ended(self, outcome: Outcome | None) -> str:
        stop = torch.tensor(float(self._stop is not None), device=self.accelerator.device)
        if float(self.accelerator.reduce(stop)) > 0:
            return "stopped"
        validation, best = self.plan.validation, self.state.best
        if outcome and validation and validation.patience and best:
            waited = sum(step > best[0] for step, _ in self.state.scores)
            return "early" if waited >= validation.patience else ""
        return ""

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
            stack.callback(signal.signal, number, signal.signal(number, note))
        return stack


class Tally:
    """What happened since the last logged row."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.waited_s, self._started, self._steps, self._items = 0.0, time.perf_counter(), 0, 0
        self._skipped: Counter[str] = Counter()
        self._parts: dict[str, dict[str, float]] = {}
        self._weights: dict[str, Mapping[str, float]] = {}
        self._norms: dict[str, list[float]] = {}
        self._clipped: Counter[str] = Counter()
        self._unstepped: Counter[str] = Counter()
        self._audio_s = 0.0
        self._positions: list[int] = []

    def items(self, batches: list[PairBatch], total: int) -> None:
        self._steps += 1
        self._items += total
        for batch in batches:
            self._skipped.update(batch.skipped)
            self._positions += batch.positions

    def loss(self, turn: str, loss: Loss, weight: float) -> None:
        sums = self._parts.setdefault(turn, dict.fromkeys(loss.parts, 0.0))
        for name, part in loss.parts.items():
            sums[name] += float(part.detach()) * weight
        self._weights[turn] = loss.weights

    def update(self, turn: str, norm: float, limit: float | None, stepped: bool) -> None:
        self._norms.setdefault(turn, []).append(norm)
        self._clipped[turn] += limit is not None and norm > limit
        self._unstepped[turn] += not stepped

    def row(self, trainer: Trainer) -> dict[str, Any]:
        """The row of a logged step; starts a new tally."""
        accelerator, state, plan = trainer.accelerator, trainer.state, trainer.plan
        elapsed = time.perf_counter() - self._started
        turns = {}
        for turn in trainer.turns:
            sums = torch.tensor(list(self._parts[turn].values()), dtype=torch.float64) / self._steps
            sums = accelerator.reduce(sums.float().to(accelerator.device), "mean")
            parts = dict(zip(self._parts[turn], sums.tolist(), strict=True))
            weights = self._weights[turn]
            turns[turn] = {
                "loss": sum(weights[name] * value for name, value in parts.items()),
                "parts": parts,
                "weights": dict(weights),
                "lr": trainer.steppers[turn].param_groups[0]["lr"],
                "grad_norm": max(self._norms[turn]),
                "grad_norm_mean": sum(self._norms[turn]) / self._steps,
                "clipped_share": self._clipped[turn] / self._steps,
                "unstepped": self._unstepped[turn],
            }
            if turn in state.averages:
                average = state.averages[turn]
                turns[turn] |= {"ema_distance": average.distance(state.nets[turn]), "ema_updates": average.updates}
        rank = {
            "rank": accelerator.process_index,
            "step": state.step,
            "parameters": {name: fingerprint(net) for name, net in state.nets.items()},
            "positions": [min(self._positions), max(self._positions)],
            "skipped": dict(self._skipped),
        }
        ranks = gather_object([rank]) if accelerator.num_processes > 1 else [rank]
        row = {
            "kind": "step",
            "step": state.step,
            "turns": turns,
            "items": self._items,
            "skipped": dict(sum((Counter(rank["skipped"]) for rank in ranks), Counter())),
            "items_per_s": self._items / elapsed,
            "audio_per_s": self._items * (plan.data.crop_s or 0.0) / elapsed,
            "loader_wait_share": self.waited_s / elapsed,
            "peak_memory_mib": peak_memory_mib(accelerator.device),
            "ranks": ranks,
        }
        self._clear()
        return row


def fingerprint(net: nn.Module) -> str:
    """Eight hex digits that tell whether two processes hold the same weights."""
    total = torch.stack([p.detach().double().sum() for p in net.parameters()]).cpu()
    weights = torch.arange(1, total.numel() + 1, dtype=torch.float64)
    return f"{hash(float((total * weights).sum())) & 0xFFFFFFFF:08x}"


def peak_memory_mib(device: torch.device) -> float:
    """Peak memory of the process, on the GPU where there is one."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
