"""Faults in recorded pairs: how clean and noisy lie to each other, and what each side holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from scipy.signal import lfilter

from auscult.audio.resample import fit_length, resample
from benchmarks.doctor.fault import Fault
from benchmarks.doctor.recorded import Recorded, Tree, Wave

Rng = np.random.Generator
Change = Callable[[Recorded, Rng, float], Recorded]


def each(change: Change) -> Callable[[Tree, Rng, float], Tree]:
    """A fault of every pair."""
    return lambda tree, rng, severity: {
        split: [change(one, rng, severity) for one in pairs] for split, pairs in tree.items()
    }


def some(change: Change) -> Callable[[Tree, Rng, float], Tree]:
    """A fault of a share of pairs, which is the severity."""

    def inject(tree: Tree, rng: Rng, severity: float) -> Tree:
        return {
            split: [
                change(one, rng, 1.0) if hit else one
                for one, hit in zip(pairs, _hit(len(pairs), rng, severity), strict=True)
            ]
            for split, pairs in tree.items()
        }

    return inject


def _hit(count: int, rng: Rng, share: float) -> np.ndarray:
    """So many of them, at least one."""
    return rng.permutation(count) < max(1, round(share * count))


def shifted(wave: Wave, lag: int) -> Wave:
    """Later by ``lag`` samples; the beginning comes from the end, so that no silence tells."""
    return np.roll(wave, lag)


def lag(one: Recorded, rng: Rng, samples: float) -> Recorded:
    return one.heard(shifted(one.noisy, round(samples)))


def varying_lag(one: Recorded, rng: Rng, reach: float) -> Recorded:
    return one.heard(shifted(one.noisy, int(rng.integers(-int(reach), int(reach) + 1))))


def drift(one: Recorded, rng: Rng, ppm: float) -> Recorded:
    at = np.arange(one.noisy.size) * (1 + 1e-6 * ppm)
    return one.heard(np.interp(at, np.arange(one.noisy.size), one.noisy).astype(np.float32))


def reversed_clean(one: Recorded, rng: Rng, severity: float) -> Recorded:
    return one.aimed(one.clean[::-1].copy())


def scaled_apart(one: Recorded, rng: Rng, spread_db: float) -> Recorded:
    return one.heard(_in_range(one.noisy * 10 ** (rng.uniform(-spread_db, spread_db) / 20)))


def separately_normalised(one: Recorded, rng: Rng, peak: float) -> Recorded:
    return replace(one, clean=peak * one.clean / _peak(one.clean), noisy=peak * one.noisy / _peak(one.noisy))


def gain_off(one: Recorded, rng: Rng, gain_db: float) -> Recorded:
    return one.heard(_in_range(one.noisy * 10 ** (gain_db / 20)))


def swapped(one: Recorded, rng: Rng, severity: float) -> Recorded:
    return replace(one, clean=one.noisy, noisy=one.clean)


def turned_over(one: Recorded, rng: Rng, severity: float) -> Recorded:
    return one.heard(-one.noisy)


def shorter(one: Recorded, rng: Rng, share: float) -> Recorded:
    return one.heard(one.noisy[: max(400, round(one.noisy.size * (1 - share * rng.uniform(0.5, 1.0))))])


def silenced(one: Recorded, rng: Rng, severity: float) -> Recorded:
    return one.aimed(np.zeros_like(one.clean))


def dropped_out(one: Recorded, rng: Rng, severity: float) -> Recorded:
    clean, noisy = one.clean.copy(), one.noisy.copy()
    start = clean.size // 4
    clean[start : start + clean.size // 2] = noisy[start : start + clean.size // 2] = 0
    return replace(one, clean=clean, noisy=noisy)


def clipped(one: Recorded, rng: Rng, over_db: float) -> Recorded:
    gain = 10 ** (over_db / 20) / _peak(one.clean)
    return replace(one, clean=np.clip(gain * one.clean, -1, 1), noisy=np.clip(gain * one.noisy, -1, 1))


def offset(one: Recorded, rng: Rng, share: float) -> Recorded:
    return one.heard(_in_range(one.noisy + share * float(np.sqrt(np.mean(one.noisy**2)))))


def not_finite(one: Recorded, rng: Rng, severity: float) -> Recorded:
    noisy = one.noisy.copy()
    noisy[rng.integers(noisy.size, size=3)] = np.nan
    return replace(one, noisy=noisy, form="float")


def noisy_target(one: Recorded, rng: Rng, snr_db: float) -> Recorded:
    """The target holds a part of the noise, so that it is ``snr_db`` below the speech."""
    noise = one.noisy - one.clean
    level = np.sqrt(np.mean(one.clean**2) / max(float(np.mean(noise**2)), 1e-12)) * 10 ** (-snr_db / 20)
    return one.aimed(_in_range(one.clean + level * noise))


def low_passed(one: Recorded, rng: Rng, band_hz: float) -> Recorded:
    """Both sides went through a lower rate."""
    return replace(
        one, clean=_through(one.clean, one.rate_hz, band_hz), noisy=_through(one.noisy, one.rate_hz, band_hz)
    )


def low_passed_target(one: Recorded, rng: Rng, band_hz: float) -> Recorded:
    return one.aimed(_through(one.clean, one.rate_hz, band_hz))


def misread(one: Recorded, rng: Rng, ratio: float) -> Recorded:
    """Content of ``ratio`` times the rate under the old header."""
    return replace(
        one, clean=_stretched(one.clean, one.rate_hz, ratio), noisy=_stretched(one.noisy, one.rate_hz, ratio)
    )


def misread_noisy(one: Recorded, rng: Rng, ratio: float) -> Recorded:
    return one.heard(_like(_stretched(one.noisy, one.rate_hz, ratio), one.clean.size))


def no_noise(one: Recorded, rng: Rng, severity: float) -> Recorded:
    return one.heard(one.clean)


def mispaired(tree: Tree, rng: Rng, share: float) -> Tree:
    """Noisy sides are exchanged between a share of pairs."""

    def inside(pairs: list[Recorded]) -> list[Recorded]:
        hit = np.flatnonzero(_hit(len(pairs), rng, max(share, 2 / len(pairs))))
        after = dict(zip(hit, np.roll(hit, 1), strict=True))
        return [
            one.heard(_like(pairs[after[i]].noisy, one.clean.size)) if i in after else one
            for i, one in enumerate(pairs)
        ]

    return {split: inside(list(pairs)) for split, pairs in tree.items()}


def off_by_one(tree: Tree, rng: Rng, severity: float) -> Tree:
    """The lists of names are one apart."""
    return {
        split: [one.heard(_like(pairs[i - 1].noisy, one.clean.size)) for i, one in enumerate(pairs)]
        for split, pairs in tree.items()
    }


def cut_independently(one: Recorded, rng: Rng, crop_s: float) -> Recorded:
    """Prepared clips: both sides were cut at places of their own."""
    crop = min(round(crop_s * one.rate_hz), one.clean.size // 2)
    starts = rng.integers(one.clean.size - crop, size=2)
    clean, noisy = (side[at : at + crop] for side, at in zip((one.clean, one.noisy), starts, strict=True))
    return replace(one, clean=clean, noisy=noisy)


# Kinds that no check was written for.


def swapped_bytes(one: Recorded, rng: Rng, severity: float) -> Recorded:
    """16-bit samples of the noisy side in the wrong order of bytes."""
    whole = np.clip(np.round(one.noisy * 32767), -32768, 32767).astype("<i2")
    return one.heard(whole.byteswap().astype(np.float32) / 32768)


def wrapped(one: Recorded, rng: Rng, over_db: float) -> Recorded:
    """16-bit overflow: what is too loud comes out at the other end."""
    loud = one.noisy / _peak(one.noisy) * 10 ** (over_db / 20)
    return one.heard((loud + 1) % 2 - 1)


def mu_law(one: Recorded, rng: Rng, severity: float) -> Recorded:
    """Mu-law codes taken for samples, on the noisy side."""
    return one.heard((np.sign(one.noisy) * np.log1p(255 * np.abs(one.noisy)) / np.log(256)).astype(np.float32))


def held_samples(one: Recorded, rng: Rng, factor: float) -> Recorded:
    """A resampler without its filter: every sample is held, images fold over the band; both sides."""
    step = round(factor)
    return replace(one, clean=_held(one.clean, step), noisy=_held(one.noisy, step))


def doubled_channel(one: Recorded, rng: Rng, delay_ms: float) -> Recorded:
    """A stereo file whose channels are apart in time, mixed to one: a comb on the noisy side."""
    delay = round(delay_ms * one.rate_hz / 1000)
    return one.heard(0.5 * (one.noisy + shifted(one.noisy, delay)))


def phase_shuffled(one: Recorded, rng: Rng, share: float) -> Recorded:
    """The noisy side was made from magnitudes with phases of its own."""
    spectrum = np.fft.rfft(one.noisy)
    turns = np.exp(2j * np.pi * rng.uniform(-0.5, 0.5, spectrum.size) * share)
    return one.heard(np.fft.irfft(spectrum * turns, one.noisy.size).astype(np.float32))


def lost_blocks(one: Recorded, rng: Rng, share: float) -> Recorded:
    """A recorder that dropped buffers: pieces of the noisy side are missing, what follows is early."""
    block = one.rate_hz // 100
    kept = [one.noisy[i : i + block] for i in range(0, one.noisy.size, block) if rng.random() >= share]
    return one.heard(_like(np.concatenate(kept), one.clean.size))


def emphasised(one: Recorded, rng: Rng, strength: float) -> Recorded:
    """Pre-emphasis on the noisy side alone."""
    return one.heard(_in_range(lfilter([1, -strength], [1], one.noisy).astype(np.float32)))


def _stretched(wave: Wave, rate_hz: int, ratio: float) -> Wave:
    return resample(wave[None], rate_hz, round(rate_hz * ratio))[0]


def _held(wave: Wave, step: int) -> Wave:
    return np.repeat(wave[::step], step)[: wave.size]


def _like(wave: Wave, samples: int) -> Wave:
    """Repeated or cut to a length: no silence tells."""
    return np.resize(wave, samples)


def _through(wave: Wave, rate_hz: int, band_hz: float) -> Wave:
    low = resample(wave[None], rate_hz, round(2 * band_hz))
    return fit_length(resample(low, round(2 * band_hz), rate_hz), wave.size)[0]


def _peak(wave: Wave) -> float:
    return max(float(np.abs(wave).max()), 1e-6)


def _in_range(wave: Wave) -> Wave:
    return wave / max(1.0, _peak(wave) / 0.99)


UNRELATED = ("unrelated-pairs", "independent-crops", "input-not-related")
APART = ("lag", "varying-lag")
data = partial(Fault, material="data")
FAULTS: tuple[Fault, ...] = (
    data("lag", accepted=("lag", "varying-lag", "input-not-related"), severities=(40, 480, 8000), inject=each(lag)),
    data("varying-lag", accepted=("varying-lag", "independent-crops"), severities=(80, 1600), inject=each(varying_lag)),
    data("drift", accepted=("clock-drift", "varying-lag", "lag"), severities=(300, 3000), inject=each(drift)),
    data("mispaired", accepted=UNRELATED, severities=(0.1, 0.3, 1.0), inject=mispaired),
    data("off-by-one", accepted=UNRELATED, severities=(1,), inject=off_by_one),
    data("cut-independently", accepted=("independent-crops", "unrelated-pairs", "varying-lag"), severities=(1.0, 2.0),
         inject=each(cut_independently)),
    data("swapped", accepted=("swapped-sides",), severities=(1,), inject=each(swapped)),
    data("some-swapped", accepted=("swapped-sides",), severities=(0.25,), inject=some(swapped)),
    data("polarity", accepted=("polarity",), severities=(1,), inject=each(turned_over)),
    data("some-polarity", accepted=("polarity",), severities=(0.25,), inject=some(turned_over)),
    data("pair-gain", accepted=("pair-gain",), severities=(3, 12), inject=each(scaled_apart)),
    data("separate-peaks", accepted=("pair-gain",), severities=(0.95,), inject=each(separately_normalised)),
    data("constant-gain", accepted=("pair-gain",), severities=(-6, -20), inject=each(gain_off)),
    data("length", accepted=("length-mismatch", "unreadable-files"), severities=(0.05, 0.4), inject=each(shorter)),
    data("silent-targets", accepted=("silent-items",), severities=(0.1, 0.4), inject=some(silenced)),
    data("digital-zeros", accepted=("silent-items",), severities=(0.2, 0.6), inject=some(dropped_out)),
    data("clipped", accepted=("clipping",), severities=(6, 14), inject=each(clipped)),
    data("dc", accepted=("dc-offset",), severities=(0.3, 1.7), inject=each(offset)),
    data("nan", accepted=("not-finite-data", "unreadable-files"), severities=(0.05, 0.5), inject=some(not_finite)),
    data("noisy-target", accepted=("noisy-target",), severities=(15, 8), inject=each(noisy_target)),
    data("low-passed", accepted=("band-limited-target", "wrong-rate"), severities=(6000, 4000),
         inject=each(low_passed)),
    data("low-passed-target", accepted=("band-limited-target", "wrong-rate"), severities=(4000,),
         inject=each(low_passed_target)),
    data("misread", accepted=("wrong-rate",), severities=(22.05 / 16, 3.0, 0.5), inject=each(misread)),
    data("misread-noisy", accepted=("wrong-rate", "clock-drift", *UNRELATED), severities=(22.05 / 16, 3.0),
         inject=each(misread_noisy)),
    data("no-noise", accepted=("no-noise",), severities=(1,), inject=each(no_noise)),
    data("reversed", accepted=UNRELATED, severities=(1,), inject=each(reversed_clean), unseen=True),
    data("swapped-bytes", accepted=UNRELATED, severities=(1,), inject=each(swapped_bytes), unseen=True),
    data("wrapped", accepted=("abnormal-recordings", "clipping"), severities=(6, 14), inject=each(wrapped)),
    data("mu-law", accepted=("abnormal-recordings", "clipping"), severities=(1,), inject=each(mu_law)),
    data("held-samples", accepted=("band-limited-target", "wrong-rate"), severities=(2, 4), inject=each(held_samples),
         unseen=True),
    data("doubled-channel", accepted=("channel-mixup", "lag", "varying-lag"), severities=(2, 15),
         inject=each(doubled_channel), unseen=True),
    data("phase-shuffled", accepted=UNRELATED, severities=(0.5, 1.0), inject=each(phase_shuffled), unseen=True),
    data("lost-blocks", accepted=("clock-drift", "varying-lag", "lag"), severities=(0.01, 0.1),
         inject=each(lost_blocks), unseen=True),
    data("emphasised", accepted=("pair-gain",), severities=(0.7, 0.97), inject=each(emphasised), unseen=True),
)  # fmt: skip
