"""Arms bound to the recipe: what each trains, how it is restored, and exactly what it differs in from its parent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

from auscult import recipe
from auscult.ablate.ladder import BASE, Arm, Ladder, ancestry, assignments
from auscult.errors import AuscultError, RecipeError, few
from auscult.evaluate.extensions import SETTINGS as EXTENSION
from auscult.evaluate.extensions import Extensions, defaults, unextended
from auscult.evaluate.references import DURATION, SOURCE
from auscult.hub.bundle import Meta, Weights
from auscult.hub.opening import hears_beside, hears_noise, settled
from auscult.plain import leaves
from auscult.train.settings import Options
from auscult.train.setup import RunPlan, plan_run

TOLD = (SOURCE, DURATION, "strength", *sorted(EXTENSION))
"""Settings of a restoration that are no leaves of the method."""
JUDGING = ("validation", "seed", "name")
"""What arms cannot change: they are judged alike, and the ladder has the seeds."""
ABSENT = "absent"


@dataclass(frozen=True)
class Difference:
    """A leaf that an arm and its parent have unlike values of."""

    leaf: str
    was: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.leaf}: {_said(self.was)} -> {_said(self.now)}"


@dataclass(frozen=True)
class Rung:
    """An arm, bound. ``raw`` is the recipe that it trains, ``plan`` the same with the ladder's first seed."""

    name: str
    role: Literal["base", "arm", "control"]
    arm: Arm
    raw: Mapping[str, Any]
    plan: RunPlan
    settings: Mapping[str, Any]
    weights: Weights
    differences: tuple[Difference, ...] = ()

    def seeded(self, seed: int) -> Mapping[str, Any]:
        """The recipe of one of its trainings."""
        return {**self.raw, "seed": seed}

    def folder_name(self, seed: int) -> str:
        """The run folder of one of its trainings: that of ``auscult train``, so that runs are shared."""
        return replace(self.plan, seed=seed, resolved={**self.plan.resolved, "seed": seed}).folder_name

    @property
    def method(self) -> Mapping[str, Any]:
        """The method as it restores, every default in view."""
        return self._settled.as_dict()

    @property
    def change(self) -> list[str]:
        """The differences for people: a part that is exchanged, added or removed is one."""
        return _in_words(self.differences)

    @property
    def conditioned(self) -> bool:
        """Whether its restorations are told of the noise."""
        return hears_noise(self._settled)

    @property
    def hears(self) -> frozenset[str] | None:
        """What it is told beside the recording, if it extends the band."""
        return hears_beside(self._settled)

    @cached_property
    def _settled(self) -> recipe.Plan:
        overrides = assignments({name: value for name, value in self.settings.items() if name not in TOLD})
        return settled(Meta(dict(self.plan.resolved["method"])), self.name, (), overrides)


def bind(ladder: Ladder, data: Path | None) -> dict[str, Rung]:
    """Every arm with what it differs in, the base first.

    Raises:
        RecipeError: an arm with no difference, with several and no declared group, or one in how it is judged; an
            unknown leaf. DataError: data that does not fit together.
    """
    base = recipe.override(recipe.read(ladder.recipe), assignments(ladder.common))
    base = recipe.override(base, [f"training.steps={ladder.steps}", f"seed={ladder.seeds[0]}"])
    make = partial(_bound, ladder, base, data)
    found = {name: make(name) for name in ladder.everyone}
    rungs = {BASE: found[BASE]}
    for name, rung in found.items():
        if name != BASE:
            rungs[name] = replace(rung, differences=_checked(rung, found[rung.arm.parent]))
    return rungs


def _bound(ladder: Ladder, base: Mapping[str, Any], data: Path | None, name: str) -> Rung:
    """One arm: its own changes after those of its ancestors."""
    way = ancestry(name, ladder.everyone)
    changes = {leaf: value for arm in way for leaf, value in arm.change.items()}
    settings = {leaf: value for arm in way for leaf, value in arm.settings.items()}
    weights: Weights = next((arm.weights for arm in reversed(way) if arm.weights), "auto")
    role: Literal["base", "arm", "control"] = (
        "base" if name == BASE else "control" if name in ladder.controls else "arm"
    )
    try:
        raw = recipe.override(dict(base), assignments(changes))
        rung = Rung(name, role, way[-1], raw, plan_run(raw, Options(), data), settings, weights)
        _ = rung.method  # a setting that the method does not know is named now
        _check_heeded(rung)
    except AuscultError as error:
        raise type(error)(f"arm '{name}': {error}") from error
    return rung


