"""Recipes: one YAML file a person can read, bound to the signatures of the classes it names.

Binding first makes a *plan*: classes found, keys and types checked, defaults filled in. Only a whole plan is built,
so that a misspelt key costs no seconds. The plan is also what a run records and what its hash is taken of.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pydantic
import yaml

from auscult.catalogue import TARGETS, find
from auscult.errors import RecipeError, nearest
from auscult.plain import leaves

SCHEMA = 1
"""Version of the recipe form; part of every run's hash."""

_PLAIN = (str, int, float, bool, bytes, Path, type(None))


@dataclass(frozen=True)
class Plan:
    """A class and checked arguments, some of which are plans themselves."""

    target: type
    name: str
    where: str
    arguments: Mapping[str, Any]

    def build(self) -> Any:
        """Make the object, its parts first."""
        try:
            return self.target(**{key: _build(value) for key, value in self.arguments.items()})
        except (ValueError, ZeroDivisionError) as error:
            raise RecipeError(f"{self.where}: {self.name} refuses these values ({error})") from error

    def as_dict(self) -> dict[str, Any]:
        """The recipe form with every default in view."""
        return _named(self.name, {key: _as_data(value) for key, value in self.arguments.items()})


def shipped() -> dict[str, Path]:
    """Recipes inside the package, by name."""
    folder = Path(str(resources.files("auscult") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read(source: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A recipe by shipped name or file, with ``a.b=value`` overrides applied.

    Raises:
        RecipeError: unknown name, not YAML, not a mapping, or a malformed override.
    """
    path = shipped().get(str(source), Path(source))
    if not path.is_file():
        raise RecipeError(
            f"no recipe '{source}'{nearest(str(source), shipped())}; shipped are {', '.join(shipped())}, "
            "or give the path of a YAML file"
        )
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(raw, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of sections, this is a {type(raw).__name__}")
    raw.setdefault("name", path.stem)
    return override(raw, overrides)


def override(raw: dict[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """A copy with ``method.path.theta=2.0`` style assignments; values are read as YAML, ``a.0.b`` indexes lists.

    Raises:
        RecipeError: no ``=``, or a path through something that is neither mapping nor list.
    """
    raw = typing.cast(dict[str, Any], json.loads(json.dumps(raw, default=str)))
    for assignment in assignments:
        dotted, equals, text = assignment.partition("=")
        if not equals or not dotted:
            raise RecipeError(f"--set {assignment}: give name=value, such as training.steps=1000")
        *way, last = dotted.split(".")
        node: Any = raw
        for part in way:
            node = node.setdefault(part, {}) if isinstance(node, dict) else _item(node, part, assignment)
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RecipeError(f"--set {assignment}: '{text}' is not a YAML value") from error
        if isinstance(node, dict):
            node[last] = value
        else:
            _item(node, last, assignment)
            node[int(last)] = value
    return raw


def in_full(resolved: Mapping[str, Any], assignment: str) -> str:
    """An override with its full dotted name, where a short one fits a single value: ``steps=10``.

    Raises:
        RecipeError: the short name fits several values.
    """
    name, equals, text = assignment.partition("=")
    if not equals or "." in name or name in resolved:
        return assignment
    fitting = [dotted for dotted, _ in leaves(resolved) if dotted.rpartition(".")[2] == name]
    if len(fitting) > 1:
        raise RecipeError(f"--set {assignment}: '{name}' could be {' or '.join(fitting)}; give it in full")
    return f"{fitting[0]}={text}" if fitting else assignment


def digest(resolved: Mapping[str, Any]) -> str:
    """Eight hex digits that change when, and only when, the resolved recipe does."""
    text = json.dumps({"schema": SCHEMA, **resolved}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def class_names(node: Any) -> set[str]:
    """Every class a recipe (or part of one) names."""
    if isinstance(node, Mapping):
        named = {node["type"]} if isinstance(node.get("type"), str) else set()
        return named.union(*(class_names(value) for value in node.values()))
    if isinstance(node, list | tuple):
        return set().union(*(class_names(value) for value in node))
    return set()


def plan(node: Any, expected: type, where: str) -> Plan:
    """Check a recipe's node against the class it names (or ``expected`` itself, where that is concrete).

    Raises:
        RecipeError: naming the key, the class, what is allowed and the nearest match.
    """
    if not isinstance(node, Mapping):
        raise RecipeError(f"{where}: a mapping for {expected.__name__} is needed, this is {node!r}")
    if "type" in node:
        if not isinstance(node["type"], str):
            raise RecipeError(f"{where}.type: the name of a class is needed, this is {node['type']!r}")
        try:
            target, name = find(node["type"]), node["type"]
        except RecipeError as error:
            raise RecipeError(f"{where}.type: {error}") from error
        if inspect.isclass(expected) and not issubclass(target, expected):
            raise RecipeError(f"{where}.type: {name} is not a {expected.__name__}{_kin(expected)}")
    elif inspect.isabstract(expected) or not dataclasses.is_dataclass(expected):
        raise RecipeError(f"{where}: has no 'type'; name a {expected.__name__}{_kin(expected)}")
    else:
        target, name = expected, expected.__name__
    return Plan(target, name, where, _arguments(target, node, where))


def _arguments(target: type, node: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Keys against the constructor's parameters, values against their types, defaults filled in."""
    starred = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = {name: p for name, p in inspect.signature(target).parameters.items() if p.kind not in starred}
    annotated = target if dataclasses.is_dataclass(target) else target.__init__
    hints = typing.get_type_hints(annotated, include_extras=True)
    given = {key: value for key, value in node.items() if key != "type"}
    for key in given:
        if key not in parameters:
            allowed = f"allowed: {', '.join(parameters) or 'none'}"
            raise RecipeError(f"{where}.{key}: unknown key of {target.__name__}{nearest(key, parameters)}; {allowed}")
    arguments = {}
    for key, parameter in parameters.items():
        if key in given:
            arguments[key] = _value(given[key], hints.get(key, Any), f"{where}.{key}")
        elif (factory := _factory(target, key)) is not None:
            arguments[key] = factory()
        elif parameter.default is not inspect.Parameter.empty:
            arguments[key] = _recordable(parameter.default, f"{where}.{key}", target)
        else:
            raise RecipeError(f"{where}.{key}: missing; {target.__name__} needs it")
    return arguments


def _recordable(default: Any, where: str, target: type) -> Any:
    """A default as it is, if a run can record it."""
    try:
        json.dumps(_as_data(default))
    except TypeError as error:
        raise RecipeError(
            f"{where}: the default of {target.__name__} is a {type(default).__name__}, which a run cannot record; "
            "let the default be None, a plain value or a dataclass"
        ) from error
    return default


def _value(node: Any, hint: Any, where: str) -> Any:
    """A value of the type a parameter asks for."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if node is None and type(None) in inner:
            return None
        choices = [choice for choice in inner if choice is not type(None)]
        if len(choices) == 1:
            return _value(node, choices[0], where)
    elif origin is tuple and len(inner) == 2 and inner[1] is Ellipsis and _is_part(inner[0]):
        if not isinstance(node, list | tuple):
            raise RecipeError(f"{where}: a list is needed, this is {node!r}")
        return tuple(_value(item, inner[0], f"{where}.{i}") for i, item in enumerate(node))
    elif origin is dict and _is_part(inner[1]):
        if not isinstance(node, Mapping):
            raise RecipeError(f"{where}: a mapping is needed, this is {node!r}")
        return {str(key): _value(item, inner[1], f"{where}.{key}") for key, item in node.items()}
    elif _is_part(hint):
        return plan(node, hint, where)
    try:
        return pydantic.TypeAdapter(hint).validate_python(node)
    except pydantic.ValidationError as error:
        problem = error.errors()[0]
        place = ".".join([where, *(str(part) for part in problem["loc"] if isinstance(part, int))])
        raise RecipeError(f"{place}: {problem['msg'].lower()}; this is {problem['input']!r}") from error


def _is_part(hint: Any) -> bool:
    """Whether a parameter holds an object to be built, rather than a plain value."""
    return inspect.isclass(hint) and typing.get_origin(hint) is None and not issubclass(hint, _PLAIN)


def _factory(target: type, key: str) -> Callable[[], Any] | None:
    """A dataclass field's default factory."""
    if not dataclasses.is_dataclass(target):
        return None
    field = {field.name: field for field in dataclasses.fields(target)}[key]
    return None if field.default_factory is dataclasses.MISSING else field.default_factory


def _kin(expected: type) -> str:
    """The catalogue's names that would fit, for messages."""
    fitting = [name for name in TARGETS if _fits(name, expected)]
    return f"; allowed: {', '.join(fitting)}, or package.module.Class of your own" if fitting else ""


def _fits(name: str, expected: type) -> bool:
    try:
        return issubclass(find(name), expected)
    except ImportError:
        return False


def _item(node: Any, part: str, assignment: str) -> Any:
    if not isinstance(node, list) or not part.isdigit() or int(part) >= len(node):
        raise RecipeError(f"--set {assignment}: '{part}' is not a key or position there")
    return node[int(part)]


def _build(value: Any) -> Any:
    if isinstance(value, Plan):
        return value.build()
    if isinstance(value, tuple):
        return tuple(_build(item) for item in value)
    if isinstance(value, dict):
        return {key: _build(item) for key, item in value.items()}
    return value


def _as_data(value: Any) -> Any:
    """JSON form of an argument; objects that came as defaults show as their class and fields."""
    if isinstance(value, Plan):
        return value.as_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        of = type(value)
        name = of.__name__ if of.__module__.startswith("auscult.") else f"{of.__module__}.{of.__qualname__}"
        return _named(name, {f.name: _as_data(getattr(value, f.name)) for f in dataclasses.fields(value)})
    if isinstance(value, list | tuple):
        return [_as_data(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _as_data(item) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value


def _named(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Fields with their class; a record that a parameter fixes (not of the catalogue) needs no name."""
    return {"type": name, **fields} if name in TARGETS or "." in name else fields
