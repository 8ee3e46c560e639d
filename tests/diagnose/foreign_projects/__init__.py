"""Three small projects as others write them, each healthy and with faults; none uses a class of auscult's."""

from pathlib import Path

import numpy as np
import soundfile

EXAMPLES = Path(__file__).parents[3] / "examples"


def recording(side: str) -> np.ndarray:
    wave, _ = soundfile.read(EXAMPLES / side / "walk.flac", dtype="float32")
    return wave
