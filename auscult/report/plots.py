"""Waveforms, spectrograms and their difference as PNG: noisy red, enhanced green, clean blue."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy import ndarray

from auscult.audio.clip import Clip, read
from auscult.audio.stft import STFT
from auscult.errors import AudioError, MissingExtra, need
from auscult.report.highlights import NOISY, Entry

Role = Literal["noisy", "enhanced", "clean"]
RANGE_DB = 80.0
"""What lies further below the loudest point of a figure is drawn as silence."""
DIFFERENCE_DB = 30.0
_COLOURS = {"noisy": "#c8503f", "clean": "#3f7fc4"}
_SYSTEMS = ("#2a9158", "#8a63c9", "#b07d12", "#0f8c9c", "#c0568f", "#6d7a2c")
"""Enhanced systems by number; the pages' style sheet has the same hues for light and dark."""
_COLUMNS, _MOST_FRAMES = 1_200, 2_400
_LEVELS = 64
_WIDTH_IN = 8.0
AXIS = (0.07, 0.915)
"""Where the time axis begins and ends, as shares of a figure's width."""


@dataclass(frozen=True)
class Signal:
    """One recording of a figure. ``number`` tells enhanced systems apart. Its first channel is drawn."""

    label: str
    role: Role
    clip: Clip
    number: int = 0

    @property
    def colour(self) -> str:
        """The colour of its role."""
        return _COLOURS.get(self.role) or _SYSTEMS[self.number % len(_SYSTEMS)]


@dataclass(frozen=True)
class Look:
    """Ink and paper of a figure; no paper is transparent. ``colours`` bounds the palette, and so the file."""

    ink: str
    paper: str | None
    colours: int | None = None


PRINT = Look("#22262a", "#ffffff")
PAGE = Look("#7b8087", None, colours=224)
"""Legible on light and on dark pages, a fifth of the size."""


def signals_of(entry: Entry, systems: Sequence[str]) -> tuple[list[Signal], list[str]]:
    """The recordings of an item, noisy first and clean last, and a sentence for each that cannot be read."""
    signals: list[Signal] = []
    missing: list[str] = []
    for label, role, number, path in sources(entry, systems):
        try:
            signals.append(Signal(label, role, read(path), number))
        except (AudioError, MissingExtra) as error:
            missing.append(f"{label}: {error}")
    return signals, missing


def sources(entry: Entry, systems: Sequence[str]) -> list[tuple[str, Role, int, Path]]:
    """Label, role, number of the system and file of every recording of an item that has one."""
    enhanced = [name for name in systems if name != NOISY]
    found: list[tuple[str, Role, int, Path | None]] = [
        (NOISY, "noisy", 0, entry.item.noisy or entry.estimates.get(NOISY))
    ]
    found += [(name, "enhanced", number, entry.estimates.get(name)) for number, name in enumerate(enhanced)]
    found.append(("clean", "clean", 0, entry.item.clean))
    return [(label, role, number, path) for label, role, number, path in found if path is not None]


def pair_of(signals: Sequence[Signal], system: str) -> tuple[Signal, Signal] | None:
    """What a difference is drawn of: the system and the clean recording, or the noisy one where no clean one is."""
    minuend = next((one for one in signals if one.label == system), None)
    references = [one for one in signals if one.role == "clean"] or [one for one in signals if one.role == "noisy"]
    return (minuend, references[0]) if minuend is not None and references and references[0] is not minuend else None


def waveforms(signals: Sequence[Signal], dpi: int = 150, look: Look = PRINT) -> bytes:
    """One row a signal, on common axes."""
    figure, axes = _rows(len(signals), 0.72, 0.42, look)
    peak = max(float(np.abs(signal.clip.wave[0]).max()) for signal in signals) or 1.0
    duration_s = max(signal.clip.duration_s for signal in signals)
    for signal, axis in zip(signals, axes, strict=True):
        _envelope(axis, signal)
        axis.set(ylim=(-1.05 * peak, 1.05 * peak), xlim=(0.0, duration_s), yticks=[])
        _label(axis, signal.label, signal.colour)
    return _finish(figure, axes, dpi, look)