def _check_heeded(rung: Rung) -> None:
    """Refuse to ask a model for what it would not heed, before it is trained.

    Raises:
        RestorationError: naming it.
    """
    if asked := EXTENSION & rung.settings.keys():
        if rung.hears is None:
            raise unextended("its model", asked)
        Extensions.of({name: rung.settings[name] for name in asked}, [], rung.hears, "its model")


def _checked(rung: Rung, parent: Rung) -> tuple[Difference, ...]:
    found, of = _differences(parent, rung), f"arm '{rung.name}'"
    for one in found:
        if one.leaf.partition(".")[0] in JUDGING:
            raise RecipeError(
                f"{of} changes {one.leaf}: all arms are judged on one list of items, with the ladder's seeds; give "
                "that in the ladder (evaluation, seeds)"
            )
    if not found:
        raise RecipeError(f"{of} changes nothing: {parent.name} has all of it already")
    if len(found) > 1 and not rung.arm.group:
        shown = few([str(one) for one in found], 3)
        raise RecipeError(
            f"{of} differs from {parent.name} in {len(found)} leaves ({shown}): one arm, one change; make an arm of "
            "each, or say with group: why they belong together"
        )
    return found


def _differences(parent: Rung, rung: Rung) -> tuple[Difference, ...]:
    """Leaf by leaf; a setting of the restoration is compared with what the other arm restores with."""
    was, now = _training(parent), _training(rung)
    trained = [
        Difference(leaf, was.get(leaf, ABSENT), now.get(leaf, ABSENT))
        for leaf in dict.fromkeys([*was, *now])
        if was.get(leaf, ABSENT) != now.get(leaf, ABSENT)
    ]
    known = {one.leaf for one in trained}
    a, b = _restoring(parent), _restoring(rung)
    restored = [
        Difference(f"restoration.{leaf}", a.get(leaf, ABSENT), b.get(leaf, ABSENT))
        for leaf in dict.fromkeys([*a, *b])
        if a.get(leaf, ABSENT) != b.get(leaf, ABSENT) and f"method.{leaf}" not in known
    ]
    return (*trained, *restored)


def _training(rung: Rung) -> dict[str, Any]:
    kept = {key: value for key, value in rung.plan.resolved.items() if key not in ("seed", "name")}
    given = {key: rung.raw[key] for key in ("seed", "name") if key in rung.arm.change}
    return dict(leaves({**kept, **given}))


def _restoring(rung: Rung) -> dict[str, Any]:
    told = {**defaults(rung.hears), **{name: rung.settings[name] for name in TOLD if name in rung.settings}}
    return {**dict(leaves(rung.method)), **told, "weights": rung.weights}


def _in_words(differences: Sequence[Difference]) -> list[str]:
    """A part that is another class, or is there on one side only, hides what only one of both has."""
    parts = {one.leaf.removesuffix(".type"): one for one in differences if one.leaf.endswith(".type")}
    gone = {one.leaf for one in differences if any(other.leaf.startswith(f"{one.leaf}.") for other in differences)}
    lines = []
    for one in differences:
        if one.leaf in gone:
            lines.append(f"{one.leaf}: {'null -> given' if one.was is None else 'given -> null'}")
        elif ABSENT in (one.was, one.now) and not one.leaf.endswith(".type") and _below(one.leaf, {*parts, *gone}):
            continue
        elif not _below(one.leaf, gone) and not _below(one.leaf.removesuffix(".type"), _removed(parts)):
            lines.append(str(replace(one, leaf=one.leaf.removesuffix(".type"))))
    return lines


def _removed(parts: Mapping[str, Difference]) -> set[str]:
    return {part for part, one in parts.items() if ABSENT in (one.was, one.now)}


def _below(leaf: str, parts: Collection[str]) -> bool:
    return any(leaf.startswith(f"{part}.") for part in parts)


def _said(value: Any) -> str:
    return "null" if value is None else str(value)
