"""Restored validation items of training runs: players and plots, over training or side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from auscult.audio.clip import read
from auscult.errors import AudioError
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
    signals, tracks, missing = [], [], []
    for label, kind, run, i in files:
        path = run.path / SAMPLES / f"{number}-{kind}.flac"
        try:
            clip = read(path)
        except AudioError as error:
            missing.append(str(error))
            continue
        if kind in ("noisy", "restored", "clean"):
            role: plots.Role = "enhanced" if kind == "restored" else "noisy" if kind == "noisy" else "clean"
            signals.append(Signal(label, role, clip, i))
        style = kind if kind in ("noisy", "clean") else f"system{i % STYLES}"
        tracks.append(
            {"label": label, "style": style, "address": _address(path, f"{run.name}-{path.name}", folder, audio)}
        )
    pictures = [
        (f"{what} of {', '.join(signal.label for signal in signals)}", media_uri(draw(signals, _DPI, PAGE), ".png"))
        for what, draw in (("waveforms", plots.waveforms), ("spectrograms", plots.spectrograms))
        if signals
    ]
    names = [run.name for _, run in own] if several else []
    scores = [(run.name if several else "", _sample_words(run, int(number))) for _, run in own]
    return {"title": _sample_name(first, int(number)), "runs": names, "tracks": tracks, "pictures": pictures,
            "missing": missing, "scores": [one for one in scores if one[1]]}  # fmt: skip


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
