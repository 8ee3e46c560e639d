"""Every case of the benchmark: what is injected into what, in which split. Nothing here knows of any check."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from benchmarks.doctor.corpora import REAL, corpora
from benchmarks.doctor.fault import Fault
from benchmarks.doctor.faults_code import LOADERS, LOSSES, RECIPE_OF, RUNS
from benchmarks.doctor.faults_corpus import FAULTS as OF_CORPORA
from benchmarks.doctor.faults_corpus import SPLITS
from benchmarks.doctor.faults_pairs import FAULTS as OF_PAIRS
from benchmarks.doctor.faults_results import OUTPUTS, SAMPLERS, SCORES

SCHEMA = 1
FROZEN = Path(__file__).parent / "splits.json"
SEEDS = {"dev": 1, "test": 11}
"""No seed of one split is in the other; corpora of the two have no recording in common."""

STURDY = ("plain", "voicebank", "rooms", "low-snr", "levels", "several")
TRAINED = ("training", "training-rooms", "training-low", "training-tiny")
SYSTEMS = ("default", "subtraction", "regression")
THREE, TWO, ONE = ("train", "valid", "test"), ("train", "valid"), ("data",)

HEALTHY_LOSSES = (
    "method.losses=[{type: LimitedSISDR, weight: 1.0, limit_db: 30}]",
    "method.losses=[{type: L1, weight: 10.0}]",
    "method.losses=[{type: CompressedSpectrum, magnitude: 0.5, complex: 0.5, exponent: 0.5}]",
    "method.losses=[{type: MultiResolutionL1}, {type: L1, weight: 1.0}]",
)
HEALTHY_RUNS: tuple[tuple[str, str, tuple[str, ...], bool], ...] = (
    ("regression", "training", (), False),
    ("regression", "training", (), False),
    ("regression", "training-rooms", ("training.batch=3",), False),
    ("regression", "training-low", ("training.precision=bf16",), False),
    ("regression", "training-tiny", ("optimiser.lr=0.002",), False),
    ("regression", "training", ("training.steps=60",), False),
    ("regression", "training", (), True),
    ("regression", "training", ("schedule={type: CosineRestarts, period: 50, warmup_steps: 10}",), False),
    ("regression", "training", (HEALTHY_LOSSES[0], "training.ema_decay=null"), False),
    ("regression", "training-rooms", ("optimiser.algorithm=sgd", "optimiser.lr=0.5", "optimiser.momentum=0.9"), False),
    ("score", "training", (), False),
    ("score", "training-low", (), False),
    ("score", "training", ("objective_in_hundreds",), False),
    ("bridge", "training", (), False),
    ("conditioned", "training", (), False),
    ("conditioned", "training-low", (), False),
    ("gan", "training", (), False),
    ("gan", "training-rooms", (), False),
)
"""Recipe, corpus, settings, and whether it was stopped and resumed."""
IN_HUNDREDS = "method.objective={type: DataMatching, weighting: edm, sigma_data: 0.002}"
UNSEEN_NET = "method.net={type: GTCRN}"
"""The architecture of the test split alone."""
FOREIGN = ("history-table", "history-lines", "history-events", "history-log")
"""Ways to give a run as nothing but what another trainer would have written of it
(:mod:`benchmarks.doctor.histories`), beside ``history``, a common trainer's table, in which every run is given once,
whether that can show its fault or not."""


@dataclass(frozen=True)
class Planned:
    """One case. ``given`` is how a user would hand it over; ``settings`` are of healthy variety."""

    split: str
    material: str
    corpus: str
    seed: int
    given: str
    fault: str | None = None
    severity: float | None = None
    recipe: str = "regression"
    settings: tuple[str, ...] = ()
    resumed: bool = False

    @property
    def id(self) -> str:
        """A name that tells nothing."""
        told = json.dumps({"schema": SCHEMA, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that its corpus is given in."""
        if self.given == "splits":
            return THREE
        return TWO if self.as_history or self.given in ("recipe", "run", "checkpoint") else ONE

    @property
    def as_history(self) -> bool:
        """Whether it is a run of which the history alone is given."""
        return self.given.startswith("history")


@cache
def faults() -> dict[tuple[str, str], Fault]:
    """All faults by material and name."""
    runs = tuple(fault for _, fault in RUNS)
    every = (*OF_PAIRS, *OF_CORPORA, *LOADERS, *LOSSES, *runs, *OUTPUTS, *SCORES, *SAMPLERS)
    return {(fault.material, fault.name): fault for fault in every}


def fault_of(case: Planned) -> Fault | None:
    return None if case.fault is None else injected(case)


def injected(case: Planned) -> Fault:
    """The fault of a faulty case."""
    assert case.fault is not None, "healthy cases have none"
    return faults()[case.material, case.fault]


