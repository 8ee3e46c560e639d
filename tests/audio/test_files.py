"""Reading and writing: every format, exact lengths, nothing half-written, no silent clipping, clear refusals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.audio import info
from auscult.audio.clip import Clip, as_wave, blocks, check_finite, find_audio, probe, read, to_mono
from auscult.audio.info import Info
from auscult.audio.limiter import REACH_S, Limiter
from auscult.audio.writer import OnClip, Writer, format_for, write
from auscult.errors import AudioError, MissingExtra, OutputError


@pytest.fixture
def stereo(rng: np.random.Generator) -> Clip:
    time_s = np.arange(24_000) / 48_000
    left = 0.4 * np.sin(2 * np.pi * 440 * time_s)
    return Clip(np.stack([left, 0.5 * left + 0.01 * rng.standard_normal(24_000)]).astype(np.float32), 48_000)


@pytest.mark.parametrize(("suffix", "tolerance"), [
    (".wav", 4e-5), (".flac", 4e-5), (".aiff", 4e-5), (".caf", 4e-5), (".ogg", 0.1), (".opus", 0.1), (".mp3", 0.1),
])  # fmt: skip
def test_formats_round_trip(tmp_path: Path, stereo: Clip, suffix: str, tolerance: float) -> None:
    path = tmp_path / f"a{suffix}"
    write(path, stereo)
    info, back = probe(path), read(path)
    assert (info.rate_hz, info.channels) == (48_000, 2)
    assert back.samples == info.samples == stereo.samples
    # libsndfile's Opus encoder does not flush: the last 20 ms of a signal that ends abruptly are approximate.
    inner = slice(0, -960 if suffix == ".opus" else None)
    assert np.abs(back.wave - stereo.wave)[:, inner].max() < tolerance
    assert np.allclose(np.concatenate(list(blocks(path, 5_000)), axis=1), back.wave, atol=1e-6)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_the_sources_subtype_is_kept(tmp_path: Path, stereo: Clip, subtype: str) -> None:
    source = tmp_path / "source.wav"
    soundfile.write(source, stereo.wave.T, 48_000, subtype=subtype)
    write(tmp_path / "out.wav", stereo, probe(source))
    assert probe(tmp_path / "out.wav").subtype == subtype


@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64"])
def test_the_sources_kind_of_wav_is_kept(tmp_path: Path, stereo: Clip, container: str) -> None:
    soundfile.write(tmp_path / "source.wav", stereo.wave.T, 48_000, subtype="PCM_24", format=container)
    write(tmp_path / "out.wav", stereo, probe(tmp_path / "source.wav"))
    out = probe(tmp_path / "out.wav")
    assert (out.format, out.subtype) == (container, "PCM_24")


def test_what_outgrows_plain_wav_becomes_rf64(tmp_path: Path) -> None:
    long = Info(tmp_path / "x.flac", 48_000, 2, 2**30, "FLAC", "PCM_16")
    assert format_for(tmp_path / "out.wav", long, "limit") == ("RF64", "PCM_16")


def test_parts_of_a_file(tmp_path: Path, stereo: Clip) -> None:
    write(tmp_path / "a.wav", stereo)
    part = read(tmp_path / "a.wav", 1_000, 500)
    assert np.array_equal(part.wave, read(tmp_path / "a.wav").wave[:, 1_000:1_500])
    with pytest.raises(AudioError, match="samples 23900 to 24400 were asked for, it has 24000"):
        read(tmp_path / "a.wav", 23_900, 500)


@pytest.mark.parametrize(("make", "message"), [
    (lambda _: None, "no such file"),
    (lambda p: p.mkdir(), "is a folder"),
    (lambda p: p.write_bytes(b""), "the file is empty"),
    (lambda p: p.write_text("these are words, not sound"), "not audio that libsndfile reads"),
])  # fmt: skip
def test_what_is_not_audio_is_refused_in_one_line(tmp_path: Path, make: object, message: str) -> None:
    path = tmp_path / "x.wav"
    make(path)  # type: ignore[operator]
    for reader in (probe, read, lambda p: list(blocks(p, 100))):
        with pytest.raises(AudioError, match=message) as caught:
            reader(path)
        assert "\n" not in str(caught.value)


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((0, 1)), 16_000)
    with pytest.raises(AudioError, match="no samples"):
        probe(tmp_path / "a.wav")


def test_a_truncated_file_is_named(tmp_path: Path, stereo: Clip) -> None:
    write(tmp_path / "a.flac", stereo)
    whole = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(whole[: len(whole) // 2])
    for reader in (read, lambda p: list(blocks(p, 1_000))):
        with pytest.raises(AudioError, match=r"truncated|not audio"):
            reader(tmp_path / "a.flac")


def test_foreign_formats_go_through_pyav(tmp_path: Path, stereo: Clip) -> None:
    import av

    path = tmp_path / "a.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(stereo.wave, format="fltp", layout="stereo")
        frame.sample_rate = 48_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    info, back = probe(path), read(path)
    assert (info.rate_hz, info.channels) == (48_000, 2)
    assert back.wave.shape[0] == 2
    assert abs(back.samples - stereo.samples) < 3_000  # the codec pads
    sizes = [b.shape[1] for b in blocks(path, 4_096)]
    assert sum(sizes) == back.samples
    assert min(sizes[:-1]) >= 4_096


def test_without_pyav_the_install_line_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtra, match=r"pip install 'auscult\[codecs\]'"):
        probe(tmp_path / "a.m4a")


def test_arrays_of_any_kind_become_waves() -> None:
    assert as_wave(np.zeros(5)).shape == (1, 5)
    assert as_wave(np.full((2, 50), -(2**15), np.int16)).min() == -1.0
    assert as_wave(np.array([0, 128, 255], np.uint8)).tolist() == [[-1.0, 0.0, 127 / 128]]
    assert as_wave(np.full(3, 2**30, np.int32)).tolist() == [[0.5, 0.5, 0.5]]
    with pytest.raises(AudioError, match="samples of type int64; give floats, or integers of 8"):
        as_wave(np.zeros(5, np.int64))
    for bad in (np.zeros((2, 2, 2)), np.zeros(0), np.zeros((48_000, 40))):
        with pytest.raises(AudioError):
            as_wave(bad)


def test_nan_is_counted_and_placed() -> None:
    wave = np.zeros((2, 100), np.float32)
    wave[1, 40:42] = np.nan
    with pytest.raises(AudioError, match="2 samples are NaN or infinite, the first at sample 1040"):
        check_finite(wave, "x", 1_000)


def test_mono_policies() -> None:
    wave = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    assert to_mono(wave, "mean", "x").tolist() == [[2.0, 3.0]]
    assert to_mono(wave, "first", "x").tolist() == [[1.0, 2.0]]
    with pytest.raises(AudioError, match="2 channels where one is expected"):
        to_mono(wave, "refuse", "x")


def test_find_audio_is_recursive_and_sorted(tmp_path: Path, stereo: Clip) -> None:
    for name in ("b.wav", "deep/er/a.FLAC", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [p.name for p in find_audio(tmp_path)] == ["b.wav", "a.FLAC"]


@pytest.mark.parametrize(("on_clip", "peak"), [("limit", 1.0), ("keep", 1.0), ("float", 1.5)])
def test_samples_over_full_scale_are_counted(tmp_path: Path, on_clip: OnClip, peak: float) -> None:
    wave = np.linspace(-1.5, 1.5, 3_001, dtype=np.float32)[None]
    overs = write(tmp_path / "a.wav", Clip(wave, 16_000), on_clip=on_clip)
    back = read(tmp_path / "a.wav").wave
    assert overs.peak == 1.5
    assert overs.count == 1_000
    assert np.abs(back).max() == pytest.approx(peak, abs=1e-3)


@pytest.mark.parametrize("block", [1, 7, 160, 100_000])
def test_the_limiter_acts_only_around_what_is_over(rng: np.random.Generator, block: int) -> None:
    """Any blocks give the same samples: below full scale, smooth, and bit-identical where nothing near is over."""
    rate_hz, time_s = 16_000, np.arange(3_000) / 16_000
    wave = np.stack([0.3 * rng.standard_normal(3_000), np.sin(2 * np.pi * 200 * time_s)]).astype(np.float32)
    wave = np.clip(wave, -0.9, 0.9)
    wave[1, 1_500] = -2.0
    limiter = Limiter(rate_hz, 2)
    parts = [limiter.push(wave[:, at : at + block]) for at in range(0, 3_000, block)]
    limited = np.concatenate([*parts, limiter.finish()], axis=1)
    assert limited.shape == wave.shape
    assert np.abs(limited).max() <= 1.0
    reach = 2 * round(REACH_S * rate_hz)
    assert np.array_equal(limited[:, : 1_500 - reach], wave[:, : 1_500 - reach])
    assert np.array_equal(limited[:, 1_501 + reach :], wave[:, 1_501 + reach :])
    gain = limited[0] / wave[0]
    assert gain.min() == pytest.approx(0.5, abs=1e-3)  # the channels share the gain
    assert np.abs(np.diff(gain)).max() <= 0.5 / (reach - 1)


def test_nan_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds NaN or infinity, so nothing is written"):
        write(tmp_path / "a.wav", Clip(np.array([[0.1, np.nan]], np.float32), 16_000))
    assert not any(tmp_path.iterdir())


def test_float_needs_a_container_that_holds_it(tmp_path: Path, stereo: Clip) -> None:
    with pytest.raises(OutputError, match="FLAC holds no float samples"):
        write(tmp_path / "a.flac", stereo, on_clip="float")
    with pytest.raises(OutputError, match=r"cannot write \.xyz"):
        write(tmp_path / "a.xyz", stereo)


def test_opus_names_its_rates(tmp_path: Path, stereo: Clip) -> None:
    with pytest.raises(OutputError, match="opus holds"):
        write(tmp_path / "a.opus", Clip(stereo.wave, 44_100))


def test_an_unwritable_folder_is_named(tmp_path: Path, stereo: Clip) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path / "file" / "a.wav", stereo)


def test_a_failure_leaves_the_old_file_and_no_part(tmp_path: Path, stereo: Clip) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"the old one")
    with pytest.raises(RuntimeError, match="in between"), Writer(path, 48_000, 2, None) as writer:
        writer.write(stereo.wave)
        raise RuntimeError("in between")
    assert path.read_bytes() == b"the old one"
    assert os.listdir(tmp_path) == ["a.wav"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device that is always full is Linux's")
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, stereo: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    with pytest.raises(OutputError, match="is the disk full"), Writer(path, 48_000, 2, None) as writer:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, _descriptor(writer))
        os.close(full)
        for _ in range(200):
            writer.write(np.tile(stereo.wave, (1, 10)))
    assert not any(tmp_path.iterdir())


def _descriptor(writer: Writer) -> int:
    """The file descriptor that libsndfile writes to."""
    aside = os.path.realpath(writer._file.name)
    for name in os.listdir("/proc/self/fd"):
        if os.path.realpath(f"/proc/self/fd/{name}") == aside:
            return int(name)
    raise AssertionError(f"{aside} is not open")


def test_foreign_suffixes_and_native_ones_do_not_overlap() -> None:
    assert not set(info.AUDIO_SUFFIXES) & set(info.FOREIGN_SUFFIXES)


FULL = """
import resource, signal, sys
import numpy as np
from pathlib import Path
from auscult.audio.clip import Clip
from auscult.audio.writer import write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, size = Path(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
wave = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 40_000)).astype(np.float32)
write(path, Clip(wave, 16_000))
"""


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("short_by", [10, 1_500])
def test_a_disk_that_fills_at_the_very_end_is_noticed(tmp_path: Path, suffix: str, short_by: int) -> None:
    """Encoders write their last block when the file is closed, and say nothing of it: the file is counted again."""
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 40_000)).astype(np.float32)
    write(tmp_path / f"whole{suffix}", Clip(wave, 16_000))
    size = (tmp_path / f"whole{suffix}").stat().st_size - short_by
    path = tmp_path / f"a{suffix}"
    done = subprocess.run([sys.executable, "-c", FULL, path, str(size)], capture_output=True, text=True)
    if done.returncode == 0:  # the codec needed less than the limit: what is there must be whole
        assert read(path).samples == 40_000
        return
    assert "OutputError" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"whole{suffix}"]


@pytest.mark.parametrize(("source", "suffix", "expected"), [
    (("FLAC", "PCM_24"), ".wav", ("WAV", "PCM_24")), (("WAV", "FLOAT"), ".flac", ("FLAC", "PCM_24")),
    (("WAV", "PCM_16"), ".flac", ("FLAC", "PCM_16")), (("WAV", "ULAW"), ".flac", ("FLAC", "PCM_16")),
    (("MP3", "MPEG_LAYER_III"), ".wav", ("WAV", "PCM_16")), (("W64", "PCM_16"), ".wav", ("WAV", "PCM_16")),
    (("OGG", "OPUS"), ".ogg", ("OGG", "OPUS")), (("WAV", "PCM_U8"), ".aiff", ("AIFF", "PCM_16")),
    (("WAV", "IMA_ADPCM"), ".aiff", ("AIFF", "PCM_16")), (("WAV", "GSM610"), ".wav", ("WAV", "GSM610")),
    (("WAV", "PCM_24"), ".ogg", ("OGG", "VORBIS")), (("WAV", "DOUBLE"), ".caf", ("CAF", "DOUBLE")),
])  # fmt: skip
def test_bits_are_kept_across_containers(
    tmp_path: Path, source: tuple[str, str], suffix: str, expected: tuple[str, str]
) -> None:
    assert format_for(tmp_path / f"a{suffix}", Info(Path("x"), 48_000, 1, 100, *source), "limit") == expected


def test_what_a_format_cannot_hold_is_said(tmp_path: Path, stereo: Clip) -> None:
    with pytest.raises(OutputError, match="does its format hold 2 channels at 96000 Hz. write .wav instead"):
        write(tmp_path / "a.mp3", Clip(stereo.wave, 96_000))
    assert not any(tmp_path.iterdir())


def test_files_that_cannot_be_searched_are_read_from_the_start(tmp_path: Path, stereo: Clip) -> None:
    soundfile.write(tmp_path / "a.wav", stereo.wave[0], 48_000, subtype="GSM610")
    assert read(tmp_path / "a.wav").samples >= stereo.samples
    mono = Clip(stereo.wave[:1], 48_000)
    write(tmp_path / "b.wav", mono, probe(tmp_path / "a.wav"))
    assert probe(tmp_path / "b.wav").subtype == "GSM610"


@pytest.mark.parametrize("suffix", [".ogg", ".mp3", ".opus"])
def test_long_files_of_codecs_are_whole(
    tmp_path: Path, clean: Clip, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two minutes, an odd number of samples; and no decoder grumbles to the terminal while they are checked."""
    wave = np.tile(clean.wave, (1, 11))[:, :1_900_001]
    write(tmp_path / f"a{suffix}", Clip(wave, 16_000))
    assert capfd.readouterr().err == ""
    assert read(tmp_path / f"a{suffix}").samples == 1_900_001
