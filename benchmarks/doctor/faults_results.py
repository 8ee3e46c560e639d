"""Faults of what comes out: restored files, tables of scores, and samplers that are not those of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy import ndarray

from auscult.audio.resample import resample
from benchmarks.doctor.fault import Fault
from benchmarks.doctor.recorded import Recorded, Wave

Rng = np.random.Generator


@dataclass(frozen=True)
class Output:
    """A restored file, with the pair that it is of."""

    pair: Recorded
    wave: Wave
    rate_hz: int
    name: str

    def holding(self, wave: Wave) -> Output:
        return replace(self, wave=wave)


Outputs = Sequence[Output]
Table = Mapping[str, ndarray]
"""Columns of a table of scores; one of them is ``item``."""


def each(change: Callable[[Output, Rng, float], Output]) -> Callable[[Outputs, Rng, float], Outputs]:
    return lambda outputs, rng, severity: [change(one, rng, severity) for one in outputs]


def mismatched(outputs: Outputs, rng: Rng, severity: float) -> Outputs:
    """Written under the names of others: sorted as numbers here, as text there."""
    waves = [one.wave for one in outputs]
    return [one.holding(waves[i - 1]) for i, one in enumerate(outputs)]


def late(one: Output, rng: Rng, samples: float) -> Output:
    return one.holding(np.concatenate([np.zeros(round(samples), np.float32), one.wave])[: one.wave.size])


def level(one: Output, rng: Rng, gain_db: float) -> Output:
    return one.holding(one.wave * 10 ** (gain_db / 20))


def peak_normalised(one: Output, rng: Rng, peak: float) -> Output:
    return one.holding(peak * one.wave / max(float(np.abs(one.wave).max()), 1e-6))


def turned_over(one: Output, rng: Rng, severity: float) -> Output:
    return one.holding(-one.wave)


def cut(one: Output, rng: Rng, samples: float) -> Output:
    return one.holding(one.wave[: -round(samples)])


def clipped(one: Output, rng: Rng, over_db: float) -> Output:
    return one.holding(np.clip(one.wave / max(float(np.abs(one.wave).max()), 1e-6) * 10 ** (over_db / 20), -1, 1))


def unprocessed(one: Output, rng: Rng, severity: float) -> Output:
    return one.holding(one.pair.noisy)


def silent(one: Output, rng: Rng, severity: float) -> Output:
    return one.holding(1e-5 * one.wave)


def other_rate(one: Output, rng: Rng, rate_hz: float) -> Output:
    """Honestly resampled, and left there."""
    return replace(one, wave=resample(one.wave[None], one.rate_hz, round(rate_hz))[0], rate_hz=round(rate_hz))


def other_header(one: Output, rng: Rng, rate_hz: float) -> Output:
    """The same samples under another header."""
    return replace(one, rate_hz=round(rate_hz))


def seams(one: Output, rng: Rng, chunk_s: float) -> Output:
    """Chunks that were restored apart, each with a level of its own, and joined without an overlap."""
    wave, step = one.wave.copy(), round(chunk_s * one.rate_hz)
    for start in range(0, wave.size, step):
        wave[start : start + step] *= 10 ** (rng.uniform(-4, 4) / 20)
        wave[start : start + 48] = 0.0
    return one.holding(wave)


def spliced(one: Output, rng: Rng, hertz: float) -> Output:
    """A hard splice of spectra at a frequency, with a bright line at the knee."""
    spectrum = np.fft.rfft(one.wave)
    knee = round(hertz * one.wave.size / one.rate_hz)
    spectrum[:knee] = np.fft.rfft(one.pair.noisy[: one.wave.size], one.wave.size)[:knee]
    time = np.arange(one.wave.size) / one.rate_hz
    line = 0.15 * np.sqrt(np.mean(one.wave**2)) * np.sin(2 * np.pi * hertz * time)
    return one.holding((np.fft.irfft(spectrum, one.wave.size) + line).astype(np.float32))


def other_window(one: Output, rng: Rng, severity: float) -> Output:
    """Analysed with a Hann window, put together as if it had been its square root: a ripple at the hop."""
    hop = 256
    ripple = 0.5 + severity * np.sin(np.pi * np.arange(one.wave.size) / hop) ** 2
    return one.holding((one.wave * ripple / ripple.mean()).astype(np.float32))


def phase_of_its_own(one: Output, rng: Rng, severity: float) -> Output:
    """Magnitudes that were put together with a wrong phase."""
    spectrum = np.fft.rfft(one.wave)
    turns = np.exp(2j * np.pi * rng.uniform(-0.5, 0.5, spectrum.size) * severity)
    return one.holding(np.fft.irfft(spectrum * turns, one.wave.size).astype(np.float32))


def backwards(one: Output, rng: Rng, severity: float) -> Output:
    return one.holding(one.wave[::-1].copy())


def unrelated_scores(table: Table, rng: Rng, spread_db: float) -> Table:
    """SI-SDR of signals that have nothing in common (SPEC: 10 log10 of chi square over a number of degrees)."""
    count = len(table["item"])
    draws = {
        side: 10 * np.log10(rng.chisquare(1, count)) - 10 * np.log10(1200) + spread_db * rng.standard_normal(count)
        for side in ("si_sdr_noisy", "si_sdr_enhanced")
    }
    return {**table, **draws}


def exchanged(table: Table, rng: Rng, severity: float) -> Table:
    """Rows of the enhanced side are those of other items."""
    return {name: rng.permutation(values) if name.endswith("_enhanced") else values for name, values in table.items()}


def off_anchor(table: Table, rng: Rng, severity: float) -> Table:
    """The noisy set was scored by another variant: narrow-band PESQ in a wide-band column."""
    return {**table, **{name: values + 0.55 + 0.25 * (values - 1) for name, values in table.items() if "pesq" in name}}


def too_few(table: Table, rng: Rng, count: float) -> Table:
    return {name: values[: round(count)] for name, values in table.items()}


out, scored, sampled = (
    partial(Fault, material="outputs"),
    partial(Fault, material="scores"),
    partial(Fault, material="sampler"),
)


def setting(name: str) -> Callable[[float], tuple[str, ...]]:
    """A setting of the method at restoration; ``{}`` stands for the severity."""
    return lambda severity: (name.format(severity),)


MISMATCHED = ("wrong-file-pairs", "null-scores", "unrelated-pairs")
OUTPUTS: tuple[Fault, ...] = (
    out("mismatched", accepted=MISMATCHED, severities=(1,), inject=mismatched),
    out("late", accepted=("output-lag",), severities=(16, 480), inject=each(late)),
    out("level", accepted=("output-level",), severities=(-6, -20), inject=each(level)),
    out("peak-normalised", accepted=("output-level", "output-clipped"), severities=(0.99,),
        inject=each(peak_normalised)),
    out("turned-over", accepted=("output-polarity",), severities=(1,), inject=each(turned_over)),
    out("cut", accepted=("output-length",), severities=(200, 8000), inject=each(cut)),
    out("clipped", accepted=("output-clipped", "output-level"), severities=(6, 14), inject=each(clipped)),
    out("unprocessed", accepted=("output-is-input",), severities=(1,), inject=each(unprocessed)),
    out("silent", accepted=("output-silent", "output-level"), severities=(1,), inject=each(silent)),
    out("other-rate", accepted=("rate-mismatch-evaluation",), severities=(8000, 48000), inject=each(other_rate)),
    out("other-header", accepted=("rate-mismatch-evaluation", "output-length"), severities=(22050,),
        inject=each(other_header)),
    out("seams", accepted=("chunk-seams",), severities=(0.5, 2.0), inject=each(seams)),
    out("spliced", accepted=("splice-line",), severities=(2000, 4000), inject=each(spliced)),
    out("other-window", accepted=("chunk-seams", "output-level", "resampler"), severities=(0.3, 1.0),
        inject=each(other_window)),
    out("phase", accepted=MISMATCHED, severities=(0.4, 1.0), inject=each(phase_of_its_own), unseen=True),
    out("backwards", accepted=MISMATCHED, severities=(1,), inject=each(backwards), unseen=True),
)  # fmt: skip
SCORES: tuple[Fault, ...] = (
    scored("unrelated", accepted=("null-scores", "input-not-related", "wrong-file-pairs", "unrelated-pairs",
                                  "independent-crops"), severities=(0.0, 6.0), inject=unrelated_scores),
    scored("rows-exchanged", accepted=MISMATCHED, severities=(1,), inject=exchanged),
    scored("off-anchor", accepted=("metric-mixup", "anchor-off", "rate-mismatch-evaluation"), severities=(1,),
           inject=off_anchor),
    scored("too-few", accepted=("too-few-items",), severities=(4,), inject=too_few),
)  # fmt: skip
SAMPLERS: tuple[Fault, ...] = (
    sampled("other-parametrisation", accepted=("parametrisation", "transform-mismatch"), severities=(1,),
            inject=setting("parametrisation={{type: NegativeScore}}")),
    sampled("other-compression", accepted=("transform-mismatch", "parametrisation", "time-mismatch"),
            severities=(0.3, 1.0), inject=setting("features.exponent={}")),
    sampled("other-sigma", accepted=("time-mismatch", "parametrisation"), severities=(1.0, 2.5),
            inject=setting("path.sigma_max={}")),
    sampled("other-level", accepted=("transform-mismatch", "output-level"), severities=(1,),
            inject=setting("normalise={{kind: rms, target: 1.0}}")),
)  # fmt: skip
