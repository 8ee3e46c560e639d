"""Restored files with faults of evaluation and of writing, and healthy ones, on real-sounding speech in noise."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import istft, resample_poly, stft

from auscult.audio.clip import Clip, probe
from auscult.diagnose.case import Case, Given
from auscult.diagnose.checks import evaluation, output_place, output_seams, output_spectra, rescoring
from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import FilePair, Files
from auscult.diagnose.finding import Finding
from auscult.diagnose.measure.agreement import level_off_db

CHECKS = (
    evaluation.PAIRS, evaluation.SOUND, output_place.PLACE, output_seams.SEAMS, output_seams.RIPPLE,
    output_spectra.SPLICE, output_spectra.BAND,
)  # fmt: skip
ITEMS, HZ = 6, 16_000
Waves = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def pairs(clean: Clip, noisy: Clip, tmp_path_factory) -> tuple[Path, Waves, Waves]:
    """The bundled example cut into items, as files and as arrays."""
    root = tmp_path_factory.mktemp("pairs")
    starts = np.linspace(0, clean.samples - 2 * HZ, ITEMS).astype(int)
    sides: dict[str, Waves] = {"clean": {}, "noisy": {}}
    for side, clip in (("clean", clean), ("noisy", noisy)):
        (root / side).mkdir()
        for i, start in enumerate(starts):
            wave = clip.wave[0, start : start + 2 * HZ - 160 * i]
            sides[side][f"p{i:03d}"] = wave
            soundfile.write(root / side / f"p{i:03d}.wav", wave, HZ, subtype="FLOAT")
    return root, sides["clean"], sides["noisy"]


def case(root: Path, folder: Path) -> Case:
    found = Case(Given(outputs=folder, data={"test": root}), Clock.lasting(60))
    names = sorted((root / "clean").glob("*.wav"))
    rows = [FilePair(p.stem, probe(p), probe(root / "noisy" / p.name)) for p in names]
    found.__dict__["files"] = Files({"test": rows})
    return found


def written(folder: Path, waves: Waves, rate_hz: int = HZ) -> Path:
    folder.mkdir(exist_ok=True)
    for name, wave in waves.items():
        soundfile.write(folder / f"{name}.wav", wave, rate_hz, subtype="FLOAT")
    return folder


def findings(root: Path, folder: Path) -> list[Finding]:
    of = case(root, folder)
    answers = [check.run(of) for check in CHECKS]
    return [one for a in answers for one in ([a] if isinstance(a, Finding) else a or ())]


def alarms(found: list[Finding]) -> set[tuple[str, str]]:
    return {(one.verdict, one.causes[0]) for one in found if one.verdict in ("fault", "suspect")}


def restored(clean: Waves, noisy: Waves, left: float = 0.3) -> Waves:
    """What a model that leaves a part of the noise makes."""
    return {name: clean[name] + left * (noisy[name] - clean[name]) for name in clean}


def gated(clean: Waves, noisy: Waves) -> Waves:
    """Spectral subtraction with a floor: musical noise, and a level that is too low where noise is loud."""
    found = {}
    for name, wave in noisy.items():
        z = stft(wave, nperseg=512)[2]
        floor = np.quantile(np.abs(z), 0.3, axis=1, keepdims=True)
        gain = np.maximum(1 - (1.5 * floor / np.maximum(np.abs(z), 1e-9)) ** 2, 0.1)
        found[name] = istft(z * gain, nperseg=512)[1][: wave.size].astype(np.float32)
    return found


def shifted(wave: np.ndarray, lag: int) -> np.ndarray:
    return np.r_[np.zeros(lag, np.float32), wave[: wave.size - lag]]


def seamed(wave: np.ndarray) -> np.ndarray:
    out = wave.copy()
    for start in range(4_000, wave.size, 4_000):
        out[start : start + 48] = 0.0
    return out


def spliced(wave: np.ndarray) -> np.ndarray:
    """Nothing between 2.9 and 3.4 kHz, above it noise that follows the envelope."""
    rng = np.random.default_rng(wave.size)
    envelope = np.convolve(np.abs(wave), np.ones(320) / 320, "same")
    hz = np.fft.rfftfreq(wave.size, 1 / HZ)
    low, high = (np.fft.rfft(x) for x in (wave, 0.5 * (envelope + 1e-3) * rng.standard_normal(wave.size)))
    return np.fft.irfft(low * (hz < 2_900) + high * (hz > 3_400), wave.size).astype(np.float32)


def whistling(wave: np.ndarray) -> np.ndarray:
    """With a line at 3 kHz, 20 dB below the signal."""
    level = 0.1 * np.sqrt(2 * np.mean(wave**2))
    return (wave + level * np.sin(2 * np.pi * 3_000 * np.arange(wave.size) / HZ)).astype(np.float32)


def rippled(wave: np.ndarray) -> np.ndarray:
    """Analysed with Hann's window and put together with Hann's again, at half overlap, without dividing by its sum."""
    ripple = np.sin(np.pi * np.arange(wave.size) / 256) ** 2
    return (wave * (ripple**2 + (1 - ripple) ** 2) / 0.75).astype(np.float32)


def each(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Waves], Waves]:
    return lambda waves: {name: change(wave) for name, wave in waves.items()}


def of_other_items(waves: Waves) -> Waves:
    names = list(waves)
    return {name: waves[names[(i + 1) % len(names)]] for i, name in enumerate(names)}


FAULTS: dict[str, tuple[Callable[[Waves], Waves], tuple[str, str]]] = {
    "other items": (of_other_items, ("fault", "wrong-file-pairs")),
    "late by a hop": (each(lambda w: shifted(w, 128)), ("fault", "output-lag")),
    "late by 4 samples": (each(lambda w: shifted(w, 4)), ("suspect", "output-lag")),
    "half the level": (each(lambda w: 0.5 * w), ("suspect", "output-level")),
    "a quarter of the level": (each(lambda w: 0.25 * w), ("fault", "output-level")),
    "peaks normalised": (each(lambda w: w / np.abs(w).max()), ("fault", "output-level")),
    "sign": (each(lambda w: -w), ("fault", "output-polarity")),
    "half a second lost": (each(lambda w: w[:-8_000]), ("fault", "output-length")),
    "whole frames": (each(lambda w: w[: w.size // 512 * 512]), ("suspect", "output-length")),
    "silence": (each(lambda w: 0 * w), ("fault", "output-silent")),
    "NaN": (each(lambda w: np.where(np.arange(w.size) == 900, np.nan, w)), ("fault", "output-silent")),
    "clipped": (each(lambda w: np.clip(w, -0.3 * np.abs(w).max(), 0.3 * np.abs(w).max())), ("fault", "output-clipped")),
    "chunks that do not join": (each(seamed), ("fault", "chunk-seams")),
    "windows that do not add up": (each(rippled), ("fault", "chunk-seams")),
    "a splice": (each(spliced), ("fault", "splice-line")),
    "a line": (each(whistling), ("fault", "splice-line")),
    "through 6 kHz": (each(lambda w: resample_poly(resample_poly(w, 3, 8), 8, 3)[: w.size]),
                      ("suspect", "rate-mismatch-evaluation")),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_outputs_is_named(pairs, tmp_path, name):
    root, clean, noisy = pairs
    change, expected = FAULTS[name]
    found = alarms(findings(root, written(tmp_path / "out", change(restored(clean, noisy)))))
    assert expected in found
    assert not {cause for verdict, cause in found if verdict == "fault"} - {expected[1], "output-length"}


HEALTHY: dict[str, Callable[[Waves, Waves], Waves]] = {
    "some noise left": restored,
    "most noise left": lambda clean, noisy: restored(clean, noisy, 0.8),
    "spectral subtraction": gated,
    "shrunk as Wiener does": lambda clean, noisy: {n: 0.85 * w for n, w in restored(clean, noisy, 0.5).items()},
    "nearly perfect": lambda clean, noisy: restored(clean, noisy, 0.03),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_outputs_raise_no_alarm(pairs, tmp_path, name):
    root, clean, noisy = pairs
    found = findings(root, written(tmp_path / "out", HEALTHY[name](clean, noisy)))
    assert alarms(found) == set()
    ruled_out = {cause for one in found if one.verdict == "healthy" for cause in one.causes}
    assert {"wrong-file-pairs", "output-lag", "output-polarity", "output-level", "output-length", "output-silent",
            "output-clipped", "output-is-input", "chunk-seams", "splice-line"} <= ruled_out  # fmt: skip


def test_copies_of_the_input_and_a_wrong_header(pairs, tmp_path):
    root, clean, noisy = pairs
    copies = written(tmp_path / "copies", {name: 0.7 * wave for name, wave in noisy.items()})
    assert ("fault", "output-is-input") in alarms(findings(root, copies))
    slow = written(tmp_path / "slow", restored(clean, noisy), 48_000)
    (rate,) = output_place.PLACE.run(case(root, slow))
    assert (rate.verdict, rate.causes[0]) == ("fault", "rate-mismatch-evaluation")
    assert rate.measured[0].value == pytest.approx(1 / 3, rel=1e-3)


def test_outputs_go_by_parts_of_names_and_what_does_not_match_is_evidence(pairs, tmp_path):
    root, clean, noisy = pairs
    waves = restored(clean, noisy)
    found = case(
        root, written(tmp_path / "out", {f"enh_{n}_16k": w for n, w in waves.items()} | {"p0001": waves["p001"]})
    )
    outputs = found.outputs
    assert {one.clean.stem for one in outputs.items if one.clean} == set(clean)
    assert outputs.unmatched == ("p0001",)


def test_a_table_is_held_against_its_files(pairs, tmp_path):
    pytest.importorskip("pystoi")
    from auscult.evaluate.score import Waves as Item
    from auscult.evaluate.score import metrics_named, score_waves

    root, clean, noisy = pairs
    waves = restored(clean, noisy)
    folder = written(tmp_path / "out", waves)
    for column, metric, verdict in (("estoi", "stoi", "fault"), ("estoi", "estoi", "healthy")):
        rows = [
            f"{name},{score_waves(metrics_named([metric]), Item(wave[None], HZ, clean[name][None])).scores[metric]:.4f}"
            for name, wave in waves.items()
        ]
        table = tmp_path / f"{metric}.csv"
        table.write_text("\n".join([f"file,{column}", *rows]))
        of = case(root, folder)
        of.given = Given(outputs=folder, data={"test": root}, scores=table)
        found = rescoring.RESCORING.run(of)
        assert (found.verdict, found.causes[0]) == (verdict, "metric-mixup")


@pytest.mark.parametrize(
    ("gain", "left", "off"), [(1.0, 0.5, 0.0), (0.9, 0.5, 0.0), (2.0, 0.0, 6.02), (0.5, 0.0, -6.02)]
)
def test_only_levels_beyond_those_of_estimates_are_off(gain, left, off):
    rng = np.random.default_rng(0)
    s, n = rng.standard_normal((2, 20_000))
    x = gain * (s + left * n)
    assert level_off_db(x @ s / (x @ x), x @ s / (s @ s)) == pytest.approx(off, abs=0.1)
