"""Logs of training in plain text: names and numbers wherever a line says them.

Read are ``name: 0.12``, ``name=0.12``, ``'name': 0.12`` and, for names that are known, ``name 0.12``; ``[train]`` and
``[valid]`` (ESPnet) hold for what follows them on the line; a line about validation holds for names without a split.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

from auscult.diagnose.gather.history_formats import Table

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf)\b|[-+]?infinity\b"
_SPLIT = r"(?:train(?:ing)?|valid(?:ation)?|val|dev|eval|test)"
_KNOWN = (
    r"epoch|step|iter(?:ation)?|loss|lr|learning[ _]rate|pesq|e?stoi|si-?_?s[dn]r|sdr|ssnr|snr|grad(?:ient)?[ _]norm"
)
_STATED = rf"(?P<key>[A-Za-z][\w./@()-]*(?:[ ][A-Za-z][\w./()-]*)?)['\"]?\s*[:=]\s*\[?(?P<number>{_NUMBER})(?![\w.])"
_SPOKEN = rf"\b(?P<word>(?:{_SPLIT}[ _/-])?(?:{_KNOWN}))\s+\[?(?P<figure>{_NUMBER})(?![\w.])"
_ESPNET = r"\b(?P<epoch>\d+)epoch\b"
_SECTION = rf"\[(?P<section>{_SPLIT})\]"
PIECE = re.compile(rf"{_SECTION}|{_ESPNET}|{_STATED}|{_SPOKEN}", re.IGNORECASE)
VALIDATION = re.compile(r"\b(?:valid(?:ation)?|val|dev|eval(?:uation)?)\b", re.IGNORECASE)
OF_A_SPLIT = re.compile(rf"(?:^|[ _/.-]){_SPLIT}(?:$|[ _/.-])", re.IGNORECASE)
AXES = re.compile(r"(?:global[ _])?(?:epoch|step|iter(?:ation)?)s?", re.IGNORECASE)
RESTART = re.compile(r"\b(?:resum(?:ed|ing)|restor(?:ed|ing) (?:from|checkpoint)|load(?:ed|ing) checkpoint)", re.I)
FEWEST = 2
"""Values that make a column: less is a setting that was printed."""


def read_log(lines: Iterable[str]) -> Table:
    """A log's numbers; columns with fewer than two values are settings and left out."""
    rows: list[dict[str, float]] = []
    counts: dict[str, int] = {}
    restarts: list[int] = []
    for line in lines:
        if RESTART.search(line):
            restarts.append(len(rows))
        row = dict(pieces(line))
        if row:
            rows.append(row)
            for name in row:
                counts[name] = counts.get(name, 0) + 1
    table = Table()
    for row in rows:
        table.add({name: value for name, value in row.items() if counts[name] >= FEWEST})
    table.restarts = [at for at in restarts if 0 < at < len(rows)]
    return table


def pieces(line: str) -> Iterator[tuple[str, float]]:
    """Names with their split, and numbers."""
    section, about = "", "valid/" if VALIDATION.search(line) and "train" not in line.lower() else ""
    for found in PIECE.finditer(line):
        if found["section"]:
            section = f"{found['section'].lower()}/"
        elif found["epoch"]:
            yield "epoch", float(found["epoch"])
        else:
            name = " ".join((found["key"] or found["word"]).split())
            yield _named(name, section or about), _value(found["number"] or found["figure"])


def _named(name: str, split: str) -> str:
    return name if AXES.fullmatch(name) or OF_A_SPLIT.search(name) else split + name


def _value(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else math.nan
