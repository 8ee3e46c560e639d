"""Items that a finding names, with their files: a page plays and draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from auscult.diagnose.case import Case
from auscult.diagnose.evidence import FilePair, Files
from auscult.diagnose.finding import Exhibit, Finding


def with_files(findings: Sequence[Finding], case: Case) -> list[Finding]:
    """The same findings; exhibits that name a pair of the data, or a file of one, get both sides."""
    files: Files | None = case.get("files") if any(one.exhibits for one in findings) else None
    if files is None:
        return list(findings)
    known = _by_name(files)
    return [replace(one, exhibits=[_shown(exhibit, known) for exhibit in one.exhibits]) for one in findings]


def exhibit_of(pair: FilePair, shows: str) -> Exhibit:
    """A pair with its files."""
    clean, noisy = (info.path if info is not None else None for info in (pair.clean, pair.noisy))
    return Exhibit(pair.name, shows, clean=clean, noisy=noisy)


def _by_name(files: Files) -> dict[str, FilePair]:
    named: dict[str, FilePair] = {}
    for pair in (pair for rows in files.splits.values() for pair in rows):
        for name in (pair.name, *(str(info.path) for info in (pair.clean, pair.noisy) if info is not None)):
            named.setdefault(name, pair)
    return named


def _shown(one: Exhibit, known: Mapping[str, FilePair]) -> Exhibit:
    if one.clean is not None or one.noisy is not None or one.name not in known:
        return one
    found = exhibit_of(known[one.name], one.shows)
    return replace(found, name=one.name, enhanced=one.enhanced)
