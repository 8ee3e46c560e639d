"""A study: models and folders x data sets x settings, and the plan of what is scored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from auscult import recipe
from auscult.catalogue import CATALOGUE, find
from auscult.errors import DataError, RecipeError
from auscult.evaluate.datasets import Contents, DataSet
from auscult.evaluate.extensions import SETTINGS as EXTENSION
from auscult.evaluate.extensions import Extensions, unextended
from auscult.evaluate.protocol import Description, content_hash, describe, protocol_of
from auscult.evaluate.references import DURATION, SOURCE, References, below
from auscult.evaluate.rows import Evaluation, Item, MetricFacts
from auscult.evaluate.score import NOISY, STANDARD, Task, metrics_named
from auscult.evaluate.sources import ORACLE, File, Opening, Restored
from auscult.evaluate.store import RESTORED
from auscult.metrics.base import Metric
from auscult.restore.models import BUILT_IN
from auscult.restore.references import unconditioned

EXTENDED = "extension"
"""What is kept of a system that extends the band."""
Value = str | float | bool | dict[str, Any]
Setting = Value | list[Value]


@dataclass(frozen=True)
class System:
    """A model that restores now, or a folder of files restored elsewhere (``{data}`` stands for the data set)."""

    model: str | None = None
    folder: str | None = None
    settings: dict[str, Setting] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.model is None) == (self.folder is None):
            raise ValueError("a system has either a model or a folder")

    def below(self, base: Path) -> System:
        """The same with paths relative to a folder."""
        model = self.model if self.model in (None, BUILT_IN) else str(base / self.model)
        folder = None if self.folder is None else str(base / self.folder)
        return replace(self, model=model, folder=folder, settings=below(base, self.settings))


@dataclass(frozen=True)
class Study:
    """What is to be compared. A setting with a list of values makes a system of each; ``seed`` makes repetitions.

    ``strength``, ``noise_reference`` and ``reference_duration_s`` are settings of the restoration; the latter two say
    what models that are conditioned on noise are told, and leave the others alone. ``caption``, ``rolloff`` and
    ``splice`` do so for models of super-resolution (:mod:`auscult.evaluate.extensions`).

    ``metrics`` may hold ``all``. Without metrics: PESQ-WB, ESTOI and SI-SDR, or those without reference where there
    are no clean files.
    """

    data: dict[str, DataSet]
    systems: dict[str, System] = field(default_factory=dict)
    settings: dict[str, Setting] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    opening: Opening = Opening()
    """How models are opened, where a system does not say otherwise."""

    @classmethod
    def read(cls, path: Path) -> Study:
        """A matrix file; its paths are relative to it.

        Raises:
            RecipeError: not YAML, or an unknown or wrong entry, named.
        """
        try:
            raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())})") from error
        study: Study = recipe.plan(raw, cls, path.name).build()
        return study._below(path.parent)

    def _below(self, base: Path) -> Study:
        data = {name: given.below(base) for name, given in self.data.items()}
        systems = {name: given.below(base) for name, given in self.systems.items()}
        return replace(self, data=data, systems=systems, settings=below(base, self.settings))


@dataclass(frozen=True)
class Plan:
    """The evaluation with no rows yet, and what will fill it: noisy inputs first, then system by system."""

    evaluation: Evaluation
    tasks: tuple[Task, ...]
    metrics: tuple[str, ...]


def plan(study: Study, out: Path, common: bool = False) -> Plan:
    """Find files, open what models say of themselves, and list every row that is to be. Nothing is computed.

    Raises:
        DataError: data sets whose files do not fit together, or a name for two things.
        RecipeError, CheckpointError: systems or metrics that cannot be.
    """
    if not study.data:
        raise DataError("a study needs at least one data set")
    if NOISY in study.systems:
        raise DataError(f"'{NOISY}' is the name of the unprocessed input; give that system another name")
    folders = {name: system.folder for name, system in study.systems.items() if system.folder is not None}
    contents = {
        name: data.contents(name, {s: Path(folder.replace("{data}", name)) for s, folder in folders.items()}, common)
        for name, data in study.data.items()
    }
    items = tuple(item for content in contents.values() for item in content.items)
    names = _metric_names(study.metrics, items)
    metrics = metrics_named(names)
    described: dict[str, Mapping[str, Any]] = {}
    tasks: list[Task] = []
    if any(item.noisy is not None for item in items):
        paths = [path for item in items for path in (item.clean, item.noisy) if path is not None]
        described[NOISY] = {"kind": "input", "content": content_hash(paths)}
        tasks += [Task(item, NOISY, File(item.noisy)) for item in items if item.noisy is not None]
    for name, system in study.systems.items():
        found = (
            _recorded(name, contents) if system.model is None else _restored(name, system, study, items, out / RESTORED)
        )
        for label, facts, own in found:
            if label in described:
                raise DataError(f"two systems are called '{label}'; give each a name of its own")
            described[label] = facts
            tasks += own
    if {SOURCE, DURATION} & study.settings.keys() and not any(SOURCE in facts for facts in described.values()):
        raise unconditioned("none of these models" if len(study.systems) > 1 else "the model")
    if (unheeded := EXTENSION & study.settings.keys()) and not any(EXTENDED in facts for facts in described.values()):
        raise unextended("none of these models" if len(study.systems) > 1 else "the model", unheeded)
    if not tasks:
        raise DataError("nothing to score: give noisy files, a folder of enhanced files or a model")
    protocol = protocol_of(metrics, items)
    evaluation = Evaluation(items, (), tuple(map(_facts, metrics)), described, protocol, recipe.digest(protocol))
    return Plan(evaluation, tuple(tasks), tuple(names))


_Found = Iterator[tuple[str, Mapping[str, Any], list[Task]]]


def _recorded(name: str, contents: Mapping[str, Contents]) -> _Found:
    files = [(item, content.estimates[name][item.name]) for content in contents.values() for item in content.items]
    facts = {"kind": "files", "content": content_hash(path for _, path in files)}
    yield name, facts, [Task(item, name, File(path)) for item, path in files]


def _restored(name: str, system: System, study: Study, items: Sequence[Item], folder: Path) -> _Found:
    """A system for every combination of settings; seeds are repetitions of one."""
    lacking = [item for item in items if item.noisy is None]
    if lacking:
        raise DataError(f"the model {name} needs noisy files; {lacking[0].data} has none: give --noisy")
    assert system.model is not None
    inputs = content_hash(item.noisy for item in items if item.noisy is not None)
    settings = {key: _values(value) for key, value in {**study.settings, **system.settings}.items()}
    seeds = [_whole(seed) for seed in settings.pop("seed", [0])]
    strengths = settings.pop("strength", [1.0])
    sweep = {key: settings.get(key, []) for key in (SOURCE, DURATION)}
    references = References.swept(settings, items)
    wishes = {key: settings.pop(key) for key in EXTENSION if key in settings}
    varied = [key for key, values in {**settings, "strength": strengths, **sweep, **wishes}.items() if len(values) > 1]
    for strength, *chosen in product(strengths, *settings.values()):
        overrides = dict(zip(settings, chosen, strict=True))
        opening = replace(
            study.opening, model=system.model, overrides=tuple(f"{k}={_text(v)}" for k, v in overrides.items())
        )
        description = describe(opening)
        _check_heeded(name, system, description)
        own = seeds if description.generative else [None]
        facts = {**description.facts, "strength": strength, "inputs": inputs}
        for told in references if description.conditioned else [None]:
            for asked in Extensions.swept(wishes, items, description, name):
                heeded = {**({SOURCE: told.facts} if told else {}), **({EXTENDED: asked.facts} if asked else {})}
                label = _label(name, {**overrides, "strength": strength}, told, asked, varied)
                state = f"{label}-{recipe.digest({**facts, **heeded})}"
                raw = f"{name}-{recipe.digest({**facts, EXTENDED: asked.raw})}" if asked else ""
                tasks = [
                    Task(item, label, _source(base, told, asked, place), seed)
                    for seed in own
                    for place, item in enumerate(items)
                    for base in [Restored(opening, _kept(folder, item, state, seed), seed or 0, float(strength),
                                          raw=_kept(folder, item, raw, seed) if asked else None)]
                ]  # fmt: skip
                known = {key: value for key, value in {**facts, **heeded}.items() if key != "inputs"}
                yield label, {**known, "seeds": own}, tasks


def _check_heeded(name: str, system: System, description: Description) -> None:
    """Refuse settings that the model would not heed.

    Raises:
        RestorationError: naming them.
    """
    if {SOURCE, DURATION} & system.settings.keys() and not description.conditioned:
        raise unconditioned(name)
    if (unheeded := EXTENSION & system.settings.keys()) and description.hears is None:
        raise unextended(name, unheeded)


def _source(base: Restored, told: References | None, asked: Extensions | None, place: int) -> Restored:
    """The restoration of the item at a place, with what is told of it."""
    if told is not None:
        base = replace(base, reference=told.requests[place])
    return base if asked is None else replace(base, extension=asked.requests[place], oracle=asked.oracle)


def _label(
    name: str, chosen: Mapping[str, Any], told: References | None, asked: Extensions | None, varied: Sequence[str]
) -> str:
    """A system's name with what distinguishes it; what only an evaluation can have is always said."""
    if told is not None:
        chosen = {**chosen, SOURCE: told.label, DURATION: told.duration_s}
    chosen = chosen if asked is None else {**chosen, **asked.chosen}
    said = [key for key, value in chosen.items() if key in varied or value == ORACLE]
    return " ".join([name, *(f"{key.rpartition('.')[2]}={chosen[key]}" for key in said)])


