"""Every degradation draws JSON parameters, applies them repeatably, and leaves length and finiteness alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from auscult.audio.clip import Clip
from auscult.catalogue import CATALOGUE, find
from auscult.data.bank import BankSpec, FileBank
from auscult.degrade.base import Banks, Degradation, Signal, degrade
from auscult.rng import Key

KINDS = list(CATALOGUE["degradation"])


@pytest.fixture(scope="module")
def banks(corpus: Path) -> Banks:
    return {
        kind: FileBank(BankSpec(manifest="all.jsonl", where={"kind": kind}).listing(corpus).entries, 16_000)
        for kind in ("noise", "room", "speech")
    }


@pytest.fixture
def signal(clean: Clip) -> Signal:
    wave = clean.wave[:, 16_000:48_000]
    return Signal(wave, wave, clean.rate_hz)


@pytest.mark.parametrize("name", KINDS)
def test_drawn_parameters_are_json_and_reproduce_the_result(name: str, signal: Signal, banks: Banks) -> None:
    link = find(name)()
    assert isinstance(link, Degradation)
    drawn = link.draw(Key(1).numpy(), 32_000, 16_000, banks)
    restored = json.loads(json.dumps(drawn))
    first, second = link.apply(signal, drawn, banks), link.apply(signal, restored, banks)
    assert np.array_equal(first.noisy, second.noisy)
    assert np.array_equal(first.clean, second.clean)


@pytest.mark.parametrize("name", KINDS)
def test_length_dtype_and_finiteness_are_kept(name: str, signal: Signal, banks: Banks) -> None:
    link = find(name)()
    out = link.apply(signal, link.draw(Key(2).numpy(), 32_000, 16_000, banks), banks)
    for wave in (out.clean, out.noisy):
        assert wave.shape == signal.clean.shape
        assert wave.dtype == np.float32
        assert np.isfinite(wave).all()
    assert not np.array_equal(out.noisy, signal.noisy)


@pytest.mark.parametrize("name", KINDS)
def test_the_input_is_not_changed_in_place(name: str, signal: Signal, banks: Banks) -> None:
    before = signal.clean.copy()
    link = find(name)()
    link.apply(signal, link.draw(Key(3).numpy(), 32_000, 16_000, banks), banks)
    assert np.array_equal(signal.clean, before)


def test_switching_a_link_on_moves_no_other_draw(signal: Signal, banks: Banks) -> None:
    """Each link has a stream of its own, so the later noise is the same with and without the earlier one."""
    key = Key(5).child("item")
    on = [find("AddNoise")(probability=1.0), find("ColouredNoise")(), find("Gain")()]
    off = [find("AddNoise")(probability=0.0), *on[1:]]
    with_noise, without = (degrade(signal, chain, key, banks)[1] for chain in (on, off))
    assert with_noise[1:] == without
    assert [drawn["type"] for drawn in with_noise] == ["AddNoise", "ColouredNoise", "Gain"]


def test_probabilities_are_kept(signal: Signal, banks: Banks) -> None:
    chain = [find("Gain")(probability=0.3)]
    acted = sum(bool(degrade(signal, chain, Key(0).child(i), banks)[1]) for i in range(400))
    assert 90 <= acted <= 150  # 120 expected, 3.3 standard deviations either way
