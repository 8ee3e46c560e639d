"""What the doctor says of a case, kept with a hash of the doctor that said it."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import auscult
from benchmarks.doctor.baselines import RULES
from benchmarks.doctor.cases import Planned, injected
from benchmarks.doctor.materials import Shelf, made

BUDGET_S = 45.0
UNMADE = "not made"


@dataclass(frozen=True)
class Told:
    """One finding: its verdict, its check, its causes."""

    verdict: str
    check: str
    causes: tuple[str, ...]
    says: str


@dataclass(frozen=True)
class Verdict:
    """What was said of one case.

    ``heads`` are faults and suspicions as ranked, without what was folded; ``rules`` what simple rules say of it.
    """

    case: str
    heads: tuple[Told, ...] = ()
    ruled_out: tuple[str, ...] = ()
    slow: tuple[tuple[str, float], ...] = ()
    elapsed_s: float = 0.0
    cpu_s: float = 0.0
    made_s: float = 0.0
    rules: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    """Overrides that the first remedy gives."""
    failed: str = ""

    def alarm(self, suspects: bool) -> bool:
        """Whether it says that something is wrong, at a level."""
        return bool(self.named(suspects))

    def named(self, suspects: bool) -> list[str]:
        """Causes in order: the first of every head, then the others of each."""
        heads = [one for one in self.heads if suspects or one.verdict == "fault"]
        ranked = [one.causes[0] for one in heads] + [cause for one in heads for cause in one.causes[1:]]
        return list(dict.fromkeys(ranked))


@cache
def doctor_digest() -> str:
    """Changes when the doctor does."""
    root = Path(auscult.__file__).parent
    paths = [path for part in ("diagnose", "data") for path in sorted((root / part).rglob("*.[py]*")) if path.is_file()]
    own = [path for path in paths if path.suffix in (".py", ".yaml")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in own)).hexdigest()[:10]


def judged(case: Planned, shelf: Shelf) -> Verdict:
    """The verdict on a case, from the shelf where this doctor has given it already."""
    path = shelf.out / "verdicts" / doctor_digest() / f"{case.id}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(_asked(case, shelf)), indent=1))
    return read(path)


def read(path: Path) -> Verdict:
    """A verdict that was kept."""
    row = json.loads(path.read_text())
    heads = tuple(Told(**{**one, "causes": tuple(one["causes"])}) for one in row.pop("heads"))
    return Verdict(heads=heads, **{key: tuple(v) if isinstance(v, list) else v for key, v in row.items()})


def _asked(case: Planned, shelf: Shelf) -> Verdict:
    from auscult.diagnose.examine import FAILED, STUMBLES, examine
    from auscult.errors import AuscultError

    began = _cpu_s()
    try:
        given = made(case, shelf)
    except (AuscultError, *STUMBLES) as error:  # a case that cannot be made is told, not lost among the others
        return Verdict(case.id, failed=f"{UNMADE}: {type(error).__name__}: {error}"[:400])
    made_s = _cpu_s() - began
    rules = tuple(name for name, rule in RULES.items() if rule(given))
    began, since = _cpu_s(), time.monotonic()
    try:
        found = examine(given, BUDGET_S)
    except (AuscultError, *STUMBLES) as error:  # the doctor's own failure counts against it
        return Verdict(case.id, failed=f"{type(error).__name__}: {error}"[:400], made_s=made_s, rules=rules)
    broken = [f"{check}: {reason}" for check, reason in found.not_run if reason.startswith(FAILED)]
    heads = [one.finding for one in found.ranked]
    first = heads[0].remedy if heads else None
    slow = sorted(((name, round(seconds, 2)) for name, seconds in found.ran), key=lambda one: -one[1])[:3]
    return Verdict(
        case.id,
        tuple(Told(one.verdict, one.check, tuple(one.causes), one.says) for one in heads),
        tuple(dict.fromkeys(cause for one in found.ruled_out for cause in one.causes)),
        tuple(slow),
        time.monotonic() - since,
        _cpu_s() - began,
        made_s,
        rules,
        tuple(first.settings) if first else (),
        "; ".join(broken)[:400],
    )


def _cpu_s() -> float:
    """Processor time of this process and of those that it started and that ended."""
    return sum(os.times()[:4])


def all_judged(
    cases: Iterable[Planned], shelf: Shelf, jobs: int, told: Callable[[str], None]
) -> Iterator[tuple[Planned, Verdict]]:
    """Verdicts as they come, ``jobs`` at a time. Histories come last: they are of runs that other cases train."""
    ordered = sorted(cases, key=lambda case: case.as_history)
    late = [case for case in ordered if case.as_history]
    for part in (ordered[: len(ordered) - len(late)], late):
        with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
            waiting = {pool.submit(judged, case, shelf): case for case in part}
            for number, future in enumerate(as_completed(waiting), start=1):
                case, verdict = waiting[future], future.result()
                told(f"{number}/{len(part)} {describe(case)}: {in_words(verdict)}")
                yield case, verdict


def describe(case: Planned) -> str:
    """A case in a line, for whoever runs the benchmark."""
    what = "healthy" if case.fault is None else f"{case.fault} {case.severity:g} ({injected(case).accepted[0]})"
    return f"[{case.id}] {case.material}/{case.given} {case.recipe} {case.corpus}: {what}"


def in_words(verdict: Verdict) -> str:
    """A verdict in a line."""
    if verdict.failed:
        return f"FAILED {verdict.failed}"
    heads = ", ".join(f"{one.verdict} {one.causes[0]} ({one.check})" for one in verdict.heads[:3])
    return (
        f"{heads or 'nothing wrong'}; {verdict.elapsed_s:.1f} s, cpu {verdict.cpu_s:.1f} s, made {verdict.made_s:.1f} s"
    )
