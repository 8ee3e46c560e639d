"""A checkpoint, opened with averaged weights and, where these exist, with raw ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from auscult import recipe
from auscult.diagnose.evidence import Absent, Model
from auscult.errors import AuscultError
from auscult.hub.runs import best_checkpoint

if TYPE_CHECKING:
    from auscult.diagnose.case import Case


def gather_model(case: Case) -> Model:
    """The checkpoint that was given, else the best of the run; settings of the recipe's method override its own.

    Raises:
        Absent: there is none, it cannot be opened, or torch is not installed.
    """
    path = _path(case)
    overrides = [one.removeprefix("method.") for one in case.given.settings if one.startswith("method.")]
    try:
        return _opened(path, case, overrides)
    except ImportError as error:
        raise Absent(f"{path.name} needs torch: pip install 'auscult[torch]'") from error
    except AuscultError as error:
        raise Absent(f"the checkpoint cannot be opened: {error}") from error


def _path(case: Case) -> Path:
    given = case.given.checkpoint
    if given is not None and given.is_file():
        return given
    run = given if given is not None and given.is_dir() else case.given.run
    if run is None:
        raise Absent("no checkpoint was given (--checkpoint FILE or --run DIR)")
    try:
        return best_checkpoint(run)
    except AuscultError as error:
        raise Absent(str(error)) from error


def _opened(path: Path, case: Case, overrides: list[str]) -> Model:
    from auscult.hub.bundle import load_net, select
    from auscult.hub.opening import read_checkpoint, settled
    from auscult.methods.base import Method

    found = read_checkpoint(path)
    plan = settled(found.meta, str(path), case.given.trust, overrides)
    method: Method = plan.build()
    nets = {name: net.to(case.given.device).eval() for name, net in method.nets().items()}
    for name, net in nets.items():
        load_net(net, select(found.tensors, name, "auto", str(path)), str(path))
    raw = None
    if any(name.startswith("ema.") for name in found.tensors):
        raw = {name: net.to(case.given.device).eval() for name, net in plan.build().nets().items()}
        for name, net in raw.items():
            load_net(net, select(found.tensors, name, "net", str(path)), str(path))
    section = recipe.plan(plan.as_dict(), Method, "method").as_dict()
    return Model(path, method, nets, raw, found.meta.step, section)
