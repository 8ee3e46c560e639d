"""What a dry run says of nets is what running them says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from auscult.ablate.dry import Known, Rehearsal, rehearse
from auscult.ablate.ladder import assignments
from auscult.recipe import override
from auscult.rng import Draws
from auscult.train.settings import Options
from auscult.train.setup import RunPlan, plan_run
from tests.ablate.ladders import TINY, TINY_SCORE, TINY_TOLD

KNOWN = Known()


def rehearsed(base: dict[str, Any], corpus: Path, **changes: Any) -> tuple[RunPlan, Rehearsal]:
    leaves = {name.replace("__", "."): value for name, value in changes.items()}
    plan = plan_run(override(base, assignments(leaves)), Options(), corpus)
    return plan, rehearse(plan, plan.resolved["method"], KNOWN)


def test_operations_are_those_of_a_real_restoration(corpus: Path) -> None:
    plan, found = rehearsed(TINY_SCORE, corpus)
    method = plan.method()
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        method.restore(method.nets(), torch.randn(1, 1, 16_000), Draws([0]))
    net = found.nets["net"]
    assert net.calls == 2
    assert abs(net.flops / counted.get_total_flops() - 1) < 1e-6
    assert net.parameters == sum(p.numel() for p in method.nets()["net"].parameters())


@pytest.mark.parametrize(("sampler", "calls"), [
    ({"type": "PredictorCorrector", "steps": 7, "corrector": "none"}, 7),
    ({"type": "PredictorCorrector", "steps": 7, "corrector": "annealed"}, 14),
])  # fmt: skip
def test_calls_are_those_of_the_sampler(sampler: dict[str, Any], calls: int, corpus: Path) -> None:
    assert rehearsed(TINY_SCORE, corpus, method__sampler=sampler)[1].nets["net"].calls == calls


def test_activations_and_work_grow_with_the_batch_and_the_state_does_not(corpus: Path) -> None:
    one, four = (rehearsed(TINY, corpus, training__batch=batch)[1].nets["net"] for batch in (1, 4))
    assert four.step_flops == pytest.approx(4 * one.step_flops)
    assert four.training_bytes - four.state_bytes == pytest.approx(4 * (one.training_bytes - one.state_bytes))
    # Adam: weights, gradients, two moments, and the average: five numbers a parameter.
    assert four.state_bytes == one.state_bytes == 5 * 4 * one.parameters


def test_frozen_parameters_are_counted_and_cost_no_gradient(corpus: Path) -> None:
    plan, found = rehearsed(TINY, corpus, optimiser__freeze=["*.bias"])
    frozen = sum(p.numel() for name, p in plan.method().nets()["net"].named_parameters() if name.endswith(".bias"))
    net = found.nets["net"]
    assert net.frozen == frozen > 0
    assert net.state_bytes == 4 * (2 * net.parameters + 3 * (net.parameters - frozen))


def test_conditions_are_chained_to_the_net_and_reached(corpus: Path) -> None:
    _, found = rehearsed(TINY_TOLD, corpus)
    assert [chain.partition(":")[0] for chain in found.chains] == [
        "ConvStatistics 1 x 8 -> AdaGN at norm",
        "ConvStatistics 1 x 8 -> SpectralChannel at entry",
    ]
    call = found.nets["net"].call
    assert call is not None
    # One pass with a reference never asks for the null element; all else learns.
    assert call.unreached in ((), ("cond.null",))
