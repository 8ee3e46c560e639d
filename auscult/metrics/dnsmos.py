"""DNSMOS: nets of Microsoft that predict opinions without a reference, from the files that speechmos ships.

The package itself is not imported (it needs librosa); its ONNX files are found and run by onnxruntime on one thread.
Windows are those of the official script: 9.01 s every second, a shorter signal doubled until it fills one; scores
are means over windows. Samples beyond full scale are scored as they are, as there (the speechmos module refuses them).
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from auscult.audio.level import rms_db
from auscult.audio.stft import window_of
from auscult.errors import MissingExtra
from auscult.metrics.base import Metric, MetricFailure, Signal, Signals
from auscult.metrics.spectral import mel_bands

File = Literal["sig_bak_ovr.onnx", "model_v8.onnx"]

_RATE_HZ = 16_000
_WINDOW_S = 9.01
_WINDOW = 144_160
_SHORTEST_S = 0.25
_QUIETEST_DB = -70.0
"""Below this level (dB re full scale) the nets still answer, but there is nothing to judge."""
_FRAME, _HOP, _BANDS = 321, 160, 120

# Polynomials that map the net's outputs to the scale of the listening test (official script, not personalised).
_POLYNOMIALS = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)


@cache
def path_of(file: File) -> Path:
    """Where speechmos keeps a model file.

    Raises:
        MissingExtra: speechmos is not installed.
    """
    spec = find_spec("speechmos")
    if spec is None or spec.origin is None:
        message = "DNSMOS needs the package 'speechmos', which is not installed: pip install 'auscult[eval]'"
        raise MissingExtra(message)
    return Path(spec.origin).parent / "dnsmos_models" / file


@cache
def sha256_of(file: File) -> str:
    """SHA-256 of a model file, hexadecimal."""
    return hashlib.sha256(path_of(file).read_bytes()).hexdigest()


@cache
def _session(file: File) -> Any:
    """One session a process."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path_of(file)), options, providers=["CPUExecutionProvider"])


def windows_of(wave: Signal) -> list[Float[ndarray, " S"]]:
    """The windows of the official script: as many as there are whole seconds beyond 9.01 s, at least one.

    The script cuts window i at int((i + 9.01) 16000), which is one sample short for i from 7 to 23 and 119 to 122,
    and passes over windows that are too short; so do we.

    Raises:
        MetricFailure: too short or too quiet to be judged.
    """
    if wave.size < _SHORTEST_S * _RATE_HZ:
        raise MetricFailure(f"shorter than {_SHORTEST_S} s")
    level_db = rms_db(wave.astype(np.float32))
    if level_db < _QUIETEST_DB:
        raise MetricFailure(f"estimate is near silence ({level_db:.0f} dBFS)")
    while wave.size < _WINDOW:
        wave = np.append(wave, wave)
    count = int(wave.size // _RATE_HZ - _WINDOW_S) + 1
    spans = ((i * _RATE_HZ, int((i + _WINDOW_S) * _RATE_HZ)) for i in range(count))
    return [wave[start:end].astype(np.float32) for start, end in spans if end - start == _WINDOW]


def opinions(signals: Signals) -> Float[ndarray, "W 3"]:
    """Raw outputs of the P.835 net for each window: SIG, BAK, OVRL."""
    return np.concatenate([_run("sig_bak_ovr.onnx", window[None]) for window in windows_of(signals.estimate)])


def overall_opinions(signals: Signals) -> Float[ndarray, "W 1"]:
    """Outputs of the P.808 net for each window."""
    windows = windows_of(signals.estimate)
    return np.concatenate([_run("model_v8.onnx", _log_mel(window[:-_HOP])[None]) for window in windows])


def _run(file: File, features: ndarray) -> ndarray:
    return _session(file).run(None, {"input_1": features})[0].astype(np.float64)


def _log_mel(wave: ndarray) -> Float[ndarray, "N M"]:
    """Input of the P.808 net: 120 mel bands in dB under the loudest, 0 to 80, mapped to 1 to -1."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave, _FRAME // 2), _FRAME)[::_HOP]
    power = np.square(np.abs(np.fft.rfft(frames * window_of("hann", _FRAME)))) @ mel_bands(_BANDS, _FRAME, _RATE_HZ).T
    level_db = 10 * np.log10(np.maximum(power, 1e-10))
    return ((np.maximum(level_db - level_db.max(), -80.0) + 40) / 40).astype(np.float32)


class _Dnsmos(Metric):
    """One output of a DNSMOS net."""

    unit, rate_hz, needs, matters, extra = "MOS", _RATE_HZ, (), 0.05, "speechmos"
    file: File = "sig_bak_ovr.onnx"

    @property
    def version(self) -> str:
        """Package, file and its SHA-256."""
        return f"{super().version}, {self.file} sha256:{sha256_of(self.file)}"


class _Opinion(_Dnsmos):
    """An output of the P.835 net: which, and whether the polynomial is applied."""

    output: Literal[0, 1, 2]
    fitted: bool

    def _score(self, signals: Signals) -> float:
        raw = signals.once(opinions)[:, self.output]
        return float((np.polyval(_POLYNOMIALS[self.output], raw) if self.fitted else raw).mean())


_FITTED = "Reddy et al. 2022 (DNSMOS P.835), polynomial-fitted; 9.01 s windows every second"
_RAW = "Reddy et al. 2022 (DNSMOS P.835), output of the net as it is; 9.01 s windows every second"


@final
class DnsmosSig(_Opinion):
    """Predicted opinion of the speech signal."""

    name, source, output, fitted = "dnsmos_sig", _FITTED, 0, True


@final
class DnsmosBak(_Opinion):
    """Predicted opinion of the background."""

    name, source, output, fitted = "dnsmos_bak", _FITTED, 1, True


@final
class DnsmosOvrl(_Opinion):
    """Predicted opinion of the whole."""

    name, source, output, fitted = "dnsmos_ovrl", _FITTED, 2, True


@final
class DnsmosSigRaw(_Opinion):
    """Predicted opinion of the speech signal, raw."""

    name, source, output, fitted = "dnsmos_sig_raw", _RAW, 0, False


@final
class DnsmosBakRaw(_Opinion):
    """Predicted opinion of the background, raw."""

    name, source, output, fitted = "dnsmos_bak_raw", _RAW, 1, False


@final
class DnsmosOvrlRaw(_Opinion):
    """Predicted opinion of the whole, raw."""

    name, source, output, fitted = "dnsmos_ovrl_raw", _RAW, 2, False


@final
class DnsmosP808(_Dnsmos):
    """Predicted opinion of the whole, by the older net."""

    name, file = "dnsmos_p808", "model_v8.onnx"
    source = "Reddy et al. 2021 (DNSMOS P.808); 9.01 s windows every second, 120 mel bands"

    def _score(self, signals: Signals) -> float:
        return float(signals.once(overall_opinions).mean())
