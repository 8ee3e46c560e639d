"""The items that all arms are judged on: drawn once, kept as sound, the same for every arm, seed and machine.

<ladder>/items/
    items.jsonl      what ``auscult evaluate`` reads: clean, noisy and facts of each item, its caption where the data
                     have captions; written last
    clean/ noisy/    float WAV
    reference/       noise references, where the data has them
    exchanged/       the reference of another item for each, at the level of the own one: a control
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from auscult import recipe
from auscult.ablate.ladder import Ladder, assignments
from auscult.audio.clip import Clip
from auscult.audio.level import peak
from auscult.audio.writer import write
from auscult.data.captions import as_text
from auscult.data.pairs import Pair, heard_type
from auscult.data.references import Reference
from auscult.errors import EvaluationError, RecipeError
from auscult.evaluate.datasets import DataSet
from auscult.evaluate.extensions import CAPTION
from auscult.files import write_bytes
from auscult.restore.references import recalled
from auscult.rng import Key
from auscult.train.settings import Validation
from auscult.train.setup import rooted
from auscult.train.validate import held_out

LIST, REFERENCES, EXCHANGED = "items.jsonl", "reference", "exchanged"


@dataclass(frozen=True)
class Listed:
    """Where the items are. ``identity`` changes when they do.

    ``references``: a folder of noise references, if any; ``captions``: whether the items have some.
    """

    data: DataSet
    identity: str
    count: int
    references: Path | None = None
    reference_s: float = 0.0
    captions: bool = False


def validation_of(ladder: Ladder, data: Path | None) -> Validation:
    """The recipe's validation with as many items as the ladder asks for.

    Raises:
        RecipeError: the recipe has none.
    """
    section = _base(ladder).get("validation")
    if not section:
        raise RecipeError(
            f"ladder {ladder.name}: {ladder.recipe} has no validation data to draw items from; give pairs in evaluation"
        )
    node = {**section, "data": rooted(section["data"], data), "items": ladder.evaluation.items}
    validation: Validation = recipe.plan(node, Validation, "validation").build()
    return validation


def listed(ladder: Ladder, data: Path | None, out: Path, make: bool = True) -> Listed:
    """The items, drawn now if they are not there yet and ``make`` allows it.

    Raises:
        EvaluationError: the folder holds other items. DataError, RecipeError: there is nothing to draw from.
    """
    judged = ladder.evaluation
    if judged.pairs is not None:
        pairs = judged.pairs.below(data) if data else judged.pairs
        pairs = replace(pairs, patterns={**pairs.patterns, **judged.patterns})
        items = pairs.contents("items", {}).items
        captions = all(CAPTION in item.facts for item in items)
        return Listed(pairs, recipe.digest(recipe_form(pairs)), len(items), captions=captions)
    validation = validation_of(ladder, data)
    count = min(judged.items, len(validation.data))
    identity = recipe.digest({"items": count, "data": validation.data.digest(), "section": _section(ladder)})
    if make:
        _draw(validation, out / "items", identity)
    found = DataSet(manifest=out / "items" / LIST, patterns=judged.patterns)
    told = validation.data.no_conditions()
    if "noise" not in told:
        return Listed(found, identity, count, captions="text" in told)
    longest_s = told["noise"].shape[-1] / validation.data.rate_hz
    return Listed(found, identity, count, out / "items" / REFERENCES, longest_s)


def recipe_form(pairs: DataSet) -> dict[str, Any]:
    """A data set as plain data."""
    return {name: str(value) for name, value in vars(pairs).items() if value}


def _section(ladder: Ladder) -> Mapping[str, Any]:
    section: Mapping[str, Any] = _base(ladder)["validation"]["data"]
    return section


def _base(ladder: Ladder) -> Mapping[str, Any]:
    """The recipe with what the ladder changes of it for all arms."""
    return recipe.override(recipe.read(ladder.recipe), assignments(ladder.common))


def _draw(validation: Validation, folder: Path, identity: str) -> None:
    """Write the items; the list comes last, so that a list is always whole. Items that lack a reference stay out."""
    note = folder / "identity"
    if (folder / LIST).exists():
        if note.read_text() != identity:
            raise EvaluationError(
                f"{folder}: holds items of other data or another number; all arms are judged on one list: choose "
                "another --out, or give the old data and number"
            )
        return
    key = Key(0).child("ladder", "items")
    rows: list[dict[str, Any]] = []
    references: dict[str, Reference] = {}
    for number, (index, pair) in enumerate(held_out(validation, key).items()):
        reference = recalled(pair.conditions, peak(pair.noisy)) if "noise" in pair.conditions else None
        if reference is None and "noise" in pair.conditions:
            continue
        name, kind = _name(pair, number), heard_type(validation.data, index, pair)
        rows.append(_kept(pair, folder, name) | ({} if kind is None else {"noise_type": kind}))
        if reference is not None:
            references[name] = reference
    _keep_references(references, validation.data.rate_hz, folder)
    note.write_text(identity)
    write_bytes(folder / LIST, "".join(json.dumps(row) + "\n" for row in rows).encode())


def _name(pair: Pair, number: int) -> str:
    """File and folder of the speech, by which speakers are known, and a number: a file may be drawn twice."""
    parts = [part for part in Path(pair.name).with_suffix("").parts[-2:] if part != ".."]
    return f"{'/'.join(parts)}-{number:03d}"


def _kept(pair: Pair, folder: Path, name: str) -> dict[str, Any]:
    """Both sides of an item as files, and its row of the list, with its caption where it has one."""
    for side, wave in (("clean", pair.clean), ("noisy", pair.noisy)):
        write(folder / side / f"{name}.wav", Clip(wave, pair.rate_hz), on_clip="float")
    row = {"item": name, "clean": f"clean/{name}.wav", "noisy": f"noisy/{name}.wav"}
    return row | ({CAPTION: as_text(pair.conditions["text"])} if "text" in pair.conditions else {})


def _keep_references(references: Mapping[str, Reference], rate_hz: int, folder: Path) -> None:
    """Each item's own, and that of the item half the list away."""
    own = list(references.values())
    for i, (name, reference) in enumerate(references.items()):
        other = own[(i + len(own) // 2) % len(own)]
        for kind, wave in ((REFERENCES, reference.wave), (EXCHANGED, other.wave)):
            sound = Clip(wave * np.float32(reference.rms), rate_hz)
            write(folder / kind / f"{name}.wav", sound, on_clip="float")
