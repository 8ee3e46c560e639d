"""Options of ``auscult enhance`` for models of super-resolution."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from auscult.restore.engine import Report
    from auscult.restore.extension import ExtensionRequest

TargetRate = Annotated[
    int | None,
    typer.Option(help="For models of super-resolution: rate of the result, hertz, at most the model's. Default: that."),
]
Caption = Annotated[str | None, typer.Option(help="For those that hear text: what is to be heard in the recordings.")]
Rolloff = Annotated[
    float | None,
    typer.Option(help="For those told of roll-offs: how far up energy shall reach, 0 to 1 of half the model's rate."),
]


class SpliceAt(str, Enum):
    """Where the given band ends."""

    knee = "knee"
    hard = "hard"
    cosine = "cosine"
    none = "none"


Splice = Annotated[
    SpliceAt | None,
    typer.Option(
        help="For models of super-resolution: the given band ends below the knee of both spectra (default), hard at "
        "the roll-off, in a cosine about it, or nowhere."
    ),
]


def extension_request(
    target_rate_hz: int | None, caption: str | None, rolloff: float | None, splice: SpliceAt | None
) -> ExtensionRequest | None:
    """What is asked for; None: nothing is."""
    from auscult.restore.extension import ExtensionRequest

    if target_rate_hz is None and caption is None and rolloff is None and splice is None:
        return None
    return ExtensionRequest(target_rate_hz, caption, rolloff, (splice or SpliceAt.knee).value)


def extension_words(report: Report) -> list[str]:
    """What a model of super-resolution did to a file."""
    return [] if report.extended is None else [report.extended.in_words()]
