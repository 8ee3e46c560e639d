"""Shape and type checks at run time: every annotated function of the floors below is checked while tests run."""

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

FLOORS = (
    "audio",
    "degrade",
    "metrics",
    "data",
    "nets",
    "features",
    "paths",
    "samplers",
    "losses",
    "methods",
    "restore",
)

# An int is welcome where a float is asked for (PEP 484).
check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def install() -> None:
    """Check the modules of :data:`FLOORS` that are imported from now on."""
    install_import_hook([f"auscult.{floor}" for floor in FLOORS], "tests.checked.check")