def spectrograms(signals: Sequence[Signal], dpi: int = 150, look: Look = PRINT) -> bytes:
    """One row a signal, in dB on one common scale: the loudest point of all is 0 dB."""
    figure, axes = _rows(len(signals), 1.28, 0.42, look)
    levels = [_level_db(signal.clip) for signal in signals]
    top = max(float(level.max()) for level in levels)
    nyquist_hz = max(signal.clip.rate_hz for signal in signals) / 2
    for signal, level, axis in zip(signals, levels, axes, strict=True):
        drawn = _image(axis, level - top, signal.clip, "magma", (-RANGE_DB, 0.0), look)
        axis.set(ylim=(0.0, nyquist_hz), xlim=(0.0, max(one.clip.duration_s for one in signals)))
        _label(axis, signal.label, signal.colour)
    _scale(figure, axes, drawn, "dB", look)
    return _finish(figure, axes, dpi, look)


def difference(a: Signal, b: Signal, dpi: int = 150, look: Look = PRINT) -> bytes:
    """Level of ``a`` minus level of ``b``: red is what ``a`` has in excess, blue what it lacks.

    Both are bounded ``RANGE_DB`` below the louder one's loudest point, so that silence equals silence.

    Raises:
        AudioError: other rates or lengths.
    """
    if (a.clip.rate_hz, a.clip.samples) != (b.clip.rate_hz, b.clip.samples):
        raise AudioError(
            f"{a.label} has {a.clip.samples} samples at {a.clip.rate_hz} Hz, {b.label} has {b.clip.samples} at "
            f"{b.clip.rate_hz} Hz: their difference is not defined"
        )
    figure, axes = _rows(1, 1.55, 0.42, look)
    levels = [_level_db(one.clip) for one in (a, b)]
    floor = max(float(level.max()) for level in levels) - RANGE_DB
    excess = np.maximum(levels[0], floor) - np.maximum(levels[1], floor)
    drawn = _image(axes[0], excess, a.clip, "RdBu_r", (-DIFFERENCE_DB, DIFFERENCE_DB), look)
    _label(axes[0], f"{a.label} \N{MINUS SIGN} {b.label}", a.colour)
    _scale(figure, axes, drawn, "dB", look)
    return _finish(figure, axes, dpi, look)


def _rows(count: int, row_in: float, foot_in: float, look: Look) -> tuple[Any, list[Any]]:
    """A figure of ``count`` rows without any global state; room for the time axis at its foot."""
    figures = need("matplotlib.figure", "a plot")
    height = count * row_in + foot_in + 0.06
    figure = figures.Figure(figsize=(_WIDTH_IN, height), facecolor=look.paper or "none")
    grid = figure.add_gridspec(
        count, 1, left=AXIS[0], right=AXIS[1], bottom=foot_in / height, top=1 - 0.06 / height, hspace=0.1
    )
    return figure, [figure.add_subplot(grid[i]) for i in range(count)]


def _envelope(axis: Any, signal: Signal) -> None:
    """The extremes of each column of the picture: what a line of all samples would cover."""
    wave = signal.clip.wave[0]
    edges = np.unique(np.linspace(0, wave.size, min(_COLUMNS, wave.size) + 1).astype(int))[:-1]
    low, high = np.minimum.reduceat(wave, edges), np.maximum.reduceat(wave, edges)
    axis.fill_between(edges / signal.clip.rate_hz, low, high, color=signal.colour, linewidth=0.4)


