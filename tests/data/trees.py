"""Small folders of the layouts in which corpora are published, made from recordings or from the example."""

from __future__ import annotations

import json
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy import ndarray

from auscult.audio.clip import read
from auscult.audio.resample import resample
from auscult.data.manifest import read_rows

TYPES = ("siren", "rooster")
ESC_HZ = 44_100


class Material(ABC):
    """Speech and noise, new at every call; full scale is not reached."""

    @abstractmethod
    def noise(self, rate_hz: int, seconds: float) -> ndarray: ...

    @abstractmethod
    def speech(self, seconds: float) -> ndarray:
        """At 16 kHz."""

    @abstractmethod
    def wide(self, seconds: float) -> ndarray:
        """At 48 kHz."""

    @abstractmethod
    def events(self, kind: str) -> list[ndarray]:
        """Two clips of a type of noise at 44.1 kHz."""

    @abstractmethod
    def room(self, number: int) -> ndarray:
        """A room response at 16 kHz."""


class Recorded(Material):
    """The development recordings, one after the other."""

    def __init__(self, data: Path):
        self._data = data
        rows = [row for name in ("train", "valid") for row in read_rows(data / f"{name}.jsonl")]
        self._noise_rows = [row for row in rows if row["kind"] == "noise" and row["duration_s"] >= 4.0]
        self._noises = iter(self._noise_rows)
        self._voices = iter([row for row in rows if row["kind"] == "speech" and row["duration_s"] >= 2.5])
        self._wides = iter([row for row in read_rows(data / "fullband.jsonl") if row["duration_s"] >= 5.0])
        rooms = sorted((data / "rir").rglob("*.flac"))
        self._rooms = [path for path in rooms if "Basement" in path.name or "Living" in path.name] or rooms

    def _of(self, row: Mapping[str, Any], rate_hz: int) -> ndarray:
        clip = read(self._data / row["path"])
        return resample(clip.wave, clip.rate_hz, rate_hz)[0]

    def _next(self, rows: Iterator[dict[str, Any]], rate_hz: int, seconds: float) -> ndarray:
        return within(np.resize(self._of(next(rows), rate_hz), round(seconds * rate_hz)))

    def noise(self, rate_hz: int, seconds: float) -> ndarray:
        return self._next(self._noises, rate_hz, seconds)

    def speech(self, seconds: float) -> ndarray:
        return self._next(self._voices, 16_000, seconds)

    def wide(self, seconds: float) -> ndarray:
        return self._next(self._wides, 48_000, seconds)

    def events(self, kind: str) -> list[ndarray]:
        return [self._of(row, ESC_HZ) for row in self._noise_rows if row["noise_type"] == kind][:2]

    def room(self, number: int) -> ndarray:
        return read(self._rooms[number % len(self._rooms)]).wave[0]


class Example(Material):
    """Parts of the bundled example and generated noise: for where the development recordings are not at hand."""

    def __init__(self, example: Path):
        self._voice, self._at = read(example).wave[0], 0
        self._rng = np.random.default_rng(11)

    def noise(self, rate_hz: int, seconds: float) -> ndarray:
        white = self._rng.standard_normal(round(seconds * rate_hz))
        return within(np.convolve(white, [1.0, 0.8, 0.4], "same").astype(np.float32))

    def speech(self, seconds: float) -> ndarray:
        self._at += 5_000
        return within(np.resize(np.roll(self._voice, -self._at), round(seconds * 16_000)))

    def wide(self, seconds: float) -> ndarray:
        return resample(self.speech(seconds)[None], 16_000, 48_000)[0]

    def events(self, kind: str) -> list[ndarray]:
        return [self.noise(ESC_HZ, 4.0), self.noise(ESC_HZ, 4.0)]

    def room(self, number: int) -> ndarray:
        decay = np.exp(-np.arange(12_000) / 16_000 * 9.0)
        response = 0.05 * self._rng.standard_normal(12_000) * decay
        response[100] = 1.0
        return within(response.astype(np.float32))


def within(wave: ndarray) -> ndarray:
    return wave * np.float32(min(1.0, 0.6 / np.abs(wave).max()))


def put(path: Path, wave: ndarray, rate_hz: int, subtype: str = "PCM_16") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), wave.T, rate_hz, subtype=subtype)


def vbdmd(root: Path, material: Material) -> dict[str, Path]:
    lines = []
    for part, speakers in (("trainset_28spk", ("p226", "p227", "p228", "p287")), ("testset", ("p232", "p257"))):
        for speaker in speakers:
            for number in (1, 2):
                name, clean = f"{speaker}_{number:03d}", material.wide(1.4 + 0.1 * number)
                put(root / f"clean_{part}_wav" / f"{name}.wav", clean, 48_000)
                noise = material.noise(48_000, clean.size / 48_000)
                put(root / f"noisy_{part}_wav" / f"{name}.wav", (clean + 0.3 * noise) / 1.3, 48_000)
                lines.append(f"{name} bus {7.5 if number == 1 else 12.5}")
    (root / "log_testset.txt").write_text("\n".join(lines) + "\n")
    return {"vbdmd": root}


