"""Whether a fault does harm: trainings with it against trainings without, on healthy held-out items.

Harmful is what makes a held-out score worse than matched healthy seeds by a one-sided permutation test and by at least
``LEAST_DB``; the rest is latent at this size of training, and is reported apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np

from auscult.hub.runs import HISTORY, read_history
from benchmarks.doctor.cases import faults
from benchmarks.doctor.corpora import draw_tree
from benchmarks.doctor.fault import Fault
from benchmarks.doctor.faults_code import RECIPE_OF
from benchmarks.doctor.materials import Shelf
from benchmarks.doctor.recorded import Tree, generator, write_tree
from benchmarks.doctor.runs import train
from benchmarks.doctor.spec import Training

HEALTHY_SEEDS = tuple(range(50, 56))
LEAST_DB, LEAST_PESQ, LEVEL = 0.5, 0.05, 0.05
LEAST = {"si_sdr": LEAST_DB, "snr": LEAST_DB, "pesq": LEAST_PESQ}
LOST = -99.0
"""The score of a training that failed or gave nothing finite."""
Outcome = Mapping[str, float]


@dataclass(frozen=True)
class Harm:
    """What a fault costs: the change in the metric that it harms most clearly, and how sure that is."""

    material: str
    fault: str
    severity: float
    metric: str
    change: float
    p: float
    harmful: bool


def harms(shelf: Shelf, seeds: int, jobs: int, severities: str) -> dict[tuple[str, str, float], Harm]:
    """Of every fault that acts on a training, at its grossest severity or at all; kept on the shelf."""
    wanted = [
        (fault, severity)
        for fault in faults().values()
        if fault.material in ("data", "loader", "loss", "run")
        for severity in (fault.severities if severities == "all" else fault.severities[-1:])
    ]
    recipes = {RECIPE_OF.get(fault.name, "regression") for fault, _ in wanted}
    tree = draw_tree("training", "dev", 0, shelf.data, ("train", "valid"))
    write_tree(tree, shelf.out / "harm" / "corpus")
    for recipe in recipes:
        shelf.start("dev", recipe)
    with ThreadPoolExecutor(jobs) as pool:
        matched = {
            recipe: list(pool.map(partial(outcome, shelf, recipe, None, 0.0, tree), HEALTHY_SEEDS))
            for recipe in sorted(recipes)
        }
        found = pool.map(lambda one: _harm(shelf, *one, tree, seeds, matched), wanted)
        return {(one.material, one.fault, one.severity): one for one in found}


def _harm(
    shelf: Shelf, fault: Fault, severity: float, tree: Tree, seeds: int, matched: Mapping[str, Sequence[Outcome]]
) -> Harm:
    recipe = RECIPE_OF.get(fault.name, "regression")
    spoiled = [outcome(shelf, recipe, fault, severity, tree, seed) for seed in HEALTHY_SEEDS[:seeds]]
    return max(_compared(fault, severity, matched[recipe], spoiled), key=lambda one: (one.harmful, -one.p, -one.change))


def _compared(fault: Fault, severity: float, healthy: Sequence[Outcome], spoiled: Sequence[Outcome]) -> Iterator[Harm]:
    for metric, least in LEAST.items():
        if all(metric in one for one in healthy):
            before, after = ([one.get(metric, LOST) for one in part] for part in (healthy, spoiled))
            change, p = float(np.mean(after) - np.mean(before)), permutation(before, after)
            yield Harm(fault.material, fault.name, severity, metric, change, p, bool(p <= LEVEL and change <= -least))


def permutation(before: Sequence[float], after: Sequence[float]) -> float:
    """Exact one-sided permutation test that ``after`` is lower: the share of regroupings at least as far apart."""
    values = np.array([*before, *after])
    own = sum(after)
    sums = np.array([values[list(chosen)].sum() for chosen in combinations(range(len(values)), len(after))])
    return float((sums <= own + 1e-9).mean())


def outcome(shelf: Shelf, recipe: str, fault: Fault | None, severity: float, tree: Tree, seed: int) -> Outcome:
    """Scores of the last validation of a training, with the fault in its training part alone."""
    name = f"{recipe}-{fault.material}-{fault.name}-{severity:g}-{seed}" if fault else f"{recipe}-{seed}"
    kept = shelf.out / "harm" / f"{name}.json"
    if not kept.exists():
        kept.write_text(json.dumps(_trained(shelf, recipe, fault, severity, tree, seed, kept.with_suffix(""))))
    return dict(json.loads(kept.read_text()))


def _trained(
    shelf: Shelf, recipe: str, fault: Fault | None, severity: float, tree: Tree, seed: int, folder: Path
) -> Outcome:
    corpus, what = shelf.out / "harm" / "corpus", Training()
    if fault is not None and fault.material == "data":
        corpus = folder / "corpus"
        part = {"train": tree["train"], "test": tree["valid"]} if "test" in _needs(fault) else {"train": tree["train"]}
        spoiled = fault.inject(part, generator(fault.name, severity), severity)
        write_tree({"train": spoiled["train"], "valid": tree["valid"]}, corpus)
    elif fault is not None:
        what = fault.inject(severity)
    try:
        run = train(recipe, what, seed, corpus, folder, shelf.start("dev", recipe))
    except RuntimeError:
        return {}
    return last_scores(run)


def _needs(fault: Fault) -> Sequence[str]:
    from benchmarks.doctor.faults_corpus import SPLITS

    return SPLITS.get(fault.name, ())


def last_scores(run: Path) -> Outcome:
    """Finite means of the last validation."""
    means = [row["means"] for row in read_history(run / HISTORY) if row["kind"] == "validation"]
    return {name: float(v) for name, v in means[-1].items() if np.isfinite(float(v))} if means else {}


def write(harms: Mapping[tuple[str, str, float], Harm], path: Path) -> None:
    path.write_text(json.dumps([asdict(one) for one in harms.values()], indent=1) + "\n")


def read(path: Path) -> dict[tuple[str, str, float], Harm]:
    """Harms that were measured; none where they were not."""
    rows = [Harm(**row) for row in json.loads(path.read_text())] if path.exists() else []
    return {(one.material, one.fault, one.severity): one for one in rows}
