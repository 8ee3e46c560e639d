"""Whether files have the rate that is stated; asked where no loader is at hand that could show what becomes of them."""

from __future__ import annotations

from collections import Counter

from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.finding import Exhibit, Finding, Measured, Remedy

ID = "data-header-rate"


def run(case: Case) -> Finding | None:
    """Rates in headers against the stated one."""
    stated, items = case.facts.value("rate_hz"), case.get("items")
    if stated is None or (items is not None and items.through_loader):
        return None
    infos = [info for rows in case.files.splits.values() for pair in rows for info in (pair.clean, pair.noisy) if info]
    if not infos:
        return None
    source = case.facts["rate_hz"].source
    others = [info for info in infos if info.rate_hz != stated]
    measured = (
        Measured("files of another rate than is stated", len(others), "", "0, or resampled when they are read"),
    )
    if not others:
        says = f"all {len(infos)} files have {stated} Hz, as {source} says"
        return Finding(ID, "healthy", ("wrong-rate",), says, measured)
    rates = ", ".join(f"{count} of {rate} Hz" for rate, count in Counter(i.rate_hz for i in others).most_common(3))
    says = f"{len(others)} of {len(infos)} files do not have the {stated} Hz that {source} says: {rates}"
    remedy = Remedy(f"resample them to {stated} Hz when they are read, and listen to what the loader gives")
    exhibits = [Exhibit(str(info.path), f"{info.rate_hz} Hz") for info in others[:3]]
    return Finding(ID, "suspect", ("wrong-rate",), says, measured, remedy=remedy, exhibits=exhibits)


HEADER_RATE = Check(
    ID,
    "data",
    "Have files the rate that is stated?",
    ("files",),
    0.1,
    "suspect: any file of another rate than --rate or --fact rate_hz says, where no loader shows that it is resampled",
    "Definition: headers against the rate of the net; docs/cases/voicebank-48k.md",
    run,
)
