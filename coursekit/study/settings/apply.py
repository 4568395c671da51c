"""The section `apply`: figures, tables, fit inputs and exported networks."""

from typing import Literal

from pydantic import Field

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


class Discriminant(Section):
    """One number out of three probabilities or more: ln p(signal) / (sum of fraction times p of each other class)."""

    signal: str | None = None
    """The class that is sought; by default the last one. With two classes the score itself is taken."""
    fractions: dict[str, float] = {}
    """Of the other classes in the background, such as ``{c: 0.1}``; classes that are not named share what is left."""


class Apply(Section):
    """What is made of a trained network: a page with every figure and table, and the figures as files."""

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
