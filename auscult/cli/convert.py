"""``auscult convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert(
    source: Annotated[
        Path, typer.Argument(help="Another project's checkpoint: SGMSE's family, CMGAN, MP-SENet, TF-GridNet, GTCRN.")
    ],
    output: Annotated[Path | None, typer.Argument(help="File to write. Default: NAME.safetensors beside it.")] = None,
) -> None:
    """Turn another project's checkpoint into ours: safetensors, with the method it belongs to.

    The file is read without running any code in it, whatever it holds. What was in it and is not needed (optimisers,
    settings of the trainer) is listed, and notes say which weights were taken.

        auscult convert gtcrn_vctk.tar
        auscult enhance my.wav --model gtcrn_vctk.safetensors
    """
    from auscult.errors import OutputError, need

    need("torch", "converting checkpoints")
    from auscult.hub.bundle import save
    from auscult.hub.opening import read_checkpoint

    target = output or source.with_suffix(".safetensors")
    if target.exists():
        raise OutputError(f"{target} exists already; give another file name")
    found = read_checkpoint(source)
    save(target, found.tensors, found.meta)
    typer.echo(f"{target} written: {len(found.tensors)} tensors, from {found.meta.recipe} {source.name}")
    for note in found.notes:
        typer.echo(f"note: {note}")
    if found.ignored:
        typer.echo(f"not needed: {', '.join(found.ignored)}")
