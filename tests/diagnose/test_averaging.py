"""Checks on averages and on weights that rest: from checkpoints as they are saved, and from the history."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray
from safetensors.numpy import save_file

from auscult.diagnose.case import Case
from auscult.diagnose.checks.averaging import AVERAGE, AVERAGE_HISTORY, MOVING_WEIGHTS
from auscult.diagnose.evidence import Run
from auscult.diagnose.measure.weights import averaged, opened
from auscult.hub.bundle import Meta
from tests.diagnose.made_curves import case_of, curve, findings, only

Names = ("net.encoder.weight", "net.encoder.bias", "net.decoder.weight", "net.time.frequencies")
STEPS, SAVED = 600, (300, 450, 600)


def run_of(
    folder: Path,
    decay: Callable[[int], float] | None = lambda n: min(0.999, (1 + n) / (10 + n)),
    swapped: bool = False,
    resting: str = "",
    **facts: object,
) -> Case:
    """Random steps towards a target, with an average; ``swapped``: each save is after a swap that stayed."""
    rng = np.random.default_rng(3)
    raw: dict[str, ndarray] = {name: rng.standard_normal((20, 30)).astype(np.float32) for name in Names}
    target = {name: rng.standard_normal((20, 30)).astype(np.float32) for name in Names}
    mean = {name: tensor.copy() for name, tensor in raw.items()}
    paths = []
    for step in range(1, STEPS + 1):
        for name in Names[:3]:
            if not (resting and resting in name):
                noise = 0.02 * rng.standard_normal((20, 30))
                raw[name] = (raw[name] + 0.005 * (target[name] - raw[name]) + noise).astype(np.float32)
            if decay is not None:
                mean[name] = (decay(step) * mean[name] + (1 - decay(step)) * raw[name]).astype(np.float32)
        if step in SAVED:
            raw = {name: tensor.copy() for name, tensor in mean.items()} if swapped else raw
            tensors = raw | ({f"ema.{name}": tensor for name, tensor in mean.items()} if decay is not None else {})
            paths.append(folder / f"step-{step:08d}.safetensors")
            save_file(tensors, str(paths[-1]), {"auscult": Meta({"type": "ScoreModel"}, step=step).to_json()})
    return case_of({}, recipe={"optimiser": {"freeze": ["vocoder"]}}, run=Run(folder, {}, paths), facts=facts)


def test_a_well_kept_average(tmp_path: Path) -> None:
    case = run_of(tmp_path)
    one = only(AVERAGE, case)
    assert (one.verdict, one.causes) == ("healthy", ("ema-frozen", "swap-not-undone", "ema-too-slow"))
    assert only(MOVING_WEIGHTS, case).verdict == "healthy"


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.99])
def test_short_averages_of_short_runs(tmp_path: Path, decay: float) -> None:
    assert only(AVERAGE, run_of(tmp_path, lambda _: decay)).verdict == "healthy"


def test_the_lag_is_that_of_the_decay(tmp_path: Path) -> None:
    """Along an even way an average of decay d trails by d / (1 - d) steps."""
    paths = []
    for step in SAVED:
        raw = np.full((4, 4), step, np.float32)
        mean, at = np.zeros((4, 4)), 0
        while at < step:
            at += 1
            mean = 0.98 * mean + 0.02 * at
        paths.append(tmp_path / f"step-{step:08d}.safetensors")
        tensors = {"net.a.weight": raw, "ema.net.a.weight": mean.astype(np.float32)}
        save_file(tensors, str(paths[-1]), {"auscult": Meta({"type": "Regression"}, step=step).to_json()})
    found = opened(paths)
    seen = averaged(found[0], found[-1])
    assert seen is not None
    assert seen.lag == pytest.approx(0.98 / 0.02, rel=0.01)


def test_an_average_that_never_moves(tmp_path: Path) -> None:
    one = only(AVERAGE, run_of(tmp_path, lambda _: 1.0))
    assert (one.verdict, one.causes, one.certain) == ("fault", ("ema-frozen",), True)


def test_an_average_that_is_a_copy_and_one_that_was_swapped_in(tmp_path: Path) -> None:
    copy = only(AVERAGE, run_of(tmp_path, lambda _: 0.0))
    assert (copy.verdict, copy.causes[0]) == ("fault", "ema-too-fast")
    case = run_of(tmp_path, swapped=True)
    case.__dict__["curves"] = case_of({"ema_distance": curve(np.full(20, 0.03))}).curves
    one = only(AVERAGE, case)
    assert (one.verdict, one.causes[0]) == ("fault", "swap-not-undone")


def test_an_average_that_is_too_slow(tmp_path: Path) -> None:
    one = only(AVERAGE, run_of(tmp_path, lambda _: 0.99995))
    assert one.verdict in ("fault", "suspect")
    assert one.causes == ("ema-too-slow",)


def test_no_average_is_said_of_diffusion_models_only(tmp_path: Path) -> None:
    one = only(AVERAGE, run_of(tmp_path, None, method="ScoreModel"))
    assert (one.verdict, one.causes) == ("suspect", ("ema-absent",))
    assert not findings(AVERAGE, run_of(tmp_path, None, method="Regression"))


def test_a_part_that_never_moves(tmp_path: Path) -> None:
    one = only(MOVING_WEIGHTS, run_of(tmp_path, resting="decoder"))
    assert (one.verdict, one.causes) == ("fault", ("frozen-module",))
    assert "net.decoder" in one.says
    all_rest = only(MOVING_WEIGHTS, run_of(tmp_path, resting="net"))
    assert (all_rest.verdict, all_rest.causes[0]) == ("fault", "model-disconnected")
    assert not findings(AVERAGE, run_of(tmp_path, lambda _: 0.0, resting="net"))


def test_what_the_recipe_freezes_is_no_fault(tmp_path: Path) -> None:
    case = run_of(tmp_path, resting="decoder")
    case.__dict__["recipe"] = {"optimiser": {"net": {"freeze": ["decoder"]}}}
    assert only(MOVING_WEIGHTS, case).verdict == "healthy"


def test_the_history_of_an_average() -> None:
    rng = np.random.default_rng(2)
    steady = curve(0.02 * np.exp(0.05 * rng.standard_normal(100)))
    pesq = curve(np.ones(10), every=100.0)
    updates = curve(10.0 * np.arange(1, 101))
    well = only(AVERAGE_HISTORY, case_of({"ema_distance": steady, "ema_updates": updates, "valid.pesq": pesq}))
    assert (well.verdict, well.causes) == ("healthy", ("ema-frozen", "swap-not-undone"))
    never = only(AVERAGE_HISTORY, case_of({"ema_distance": steady, "ema_updates": curve(np.zeros(100))}))
    assert (never.verdict, never.causes[0]) == ("fault", "ema-frozen")
    saw = curve(0.02 * (np.arange(100) % 10 + 1) / 10)
    swapped = only(AVERAGE_HISTORY, case_of({"ema_distance": saw, "ema_updates": updates, "valid.pesq": pesq}))
    assert (swapped.verdict, swapped.causes) == ("fault", ("swap-not-undone",))
    equal = only(AVERAGE_HISTORY, case_of({"ema_distance": curve(np.zeros(100)), "ema_updates": updates}))
    assert (equal.verdict, equal.causes[0]) == ("suspect", "ema-too-fast")
