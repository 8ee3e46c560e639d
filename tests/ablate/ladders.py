"""A tiny ladder for tests: a net of some thousand numbers that learns in a second, on pieces of the example."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from auscult.data.labels import labelled, write_table
from tests.methods.test_flow import TRANSFORMER
from tests.train.runs import REGRESSION, SCORE, TOLD, VALIDATION, recipe

SPEECH = {"manifest": "all.jsonl", "where": {"kind": "speech"}}
ITEMS = {**VALIDATION, "every": 100, "data": {**VALIDATION["data"], "crop_s": 0.5, "speech": SPEECH}}
TINY = recipe(REGRESSION, training={"steps": 4}, validation=ITEMS)
TINY_SCORE = recipe(SCORE, training={"steps": 2}, validation=ITEMS)
TINY_TOLD = recipe(
    TOLD,
    training={"steps": 2},
    validation={**ITEMS, "data": {"type": "Referenced", "crop_s": 0.5, "duration_s": [0.2, 0.2],
                                  "source": {**ITEMS["data"], "crop_s": 0.8}}},
)  # fmt: skip
LADDER: dict[str, Any] = {
    "question": "Does a higher rate help?",
    "recipe": "tiny.yaml",
    "steps": 4,
    "seeds": [0, 1],
    "metric": "si_sdr",
    "margin": 0.5,
    "evaluation": {"items": 6, "patterns": {"speaker": r"speech(\d)"}},
    "arms": {"quick": {"change": {"optimiser.lr": 0.3}}, "raw": {"weights": "net"}},
    "contrasts": {"rate": {"arm": "quick"}, "averaging": {"arm": "base", "against": "raw"}},
}


TOLD_OF = {"type": "Described", "captions": "captions.jsonl"}
CUT = {"degradations": [{"type": "RandomLowPass", "cutoff_hz": [3000, 3000]}]}
TINY_FLOW = recipe(
    {**REGRESSION, "method": TRANSFORMER, "data": TOLD_OF | {"source": REGRESSION["data"] | CUT | {"crop_s": 0.2}}},
    training={"steps": 2},
    validation={**ITEMS, "metrics": ["lsd"], "select": "lsd", "data": TOLD_OF | {"source": ITEMS["data"] | CUT}},
)


def write_ladder(folder: Path, content: dict[str, Any] = LADDER, base: dict[str, Any] = TINY) -> Path:
    """The ladder and its recipe beside it."""
    (folder / "tiny.yaml").write_text(yaml.safe_dump(base))
    path = folder / "ladder.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def with_lists(corpus: Path) -> Path:
    """The corpus with the lists that shipped recipes ask for."""
    rows = [json.loads(line) for line in (corpus / "all.jsonl").read_text().splitlines()]
    text = "".join(json.dumps(row) + "\n" for row in rows if row["kind"] != "room")
    for name in ("train.jsonl", "valid.jsonl"):
        (corpus / name).write_text(text)
    return corpus


def with_captions(corpus: Path) -> Path:
    """The corpus with a table of captions: who speaks."""
    write_table(labelled([corpus / "all.jsonl"], ["speaker"], where={"kind": "speech"}), corpus / "captions.jsonl")
    return corpus
