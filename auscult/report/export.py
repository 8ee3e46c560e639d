"""The plain folder that people share: recordings, scores, plots of what stands out, and an index."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auscult.evaluate.rows import Evaluation
from auscult.evaluate.summary import Summary
from auscult.files import aside, write_bytes
from auscult.report import plots
from auscult.report.highlights import (
    NOISY,
    Entry,
    Highlights,
    Pick,
    entries,
    facts_in_words,
    highlights,
    metric_decimals,
    systems_of,
)
from auscult.report.tables import csv_text, escaped, markdown, number


def export(
    evaluation: Evaluation, summary: Summary, folder: Path, metric: str | None = None, system: str | None = None
) -> list[str]:
    """Write the folder and return a sentence for each recording that could not be copied or drawn.

    ``enhanced/<system>/``, ``noisy/`` and ``clean/`` hold copies in the files' own formats (in a folder for each data
    set and seed where there are several); ``plots/`` a waveform and a spectrogram of each highlighted item.

    Raises:
        MissingExtra: matplotlib is not installed. OutputError: the folder cannot be written.
    """
    chosen = highlights(evaluation, summary, metric, system)
    copies = _Copies(folder)
    _copy_recordings(evaluation, copies)
    pictures = [_draw(i, pick, systems_of(evaluation), copies) for i, pick in enumerate(chosen.picks, 1)]
    write_bytes(folder / "evaluation_results.csv", csv_text(evaluation).encode())
    write_bytes(folder / "highlights.txt", _highlights_text(evaluation, chosen).encode())
    write_bytes(folder / "README.md", _index(evaluation, summary, chosen, pictures, copies.missing).encode())
    return copies.missing


def safe_name(name: str) -> str:
    """A name of a system, data set or item as one or more folders that stay inside theirs."""
    parts = [re.sub(r'[\x00-\x1f<>:"|?*\\]', "-", part).strip(". ") for part in name.split("/")]
    return "/".join(part for part in parts if part) or "unnamed"


@dataclass
class _Copies:
    """Copies made so far: where each source went, and what is missing. No copy replaces another source's."""

    folder: Path
    made: dict[Path, Path] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def add(self, source: Path | None, place: str) -> None:
        """Copy ``source`` to ``place``, with its own suffix."""
        if source is None:
            return
        target = self._free(self.folder / f"{place}{source.suffix}", source)
        if self.made.get(target) == source:
            return
        if not source.is_file():
            self.missing.append(f"{source}: no such file")
            return
        with aside(target) as part:
            shutil.copyfile(source, part)
        self.made[target] = source

    def _free(self, target: Path, source: Path) -> Path:
        taken, number_of = target, 2
        while self.made.get(taken, source) != source:
            taken, number_of = target.with_stem(f"{target.stem}-{number_of}"), number_of + 1
        return taken


def _copy_recordings(evaluation: Evaluation, copies: _Copies) -> None:
    several_sets = len({item.data for item in evaluation.items}) > 1
    several_seeds = len({row.seed for row in evaluation.rows}) > 1

    def place(*parts: str | None) -> str:
        return "/".join(safe_name(part) for part in parts if part)

    for item in evaluation.items:
        data = item.data if several_sets else None
        copies.add(item.noisy, place("noisy", data, item.name))
        copies.add(item.clean, place("clean", data, item.name))
    for row in evaluation.rows:
        if row.system != NOISY:
            data, seed = row.data if several_sets else None, f"seed-{row.seed}" if several_seeds else None
            copies.add(row.estimate, place("enhanced", row.system, data, seed, row.item))


def _draw(place: int, pick: Pick, systems: Sequence[str], copies: _Copies) -> list[Path]:
    """The plots of an item, relative to the folder; none where no recording can be read."""
    signals, missing = plots.signals_of(pick.entry, systems)
    copies.missing += [f"{pick.entry.item.name}: {words}" for words in missing]
    if not signals:
        return []
    stem = f"{place:02d}-{safe_name(pick.entry.item.name).replace('/', '-')}"
    drawn = {"waveform": plots.waveforms(signals), "spectrogram": plots.spectrograms(signals)}
    for kind, png in drawn.items():
        write_bytes(copies.folder / "plots" / f"{stem}-{kind}.png", png)
    return [Path("plots") / f"{stem}-{kind}.png" for kind in drawn]


def _highlights_text(evaluation: Evaluation, chosen: Highlights) -> str:
    """Best and worst items with every score of every system."""
    digits = metric_decimals(entries(evaluation), evaluation.metrics)
    lines = [f"By {chosen.metric.name} of {chosen.system}. Fingerprint {evaluation.fingerprint}."]
    for title, picks in (("Best", chosen.best), ("Worst", chosen.worst)):
        lines += ["", f"{title} {len(picks)}"]
        for pick in picks:
            lines += ["", f"  {pick.entry.item.name}", f"    {pick.why}"]
            lines += _score_lines(pick.entry, systems_of(evaluation), digits)
    return "\n".join(lines) + "\n"


def _score_lines(entry: Entry, systems: Iterable[str], digits: Mapping[str, int]) -> list[str]:
    names = [name for name in systems if name in entry.scores]
    width = max((len(name) for name in names), default=0)
    return [f"    {name:<{width}}  {_scores(entry, name, digits)}" for name in names]


def _scores(entry: Entry, system: str, digits: Mapping[str, int]) -> str:
    scores = {metric: entry.score(system, metric) for metric in digits}
    return "  ".join(f"{m} {'failed' if v is None else number(v, digits[m])}" for m, v in scores.items())


def _index(
    evaluation: Evaluation,
    summary: Summary,
    chosen: Highlights,
    pictures: Sequence[Sequence[Path]],
    missing: Sequence[str],
) -> str:
    """The index: what to listen to first, and why; then the tables."""
    parts = ["# What to listen to, and why", escaped(f"Chosen by {chosen.metric.name} of {chosen.system}.")]
    for place, (pick, drawn) in enumerate(zip(chosen.picks, pictures, strict=True), 1):
        parts.append(f"{place}. {_index_line(pick)} {_links(drawn)}".rstrip())
    parts.append(
        "`enhanced/` has a folder for each system, `noisy/` and `clean/` what they are compared with, "
        "`evaluation_results.csv` every score, `highlights.txt` the best and worst items."
    )
    if missing:
        parts += ["## Missing", "\n".join(f"- {escaped(words)}" for words in missing)]
    return "\n\n".join([*parts, "## Scores", markdown(evaluation, summary)])


def _index_line(pick: Pick) -> str:
    item = pick.entry.item
    facts = facts_in_words(item.facts)
    about = f"{item.data}: {facts}" if facts else item.data
    return f"**{escaped(item.name)}** ({pick.kind}). {escaped(pick.why)}. {escaped(about)}."


def _links(pictures: Iterable[Path]) -> str:
    return ", ".join(f"[{path.stem.rpartition('-')[2]}](<{path.as_posix()}>)" for path in pictures)
