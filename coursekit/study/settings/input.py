"""The section `input`: samples, features, cuts, weights and the split."""

from typing import Literal

from pydantic import Field

from coursekit.study.settings.base import Section


class LabelBranch(Section):
    """A sample whose events are of several classes."""

    branch: str
    """Which says what an event is."""
    classes: dict[int, str]
    """From its values to names of classes; events with other values are left out."""


class Sample(Section):
    """Events of one kind, in one file or in several."""

    files: tuple[str, ...] = Field(min_length=1)
    """ROOT (``.root``), HDF5 (``.h5``, ``.hdf5``) or feather; relative to the study file, or names of the catalogue."""
    key: str | None = None
    """The tree or the table; by default `input.key`."""
    label: str | LabelBranch | None = None
    """Name of its class; by default ``signal`` or ``background``."""
    scale: float = 1.0
    """Factor on all its weights."""
    cut: str | None = None
    """An expression; events that fulfil it (and `input.cut`) are kept."""
    values: dict[str, float] = {}
    """Columns with one value, such as the mass that the sample was simulated with."""


class Target(Section):
    """What the training weights of a class add up to."""

    sum: float | None = Field(None, gt=0)
    mean: float | None = Field(None, gt=0)
    of: str = "together"
    """``together``: all samples as they are; ``each``: every sample gets an equal share; or the name of the one sample
    that is trained on."""


class Split(Section):
    """Training, validation and test; without k folds."""

    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    keys: tuple[str, ...] = ()
    """Branches that identify an event: split by a hash of them. Without, by place and seed."""
    salt: str | None = None


class Reset(Section):
    """What a feature of a parametrised network is for events without a value of it, the background."""

    classes: tuple[str, ...] = ("background",)
    training: float | tuple[float, ...] | Literal["signal"] = "signal"
    """One value, values to draw from, or ``signal``: drawn from those of the signal, with its weights."""
    evaluation: float | None = None
    """For all events, signal included, where the network is applied; by default as in training."""


class Reweight(Section):
    """Factors that give all classes one spectrum, fitted on the training part (`reweight_classes`)."""

    bins: dict[str, tuple[float, ...]]
    """Two variables and their edges."""
    target: str = "sum"


class Input(Section):
    """What the network sees, and of which events."""

    key: str = "Events"
    signals: dict[str, Sample] = {}
    backgrounds: dict[str, Sample] = {}
    data: dict[str, Sample] = {}
    classes: tuple[str, ...] = ()
    """In the order of their numbers; by default those of the backgrounds, then those of the signals."""
    features: tuple[str, ...] = ()
    """Columns that the network sees: branches, or names of `derived`."""
    spectators: tuple[str, ...] = ()
    """Columns that are kept for `apply` and never trained on."""
    derived: dict[str, str] = {}
    """New columns: name and expression."""
    cut: str | None = None
    weight: str = "1"
    """An expression: the events that a simulated one stands for, per inverse femtobarn."""
    negative_weights: Literal["keep", "zero", "absolute", "remove"] = "keep"
    targets: dict[str, Target] = {}
    """By class; without, weights are taken as they are."""
    reweight: Reweight | None = None
    target: str | None = None
    """For a regression: the column that is learned."""
    mixtures: tuple[float, ...] = ()
    """For `task: cwola`: the signal fraction of each of two mixtures, made from signals and backgrounds."""
    reset: dict[str, Reset] = {}
    defaults: dict[str, float] = {}
    """What stands for "not there" in a feature."""
    fill: Literal["mean", "median"] = "mean"
    checks: dict[str, str] = {}
    missing: Literal["refuse", "drop", "fill"] = "refuse"
    """NaN in a feature: an error, the event is dropped, or it is filled as a default is."""
    scale: Literal["weighted", "unweighted", "none"] = "unweighted"
    """How mean and standard deviation of the training events are taken."""
    split: Split = Split()
    memory: str = "2GB"
    """A larger input is streamed."""
