"""A diagnosis: every check that the evidence and the time allow, the cheap ones first."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from auscult.diagnose.case import Case, Given
from auscult.diagnose.check import Check
from auscult.diagnose.checks import checks
from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import Absent, Need
from auscult.diagnose.exhibits import with_files
from auscult.diagnose.facts import Facts
from auscult.diagnose.finding import Finding
from auscult.diagnose.ranking import Ranked, rank
from auscult.errors import AuscultError

DEFAULT_BUDGET_S = 300.0
FAILED = "the check itself failed, please report it"
STUMBLES = (ArithmeticError, AssertionError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""What numbers, shapes, tables and files that nobody thought of make numpy, torch and our own code raise."""


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Args:
        ranked: faults and suspicions in order, consequences folded.
        ruled_out: findings that reject their causes with a number.
        open: findings that could not tell.
        not_run: checks that were not run, with the reason.
    """

    ranked: tuple[Ranked, ...]
    ruled_out: tuple[Finding, ...]
    open: tuple[Finding, ...]
    not_run: tuple[tuple[str, str], ...]
    ran: tuple[tuple[str, float], ...]
    """Checks that ran, and their seconds."""
    facts: Facts
    notes: tuple[str, ...]
    elapsed_s: float

    @property
    def faults(self) -> tuple[Ranked, ...]:
        """Findings that are faults."""
        return tuple(one for one in self.ranked if one.finding.verdict == "fault")

    @property
    def exit_code(self) -> int:
        """0 healthy, 1 faults found, 2 nothing could be run."""
        return 2 if not self.ran else 1 if self.faults else 0


def examine(
    given: Given,
    budget_s: float = DEFAULT_BUDGET_S,
    families: Sequence[str] | None = None,
    told: Callable[[Check], None] | None = None,
) -> Diagnosis:
    """Examine a set-up.

    Args:
        budget_s: no check begins after so many seconds, long checks keep to it; what is known then is the result.
        families: only checks of these, one family after the other.
        told: called before each check.
    """
    return examine_case(Case(given, Clock.lasting(budget_s)), families, told)


def examine_case(
    case: Case,
    families: Sequence[str] | None = None,
    told: Callable[[Check], None] | None = None,
    most_cost_s: float = float("inf"),
    evidence: Collection[Need] | None = None,
) -> Diagnosis:
    """Examine what a case holds, until its clock stands.

    Args:
        families: only checks of these, one family after the other; None: all, the cheap checks first.
        most_cost_s: checks that cost more are left out.
        evidence: only checks that need some of this and nothing else; None: whatever they need.
    """
    started = time.monotonic()
    found: list[Finding] = []
    not_run: list[tuple[str, str]] = []
    ran: list[tuple[str, float]] = []
    chosen = [one for one in checks() if (families is None or one.family in families) and one.cost_s <= most_cost_s]
    if evidence is not None:
        chosen = [one for one in chosen if one.needs and set(one.needs) <= set(evidence)]
    turn = {family: place for place, family in enumerate(families or ())}
    for check in sorted(chosen, key=lambda one: (turn.get(one.family, 0), one.cost_s)):
        if reason := _reason_not_to(check, case):
            not_run.append((check.id, reason))
            continue
        if told is not None:
            told(check)
        begun = time.monotonic()
        answers = _answers(check, case)
        if isinstance(answers, str):
            not_run.append((check.id, answers))
            continue
        ran.append((check.id, time.monotonic() - begun))
        found += answers
    return _diagnosis(case, found, not_run, ran, started)


def _answers(check: Check, case: Case) -> list[Finding] | str:
    """What a check found, by the name that ``--list`` explains; or why it could not be asked.

    Checks run over anybody's material. What one of them stumbles over (a singular matrix, a table of another shape) is
    told as its own failure: it costs neither the other answers nor a training that is about to begin.
    """
    try:
        answer = check.run(case)
    except Absent as error:
        return error.why
    except AuscultError as error:
        return str(error)
    except STUMBLES as error:
        return f"{FAILED}: {type(error).__name__}: {error}"
    answers = [answer] if isinstance(answer, Finding) else list(answer or ())
    return [replace(one, check=check.id) for one in answers]


def _reason_not_to(check: Check, case: Case) -> str | None:
    if case.clock.left <= 0:
        return "the time was up; raise --budget"
    for need in check.needs:
        if why := case.why_absent(need):
            return why
    return None


def _diagnosis(
    case: Case, found: list[Finding], not_run: list[tuple[str, str]], ran: list[tuple[str, float]], started: float
) -> Diagnosis:
    found = with_files(found, case)
    blamed = {cause for one in found if one.verdict in ("fault", "suspect") for cause in one.causes[:1]}
    return Diagnosis(
        rank(found),
        tuple(one for one in found if one.verdict == "healthy" and not blamed & set(one.causes)),
        tuple(one for one in found if one.verdict == "cannot tell"),
        tuple(not_run),
        tuple(ran),
        case.facts,
        tuple(case.notes),
        time.monotonic() - started,
    )
