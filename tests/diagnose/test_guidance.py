"""Guidance that goes too far, and guidance that does not."""

import numpy as np
import pytest

from auscult.diagnose.checks.guidance import judged, swept
from auscult.diagnose.clock import Clock
from tests.diagnose import planted

LEVELS = np.array([8.0, 11.0, 9.5, 12.0, 7.0, 10.0])


@pytest.mark.parametrize(
    ("stated", "gain", "verdict"),
    [(3.0, 2.5, "fault"), (3.0, 1.1, "suspect"), (1.5, -0.2, "healthy"), (1.0, -1.0, "healthy"), (3.0, 0.1, "healthy")],
)
def test_a_scale_is_judged_against_one_nearer_to_the_plain_answer(stated: float, gain: float, verdict: str) -> None:
    other = 1.0 if stated != 1 else 1.5
    noise = 0.1 * np.random.default_rng(1).standard_normal(LEVELS.size)
    found = judged(stated, {stated: LEVELS, other: LEVELS + gain + noise})
    assert (found.verdict, found.causes[0]) == (verdict, "guidance-too-strong")
    assert (found.remedy is not None) == (verdict in ("fault", "suspect"))


def test_more_guidance_that_gains_is_no_fault() -> None:
    assert judged(1.0, {1.0: LEVELS, 2.0: LEVELS + 2.0}).verdict == "cannot tell"


def test_a_sweep_over_a_model_stops_when_the_time_is_up() -> None:
    subject, items = planted.wiener(), planted.items(4)
    scores = swept(subject, items, (1.0, 3.0), Clock.lasting(600.0))
    assert [value.shape for value in scores.values()] == [(4,), (4,)]
    assert np.isfinite(list(scores.values())).all()
    assert list(swept(subject, items, (1.0, 3.0), Clock.lasting(0.0))) == [1.0]
