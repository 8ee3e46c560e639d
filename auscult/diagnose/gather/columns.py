"""What the columns of a stranger's table of scores mean: a metric and a side each, read off their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from auscult.errors import DataError

Meaning = tuple[str, str]
"""Metric and side."""

METRICS = {
    "pesq": ("pesq", "wb_pesq", "pesq_wb", "pesqwb", "wbpesq"),
    "pesq_nb": ("pesq_nb", "nb_pesq", "pesqnb", "nbpesq"),
    "stoi": ("stoi",),
    "estoi": ("estoi", "e_stoi", "extended_stoi"),
    "si_sdr": ("si_sdr", "sisdr"),
    "si_snr": ("si_snr", "sisnr"),
    "si_sir": ("si_sir", "sisir"),
    "si_sar": ("si_sar", "sisar"),
    "sdr": ("sdr", "bss_sdr"),
    "snr": ("snr",),
    "seg_snr": ("seg_snr", "segsnr", "ssnr"),
    "csig": ("csig",),
    "cbak": ("cbak",),
    "covl": ("covl",),
    "lsd": ("lsd",),
    "dnsmos_ovrl": ("dnsmos_ovrl", "dnsmos_ovr", "dnsmos", "ovrl", "ovr"),
    "dnsmos_sig": ("dnsmos_sig",),
    "dnsmos_bak": ("dnsmos_bak",),
}
SIDES = {
    "noisy": ("noisy", "input", "in", "mix", "mixture", "before", "unprocessed", "degraded", "baseline_noisy"),
    "enhanced": (
        *("enhanced", "enh", "est", "estimate", "estimated", "output", "out", "after", "processed", "restored"),
        *("denoised", "pred", "predicted", "separated"),
    ),
    "improvement": ("improvement", "improv", "imp", "delta"),
}
IGNORED = ("score", "scores", "metric", "metrics", "value", "db", "mos")
FACTS = ("snr",)
"""Alone, this says how an item was mixed."""
_METRIC = {alias: name for name, aliases in METRICS.items() for alias in aliases}
_IMPROVED = {f"{alias}i": name for alias, name in _METRIC.items() if name in ("si_sdr", "si_snr", "sdr", "snr")}
_SIDE = {alias: name for name, aliases in SIDES.items() for alias in aliases}


def meanings(columns: Sequence[str], stated: Mapping[str, str]) -> dict[str, Meaning]:
    """Columns that are scores; ``stated`` are given by hand as ``metric.side`` and win.

    A column that names only a side takes the metric of the others, if these name one only. Words beside metric and
    side are the name of a system.

    Raises:
        DataError: two columns of one meaning, or a stated one that is none.
    """
    found = {column: _guessed(column) for column in columns}
    metrics = {one[0] for one in found.values() if one is not None and one[0]}
    only = metrics.pop() if len(metrics) == 1 else ""
    read = {column: (one[0] or only, one[1]) for column, one in found.items() if one is not None and (one[0] or only)}
    read |= {column: _stated(column, stated[column]) for column in columns if column in stated}
    for column, one in read.items():
        if twins := [other for other, its in read.items() if its == one and other != column]:
            raise DataError(
                f"columns '{column}' and '{twins[0]}' both read as {'.'.join(one)}; say what they are: --columns "
                f"'{column}=METRIC.SIDE'"
            )
    return read


def _guessed(column: str) -> tuple[str, str] | None:
    words = [word for word in re.split(r"[^a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", column).lower()) if word]
    words = [word for word in words if word not in IGNORED]
    for size in range(min(3, len(words)), 0, -1):
        for start in range(len(words) - size + 1):
            name = "_".join(words[start : start + size])
            rest = words[:start] + words[start + size :]
            if name in _METRIC and (rest or name not in FACTS):
                return _METRIC[name], _side(rest)
            if name in _IMPROVED:
                return _IMPROVED[name], "improvement"
    return ("", _SIDE[words[0]]) if len(words) == 1 and words[0] in _SIDE else None


def _side(words: Sequence[str]) -> str:
    known = [_SIDE[word] for word in words if word in _SIDE]
    return known[0] if known else "_".join(words) or "enhanced"


def _stated(column: str, meaning: str) -> Meaning:
    metric, _, side = meaning.partition(".")
    if not metric or not side:
        raise DataError(f"--columns {column}={meaning}: scores are named METRIC.SIDE, such as si_sdr.noisy")
    return metric, side
