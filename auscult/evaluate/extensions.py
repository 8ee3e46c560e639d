"""What models of super-resolution are told in a study: the caption of every item, the roll-off, and where to splice."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, get_args

from auscult.data.captions import Say, told
from auscult.errors import DataError, RecipeError, RestorationError, few, nearest
from auscult.evaluate.protocol import Description, list_hash
from auscult.evaluate.rows import Item
from auscult.evaluate.sources import ORACLE
from auscult.restore.extension import ExtensionRequest
from auscult.restore.replacement import Splice

CAPTION, ROLLOFF, SPLICE = "caption", "rolloff", "splice"
"""The settings of systems that say so."""
SETTINGS = frozenset([CAPTION, ROLLOFF, SPLICE])
_DEFAULTS: Mapping[str, Any] = {CAPTION: "own", ROLLOFF: None, SPLICE: "knee"}
_HEARD = {CAPTION: "text", ROLLOFF: "rolloff"}
"""What a model must hear to be told."""


@dataclass(frozen=True)
class Extensions:
    """One way to tell a model of the items: a request for each, in their order.

    ``oracle``: the roll-off is that of the clean side, which no restoration knows.
    """

    requests: tuple[ExtensionRequest, ...]
    chosen: Mapping[str, Any]
    oracle: bool

    @property
    def facts(self) -> Mapping[str, Any]:
        """What restorations depend on."""
        texts = [request.caption for request in self.requests]
        return {
            **self.chosen,
            "captions": list_hash([f"{place} {text}" for place, text in enumerate(texts)]) if any(texts) else None,
        }

    @property
    def raw(self) -> Mapping[str, Any]:
        """The same of what is generated, before it is spliced."""
        return {**self.facts, SPLICE: "none"}

    @classmethod
    def of(cls, chosen: Mapping[str, Any], items: Sequence[Item], hears: Collection[str], model: str) -> Extensions:
        """By settings: ``caption`` own, exchanged, constant or none; ``rolloff`` a share of half the rate or ``oracle``
        (None: the model's default); ``splice`` knee, hard, cosine or none. ``hears``: what the model takes of text and
        rolloff.

        Raises:
            RecipeError: none of these. DataError: captions to exchange of items without, or an oracle without the
                clean side. RestorationError: what the model would not heed.
        """
        chosen = {**_DEFAULTS, **chosen}
        say, splice, rolloff = _one_of(CAPTION, chosen[CAPTION], Say), _one_of(SPLICE, chosen[SPLICE], Splice), None
        oracle = chosen[ROLLOFF] == ORACLE
        if not oracle and chosen[ROLLOFF] is not None:
            rolloff = _share(chosen[ROLLOFF])
        if oracle and (lacking := [item for item in items if item.clean is None]):
            raise DataError(
                f"{ROLLOFF} {ORACLE} is that of the clean side, and {lacking[0].data} has none; give a number"
            )
        texts = _texts(say, items) if "text" in hears or say != "own" else [None] * len(items)
        requests = tuple(ExtensionRequest(item.rate_hz, text, rolloff, splice)
                         for item, text in zip(items, texts, strict=True))  # fmt: skip
        asked = ExtensionRequest(None, None if say == "own" else "", 0.0 if oracle else rolloff)
        asked.check("text" in hears, "rolloff" in hears, model)
        return cls(requests, chosen, oracle)

    @classmethod
    def swept(
        cls, settings: Mapping[str, list[Any]], items: Sequence[Item], described: Description, model: str
    ) -> Sequence[Extensions | None]:
        """Those of every combination of the settings that are given; of other models None, once."""
        if described.hears is None:
            return [None]
        combined = (dict(zip(settings, values, strict=True)) for values in product(*settings.values()))
        return [cls.of(chosen, items, described.hears, model) for chosen in combined]


def defaults(hears: Collection[str] | None) -> dict[str, Any]:
    """What a model is told where a study says nothing; ``hears`` None: no model of super-resolution."""
    if hears is None:
        return {}
    return {name: value for name, value in _DEFAULTS.items() if _HEARD.get(name) in (None, *hears)}


def unextended(model: str, unheeded: Collection[str]) -> RestorationError:
    """The error of settings that a model would not heed."""
    return RestorationError(f"{model} is no model of super-resolution: leave {', '.join(sorted(unheeded))} out")


def _texts(say: Say, items: Sequence[Item]) -> list[str | None]:
    """What is said of each item; None where nothing is known of any, so that a model without text is not told."""
    own = {item.name: str(item.facts[CAPTION]) for item in items if CAPTION in item.facts}
    if lacking := [item.name for item in items if item.name not in own]:
        if say == "exchanged" or own:
            raise DataError(
                f"{CAPTION} {say}: no caption for {few(lacking)}; give the items a column '{CAPTION}' (--facts)"
            )
        own = dict.fromkeys(lacking, "")
        if say == "own":
            return [None] * len(items)
    said = told(own, say)
    return [said[item.name] for item in items]


def _one_of(name: str, value: Any, kind: Any) -> Any:
    allowed = get_args(kind)
    if value not in allowed:
        raise RecipeError(f"{name} {value}: not known{nearest(str(value), allowed)}; allowed are {', '.join(allowed)}")
    return value


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecipeError(f"{ROLLOFF} {value!r}: give a share of half the rate, 0 to 1, or {ORACLE}")
    return float(value)
