"""The recorder writes a history that the doctor and the reports read, and costs next to nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from auscult.diagnose import Recorder
from auscult.diagnose.checks.processes import ORDER
from auscult.diagnose.gather.history import read_curves
from auscult.errors import TrainingError
from auscult.hub.runs import read_history
from auscult.train.history import History
from tests.diagnose.made_curves import case_of, only


def train(folder: Path, steps: int, every: int = 5, begin: int = 0, freeze: bool = False) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
    net[0].requires_grad_(not freeze)
    opt = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    x = torch.randn(64, 8)
    with Recorder(folder, net=net, optimiser=opt, ema={n: p.detach().clone() for n, p in net.named_parameters()},
                  every=every, step=begin) as rec:  # fmt: skip
        for step in range(steps):
            loss = (net(x) - x[:, :1]).square().mean()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(net.parameters(), 0.05)
            opt.step()
            rec.step(loss, parts={"square": loss}, grad_norm=norm, clip_norm=0.05, items=[step % 4, 7], wait_s=1e-4)
            opt.zero_grad()
        rec.validation({"a.wav": {"pesq": 2.0}, "b.wav": {"pesq": 3.0}}, loss=0.5)
    return net


def test_rows_are_those_of_our_histories(tmp_path: Path) -> None:
    net = train(tmp_path, 22)
    history = History.of(read_history(tmp_path / "history.jsonl"))
    assert [row["step"] for row in history.rows] == [5, 10, 15, 20, 22]
    assert history.means("pesq").values.tolist() == [2.5]
    assert history.items == 44
    curves = read_curves(tmp_path)
    loss = curves.curves["train.loss"].values
    assert (np.diff(loss) < 0).all()
    assert curves.curves["train.loss.square"].values == pytest.approx(loss)
    assert curves.curves["lr"].values.tolist() == [0.1] * 5
    assert curves.curves["clipped_share"].values[0] == 1.0
    assert curves.per_item["pesq"][0].tolist() == [2.0, 3.0]
    assert curves.curves["valid.loss"].values.tolist() == [0.5]
    assert (np.diff(curves.curves["ema_distance"].values) > 0).all()
    size = float(torch.cat([p.detach().flatten() for p in net.parameters()]).norm())
    assert curves.curves["update_ratio.all"].values[-1] == pytest.approx(0.1 * 0.05 / size, rel=0.02)


def test_a_part_that_rests_has_no_update(tmp_path: Path) -> None:
    train(tmp_path, 10, freeze=True)
    curves = read_curves(tmp_path).curves
    assert curves["update_ratio.0"].values.tolist() == [0, 0]
    assert (curves["update_ratio.2"].values > 0).all()


def test_order_resume_and_ranks(tmp_path: Path) -> None:
    train(tmp_path, 40)
    train(tmp_path, 10, begin=40)
    curves = read_curves(tmp_path)
    assert curves.starts == (45,)
    assert curves.last == 50
    one = only(ORDER, case_of(curves.curves, ranks=curves.ranks))
    assert (one.verdict, one.causes) == ("fault", ("same-order",))
    assert "after 4 steps" in one.says
    with Recorder(tmp_path, rank=1, every=2) as other:
        other.step(0.5, items=[1, 2])
        other.step(float("nan"), items=[3, 4])
    assert {row["rank"] for row in read_curves(tmp_path).ranks} == {0, 1}


def test_losses_that_broke_are_kept(tmp_path: Path) -> None:
    with Recorder(tmp_path / "new", every=1) as rec:
        for loss in (1.0, float("nan"), float("inf")):
            rec.step(loss)
        rec.validation(loss=0.5)
    assert np.isnan(read_curves(tmp_path / "new").curves["train.loss"].values).tolist() == [False, True, True]


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="1 step or more"):
        Recorder(tmp_path, every=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="choose another folder"):
        Recorder(tmp_path / "file")


def test_a_step_costs_less_than_a_hundredth(tmp_path: Path) -> None:
    """Against a step of 50 ms, with rows and the copy of the weights of a net of a million numbers spread over it."""
    net = nn.Linear(1000, 1000)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    loss, norm = torch.tensor(0.5), torch.tensor(1.0)
    with Recorder(tmp_path, net=net, optimiser=opt) as rec:
        begun = time.process_time()
        for _ in range(200):
            rec.step(loss, grad_norm=norm)
        assert (time.process_time() - begun) / 200 < 0.01 * 0.05


def test_naming_it_imports_no_torch() -> None:
    code = (
        "import sys, auscult.diagnose.gather.history; from auscult.diagnose import Recorder; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
