"""A ladder carried out: items, trainings, scores. It may be cut anywhere; the record says how far it came."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from auscult.ablate.arms import Rung, bind
from auscult.ablate.items import listed
from auscult.ablate.ladder import Ladder
from auscult.ablate.record import ArmRecord, Record, Training, declare, step_of
from auscult.ablate.score import inputs, score, settings_of
from auscult.ablate.trainings import Conduct, Ended, jobs_of, train
from auscult.errors import AuscultError, EvaluationError, TrainingError
from auscult.evaluate import conduct as evaluation
from auscult.evaluate.score import NOISY
from auscult.files import lock


@dataclass(frozen=True)
class Climbed:
    """How far a ladder came. ``failures`` name what could not be trained or scored."""

    record: Record
    failures: tuple[str, ...]
    stopped: bool


def climb(
    ladder: Ladder,
    data: Path | None,
    runs: Path,
    out: Path,
    conduct: Conduct,
    tell: Callable[[str], None],
) -> Climbed:
    """Train or use again, then score, every arm with every seed.

    Raises:
        RecipeError, DataError: arms or items that cannot be. EvaluationError: the folder holds another ladder, or
            another process is in it. TrainingError: runs of another version. MissingExtra: Ray is not installed.
    """
    rungs = bind(ladder, data)
    try:
        held = lock(out)
    except BlockingIOError as error:
        raise EvaluationError(f"{out}: another process runs a ladder in this folder; wait for it") from error
    with held:
        items = listed(ladder, data, out)
        for rung in rungs.values():
            settings_of(rung, items)  # what cannot be told is named before anything is trained
        declared = declare(ladder, items.identity, out)
        tell(f"{items.count} items in {out / 'items' if ladder.evaluation.pairs is None else 'the pairs given'}")
        ends = train(jobs_of(rungs, ladder.seeds, data, runs, out), conduct, tell)
        there = {end.job.run: end for end in ends}
        scoring = evaluation.Conduct(conduct.jobs, conduct.devices, anchored=False)
        record = Record(ladder, declared, {name: _arm(rung, runs, ladder, there) for name, rung in rungs.items()})
        stopped = any(end.reason == "stopped" for end in ends)
        if not stopped:
            noisy = inputs(ladder, items, out, scoring)
            record = _scored(record, rungs, partial(score, ladder, items, out, scoring), noisy, out, tell)
        record.write(out)
    failures = [f"{arm.name} seed {one.seed}: {one.failure}" for arm in record.arms.values() for one in arm.trainings
                if one.failure]  # fmt: skip
    return Climbed(record, tuple(failures), stopped)


def _arm(rung: Rung, runs: Path, ladder: Ladder, there: Mapping[Path, Ended]) -> ArmRecord:
    """What is known of an arm before it has scores."""
    parameters = sum(p.numel() for net in rung.plan.method().nets().values() for p in net.parameters())
    trainings = []
    for seed in ladder.seeds:
        run = runs / rung.folder_name(seed)
        end = there.get(run)
        why = "not trained" if end is None else end.why if end.reason == "failed" else ""
        trainings.append(Training(seed, str(run), "", step_of(run), why))
    parent = "" if rung.role == "base" else rung.arm.parent
    return ArmRecord(
        rung.name, rung.role, parent, tuple(rung.change), rung.arm.group, rung.arm.words, parameters, tuple(trainings)
    )


def _scored(
    record: Record,
    rungs: Mapping[str, Rung],
    scores: Callable[[Rung, Path], Path],
    noisy: Path,
    out: Path,
    tell: Callable[[str], None],
) -> Record:
    """The record with the folders of all scores that can be had; what fails is named, and the rest goes on."""
    arms = {NOISY: ArmRecord(NOISY, "input", "", trainings=(Training(0, "", str(noisy.relative_to(out))),))}
    for arm in record.arms.values():
        found: list[Training] = []
        for one in arm.trainings:
            if not one.failure:
                tell(f"{arm.name} seed {one.seed}: scoring")
                one = _one(one, rungs[arm.name], scores, out)
            found.append(one)
        arms[arm.name] = replace(arm, trainings=tuple(found))
    return replace(record, arms=arms)


def _one(training: Training, rung: Rung, scores: Callable[[Rung, Path], Path], out: Path) -> Training:
    try:
        return replace(training, scores=str(scores(rung, Path(training.run)).relative_to(out)))
    except (EvaluationError, TrainingError):
        raise
    except AuscultError as error:
        return replace(training, failure=str(error))
