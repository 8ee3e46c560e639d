"""What is heard in a listening test: waves of one form, cut, anchored, their loudness, and their encoding."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float
from numpy import ndarray

from auscult.audio.clip import probe, read
from auscult.audio.level import active_level_db
from auscult.errors import DataError, need
from auscult.evaluate.answers import ANCHOR, REFERENCE

SILENT_DB = -70.0
"""Below this, nothing is turned up: BS.1770 hears no programme there either."""
ANCHOR_HZ = 3_500
_FADE_S = 0.01
_LOUDNESS_BLOCK_S = 0.4


@dataclass(frozen=True)
class Item:
    """One recording from every system (and the reference), by name."""

    name: str
    files: Mapping[str, Path]


@dataclass(frozen=True)
class Sounds:
    """The waves of one item, float64 (C, T), all of one form; ``excerpt_s`` is what was cut out, if it was."""

    item: str
    rate_hz: int
    waves: Mapping[str, Float[ndarray, "C T"]]
    excerpt_s: tuple[float, float] | None = None


def sounds_of(item: Item, anchored: bool, max_s: float | None) -> Sounds:
    """Read the stimuli of an item, with the low anchor of a MUSHRA trial, cut to ``max_s``.

    Raises:
        DataError: files of different form, or what a page cannot play.
    """
    _check_form(item)
    clips = {name: read(path) for name, path in item.files.items()}
    rate_hz = next(iter(clips.values())).rate_hz
    waves = {name: clip.wave.astype(np.float64) for name, clip in clips.items()}
    if anchored:
        waves[ANCHOR] = anchor(waves[REFERENCE], rate_hz, item.name)
    return excerpt(Sounds(item.name, rate_hz, waves), max_s)


def _check_form(item: Item) -> None:
    infos = {name: probe(path) for name, path in item.files.items()}
    forms = {name: (info.rate_hz, info.channels, info.samples) for name, info in infos.items()}
    first, form = next(iter(forms.items()))
    for name, other in forms.items():
        if other != form:
            raise DataError(
                f"{item.name}: {name} has {_form(other)}, {first} has {_form(form)}; nothing is cut or resampled "
                "silently: make them equal first"
            )
    if form[1] > 2:
        raise DataError(f"{item.name}: {form[1]} channels; a listening test plays mono or stereo")


def _form(form: tuple[int, int, int]) -> str:
    rate_hz, channels, samples = form
    return f"{samples} samples of {channels} channel{'s' if channels > 1 else ''} at {rate_hz} Hz"


def anchor(wave: Float[ndarray, "C T"], rate_hz: int, name: str = "array") -> Float[ndarray, "C T"]:
    """The low anchor of BS.1534-3: a low-pass at 3.5 kHz, 60 dB down from 4 kHz on, without delay.

    Raises:
        DataError: the rate is too low for it.
    """
    from scipy.signal import fftconvolve, firwin, kaiserord

    width_hz = 500.0
    if rate_hz < 2 * (ANCHOR_HZ + width_hz):
        raise DataError(f"{name}: the 3.5 kHz anchor of a mushra test needs 8000 Hz or more, this is {rate_hz} Hz")
    taps, beta = kaiserord(60.0, width_hz / (rate_hz / 2))
    response = firwin(taps | 1, ANCHOR_HZ + width_hz / 2, window=("kaiser", beta), fs=rate_hz)
    full = fftconvolve(wave, response[None], axes=1)
    return full[:, response.size // 2 :][:, : wave.shape[1]]


def excerpt(sounds: Sounds, max_s: float | None) -> Sounds:
    """At most ``max_s`` seconds: the stretch with the most energy over all stimuli, faded where it was cut."""
    samples = next(iter(sounds.waves.values())).shape[1]
    wanted = samples if max_s is None else max(1, round(max_s * sounds.rate_hz))
    if wanted >= samples:
        return sounds
    power = np.sum([np.square(wave).mean(0) / (np.square(wave).mean() or 1.0) for wave in sounds.waves.values()], 0)
    total = np.concatenate([[0.0], np.cumsum(power)])
    start = int(np.argmax(total[wanted:] - total[:-wanted]))
    window = _window(wanted, round(_FADE_S * sounds.rate_hz), start > 0, start + wanted < samples)
    waves = {name: wave[:, start : start + wanted] * window for name, wave in sounds.waves.items()}
    span = (start / sounds.rate_hz, (start + wanted) / sounds.rate_hz)
    return Sounds(sounds.item, sounds.rate_hz, waves, span)


def _window(samples: int, fade: int, opens: bool, closes: bool) -> ndarray:
    window = np.ones(samples)
    fade = min(fade, samples // 2)
    ramp = np.sin(np.pi / 2 * (np.arange(fade) + 0.5) / fade) ** 2 if fade else np.ones(0)
    if opens:
        window[:fade] = ramp
    if closes:
        window[samples - fade :] = ramp[::-1]
    return window


@dataclass(frozen=True)
class Levels:
    """Levels of the stimuli of one item by one measure; a silent one has minus infinity."""

    values: Mapping[str, float]
    measure: str
    notes: tuple[str, ...] = ()


def loudness_lufs(wave: Float[ndarray, "C T"], rate_hz: int) -> float:
    """Integrated loudness (ITU-R BS.1770); minus infinity where it is not defined: too short, too quiet."""
    if wave.shape[1] <= _LOUDNESS_BLOCK_S * rate_hz:
        return -math.inf
    meter = need("pyloudnorm", "matching the loudness of a listening test").Meter(rate_hz)
    return float(meter.integrated_loudness(np.asarray(wave, np.float64).T))


def levels_of(sounds: Sounds) -> Levels:
    """Loudness where every stimulus of the item has one, else active speech level for all of them."""
    values = {name: loudness_lufs(wave, sounds.rate_hz) for name, wave in sounds.waves.items()}
    if all(map(math.isfinite, values.values())):
        return Levels(values, "BS.1770 loudness")
    values = {name: _active_db(wave, sounds.rate_hz) for name, wave in sounds.waves.items()}
    notes = [f"{sounds.item}: too short or too quiet for BS.1770; matched by active speech level (P.56)"]
    notes += [f"{sounds.item}: {name} is silent" for name, value in values.items() if not math.isfinite(value)]
    return Levels(values, "P.56 active speech level", tuple(notes))


def _active_db(wave: Float[ndarray, "C T"], rate_hz: int) -> float:
    level_db = active_level_db(wave.astype(np.float32), rate_hz)
    return level_db if level_db > SILENT_DB else -math.inf


def encoded(wave: Float[ndarray, "C T"], rate_hz: int) -> bytes:
    """A wave as 16-bit FLAC."""
    file = io.BytesIO()
    samples = np.rint(np.clip(wave, -1.0, 1.0) * 32_767).astype(np.int16)
    soundfile.write(file, samples.T, rate_hz, format="FLAC", subtype="PCM_16")
    return file.getvalue()