def planned(split: str) -> list[Planned]:
    """Every case of a split."""
    made = [*_data(split), *_code(split), *_runs(split), *_results(split)]
    return list({case.id: case for case in made}.values())


def _data(split: str) -> Iterator[Planned]:
    first = SEEDS[split]
    usual = [name for name in corpora() if name not in (*TRAINED, REAL)]
    for number, name in enumerate(usual):
        for again in (0, 1, 4):
            yield Planned(split, "data", name, first + again, "recipe" if (number + again) % 6 == 5 else "folder")
    for name in usual[:16]:
        yield Planned(split, "data", name, first + 2, "splits")
    if split == "test":
        yield from (Planned(split, "data", REAL, seed, "folder") for seed in (0, 11, 12, 13))
    for number, fault in enumerate((*OF_PAIRS, *OF_CORPORA)):
        for place, severity in enumerate(fault.severities):
            given = "splits" if fault.name in SPLITS else "folder"
            corpus = STURDY[(number + place + first) % len(STURDY)]
            yield Planned(split, "data", corpus, first + 3, given, fault.name, severity)


def _code(split: str) -> Iterator[Planned]:
    first = SEEDS[split]
    for number, name in enumerate((*STURDY, "babble", "wide-snr")):
        yield Planned(split, "loader", name, first, "recipe")
        recipe = ("regression", "regression", "score", "gan")[number % 4]
        settings = (HEALTHY_LOSSES[number % 4],) if recipe == "regression" else ()
        yield Planned(split, "loss", name, first, "recipe", recipe=recipe, settings=settings)
    for material, known in (("loader", LOADERS), ("loss", LOSSES)):
        for number, fault in enumerate(known):
            for place, severity in enumerate(fault.severities):
                corpus = STURDY[(number + place + first) % len(STURDY)]
                yield Planned(split, material, corpus, first + 1, "recipe", fault.name, severity)


def _runs(split: str) -> Iterator[Planned]:
    """A run is given with its data; and again as nothing but its history, as foreign ones."""
    first = SEEDS[split]
    for number, (recipe, corpus, settings, resumed) in enumerate(HEALTHY_RUNS):
        settings = (IN_HUNDREDS,) if settings == ("objective_in_hundreds",) else settings
        for given in ("run", "history", FOREIGN[number % 4], FOREIGN[(number + 1) % 4]):
            yield Planned(split, "run", corpus, first + number, given, None, None, recipe, settings, resumed)
    if split == "test":
        yield Planned(split, "run", "training", first, "run", settings=(UNSEEN_NET,))
    visible = 0
    for name, recipe in RECIPE_OF.items():
        fault = faults()["run", name]
        for severity in fault.severities:
            ways = ("run", "history", FOREIGN[visible % 4]) if fault.in_history else ("run", "history")
            visible += fault.in_history
            for given in ways:
                yield Planned(split, "run", "training", first + 30, given, name, severity, recipe)


def _results(split: str) -> Iterator[Planned]:
    first = SEEDS[split]
    for number, corpus in enumerate((*STURDY, "babble", "wide-snr", "high-snr", "long")):
        for system in SYSTEMS:
            yield Planned(split, "outputs", corpus, first, "outputs", recipe=system)
        yield Planned(split, "scores", corpus, first, "scores", recipe=SYSTEMS[number % 2])
    if split == "test":
        yield Planned(split, "outputs", REAL, 0, "outputs", recipe="default")
    for material, known in (("outputs", OUTPUTS), ("scores", SCORES)):
        for number, fault in enumerate(known):
            for place, severity in enumerate(fault.severities):
                corpus = STURDY[(number + place + first) % len(STURDY)]
                system = SYSTEMS[(number + place) % 2]
                yield Planned(split, material, corpus, first + 1, material, fault.name, severity, system)
    for recipe in ("score", "bridge"):
        for again in range(2):
            yield Planned(split, "sampler", "plain", first + again, "checkpoint", recipe=recipe)
    for fault in SAMPLERS:
        for severity in fault.severities:
            yield Planned(split, "sampler", "plain", first, "checkpoint", fault.name, severity, "score")


def frozen(identity: str) -> dict[str, list[str]]:
    """Ids of all cases, as they were frozen with these recordings.

    Raises:
        RuntimeError: cases or recordings are others than those that were frozen.
    """
    kept = json.loads(FROZEN.read_text())
    now = {"recordings": identity, "cases": {split: sorted(case.id for case in planned(split)) for split in SEEDS}}
    if kept != now:
        raise RuntimeError(f"the cases are not those of {FROZEN.name}: freeze them anew (--freeze) and say why")
    return dict(kept["cases"])


def freeze(identity: str) -> None:
    """Write the ids of all cases down."""
    cases = {split: sorted(case.id for case in planned(split)) for split in SEEDS}
    FROZEN.write_text(json.dumps({"recordings": identity, "cases": cases}, indent=1) + "\n")
