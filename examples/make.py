"""How the bundled example was made: speech synthesised by flite (Debian), in a simulated room, in generated noise.

    apt-get install flite && python examples/make.py

Writes ``clean/walk.flac`` (the target: speech with early reflections) and ``noisy/walk.flac`` (what a microphone
across the room would hear), 16 kHz mono. Nothing recorded is in either; both are free of any licence.
"""

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from auscult.audio.clip import Clip, read
from auscult.audio.resample import resample
from auscult.audio.writer import write
from auscult.degrade.base import Signal
from auscult.degrade.noise import at_snr, coloured
from auscult.degrade.room import convolve

RATE_HZ = 16_000
HERE = Path(__file__).parent
SPEECH = (
    "The morning train was late again, so we walked along the river and talked about the concert. "
    "She liked the slow movement best, because it begins so quietly that you have to hold your breath."
)
TALKERS = {
    "awb": "Has anybody seen the tickets? I put them on the table next to the blue folder, and now they are gone. "
    "Well, ask at the counter, they may print them again, it happened to my brother last year.",
    "rms": "Two coffees and one tea, please, and a slice of that cake over there. No, the other one, with cherries. "
    "Do you mind if we sit by the window? It is a little quieter than in the middle of the room.",
    "kal16": "The train on platform nine is delayed by about twenty minutes. We apologise for any inconvenience. "
    "Passengers for the north please change at the next station and follow the signs to platform four.",
}


def say(text: str, voice: str) -> np.ndarray:
    """Speech of one flite voice, (1, T) at 16 kHz."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        clip = read(path)
    return resample(clip.wave, clip.rate_hz, RATE_HZ)


def room(rng: np.random.Generator, t60_s: float, direct: float) -> np.ndarray:
    """A response of a direct path and exponentially decaying noise."""
    time_s = np.arange(round(t60_s * RATE_HZ)) / RATE_HZ
    tail = rng.standard_normal(time_s.size) * 10 ** (-3 * time_s / t60_s) * 0.05
    tail[: round(0.003 * RATE_HZ)] = 0.0
    tail[0] = direct
    return tail.astype(np.float32)


def main() -> None:
    """Make both files."""
    rng = np.random.default_rng(20)
    dry = np.pad(say(SPEECH, "slt"), ((0, 0), (RATE_HZ // 2, RATE_HZ // 2)))
    dry *= 0.05 / np.sqrt(np.mean(dry**2))
    near = room(rng, 0.35, 1.0)
    signal = Signal(convolve(dry, near[: RATE_HZ // 20]), convolve(dry, near), RATE_HZ)
    talk = sum(np.resize(convolve(say(text, voice), room(rng, 0.6, 0.2)), dry.shape) for voice, text in TALKERS.items())
    signal = at_snr(signal, np.asarray(talk, np.float32), 14.0, "active")
    hum = {"tilt_db_per_octave": -4.0, "knots_db": [3, 1, 0, -2, 1, 2, -1, 0, 1, -2], "wander_db": 1.5}
    signal = at_snr(signal, coloured(rng, dry.shape[1], RATE_HZ, hum), 9.0, "active")
    for name, wave in (("clean", signal.clean), ("noisy", signal.noisy)):
        write(HERE / name / "walk.flac", Clip(wave, RATE_HZ))


if __name__ == "__main__":
    main()
