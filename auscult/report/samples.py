"""Restored validation items of training runs: players and plots, over training or side by side."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from auscult.audio.clip import read
from auscult.errors import AudioError, DataError
from auscult.files import write_bytes
from auscult.report import plots
from auscult.report.curves import STYLES
from auscult.report.evaluation import AUDIO_FOLDER, Audio
from auscult.report.page import media_uri
from auscult.report.plots import PAGE, Signal
from auscult.report.runfolder import SAMPLES, Run
from auscult.report.tables import figures

_DPI = 110

EARLIER = 3
"""Restorations of earlier validations that a sample is shown with."""


def cards(runs: Sequence[Run], folder: Path, audio: Audio) -> list[dict[str, Any]]:
    """Restored validation items; runs that restored the same mixture share a card."""
    shared: dict[tuple[str, ...], list[tuple[int, Run]]] = {}
    for i, run in enumerate(runs):
        for noisy in sorted((run.path / SAMPLES).glob("*-noisy.flac")):
            number = noisy.name.partition("-")[0]
            key = (number, *(_digest(run.path / SAMPLES / f"{number}-{role}.flac") for role in ("noisy", "clean")))
            shared.setdefault(key, []).append((i, run))
    return [_card(key[0], own, len(runs) > 1, folder, audio) for key, own in shared.items()]


def extreme_cards(run: Run, folder: Path, audio: Audio) -> list[dict[str, Any]]:
    """The items that the last validation gained least and most on, the worst first.

    Raises:
        DataError: their scores are damaged.
    """
    tables = sorted((run.path / SAMPLES).glob("extremes-*/scores.json"))
    try:
        table = json.loads(tables[-1].read_text(encoding="utf-8")) if tables else {"items": []}
        return [_extreme(table, item, tables[-1].parent, run, folder, audio) for item in table["items"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{tables[-1]}: not the scores of a validation's extremes ({type(error).__name__})") from error


def _extreme(
    table: Mapping[str, Any], item: Mapping[str, Any], at: Path, run: Run, folder: Path, audio: Audio
) -> dict[str, Any]:
    """One of them: players and plots, and how each score came about."""
    takes = [_Take(role, role, at / f"{item['place']}-{role}.flac", run, 0) for role in ("noisy", "restored", "clean")]
    names = list(dict.fromkeys([*item["noisy"], *item["restored"]]))
    changes = ", ".join(f"{name} {_score(item['noisy'], name)} → {_score(item['restored'], name)}" for name in names)
    drawn = "; ".join(_drawn(one) for one in item["drawn"])
    words = [f"step {table['step']}, chosen by the gain in {table['metric']}: {changes}", drawn]
    title = f"{item['place'].replace('-', ' ')}: {item['item']}"
    return {"title": title, "runs": [], "scores": [("", one) for one in words if one], **_shown(takes, folder, audio)}


def _score(scores: Mapping[str, float | None], name: str) -> str:
    value = scores.get(name)
    return "no score" if value is None else figures(value)


def _drawn(degradation: Mapping[str, Any]) -> str:
    """A degradation, its numbers and its recordings: ``AddNoise snr_db 3.20, dog_bark``."""
    facts = [f"{name} {figures(value)}" for name, value in degradation.items() if isinstance(value, float)]
    facts += [str(one.get("noise_type") or one["name"]) for one in degradation.get("sources", ())]
    return f"{degradation['type']} {', '.join(facts)}".strip()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _card(number: str, own: Sequence[tuple[int, Run]], several: bool, folder: Path, audio: Audio) -> dict[str, Any]:
    """One item: players and plots of the noisy, restored and clean recordings."""
    first = own[0][1]
    files = [("noisy", "noisy", first, 0)]
    for i, run in own:
        files += [] if several else [(f"step {step}", kind, run, i) for step, kind in _earlier(run, number)]
        files.append((run.name if several else "restored", "restored", run, i))
    files += [("clean", "clean", first, 0)]
    takes = [_Take(label, kind, run.path / SAMPLES / f"{number}-{kind}.flac", run, i) for label, kind, run, i in files]
    names = [run.name for _, run in own] if several else []
    scores = [(run.name if several else "", _sample_words(run, int(number))) for _, run in own]
    return {"title": _sample_name(first, int(number)), "runs": names, "scores": [one for one in scores if one[1]],
            **_shown(takes, folder, audio)}  # fmt: skip


@dataclass(frozen=True)
class _Take:
    """A recording of a card: what it is called, what it is, and the run it is of."""

    label: str
    kind: str
    path: Path
    run: Run
    place: int


def _shown(takes: Sequence[_Take], folder: Path, audio: Audio) -> dict[str, Any]:
    """Players and plots; recordings that cannot be read are named."""
    signals, tracks, missing = [], [], []
    for take in takes:
        try:
            clip = read(take.path)
        except AudioError as error:
            missing.append(str(error))
            continue
        if take.kind in ("noisy", "restored", "clean"):
            role: plots.Role = "enhanced" if take.kind == "restored" else "noisy" if take.kind == "noisy" else "clean"
            signals.append(Signal(take.label, role, clip, take.place))
        style = take.kind if take.kind in ("noisy", "clean") else f"system{take.place % STYLES}"
        address = _address(take.path, f"{take.run.name}-{take.path.name}", folder, audio)
        tracks.append({"label": take.label, "style": style, "address": address})
    pictures = [
        (f"{what} of {', '.join(signal.label for signal in signals)}", media_uri(draw(signals, _DPI, PAGE), ".png"))
        for what, draw in (("waveforms", plots.waveforms), ("spectrograms", plots.spectrograms))
        if signals
    ]
    return {"tracks": tracks, "pictures": pictures, "missing": missing}


def _earlier(run: Run, number: str) -> list[tuple[int, str]]:
    """A few earlier restorations of a sample, evenly over training: step, and what its file is called."""
    kinds = sorted(path.stem.partition("-")[2] for path in (run.path / SAMPLES).glob(f"{number}-step-*.flac"))[:-1]
    chosen = sorted({round(i * (len(kinds) - 1) / max(EARLIER - 1, 1)) for i in range(EARLIER)}) if kinds else []
    return [(int(kinds[i].rpartition("-")[2]), kinds[i]) for i in chosen]


def _address(path: Path, name: str, folder: Path, audio: Audio) -> str | None:
    if audio == "none":
        return None
    if audio == "embed":
        return media_uri(path.read_bytes(), ".flac")
    name = name.replace("/", "-")
    write_bytes(folder / AUDIO_FOLDER / name, path.read_bytes())
    return f"{AUDIO_FOLDER}/{quote(name)}"


def _sample_name(run: Run, number: int) -> str:
    """Samples are the first items of a validation."""
    items = list(run.history.validations[-1].scores) if run.history.validations else []
    return items[number] if number < len(items) else f"sample {number}"


def _sample_words(run: Run, number: int) -> str:
    """Scores of a sample in the last validation, which it is of."""
    if not run.history.validations:
        return ""
    last = run.history.validations[-1]
    scores = last.scores.get(_sample_name(run, number), {})
    shown = ", ".join(f"{name} {figures(value)}" for name, value in scores.items())
    return f"step {last.step}: {shown}" if shown else f"step {last.step}: no score"
