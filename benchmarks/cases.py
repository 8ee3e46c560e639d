"""Replay the four real cases of docs/cases: what the doctor says of each, and of its healthy twin, and how fast.

    python benchmarks/cases.py --data FOLDER [--runs FOLDER] [--table items.csv] [--only voicebank-48k]

``--runs`` holds run folders of this package by case (``make bench-cases RUNS=FOLDER``). ``--table`` is a table of
scores that is not ours to publish; without it one of the same law is drawn. Material is written to a folder that is
left behind (``--out``), so that every command can be repeated by hand.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.audio.clip import Clip, read
from auscult.audio.resample import resample
from auscult.audio.writer import write
from auscult.degrade.base import Signal
from auscult.degrade.lowpass import low_passed
from auscult.degrade.noise import at_snr, coloured
from auscult.diagnose.case import Given
from auscult.diagnose.examine import Diagnosis, examine
from auscult.restore.replacement import below, measured_knee, transform
from auscult.restore.replacement import replace as spliced

ROOT = Path(__file__).parent.parent
EXAMPLES, CASES = ROOT / "examples", ROOT / "examples" / "cases"
TRAINER = "tests.diagnose.foreign_projects.argparse_trainer.train"
TRUST = ("tests", "voicebank_48k", "tfgridnet_crops", "faults")
PUBLISHED_HZ, NET_HZ = 48_000, 16_000
FILES, OF_ONE, EXCERPT_S = 30, 3, 5.0
GENTLE = {"family": "bessel", "order": 2, "ripple_db": 0.1, "stop_db": 60.0, "resampled": False}
HUM = {"tilt_db_per_octave": -4.0, "knots_db": [3, 1, 0, -2, 1, 2, -1, 0, 1, -2], "wander_db": 1.5}
Wave = Float32[ndarray, "1 T"]


@dataclass(frozen=True)
class Replay:
    """One way to a case: what is given, and the causes that the doctor may name first; none for a healthy twin."""

    case: str
    way: str
    given: Given
    causes: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, budget_s: float = 300.0) -> Diagnosis:
        """Examine it, with the environment that its project wants."""
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            return examine(self.given, budget_s)
        finally:
            os.environ.clear()
            os.environ.update(before)

    def told(self, found: Diagnosis) -> bool:
        """Whether the doctor says what it should: the cause first, or of a healthy twin no fault."""
        first = found.faults[0].finding.causes[0] if found.faults else None
        return first in self.causes if self.causes else first is None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="development recordings; without them the bundled example")
    parser.add_argument("--runs", type=Path, help="run folders: <case>/<run> and <case>-healthy/<run>")
    parser.add_argument("--table", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs-cases"))
    parser.add_argument("--only", help="one case")
    given = parser.parse_args()
    on_the_path()
    print("| case | given | verdict | first cause | ruled out | s | CPU s |\n|---|---|---|---|---|---|---|")
    missed = 0
    for one in replays(given.out, given.data, given.runs, given.table):
        if given.only in (None, one.case):
            missed += not _told(one)
    sys.exit(1 if missed else 0)


def _told(one: Replay) -> bool:
    wall, cpu = time.monotonic(), time.process_time()
    found = one.run()
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    first = found.ranked[0].finding if found.ranked else None
    verdict, cause = (first.verdict, first.causes[0]) if first else ("no fault", "")
    right = one.told(found)
    print(f"| {one.case} | {one.way} | {verdict}{'' if right else ' (WRONG)'} | {cause} | "
          f"{len(found.ruled_out)} | {wall:.0f} | {cpu:.0f} |", flush=True)  # fmt: skip
    return right


def on_the_path() -> None:
    """Make the foreign projects importable."""
    for folder in (ROOT, CASES, ROOT / "benchmarks"):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))


def replays(out: Path, data: Path | None, runs: Path | None = None, table: Path | None = None) -> Iterator[Replay]:
    """All replays; their material is written as they come."""
    clips = speech(data)
    yield from voicebank_48k(out / "voicebank-48k", clips)
    yield from cmgan_level(out / "cmgan-level", clips)
    yield from tfgridnet_crops(out / "tfgridnet-crops", clips, table)
    yield from saga_line(out / "saga-line", clips)
    for case, causes in RUNS.items() if runs is not None else ():
        yield from trained(runs, data, case, causes)


# Material


def speech(data: Path | None) -> Sequence[tuple[str, Wave]]:
    """Excerpts at 48 kHz by speaker: of full-band recordings, else of the bundled example."""
    if data is None:
        clip = read(EXAMPLES / "clean" / "walk.flac")
        wave = resample(clip.wave, clip.rate_hz, PUBLISHED_HZ)
        size = wave.shape[1] // 7
        return [(f"p{(i + 4) // 5}", wave[:, i * size : (i + 1) * size]) for i in range(7)]
    rows = [json.loads(line) for line in (data / "fullband.jsonl").open()]
    rows = sorted((r for r in rows if r["split"] == "train" and r["duration_s"] > 3.0), key=lambda r: str(r["speaker"]))
    rows = [row for _, own in groupby(rows, key=lambda row: row["speaker"]) for row in list(own)[:OF_ONE]]
    chosen = [rows[i] for i in np.linspace(0, len(rows) - 1, FILES).astype(int)]
    most = round(EXCERPT_S * PUBLISHED_HZ)
    return [(row["speaker"], read(data / row["path"]).wave[:1, :most]) for row in chosen]


def corpus(folder: Path, clips: Sequence[tuple[str, Wave]], rate_hz: int, copied: bool) -> Path:
    """A corpus of noisy pairs in the layout of VoiceBank-DEMAND; ``copied``: valid is test, else no one is in two."""
    rng = np.random.default_rng(1)
    speakers = list(dict.fromkeys(name for name, _ in clips))
    few = len(clips) // 6
    last = {name for name, _ in clips[-few:]}
    held = set() if copied else {name for name, _ in clips[:few]}
    for i, (speaker, wave) in enumerate(clips):
        split = "test" if speaker in last else "valid" if speaker in held else "train"
        noise = coloured(rng, wave.shape[1], PUBLISHED_HZ, HUM)
        pair = at_snr(Signal(wave, wave, PUBLISHED_HZ), noise, float(rng.choice([0, 5, 10, 15])), "rms")
        loud = 0.9 / float(np.abs(pair.noisy).max())
        for side, sound in (("clean", pair.clean), ("noisy", pair.noisy)):
            sound = resample(loud * sound, PUBLISHED_HZ, rate_hz)
            write(folder / split / side / f"{speakers.index(speaker):03d}_{i:03d}.wav", Clip(sound, rate_hz))
    if copied:
        shutil.copytree(folder / "test", folder / "valid", dirs_exist_ok=True)
    return folder


def unrelated_scores(path: Path, items: int = 192, mixture: bool = False) -> Path:
    """SI-SNR of noisy and enhanced items that have nothing in common with their references, by the law of chance.

    ``mixture``: instead what a healthy model makes of mixtures at 0 to 15 dB.
    """
    rng = np.random.default_rng(4)
    if mixture:
        noisy = rng.uniform(0.0, 15.0, items)
        enhanced = noisy + rng.normal(9.0, 2.0, items) - 0.3 * noisy
    else:
        widths = np.exp(rng.normal(np.log(1226.0), 0.7, items))  # effective samples differ with the band of an item
        noisy, enhanced = (_chance(rng.standard_normal(items) / np.sqrt(widths)) for _ in range(2))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["uttid", "si_snr_noisy", "si_snr_enhanced", "improvement"])
        rows.writerows((f"{i + 1:05d}", a, b, b - a) for i, (a, b) in enumerate(zip(noisy, enhanced, strict=True)))
    return path


def _chance(correlation: ndarray) -> ndarray:
    return 10 * np.log10(correlation**2 / (1 - correlation**2))


def extended(folder: Path, clips: Sequence[tuple[str, Wave]], rate_hz: int, cutoff_hz: int, hard: bool) -> Path:
    """Speech behind a gentle low-pass, extended (the truth with jittered phases), its low band put back.

    ``hard``: by the project's own post-processing at the roll-off; else with a fade below the knee.
    """
    from saga_line.postprocess import low_frequency_replace, rolloff_hz

    rng = np.random.default_rng(2)
    for i, (_, wave) in enumerate(clips):
        wave = resample(wave, PUBLISHED_HZ, rate_hz)
        low = low_passed(wave, rate_hz, GENTLE | {"cutoff_hz": cutoff_hz})
        generated = _generated(wave, rate_hz, rng)
        if hard:
            at_hz = rolloff_hz(low[0], rate_hz)
            restored = low_frequency_replace(generated[0], low[0], rate_hz, at_hz)[None]
        else:
            restored, _ = spliced(low, generated, rate_hz, below(measured_knee(low, generated, rate_hz)))
        for side, sound in (("clean", wave), ("noisy", low), ("restored", restored)):
            write(folder / side / f"{i:03d}.wav", Clip(sound, rate_hz))
    return folder


def _generated(wave: Wave, rate_hz: int, rng: np.random.Generator) -> Wave:
    """As a generator may leave it: phases off by 0.6 rad, bins by 2 dB."""
    stft = transform(rate_hz)
    spectrum = stft.forward(wave)
    phase, level_db = 0.6 * rng.standard_normal(spectrum.shape), 2.0 * rng.standard_normal(spectrum.shape[-1])
    return stft.inverse((spectrum * 10 ** (level_db / 20) * np.exp(1j * phase)).astype(np.complex64), wave.shape[1])


# The cases


def voicebank_48k(out: Path, clips: Sequence[tuple[str, Wave]]) -> Iterator[Replay]:
    """A corpus left at 48 kHz, read as if it were at 16 kHz; valid is test."""
    case = "voicebank-48k"
    loader = Given(loader="voicebank_48k.data_module:make_loader", trust=TRUST, facts={"rate_hz": NET_HZ})
    left, made = corpus(out / "left", clips, PUBLISHED_HZ, True), corpus(out / "made", clips, NET_HZ, False)
    for way, folder, rate, split in (("", left, ("wrong-rate",), ("valid-is-test",)), (", healthy", made, (), ())):
        data = {name: folder / name for name in ("train", "valid", "test")}
        yield Replay(case, f"files{way}", Given(data=data), split)
        given = replace(loader, data=data)
        yield Replay(case, f"loader and files{way}", given, rate, {"CORPUS": str(folder)})


def cmgan_level(out: Path, clips: Sequence[tuple[str, Wave]]) -> Iterator[Replay]:
    """A term of the loss compares the normalised estimate with the target as it was loaded."""
    case, project = "cmgan-level", {"CORPUS": str(corpus(out, clips, NET_HZ, False))}
    given = Given(loader="voicebank_48k.data_module:make_loader", loss=f"{TRAINER}:loss_refactored", trust=TRUST,
                  facts={"rate_hz": NET_HZ})  # fmt: skip
    yield Replay(case, "loader and loss", given, ("target-scale",), project)
    yield Replay(case, "loader and loss, healthy", replace(given, loss=f"{TRAINER}:loss_fn"), (), project)


def tfgridnet_crops(out: Path, clips: Sequence[tuple[str, Wave]], table: Path | None) -> Iterator[Replay]:
    """Clean and noisy cropped at places of their own."""
    case, module = "tfgridnet-crops", "tfgridnet_crops.dataset"
    scores = table or unrelated_scores(out / "items.csv")
    yield Replay(case, "scores", Given(scores=scores), ("unrelated-pairs", "independent-crops"))
    yield Replay(case, "scores, healthy", Given(scores=unrelated_scores(out / "healthy.csv", mixture=True)))
    folder = corpus(out / "corpus", clips, NET_HZ, False)
    given = Given(data={"train": folder / "train"}, loader=f"{module}:make_loader", loss=f"{module}:si_snr_loss",
                  trust=TRUST, facts={"rate_hz": NET_HZ})  # fmt: skip
    project = {"CORPUS": str(folder)}
    yield Replay(case, "loader and loss", given, ("independent-crops",), project)
    together = replace(given, loader=f"{module}:make_loader_together")
    yield Replay(case, "loader and loss, healthy", together, (), project)


def saga_line(
    out: Path, clips: Sequence[tuple[str, Wave]], rate_hz: int = PUBLISHED_HZ, cutoff_hz: int = 4_000
) -> Iterator[Replay]:
    """A hard splice at the roll-off of gently filtered speech."""
    for way, hard, causes in (("", True, ("splice-line",)), (", healthy", False, ())):
        folder = extended(out / ("hard" if hard else "faded"), clips[:8], rate_hz, cutoff_hz, hard)
        yield Replay("saga-line", f"outputs{way}", Given(data={"data": folder}, outputs=folder / "restored"), causes)


RUNS = {
    "voicebank-48k": ("wrong-rate",),
    "cmgan-level": ("target-scale",),
    "tfgridnet-crops": ("independent-crops", "unrelated-pairs"),
}
"""Cases of which there may be run folders, each beside its healthy twin."""


def trained(runs: Path, data: Path | None, case: str, causes: tuple[str, ...]) -> Iterator[Replay]:
    """Runs of this package that were trained with the fault, and without."""
    data_of = {} if data is None else {"data": data}
    for way, name, expected in (("a run", case, causes), ("a run, healthy", f"{case}-healthy", ())):
        for folder in sorted(path.parent for path in runs.glob(f"{name}/*/recipe.yaml")):
            yield Replay(case, way, Given(run=folder, data=data_of, trust=TRUST), expected)


if __name__ == "__main__":
    main()
