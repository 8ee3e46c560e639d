"""Before step 0: what can be seen of the data and the loss in seconds, so that days are not spent on a certain fault.

The recordings are those that the recipe's own sources have opened; items come through them, as training hears them.
The loss is asked with synthetic speech. Nothing is measured twice: a run folder keeps what was found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auscult import recipe
from auscult.diagnose.case import Case, Given
from auscult.diagnose.causes import BY_ID
from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import FilePair, Files, HeardItem, Items
from auscult.diagnose.examine import Diagnosis, examine_case
from auscult.diagnose.finding import Finding
from auscult.diagnose.gather.files import sample
from auscult.diagnose.gather.items import as_item
from auscult.files import write_bytes
from auscult.rng import Key

if TYPE_CHECKING:
    from auscult.data.pairs import PairSource

BUDGET_S = 9.0
RECORD = "preflight.json"
FAMILIES = ("data", "loss")
_MOST_FILES, _MOST_ITEMS, _ITEMS_S = 2_000, 24, 2.0
_COST_S = 6.0
"""Checks that cost more (learning one batch) are left to ``auscult diagnose``."""


@dataclass(frozen=True)
class Preflight:
    """What was found; ``refused`` are the findings that are certain faults."""

    diagnosis: Diagnosis

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Faults and suspicions, the certain faults first."""
        found = [finding for one in self.diagnosis.ranked for finding in (one.finding, *one.folded)]
        return tuple(sorted(found, key=lambda one: one not in self.refused))

    @property
    def refused(self) -> tuple[Finding, ...]:
        """Certain faults: no training should start on them."""
        found = [finding for one in self.diagnosis.ranked for finding in (one.finding, *one.folded)]
        return tuple(one for one in found if one.verdict == "fault" and one.certain)

    def line(self) -> str:
        """Everything in one line, where nothing was found."""
        ran, found = len(self.diagnosis.ran), len(self.findings)
        what = "no fault found" if not found else f"{found} finding{'s' * (found > 1)}"
        return f"pre-flight: {ran} checks of data and loss in {self.diagnosis.elapsed_s:.1f} s, {what}"


def preflight(
    raw: Mapping[str, Any], training: PairSource, validation: PairSource | None, budget_s: float = BUDGET_S
) -> Preflight:
    """Examine a recipe and the sources that it has opened.

    Args:
        raw: the recipe; the classes that it names are run, as training would.
        validation: None where nothing is validated.
        budget_s: no check begins after so many seconds.
    """
    trust = tuple({name.partition(".")[0] for name in recipe.class_names(raw)})
    key = Key(0).child("preflight")
    splits = {"train": training} | ({"valid": validation} if validation is not None else {})
    clock = Clock.lasting(budget_s)
    looked = {name: sample(source.recordings(), _MOST_FILES, key.child(name)) for name, source in splits.items()}
    known: dict[str, Any] = {"recipe": raw, "files": _files(looked)}
    if items := list(_items(training, key.child("items"), clock)):
        known["items"] = Items(items, "the recipe's loader", True)
    case = Case(Given(trust=trust, most_items=_MOST_ITEMS), clock, known)
    return Preflight(examine_case(case, FAMILIES, most_cost_s=_COST_S))


def record(run: Path, found: Preflight, forced: bool) -> None:
    """Write what was found into the run folder, so that resuming does not ask again.

    Raises:
        OutputError: it cannot be written.
    """
    rows = [{"verdict": one.verdict, "causes": one.causes, "says": one.says, "check": one.check}
            for one in found.findings]  # fmt: skip
    held = {"findings": rows, "checks": [name for name, _ in found.diagnosis.ran], "forced": forced,
            "elapsed_s": round(found.diagnosis.elapsed_s, 2)}  # fmt: skip
    write_bytes(run / RECORD, json.dumps(held, indent=1).encode())


def done(run: Path) -> bool:
    """Whether a run folder holds a record."""
    return (run / RECORD).is_file()


def words(one: Finding) -> str:
    """A finding in one line."""
    return f"{one.verdict}: {BY_ID[one.causes[0]].title}. {one.says}"


def _files(splits: Mapping[str, Sequence[Any]]) -> Files:
    """Pairs of files out of open sources; what they could not read they have said themselves."""
    rows = {name: [FilePair(clean.name, clean.info, noisy.info if noisy is not None else None, _facts(clean.facts))
                   for clean, noisy in entries] for name, entries in splits.items()}  # fmt: skip
    return Files(rows, mixed=any(pair.noisy is None for pairs in rows.values() for pair in pairs))


def _facts(facts: Mapping[str, Any]) -> dict[str, str | float]:
    return {name: value for name, value in facts.items() if isinstance(value, str | int | float)}


def _items(source: PairSource, key: Key, clock: Clock) -> Iterator[HeardItem]:
    """Some items as training hears them, as many as two seconds give after the first, which imports what it needs."""
    from auscult.data.loader import fetch

    until: float | None = None
    for position in range(min(_MOST_ITEMS, len(source))):
        pair, _ = fetch(source, key, position)
        until = clock.left - _ITEMS_S if until is None else until
        if pair is not None:
            yield as_item(pair, 0)
        if clock.left < until:
            return
