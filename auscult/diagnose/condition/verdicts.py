"""What may be said, by rules that read intervals and corrected tests and never a mean alone.

A difference is *shown* where its 95 % interval excludes zero and its p, corrected by Holm within its family, is below
0.05 (:attr:`Difference.sign`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from auscult.diagnose.condition import exchange
from auscult.diagnose.condition.examination import Examination
from auscult.diagnose.condition.exchange import DISJOINT, NULL, OVERLAPPING, REALISTIC, SHUFFLED, SILENT, WRONG
from auscult.diagnose.condition.paired import LEVEL, Difference, find
from auscult.evaluate.summary import Estimate

Answer = Literal["yes", "no", "in part", "not shown", "not measured"]
IGNORED = 0.01
"""Two answers of a net that differ by less than this share are the same for all purposes."""
COLLAPSED = 0.01
"""Embeddings of which less than this share varies are one embedding."""
LARGELY = 0.5
"""The part of an embedding from which on it is called redundant."""


@dataclass(frozen=True)
class Verdict:
    """An answer to a question, in words, and the rule that it follows from."""

    question: str
    answer: Answer
    words: str
    rule: str


def verdicts(of: Examination) -> tuple[Verdict, ...]:
    """One verdict a question."""
    return tuple(rule(of) for rule in (used, helps, leaks, redundant, collapsed, recognises, realistic, learns))


def used(of: Examination) -> Verdict:
    """Does the answer depend on which noise the net is told of?"""
    rule = (
        "yes: the loss with silence, another item's or another type's reference differs from that with the own one. "
        f"no: at every time the two answers differ by less than {IGNORED:.0%} (upper end of the interval)"
    )
    shown = _shown(of.exchange.differences if of.exchange else (), (SHUFFLED, WRONG, SILENT))
    if shown:
        return Verdict("Is it used?", "yes", f"the loss changes with {_listed(shown)} in place of the own one", rule)
    if of.gap and all(one.of.high < IGNORED for one in of.gap):
        words = "ignored: with the reference and without it the net says the same"
        return Verdict("Is it used?", "no", words, rule)
    if of.exchange is None:
        return Verdict("Is it used?", "not measured", "", rule)
    presence = find(of.exchange.differences, NULL)
    only = "; only that there is a reference at all is seen to matter" if presence and presence.sign else ""
    return Verdict("Is it used?", "not shown", f"no exchange of references changes the loss measurably{only}", rule)


def helps(of: Examination) -> Verdict:
    """Is the net better off with the item's own reference than without any?"""
    rule = "by loss without a reference minus loss with the own one, and by scores of restorations, shown above zero"
    loss = find(of.exchange.differences, NULL) if of.exchange else None
    gains = {"the loss": loss.sign} if loss else {}
    for metric, compared in (of.restoration.differences if of.restoration else {}).items():
        if one := find(compared, NULL):
            gains[metric] = -one.sign  # none minus own: below zero the own one is better
    if not gains:
        return Verdict("Does it help?", "not measured", "", rule)
    better, worse = ([name for name, sign in gains.items() if sign == wanted] for wanted in (1, -1))
    undecided = [name for name, sign in gains.items() if not sign]
    words = [f"better in {_listed(better)}" if better else "", f"worse in {_listed(worse)}" if worse else "",
             f"no difference shown in {_listed(undecided)}" if undecided else ""]  # fmt: skip
    answer: Answer = "not shown"
    if better or worse:
        answer = "no" if not better else "in part" if worse or undecided else "yes"
    return Verdict("Does it help?", answer, "; ".join(filter(None, words)), rule)


def leaks(of: Examination) -> Verdict:
    """Does a reference help only where it overlaps what is restored, which gives the target away?"""
    question = "Does it only help because it leaks?"
    rule = (
        "yes: an overlapping reference is shown to help, and to help more than one beside the crop, which is not shown "
        "to. in part: both help, the overlapping one more. no: one beside the crop helps, and overlapping adds nothing "
        "that is shown"
    )
    beside, within = (find(of.origins or (), name) for name in (DISJOINT, OVERLAPPING))
    if beside is None or within is None:
        return Verdict(question, "not measured", "", rule)
    over = find(of.origins or (), exchange.over(OVERLAPPING))
    more = over is not None and over.sign > 0
    if beside.sign > 0:
        words = f"a reference that shares no sample with the crop saves {_numbers(beside.of)} of loss"
        if over is not None and more:
            return Verdict(question, "in part", f"{words}; an overlapping one {_numbers(over.of)} more", rule)
        return Verdict(question, "no", words, rule)
    if within.sign > 0 and more:
        return Verdict(question, "yes", "it helps within the crop, and beside it is not shown to", rule)
    helping = "an overlapping one helps, but not shown to be more than one beside the crop does"
    return Verdict(question, "not shown", helping if within.sign > 0 else "neither origin is shown to help", rule)


