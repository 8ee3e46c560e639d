"""The evidence of one set-up, loaded when a check first asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import Absent, Curves, Files, Items, Model, Need, Outputs, Practice, Run, Scores
from auscult.diagnose.facts import Facts
from auscult.rng import Key


@dataclass(frozen=True)
class Given:
    """What the user gave. Folders of data by split: ``{"train": path, "test": path}`` or ``{"data": path}``.

    ``columns`` maps columns of a foreign history or table to names of :class:`auscult.diagnose.evidence.Curves` and
    :class:`auscult.diagnose.evidence.Scores`; ``facts`` are stated by hand; ``trust`` names packages
    whose code may run.
    """

    data: Mapping[str, Path] = field(default_factory=dict)
    recipe: str | None = None
    settings: tuple[str, ...] = ()
    run: Path | None = None
    checkpoint: Path | None = None
    outputs: Path | None = None
    history: Path | None = None
    scores: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    loader: str | None = None
    loss: str | None = None
    model: str | None = None
    trust: tuple[str, ...] = ()
    device: str = "cpu"
    seed: int = 0
    most_items: int = 100
    """Pairs that are looked into, of large sets a sample."""
    most_files: int = 6_000
    """Pairs of a split whose headers are read; of more an even sample is drawn."""


class Case:
    """Evidence by name; what is missing raises :class:`Absent`, once and for all. ``known`` is at hand already."""

    def __init__(self, given: Given, clock: Clock, known: Mapping[str, Any] | None = None):
        self.given, self.clock = given, clock
        self.key = Key(given.seed).child("diagnose")
        self.notes: list[str] = []
        """What a reader must know beside the findings, such as how columns were read."""
        self._absent: dict[str, str] = {}
        vars(self).update(known or {})  # where cached properties keep what they found

    def why_absent(self, need: Need) -> str | None:
        """None where the evidence is there."""
        if need not in self._absent:
            try:
                getattr(self, need)
            except Absent as error:
                self._absent[need] = error.why
        return self._absent.get(need)

    def get(self, need: Need) -> Any:
        """The evidence, or None where it is absent."""
        return None if self.why_absent(need) else getattr(self, need)

    @cached_property
    def facts(self) -> Facts:
        """What is said of the set-up."""
        from auscult.diagnose.gather.facts import gather_facts

        return gather_facts(self)

    @cached_property
    def run(self) -> Run:
        """The run folder."""
        from auscult.diagnose.gather.runs import gather_run

        return gather_run(self.given)

    @cached_property
    def recipe(self) -> Mapping[str, Any] | None:
        """The recipe as it stands, of ours only; None where none was given."""
        from auscult.diagnose.gather.runs import gather_recipe

        return gather_recipe(self)

    @cached_property
    def files(self) -> Files:
        """Pairs of files by split."""
        from auscult.diagnose.gather.files import gather_files

        return gather_files(self)

    @cached_property
    def items(self) -> Items:
        """Items as training hears them."""
        from auscult.diagnose.gather.items import gather_items

        return gather_items(self)

    @cached_property
    def practice(self) -> Practice:
        """A training step that can be asked questions."""
        from auscult.diagnose.gather.practice import gather_practice

        return gather_practice(self)

    @cached_property
    def curves(self) -> Curves:
        """The curves of a run."""
        from auscult.diagnose.gather.history import gather_curves

        return gather_curves(self)

    @cached_property
    def scores(self) -> Scores:
        """Scores of items."""
        from auscult.diagnose.gather.scores import gather_scores

        return gather_scores(self)

    @cached_property
    def outputs(self) -> Outputs:
        """Restored files."""
        from auscult.diagnose.gather.outputs import gather_outputs

        return gather_outputs(self)

    @cached_property
    def model(self) -> Model:
        """A checkpoint, opened."""
        from auscult.diagnose.gather.model import gather_model

        return gather_model(self)
