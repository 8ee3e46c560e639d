"""Scores of a ladder's arms: by the engine of ``auscult evaluate``, item by item, every result kept and used again.

A way of restoring (checkpoint, settings, weights, items, metrics) has a folder named by its digest: arms that share
one share its rows, and what is restored once is never restored again.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from auscult import recipe
from auscult.ablate.arms import Rung
from auscult.ablate.items import EXCHANGED, Listed
from auscult.ablate.ladder import Ladder
from auscult.errors import RecipeError
from auscult.evaluate.conduct import Conduct, carry_out
from auscult.evaluate.extensions import CAPTION
from auscult.evaluate.references import DURATION, SOURCE
from auscult.evaluate.rows import Row
from auscult.evaluate.score import NOISY
from auscult.evaluate.sources import Opening
from auscult.evaluate.store import Store
from auscult.evaluate.study import Plan, Setting, Study, System, plan
from auscult.hub.runs import best_checkpoint, checkpoints

ITEMS = "items"
"""The name of the data set of a ladder."""


def inputs(ladder: Ladder, listed: Listed, out: Path, conduct: Conduct) -> Path:
    """The folder of the noisy items' own scores; they also measure what items can be grouped by."""
    return _kept(plan(Study({ITEMS: listed.data}, metrics=ladder.metrics), out), out, conduct)


def score(ladder: Ladder, listed: Listed, out: Path, conduct: Conduct, rung: Rung, run: Path) -> Path:
    """Restore the items with a run's checkpoint as the arm restores, and score them; the folder of the scores.

    Raises:
        CheckpointError: the run has none. RecipeError: settings that the method does not know.
    """
    checkpoint = best_checkpoint(run) if ladder.evaluation.checkpoint == "best" else checkpoints(run)[-1]
    system = System(model=str(checkpoint), settings=settings_of(rung, listed))
    study = Study({ITEMS: listed.data}, {"arm": system}, metrics=ladder.metrics, opening=Opening(weights=rung.weights))
    return _kept(_without_inputs(plan(study, out)), out, conduct)


def settings_of(rung: Rung, listed: Listed) -> dict[str, Setting]:
    """The arm's settings; one that is told of the noise gets the items' own references, if it asks for no others.

    Captions come with the items themselves.

    Raises:
        RecipeError: it asks for exchanged ones, and the items have none; or it learned with captions, and they have
            none.
    """
    learned = "text" in (rung.hears or ()) and "text" in rung.plan.data.no_conditions()
    if not listed.captions and (learned or rung.settings.get(CAPTION) == EXCHANGED):
        raise RecipeError(
            f"arm '{rung.name}' is told of captions, and the items have none; set validation.data.captions too (common)"
        )
    if listed.references is None and rung.settings.get(SOURCE) == EXCHANGED:
        raise RecipeError(f"arm '{rung.name}': the items have no references to exchange; give data of type Referenced")
    if listed.references is None or not rung.conditioned:
        return dict(rung.settings)
    told = {SOURCE: str(listed.references), DURATION: listed.reference_s, **rung.settings}
    return told if told[SOURCE] != EXCHANGED else {**told, SOURCE: str(listed.references.with_name(EXCHANGED))}


def _kept(planned: Plan, out: Path, conduct: Conduct) -> Path:
    """The folder of scores, named by the digest of all that they depend on; filled where it is not."""
    head = planned.evaluation
    folder = out / "scores" / recipe.digest({"systems": head.systems, "protocol": head.protocol})
    with Store(folder, head) as store:
        carry_out(planned, store, conduct, _kept_already)
    return folder


def _kept_already(row: Row) -> None:
    """The store has the row; nothing else waits for it."""


def _without_inputs(planned: Plan) -> Plan:
    """The noisy items have a folder of their own."""
    systems = {name: facts for name, facts in planned.evaluation.systems.items() if name != NOISY}
    tasks = tuple(task for task in planned.tasks if task.system != NOISY)
    return replace(planned, evaluation=replace(planned.evaluation, systems=systems), tasks=tasks)
