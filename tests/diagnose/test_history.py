"""Histories of many trainers come out as the same curves; what cannot be read is said in one line."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import numpy as np
import pytest

from auscult.diagnose.case import Case, Given
from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import Absent, Curves
from auscult.diagnose.gather.history import gather_curves, read_curves
from auscult.diagnose.gather.history_columns import guess
from auscult.diagnose.gather.history_text import pieces
from auscult.errors import DataError


def values(curves: Curves, name: str) -> list[tuple[float, float]]:
    curve = curves.curves[name]
    return list(zip(curve.at.tolist(), curve.values.tolist(), strict=True))


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("column", "curve"),
    [
        ("train_loss", "train.loss"), ("Loss/train", "train.loss"), ("loss", "train.loss"), ("eval_loss", "valid.loss"),
        ("val/PESQ WB", "valid.pesq"), ("pesq", "valid.pesq"), ("dev.si-snr", "valid.si_snr"),
        ("valid_SI-SDR", "valid.si_sdr"),
        ("ValidESTOI", "valid.estoi"), ("lr-AdamW", "lr"), ("learning_rate", "lr"), ("optim0_lr0", "lr"),
        ("grad_norm", "grad_norm"), ("train/disc_loss", "discriminator.loss"), ("loss_mag", "train.loss.mag"),
        ("loss_scale", "loss_scale"), ("best_pesq", None), ("time", None), ("train_pesq", None),
        ("backward_time", None),
    ],
)  # fmt: skip
def test_columns_are_known_by_name(column: str, curve: str | None) -> None:
    assert guess(column) == curve


def test_lightning_rows_are_ragged(tmp_path: Path) -> None:
    """CSVLogger: training and validation rows in one table, empty where the other has values."""
    path = write(tmp_path / "metrics.csv", "epoch,step,train_loss,val_loss,val_pesq", "0,49,0.5,,", "0,99,0.4,,",
                 "0,99,,0.45,2.1", "1,149,0.3,,", "1,199,,0.35,2.4")  # fmt: skip
    curves = read_curves(tmp_path)
    assert (curves.unit, curves.source, curves.last) == ("step", str(path.parent), 199)
    assert values(curves, "train.loss") == [(49, 0.5), (99, 0.4), (149, 0.3)]
    assert values(curves, "valid.pesq") == [(99, 2.1), (199, 2.4)]
    assert curves.mapping["valid.pesq"] == "val_pesq"


def test_hugging_face_state_and_keras_columns(tmp_path: Path) -> None:
    rows = [
        {"step": 10, "epoch": 0.1, "loss": 2.0, "learning_rate": 5e-5, "grad_norm": 3.0},
        {"step": 20, "eval_loss": 1.5},
    ]
    path = tmp_path / "trainer_state.json"
    path.write_text(json.dumps({"best_metric": 1.5, "log_history": rows}))
    curves = read_curves(path)
    assert values(curves, "lr") == [(10, 5e-5)]
    assert values(curves, "valid.loss") == [(20, 1.5)]
    path.write_text(json.dumps({"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.0], "val_loss": [3.1, 2.2, 1.4]}))
    assert values(read_curves(path), "valid.loss") == [(1, 3.1), (2, 2.2), (3, 1.4)]


def test_hugging_face_printed(tmp_path: Path) -> None:
    path = write(tmp_path / "log.txt", "{'loss': 2.0, 'grad_norm': 1.5, 'learning_rate': 5e-05, 'epoch': 0.5}",
                 "{'eval_loss': 1.9, 'epoch': 1.0}",
                 "{'loss': 1.0, 'grad_norm': 1.2, 'learning_rate': 4e-05, 'epoch': 1.5}",
                 "{'eval_loss': 1.2, 'epoch': 2.0}")  # fmt: skip
    curves = read_curves(path)
    assert curves.unit == "epoch"
    assert values(curves, "train.loss") == [(0.5, 2.0), (1.5, 1.0)]
    assert values(curves, "valid.loss") == [
        (1, 1.9),
        (2, 1.2),
    ]


def test_espnet(tmp_path: Path) -> None:
    line = ("[host] 2024-01-01 12:00:0{e} (trainer:338) INFO: {e}epoch results: [train] iter_time=0.1, loss={a}, "
            "grad_norm=2.5, clip=100.000, loss_scale=1.000, optim0_lr0=5e-04, train_time=1.2, "
            "[valid] loss={b}, si_snr={c}")  # fmt: skip
    rows = [line.format(e=e, a=a, b=b, c=c) for e, a, b, c in ((1, -3.0, -2.5, 5.0), (2, -6.0, -5.5, 8.0))]
    curves = read_curves(write(tmp_path / "train.log", *rows))
    assert values(curves, "train.loss") == [(1, -3), (2, -6)]
    assert values(curves, "valid.loss") == [(1, -2.5), (2, -5.5)]
    assert values(curves, "lr") == [(1, 5e-4), (2, 5e-4)]
    assert values(curves, "valid.si_snr") == [(1, 5), (2, 8)]


def test_cmgan_counts_steps_anew_in_every_epoch(tmp_path: Path) -> None:
    lines = []
    for epoch in range(4):
        lines += [f"INFO:root:GPU: 0, Epoch {epoch}, Step {s}, loss: {1 / (1 + epoch + s / 900):.4f}, disc_loss: 0.01"
                  for s in (0, 300, 600)]  # fmt: skip
        lines += [f"INFO:root:GPU: 0, Generator loss: {0.2 - epoch / 100}, Discriminator loss: 0.02"]
    curves = read_curves(write(tmp_path / "train.log", *lines))
    assert curves.unit == "epoch"
    assert curves.starts == ()
    at, loss = np.array(values(curves, "train.loss")).T
    assert len(at) == 12
    assert (np.diff(at) > 0).all()
    assert (np.diff(loss) < 0).all()
    assert [value for _, value in values(curves, "valid.loss")] == pytest.approx([0.2, 0.19, 0.18, 0.17])
    assert curves.mapping["valid.loss"] == "Generator loss"
    assert len(values(curves, "discriminator.loss")) == 12


def test_plain_lines(tmp_path: Path) -> None:
    assert dict(pieces("epoch 3 ... loss: 0.12 val_loss=0.3 pesq 2.1 lr 5e-4")) == {
        "epoch": 3, "loss": 0.12, "val_loss": 0.3, "pesq": 2.1, "lr": 5e-4}  # fmt: skip
    assert dict(pieces("Epoch [7/100] train loss 0.5")) == {"Epoch": 7, "train loss": 0.5}
    assert dict(pieces("Validation | loss: 0.4 | SI-SDR: -1.5")) == {"valid/loss": 0.4, "valid/SI-SDR": -1.5}
    assert np.isnan(dict(pieces("step 10 loss: nan"))["loss"])


def test_tensorboard(tmp_path: Path) -> None:
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    for begin in (0, 30):
        with tensorboard.SummaryWriter(str(tmp_path / "tb"), filename_suffix=f".{begin}") as writer:
            for step in range(begin, begin + 30, 10):
                writer.add_scalar("train/loss", 1 / (1 + step), step)
                writer.add_scalar("val/pesq", float("nan") if step == 20 else 2.0, step)
    curves = read_curves(tmp_path / "tb")
    assert values(curves, "train.loss") == [(s, pytest.approx(1 / (1 + s))) for s in range(0, 60, 10)]
    assert np.isnan(curves.curves["valid.pesq"].values[2])
    assert curves.starts == (30,)


def test_long_tables_and_work_done_again(tmp_path: Path) -> None:
    """``step,name,value`` as our CSV tracker writes; a step that comes again counts once, the last time."""
    path = write(tmp_path / "track.csv", "step,name,value", "10,train/loss,1.0", "20,train/loss,0.9",
                 "30,train/loss,0.8",                 "20,train/loss,0.7", "30,train/loss,0.6")  # fmt: skip
    curves = read_curves(path)
    assert values(curves, "train.loss") == [(10, 1.0), (20, 0.7), (30, 0.6)]
    assert curves.starts == (20,)


def test_empty_cells_written_as_nan_are_no_broken_loss(tmp_path: Path) -> None:
    rows = [f"{i},{1 / (i + 1)},{'nan' if i % 5 else 2.0 + i / 100}" for i in range(50)]
    curves = read_curves(write(tmp_path / "wandb.csv", "step,loss,val_pesq", *rows))
    assert len(values(curves, "valid.pesq")) == 10
    assert np.isfinite(curves.curves["valid.pesq"].values).all()
    broken = [f"{i},{1.0 if i < 30 else 'nan'}" for i in range(50)]
    assert (
        np.isnan(read_curves(write(tmp_path / "b.csv", "step,loss", *broken)).curves["train.loss"].values).sum() == 20
    )


def test_columns_can_be_said_and_are_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "i,objective,quality", *(f"{i},{1 / i},{2 + i / 10}" for i in range(1, 9)))
    with pytest.raises(DataError, match=r"i, objective, quality.*--column train.loss=COLUMN"):
        read_curves(path)
    columns = {"train.loss": "objective", "quality": "valid.pesq", "step": "i"}
    case = Case(Given(history=path, columns=columns), Clock.lasting(9))
    curves = gather_curves(case)
    assert values(curves, "valid.pesq")[0] == (1, 2.1)
    assert curves.mapping["train.loss"] == "objective"
    assert "train.loss from 'objective'" in case.notes[0]
    with pytest.raises(DataError, match=r"no column 'objectiv' \(did you mean 'objective'\?\)"):
        read_curves(path, {"train.loss": "objectiv"})


def test_cut_empty_unreadable_and_missing(tmp_path: Path) -> None:
    row = {"step": 1, "loss": 0.5}
    cut = tmp_path / "h.jsonl"
    cut.write_text(f"{json.dumps(row)}\n{json.dumps(row | {'step': 2})}\n" + '{"step": 3, "lo')
    assert len(values(read_curves(cut), "train.loss")) == 2
    whole = write(tmp_path / "c.csv", "step,loss,lr", "1,0.5,1e-3", "2,0.4,1e-3", "3,0.")
    assert len(values(read_curves(whole), "train.loss")) == 2
    for name, content, words in (("e.csv", "", "empty"), ("e.jsonl", "", "empty"), ("e.log", "hello\n", "empty"),
                                 ("x.json", "{", "not JSON"), ("f.jsonl", "a\nb\nc\n", "not JSON lines")):  # fmt: skip
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError, match=words):
            read_curves(tmp_path / name)
    with pytest.raises(DataError, match="no such history"):
        read_curves(tmp_path / "none.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no history in it"):
        read_curves(tmp_path / "empty")
    with pytest.raises(Absent, match="--history FILE"):
        gather_curves(Case(Given(), Clock.lasting(9)))


def test_long_histories_are_read_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "loss"])
        writer.writerows([step, 0.5] for step in range(100_000))
    begun = time.process_time()
    assert read_curves(path).last == 99_999
    assert time.process_time() - begun < 3  # 1e6 rows in half a minute
