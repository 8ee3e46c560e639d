"""Facts from what was given by hand, the recipe, and the evidence; the first that knows a fact is believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from auscult.diagnose.facts import NAMES, Fact, Facts
from auscult.errors import DataError, nearest

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

FROM_RECIPE = {
    "method": "method.type",
    "rate_hz": "method.rate_hz",
    "crop_s": "data.crop_s",
    "batch": "training.batch",
    "accumulate": "training.accumulate",
    "steps": "training.steps",
    "clip_norm": "training.clip_norm",
    "precision": "training.precision",
    "ema_decay": "training.ema_decay",
    "lr": "optimiser.lr",
    "select": "validation.select",
    "drop": "method.conditioning.drop",
    "sampler": "method.sampler.type",
    "sampler_steps": "method.sampler.steps",
    "t_eps": "method.t_eps",
    "sampler_t_eps": "method.sampler.t_eps",
    "n_fft": "method.features.n_fft",
    "hop": "method.features.hop",
}


def gather_facts(case: Case) -> Facts:
    """Everything that is said of the set-up.

    Raises:
        DataError: a fact of an unknown name was given.
    """
    return (
        Facts(dict(_by_hand(case.given.facts)))
        .joined(dict(_of_recipe(case.recipe)))
        .joined({"splits": Fact(tuple(case.given.data), "--data")} if case.given.data else {})
    )


def _by_hand(given: Mapping[str, Any]) -> Iterator[tuple[str, Fact]]:
    for name, value in given.items():
        if name not in NAMES:
            raise DataError(f"--fact {name}: unknown{nearest(name, NAMES)}; known are {', '.join(NAMES)}")
        yield name, Fact(value, "--fact")


def _of_recipe(recipe: Mapping[str, Any] | None) -> Iterator[tuple[str, Fact]]:
    for name, where in FROM_RECIPE.items() if recipe is not None else ():
        node: Any = recipe
        parts = where.split(".")
        if parts[0] == "optimiser" and isinstance(node.get("optimiser"), Mapping):
            node = {"optimiser": node["optimiser"].get("net", node["optimiser"])}
        for part in parts:
            node = node.get(part) if isinstance(node, Mapping) else None
        if node is not None:
            yield name, Fact(node, f"recipe, {where}")
