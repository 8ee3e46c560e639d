"""Checkpoints: ours in and out, others' without running anything, damaged ones refused, strangers' classes too."""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import auscult
from auscult.catalogue import find
from auscult.errors import CheckpointError, TrustError
from auscult.files import write_bytes
from auscult.hub.bundle import Meta, parameters, read_meta, read_tensors, save, select
from auscult.hub.opening import open_method, read_checkpoint, start_from
from auscult.hub.unpickle import Inert, foreign_classes, read_archive
from auscult.nets.gtcrn import GTCRN

METHOD = {
    "type": "Regression",
    "features": {"type": "CompressedSTFT", "n_fft": 512, "hop": 256, "window": "sqrthann", "transform": "none"},
    "net": {"type": "BandGRU", "channels": 4, "hidden": 4, "blocks": 1},
    "losses": [{"type": "L1"}],
}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    net = find("BandGRU")(channels=4, hidden=4, blocks=1)
    raw = {f"net.{key}": tensor for key, tensor in net.state_dict().items()}
    mean = {f"ema.{key}": 0.5 * tensor for key, tensor in raw.items()}
    path = tmp_path / "model.safetensors"
    save(path, raw | mean, Meta(METHOD, "tiny", 12, {"pesq": 1.5}, 1.5))
    return path


class TestOurs:
    def test_meta_is_read_without_tensors(self, checkpoint: Path) -> None:
        meta = read_meta(checkpoint)
        assert (meta.recipe, meta.step, meta.scores, meta.selected) == ("tiny", 12, {"pesq": 1.5}, 1.5)
        assert parameters(checkpoint) == {"net": sum(t.numel() for t in _net(checkpoint, "net").values())}

    def test_averaged_weights_come_first(self, checkpoint: Path) -> None:
        _, nets, _ = open_method(checkpoint)
        weights = nets["net"].state_dict()["conv_in.weight"]
        assert torch.equal(weights, _net(checkpoint, "ema.net")["conv_in.weight"])
        _, nets, _ = open_method(checkpoint, weights="net")
        assert torch.equal(nets["net"].state_dict()["conv_in.weight"], 2 * weights)
        assert not nets["net"].training

    def test_missing_averages_are_said(self) -> None:
        with pytest.raises(CheckpointError, match="holds no averaged weights of 'net'"):
            select({"net.w": torch.zeros(1)}, "net", "ema", "file")

    def test_overrides_change_the_method(self, checkpoint: Path) -> None:
        method, _, _ = open_method(checkpoint, overrides=["normalise={kind: rms}"])
        assert method.normalise.kind == "rms"
        with pytest.raises(CheckpointError, match="[1-9][0-9]* of another shape"):
            open_method(checkpoint, overrides=["net.channels=8"])

    @pytest.mark.parametrize("cut", [0, 5, 200, -10])
    def test_a_damaged_file_is_refused(self, checkpoint: Path, cut: int) -> None:
        checkpoint.write_bytes(checkpoint.read_bytes()[:cut])
        with pytest.raises(CheckpointError, match="cut short"):
            auscult.load(str(checkpoint))

    def test_a_strangers_safetensors_is_refused(self, tmp_path: Path) -> None:
        from safetensors.torch import save_file

        save_file({"w": torch.zeros(3)}, tmp_path / "x.safetensors")
        with pytest.raises(CheckpointError, match="not one written by auscult"):
            read_meta(tmp_path / "x.safetensors")

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"schema": 1, "version": "0", "method": 3}'])
    def test_a_damaged_description_is_refused(self, tmp_path: Path, text: str) -> None:
        from safetensors.torch import save_file

        save_file({"w": torch.zeros(3)}, tmp_path / "x.safetensors", {"auscult": text})
        with pytest.raises(CheckpointError, match="its description of itself is damaged"):
            read_meta(tmp_path / "x.safetensors")

    def test_a_newer_schema_asks_for_an_upgrade(self, tmp_path: Path) -> None:
        from safetensors.torch import save_file

        text = '{"schema": 99, "version": "9.0"}'
        save_file({"w": torch.zeros(3)}, tmp_path / "x.safetensors", {"auscult": text})
        with pytest.raises(CheckpointError, match=r"written by a newer auscult \(9\.0\); upgrade to read it"):
            read_meta(tmp_path / "x.safetensors")

    def test_a_strangers_class_needs_trust(self, tmp_path: Path) -> None:
        save(tmp_path / "x.safetensors", {"net.w": torch.zeros(1)}, Meta({**METHOD, "net": {"type": "evil.nets.Net"}}))
        with pytest.raises(TrustError, match="asks for the class 'evil.nets.Net' from outside auscult.*--trust evil"):
            auscult.load(str(tmp_path / "x.safetensors"))

    def test_starting_from_another_net_lists_what_did_not_fit(self, checkpoint: Path) -> None:
        net = find("BandGRU")(channels=4, hidden=4, blocks=2)
        wanting, unused = start_from(checkpoint, {"net": net})
        assert all(name.startswith("net.blocks.1.") for name in wanting)
        assert unused == []
        assert torch.equal(net.state_dict()["conv_in.weight"], _net(checkpoint, "ema.net")["conv_in.weight"])
        with pytest.raises(CheckpointError, match="none of its tensors fits"):
            start_from(checkpoint, {"other": net})

    def test_writing_aside_leaves_no_part(self, tmp_path: Path) -> None:
        write_bytes(tmp_path / "a", b"one")
        write_bytes(tmp_path / "a", b"two")
        assert (tmp_path / "a").read_bytes() == b"two"
        assert os.listdir(tmp_path) == ["a"]


