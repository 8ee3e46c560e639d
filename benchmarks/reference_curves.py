"""Make the reference curves of shipped recipes from healthy runs with different seeds.

    for s in 0 1 2; do auscult train bandgru --data DATA --runs runs-reference --set seed=$s --stop-after 300; done
    python benchmarks/reference_curves.py runs-reference/bandgru-*

Runs are grouped by the name of their recipe; of one recipe they must differ in the seed only. They may have been
stopped on their way: the curves reach as far as the shortest of them.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

from auscult import recipe
from auscult.diagnose.case import Case, Given
from auscult.diagnose.clock import Clock
from auscult.diagnose.reference import FOLDER, SETTINGS, build, write
from auscult.errors import DataError
from auscult.plain import leaves


def recordings(folder: Path) -> str:
    starts = json.loads((folder / "environment.json").read_bytes())
    return str(starts[-1]["recordings"]["training"])


def alike(folders: list[Path]) -> None:
    """Refuse runs that differ in more than the seed, or not even in that."""
    flat = [dict(leaves(recipe.read(folder / "recipe.yaml"))) for folder in folders]
    names = {name for one in flat for name in one}
    unlike = {name for name in names if any(one.get(name) != flat[0].get(name) for one in flat)}
    seeds = {str(one.get("seed")) for one in flat}
    if unlike - {"seed"} or len(seeds) < len(folders) or len({recordings(folder) for folder in folders}) > 1:
        what = ", ".join(sorted(unlike - {"seed"})) or "recordings, or two runs have one seed"
        raise DataError(
            f"{folders[0].name} and others: runs of one recipe must differ in the seed only; they differ in {what}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    groups: dict[str, list[Path]] = defaultdict(list)
    for folder in arguments.runs:
        groups[str(recipe.read(folder / "recipe.yaml")["name"])].append(folder)
    for name, folders in groups.items():
        alike(folders)
        cases = [Case(Given(run=folder), Clock.lasting(600)) for folder in folders]
        facts = {fact: cases[0].facts.value(fact) for fact in SETTINGS if cases[0].facts.value(fact) is not None}
        made = build(name, [case.curves for case in cases], facts, recordings(folders[0]))
        print(f"{write(made, arguments.out)}: {made.runs} runs, {', '.join(made.curves)}")


if __name__ == "__main__":
    main()
