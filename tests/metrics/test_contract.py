"""One suite over every metric of the catalogue."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from auscult.catalogue import CATALOGUE, find
from auscult.metrics.base import Metric, MetricFailure, Signals
from auscult.metrics.dnsmos import path_of
from auscult.metrics.spectral import LsdHigh, LsdUniverSr
from tests.conftest import ROOT

NAMES = sorted(CATALOGUE["metric"])
# What a perfect estimate scores, and how far from it rounding may lead; two conventions guard the denominator only,
# so that quiet bins differ from themselves.
BEST = {
    "pesq": (4.644, 1e-3), "pesq_nb": (4.549, 1e-3), "stoi": (1.0, 1e-6), "estoi": (1.0, 1e-6),
    "si_sdr": (math.inf, 0), "sdr": (math.inf, 0), "snr": (math.inf, 0), "seg_snr": (35.0, 0.0),
    "lsd": (0.0, 0.0), "lsd_low": (0.0, 0.0), "lsd_high": (0.0, 0.0), "lsd_apbwe": (0.0, 0.0),
    "lsd_symmetric": (0.0, 0.0), "lsd_universr": (0.0, 0.0), "lsd_ssr_eval": (0.0, 1e-6),
    "lsd_audiosr": (0.0, 0.2), "lsd_voicefixer": (0.0, 0.1), "log_mel": (0.0, 0.0), "mr_stft": (0.0, 0.0),
    "llr": (0.0, 1e-9), "wss": (0.0, 0.0), "csig": (5.0, 0.0), "cbak": (5.0, 0.0), "covl": (5.0, 0.0),
    "clipping": (0.0, 0.0), "rolloff_error": (0.0, 0.0),
}  # fmt: skip
ANY_LENGTH = {"si_sdr", "si_sir", "si_sar", "sdr", "sdr_bss", "snr", "clipping"}


def built(name: str) -> Metric:
    """The metric; the upper band with a cut-off, since the example's noise reaches half the rate."""
    return LsdHigh(4_000.0) if name == "lsd_high" else find(name)()


@pytest.fixture(params=NAMES)
def metric(request: pytest.FixtureRequest) -> Metric:
    return built(request.param)


@pytest.mark.parametrize("name", NAMES)
def test_facts_are_complete(name: str) -> None:
    kind = find(name)
    assert issubclass(kind, Metric)
    assert kind.name == name
    assert getattr(kind, "__final__", False)
    assert kind.__doc__
    assert kind.source
    assert kind.unit or name in {"stoi", "estoi", "mr_stft", "llr", "clipping"}
    assert kind.higher_is_better in (True, False, None)
    assert set(kind.needs) <= {"clean", "noisy"}
    assert kind.rate_hz is None or 8_000 <= kind.rate_hz <= 48_000
    assert kind.matters is None or kind.matters > 0
    made = kind()
    assert made.label == name
    assert any(character.isdigit() for character in made.version)


def test_parameters_show_in_the_label() -> None:
    assert LsdHigh(4_000.0).label == "lsd_high:4000"
    assert LsdUniverSr(4_000.0).label == "lsd_universr:4000"


def test_versions_name_every_code() -> None:
    import hashlib

    assert built("csig").version.startswith("pesq ")
    assert "auscult" in built("csig").version
    digest = hashlib.sha256(path_of("sig_bak_ovr.onnx").read_bytes()).hexdigest()
    assert built("dnsmos_sig").version.endswith(f"sig_bak_ovr.onnx sha256:{digest}")


def test_scores_are_finite_repeatable_and_leave_the_signals_alone(metric: Metric, signals: Signals) -> None:
    before = {role: wave.copy() for role, wave in signals.present.items()}
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = metric(signals)
    assert math.isfinite(first)
    np.random.seed(5)  # noqa: NPY002
    state_of_five = np.random.get_state()[1].copy()  # noqa: NPY002
    again = metric(Signals(signals.estimate, signals.rate_hz, signals.clean, signals.noisy))
    assert again == first
    assert np.array_equal(np.random.get_state()[1], state_of_five)  # noqa: NPY002
    assert state.shape == state_of_five.shape
    for role, wave in signals.present.items():
        assert np.array_equal(wave, before[role])


