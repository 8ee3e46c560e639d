"""Plain data, nested mappings and lists as they come from YAML and JSON: leaves by dotted name, valid JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any


def leaves(node: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Values by dotted name; an empty mapping and a list of plain values are values themselves."""
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from leaves(value, f"{name}.{key}" if name else str(key))
    elif isinstance(node, list | tuple) and any(isinstance(value, Mapping) for value in node):
        for i, value in enumerate(node):
            yield from leaves(value, f"{name}.{i}")
    else:
        yield name, node


def without_gaps(value: Any) -> Any:
    """The same for JSON, which has no NaN and no infinity: null."""
    if isinstance(value, Mapping):
        return {key: without_gaps(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_gaps(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
