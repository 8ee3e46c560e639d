"""WSJ0-REVERB: WSJ0 speech in simulated rooms, and the same without walls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.audio.level import power
from auscult.bounds import NotNegative, Positive, Range
from auscult.data.corpora.base import SPLITS, Corpus, Item, Made
from auscult.data.corpora.library import File, Library, Use
from auscult.data.corpora.mixing import decay_s
from auscult.data.corpora.wsj0 import SPEECH, speaker_of, utterances
from auscult.degrade.base import Unusable, uniform
from auscult.degrade.room import convolve
from auscult.errors import need
from auscult.rng import Key
from auscult.units import to_db

IMAGE_ORDER = 10
"""Reflections by image sources; later ones by ray tracing."""
ROUNDS = 6
TOLERANCE = 0.03
"""A room's absorption is set anew until its reverberation time is this near to what was drawn."""
MARGIN_OF_TIME = 0.1
"""A room that cannot be brought this near is left out."""
PEAK = 0.9


@dataclass(frozen=True)
class Wsj0Reverb(Corpus):
    """WSJ0 in a new shoebox room for every utterance. Lengths in metres; ``tail_s`` of reverberation is kept."""

    t60_s: Range = (0.4, 1.0)
    length_m: Range = (5.0, 15.0)
    width_m: Range = (5.0, 15.0)
    height_m: Range = (2.0, 6.0)
    wall_m: Positive = 1.0
    tail_s: NotNegative = 0.5

    title = "WSJ0-REVERB, 16 kHz"
    sources: ClassVar[Mapping[str, str]] = {SPEECH: "WSJ0 as wav, with si_tr_s, si_dt_05 and si_et_05"}
    rate_hz = 16_000
    needs: ClassVar[tuple[str, ...]] = ("pyroomacoustics",)
    differences: ClassVar[tuple[str, ...]] = (
        f"image sources to order {IMAGE_ORDER} (the script: 3) and ray tracing behind them, both seeded for every item",
        "absorption is adjusted until the measured T30 is that drawn; the script's rooms ring a third longer",
        "the clean side is the direct path alone (no image sources, no ray tracing)",
        "rooms are keyed by the utterance's name; the peak that is scaled to 0.9 is that of the magnitude",
        "an existing target folder is kept; the unauralised test files are not copied",
    )

    def plan(self, library: Library, key: Key) -> list[Item]:
        need("pyroomacoustics", "simulating rooms")
        speech = utterances(library)
        return [
            self._item(split, name, speech[split][name], key.child(split, name))
            for split in SPLITS
            for name in sorted(speech[split])
        ]

    def _item(self, split: str, name: str, file: File, key: Key) -> Item:
        rng = key.numpy()
        t60_s = uniform(rng, self.t60_s)
        room_m = [uniform(rng, limits) for limits in (self.length_m, self.width_m, self.height_m)]
        microphone_m, source_m = ([self._place(rng, side) for side in room_m] for _ in range(2))
        drawn = {
            "speaker": speaker_of(file),
            "t60_target_s": t60_s,
            "room_m": room_m,
            "microphone_m": microphone_m,
            "source_m": source_m,
            "room_seed": key.child("room").integer() % 2**31,
        }
        samples = file.samples + round(self.tail_s * self.rate_hz)
        return Item(split, name, (Use(file.source, file.path),), drawn, samples)

    def _place(self, rng: np.random.Generator, side_m: float) -> float:
        wall_m = min(self.wall_m, side_m / 2)
        return uniform(rng, (wall_m, side_m - wall_m))

    def make(self, item: Item, library: Library) -> Made:
        speech = library.mono(item.uses[0], self.rate_hz)
        response, direct, t60_s = simulate(item.drawn, self.rate_hz)
        speech = np.pad(speech, ((0, 0), (0, round(self.tail_s * self.rate_hz))))
        clean, noisy = convolve(speech, direct), convolve(speech, response)
        top = float(np.abs(noisy).max(initial=0.0))
        if top == 0.0:
            raise Unusable("silent speech", item.name)
        gain = np.float32(PEAK / top)
        rest = response - np.pad(direct, (0, response.size - direct.size))
        facts = {
            "t60_s": round(t60_s, 4),
            "drr_db": round(to_db(float(power(direct) * direct.size / max(power(rest) * rest.size, 1e-30))), 2),
        }
        return Made(clean * gain, noisy * gain, facts)


def simulate(drawn: Mapping[str, Any], rate_hz: int) -> tuple[Float32[ndarray, " T"], Float32[ndarray, " D"], float]:
    """The response of a drawn room, its direct path alone (as long or shorter), and the reverberation time measured.

    The walls' absorption starts from Eyring's formula and is adjusted until the measured time fits the drawn one.

    Raises:
        Unusable: it does not fit after some rounds.
    """
    target_s = drawn["t60_target_s"]
    length, width, height = drawn["room_m"]
    surface = 2 * (length * width + length * height + width * height)
    exponent = 0.161 * length * width * height / (surface * target_s)
    for _ in range(ROUNDS):
        response = _response(drawn, rate_hz, 1 - np.exp(-exponent), IMAGE_ORDER)
        t60_s = decay_s(response, rate_hz)
        if abs(t60_s / target_s - 1) < TOLERANCE:
            break
        exponent *= t60_s / target_s
    if abs(t60_s / target_s - 1) > MARGIN_OF_TIME:
        raise Unusable("reverberation time", f"{t60_s:.2f} s where {target_s:.2f} s was drawn")
    direct = _response(drawn, rate_hz, 1.0, 0)
    return response, direct[: response.size], t60_s


def _response(drawn: Mapping[str, Any], rate_hz: int, absorption: float, order: int) -> Float32[ndarray, " T"]:
    """One simulation; the same for the same arguments, on any number of cores."""
    rooms = need("pyroomacoustics", "simulating rooms")
    rooms.constants.set("num_threads", 1)
    rooms.random.seed(drawn["room_seed"])
    rooms.libroom.set_rng_seed(drawn["room_seed"])
    material = rooms.Material(float(min(absorption, 1.0)))
    room = rooms.ShoeBox(drawn["room_m"], fs=rate_hz, materials=material, max_order=order, ray_tracing=order > 0)
    room.add_source(drawn["source_m"])
    room.add_microphone(drawn["microphone_m"])
    room.compute_rir()
    return np.asarray(room.rir[0][0], np.float32)
