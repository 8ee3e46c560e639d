"""Ground: random keys, shapes, units, errors, the catalogue."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from auscult import units
from auscult.catalogue import CATALOGUE, TARGETS, check_trust, find
from auscult.errors import MissingExtra, RecipeError, TrustError, check_installed, nearest, need
from auscult.rng import Draws, Key
from auscult.shapes import bcast


def test_keys_name_their_streams() -> None:
    a, b = Key(1).child("crop", 0, 3), Key(1).child("crop", 0, 3)
    assert np.array_equal(a.numpy().random(5), b.numpy().random(5))
    others = [
        Key(2).child("crop", 0, 3),
        Key(1).child("noise", 0, 3),
        Key(1).child("crop", 3, 0),
        Key(1).child("crop", 0, "3"),
    ]
    firsts = {float(key.numpy().random()) for key in [a, *others]}
    assert len(firsts) == 5
    assert 0 <= a.integer() < 2**63


def test_draws_of_an_item_do_not_depend_on_its_neighbours() -> None:
    x = torch.zeros(3, 2, 5, dtype=torch.complex64)
    together = Draws([1, 2, 3])
    first, second = together.normal_like(x), together.normal_like(x)
    alone = Draws([2])
    assert torch.equal(alone.normal_like(x[:1])[0], first[1])
    assert torch.equal(alone.normal_like(x[:1])[0], second[1])
    t = Draws([1, 2]).uniform(0.2, 0.8)
    assert t.shape == (2,)
    assert ((t >= 0.2) & (t < 0.8)).all()
    with pytest.raises(ValueError, match="3 generators cannot serve a batch of 2"):
        together.normal_like(x[:2])


def test_complex_noise_has_unit_power() -> None:
    z = Draws([0]).normal_like(torch.zeros(1, 100_000, dtype=torch.complex64))
    assert float(z.abs().square().mean()) == pytest.approx(1.0, rel=0.02)


def test_bcast_refuses_what_would_broadcast_silently() -> None:
    x = torch.zeros(4, 1, 3, 3)
    assert bcast(torch.ones(4), x).shape == (4, 1, 1, 1)
    assert bcast(torch.tensor(2.0), x).ndim == 0
    for wrong in (torch.ones(3), torch.ones(4, 1)):
        with pytest.raises(ValueError, match="has shape"):
            bcast(wrong, x)


@pytest.mark.parametrize(("seconds", "text"), [
    (0.454, "0.45 s"), (12.34, "12.3 s"), (245, "4 min 05 s"), (10_930, "3 h 02 min"),
])  # fmt: skip
def test_durations_read_well(seconds: float, text: str) -> None:
    assert units.duration(seconds) == text


def test_decibels() -> None:
    assert units.to_db(10.0) == pytest.approx(10.0)
    assert units.to_db(0.0) == -200.0
    assert units.amplitude(6.0) == pytest.approx(1.9953, abs=1e-4)
    assert units.samples(0.5, 44_100) == 22_050
    assert [units.count(n) for n in (842, 23_669, 65_590_822)] == ["842", "23.7 k", "65.6 M"]


def test_every_name_of_the_catalogue_is_a_class() -> None:
    assert sum(len(names) for names in CATALOGUE.values()) == len(TARGETS)
    for name in TARGETS:
        assert isinstance(find(name), type)


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(RecipeError, match="'NCSNp' is not in the catalogue .did you mean 'NCSNpp'"):
        find("NCSNp")
    with pytest.raises(RecipeError, match="cannot be imported"):
        find("no_such_package.Net")
    with pytest.raises(RecipeError, match="is a builtin_function_or_method, a class is needed"):
        find("math.sqrt")
    assert nearest("zzz", ["abc"]) == ""


def test_trust_is_by_package() -> None:
    check_trust({"Regression", "my_pkg.nets.Net"}, ["my_pkg"], "file")
    with pytest.raises(TrustError, match="add --trust my_pkg"):
        check_trust({"my_pkg.nets.Net"}, ["my_pk"], "file")


def test_a_missing_extra_is_answered_by_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pesq", None)
    with pytest.raises(MissingExtra, match=r"PESQ needs the package 'pesq', .* pip install 'auscult\[eval\]'"):
        need("pesq", "PESQ")
    with pytest.raises(MissingExtra, match=r"a table needs the package 'pesq', .* pip install 'auscult\[eval\]'"):
        check_installed("pesq", "a table")
    check_installed("numpy", "anything")


@pytest.mark.parametrize("command", [["--help"], ["enhance", "--help"], ["recipes"], ["models", "--parts"], ["models"]])
def test_light_commands_import_no_torch(command: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['auscult', *{command!r}]\n"
        "from auscult.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules\n"
        "assert 'scipy.signal' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
