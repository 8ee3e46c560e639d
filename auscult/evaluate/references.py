"""Noise references of a study: one source for all systems that take one, or a file by the name of each item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult.errors import DataError, RecipeError, few
from auscult.evaluate.datasets import audio_names
from auscult.evaluate.protocol import content_hash
from auscult.evaluate.rows import Item
from auscult.evaluate.sources import ORACLE
from auscult.restore.references import AUTO, ReferenceRequest

SOURCE, DURATION = "noise_reference", "reference_duration_s"
"""The settings of systems that say which references they are given."""
NAMED = ("auto", "none", ORACLE)
TRIAL_HZ = 16_000
"""The rate at which files are tried before the work."""


@dataclass(frozen=True)
class References:
    """The noise reference of every item, in the order of the items, and what a system's record says of them."""

    sources: tuple[str | Path, ...]
    label: str
    duration_s: float
    content: str | None

    @property
    def facts(self) -> Mapping[str, Any]:
        """What restorations depend on."""
        known = {"source": self.label, "duration_s": self.duration_s}
        return known if self.content is None else {**known, "content": self.content}

    @property
    def requests(self) -> list[ReferenceRequest]:
        """One for every item."""
        return [ReferenceRequest(source, self.duration_s) for source in self.sources]

    @classmethod
    def of(cls, source: str, duration_s: float, items: Sequence[Item]) -> References:
        """References by a setting: ``auto``, ``none``, ``oracle``, a file, or a folder that holds every item.

        ``{data}`` in a path stands for the data set.

        Raises:
            DataError: no such file or folder, items without one or without the clean side, a duration that is too
                short.
            AudioError: a file that is no use as a reference.
        """
        if source in NAMED:
            return cls(_alike(source, duration_s, items), source, duration_s, None)
        folders = {item.data: Path(source.replace("{data}", item.data)) for item in items}
        sources: list[str | Path] = []
        for data, path in folders.items():
            ReferenceRequest(path, duration_s).settled(TRIAL_HZ)
            own = [item for item in items if item.data == data]
            sources += _by_name(path, own) if path.is_dir() else [path] * len(own)
        return cls(tuple(sources), Path(source).name, duration_s, content_hash(dict.fromkeys(map(Path, sources))))

    @classmethod
    def swept(cls, settings: dict[str, list[Any]], items: Sequence[Item]) -> list[References]:
        """Those of every combination of the two settings, which are taken out of ``settings``."""
        sources, durations = settings.pop(SOURCE, [AUTO.source]), settings.pop(DURATION, [AUTO.duration_s])
        return [cls.of(str(source), _seconds(duration), items) for source in sources for duration in durations]


def _alike(source: str, duration_s: float, items: Sequence[Item]) -> tuple[str, ...]:
    ReferenceRequest("none", duration_s).settled(TRIAL_HZ)
    if source == ORACLE and (lacking := [item for item in items if item.clean is None]):
        raise DataError(f"{SOURCE} {ORACLE} is noisy - clean, and {lacking[0].data} has no clean files; ask for auto")
    return (source,) * len(items)


def _by_name(folder: Path, items: Sequence[Item]) -> list[Path]:
    files = audio_names(folder)
    if lacking := [item.name for item in items if item.name not in files]:
        raise DataError(f"{folder}: no noise reference for {few(lacking)}; references go by the names of items")
    return [files[item.name] for item in items]


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecipeError(f"{DURATION} is a number of seconds, this is {value!r}")
    return float(value)


def below(base: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a matrix file, the paths of references relative to its folder."""

    def at(source: Any) -> Any:
        return source if source in NAMED else str(base / str(source))

    given = settings.get(SOURCE)
    if given is None:
        return dict(settings)
    return {**settings, SOURCE: [at(source) for source in given] if isinstance(given, list) else at(given)}
