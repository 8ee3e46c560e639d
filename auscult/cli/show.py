"""``auscult models``, ``auscult recipes`` and ``auscult info``: what there is, and what a file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from auscult.cli.shared import Json, Set, print_json, print_table

FOREIGN = (".tar", ".ckpt", ".pt", ".pth", ".bin")
"""Suffixes of other projects' checkpoints."""

recipes = typer.Typer(help="List, show and copy the shipped recipes.", invoke_without_command=True)


def models(
    runs: Annotated[Path, typer.Option(help="Folder of runs to list as well.")] = Path("runs"),
    parts: Annotated[bool, typer.Option("--parts", help="List every part that a recipe can name instead.")] = False,
    json: Json = False,
) -> None:
    """List what can be given to `--model`: the built-in model and the runs at hand; or the parts of recipes."""
    from auscult.catalogue import CATALOGUE

    if parts:
        listed = {kind: list(names) for kind, names in CATALOGUE.items()}
        if json:
            print_json(listed)
        else:
            print_table(["kind", "names"], [[kind, ", ".join(names)] for kind, names in listed.items()], numeric=9)
        return
    rows = [_built_in(), *(_run(path) for path in sorted(runs.glob("*")) if (path / "checkpoints").is_dir())]
    if json:
        print_json(rows)
    else:
        print_table(["model", "rate", "step", "scores"], [[str(v) for v in row.values()] for row in rows], numeric=9)


def _built_in() -> dict[str, object]:
    from auscult.restore.models import built_in

    return {
        "model": "default",
        "rate_hz": built_in().rate_hz,
        "step": "",
        "scores": "built in, causal, no torch needed",
    }


def _run(path: Path) -> dict[str, object]:
    from auscult.errors import CheckpointError
    from auscult.hub.bundle import read_meta
    from auscult.hub.runs import best_checkpoint, checkpoints

    if not checkpoints(path):
        return {"model": str(path), "rate_hz": "", "step": 0, "scores": "no checkpoint yet"}
    try:
        meta = read_meta(best_checkpoint(path))
    except CheckpointError as error:
        return {"model": str(path), "rate_hz": "", "step": "", "scores": f"unreadable: {error}"}
    scores = "  ".join(f"{name} {value:.3f}" for name, value in meta.scores.items())
    return {"model": str(path), "rate_hz": meta.method.get("rate_hz", ""), "step": meta.step, "scores": scores}


@recipes.callback()
def _list(context: typer.Context, json: Json = False) -> None:
    from auscult.recipe import shipped

    if context.invoked_subcommand is not None:
        return
    rows = [(name, _first_comment(path)) for name, path in shipped().items()]
    if json:
        print_json(dict(rows))
    else:
        print_table(["recipe", "what it is"], [list(row) for row in rows], numeric=9, folds=1)
        typer.echo(
            "\nauscult recipes show NAME      auscult recipes copy NAME [FILE]      auscult train NAME --data FOLDER"
        )


@recipes.command()
def show(name: Annotated[str, typer.Argument(help="Shipped name or file.")], settings: Set = None) -> None:
    """Print a recipe, with overrides applied."""
    import yaml

    from auscult.recipe import read, shipped

    if not settings and name in shipped():
        typer.echo(shipped()[name].read_text(encoding="utf-8"), nl=False)
    else:
        typer.echo(yaml.safe_dump(read(name, settings or ()), sort_keys=False), nl=False)


@recipes.command()
def copy(
    name: Annotated[str, typer.Argument(help="Shipped recipe.")],
    to: Annotated[Path | None, typer.Argument(help="File to write. Default: NAME.yaml here.")] = None,
) -> None:
    """Copy a shipped recipe to a file to edit."""
    from auscult.errors import OutputError, RecipeError, nearest
    from auscult.files import write_bytes
    from auscult.recipe import shipped

    if name not in shipped():
        raise RecipeError(f"no recipe '{name}'{nearest(name, shipped())}; shipped are {', '.join(shipped())}")
    target = to or Path(f"{name}.yaml")
    if target.exists():
        raise OutputError(f"{target} exists already; give another file name")
    write_bytes(target, shipped()[name].read_bytes())
    typer.echo(f"{target} written; train it with:  auscult train {target} --data FOLDER")


def info(
    file: Annotated[Path, typer.Argument(help="A recording, a checkpoint or a run folder.")],
    json: Json = False,
) -> None:
    """Say what a recording or a checkpoint is."""
    from auscult.restore.models import checkpoint_of

    if file.is_dir() or file.suffix == ".safetensors":
        facts = _checkpoint_facts(checkpoint_of(file))
    else:
        facts = _foreign_facts(file) if file.suffix in FOREIGN else _audio_facts(file)
    if json:
        print_json(facts)
    else:
        print_table(["", ""], [[key, str(value)] for key, value in facts.items()], numeric=9, folds=1)


def _audio_facts(path: Path) -> dict[str, object]:
    import numpy as np

    from auscult.audio.clip import blocks, probe
    from auscult.restore.meter import Meter

    header, meter, peak, bad = probe(path), Meter(probe(path).rate_hz), 0.0, 0
    for wave in blocks(path, 10 * header.rate_hz):
        bad += int((~np.isfinite(wave)).sum())
        wave = np.nan_to_num(wave, posinf=0.0, neginf=0.0)
        peak = max(peak, float(np.abs(wave).max(initial=0.0)))
        meter.add(wave)
    return {
        "file": str(path),
        "format": f"{header.format} {header.subtype}",
        "rate_hz": header.rate_hz,
        "channels": header.channels,
        "samples": header.samples,
        "duration_s": round(header.duration_s, 3),
        "peak": round(peak, 4),
        "level_db": round(meter.levels.mean_db, 1),
        "noise_floor_db": round(meter.levels.floor_db, 1),
        "not_finite": bad,
    }


def _checkpoint_facts(path: Path) -> dict[str, object]:
    from auscult.hub.bundle import parameters, read_meta
    from auscult.units import count

    meta = read_meta(path)
    return {
        "file": str(path),
        "method": meta.method["type"],
        "net": meta.method.get("net", {}).get("type", ""),
        "parameters": {name: count(number) for name, number in parameters(path).items()},
        "rate_hz": meta.method.get("rate_hz", ""),
        "recipe": meta.recipe,
        "step": meta.step,
        "scores": {name: round(value, 4) for name, value in meta.scores.items()},
        "origin": meta.origin,
    }


def _foreign_facts(path: Path) -> dict[str, object]:
    from auscult.errors import need

    need("torch", "reading other projects' checkpoints")
    from auscult.hub.opening import read_checkpoint

    found = read_checkpoint(path)
    return {
        "file": str(path),
        "method": found.meta.method["type"],
        "net": found.meta.method.get("net", {}).get("type", ""),
        "numbers": sum(tensor.numel() for name, tensor in found.tensors.items() if not name.startswith("ema.")),
        "step": found.meta.step,
        "origin": found.meta.origin,
        "not needed": ", ".join(found.ignored),
        "notes": "; ".join(found.notes),
    }


def _first_comment(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