@pytest.mark.parametrize("name", sorted(BEST))
def test_a_perfect_estimate_scores_best(name: str, signals: Signals) -> None:
    best, tolerance = BEST[name]
    perfect, noisy = built(name)(replace(signals, estimate=signals.clean, _known={})), built(name)(signals)
    assert perfect == pytest.approx(best, abs=tolerance)
    if name != "clipping":
        assert perfect > noisy if built(name).higher_is_better else perfect < noisy


def test_only_metrics_without_one_best_value_are_left_out() -> None:
    unbounded = {"si_sir", "si_sar", "sdr_bss", "loudness", "band_edge", "low_band_deviation"}  # the last: noisy's
    assert set(NAMES) - set(BEST) == unbounded | {name for name in NAMES if name.startswith("dnsmos")}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda wave: np.zeros_like(wave), "estimate is digital silence"),
        (lambda wave: np.where(np.arange(wave.size) == 9, np.float32(np.nan), wave), "estimate holds NaN or infinity"),
        (lambda wave: np.where(np.arange(wave.size) == 9, np.float32(np.inf), wave), "estimate holds NaN or infinity"),
    ],
    ids=["silence", "nan", "infinity"],
)
def test_what_cannot_be_scored_is_said(metric: Metric, signals: Signals, change: object, reason: str) -> None:
    with pytest.raises(MetricFailure, match=reason):
        metric(replace(signals, estimate=change(signals.estimate), _known={}))  # type: ignore[operator]


@pytest.mark.parametrize("name", [name for name in NAMES if find(name).needs])
def test_references_are_checked(name: str, signals: Signals) -> None:
    metric = built(name)
    role = metric.needs[0]
    given = signals.present[role]
    for wave, reason in (
        (None, f"needs the {role} signal"),
        (given[:-1], "lengths differ"),
        (np.zeros_like(given), f"{role} is digital silence"),
    ):
        with pytest.raises(MetricFailure, match=reason):
            metric(replace(signals, **{role: wave}, _known={}))


@pytest.mark.parametrize("name", ["si_sir", "si_sar", "lsd_low", "low_band_deviation"])
def test_the_noisy_signal_is_asked_for(name: str, signals: Signals) -> None:
    with pytest.raises(MetricFailure, match="needs the noisy signal"):
        built(name)(replace(signals, noisy=None, _known={}))


@pytest.mark.parametrize("name", sorted(set(NAMES) - ANY_LENGTH))
def test_too_short_is_said(name: str, signals: Signals) -> None:
    roles = {role: wave[20_000:20_100] for role, wave in signals.present.items()}
    with pytest.raises(MetricFailure, match=r"^shorter than"):
        built(name)(Signals(rate_hz=16_000, **roles))


@pytest.mark.parametrize("name", sorted(ANY_LENGTH))
def test_energies_need_no_length(name: str, signals: Signals) -> None:
    roles = {role: wave[20_000:20_100] for role, wave in signals.present.items()}
    assert math.isfinite(built(name)(Signals(rate_hz=16_000, **roles)))


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_every_rate_is_scored(metric: Metric, signals: Signals, rate_hz: int) -> None:
    assert math.isfinite(metric(replace(signals.at(rate_hz), _known={})))


def test_near_silence_is_refused_or_scored_but_never_warned_of(metric: Metric, signals: Signals) -> None:
    """Half a second of quantisation noise in digital silence, as gates leave it."""
    estimate = np.zeros_like(signals.estimate)
    estimate[20_000:28_000] = 2.0**-15 * np.sign(signals.estimate[20_000:28_000])
    with suppress(MetricFailure):
        assert math.isfinite(metric(replace(signals, estimate=estimate, _known={})))


def test_digital_silence_around_speech_is_scored(metric: Metric, signals: Signals) -> None:
    """Half the item is silent in clean and estimate alike."""
    roles = {role: np.where(np.arange(wave.size) < 24_000, wave, 0).astype(np.float32)
             for role, wave in signals.present.items()}  # fmt: skip
    assert math.isfinite(metric(Signals(rate_hz=16_000, **roles)))


def test_the_page_of_metrics_names_every_one_with_its_facts() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    for name in NAMES:
        kind = find(name)
        better = {True: "higher", False: "lower", None: "neither"}[kind.higher_is_better]
        assert f"| {name} | {kind.unit or 'none'} | {better} | " in page, name
        assert kind.source.replace("|", "\\|") in page, name
