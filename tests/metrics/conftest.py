"""Three seconds of the bundled example as signals."""

from __future__ import annotations

import numpy as np
import pytest

from auscult.audio.clip import Clip
from auscult.metrics.base import Signals

CUT = slice(16_000, 64_000)


@pytest.fixture
def speech(clean: Clip) -> np.ndarray:
    """Clean speech, 3 s at 16 kHz."""
    return clean.wave[0, CUT].copy()


@pytest.fixture
def signals(clean: Clip, noisy: Clip) -> Signals:
    """The noisy signal as estimate."""
    return Signals(noisy.wave[0, CUT].copy(), 16_000, clean.wave[0, CUT].copy(), noisy.wave[0, CUT].copy())
