"""Checks of files, levels, targets and splits: faults are named with their worst items, healthy data left alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.audio.clip import Clip
from auscult.audio.resample import resample
from auscult.diagnose.case import Given
from auscult.diagnose.checks.data_files import CHANNEL, LENGTH, READ
from auscult.diagnose.checks.data_levels import LEVELS, SHORT
from auscult.diagnose.checks.data_noise import REALISED_SNR, REPEATED_NOISE
from auscult.diagnose.checks.data_relation import RELATION
from auscult.diagnose.checks.data_splits import DUPLICATES, SPLITS
from auscult.diagnose.checks.data_target import CONTENT_RATE, TARGET_BAND, TARGET_FLOOR
from auscult.diagnose.evidence import Absent, HeardItem, Items
from auscult.diagnose.gather.naming import matched
from auscult.errors import DataError
from tests.diagnose.made_pairs import RATE, Pair, alarms, asked, case_of, changed, folder, made


@pytest.fixture(scope="module")
def pairs(clean: Clip) -> list[Pair]:
    return made(clean.wave[0])


def test_healthy_files_are_left_alone(pairs: list[Pair], tmp_path: Path) -> None:
    data = folder(tmp_path, pairs)
    kinds = (READ, LENGTH, CHANNEL, LEVELS, TARGET_FLOOR, TARGET_BAND, CONTENT_RATE, DUPLICATES, SPLITS)
    found = [one for check in kinds for one in asked(check, data)]
    assert alarms(found) == []
    ruled_out = {cause for one in found if one.verdict == "healthy" for cause in one.causes}
    assert ruled_out >= {
        "unreadable-files",
        "length-mismatch",
        "clipping",
        "not-finite-data",
        "duplicates",
        "noisy-target",
    }


def test_a_cut_file_and_a_missing_partner_are_named(pairs: list[Pair], tmp_path: Path) -> None:
    data = folder(tmp_path, pairs)
    whole = (data / "clean" / "u003.wav").read_bytes()
    (data / "clean" / "u003.wav").write_bytes(whole[:20])
    (data / "noisy" / "u005.wav").unlink()
    found = asked(READ, data)
    assert alarms(found) == [("fault", "unreadable-files"), ("suspect", "unrelated-pairs")]
    assert found[0].exhibits[0].name.endswith("u003.wav")


def test_lengths_and_rates_of_headers(pairs: list[Pair], tmp_path: Path) -> None:
    cut = changed(pairs, lambda c, n, i: (c, n[: 20_000 + 500 * i]))
    assert alarms(asked(LENGTH, folder(tmp_path / "cut", cut))) == [("fault", "length-mismatch")]
    data = folder(tmp_path / "rates", pairs)
    for path in (data / "noisy").iterdir():
        soundfile.write(path, soundfile.read(path)[0], 48_000, subtype="FLOAT")
    assert ("fault", "wrong-rate") in alarms(asked(LENGTH, data))


@pytest.mark.parametrize("kind", ["empty", "inverted", "clean beside noisy"])
def test_channels_at_odds(kind: str, pairs: list[Pair], tmp_path: Path) -> None:
    stereo = [(c, np.stack([n, {"empty": 0 * n, "inverted": -n, "clean beside noisy": c}[kind]])) for c, n in pairs]
    assert alarms(asked(CHANNEL, folder(tmp_path / "odd", stereo))) == [("fault", "channel-mixup")]
    even = [(c, np.stack([n, np.roll(n, 4)])) for c, n in pairs]
    assert alarms(asked(CHANNEL, folder(tmp_path / "even", even))) == []


def test_levels_that_are_wrong(pairs: list[Pair], tmp_path: Path) -> None:
    wrong = {
        "clipping": [(np.clip(c, -0.2 * np.abs(c).max(), 0.2 * np.abs(c).max()), n) for c, n in pairs],
        "dc-offset": [(c + np.float32(0.5 * c.std()), n) for c, n in pairs],
        "not-finite-data": [
            *pairs[1:],
            (np.where(np.arange(pairs[0][0].size) == 99, np.nan, pairs[0][0]), pairs[0][1]),
        ],
        "silent-items": [(c * np.float32(i % 2), n) for i, (c, n) in enumerate(pairs)],
    }
    for cause, chosen in wrong.items():
        assert alarms(asked(LEVELS, folder(tmp_path / cause, chosen))) == [("fault", cause)]


def test_noisy_and_narrow_targets(pairs: list[Pair], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    hiss = [((c + rng.standard_normal(c.size) * 0.6 * c.std()).astype(np.float32), n) for c, n in pairs]
    assert alarms(asked(TARGET_FLOOR, folder(tmp_path / "hiss", hiss))) == [("fault", "noisy-target")]
    dull = [(resample(resample(c[None], RATE, 6_000), 6_000, RATE)[0][: c.size], n) for c, n in pairs]
    assert alarms(asked(TARGET_BAND, folder(tmp_path / "dull", dull))) == [("fault", "band-limited-target")]


def test_speech_of_48_khz_called_16_khz(data: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (data / "train.jsonl").read_text().splitlines()]
    chosen = [row for row in rows if row["kind"] == "speech" and 3 < row["duration_s"] < 8][::60][:16]
    waves = [soundfile.read(data / row["path"], dtype="float32")[0] for row in chosen]
    slow = [(w, w) for w in (resample(wave[None], RATE, 3 * RATE)[0] for wave in waves)]
    found = asked(CONTENT_RATE, folder(tmp_path / "slow", slow))
    assert alarms(found) == [("fault", "wrong-rate")]
    assert "0.3" in found[0].says
    assert [one.verdict for one in asked(CONTENT_RATE, folder(tmp_path / "right", [(w, w) for w in waves]))] == [
        "healthy"
    ]


def test_copies_within_a_split(pairs: list[Pair], tmp_path: Path) -> None:
    twice = [*pairs, *(((0.5 * c).astype(np.float32), (0.5 * n).astype(np.float32)) for c, n in pairs[:4])]
    assert alarms(asked(DUPLICATES, folder(tmp_path / "twice", twice))) == [("fault", "duplicates")]
    other = [*pairs, *((c, c + 3 * (n - c)[::-1]) for c, n in pairs[:4])]  # one clean file at several SNRs
    assert alarms(asked(DUPLICATES, folder(tmp_path / "snrs", other))) == []


def test_what_two_splits_share(clean: Clip, pairs: list[Pair], tmp_path: Path) -> None:
    others = made(clean.wave[0][::-1].copy(), seed=4)
    for split, chosen in (("train", [*pairs[:6], others[0], others[1]]), ("valid", others), ("test", others)):
        folder(tmp_path / split, chosen)
    found = asked(SPLITS, tmp_path)
    assert sorted(alarms(found)) == [("fault", "leaked-split"), ("fault", "leaked-split"), ("fault", "valid-is-test")]
    named = case_of(Given(data={"valid": tmp_path / "valid", "test": tmp_path / "valid"}))
    assert alarms(list(SPLITS.run(named) or ())) == [("fault", "valid-is-test")]  # type: ignore[arg-type]


def test_speakers_in_train_and_test(pairs: list[Pair], tmp_path: Path) -> None:
    for split, chosen, names in (
        ("train", pairs[:5], "p225"),
        ("test", pairs[5:], "p225"),
        ("valid", pairs[5:6], "p300"),
    ):
        for i, sides in enumerate(chosen):
            for side, wave in zip(("clean", "noisy"), sides, strict=True):
                path = tmp_path / split / side / f"{names}_{i:03}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, wave, RATE)
    assert ("suspect", "leaked-speakers") in alarms(asked(SPLITS, tmp_path))


def _items(pairs: list[Pair], again: list[Pair] = [], **facts: float) -> Items:  # noqa: B006
    first, second = ([HeardItem(f"i{i}", c, n, RATE, epoch=epoch, facts=facts) for i, (c, n) in enumerate(side)]
                     for epoch, side in enumerate((pairs, again)))  # fmt: skip
    return Items(first, "a loader", True, second)


def _asked_of(check, items: Items) -> list[tuple[str, str]]:  # type: ignore[no-untyped-def]
    case = case_of(Given())
    case.__dict__["items"] = items
    answer = check.run(case)
    return alarms([answer] if not isinstance(answer, list) else answer)


def test_snr_against_what_was_drawn(clean: Clip) -> None:
    right = made(clean.wave[0], (5.0, 5.0))
    assert _asked_of(REALISED_SNR, _items(right, snr_db=5.0)) == []
    assert _asked_of(REALISED_SNR, _items(right, snr_db=15.0)) == [("fault", "snr-off")]


def test_noise_of_the_next_epoch(clean: Clip, pairs: list[Pair]) -> None:
    assert _asked_of(REPEATED_NOISE, _items(pairs, pairs, snr_db=5.0)) == [("fault", "repeated-noise")]
    assert _asked_of(REPEATED_NOISE, _items(pairs, made(clean.wave[0], seed=9), snr_db=5.0)) == []


def test_padding_is_measured(pairs: list[Pair]) -> None:
    padded = [(np.pad(c[:8_000], (0, 32_000)), np.pad(n[:8_000], (0, 32_000))) for c, n in pairs]
    assert _asked_of(SHORT, _items(padded)) == [("fault", "short-items")]
    assert _asked_of(SHORT, _items(pairs)) == []


def test_crops_of_their_own_are_told_from_files_that_fit(pairs: list[Pair], tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    starts = [rng.integers(0, 24_000, 2) for _ in pairs]
    apart = [(c[a : a + 8_000], n[b : b + 8_000]) for (c, n), (a, b) in zip(pairs, starts, strict=True)]
    case = case_of(Given(data={"data": folder(tmp_path, pairs)}))
    case.__dict__["items"] = _items(apart)
    answer = RELATION.run(case)
    assert isinstance(answer, list)
    assert alarms(answer) == [("fault", "independent-crops")]


def test_a_mixture_goes_through_the_loader_of_the_recipe(corpus: Path) -> None:
    settings = ("data.speech.manifest=all.jsonl", "data.banks.noise.manifest=all.jsonl", "data.crop_s=1.0")
    case = case_of(Given(data={"data": corpus}, recipe="bandgru", settings=settings, most_items=6))
    case.recipe["data"]["degradations"] = [{"type": "AddNoise", "snr_db": [5, 5]}]  # type: ignore[index]
    case.recipe["data"]["banks"].pop("room", None)  # type: ignore[index]
    assert case.items.through_loader
    assert {one.facts["snr_db"] for one in case.items.items} == {5.0}
    assert [one.epoch for one in case.items.again] == [1] * len(case.items.again)
    assert alarms([one for one in RELATION.run(case) or () if one]) == []  # type: ignore[union-attr]


def test_names_that_corpora_use(tmp_path: Path) -> None:
    def side(*names: str) -> dict[str, Path]:
        return {name: Path(name) for name in names}

    for clean, noisy in (
        (("00001", "00002"), ("00001_12.3dB", "00002_-3.0dB")),
        (("clean_fileid_7", "clean_fileid_8"), ("book_1_snr5_fileid_7", "book_2_snr0_fileid_8")),
        (("a_clean", "b_clean"), ("a_noisy", "b_noisy")),
    ):
        found, alone = matched(side(*clean), side(*noisy))
        assert [pair[1].name for pair in found.values()] == list(noisy)
        assert alone == []


def test_what_is_no_data_says_what_would_be(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="--data"):
        _ = case_of(Given()).files
    with pytest.raises(DataError, match="no pairs, manifest or audio"):
        _ = case_of(Given(data={"data": tmp_path})).files


def test_pairs_further_down_are_not_taken_for_recordings_of_one_kind(pairs: list[Pair], tmp_path: Path) -> None:
    folder(tmp_path / "corpus" / "easy", pairs[:2])
    with pytest.raises(DataError, match="in its corpus/easy; give one, or several: NAME=PATH"):
        case_of(Given(data={"data": tmp_path})).get("files")
