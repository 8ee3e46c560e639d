"""A diagnosis as sentences for a terminal, as data for programs, and as one page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from auscult.audio.clip import Clip, read
from auscult.diagnose.causes import BY_ID
from auscult.diagnose.examine import Diagnosis
from auscult.diagnose.finding import Exhibit, Finding, Measured
from auscult.diagnose.ranking import Ranked
from auscult.errors import AudioError, MissingExtra
from auscult.report.page import flac, media_uri, write_page
from auscult.report.plots import PAGE, Role, Signal, spectrograms
from auscult.report.tables import figures
from auscult.units import duration

LONGEST_S = 6.0
"""Of an exhibit that a page plays and draws."""
MOST_EXHIBITS = 3
"""Of a finding, on a page."""
Table = tuple[list[str], list[list[str]]]
"""Columns and rows."""
ROLES: tuple[Role, ...] = ("noisy", "enhanced", "clean")


def headline(found: Diagnosis) -> str:
    """The verdict in one sentence."""
    if not found.ran:
        return "nothing could be examined"
    if found.faults:
        cause = BY_ID[found.faults[0].finding.causes[0]].title
        others = len(found.faults) - 1
        return f"the cause is: {cause}" + (f" (and {_counted(others, 'other fault')})" if others else "")
    suspects = len(found.ranked)
    return "no fault found" + (f"; {_counted(suspects, 'suspicion')}" if suspects else "")


def summary(found: Diagnosis) -> str:
    """What was done, in one line."""
    parts = [
        _counted(len(found.ran), "check"),
        f"{len(found.ruled_out)} ruled out a cause",
        f"{len(found.open)} could not tell" if found.open else "",
        f"{len(found.not_run)} could not be run" if found.not_run else "",
    ]
    return f"{', '.join(filter(None, parts))}; {duration(found.elapsed_s)}"


def measured(one: Measured) -> str:
    """``median pitch 41 Hz [39, 43] (normal: 75 to 300)``."""
    unit = f" {one.unit}" if one.unit else ""
    between = "" if one.low is None or one.high is None else f" [{figures(one.low)}, {figures(one.high)}]"
    return f"{one.what} {figures(one.value)}{unit}{between}" + (f" (normal: {one.normal})" if one.normal else "")


def causes(one: Finding) -> str:
    """The likeliest cause, and what else it may be."""
    first, *others = (BY_ID[cause].title for cause in one.causes)
    return first + (f"; or: {'; or: '.join(others)}" if others else "")


def remedy(one: Finding) -> list[str]:
    """What to do, a line each: words, settings, command."""
    if one.remedy is None:
        return [BY_ID[one.causes[0]].remedy]
    settings = " ".join(f"--set {setting}" for setting in one.remedy.settings)
    return [line for line in (one.remedy.words, settings, one.remedy.command) if line]


def reasons(not_run: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Checks that were not run by reason, the commonest first."""
    by_reason: dict[str, list[str]] = {}
    for check, reason in not_run:
        by_reason.setdefault(reason, []).append(check)
    return sorted(by_reason.items(), key=lambda pair: -len(pair[1]))


def as_data(found: Diagnosis) -> dict[str, Any]:
    """The diagnosis for JSON; paths as text."""
    return {
        "verdict": headline(found),
        "exit_code": found.exit_code,
        "findings": [{**_finding(one.finding), "folded": [_finding(f) for f in one.folded]} for one in found.ranked],
        "ruled_out": [_finding(one) for one in found.ruled_out],
        "open": [_finding(one) for one in found.open],
        "not_run": [{"check": check, "reason": reason} for check, reason in found.not_run],
        "ran": [{"check": check, "seconds": seconds} for check, seconds in found.ran],
        "facts": {name: {"value": fact.value, "source": fact.source} for name, fact in found.facts.items()},
        "notes": list(found.notes),
        "elapsed_s": found.elapsed_s,
    }


def _finding(one: Finding) -> dict[str, Any]:
    return {**asdict(one), "cause": causes(one), "remedy": remedy(one)}


def write_diagnosis(path: Path, found: Diagnosis, looked: Sequence[Table] = (), heard: Sequence[Exhibit] = ()) -> None:
    """Write the page.

    Args:
        looked: tables of what was looked at.
        heard: items to listen to, whatever was found.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed. OutputError: the page cannot be written.
    """
    write_page(
        path,
        "diagnosis.html",
        headline=headline(found),
        summary=summary(found),
        findings=[_card(one) for one in found.ranked],
        ruled_out=[_words(one) for one in found.ruled_out],
        open=[_words(one) for one in found.open],
        not_run=reasons(found.not_run),
        looked=looked,
        heard=[_exhibit(one) for one in heard],
        facts=[(name, fact.value, fact.source) for name, fact in sorted(found.facts.items())],
        notes=found.notes,
    )


def _card(one: Ranked) -> dict[str, Any]:
    found = one.finding
    return {
        **_words(found),
        "verdict": found.verdict,
        "measured": [_row(number) for number in found.measured],
        "remedy": remedy(found),
        "exhibits": [_exhibit(exhibit) for exhibit in found.exhibits[:MOST_EXHIBITS]],
        "folded": [_words(folded) for folded in one.folded],
    }


def _words(one: Finding) -> dict[str, str]:
    return {"cause": causes(one), "says": one.says, "check": one.check, "family": BY_ID[one.causes[0]].family}


def _row(one: Measured) -> tuple[str, str, str, str]:
    between = "" if one.low is None or one.high is None else f"[{figures(one.low)}, {figures(one.high)}]"
    return one.what, f"{figures(one.value)} {one.unit}".strip(), between, one.normal


@dataclass(frozen=True)
class _Sound:
    label: str
    address: str


def _exhibit(one: Exhibit) -> Mapping[str, Any]:
    signals = list(_signals(one))
    sounds = [_Sound(s.label, media_uri(flac(s.clip), ".flac")) for s in signals]
    picture = media_uri(spectrograms(signals, dpi=110, look=PAGE), ".png") if signals else None
    return {"name": Path(one.name).name, "shows": one.shows, "sounds": sounds, "picture": picture}


def _signals(one: Exhibit) -> Iterator[Signal]:
    for role in ROLES:
        path: Path | None = getattr(one, role)
        try:
            clip = read(path) if path is not None else None
        except (AudioError, MissingExtra):
            continue
        if clip is not None and clip.samples:
            yield Signal(role, role, _beginning(clip))


def _beginning(clip: Clip) -> Clip:
    return Clip(clip.wave[:, : round(LONGEST_S * clip.rate_hz)], clip.rate_hz, clip.name)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
