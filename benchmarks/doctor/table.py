"""The result table: Markdown for people, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.doctor import figures
from benchmarks.doctor.cases import injected
from benchmarks.doctor.cure import Cured
from benchmarks.doctor.figures import LEVELS, Judged, Rate
from benchmarks.doctor.harm import Harm
from benchmarks.doctor.verdict import UNMADE, describe, in_words

Harms = Mapping[tuple[str, str, float], Harm]


def harmful(judged: Judged, harms: Harms, is_harmful: bool) -> Judged:
    """Faulty cases whose fault was measured to do harm, or to do none that shows."""
    found = []
    for case, verdict in figures.faulty(judged):
        harm = harms.get((case.material, str(case.fault), float(case.severity or 0)))
        if harm is not None and harm.harmful == is_harmful:
            found.append((case, verdict))
    return found


def markdown(split: str, judged: Judged, harms: Harms, cured: Sequence[Cured]) -> str:
    """All tables of a split."""
    unmade = [one for one in judged if one[1].failed.startswith(UNMADE)]
    sound = [one for one in judged if one not in unmade]
    broken = sum(bool(verdict.failed) for _, verdict in sound)
    whole, alone = (figures.as_histories(sound, one) for one in (False, True))
    parts = [f"## {split}", _main(whole, harms), _families(whole), _healthy(whole), _severities(whole)]
    parts += [_histories(alone), _rules(whole, alone)]
    parts.append(_cure(cured) if cured else "The cure was not run.")
    parts.append(f"{len(unmade)} cases could not be made and are left out; on {broken} the doctor itself failed.")
    return "\n\n".join(parts) + "\n"


def _lines(head: Sequence[str], rows: Iterator[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def _main(judged: Judged, harms: Harms) -> str:
    def rows() -> Iterator[Sequence[object]]:
        for level, suspects in LEVELS.items():
            alarms, found = figures.false_alarms(judged, suspects), figures.recall(judged, suspects)
            for name, part in (
                ("seen kinds", figures.faulty(judged, unseen=False)),
                ("unseen kinds", figures.faulty(judged, unseen=True)),
                ("harmful", harmful(judged, harms, True)),
                ("latent", harmful(judged, harms, False)),
            ):
                yield (
                    level, alarms, name, figures.recall(part, suspects), figures.named_right(part, suspects, 1),
                    figures.named_right(part, suspects, 3), figures.named_exactly(part, suspects),
                    f"{100 * figures.precision(alarms, found):.0f} %",
                )  # fmt: skip

    head = ("level", "false alarms", "faults", "found", "first name right", "among three", "exact", "precision at 20 %")
    middle, longest = figures.seconds(judged)
    return _lines(head, rows()) + f"\n\nTime to a verdict: median {middle:.1f} s, longest {longest:.1f} s."


def _families(judged: Judged) -> str:
    def rows() -> Iterator[Sequence[object]]:
        groups = figures.by(figures.faulty(judged), lambda case: injected(case).family)
        for family, part in groups.items():
            yield family, figures.recall(part, False), figures.recall(part, True), figures.named_right(part, True, 1)

    return _lines(("family", "found as fault", "found", "first name right"), rows())


def _healthy(judged: Judged) -> str:
    def rows() -> Iterator[Sequence[object]]:
        for given, part in figures.by(figures.healthy(judged), lambda case: f"{case.material}, {case.given}").items():
            yield given, figures.false_alarms(part, False), figures.false_alarms(part, True)

    return _lines(("healthy, given as", "called faulty", "or suspect"), rows())


def _severities(judged: Judged) -> str:
    def rows() -> Iterator[Sequence[object]]:
        for name, part in figures.severities(judged).items():
            yield name, figures.recall(part, False), figures.recall(part, True), figures.named_right(part, True, 1)

    return _lines(("severity", "found as fault", "found", "first name right"), rows())


def _histories(alone: Judged) -> str:
    """Runs of which nothing but a history was given, by its format; all of them first."""
    groups = {"any": alone, **figures.by(alone, lambda case: case.given)}

    def rows() -> Iterator[Sequence[object]]:
        for way, part in groups.items():
            for level, suspects in LEVELS.items():
                for name, ill in (("shown", figures.shown(part, True)), ("not shown", figures.shown(part, False))):
                    if ill or name == "shown":
                        right = figures.named_right(ill, suspects, 1)
                        yield (
                            way,
                            level,
                            figures.false_alarms(part, suspects),
                            name,
                            figures.recall(ill, suspects),
                            right,
                        )

    head = ("history alone", "level", "false alarms", "faults that it", "found", "first name right")
    return _lines(head, rows())


def _rules(whole: Judged, alone: Judged) -> str:
    """Beside simple judges: run folders, then histories with what they can show."""
    folders = [one for one in whole if one[0].material == "run"]
    readable = [*figures.healthy(alone), *figures.shown(alone, True)]

    def rows() -> Iterator[Sequence[object]]:
        for given, runs in (("run folder", folders), ("history", readable)):
            for level, suspects in LEVELS.items():
                alarms, found = figures.false_alarms(runs, suspects), figures.recall(runs, suspects)
                yield given, f"auscult, {level}", alarms, found, figures.named_right(runs, suspects, 1)
            for one in figures.baselines(runs):
                yield given, one.name, one.alarms, one.found, one.named

    return _lines(("a run, given as", "judge", "false alarms", "found", "first name right"), rows())


def _cure(cured: Sequence[Cured]) -> str:
    recovered = Rate(sum(one.recovered for one in cured), len(cured))
    rows = ((one.fault, one.cause, f"{one.before:.2f}", f"{one.after:.2f}", one.recovered) for one in cured)
    head = ("fault", "cause that was named", "SI-SDR", "after the remedy", "recovered")
    return f"Recovered into the healthy interval: {recovered}.\n\n" + _lines(head, iter(tuple(row) for row in rows))


def as_data(judged: Judged, harms: Harms, cured: Sequence[Cured]) -> dict[str, Any]:
    """The same for machines, with a row a case; histories alone apart."""
    whole, alone = (figures.as_histories(judged, one) for one in (False, True))
    readable = [*figures.healthy(alone), *figures.shown(alone, True)]
    rows = [{"case": describe(case), "verdict": in_words(verdict)} for case, verdict in judged]
    found = {"levels": _levels(whole, harms), "histories": _levels(readable, harms)}
    return {**found, "cured": [vars(one) for one in cured], "cases": rows}


def _levels(judged: Judged, harms: Harms) -> dict[str, Any]:
    return {
        level: {
            "false_alarms": figures.false_alarms(judged, suspects).as_dict(),
            "recall": figures.recall(judged, suspects).as_dict(),
            "harmful": figures.recall(harmful(judged, harms, True), suspects).as_dict(),
            "latent": figures.recall(harmful(judged, harms, False), suspects).as_dict(),
            "top1": figures.named_right(judged, suspects, 1).as_dict(),
            "top3": figures.named_right(judged, suspects, 3).as_dict(),
            "exact": figures.named_exactly(judged, suspects).as_dict(),
        }
        for level, suspects in LEVELS.items()
    }


def write(path: Path, results: Mapping[str, Any], text: str) -> None:
    """``results.json`` and ``results.md`` beside it."""
    path.write_text(json.dumps(results, indent=1) + "\n")
    path.with_suffix(".md").write_text(text)
