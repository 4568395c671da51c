"""The section `input`: samples, features, cuts, weights and the split."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from pydantic import Field, model_validator

from coursekit.jets import FLOW_FEATURES, RELATIVE_FEATURES
from coursekit.study.expressions import Expression
from coursekit.study.settings.base import Section
from coursekit.words import listed, near


class LabelBranch(Section):
    """A sample whose events are of several classes."""

    branch: str
    """Which says what an event is."""
    classes: dict[int, str] = Field(min_length=1)
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
    weight: str | None = None
    """The weights of this sample; by default `input.weight`."""
    cut: str | None = None
    """An expression; events that fulfil it (and `input.cut`) are kept."""
    values: dict[str, float] = {}
    """Columns with one value, such as the mass that the sample was simulated with."""

    @model_validator(mode="after")
    def _checked(self):
        for key in ("weight", "cut"):
            if getattr(self, key) is not None:
                Expression.parse(getattr(self, key), key)
        if len(set(self.files)) < len(self.files):
            raise ValueError(f"files names {_twice(self.files)} twice: its events would count twice")
        return self


class Target(Section):
    """What the training weights of a class add up to, all its events together, whatever part they are in."""

    sum: float | None = Field(None, gt=0)
    """Of all weights of the class."""
    mean: float | None = Field(None, gt=0)
    """Of the weights of the class."""
    of: str = "together"
    """``together``: all samples as they are; ``each``: every sample gets an equal share; or the name of the one sample
    that is trained on: the others get weight 0."""

    @model_validator(mode="after")
    def _checked(self):
        if (self.sum is None) == (self.mean is None):
            raise ValueError("a target has exactly one of sum and mean, such as {mean: 1}")
        return self


class Split(Section):
    """Training, validation and test; without k folds."""

    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    """Of training, validation and test."""
    keys: tuple[str, ...] = ()
    """Branches that identify an event: split by a hash of them. Without, by a hash of its place in its sample."""
    salt: int | None = None
    """Another one gives an independent split; by default 0 with keys, and `job.seed` without."""

    @model_validator(mode="after")
    def _checked(self):
        if min(self.fractions) <= 0 or abs(sum(self.fractions) - 1) > 1e-6:
            raise ValueError(f"fractions are three positive numbers that add up to 1, but {self.fractions} came")
        return self


class Reset(Section):
    """What a feature of a parametrised network is for events without a value of it, the background and data."""

    classes: tuple[str, ...] = ("background",)
    """Whose events have no value of it."""
    training: float | tuple[float, ...] | Literal["signal"] = "signal"
    """One value, values to draw from, or ``signal``: drawn from those of the other classes, with their weights."""
    evaluation: float | None = None
    """For all events, signal included, where the network is applied; by default as in training."""

    @model_validator(mode="after")
    def _checked(self):
        if self.training == () or not self.classes:
            raise ValueError("a reset has at least one class, and at least one value to draw from")
        return self


class Reweight(Section):
    """Factors that give all classes one spectrum, fitted on the training part (`reweight_classes`)."""

    bins: dict[str, tuple[float, ...]] = Field(min_length=2, max_length=2)
    """Two columns and the edges of their bins; events outside get weight 0."""
    target: str = "sum"
    """Whose spectrum all get: a class, ``sum`` or ``flat``."""


class Constituents(Section):
    """What a network for sets sees of the constituents of a jet: momenta, or columns that hold lists."""

    momenta: Literal["relative", "flow"] | None = None
    """Of files in the reference layout: `coursekit.jets.relative_features`, or `flow_features` for ``energy_flow``."""
    upright: bool = False
    """Momenta only: turn and mirror each jet into a standard position first."""
    features: tuple[str, ...] = ()
    """Branches that hold a list in each event, or names of `derived`."""
    derived: dict[str, str] = {}
    """New columns: expressions of lists, and of numbers of the jet, which are repeated for each constituent."""
    with_features: bool = False
    """Write `input.features` behind those of each constituent."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what is seen of each constituent, without `input.features`."""
        return {"relative": RELATIVE_FEATURES, "flow": FLOW_FEATURES}.get(self.momenta, self.features)

    @model_validator(mode="after")
    def _checked(self):
        if (self.momenta is None) == (not self.features):
            raise ValueError("constituents have either momenta or features")
        if self.momenta and (self.derived or self.with_features):
            raise ValueError("momenta come with neither derived nor with_features: leave these out")
        if self.upright and not self.momenta:
            raise ValueError("upright turns momenta; without `momenta` it has no effect: leave it out")
        _require_once("constituents.features", self.features)
        _require_expressions("constituents.derived", self.derived)
        return self


