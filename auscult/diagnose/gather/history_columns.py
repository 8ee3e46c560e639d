"""Which column is which curve: names of columns, as trainers write them, to the one vocabulary of curves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from auscult.diagnose.gather.columns import METRICS
from auscult.diagnose.gather.history_formats import Table
from auscult.errors import DataError, nearest

SPLITS = {
    "train": ("train", "training", "tr", "trn"),
    "valid": ("valid", "validation", "val", "dev", "eval", "cv"),
    "test": ("test",),
}
FURTHER = ("nisqa", "utmos", "visqol", "mcd", "wer", "cer")
SPELLINGS = {alias.replace("_", ""): name for name, aliases in METRICS.items() for alias in aliases} | {
    **{"sisdri": "si_sdr", "sisnri": "si_snr"},
    **{name: name for name in FURTHER},
}
LOWER_IS_BETTER = frozenset({"lsd", "mcd", "wer", "cer", "loss"})
"""Of the foreign metrics above; every other is better when it is higher."""
OTHERS = {
    "lr": ("lr", "learningrate", "lr0", "optim0lr0", "lrpg1", "lrgroup0", "optimizerlr", "optimlr"),
    "grad_norm": ("gradnorm", "gnorm", "gradientnorm", "normgrad", "gradnormtotal", "totalgradnorm", "grad20normtotal"),
    "loss_scale": ("lossscale", "gradscale", "scalerscale", "ampscale", "scale"),
    "clipped_share": ("clippedshare", "clip"),
    "loader_wait": ("loaderwait", "loaderwaitshare"),
    "ema_distance": ("emadistance",),
    "ema_updates": ("emaupdates",),
}
STEPS = ("globalstep", "step", "steps", "iteration", "iterations", "iter", "iters", "trainerglobalstep", "batch", "n")
EPOCHS = ("epoch", "epochs", "ep")
ADORNMENT = frozenset(
    ["loss", "losses", "total", "avg", "average", "mean", "running", "step", "epoch", "batch", "all", "sum", "final",
     "score", "scores", "metric", "metrics", "model", "net", "g", "gen", "generator", "perf", "performance"]
)  # fmt: skip
"""Words of a column's name that say nothing of what it is."""
DISCRIMINATOR = frozenset({"d", "disc", "discriminator", "critic"})
GENERATOR = frozenset({"g", "gen", "generator"})
VOCABULARY = re.compile(
    r"(train|valid)\.\w[\w.:-]*|lr|grad_norm|clipped_share|unstepped|(share|cosine|dropped|calibration)\..+|gain"
    r"|ema_distance|ema_updates|discriminator\.loss|loader_wait|items|loss_scale|step|epoch"
)


def tokens(column: str) -> list[str]:
    """``Train/SI-SDR_dB`` to train, si, sdr, db."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", column)
    return [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]


def guess(column: str) -> str | None:
    """The curve that a column is, by its name alone; None where that says nothing. Test is another validation."""
    words = tokens(column)
    split, rest = _split(words)
    joined = "".join(rest)
    for name, spellings in OTHERS.items():
        if joined in spellings or (name == "lr" and rest[:1] in (["lr"], ["optim0"]) and split is None):
            return name
    if "best" in rest:
        return None
    if "loss" in rest or "losses" in rest:
        return _loss(split, rest)
    metric = SPELLINGS.get("".join(word for word in rest if word not in ADORNMENT))
    return f"{split or 'valid'}.{metric}" if metric and split != "train" else None


def _split(words: Sequence[str]) -> tuple[str | None, list[str]]:
    for split, spellings in SPLITS.items():
        if any(word in spellings for word in words):
            return split, [word for word in words if word not in spellings]
    return None, list(words)


def _loss(split: str | None, rest: Sequence[str]) -> str:
    if DISCRIMINATOR & set(rest):
        return "discriminator.loss"
    part = "_".join(word for word in rest if word not in ADORNMENT)
    if part == "" and GENERATOR & set(rest):
        return f"{split or 'train'}.loss.generator"
    return f"{split or 'train'}.loss" + (f".{part}" if part else "")


def axes(names: Sequence[str]) -> tuple[str | None, str | None]:
    """Columns that count steps and epochs."""
    flat = {"".join(tokens(name)): name for name in reversed(names)}
    step = next((flat[word] for word in STEPS if word in flat), None)
    return step, next((flat[word] for word in EPOCHS if word in flat), None)


def mapped(table: Table, asked: Mapping[str, str], source: str) -> dict[str, str]:
    """Curves by name, with the column of each; what was asked for goes before what was guessed.

    Raises:
        DataError: a column that was asked for is not there, or no column could be mapped.
    """
    chosen = dict(_asked(table, asked, source))
    candidates: dict[str, list[str]] = {}
    axis = {*axes(table.names), *chosen.values()}
    for column in table.names:
        name = None if column in axis else guess(column)
        if name is not None and name not in chosen:
            candidates.setdefault(name, []).append(column)
    for name, columns in candidates.items():
        chosen[name] = max(columns, key=lambda column: len(table.column(column)[0]))
    chosen = _settled(chosen, table)
    if not any(name not in ("step", "epoch") for name in chosen):
        raise DataError(
            f"{source}: none of its columns is known as a curve ({', '.join(table.names[:20]) or 'no numbers in it'}); "
            'name them, such as --column train.loss=COLUMN --column valid.pesq="PESQ WB"'
        )
    return chosen


def _asked(table: Table, asked: Mapping[str, str], source: str) -> Iterator[tuple[str, str]]:
    """Pairs of curve and column, whichever way round they were given; names of tables of scores are not for here."""
    for one, other in asked.items():
        name, column = (other, one) if one in table.names or not VOCABULARY.fullmatch(one) else (one, other)
        if not VOCABULARY.fullmatch(name):
            continue
        if column not in table.names:
            known = ", ".join(table.names[:20])
            raise DataError(f"{source}: no column '{column}'{nearest(column, table.names)}; there are {known}")
        yield name, column


def _settled(chosen: Mapping[str, str], table: Table) -> dict[str, str]:
    """Test stands in where nothing is called validation; a lone part is the loss; a generator's loss is one too."""
    found = dict(chosen)
    for name in [name for name in chosen if name.startswith("test.")]:
        column = found.pop(name)
        found.setdefault(f"valid.{name.removeprefix('test.')}", column)
    for split in ("train", "valid"):
        parts = [name for name in found if name.startswith(f"{split}.loss.")]
        if f"{split}.loss" not in found and (len(parts) == 1 or f"{split}.loss.generator" in parts):
            lone = f"{split}.loss.generator" if f"{split}.loss.generator" in parts else parts[0]
            found[f"{split}.loss"] = found.pop(lone)
    rarer = "train.loss.generator" in found and "train.loss" in found and "valid.loss" not in found
    if rarer and _much_rarer(table, found["train.loss.generator"], found["train.loss"]):
        found["valid.loss"] = found.pop("train.loss.generator")  # CMGAN prints it after each epoch, of the test set
    return found


def _much_rarer(table: Table, one: str, other: str) -> bool:
    return 2 * len(table.column(one)[0]) <= len(table.column(other)[0])