class TestForeign:
    def test_published_gtcrn_files_convert(self, data: Path, tmp_path: Path) -> None:
        found = read_checkpoint(data.parent / "checkpoints" / "gtcrn_vctk.tar")
        assert found.meta.step == 92
        assert "optimizer" in found.ignored
        save(tmp_path / "gtcrn.safetensors", found.tensors, found.meta)
        assert auscult.load(str(tmp_path / "gtcrn.safetensors")).rate_hz == 16_000

    def test_tensors_numbers_and_names_survive(self, tmp_path: Path) -> None:
        shared = torch.arange(12.0).reshape(3, 4)
        payload = {
            "view": shared[1:, ::2], "half": torch.ones(2, dtype=torch.bfloat16), "int": torch.tensor([1, 2]),
            "parameter": torch.nn.Parameter(torch.ones(2)), "ordered": OrderedDict(a=1), "scalar": np.float64(2.5),
            "set": {1, 2}, "path": Path("a/b"), "empty": torch.empty(0), "text": "x", "none": None,
        }  # fmt: skip
        torch.save(payload, tmp_path / "x.pt")
        back = read_archive(tmp_path / "x.pt")
        for key in ("view", "half", "int", "parameter", "empty"):
            assert torch.equal(back[key], payload[key].data)
        assert back["ordered"] == {"a": 1}
        assert back["scalar"] == 2.5
        assert back["set"] == {1, 2}
        assert isinstance(back["path"], Inert)
        assert foreign_classes(back) == {"pathlib.PosixPath"}

    def test_a_foreign_layout_is_described(self, tmp_path: Path) -> None:
        torch.save({"state_dict": {"vocoder.w": torch.ones(1)}, "epoch": 3}, tmp_path / "x.ckpt")
        with pytest.raises(CheckpointError, match=r"keys state_dict, epoch.*known are GTCRN .* and our own"):
            read_checkpoint(tmp_path / "x.ckpt")

    @pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all", b"\x80\x02}q\x00."])
    def test_what_is_no_archive_is_refused(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "x.tar").write_bytes(content)
        with pytest.raises(CheckpointError, match="neither safetensors nor a PyTorch archive"):
            read_checkpoint(tmp_path / "x.tar")

    def test_a_zip_of_something_else_is_refused(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "x.tar", "w") as archive:
            archive.writestr("readme.txt", "hello")
        with pytest.raises(CheckpointError, match="not a PyTorch archive"):
            read_checkpoint(tmp_path / "x.tar")

    def test_a_compressed_zip_is_refused(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "x.tar", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", pickle.dumps({"zeros": bytes(10**6)}))
        with pytest.raises(CheckpointError, match="a compressed zip file; PyTorch archives are not compressed"):
            read_checkpoint(tmp_path / "x.tar")

    def test_a_missing_file_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="no checkpoint"):
            read_checkpoint(tmp_path / "none.tar")


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *arguments: Any):
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