class Images(Section):
    """Pictures of jets in the reference layout, for a convolutional network (`coursekit.images`)."""

    kind: Literal["standardised", "study"] = "standardised"
    """``standardised``: centred, turned, mirrored, and times 100; ``study``: towers of a calorimeter, from 0 to 1."""
    pixels: int = Field(40, ge=4)
    """Of a side."""
    half_width: float = Field(0.8, gt=0)
    """Half a side, in pseudorapidity and azimuth."""
    channels: tuple[Literal["pt", "multiplicity"], ...] = ("pt",)
    """What a pixel holds: the sum of transverse momenta, and the number of constituents."""

    @model_validator(mode="after")
    def _checked(self):
        if self.kind == "study" and self.model_fields_set - {"kind"}:
            dead = next(iter(self.model_fields_set - {"kind"}))
            raise ValueError(f"{dead} has no effect on pictures of the kind study, whose grid is fixed: leave it out")
        return self


class Input(Section):
    """What the network sees, and of which events."""

    key: str | None = None
    """The tree or table in the files; by default ``Events`` in ROOT and ``table`` in HDF5."""
    signals: dict[str, Sample] = {}
    """By name; their class is ``signal`` unless they say another."""
    backgrounds: dict[str, Sample] = {}
    """By name; their class is ``background`` unless they say another."""
    data: dict[str, Sample] = {}
    """By name: never trained on, each event counts once."""
    classes: tuple[str, ...] = ()
    """In the order of their numbers; by default those of the backgrounds, then those of the signals."""
    features: tuple[str, ...] = ()
    """Columns that the network sees: branches, or names of `derived`."""
    constituents: Constituents | None = None
    """For a network for sets."""
    images: Images | None = None
    spectators: tuple[str, ...] = ()
    """Columns that are kept for `apply` and never trained on."""
    derived: dict[str, str] = {}
    """New columns: name and expression."""
    cut: str | None = None
    """An expression; events that fulfil it are kept."""
    weight: str = "1"
    """An expression: the events that a simulated one stands for, per inverse femtobarn."""
    negative_weights: Literal["keep", "zero", "absolute", "remove"] = "keep"
    """In the training; the results keep their sign. ``remove`` leaves the events out of training and validation."""
    targets: dict[str, Target] = {}
    """By class; without, weights are taken as they are."""
    reweight: Reweight | None = None
    target: str | None = None
    """For a regression: the column that is learned."""
    mixtures: tuple[float, ...] = ()
    """For `task: cwola`: the signal fractions of two mixtures of signals and backgrounds, the smaller one first."""
    reset: dict[str, Reset] = {}
    """By feature."""
    defaults: dict[str, float] = {}
    """What stands for "not there" in a feature."""
    fill: Literal["mean", "median"] = "mean"
    """What a default is replaced by: of the training events that have none."""
    checks: dict[str, str] = {}
    """New inputs of 0 and 1: name, and the feature whose default it looks for."""
    missing: Literal["refuse", "drop", "fill"] = "refuse"
    """NaN in a feature: an error, the event is dropped, or it becomes the default of this feature."""
    scale: Literal["weighted", "unweighted", "none"] = "unweighted"
    """How mean and standard deviation of the training events are taken."""
    split: Split = Split()
    memory: str = Field("2GB", pattern=r"^\s*[\d.]+\s*[kMGT]?B?\s*$")
    """Such as ``500MB`` or ``2GB``: a larger input is streamed, for a network of Keras on tables; figures that would
    need more memory then show some of the events, and say how many."""

    def samples(self) -> dict[str, tuple[str, Sample]]:
        """Return all samples by name, each with the section it is in, signals first and data last."""
        return {
            name: (section, sample)
            for section in ("signals", "backgrounds", "data")
            for name, sample in getattr(self, section).items()
        }

    def labels(self, section: str) -> list[str]:
        """Return the classes that the samples of a section have, in their order."""
        found = []
        for sample in getattr(self, section).values():
            label = sample.label or section.removesuffix("s")
            found += label.classes.values() if isinstance(label, LabelBranch) else [label]
        return list(dict.fromkeys(found))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes, in the order of their labels."""
        return self.classes or tuple(dict.fromkeys(self.labels("backgrounds") + self.labels("signals")))

    @model_validator(mode="after")
    def _samples(self):
        names = [*self.signals, *self.backgrounds, *self.data]
        if len(set(names)) < len(names):
            raise ValueError(f"two samples have the name {_twice(names)}: rename one of them")
        if not names:
            raise ValueError("there is no sample: name files in signals, backgrounds or data")
        for name, sample in self.data.items():
            for key in ("label", "scale", "weight"):
                if key in sample.model_fields_set:
                    raise ValueError(
                        f"data.{name}.{key} has no effect: data are never trained on and each event counts once. "
                        f"Events to be trained on are signals or backgrounds"
                    )
        return self

    @model_validator(mode="after")
    def _labels(self):
        there = self.labels("backgrounds") + self.labels("signals")
        _require_once("classes", self.classes)
        unknown = [name for name in self.classes if name not in there]
        if unknown and not set(there) <= set(self.classes):  # else an application may have no events of a class
            raise ValueError(f"classes names {unknown[0]}, which no sample has as its label;{near(unknown[0], there)}")
        _require_known("classes", there, self.class_names, "but this label of a sample is missing there: it has")
        _require_known("targets", self.targets, self.class_names, "there is no class of this name:")
        known = ["together", "each", *self.signals, *self.backgrounds]
        for name, target in self.targets.items():
            _require_known(f"targets.{name}.of", [target.of], known, "there are")
        if self.reweight:
            _require_known("reweight.target", [self.reweight.target], [*self.class_names, "sum", "flat"], "there are")
        for name, reset in self.reset.items():
            _require_known(f"reset.{name}.classes", reset.classes, self.class_names, "there is no such class:")
        return self

    @model_validator(mode="after")
    def _columns(self):
        of_jets = [name for name in ("constituents", "images") if getattr(self, name)]
        if len(of_jets) == 2 or not (of_jets or self.features):
            raise ValueError("a network sees features, constituents, or images: name one of them")
        if self.features and of_jets and not (self.constituents and self.constituents.with_features):
            raise ValueError(
                f"features are not seen beside {of_jets[0]}, unless by constituents.with_features: make them spectators"
            )
        if self.constituents and self.constituents.with_features and not self.features:
            raise ValueError(
                "constituents.with_features has no effect, there are no features: name some, or leave it out"
            )
        _require_once("features", self.features)
        _require_once("spectators", self.spectators)
        if both := [name for name in self.features if name in self.spectators]:
            raise ValueError(f"{both[0]} is in features and in spectators: take it out of one of them")
        if self.target in self.features:
            raise ValueError(f"target: {self.target} is what is learned, and is in features too: take it out there")
        for key in ("cut", "weight"):
            if getattr(self, key) is not None:
                Expression.parse(getattr(self, key), key)
        _require_expressions("derived", self.derived)
        for key, names in (("defaults", self.defaults), ("reset", self.reset)):
            _require_known(key, names, self.features, "there is no such feature:")
        if self.mixtures and (len(self.mixtures) != 2 or not all(0 <= f <= 1 for f in self.mixtures)):
            raise ValueError(f"mixtures are two signal fractions between 0 and 1, but {self.mixtures} came")
        if self.mixtures and self.mixtures[0] == self.mixtures[1]:
            raise ValueError("mixtures have the same signal fraction: there is nothing to learn from them")
        if self.mixtures and self.mixtures[0] > self.mixtures[1]:
            first, second = self.mixtures
            raise ValueError(
                f"mixtures rise, so that a large score means signal: write [{second:g}, {first:g}], not [{first:g}, "
                f"{second:g}]"
            )
        return self

    @model_validator(mode="after")
    def _scaler(self):
        _require_known("checks", self.checks.values(), self.defaults, "a check looks at a feature with a default:")
        if twice := _twice(self.checks.values()):
            raise ValueError(f"two checks look at {twice}: one of them says it all")
        if both := [name for name in self.checks if name in self.features]:
            raise ValueError(f"checks: {both[0]} is the name of a feature: give it another, such as no_{both[0]}")
        for key, without in (("fill", not self.defaults), ("checks", not self.defaults)):
            if key in self.model_fields_set and getattr(self, key) and without:
                raise ValueError(
                    f"{key} has no effect without defaults: say which value of which feature means missing"
                )
        if self.missing == "fill" and not self.defaults:
            raise ValueError("missing: fill needs the values that NaN becomes: give defaults, such as {sv_mass: -1}")
        if self.scale == "none" and self.defaults:
            raise ValueError("defaults are replaced when features are scaled; with scale: none they have no effect")
        return self


def _twice(names: Iterable[str]) -> str | None:
    return next((name for name, n in Counter(names).items() if n > 1), None)


def _require_once(key: str, names: Iterable[str]) -> None:
    if twice := _twice(names):
        raise ValueError(f"{key} names {twice} twice")


def _require_known(key: str, names: Iterable[str], known: Iterable[str], there: str) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{key}: {name};{near(name, known)} {there} {listed(known)}")


def _require_expressions(key: str, expressions: dict[str, str]) -> None:
    for name, text in expressions.items():
        Expression.parse(text, f"{key}.{name}")
