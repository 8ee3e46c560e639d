"""From a finished run to the built-in model: averaged weights as safetensors, and one ONNX frame with state.

python benchmarks/publish.py runs/bandgru-XXXXXXXX
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import auscult
from auscult.hub.bundle import save, sha256
from auscult.hub.export import export_step
from auscult.hub.opening import open_method
from auscult.hub.runs import best_checkpoint
from auscult.methods.regression import Regression

WEIGHTS = Path(auscult.__file__).parent / "weights"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    source = best_checkpoint(parser.parse_args().run)
    method, nets, meta = open_method(source)
    assert isinstance(method, Regression)
    tensors = {f"net.{key}": tensor for key, tensor in nets["net"].state_dict().items()}
    meta = replace(meta, origin=f"{meta.origin}, averaged weights of step {meta.step}")
    save(WEIGHTS / "default.safetensors", tensors, meta)
    export_step(method, nets["net"], WEIGHTS / "default.onnx")
    for name in ("default.safetensors", "default.onnx"):
        path = WEIGHTS / name
        print(f"{name}: {path.stat().st_size / 1e6:.2f} MB, sha256 {sha256(path)}")
    print(f"from {source}: validation {meta.scores}")


if __name__ == "__main__":
    main()
