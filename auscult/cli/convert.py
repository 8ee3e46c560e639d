"""``auscult convert``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from auscult.hub.foreign import Import

MODEL_JSON = ".json"


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            help="Another project's checkpoint: SGMSE's family, CMGAN, MP-SENet, TF-GridNet, GTCRN; or the model JSON "
            "of stable-audio-tools."
        ),
    ],
    output: Annotated[Path | None, typer.Argument(help="File to write. Default: NAME.safetensors beside it.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Of a model JSON: the file of its weights.")] = None,
    text: Annotated[
        Path | None, typer.Option(help="Of a model JSON: the folder of its text encoder (save_pretrained).")
    ] = None,
) -> None:
    """Turn another project's checkpoint into ours: safetensors, with the method it belongs to.

    The file is read without running any code in it, whatever it holds. What was in it and is not needed (optimisers,
    settings of the trainer) is listed, and notes say which weights were taken.

        auscult convert gtcrn_vctk.tar
        auscult enhance my.wav --model gtcrn_vctk.safetensors
        auscult convert model_config.json start.safetensors --weights model.safetensors --text t5-base
    """
    from auscult.errors import OutputError, need

    need("torch", "converting checkpoints")
    from auscult.hub.bundle import save

    target = output or source.with_suffix(".safetensors")
    if target.exists():
        raise OutputError(f"{target} exists already; give another file name")
    found = _read(source, weights, text)
    save(target, found.tensors, found.meta)
    typer.echo(f"{target} written: {len(found.tensors)} tensors, from {found.meta.recipe} {source.name}")
    for note in found.notes:
        typer.echo(f"note: {note}")
    if found.ignored:
        typer.echo(f"not needed: {', '.join(found.ignored)}")


def _read(source: Path, weights: Path | None, text: Path | None) -> Import:
    from auscult.errors import CheckpointError
    from auscult.hub.opening import read_checkpoint
    from auscult.hub.stable_audio_model import read_model

    if source.suffix == MODEL_JSON:
        if weights is None:
            raise CheckpointError(f"{source}: describes a model and holds no weights; give their file with --weights")
        return read_model(source, weights, text)
    if weights is not None or text is not None:
        raise CheckpointError(f"{source}: --weights and --text go with the model JSON of stable-audio-tools alone")
    return read_checkpoint(source)