def malicious(marker: Path) -> dict[str, bytes]:
    """Pickles that would touch ``marker`` if anything in them ran, or break the reader."""
    touch = f"touch {marker}"
    return {
        "os.system": pickle.dumps(Call(os.system, touch)),
        "eval": pickle.dumps(Call(eval, f"open({str(marker)!r}, 'w')")),
        "exec by name": f"cbuiltins\nexec\n(Vopen({str(marker)!r}, 'w')\ntR.".encode(),
        "getattr chain": b"cbuiltins\ngetattr\n(cos\n__dict__\nVsystem\ntR.",
        "copytree": pickle.dumps(Call(shutil.copytree, "/etc", str(marker))),
        "instance opcode": f"(V{touch}\nios\nsystem\n.".encode(),
        "nested pickle": pickle.dumps(Call(pickle.loads, pickle.dumps(Call(os.system, touch)))),
        "build on an inert object": f"cos\nsystem\n(V{touch}\ntR(dV__class__\ncbuiltins\nexec\nsb.".encode(),
        "torch load": f"ctorch\nload\n(V{marker}\ntR.".encode(),
        "numpy loads": b"cnumpy\nload\n(V/etc/passwd\ntR.",
        "object scalar": b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(VO8\ntRcos\nsystem\ntR.",
        "huge tensor": b"ctorch._utils\n_rebuild_tensor_v2\n(NI0\n(I1000000000\nt(I1\nttR.",
        "stack underflow": b"R.",
        "unknown opcode": b"\xff\xff\xff.",
        "no stop": b"(",
        "persistent id": b"Vx\nQ.",
        "deep recursion": b"(" * 10 + b"l" * 10 + b".",
        "memo miss": b"g99\n.",
        "state of a constructor": b"ctorch._utils\n_rebuild_tensor_v2\n(dVhook\ncos\nsystem\nsb.",
        "stride 0 bomb": b"ctorch._utils\n_rebuild_tensor_v2\n((Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI1\ntQI0\n"
                         b"(I100000\nI100000\nt(I0\nI0\nttR.",
    }  # fmt: skip


@pytest.mark.parametrize("name", malicious(Path("x")))
def test_malicious_pickles_run_nothing(name: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    with zipfile.ZipFile(tmp_path / "evil.tar", "w") as archive:
        archive.writestr("archive/data.pkl", malicious(marker)[name])
        archive.writestr("archive/data/0", b"\0\0\0\0")
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "evil.tar")
    assert not marker.exists()


def test_a_malicious_class_inside_a_real_checkpoint_stays_inert(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    state = {"erb.erb_fc.weight": torch.zeros(1)}
    payload = {"model": state, "hook": Call(os.system, f"touch {marker}"), "epoch": 1}
    torch.save(payload, tmp_path / "x.tar")
    back = read_archive(tmp_path / "x.tar")
    assert isinstance(back["hook"], Inert)
    assert back["hook"].name == "posix.system"
    assert not marker.exists()


def test_storages_cannot_be_overrun(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(4)}, tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt") as source:
        entries = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(tmp_path / "cut.pt", "w") as target:
        for name, content in entries.items():
            target.writestr(name, content[:4] if "/data/" in name else content)
    with pytest.raises(CheckpointError, match="shorter than it claims"):
        read_archive(tmp_path / "cut.pt")


def test_gtcrn_state_dict_shape_is_checked(tmp_path: Path, data: Path) -> None:
    found = read_checkpoint(data.parent / "checkpoints" / "gtcrn_vctk.tar")
    own = {f"net.{key}" for key in GTCRN().state_dict()}
    assert set(found.tensors) == own


def _net(path: Path, prefix: str) -> dict[str, torch.Tensor]:
    tensors = read_tensors(path)
    return {k.removeprefix(f"{prefix}."): t for k, t in tensors.items() if k.startswith(f"{prefix}.")}
