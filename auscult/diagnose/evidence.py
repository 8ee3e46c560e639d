"""The kinds of evidence that checks look at; :mod:`auscult.diagnose.gather` brings it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jaxtyping import Float, Float32
from numpy import ndarray

from auscult.audio.info import Info

if TYPE_CHECKING:
    from torch import Tensor, nn

    from auscult.methods.base import Method

Need = Literal["files", "items", "practice", "curves", "scores", "outputs", "model", "run"]
"""Names of evidence; each is a property of :class:`auscult.diagnose.case.Case`."""


@dataclass(frozen=True)
class FilePair:
    """Two files that are said to belong together, with their headers; ``clean`` or ``noisy`` may be unknown."""

    name: str
    clean: Info | None
    noisy: Info | None
    facts: Mapping[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Files:
    """Pairs of files by split (``train``, ``valid``, ``test``; ``data`` where nothing is said).

    ``mixed`` says that sides are mixed on the fly: clean and noisy are speech and noise, not a pair.
    """

    splits: Mapping[str, Sequence[FilePair]]
    unreadable: Mapping[str, str] = field(default_factory=dict)
    unmatched: Mapping[str, Sequence[str]] = field(default_factory=dict)
    mixed: bool = False
    listed: Mapping[str, int] = field(default_factory=dict)
    """How many pairs each split has; of very large ones ``splits`` holds a sample."""


@dataclass(frozen=True)
class HeardItem:
    """One item as a training step gets it, before normalisation. ``start``: None where the loader does not say."""

    name: str
    clean: Float32[ndarray, " T"]
    noisy: Float32[ndarray, " T"]
    rate_hz: int
    start: int | None = None
    epoch: int = 0
    worker: int | None = None
    length: int | None = None
    """Samples before padding."""
    facts: Mapping[str, float] = field(default_factory=dict)
    """What was drawn for it, such as ``snr_db``."""


@dataclass(frozen=True)
class Items:
    """Items through the loader that training uses, or read from files where there is no loader (``source``).

    ``again`` are the same places of the stream in the next epoch, where that could be drawn.
    """

    items: Sequence[HeardItem]
    source: str
    through_loader: bool
    again: Sequence[HeardItem] = ()


class Practice(ABC):
    """A training step that can be asked questions: ours, or somebody else's loader, loss and model.

    Waves are [B, T] at the level that the loader gives. ``loss`` takes an estimate in the place of the net's answer
    and sends it through everything that follows. The same step asked twice gives the same numbers: whatever is drawn
    at random (times and noise of a diffusion, drop-out) is drawn alike.
    """

    name: str
    """What is asked, for the report."""
    rate_hz: int | None
    """None where nobody says."""

    @abstractmethod
    def steps(self, count: int, epoch: int = 0) -> Sequence[Step]:
        """The first batches of an epoch; fewer where it has no more.

        Raises:
            DataError: the loader fails.
        """

    @abstractmethod
    def loss(self, step: Step, estimate: Float[Tensor, "B T"] | None = None) -> Mapping[str, Tensor]:
        """The weighted parts of the loss with a graph: of the model's own estimate, or of one that is given.

        Raises:
            Absent: the loss takes no estimate, or there is no loss or model.
            DataError: the loss fails.
        """

    @abstractmethod
    def estimate(self, step: Step) -> Float[Tensor, "B T"]:
        """What the model says, with a graph.

        Raises:
            Absent: there is no model. DataError: the model fails.
        """

    @abstractmethod
    def nets(self) -> Mapping[str, nn.Module]:
        """The nets that learn from the loss, in training state; empty without a model."""

    @abstractmethod
    def part(self, step: Step) -> Step:
        """A smaller step where the practice can cut one out of it, else the same: nets may be slow."""

    @abstractmethod
    def fresh(self) -> Practice:
        """The same with newly initialised nets, on the same steps."""


@dataclass(frozen=True)
class Step:
    """A batch, and whatever its practice needs to know of it (``own``)."""

    clean: Float[Tensor, "B T"]
    noisy: Float[Tensor, "B T"]
    names: tuple[str, ...]
    own: Any = None
    starts: tuple[int | None, ...] = ()
    """Where the items were cut out of their recordings; empty where the loader does not say."""
    lengths: tuple[int, ...] = ()
    """Samples before padding; empty where the loader does not say."""
    told: Mapping[str, Tensor] = field(default_factory=dict)
    """What a net is told beside the noisy signal, by name; empty where nothing is, or the loader does not say."""


@dataclass(frozen=True)
class Curve:
    """Values against steps (or epochs); NaN where a value was not finite."""

    at: Float[ndarray, " n"]
    values: Float[ndarray, " n"]


@dataclass(frozen=True)
class Curves:
    """A run's curves in one vocabulary, whoever wrote them.

    Names: ``train.loss``, ``train.loss.<part>``, ``valid.loss``, ``valid.<metric>`` (``valid.pesq``), ``lr``,
    ``grad_norm``, ``grad_norm_mean``, ``update_ratio.<module>``, ``clipped_share``, ``unstepped``,
    ``share.<part>`` (of the gradient), ``cosine.<part>``, ``gain``, ``ema_distance``, ``ema_updates``,
    ``discriminator.loss``, ``loader_wait``, ``items``, ``loss_scale``, ``dropped.<cause>``, ``calibration.<name>``.
    Of the main net where several learn.
    """

    curves: Mapping[str, Curve]
    unit: Literal["step", "epoch"]
    source: str
    mapping: Mapping[str, str] = field(default_factory=dict)
    """Which column became which curve; shown."""
    unmapped: Sequence[str] = ()
    per_item: Mapping[str, Sequence[Float[ndarray, " items"]]] = field(default_factory=dict)
    """Scores of every item at every validation, by metric, where they were kept."""
    ranks: Sequence[Mapping[str, object]] = ()
    """What each process logged of itself: ``rank``, ``step``, ``parameters`` (hashes), ``positions``."""
    starts: Sequence[float] = ()
    """Where the run was started or resumed."""
    last: float = 0.0


@dataclass(frozen=True)
class Scores:
    """Scores of items from a table or an evaluation: (metric, side) to one value an item.

    Sides: ``noisy``, ``enhanced``, ``improvement``; other systems by their names.
    """

    items: Sequence[str]
    values: Mapping[tuple[str, str], Float[ndarray, " items"]]
    source: str
    mapping: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[tuple[str, str], Float[ndarray, "seeds items"]] = field(default_factory=dict)


@dataclass(frozen=True)
class OutputItem:
    """A restored file with what it was made from and what it should be; either may be unknown."""

    name: str
    enhanced: Path
    clean: Path | None = None
    noisy: Path | None = None


@dataclass(frozen=True)
class Outputs:
    """A folder of restored files, matched by name."""

    items: Sequence[OutputItem]
    source: str
    unmatched: Sequence[str] = ()


@dataclass(frozen=True)
class Model:
    """A checkpoint of ours, opened: the method, its nets (averaged weights where there are any), and raw ones."""

    path: Path
    method: Method
    nets: Mapping[str, nn.Module]
    raw: Mapping[str, nn.Module] | None
    step: int
    section: Mapping[str, Any] = field(default_factory=dict)
    """The method as a section of a recipe, defaults filled in."""


@dataclass(frozen=True)
class Run:
    """A run folder of ours: its recipe as resolved, and its checkpoints, oldest first."""

    path: Path
    recipe: Mapping[str, object]
    checkpoints: Sequence[Path]


class Absent(Exception):
    """Evidence that was not given or cannot be had: why, and what it would take."""

    def __init__(self, why: str):
        super().__init__(why)
        self.why = why
