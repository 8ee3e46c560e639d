"""Where items come from: the data section of a recipe, held-out data where it has references."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult import recipe
from auscult.catalogue import check_trust
from auscult.data.pairs import PairSource
from auscult.data.referenced import Origin, Referenced
from auscult.errors import DataError, RecipeError
from auscult.hub.runs import CHECKPOINTS, RECIPE
from auscult.train.setup import rooted

ORIGINS: tuple[Origin, ...] = ("disjoint", "overlapping", "noise_only:auto")


def run_of(checkpoint: Path) -> Path | None:
    """The run folder that a checkpoint lies in."""
    folder = checkpoint.resolve().parent
    return folder.parent if folder.name == CHECKPOINTS and (folder.parent / RECIPE).is_file() else None


@dataclass(frozen=True)
class Section:
    """A data section of a recipe, and its name there."""

    name: str
    content: Mapping[str, Any]


def section_of(
    run: Path | None, given: str | None, overrides: Sequence[str] = (), trust: Collection[str] = ()
) -> Section:
    """The data of a recipe that is given, else of a run: its validation's, where that has references.

    ``overrides`` change values of the section: ``crop_s=2``.

    Raises:
        RecipeError: neither a recipe nor a run, or as reading the recipe finds.
        TrustError: it names a class of a package that is not trusted.
    """
    if given is None and run is None:
        raise RecipeError("a checkpoint outside its run folder names no data: give its recipe, --recipe noise-small")
    raw = recipe.read(given if given is not None else run / RECIPE)  # type: ignore[operator]
    held_out = (raw.get("validation") or {}).get("data") or {}
    name = "validation.data" if held_out.get("type") == "Referenced" else "data"
    content = recipe.override(held_out if name != "data" else raw.get("data") or {}, overrides)
    check_trust(recipe.class_names(content), trust, given or str(run))
    return Section(name, content)


@dataclass(frozen=True)
class Recordings:
    """A data section of type Referenced, taken apart so that references of other origins fit the same items."""

    source: PairSource
    crop_s: float
    duration_s: tuple[float, float]
    origin: Origin

    @classmethod
    def of(cls, section: Mapping[str, Any], root: Path) -> Recordings:
        """Bind a section of a recipe.

        Raises:
            DataError: items without references, or of no fixed length. RecipeError: as binding finds.
        """
        plan = recipe.plan(rooted(section, root), PairSource, "data")
        if plan.target is not Referenced or plan.arguments["origin"] == "none":
            raise DataError(f"data: {plan.name} gives no noise references; give a recipe whose data is Referenced")
        if plan.arguments["crop_s"] is None:
            raise DataError("data.crop_s: whole items differ in length; give one length, --set crop_s=2")
        given = plan.arguments
        return cls(given["source"].build(), given["crop_s"], given["duration_s"], given["origin"])

    def referenced(self, origin: Origin | None = None, longest: bool = False) -> Referenced:
        """The same items with other references."""
        duration = (self.duration_s[1], self.duration_s[1]) if longest else self.duration_s
        return Referenced(self.source, self.crop_s, duration, origin or self.origin)
