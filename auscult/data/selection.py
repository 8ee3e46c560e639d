"""Which noise reference a recording is restored with: found in itself, given by the user, or none."""

from __future__ import annotations

from pathlib import Path

from auscult.audio.clip import Clip, check_finite, find_audio, probe, read
from auscult.audio.info import Info
from auscult.audio.resample import resample
from auscult.data.references import SHORTEST_S, Reference, from_noisy, located
from auscult.errors import AudioError, DataError, few
from auscult.units import samples


def select(request: str | Path, noisy: Clip, duration_s: float = 0.5) -> Reference | None:
    """The noise reference that is asked for, at the rate of the recording.

    Args:
        request: ``auto``: a stretch of the recording without speech, None where there is none. An audio file: its
            first ``duration_s`` seconds, all of it where it is shorter. A folder: the file below it that has the
            recording's name, whatever its suffix. ``none``: None.
        noisy: the recording, of any rate and channels.
        duration_s: length of the reference.

    ``origin`` of what comes says where from, and in ``note`` what was converted.

    Raises:
        DataError: nothing of that name, a folder without the file or with several, a duration below 0.1 s.
        AudioError: a file that cannot be read, is shorter than 0.1 s, silent, or holds NaN.
    """
    if duration_s < SHORTEST_S:
        raise DataError(f"a noise reference needs at least {SHORTEST_S} s, {duration_s} s were asked for; ask for 0.5")
    if request == "none":
        return None
    if request == "auto":
        return from_noisy(noisy.wave, noisy.rate_hz, duration_s)
    path = Path(request)
    if not path.exists():
        raise DataError(f"noise reference {request}: no such file or folder; give auto, none, a file or a folder")
    return _from_file(_namesake(path, noisy.name) if path.is_dir() else path, noisy.rate_hz, duration_s)


def _namesake(folder: Path, name: str) -> Path:
    stem = Path(name).stem
    found = [path for path in find_audio(folder) if path.stem == stem]
    if not found:
        raise DataError(f"{folder}: no noise reference for {name}; an audio file '{stem}.*' was looked for below it")
    if len(found) > 1:
        names = few([str(path.relative_to(folder)) for path in found])
        raise DataError(f"{folder}: {len(found)} files could be the noise reference for {name}: {names}; keep one")
    return found[0]


def _from_file(path: Path, rate_hz: int, duration_s: float) -> Reference:
    info = probe(path)
    if info.duration_s < SHORTEST_S:
        raise AudioError(f"{path}: {info.duration_s:.3f} s are too short for a noise reference; give {SHORTEST_S} s")
    clip = read(path, 0, min(info.samples, samples(duration_s, info.rate_hz)))
    check_finite(clip.wave, str(path))
    wave = resample(clip.wave, info.rate_hz, rate_hz)
    notes = _notes(info, rate_hz)
    origin = {"origin": "file", "file": str(path), **located(0, wave.shape[1], rate_hz)}
    found = Reference.of(wave, origin | ({"note": notes} if notes else {}))
    if found is None:
        raise AudioError(f"{path}: its first {clip.duration_s:g} s are silent; a noise reference needs noise there")
    return found


def _notes(info: Info, rate_hz: int) -> str:
    resampled = f"resampled from {info.rate_hz} to {rate_hz} Hz" if info.rate_hz != rate_hz else ""
    mixed = f"{info.channels} channels averaged" if info.channels > 1 else ""
    return ", ".join(filter(None, (resampled, mixed)))