def redundant(of: Examination) -> Verdict:
    """Could the net read the embedding off the noisy input?"""
    rule = f"by R² of a linear probe from the noisy input: its interval above {LARGELY}, or below"
    if of.redundancy is None:
        return Verdict("Is it redundant?", "not measured", "", rule)
    if of.space and _side(of.space.spread, COLLAPSED) == "no":
        return Verdict(
            "Is it redundant?", "not measured", "the embedding has collapsed: there is nothing to tell", rule
        )
    words = f"a linear probe of the noisy input explains {_interval(of.redundancy)} of the embedding"
    answer = _side(of.redundancy, LARGELY)
    return Verdict("Is it redundant?", answer, words, rule)


def collapsed(of: Examination) -> Verdict:
    """Are all embeddings the same?"""
    rule = f"yes: less than {COLLAPSED:.0%} of the embeddings' energy varies (upper end); no: more (lower end)"
    if of.space is None:
        return Verdict("Has the embedding collapsed?", "not measured", "", rule)
    answer = {"yes": "no", "no": "yes"}.get(_side(of.space.spread, COLLAPSED), "not shown")
    words = f"effective rank {of.space.effective_rank:.1f} of {of.space.dimensions} dimensions"
    return Verdict("Has the embedding collapsed?", answer, words, rule)  # type: ignore[arg-type]


def recognises(of: Examination) -> Verdict:
    """Are pieces of one recording closer than pieces of two, and can types be told?"""
    question, rule = (
        "Does it know a noise again?",
        (
            "yes: the cosine of two pieces of one recording lies above that of two items, or a linear probe tells "
            "types better than chance (interval and permutations)"
        ),
    )
    if of.alike is None and of.types is None:
        return Verdict(question, "not measured", "", rule)
    known = ["two pieces of one recording are alike"] if of.alike and of.alike.difference.sign > 0 else []
    if of.types and of.types.accuracy_p < LEVEL and of.types.accuracy.low > of.types.chance:
        known.append(f"a probe tells {of.types.kinds} types in {_interval(of.types.accuracy)} of the cases")
    return Verdict(question, "yes" if known else "not shown", _listed(known), rule)


def realistic(of: Examination) -> Verdict:
    """Does a stretch of the noisy recording itself serve, as restoration will have it?"""
    rule = "yes: it is shown to help. no: it is shown to harm, against no reference. Then against a disjoint one"
    question, own = "Does a reference from the noisy recording serve?", find(of.origins or (), REALISTIC)
    if own is None:
        return Verdict(question, "not measured", "", rule)
    answer: Answer = "yes" if own.sign > 0 else "no" if own.sign < 0 else "not shown"
    against = find(of.origins or (), exchange.over(REALISTIC))
    sign = against.sign if against else 0
    words = {
        1: "it serves better than a true one",
        -1: "a true one serves better",
        0: "no difference to a true one shown",
    }
    return Verdict(question, answer, words[sign] if against else "", rule)


def learns(of: Examination) -> Verdict:
    """Does a gradient reach the condition?"""
    rule = "no: the gradient of the encoder and of all injections is exactly zero; it is exact, and has no interval"
    if not of.gradients:
        return Verdict("Does learning reach it?", "not measured", "", rule)
    parts = [one for one in of.gradients if one.part.startswith(("encoder", "injection"))]
    still = [one.part for one in parts if one.norm == 0]
    answer: Answer = "yes" if not still else "no" if len(still) == len(parts) else "in part"
    return Verdict("Does learning reach it?", answer, f"no gradient in {_listed(still)}" if still else "", rule)


def _shown(found: Sequence[Difference], names: Sequence[str]) -> list[str]:
    return [
        f"{name} reference" if name != SILENT else name for name in names if (one := find(found, name)) and one.sign
    ]


def _side(one: Estimate, limit: float) -> Answer:
    return "yes" if one.low > limit else "no" if one.high < limit else "not shown"


def _numbers(one: Estimate) -> str:
    return f"{one.mean:.3g} [{one.low:.3g}, {one.high:.3g}]"


def _interval(one: Estimate) -> str:
    return f"{one.mean:.0%} [{one.low:.0%}, {one.high:.0%}]"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
