"""Captions made of a manifest's own columns: labels, such as where a recording comes from or how it is spoken."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from auscult.data.manifest import Wanted, read_rows, select
from auscult.errors import DataError, few, nearest
from auscult.files import write_bytes


def labelled(
    manifests: Sequence[Path],
    columns: Sequence[str],
    words: Mapping[str, str] | None = None,
    where: Mapping[str, Wanted] | None = None,
) -> list[dict[str, str]]:
    """Rows of ``path`` and ``caption`` for every recording that manifests list.

    Args:
        manifests: JSONL; paths stay as they are in it.
        columns: whose values make the caption, comma-separated; a row may lack some of them.
        words: what is said for a value.
        where: selects rows.

    Raises:
        DataError: no row, rows without any of the columns, words for a value that no row has, or one path twice with
            two captions.
    """
    words, captions, seen = words or {}, dict[str, str](), set[str]()
    for manifest in manifests:
        for row in select(read_rows(manifest), where or {}, {}):
            values = [str(row[column]) for column in columns if row.get(column) is not None]
            if not values or "path" not in row:
                has = ", ".join(sorted(key for key in row if key != "line"))
                raise DataError(f"{manifest}:{row['line']}: no path with {' or '.join(columns)}; the row has {has}")
            _add(captions, str(row["path"]), ", ".join(words.get(value, value) for value in values), manifest)
            seen |= set(values)
    if not captions:
        raise DataError(f"{', '.join(map(str, manifests))}: no row fits where={dict(where or {})}")
    if unknown := [value for value in words if value not in seen]:
        raise DataError(f"no row has '{unknown[0]}'{nearest(unknown[0], seen)}; there are {few(sorted(seen), 20)}")
    return [{"path": path, "caption": text} for path, text in captions.items()]


def write_table(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """The rows as JSONL.

    Raises:
        OutputError: the file cannot be written.
    """
    write_bytes(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


def _add(captions: dict[str, str], path: str, caption: str, manifest: Path) -> None:
    if captions.setdefault(path, caption) != caption:
        raise DataError(f"{manifest}: {path} is '{captions[path]}' and '{caption}'; a recording has one caption")