def _level_db(clip: Clip) -> ndarray:
    """Power of frames of 32 ms in dB, shape (F, N)."""
    n_fft = max(64, round(clip.rate_hz * 0.032 / 2) * 2)
    hop = max(n_fft // 4, -(-clip.samples // _MOST_FRAMES))
    frames = STFT(n_fft, min(hop, n_fft), "hann").forward(clip.wave[0])
    power = np.abs(frames.T) ** 2
    return 10.0 * np.log10(power + 1e-12)


def _image(axis: Any, level: ndarray, clip: Clip, colours: str, limits: tuple[float, float], look: Look) -> Any:
    scale = need("matplotlib", "a plot").colormaps[colours].resampled(256 if look.colours is None else _LEVELS)
    extent = (0.0, clip.duration_s, 0.0, clip.rate_hz / 2)
    style = {"origin": "lower", "aspect": "auto", "interpolation": "antialiased", "interpolation_stage": "data"}
    return axis.imshow(level, extent=extent, cmap=scale, vmin=limits[0], vmax=limits[1], **style)


def _label(axis: Any, text: str, colour: str) -> None:
    """A name inside its panel, on a plate that is legible over anything."""
    plate = {"facecolor": "#ffffff", "edgecolor": "none", "alpha": 0.86, "boxstyle": "round,pad=0.25"}
    place = {"transform": axis.transAxes, "ha": "left", "va": "top", "fontsize": 8, "fontweight": "bold"}
    axis.text(0.008, 0.94, text, color=colour, bbox=plate, **place)


def _scale(figure: Any, axes: Sequence[Any], drawn: Any, unit: str, look: Look) -> None:
    bottom, top = axes[-1].get_position().y0, axes[0].get_position().y1
    bar = figure.colorbar(drawn, cax=figure.add_axes((0.925, bottom, 0.012, top - bottom)))
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=look.ink, labelsize=7, length=2)
    below = {"xy": (0.0, 0.0), "xycoords": "axes fraction", "xytext": (9, -6), "textcoords": "offset points"}
    bar.ax.annotate(unit, **below, va="top", fontsize=7, color=look.ink)


def _finish(figure: Any, axes: Sequence[Any], dpi: int, look: Look) -> bytes:
    """Ticks, ink, and the bytes of the picture."""
    ticker = need("matplotlib.ticker", "a plot")
    for axis in axes:
        axis.set_facecolor("none")
        axis.tick_params(colors=look.ink, labelsize=7, length=2, labelbottom=axis is axes[-1])
        for name, spine in axis.spines.items():
            spine.set(visible=name == "bottom", color=look.ink, linewidth=0.5)
        if axis.images:
            axis.yaxis.set_major_locator(ticker.MaxNLocator(4, steps=[1, 2, 4, 5, 10]))
            axis.set_ylabel("Hz", color=look.ink, fontsize=7, labelpad=1)
    axes[-1].set_xlabel("s", color=look.ink, fontsize=7, labelpad=1)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dpi, facecolor=figure.get_facecolor(), metadata={"Software": None})
    return out.getvalue() if look.colours is None else _palette(out, look.colours)


def _palette(png: io.BytesIO, most: int) -> bytes:
    """The same picture in its ``most`` most frequent colours, other pixels in the nearest of them."""
    from PIL import Image  # matplotlib brings it

    with Image.open(png) as image:
        pixels = np.asarray(image.convert("RGBA"))
    colours, places, counts = np.unique(pixels.reshape(-1, 4).view(np.uint32), return_inverse=True, return_counts=True)
    shades = colours.view(np.uint8).reshape(-1, 4)
    kept = shades[np.argsort(-counts)[:most]]
    nearest = np.concatenate([_nearest(part, kept) for part in np.array_split(shades, len(shades) // 4_096 + 1)])
    small = Image.fromarray(nearest[places].reshape(pixels.shape[:2]).astype(np.uint8))
    small.putpalette(kept.tobytes(), "RGBA")
    out = io.BytesIO()
    small.save(out, "png", optimize=True)
    return out.getvalue()


def _nearest(shades: ndarray, kept: ndarray) -> ndarray:
    return np.abs(shades[:, None].astype(np.int16) - kept.astype(np.int16)).sum(axis=-1).argmin(axis=1)
