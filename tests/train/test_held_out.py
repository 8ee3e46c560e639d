"""Items of a validation: evenly spaced, and one that cannot be used gives way to the next that is free."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from auscult.data.pairs import Pair, PairSource
from auscult.degrade.base import Unusable
from auscult.errors import DataError
from auscult.rng import Key
from auscult.train.settings import Validation
from auscult.train.validate import held_out


class Ten(PairSource):
    """Ten items, some of which are never usable; 4 is so at its third draw."""

    rate_hz, crop_s = 8_000, 0.1

    def __init__(self, unusable: set[int]):
        self.unusable, self.calls = unusable, 0

    def __len__(self) -> int:
        return 10

    def pair(self, index: int, key: Key) -> Pair:
        self.calls += index == 4
        if index in self.unusable or (index == 4 and self.calls < 3):
            raise Unusable("narrow target", "no upper band")
        wave = np.full((1, 800), index, np.float32)
        return Pair(wave, wave, self.rate_hz, str(index), 0, 800)

    def unreadable(self) -> Mapping[str, str]:
        return {}

    def digest(self) -> str:
        return ""


def chosen(unusable: set[int], items: int) -> list[int]:
    validation = Validation(data=Ten(unusable), every=1, items=items, metrics=("si_sdr",), select="si_sdr")
    found = held_out(validation, Key(0))
    assert all(pair.name == str(index) for index, pair in found.items())
    return list(found)


@pytest.mark.parametrize(
    ("unusable", "items", "found"),
    [
        (set(), 5, [0, 2, 4, 6, 8]),
        ({2}, 5, [0, 3, 4, 6, 8]),
        ({2, 3}, 5, [0, 5, 4, 6, 8]),
        ({8, 9}, 5, [0, 2, 4, 6, 1]),
        ({2, 6}, 5, [0, 3, 4, 7, 8]),
    ],
)
def test_an_unusable_item_gives_way_to_the_next_free_one(unusable: set[int], items: int, found: list[int]) -> None:
    assert chosen(unusable, items) == found


def test_where_none_is_left_the_run_ends_with_the_reason() -> None:
    with pytest.raises(DataError, match=r"validation item 3 is unusable \(narrow target.*none is left.*exclude it"):
        chosen({3}, 10)
