"""Where to splice, and how well the line of a bad splice is found.

    OMP_NUM_THREADS=1 python benchmarks/superres_splice.py --data FOLDER

Inputs are low-passed by four filter families without resampling (gentle ones leave a roll-off far inside their
transition band). Generated bands: the truth with phases jittered by 0.6 rad and levels by 2 dB, and the mirrored low
band of superres_baselines.py, 0 or 6 dB too loud. Four splices; then detection by the step that is really there, and
false alarms on what was never spliced.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile
from numpy import ndarray
from superres_baselines import Envelope, Wave, fit, narrowed, recordings, replicate_band

from auscult.audio.clip import find_audio, read
from auscult.audio.rolloff import LAST_BELOW
from auscult.audio.splice import splice_line
from auscult.degrade.codec import CODERS
from auscult.degrade.lowpass import low_passed
from auscult.metrics.base import Signals
from auscult.metrics.energy import SiSdr
from auscult.metrics.spectral import Lsd
from auscult.restore.replacement import OFF, Fade, across, below, hard, measured_knee, replace, transform

FILTERS = (("bessel", 2), ("butterworth", 2), ("butterworth", 4), ("bessel", 6), ("chebyshev1", 8), ("elliptic", 10))
SETS = (("fullband.jsonl", 48_000, (4_000, 8_000)), ("", 16_000, (3_000,)))
FILES, LONGEST_S = 4, 6
NEAR_HZ = 150.0
STEPS_DB = ((-np.inf, 3.0), (3.0, 6.0), (6.0, 9.0), (9.0, np.inf))


@dataclass(frozen=True)
class Case:
    """An input, what was generated for it, and the truth."""

    given: Wave
    generated: Wave
    truth: Wave
    rate_hz: int

    @property
    def rolloff_hz(self) -> float:
        return LAST_BELOW.of(self.given[0], self.rate_hz).hz

    def splices(self) -> dict[str, Fade]:
        return {
            "none": OFF,
            "hard at the roll-off": hard(self.rolloff_hz),
            "0.9 to 1.1 of the roll-off": across(self.rolloff_hz),
            "below the knee": below(measured_knee(self.given, self.generated, self.rate_hz)),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    splices([case for manifest, *facts in SETS for case in cases(data, manifest, *facts)])
    false_alarms(data)


def cases(data: Path, manifest: str, rate_hz: int, cutoffs_hz: Sequence[int]) -> Iterator[Case]:
    rng = np.random.default_rng(0)
    train = recordings(data, manifest, "train")
    waves = [wave[:, : LONGEST_S * rate_hz] for wave in (recordings(data, manifest, "valid") + train[::40])[:FILES]]
    for cutoff_hz in cutoffs_hz:
        envelope = fit(((w, narrowed(w, rate_hz, cutoff_hz)) for w in train[3::40]), rate_hz, cutoff_hz)
        for family, order in FILTERS:
            for wave in waves:
                given = filtered(wave, rate_hz, family, order, cutoff_hz)
                yield Case(given, jittered(wave, rate_hz, rng), wave, rate_hz)
                for gain_db in (0.0, 6.0):
                    yield Case(given, mirrored(wave, envelope, rate_hz, cutoff_hz, gain_db), wave, rate_hz)


def filtered(wave: Wave, rate_hz: int, family: str, order: int, cutoff_hz: int) -> Wave:
    drawn = {"family": family, "order": order, "cutoff_hz": cutoff_hz, "ripple_db": 0.1, "stop_db": 60.0}
    return low_passed(wave, rate_hz, drawn | {"resampled": False})


def jittered(wave: Wave, rate_hz: int, rng: np.random.Generator) -> Wave:
    stft = transform(rate_hz)
    spectrum = stft.forward(wave)
    phase, level_db = 0.6 * rng.standard_normal(spectrum.shape), 2.0 * rng.standard_normal(spectrum.shape[-1])
    return stft.inverse((spectrum * 10 ** (level_db / 20) * np.exp(1j * phase)).astype(np.complex64), wave.shape[1])


def mirrored(wave: Wave, envelope: Envelope, rate_hz: int, cutoff_hz: int, gain_db: float) -> Wave:
    narrow = narrowed(wave, rate_hz, cutoff_hz)
    return narrow + 10 ** (gain_db / 20) * (replicate_band(narrow, envelope) - narrow)


def true_step_db(case: Case) -> float:
    """Median over frames of generated over given power in the 6 bins under the roll-off."""
    stft = transform(case.rate_hz)
    at = round(case.rolloff_hz * stft.n_fft / case.rate_hz)
    given, generated = (
        np.square(np.abs(stft.forward(wave)[0][:, at - 6 : at])).mean(axis=1) for wave in (case.given, case.generated)
    )
    sounding = given > 1e-10 * given.max()
    return float(np.median(10 * np.log10(np.maximum(generated[sounding], 1e-20) / given[sounding])))


def splices(all_cases: Sequence[Case]) -> None:
    scores: dict[str, list[tuple[float, float, bool]]] = defaultdict(list)
    steps: list[tuple[float, bool]] = []
    for case in all_cases:
        for name, fade in case.splices().items():
            out, _ = replace(case.given, case.generated, case.rate_hz, fade)
            line = splice_line(out[0], case.rate_hz)
            signals = Signals(out[0], case.rate_hz, case.truth[0])
            scores[name].append((Lsd()(signals), SiSdr()(signals), line.found))
            if name.startswith("hard"):
                there = line.found and abs(line.frequency_hz - case.rolloff_hz) < NEAR_HZ
                steps.append((true_step_db(case), there))
    print(f"{len(all_cases)} cases\n\n| splice | LSD | SI-SDR | lines |\n|---|---|---|---|")
    for name, rows in scores.items():
        lsd, sdr, lines = np.mean(rows, axis=0)
        print(f"| {name} | {lsd:.3f} | {sdr:.1f} | {100 * lines:.1f} % |")
    print("\n| true step of the hard splice | cases | found within 150 Hz |\n|---|---|---|")
    for low, high in STEPS_DB:
        hits = [there for step, there in steps if low <= step < high]
        print(f"| {low:g} to {high:g} dB | {len(hits)} | {100 * np.mean(hits):.0f} % |")


def false_alarms(data: Path) -> None:
    print("\n| never spliced | files | lines |\n|---|---|---|")
    full = recordings(data, "fullband.jsonl", "valid") + recordings(data, "fullband.jsonl", "train")[1::8]
    half = recordings(data, "", "valid") + recordings(data, "", "train")[::2]
    noise = [read(path).wave[:1] for path in sorted(find_audio(data / "valid" / "noise"))]
    alarms("speech, 48 kHz", full, 48_000)
    alarms("speech, 16 kHz", half, 16_000)
    alarms("noise, events and sirens, 16 kHz", noise, 16_000)
    alarms("chords", [chord(seed) for seed in range(20)], 44_100)
    for kind in ("opus", "mp3", "vorbis"):
        for strength in (0.5, 0.99):
            coded = [through(kind, strength, wave, 48_000) for wave in full[:20]]
            alarms(f"{kind} {strength:g}, 48 kHz", coded, 48_000)
            alarms(f"{kind} {strength:g}, 16 kHz", [through(kind, strength, w, 16_000) for w in half[:40]], 16_000)
    for family, order in FILTERS:
        alarms(f"{family} {order} at 4 kHz", [filtered(w, 48_000, family, order, 4_000) for w in full[:12]], 48_000)


def alarms(name: str, waves: Sequence[Wave], rate_hz: int) -> None:
    found = sum(splice_line(wave[0], rate_hz).found for wave in waves)
    print(f"| {name} | {len(waves)} | {found} |")


def through(kind: str, strength: float, wave: Wave, rate_hz: int) -> Wave:
    coded, coder = BytesIO(), CODERS[kind]
    options = {"format": coder.container, "subtype": coder.subtype, "compression_level": strength}
    soundfile.write(coded, wave.T, rate_hz, **options)
    coded.seek(0)
    return soundfile.read(coded, dtype="float32", always_2d=True)[0].T


def chord(seed: int) -> Wave:
    """Six seconds of three-part chords with falling overtones, changing every second."""
    rng, rate_hz = np.random.default_rng(seed), 44_100
    time_s = np.arange(rate_hz) / rate_hz
    beats = [sum(tone(220 * 2 ** (rng.integers(24) / 12), time_s, rng) for _ in range(3)) for _ in range(6)]
    wave = np.concatenate(beats)[None] + 1e-4 * rng.standard_normal((1, 6 * rate_hz))
    return (0.1 * wave).astype(np.float32)


def tone(pitch_hz: float, time_s: ndarray, rng: np.random.Generator) -> ndarray:
    orders = np.arange(1, int(20_000 / pitch_hz))
    phases = 2 * np.pi * (orders[:, None] * pitch_hz * time_s + rng.random((orders.size, 1)))
    return (np.sin(phases) / orders[:, None] ** 1.5).sum(axis=0) * np.exp(-2 * time_s)


if __name__ == "__main__":
    main()
