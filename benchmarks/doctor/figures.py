"""Error rates from verdicts: false alarms first, recall second, names third."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from scipy.stats import norm

from benchmarks.doctor.baselines import RULES
from benchmarks.doctor.cases import Planned, injected
from benchmarks.doctor.verdict import Verdict

Judged = Sequence[tuple[Planned, Verdict]]
PREVALENCE = 0.2
LEVELS = {"fault": False, "fault or suspect": True}


@dataclass(frozen=True)
class Rate:
    """So many of so many, with Wilson's 95 % interval (Wilson 1927)."""

    hits: int
    of: int

    @property
    def share(self) -> float:
        return self.hits / self.of if self.of else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        if not self.of:
            return 0.0, 1.0
        z, n, p = float(norm.ppf(0.975)), self.of, self.share
        middle, reach = p + z * z / (2 * n), z * ((p * (1 - p) + z * z / (4 * n)) / n) ** 0.5
        return max(0.0, (middle - reach) / (1 + z * z / n)), min(1.0, (middle + reach) / (1 + z * z / n))

    def as_dict(self) -> dict[str, float]:
        low, high = self.interval
        return {"hits": self.hits, "of": self.of, "share": self.share, "low": low, "high": high}

    def __str__(self) -> str:
        if not self.of:
            return "none"
        low, high = self.interval
        return f"{self.hits}/{self.of} = {100 * self.share:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def rate(judged: Iterable[bool]) -> Rate:
    """Of truth values."""
    values = list(judged)
    return Rate(sum(values), len(values))


def healthy(judged: Judged) -> Judged:
    return [one for one in judged if one[0].fault is None]


def faulty(judged: Judged, unseen: bool | None = None) -> Judged:
    """Cases with a fault; of the seen or unseen kinds alone."""
    found = [one for one in judged if one[0].fault is not None]
    return found if unseen is None else [one for one in found if injected(one[0]).unseen == unseen]


def as_histories(judged: Judged, alone: bool) -> Judged:
    """Runs of which the history alone was given; or everything else."""
    return [one for one in judged if one[0].as_history == alone]


def shown(judged: Judged, in_history: bool) -> Judged:
    """Faulty cases whose fault a history can show; or none can."""
    return [one for one in faulty(judged) if injected(one[0]).in_history == in_history]


def false_alarms(judged: Judged, suspects: bool) -> Rate:
    return rate(verdict.alarm(suspects) for _, verdict in healthy(judged))


def recall(judged: Judged, suspects: bool) -> Rate:
    return rate(verdict.alarm(suspects) for _, verdict in faulty(judged))


def named_right(judged: Judged, suspects: bool, first: int) -> Rate:
    """Of the detected, those with a right cause among the first named."""
    detected = [(case, verdict.named(suspects)) for case, verdict in faulty(judged) if verdict.alarm(suspects)]
    return rate(any(injected(case).right(cause) for cause in named[:first]) for case, named in detected)


def named_exactly(judged: Judged, suspects: bool) -> Rate:
    detected = [(case, verdict.named(suspects)) for case, verdict in faulty(judged) if verdict.alarm(suspects)]
    return rate(injected(case).exact(named[0]) for case, named in detected)


def precision(alarms: Rate, found: Rate) -> float:
    """Share of alarms that are true where one set-up in five is faulty."""
    true, false = PREVALENCE * found.share, (1 - PREVALENCE) * alarms.share
    return true / (true + false) if true + false else float("nan")


def by(judged: Judged, key: Callable[[Planned], str]) -> Mapping[str, Judged]:
    """Grouped."""
    groups: dict[str, list[tuple[Planned, Verdict]]] = {}
    for one in judged:
        groups.setdefault(key(one[0]), []).append(one)
    return dict(sorted(groups.items()))


def severities(judged: Judged) -> Mapping[str, Judged]:
    """The slightest, those between, and the grossest of kinds that have more than one severity."""

    def place(case: Planned) -> str:
        known = injected(case).severities
        at = known.index(case.severity)  # type: ignore[arg-type]
        return (
            "one severity"
            if len(known) == 1
            else ("slight" if at == 0 else "gross" if at == len(known) - 1 else "middle")
        )

    return by(faulty(judged), place)


def seconds(judged: Judged) -> tuple[float, float]:
    """Median and longest time to a verdict."""
    times = [verdict.elapsed_s for _, verdict in judged]
    return (median(times), max(times)) if times else (float("nan"), float("nan"))


@dataclass(frozen=True)
class Baseline:
    """A simple judge's alarms on healthy and faulty cases, and how often its one name is right."""

    name: str
    alarms: Rate
    found: Rate
    named: Rate


def baselines(judged: Judged) -> list[Baseline]:
    """Constant answers, and the rules; what a rule calls an alarm has no name."""
    well, ill = healthy(judged), faulty(judged)
    usual = Counter(injected(case).accepted[0] for case, _ in ill).most_common(1)
    name = usual[0][0] if usual else ""
    right = rate(injected(case).right(name) for case, _ in ill)
    found = [
        Baseline("always healthy", Rate(0, len(well)), Rate(0, len(ill)), Rate(0, 0)),
        Baseline(f"always {name}", Rate(len(well), len(well)), Rate(len(ill), len(ill)), right),
    ]
    for rule in RULES:
        alarms, hits = (rate(rule in verdict.rules for _, verdict in part) for part in (well, ill))
        found.append(Baseline(rule, alarms, hits, Rate(0, 0)))
    return found
