"""Do the intervals keep their promise? Simulated scores with known truth, 1 000 evaluations each.

    python benchmarks/coverage.py [--simulations 1000]

For every kind of scores: the share of 95 % intervals that hold the true mean (and, for comparison, of plain percentile
intervals), and the share of permutation tests below 5 % when there is no difference. Real shapes come from drawing
improvements of the kind that models have; clusters are speakers of unequal size with their own mean.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from auscult.evaluate.statistics import interval, sign_flip, widened
from auscult.rng import Key

Draw = Callable[[np.random.Generator, int], ndarray]
DRAWS = 2_000


@dataclass(frozen=True)
class Case:
    """Scores of ``items``; with ``speakers``, a share ``between`` of the variance lies between them."""

    name: str
    draw: Draw
    items: int
    speakers: int | None = None
    between: float = 0.3
    seeds: int = 1


def normal(rng: np.random.Generator, size: int) -> ndarray:
    """Symmetric."""
    return rng.normal(size=size)


def skewed(rng: np.random.Generator, size: int) -> ndarray:
    """Gamma of shape 2 (skewness 1.4): PESQ improvements look like this."""
    return (rng.gamma(2.0, size=size) - 2.0) / np.sqrt(2.0)


def very_skewed(rng: np.random.Generator, size: int) -> ndarray:
    """Lognormal with sigma 0.8 (skewness 3.7)."""
    variance = (np.exp(0.64) - 1) * np.exp(0.64)
    return (rng.lognormal(0, 0.8, size) - np.exp(0.32)) / np.sqrt(variance)


def heavy(rng: np.random.Generator, size: int) -> ndarray:
    """Student's t with four degrees of freedom: a few items go wrong."""
    return rng.standard_t(4, size) / np.sqrt(2.0)


def bounded(rng: np.random.Generator, size: int) -> ndarray:
    """Beta (0.7, 0.7): scores crowd at both ends of a scale."""
    return (rng.beta(0.7, 0.7, size) - 0.5) / np.sqrt(0.25 / 2.4)


CASES = (
    *(
        Case(draw.__name__, draw, items)
        for draw in (normal, skewed, heavy, bounded, very_skewed)
        for items in (40, 200, 824)
    ),
    *(Case(draw.__name__, draw, 10 * n, n) for draw in (normal, skewed) for n in (8, 12, 30)),
    *(Case("normal", normal, 100, seeds=seeds) for seeds in (3, 5)),
)


def simulate(case: Case, rng: np.random.Generator) -> tuple[bool, bool, bool]:
    """One evaluation whose true mean is 0: interval right, percentile interval right, test wrong."""
    labels = None
    values = case.draw(rng, case.items)
    if case.speakers is not None:
        sizes = 1 + rng.multinomial(case.items - case.speakers, np.full(case.speakers, 1 / case.speakers))
        labels = np.repeat(np.arange(case.speakers), sizes)
        own = rng.normal(size=case.speakers)[labels]
        values = np.sqrt(case.between) * own + np.sqrt(1 - case.between) * values
    seeds = []
    if case.seeds > 1:  # every seed shifts all items a little, and every item a little more
        table = values[:, None] + rng.normal(0, 0.1, case.seeds) + rng.normal(0, 0.3, (case.items, case.seeds))
        values, seeds = table.mean(axis=1), [table.mean(axis=0)]
    low, high = widened(interval(values, labels), float(values.mean()), seeds)
    plain = np.quantile(percentile_draws(values, rng), [0.025, 0.975])
    return low <= 0 <= high, plain[0] <= 0 <= plain[1], sign_flip(values, labels) < 0.05


def percentile_draws(values: ndarray, rng: np.random.Generator) -> ndarray:
    """Means of plain bootstrap draws over items: what papers do, where they do anything."""
    weights = rng.multinomial(values.size, np.full(values.size, 1 / values.size), DRAWS)
    return weights @ values / values.size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=1_000)
    parser.add_argument("--only", choices=["seeds"], help="Only cases with several seeds.")
    arguments = parser.parse_args()
    count, cases = arguments.simulations, [c for c in CASES if c.seeds > 1] if arguments.only else CASES
    print("| scores | items | speakers | seeds | coverage | percentile over items | test below 5 % |")
    print("|---|---|---|---|---|---|---|")
    for case in cases:
        rng = Key(0).child(case.name, case.items, case.speakers or 0, case.seeds).numpy()
        right, plain, wrong = np.mean([simulate(case, rng) for _ in range(count)], axis=0)
        test = f"{wrong:.1%}" if case.seeds == 1 else "-"
        cells = [case.name, case.items, case.speakers or "-", case.seeds, f"{right:.1%}", f"{plain:.1%}", test]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
