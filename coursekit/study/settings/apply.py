"""The section `apply`: figures, tables, fit inputs and exported networks."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from coursekit.study.settings.apply_fit import (
    Cuts,
    Decorrelation,
    Export,
    FitInputs,
    Range,
    Scores,
    Significance,
    Template,
)
from coursekit.study.settings.base import Section


class Label(Section):
    """What every figure says about where its events are from."""

    experiment: str = Field(min_length=1)
    """Printed in bold, such as ``ATLAS``, ``CMS`` or the name of a course."""
    status: str = "Simulation"
    """Behind the experiment: ``Internal``, ``Work in progress``, ``Open Data``."""
    energy_TeV: float | None = Field(None, gt=0)
    """Of the collisions; the integrated luminosity is `apply.luminosity_fb`."""


class Variable(Section):
    """How one column is drawn, wherever it is."""

    label: str | None = None
    """With its unit, such as ``m(ll) [GeV]``; by default the name of the column."""
    bins: int | tuple[float, ...] | None = None
    """Their number, or all edges; by default `apply.kinematics.bins`."""
    range: tuple[float, float] | None = None
    """First and last edge; by default between the 0.5 and 99.5% quantiles of all classes."""
    log: bool = False
    """A logarithmic axis of events."""

    @model_validator(mode="after")
    def _bins_are_given_once(self):
        if isinstance(self.bins, tuple):
            if self.range is not None:
                raise ValueError("range has no effect beside edges in bins: leave one of them out")
            if len(self.bins) < 2 or any(b <= a for a, b in pairwise(self.bins)):
                raise ValueError(f"the edges in bins must rise, and be two at least; {list(self.bins)} came")
        elif self.bins is not None and self.bins < 1:
            raise ValueError(f"bins is a number of bins, 1 at least, or a list of edges; {self.bins} came")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"range must rise, from its first edge to its last; {list(self.range)} came")
        return self


class Discriminant(Section):
    """One number out of three probabilities or more: ln p(signal) / (sum of fraction times p of each other class)."""

    signal: str | None = None
    """The class that is sought; by default the last one. With two classes the score itself is taken."""
    fractions: dict[str, float] = {}
    """Of the other classes in the background, such as ``{c: 0.1}``; classes that are not named share what is left."""


class Histories(Section):
    """Curves of the trainings, epoch by epoch."""

    quantities: tuple[Literal["loss", "accuracy", "auc"], ...] = Field(("loss", "accuracy", "auc"), min_length=1)
    """A figure for each that the training has."""


class Epochs(Section):
    """The network after each epoch that `train.save_every` has kept, on validation events."""

    every: int = Field(1, ge=1)
    """Of the kept epochs, every so many; the last one always."""


class Kinematics(Section):
    """Distributions of columns, as they are and as the network sees them."""

    columns: tuple[str, ...] = ()
    """By default all features and spectators."""
    raw: bool = True
    """As in the files, with physical weights."""
    processed: bool = True
    """Features as the network sees them: scaled, training events with training weights."""
    by: Literal["class", "sample"] = "class"
    """What has a curve of its own."""
    bins: int = Field(40, ge=2)
    """Of every column for which `apply.variables` says nothing else."""
    density: bool = True
    """Raw ones scaled to area one; else the events that are expected."""
    ratio: bool = False
    """A panel with each curve divided by the first."""


class Correlations(Section):
    """Of the features, in the training events of each class with training weights, and their difference."""

    columns: tuple[str, ...] = ()
    """By default all features; spectators and other columns may be named, too."""


class Performance(Section):
    """How well the score separates, on events that no network has trained on."""

    efficiencies: tuple[Annotated[float, Field(gt=0, le=1)], ...] = ()
    """Of the signal, at which rejections are given; by default 0.5, 0.7, 0.9, for three classes or more 0.7, 0.77,
    0.85."""
    calibration_bins: int = Field(10, ge=2)
    """Of the score, in which it is compared with the share of signal."""
    confusion: bool = True
    """A matrix of what each class is called."""


class TrainTest(Section):
    """Distributions of the score for events trained on and not, and their Kolmogorov-Smirnov distance."""

    bins: int = Field(25, ge=2)
    """Of the score."""
    log: bool = True
    """A logarithmic axis of events."""


class Importance(Section):
    """What is lost when one feature is shuffled among the events."""

    shuffles: int = Field(5, ge=2)
    """Of each feature."""
    log: bool = False
    """A logarithmic axis."""


class Apply(Section):
    """What is made of a trained network: a page with every figure and table, and the figures as files.

    A section that is not wanted is set to ``null``.
    """

    title: str | None = None
    """Of the page; by default the name of the study."""
    formats: tuple[Literal["png", "pdf", "svg"], ...] = Field(("png",), min_length=1)
    """Of the files of the figures."""
    label: Label | None = None
    luminosity_fb: float = Field(1.0, gt=0)
    """Integrated luminosity in inverse femtobarn, for which events are expected."""
    variables: dict[str, Variable] = {}
    """How columns are drawn: features, spectators, derived ones."""
    discriminant: Discriminant = Discriminant()
    histories: Histories | None = Histories()
    epochs: Epochs | None = Epochs()
    kinematics: Kinematics | None = Kinematics()
    correlations: Correlations | None = Correlations()
    performance: Performance | None = Performance()
    train_test: TrainTest | None = TrainTest()
    importance: Importance | None = Importance()
    blind: Range | None = None
    """First and last score for which no data are shown: they are in no figure, table or file for a fit, and their
    scores in ``predictions.h5`` are NaN. The networks and what they said, in ``models``, stay complete."""
    scores: Scores | None = Scores()
    """The distribution of the score."""
    significance: Significance | None = Significance()
    """A scan over cuts on the score."""
    cuts: Cuts | None = None
    """Shapes of other variables after cuts on the score."""
    decorrelation: Decorrelation | None = None
    """How the shape of a spectator in the background changes with a cut."""
    fit_inputs: FitInputs | None = None
    """ROOT files for a fit."""
    template: Template | None = None
    """A statistical model for pyhf, and the limit that it is expected to give."""
    export: Export | None = None
    """The trained network in other formats."""
