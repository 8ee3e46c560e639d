"""STFT, resampling and level against independent implementations and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.audio.clip import Clip
from auscult.audio.level import active_level_db, peak, rms_db
from auscult.audio.resample import StreamResampler, resample, resampled_length
from auscult.audio.stft import STFT, Analysis, Synthesis, extend
from auscult.errors import RecipeError
from auscult.features.normalise import Kind, Normalise, Statistics
from auscult.features.spectral import CompressedSTFT, WindowKind, pad_frames
from auscult.features.spectral import extend as extend_torch

TRANSFORMS = [(512, 256, "sqrthann"), (510, 128, "hann"), (400, 100, "hamming")]


@pytest.mark.parametrize(("n_fft", "hop", "window"), TRANSFORMS)
def test_numpy_stft_equals_torch(noisy: Clip, n_fft: int, hop: int, window: str) -> None:
    wave = noisy.wave[:, :20_001]
    ours = STFT(n_fft, hop, window).forward(wave)
    theirs = CompressedSTFT(n_fft, hop, window, "none").encode(torch.from_numpy(wave)[None])[0]  # type: ignore[arg-type]
    assert ours.shape == (1, 1 + 20_001 // hop, n_fft // 2 + 1)
    assert np.allclose(ours, theirs.numpy().transpose(0, 2, 1), atol=2e-5)


@settings(max_examples=60, deadline=None)
@given(samples=st.integers(1, 3_000), which=st.sampled_from(TRANSFORMS))
def test_round_trip_is_exact_at_any_length(samples: int, which: tuple[int, int, str]) -> None:
    wave = np.random.default_rng(samples).standard_normal((2, samples)).astype(np.float32)
    stft = STFT(*which)
    assert np.allclose(stft.inverse(stft.forward(wave), samples), wave, atol=1e-5)
    features = CompressedSTFT(*which)  # type: ignore[arg-type]
    tensor = torch.from_numpy(wave)[:, None]
    assert torch.allclose(features.decode(features.encode(tensor), samples), tensor, atol=2e-5)


@settings(max_examples=60, deadline=None)
@given(
    samples=st.integers(1, 4_000), cuts=st.lists(st.integers(0, 4_000), max_size=6), which=st.sampled_from(TRANSFORMS)
)
def test_streamed_stft_equals_the_whole(samples: int, cuts: list[int], which: tuple[int, int, str]) -> None:
    wave = np.random.default_rng(samples).standard_normal((2, samples)).astype(np.float32)
    stft = STFT(*which)
    analysis, synthesis = Analysis(stft), Synthesis(stft, 2)
    frames, waves = [], []
    for piece in np.split(wave, sorted(c for c in cuts if c < samples), axis=1):
        frames.append(analysis.push(piece))
        waves.append(synthesis.push(frames[-1]))
    frames.append(analysis.finish(samples, sum(f.shape[1] for f in frames)))
    waves += [synthesis.push(frames[-1]), synthesis.finish(samples)]
    assert np.allclose(np.concatenate(frames, axis=1), stft.forward(wave), atol=1e-5)
    assert np.allclose(np.concatenate(waves, axis=1), wave, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(samples=st.integers(1, 50), left=st.integers(0, 120), right=st.integers(0, 120))
def test_extension_is_defined_for_every_length(samples: int, left: int, right: int) -> None:
    wave = np.arange(1.0, samples + 1, dtype=np.float32)[None, None]
    ours = extend(wave, left, right)
    assert ours.shape[-1] == left + samples + right
    assert np.array_equal(ours, extend_torch(torch.from_numpy(wave), left, right).numpy())


@pytest.mark.parametrize("padding", ["zero", "reflect", "replicate"])
@pytest.mark.parametrize("frames", [1, 5, 63, 64, 65])
def test_frames_are_padded_to_the_grid_however_short(padding: str, frames: int) -> None:
    z = torch.randn(2, 1, 3, frames, dtype=torch.complex64)
    out = pad_frames(z, 64, padding)  # type: ignore[arg-type]
    assert out.shape[-1] == -(-frames // 64) * 64
    assert torch.equal(out[..., :frames], z)
    if padding == "reflect" and 33 <= frames < 64:
        assert torch.equal(out[..., frames : 2 * frames - 1], z[..., :-1].flip(-1)[..., : 64 - frames])


@pytest.mark.parametrize(("from_hz", "to_hz"), [(48_000, 16_000), (44_100, 16_000), (8_000, 16_000), (16_000, 44_100)])
def test_streamed_resampling_equals_the_whole(from_hz: int, to_hz: int, rng: np.random.Generator) -> None:
    wave = rng.standard_normal((2, from_hz)).astype(np.float32) * 0.1
    stream = StreamResampler(from_hz, to_hz, 2)
    parts = [stream.push(piece) for piece in np.split(wave, [1, 700, 5_000, 5_001], axis=1)]
    parts.append(stream.finish(2))
    joined = np.concatenate(parts, axis=1)
    assert joined.shape[1] == resampled_length(from_hz, from_hz, to_hz) == to_hz
    assert np.allclose(joined, resample(wave, from_hz, to_hz), atol=2e-6)


def test_resampling_has_no_lag_and_keeps_the_band() -> None:
    time_s = np.arange(48_000) / 48_000
    tone = np.sin(2 * np.pi * 1_000 * time_s).astype(np.float32)[None]
    expected = np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000)
    assert np.allclose(resample(tone, 48_000, 16_000)[0, 1_000:-1_000], expected[1_000:-1_000], atol=1e-4)


def test_levels_of_known_signals() -> None:
    time_s = np.arange(160_000) / 16_000
    tone = (0.5 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32)[None]
    assert peak(tone) == pytest.approx(0.5, abs=1e-3)
    assert rms_db(tone) == pytest.approx(-9.03, abs=0.01)
    assert active_level_db(tone, 16_000) == pytest.approx(-9.03, abs=0.1)
    tone[:, 80_000:] = 0.0  # P.56 counts the half that sounds, and 200 ms of hangover
    assert rms_db(tone) == pytest.approx(-12.04, abs=0.02)
    assert active_level_db(tone, 16_000) == pytest.approx(-9.03 - 10 * np.log10(5.25 / 5), abs=0.1)
    assert active_level_db(np.zeros((1, 16_000), np.float32), 16_000) == -200.0


def test_active_level_scales_with_gain(clean: Clip) -> None:
    level = active_level_db(clean.wave, clean.rate_hz)
    assert active_level_db(0.1 * clean.wave, clean.rate_hz) == pytest.approx(level - 20, abs=0.5)


@pytest.mark.parametrize("kind", ["peak", "rms", "std"])
def test_normalisation_reaches_its_target_and_adds_over_parts(kind: Kind, noisy: Clip) -> None:
    wave = (noisy.wave + 0.01)[None]
    parts = [Statistics.of(wave[..., :50_000]), Statistics.of(wave[..., 50_000:])]
    gain = Normalise(kind, target=0.7).gain(parts[0] + parts[1])
    scaled = wave * gain[:, None, None]
    reached = {"peak": np.abs(scaled).max(), "rms": np.sqrt(np.square(scaled).mean()), "std": scaled.std()}[kind]
    assert reached == pytest.approx(0.7, rel=1e-4)
    assert Normalise(kind).gain(Statistics.of(np.zeros((1, 1, 10), np.float32))) == 1.0


@pytest.mark.parametrize("window", ["hann", "hamming", "sqrthann"])
@pytest.mark.parametrize("samples", [1, 509, 4_000, 4_079])
def test_windows_that_overlap_give_every_sample_back(window: WindowKind, samples: int) -> None:
    wave = torch.randn(1, 1, samples)
    features = CompressedSTFT(510, 192, window, "none")
    assert torch.allclose(features.decode(features.encode(wave), samples), wave, atol=1e-4)


def test_windows_that_do_not_tile_are_refused() -> None:
    with pytest.raises(RecipeError, match="every 257 leave samples at the end that none covers"):
        CompressedSTFT(510, 257)
