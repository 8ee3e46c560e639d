"""The noise condition of a model: its instruments' verdicts as findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import Absent
from auscult.diagnose.finding import Finding, Measured, Verdict
from auscult.evaluate.summary import Estimate, estimate
from auscult.hub.runs import HISTORY, read_history
from auscult.rng import Key

if TYPE_CHECKING:
    from auscult.diagnose.condition.examination import Examination
    from auscult.diagnose.condition.items import Items
    from auscult.diagnose.condition.subject import Subject

ITEMS = 24
BUDGET_S = 25.0
FEWEST = 8
"""Logged steps."""
OFF = 0.05
"""Drop-out that differs by more than this from what was asked, beyond its interval, is another one."""

CONSTANT = 1e-6
"""Of the embeddings' energy: so little varies in what is one and the same. Encoders that few steps have taught vary by
2e-5 and more."""


def check_condition(case: Case) -> Sequence[Finding]:
    """Is the condition used, does it vary, does learning reach it, does it leak?

    Raises:
        Absent: no data were given. DataError, RecipeError: the data give no references.
    """
    if case.model.section.get("conditioning") is None:
        return []
    clock = Clock.lasting(min(BUDGET_S, case.clock.left))
    subject, items = items_of(case, ITEMS)
    return judged(examined(subject, items, case.key.child("condition"), clock))


def items_of(case: Case, count: int) -> tuple[Subject, Items]:
    """The conditioned model of a case, and items of its data with references.

    Raises:
        Absent: no data were given. CheckpointError: the model has no noise condition. DataError, RecipeError: the data
        give no references.
    """
    from auscult.diagnose.condition.items import draw
    from auscult.diagnose.condition.recordings import Recordings, run_of, section_of
    from auscult.diagnose.condition.subject import open_subject

    path, given = case.model.path, case.given
    section = section_of(run_of(path), given.recipe, (), given.trust)
    subject = open_subject(path, given.device, given.trust)
    recordings = Recordings.of(section.content, _root(case))
    return subject, draw(recordings, subject.method.normalise, count, case.key.child("condition"))


def judged(of: Examination) -> list[Finding]:
    """Verdicts as findings."""
    answers = [_collapsed(of), _used(of), _learns(of), _leaks(of), _redundant(of)]
    return [one for one in answers if one is not None]


def examined(subject: Subject, items: Items, key: Key, clock: Clock) -> Examination:
    """The instruments on embeddings, gradients and losses; restorations and pictures take longer than a check may."""
    from auscult.diagnose.condition import embedding, exchange
    from auscult.diagnose.condition.examination import Examination
    from auscult.diagnose.condition.gap import gap
    from auscult.diagnose.condition.gradients import gradients
    from auscult.diagnose.condition.redundancy import redundancy

    z = embedding.vectors(subject, items.own)
    return Examination(
        name=subject.name,
        items=len(items),
        kinds=len(set(items.kinds) - {None}),
        space=embedding.space(subject, z),
        alike=None,
        types=None,
        redundancy=redundancy(items.noisy, z),
        picture=None,
        gradients=gradients(subject, items),
        dropout=None,
        gap=gap(subject, items, clock.share(0.25)) if subject.has_null else None,
        exchange=exchange.exchange(subject, items, key, clock.share(0.6)),
        origins=exchange.origins(subject, items, clock) if clock.left > 0 else None,
        lengths=None,
        restoration=None,
        left_out={},
        notes=items.notes,
        elapsed_s=0.0,
    )


def _root(case: Case) -> Path:
    if not case.given.data:
        raise Absent("a condition needs items with references (--data)")
    first = next(iter(case.given.data.values()))
    return first.parent if first.is_file() else first


def _collapsed(of: Examination) -> Finding | None:
    from auscult.diagnose.condition.verdicts import COLLAPSED, collapsed

    if of.space is None or of.space.what != "embedding":
        return None
    verdict, spread = collapsed(of), of.space.spread
    measured = [
        Measured("share of the embeddings' energy that varies", 100 * spread.mean, "%", f"above {COLLAPSED:.0%}",
                 100 * spread.low, 100 * spread.high),
        Measured("effective rank", of.space.effective_rank, "dimensions", "above 2"),
    ]  # fmt: skip
    says = (
        f"{spread.mean:.2%} of the embeddings' energy varies over {of.items} references "
        f"(effective rank {of.space.effective_rank:.1f} of {of.space.dimensions})"
    )
    constant = spread.high < CONSTANT
    says += "" if constant or verdict.answer != "yes" else ": a common part outweighs it, as in young encoders"
    levels: dict[str, Verdict] = {"yes": "fault" if constant else "cannot tell", "no": "healthy"}
    return _said("condition-collapse", verdict.answer, levels, "condition-collapsed", says, measured)


def _used(of: Examination) -> Finding:
    from auscult.diagnose.condition.verdicts import IGNORED, used

    verdict = used(of)
    measured = [
        Measured(f"answer with and without the reference, t = {one.t:.2g}", 100 * one.of.mean, "%",
                 f"above {IGNORED:.0%}", 100 * one.of.low, 100 * one.of.high)
        for one in of.gap or ()
    ]  # fmt: skip
    measured += [
        Measured(f"loss with {one.name} minus with the own one", one.of.mean, "", "above 0", one.of.low, one.of.high)
        for one in (of.exchange.differences if of.exchange else ())
    ]
    gap = max((one.of.mean for one in of.gap), default=0.0) if of.gap else None
    says = verdict.words + (f"; the two answers differ by at most {gap:.2%}" if gap is not None else "")
    levels: dict[str, Verdict] = {"yes": "healthy", "no": "fault"}
    return _said("condition-use", verdict.answer, levels, "condition-ignored", says, measured)


def _learns(of: Examination) -> Finding:
    """A part that no gradient reaches is a fault where the condition has no effect either."""
    from auscult.diagnose.condition.verdicts import learns, used

    verdict = learns(of)
    measured = [Measured(f"gradient of {one.part}", one.norm, "", "above 0") for one in of.gradients or ()]
    says = verdict.words or "gradients reach the encoder and all injections"
    levels: dict[str, Verdict] = {"yes": "healthy", "no": "cannot tell" if used(of).answer == "yes" else "fault"}
    return _said("condition-gradient", verdict.answer, levels, "condition-no-gradient", says, measured)


def _leaks(of: Examination) -> Finding:
    from auscult.diagnose.condition.verdicts import leaks

    verdict = leaks(of)
    measured = [
        Measured(f"loss saved by a reference that is {one.name}", one.of.mean, "", "", one.of.low, one.of.high)
        for one in of.origins or ()
    ]
    says = verdict.words or "whether a reference helps only within the crop is not measured"
    levels: dict[str, Verdict] = {"yes": "suspect", "no": "healthy"}
    return _said("condition-leak", verdict.answer, levels, "condition-leaks", says, measured)


def _redundant(of: Examination) -> Finding:
    """No alarm: the noise is to be heard in the noisy input of every healthy set-up."""
    from auscult.diagnose.condition.verdicts import redundant

    verdict = redundant(of)
    says = verdict.words or "how far the input tells the embedding is not measured"
    return _said("condition-redundancy", verdict.answer, {"no": "healthy"}, "condition-redundant", says, [])


def _said(
    check: str, answer: str, levels: Mapping[str, Verdict], cause: str, says: str, measured: Sequence[Measured]
) -> Finding:
    return Finding(check, levels.get(answer, "cannot tell"), (cause,), says, measured)


def check_drop(case: Case) -> Finding | None:
    """Is the condition left out as often as asked?"""
    asked, path = case.facts.value("drop"), case.run.path / HISTORY
    if asked is None or not path.is_file():
        return None
    turns = [row["turns"]["net"] for row in read_history(path) if "net" in row.get("turns", {})]
    dropped = [one["notes"]["dropped"] for one in turns if "dropped" in one.get("notes", {})]
    return _of_drop(float(asked), estimate(dropped)) if len(dropped) >= FEWEST else None


def _of_drop(asked: float, real: Estimate) -> Finding:
    measured = [Measured("references left out", 100 * real.mean, "%", f"{asked:.0%}", 100 * real.low, 100 * real.high)]
    says = f"{real.mean:.1%} [{real.low:.1%}, {real.high:.1%}] of the references were left out, asked were {asked:.0%}"
    if asked > 0 and real.mean == 0.0:
        return Finding("condition-drop", "fault", ("drop-out-off", "null-untrained"), says, measured)
    if not real.low <= asked <= real.high and abs(real.mean - asked) > OFF:
        return Finding("condition-drop", "fault", ("drop-out-off",), says, measured)
    return Finding("condition-drop", "healthy", ("drop-out-off", "null-untrained"), says, measured)


CONDITION = Check(
    "condition",
    "conditioning",
    "Does the noise condition vary, is it used, does learning reach it, does it leak?",
    ("model",),
    35.0,
    "fault: less than 1e-6 of the embeddings' energy varies; with and without the reference the net's answers differ "
    "by less than 1 % at all times (upper ends of 95 % intervals); no gradient reaches encoder and injections. "
    "suspect: a reference is shown to help within the crop only",
    "docs/conditions.md",
    check_condition,
)
DROP = Check(
    "condition-drop",
    "conditioning",
    "Is the condition left out as often as asked?",
    ("run",),
    0.5,
    f"fault: what was asked lies outside the 95 % interval of the history's share and {OFF:g} away, or none was",
    "Definition: references left out, counted; Ho and Salimans 2022",
    check_drop,
)
