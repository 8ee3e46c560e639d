"""The options of ``auscult evaluate``, as its help groups and explains them."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from auscult.cli.enhance import Precision, Weights

_COMPARED, _RUN, _RESULT = "What is compared", "How it runs", "What comes out"


class Format(str, Enum):
    """Another project's result files."""

    sgmse = "sgmse"


Clean = Annotated[Path | None, typer.Option(rich_help_panel=_COMPARED, help="Folder of clean references.")]
Noisy = Annotated[
    Path | None,
    typer.Option(rich_help_panel=_COMPARED, help="Folder of the inputs; scored as a system of its own."),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATH[=NAME]",
        rich_help_panel=_COMPARED,
        help="A data set: folder of pairs, or JSONL manifest. Repeatable.",
    ),
]
Enhanced = Annotated[
    list[str] | None,
    typer.Option(metavar="DIR[=NAME]", rich_help_panel=_COMPARED, help="Folder of restored files. Repeatable."),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL[=NAME]",
        rich_help_panel=_COMPARED,
        help="default, checkpoint or run: restores now. Repeatable.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=V[,V...]",
        rich_help_panel=_COMPARED,
        help="A setting of the models; several values make systems. seed=0,1,2 repeats.",
    ),
]
NoiseReference = Annotated[
    str | None,
    typer.Option(
        metavar="auto|none|oracle|FILE|FOLDER[,...]",
        rich_help_panel=_COMPARED,
        help="What models conditioned on noise are told (default: auto); several make systems. Oracle: noisy - "
        "clean. --set reference_duration_s=0.25,0.5 sets its length.",
    ),
]
Matrix = Annotated[
    Path | None, typer.Option(rich_help_panel=_COMPARED, help="All of this as a YAML file (docs/evaluating.md).")
]
MetricNames = Annotated[
    str, typer.Option(rich_help_panel=_COMPARED, help="Comma-separated names (`auscult models --parts`), or all.")
]
FactsFile = Annotated[
    Path | None,
    typer.Option(rich_help_panel=_COMPARED, help="CSV with a column 'item', or VoiceBank's list: groups."),
]
Groups = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=REGEX", rich_help_panel=_COMPARED, help="A group read off item names: 'speaker=^(p\\d+)_'."
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        "--out", "-o", rich_help_panel=_RESULT, help="Folder of the evaluation; the same command continues it."
    ),
]
Workers = Annotated[int, typer.Option(min=1, rich_help_panel=_RUN, help="Processes.")]
Devices = Annotated[
    str,
    typer.Option(
        "--devices", "--device", rich_help_panel=_RUN, help="Comma-separated, for models: auto, cpu, cuda:0,cuda:1."
    ),
]
Common = Annotated[
    bool,
    typer.Option(
        "--common", rich_help_panel=_COMPARED, help="Score the items that all have, where folders do not match."
    ),
]
Anchors = Annotated[
    bool,
    typer.Option(rich_help_panel=_RUN, help="Stop where noisy files of a known set do not have its known scores."),
]
Beside = Annotated[
    list[Path] | None,
    typer.Option(
        "--with",
        metavar="FOLDER",
        rich_help_panel=_RESULT,
        help="Show systems of another evaluation too. Repeatable.",
    ),
]
Mixed = Annotated[
    bool,
    typer.Option("--mixed", rich_help_panel=_RESULT, help="Show them, marked, even if measured by another protocol."),
]
Form = Annotated[
    Format | None,
    typer.Option("--format", rich_help_panel=_RESULT, help="sgmse: also the files of its calc_metrics.py."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", rich_help_panel=_RESULT, help="Start anew where --out holds something else.")
]
Export = Annotated[
    Path | None,
    typer.Option(rich_help_panel=_RESULT, help="Also write a plain folder to share: audio, plots, tables."),
]
WithReport = Annotated[bool, typer.Option(rich_help_panel=_RESULT, help="Write report.html.")]
AskedWeights = Annotated[
    Weights | None, typer.Option(rich_help_panel=_RUN, help="Averaged or raw weights of checkpoints.")
]
AskedPrecision = Annotated[
    Precision | None, typer.Option(rich_help_panel=_RUN, help="bf16: faster for models of whole signals.")
]