def _kept(folder: Path, item: Item, state: str, seed: int | None) -> Path:
    """Where a restoration stays. ``state`` names model, settings and inputs, so that no other one is taken for it."""
    own = folder / _plain(item.data) / _plain(state)
    return (own if seed is None else own / f"seed-{seed}") / f"{item.name}.wav"


def _plain(name: str) -> str:
    """A name that is a folder's on every system."""
    return re.sub(r"[^\w.=+-]+", "_", name)


def _values(setting: Setting) -> list[Any]:
    return setting if isinstance(setting, list) else [setting]


def _whole(seed: Any) -> int:
    if isinstance(seed, bool) or not float(seed).is_integer():
        raise RecipeError(f"a seed is a whole number, this is {seed!r}")
    return int(seed)


def _text(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()


def _metric_names(given: Sequence[str], items: Sequence[Item]) -> list[str]:
    """What is scored: as asked, else the standard three, else what needs no reference.

    Raises:
        RecipeError: a metric that needs what the data do not have.
    """
    there = {role for role in ("clean", "noisy") if all(getattr(item, role) is not None for item in items)}
    fitting = [name for name in CATALOGUE["metric"] if set(_kind(name).needs) <= there]
    if not given:
        return list(STANDARD) if "clean" in there else fitting
    names = [name for one in given for name in (fitting if one == "all" else [one])]
    for metric in metrics_named(names):
        if missing := set(metric.needs) - there:
            raise RecipeError(
                f"the metric {metric.name} needs {' and '.join(sorted(missing))} files; give their folder"
            )
    return list(dict.fromkeys(names))


def _kind(name: str) -> type[Metric]:
    kind: type[Metric] = find(name)
    return kind


def _facts(metric: Metric) -> MetricFacts:
    return MetricFacts(
        metric.label, metric.unit, metric.higher_is_better, metric.source, metric.version, metric.matters
    )
