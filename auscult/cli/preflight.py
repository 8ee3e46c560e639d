"""The look at data and loss before a training, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from auscult.diagnose.preflight import Preflight
    from auscult.train.setup import RunPlan


def looked_before(raw: Mapping[str, Any], plan: RunPlan, force: bool) -> Preflight:
    """Look, and say what was found.

    Raises:
        TrainingError: a certain fault, and no ``force``.
    """
    from auscult.diagnose.preflight import preflight, words
    from auscult.errors import TrainingError

    found = preflight(raw, plan.data, plan.validation.data if plan.validation else None)
    typer.echo(found.line())
    refused = () if force else found.refused
    for one in found.findings:
        if one not in refused:
            typer.secho(f"  {words(one)}", fg="yellow", err=True)
    if refused:
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise TrainingError(f"{words(refused[0])}{more}; auscult audit shows the items; --force trains all the same")
    return found