def zipped(root: Path, to: Path) -> dict[str, Path]:
    """The folders of :func:`vbdmd` as the zip files they are published as."""
    to.mkdir()
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        with zipfile.ZipFile(to / f"{folder.name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for file in folder.iterdir():
                archive.write(file, f"{folder.name}/{file.name}")
                archive.writestr(f"__MACOSX/{folder.name}/._{file.name}", b"junk")
    (to / "log_testset.txt").write_bytes((root / "log_testset.txt").read_bytes())
    return {"vbdmd": to}


def wsj0(root: Path, material: Material, each: int = 2) -> Path:
    for folder, speakers in (("si_tr_s", ("011", "01a")), ("si_dt_05", ("050",)), ("si_et_05", ("440",))):
        for speaker in speakers:
            for number in range(each):
                name = f"{speaker}c020{number}"
                put(root / "11-1.1" / "wsj0" / folder / speaker / f"{name}.wav", material.speech(2.0), 16_000)
    return root


def wsj0_chime3(root: Path, material: Material) -> dict[str, Path]:
    folder = root / "chime3" / "data" / "audio" / "16kHz" / "backgrounds"
    for number in (10, 20, 30):
        put(folder / f"BGD_150203_0{number}_BUS.CH1.wav", material.noise(16_000, 8), 16_000)
    put(folder / "BGD_150203_010_CAF.CH1.wav", material.noise(16_000, 60), 16_000)
    put(folder / "BGD_150203_010_CAF.CH2.wav", material.noise(16_000, 4), 16_000)
    return {"wsj0": wsj0(root / "wsj0", material), "chime3": root / "chime3"}


def wsj0_qut(root: Path, material: Material) -> dict[str, Path]:
    for name in ("CAFE-CAFE-1", "CAR-WINDOWNB-1", "HOME-KITCHEN-1", "STREET-CITY-1"):
        stereo = np.stack([material.noise(48_000, 40), material.noise(48_000, 40)])
        put(root / "qut" / "QUT-NOISE" / f"{name}.wav", stereo, 48_000)
    return {"wsj0": wsj0(root / "wsj0", material), "qut": root / "qut"}


def wsj0_reverb(root: Path, material: Material) -> dict[str, Path]:
    return {"wsj0": wsj0(root, material, each=1)}


def ears(root: Path, material: Material) -> Path:
    for speaker, seconds in (("p001", 5), ("p002", 16.5), ("p100", 4.5), ("p102", 5)):
        put(root / speaker / "emo_anger_sentences.wav", material.wide(seconds), 48_000, "FLOAT")
    put(root / "p001" / "melodic_scales.wav", material.wide(5), 48_000, "FLOAT")
    put(root / "p002" / "rainbow_01_fast.wav", material.wide(2), 48_000, "FLOAT")
    return root


def ears_wham(root: Path, material: Material) -> dict[str, Path]:
    lines = ["Filename,Length (sec),WHAM! Split"]
    for number, split in enumerate(("Train", "Train", "Valid", "Test")):
        stereo = np.stack([material.noise(48_000, 14), material.noise(48_000, 14)])
        put(root / "wham" / "high_res_wham" / "audio" / f"n{number}.wav", stereo, 48_000)
        lines.append(f"n{number}.wav,14.0,{split}")
    (root / "wham" / "high_res_wham" / "high_res_metadata.csv").write_text("\n".join(lines) + "\n")
    return {"ears": ears(root / "ears", material), "wham": root / "wham"}


def ears_reverb(root: Path, material: Material) -> dict[str, Path]:
    homes = ("ACE-Challenge/a/one_RIR.wav", "ACE-Challenge/a/one_Noise.wav", "AIR/x.wav", "ARNI/a.wav", "ARNI/b.wav")
    for number, name in enumerate(homes):
        response = material.room(number)
        tail = np.exp(-np.arange(response.size) / 16_000 * (6.0 + number)).astype(np.float32)
        put(root / "rooms" / name, resample((response * tail)[None], 16_000, 48_000), 48_000, "FLOAT")
    return {"ears": ears(root / "ears", material), "rooms": root / "rooms"}


def esc50(root: Path, material: Material) -> dict[str, Path]:
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for kind in (*TYPES, "dog"):
        for number, event in enumerate(material.events(kind)):
            wave = np.concatenate([event[: 4 * ESC_HZ], np.zeros(ESC_HZ, np.float32)])
            put(root / "ESC-50-master" / "audio" / f"1-{kind}-{number}.wav", wave, ESC_HZ)
            lines.append(f"1-{kind}-{number}.wav,1,0,{kind},False,1,A")
    (root / "ESC-50-master" / "meta").mkdir(parents=True)
    (root / "ESC-50-master" / "meta" / "esc50.csv").write_text("\n".join(lines) + "\n")
    (root / "types.json").write_text(json.dumps({"held_out_noise_types": list(TYPES), "use": "a test"}))
    for number in range(3):
        put(root / "speech" / f"p23{number}_001.wav", material.speech(2.5), 16_000)
    return {"esc50": root / "ESC-50-master", "speech": root / "speech"}


MAKERS: dict[str, Callable[[Path, Material], dict[str, Path]]] = {
    "vbdmd": vbdmd,
    "wsj0-chime3": wsj0_chime3,
    "wsj0-qut": wsj0_qut,
    "wsj0-reverb": wsj0_reverb,
    "ears-wham": ears_wham,
    "ears-reverb": ears_reverb,
    "esc50-ood": esc50,
}
"""The sources of every corpus."""
