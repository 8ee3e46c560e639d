"""What the doctor says of a ladder's trainings: a difference between arms means little where one of them is ill.

Only run folders are looked at (histories and saved weights), so that no data, no net and hardly any time is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from auscult.ablate.record import ArmRecord
from auscult.ablate.results import Results
from auscult.diagnose.case import Case, Given
from auscult.diagnose.causes import BY_ID
from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import Need
from auscult.diagnose.examine import examine_case
from auscult.diagnose.finding import Finding, Verdict
from auscult.hub.runs import RECIPE

BUDGET_S = 60.0
"""For all trainings of a ladder."""
_EVIDENCE: tuple[Need, ...] = ("run", "curves")
_DEAD_ON_PURPOSE = "frozen-module"
"""Beside causes of the family conditioning: what a control may show, whose condition is meant to tell nothing."""


@dataclass(frozen=True)
class ArmFinding:
    """A cause that trainings of an arm show. ``says`` is that of the first of ``seeds``; ``expected`` of a control."""

    arm: str
    verdict: Verdict
    cause: str
    title: str
    says: str
    seeds: tuple[int, ...]
    expected: bool = False


def findings_of(results: Results, budget_s: float = BUDGET_S) -> list[ArmFinding]:
    """Faults, then suspicions, of every arm that trained something, arm by arm.

    Each run is looked at once, for the first arm that uses it; runs whose folder is gone are not looked at.

    Args:
        budget_s: no check begins after so many seconds.
    """
    clock, seen = Clock.lasting(budget_s), set[str]()
    found: list[ArmFinding] = []
    for arm in results.arms:
        own = [one for one in arm.trainings if one.run not in seen and (Path(one.run) / RECIPE).is_file()]
        seen |= {one.run for one in own}
        share = clock.share(len(own) / max(1, _left(results, seen) + len(own)))
        heard = {one.seed: _examined(Path(one.run), share) for one in own}
        found += _joined(arm, heard)
    return found


def _left(results: Results, seen: set[str]) -> int:
    """Trainings that are still to be looked at."""
    return len({one.run for arm in results.arms for one in arm.trainings} - seen)


def _examined(run: Path, clock: Clock) -> list[Finding]:
    """What a run folder tells by itself, consequences left out."""
    diagnosis = examine_case(Case(Given(run=run), clock), evidence=_EVIDENCE)
    return [one.finding for one in diagnosis.ranked]


def _joined(arm: ArmRecord, heard: dict[int, list[Finding]]) -> Iterator[ArmFinding]:
    """One entry a cause and verdict, with the seeds that show it."""
    first: dict[tuple[str, Verdict], Finding] = {}
    seeds: dict[tuple[str, Verdict], list[int]] = {}
    for seed, findings in heard.items():
        for one in findings:
            key = (one.causes[0], one.verdict)
            first.setdefault(key, one)
            seeds.setdefault(key, []).append(seed)
    for (cause, verdict), one in sorted(first.items(), key=lambda pair: pair[0][1] != "fault"):
        expected = arm.role == "control" and (BY_ID[cause].family == "conditioning" or cause == _DEAD_ON_PURPOSE)
        shown = tuple(dict.fromkeys(seeds[cause, verdict]))
        yield ArmFinding(arm.name, verdict, cause, BY_ID[cause].title, one.says, shown, expected)
