"""Run the benchmark of the doctor; what was done already is kept.

python -m benchmarks.doctor --data FOLDER --out FOLDER                    verdicts on the dev split, and its table
python -m benchmarks.doctor --data FOLDER --out FOLDER --split test       the same on the test split, at the end
python -m benchmarks.doctor --data FOLDER --out FOLDER --quick            a slice of ten minutes
python -m benchmarks.doctor --data FOLDER --out FOLDER --harm             first measure which faults do harm
python -m benchmarks.doctor --data FOLDER --out FOLDER --cure             and carry remedies out
python -m benchmarks.doctor --list [--split test]                         what there is
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from benchmarks.doctor import harm, rates, table
from benchmarks.doctor.cases import SEEDS, Planned, freeze, frozen, planned
from benchmarks.doctor.corpora import identity
from benchmarks.doctor.cure import cured
from benchmarks.doctor.materials import Shelf, bases
from benchmarks.doctor.verdict import all_judged, describe

QUICK = 10
"""The quick slice takes about half of every third case of those without trainings, chosen by their ids."""
UNTRAINED = ("data", "loader", "loss")


def main() -> None:
    given = _arguments()
    cases = _chosen(given)
    if given.list:
        _list(cases)
        return
    if given.data is None or given.out is None:
        sys.exit("--data and --out are needed: the folder of recordings, and where cases and verdicts are kept")
    shelf = Shelf(given.data, given.out)
    given.out.mkdir(parents=True, exist_ok=True)
    if given.freeze:
        freeze(identity(given.data))
        return
    frozen(identity(given.data))
    measured = shelf.out / "harms.json"
    if given.harm:
        harm.write(harm.harms(shelf, given.seeds, given.jobs, given.severities), measured)
    for split, recipe in sorted(bases(cases)):
        _say(f"base: {split} {recipe} at {shelf.base(split, recipe)}")
    judged = list(all_judged(cases, shelf, given.jobs, _say))
    mended = cured(judged, shelf) if given.cure else []
    if given.rates:
        rates.write(judged, shelf, given.split)
    known = harm.read(measured)
    text = table.markdown(given.split, judged, known, mended)
    table.write(given.out / f"results-{given.split}.json", table.as_data(judged, known, mended), text)
    print(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of recordings, with train.jsonl and valid.jsonl")
    parser.add_argument("--out", type=Path, help="where cases and verdicts are kept")
    parser.add_argument("--split", choices=tuple(SEEDS), default="dev")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a slice without trainings")
    parser.add_argument("--material", nargs="*", help="only cases of these materials")
    parser.add_argument("--only", nargs="*", help="only cases whose description holds one of these words")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--freeze", action="store_true", help="write down which cases there are")
    parser.add_argument("--harm", action="store_true")
    parser.add_argument("--seeds", type=int, default=2, help="faulty trainings of each, for --harm")
    parser.add_argument("--severities", choices=("gross", "all"), default="gross", help="for --harm")
    parser.add_argument("--cure", action="store_true")
    parser.add_argument("--rates", action="store_true", help="write each check's rates into the package")
    return parser.parse_args()


def _chosen(given: argparse.Namespace) -> list[Planned]:
    cases = planned(given.split)
    if given.quick:
        cases = [case for case in cases if case.material in UNTRAINED][:: len(UNTRAINED)]
        cases = [case for case in cases if int(case.id, 16) % QUICK < QUICK // 2]
    if given.material:
        cases = [case for case in cases if case.material in given.material]
    if given.only:
        cases = [case for case in cases if any(word in describe(case) for word in given.only)]
    return cases


def _list(cases: list[Planned]) -> None:
    counts = Counter((case.material, case.given, "healthy" if case.fault is None else "faulty") for case in cases)
    for case in cases:
        print(describe(case))
    for (material, way, kind), count in sorted(counts.items()):
        print(f"{count:4d} {kind:8s} {material}, given as {way}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
