"""Degradations where they act: on mixtures anew in every epoch, and on recorded pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from auscult.data.bank import BankSpec
from auscult.data.loader import fetch
from auscult.data.pairs import Mixture, Pairs
from auscult.degrade.augment import SpecAugment
from auscult.degrade.band import HighPass
from auscult.degrade.channel import DcOffset
from auscult.degrade.noise import AddNoise
from auscult.errors import DataError
from auscult.rng import Key

KEY = Key(4).child("data")


def test_every_epoch_mixes_anew(corpus: Path) -> None:
    """Three epochs of the stream: the same recordings, another crop, noise, offset and SNR each time; repeatable."""
    source = Mixture(
        BankSpec(folder="speech"), (AddNoise(), SpecAugment()), {"noise": BankSpec(folder="noise")}, corpus, crop_s=0.5
    )
    stream = [fetch(source, KEY, position)[0] for position in range(3 * len(source))]
    again = [fetch(source, KEY, position)[0] for position in range(3 * len(source))]
    epochs = [stream[i : i + len(source)] for i in range(0, len(stream), len(source))]
    assert len({tuple(sorted(pair.name for pair in epoch if pair)) for epoch in epochs}) == 1
    drawn = [repr(pair.provenance) for pair in stream if pair]
    assert len(set(drawn)) == len(drawn) == len(stream)
    assert len({pair.provenance[0]["snr_db"] for pair in stream if pair}) == len(stream)
    assert len({repr(pair.provenance[1]["spans_s"]) for pair in stream if pair}) == len(stream)
    assert all(a and b and np.array_equal(a.noisy, b.noisy) for a, b in zip(stream, again, strict=True))


def test_recorded_pairs_can_be_filtered_and_augmented(corpus: Path) -> None:
    plain = Pairs(corpus / "pairs", crop_s=0.5).pair(1, KEY)
    chain = (DcOffset(offset=(0.05, 0.05)), HighPass(), SpecAugment())
    pair = Pairs(corpus / "pairs", crop_s=0.5, degradations=chain).pair(1, KEY)
    assert (pair.crop_start, pair.name, plain.provenance) == (plain.crop_start, plain.name, ())
    assert [drawn["type"] for drawn in pair.provenance] == ["DcOffset", "HighPass", "SpecAugment"]
    assert abs(float(pair.noisy.mean())) < 1e-3
    both = Pairs(corpus / "pairs", crop_s=0.5, degradations=(HighPass(),)).pair(1, KEY)
    assert np.array_equal(both.clean, pair.clean)
    assert not np.array_equal(both.clean, plain.clean)
    none = Pairs(corpus / "pairs", crop_s=0.5, degradations=(SpecAugment(probability=0.0),)).pair(1, KEY)
    assert np.array_equal(none.noisy, plain.noisy)


def test_recorded_pairs_can_get_more_noise(corpus: Path) -> None:
    banks = {"noise": BankSpec(folder="../noise")}
    source = Pairs(corpus / "pairs", crop_s=0.5, degradations=(AddNoise(),), banks=banks)
    plain = Pairs(corpus / "pairs", crop_s=0.5)
    assert not np.array_equal(source.pair(0, KEY).noisy, plain.pair(0, KEY).noisy)
    assert np.array_equal(source.pair(0, KEY).clean, plain.pair(0, KEY).clean)
    assert source.digest().startswith(plain.digest() + " noise:")
    with pytest.raises(DataError, match="AddNoise needs the bank 'noise'"):
        Pairs(corpus / "pairs", degradations=(AddNoise(),))
