"""Keys of `apply` from the score to the statistical analysis: distributions, cuts, fit inputs, templates, exports."""

import itertools
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from coursekit.study.settings.base import Section
from coursekit.words import listed, near

MEASURES = ("s_b", "s_sqrt_b", "s_sqrt_sb", "asimov", "asimov_uncertain")
_Measure = Literal[
    "s_b", "s_sqrt_b", "s_sqrt_sb", "asimov", "asimov_uncertain",
    "s_b_rel", "s_sqrt_b_rel", "s_sqrt_sb_rel", "asimov_rel", "asimov_uncertain_rel",
]  # fmt: skip


def _rising(values):
    if isinstance(values, tuple) and any(one >= other for one, other in itertools.pairwise(values)):
        raise ValueError(f"numbers that rise are expected, but {', '.join(f'{value:g}' for value in values)} came")
    if isinstance(values, tuple) and len(values) < 2:
        raise ValueError("at least two edges are expected, the first and the last")
    if isinstance(values, int) and values < 1:
        raise ValueError(f"at least one bin is expected, but {values} came")
    return values


Range = Annotated[tuple[float, float], AfterValidator(_rising)]
Bins = Annotated[int | tuple[float, ...], AfterValidator(_rising)]


class _Binned(Section):
    """What has `bins` and `range`: the second says where so many bins of one width lie."""

    @model_validator(mode="after")
    def _range_is_read(self):
        if self.range is not None and not isinstance(self.bins, int):
            raise ValueError("range has no effect beside edges in bins: leave it out, or give the number of bins")
        return self


class Scores(_Binned):
    """The distribution of the score: simulation stacked, signals on top of it, data."""

    bins: Bins = 25
    """Their number, or all edges."""
    range: Range | None = None
    """First and last edge; by default 0 and 1 for a probability, else those of the scores."""
    samples: tuple[str, ...] = ()
    """What is shown, backgrounds from below; by default all samples."""
    signal_scale: float = Field(1.0, gt=0)
    """Factor on the signals that are drawn over the stack."""
    axis: tuple[Literal["linear", "log"], ...] = Field(("linear", "log"), min_length=1)
    """One figure for each."""
    density: bool = False
    """Everything scaled to the area 1: all backgrounds together, each signal, the data."""


class Significance(Section):
    """A scan over cuts on the score: chosen on one part of the events, quoted on another."""

    measures: tuple[_Measure, ...] = Field(("s_sqrt_sb", "s_sqrt_b", "asimov_uncertain"), min_length=1)
    """s/b, s/sqrt(b), s/sqrt(s+b), Asimov's Z with the background known, and known to `background_uncertainty`; with
    ``_rel`` divided by its value without a cut."""
    cuts: int = Field(100, ge=2)
    """How many are tried, at equal distances."""
    range: Range | None = None
    """First and last cut; by default 0 and 1 for a probability, else those of the scores."""
    background_uncertainty: float = Field(0.0, ge=0)
    """Of the background, relative, for ``asimov_uncertain``; the statistical error of the simulation comes on top."""
    minimum_events: int = Field(10, ge=1)
    """Simulated background events that must pass, on the part where the cut is chosen."""

    @model_validator(mode="after")
    def _uncertainty_is_read(self):
        if self.background_uncertainty and not any("uncertain" in measure for measure in self.measures):
            raise ValueError("background_uncertainty has no effect without asimov_uncertain in measures")
        return self


class Cuts(Section):
    """What cuts on the score do to the shapes of other variables."""

    cuts: tuple[float, ...] = Field(min_length=1)
    """Events with at least this score are kept."""
    variables: tuple[str, ...] = ()
    """By default all features and spectators."""
    ratio_table: bool = False
    """Whether the ratios after / before are written, bin by bin, as a CSV file for each variable."""


class Decorrelation(Section):
    """How much the score knows of a spectator, such as a mass, in the background."""

    spectators: tuple[str, ...] = ()
    """By default all of `input.spectators`."""
    background_efficiencies: tuple[float, ...] = Field((0.5, 0.2, 0.1, 0.05, 0.02), min_length=1)
    """At which cuts are made."""

    @model_validator(mode="after")
    def _efficiencies(self):
        if wrong := [value for value in self.background_efficiencies if not 0 < value < 1]:
            raise ValueError(f"background_efficiencies lie between 0 and 1, but {wrong[0]:g} came")
        return self


class FitInputs(Section):
    """A ROOT file for each sample, with what a fit needs: weight, score, label, part, and branches."""

    branches: tuple[str, ...] = ()
    """Columns of `input`; by default all of them."""
    folder: str = "fit_inputs"
    """Where the files go, relative to the run folder."""
    tree: str = Field("Events", pattern=r"^[A-Za-z_]\w*$")
    """Its name in each file."""


class Template(_Binned):
    """The score in bins as a statistical model of pyhf, and what it is expected to say about the signal."""

    bins: Bins = 10
    """Edges, or a number: so many bins of one width, of which those with too few background events are merged."""
    range: Range | None = None
    """Where so many bins lie; by default from 0 to 1 for a probability, else over the scores."""
    minimum_events: float = Field(10.0, gt=0)
    """Effective background events, (sum w)^2 / sum w^2, that a bin must have."""
    uncertainties: dict[str, Annotated[float, Field(gt=0, lt=1)]] = {}
    """Of the normalisation of samples, relative, log-normal, each on its own."""
    luminosity_uncertainty: float = Field(0.0, ge=0, lt=1)
    """Relative; it moves all samples together."""
    unblind: bool = False
    """Whether the data of `input.data` are fitted, too; else nothing but their expectation is looked at."""


class Export(Section):
    """In which formats the trained network leaves the run folder: each is read again and compared."""

    onnx: bool = False
    """``export/NAME.onnx``."""
    cpp: bool = False
    """A folder ``export/NAME_cpp`` with a header for C++; it needs the ONNX file, which is then written, too."""
    lwtnn: bool = False
    """``export/NAME.lwtnn.json``."""

    @model_validator(mode="after")
    def _something(self):
        if not (self.onnx or self.cpp or self.lwtnn):
            raise ValueError("nothing is to be exported: say true for onnx, cpp or lwtnn, or leave the section out")
        return self


#: Which formats a network of the course can be written in; own networks are tried.
EXPORTABLE = {
    "dense": {"onnx", "cpp", "lwtnn"},
    "cnn": {"onnx"},
    "deep_sets": {"onnx", "cpp", "lwtnn"},
    "energy_flow": {"onnx", "cpp"},
    "boosted_trees": set(),
}
_OF_CLASSES = ("blind", "scores", "significance", "cuts", "decorrelation", "fit_inputs", "template", "export")
_OF_CLASSES += ("performance", "train_test", "epochs", "discriminant")  # of these it draws others, or none


def require_fit(study) -> None:
    """Refuse what these keys say about samples, columns and networks that the rest of the study does not have.

    Parameters
    ----------
    study : Study

    Raises
    ------
    ValueError
        Names the key, what came, and what to do.
    """
    apply, samples = study.apply, [*study.input.backgrounds, *study.input.signals]
    if study.train.task == "regression":
        for key in _OF_CLASSES:
            if key in apply.model_fields_set and getattr(apply, key) is not None:
                raise ValueError(f"apply.{key} is about a score that tells classes apart: a regression has none")
    if "epochs" in apply.model_fields_set and apply.epochs is not None and not study.train.save_every:
        raise ValueError(
            "apply.epochs has no effect without train.save_every: say after which epochs to keep a network"
        )
    if not study.input.data:
        dead = {"apply.blind": apply.blind, "apply.template.unblind": apply.template and apply.template.unblind}
        for key, value in dead.items():
            if value:
                raise ValueError(f"{key} has no effect without data: name samples in input.data, or leave it out")
    if apply.blind and apply.template and apply.template.unblind:
        raise ValueError("apply.template.unblind fits the data that apply.blind hides: keep one of the two")
    if apply.scores:
        _known("apply.scores.samples", apply.scores.samples, [*samples, *study.input.data])
    if apply.template:
        _known("apply.template.uncertainties", apply.template.uncertainties, samples)
    for key, section, names in (("cuts", apply.cuts, "variables"), ("decorrelation", apply.decorrelation, "spectators"),
                                ("fit_inputs", apply.fit_inputs, "branches")):  # fmt: skip
        if section:
            _known(f"apply.{key}.{names}", getattr(section, names), _columns(study.input))
    if apply.decorrelation and not (apply.decorrelation.spectators or study.input.spectators):
        raise ValueError("apply.decorrelation looks at spectators, and input.spectators names none: add a mass there")
    if apply.export:
        _require_exportable(study)


def _columns(inputs) -> list[str]:
    values = [name for sample in (*inputs.signals.values(), *inputs.backgrounds.values()) for name in sample.values]
    return [*inputs.features, *inputs.spectators, *inputs.derived, *inputs.split.keys, *values]


def _known(key: str, names, known: list[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{key}: there is no {name!r};{near(name, known)} there is {listed(known)}")


def _require_exportable(study) -> None:
    network, export = study.train.network, study.apply.export
    if study.train.loss == "mse":
        raise ValueError("apply.export writes networks that give probabilities, and train.loss: mse makes none")
    wanted = {name for name in ("onnx", "cpp", "lwtnn") if getattr(export, name)}
    can = EXPORTABLE.get(network, wanted)
    if missing := sorted(wanted - can):
        instead = (
            f"it can be {listed(sorted(can))}" if can else "boosted trees leave the run folder as models/*/*.joblib"
        )
        raise ValueError(f"apply.export.{missing[0]}: {network} is not written so; {instead}. Leave {missing[0]} out")
    if export.lwtnn:
        constituents = study.input.constituents
        if study.input.scale == "none" or (constituents and constituents.momenta == "flow"):
            raise ValueError("apply.export.lwtnn: lwtnn scales its inputs: set input.scale, or leave lwtnn out")
        if study.train.options.get("pooling", "sum") != "sum":
            raise ValueError("apply.export.lwtnn: lwtnn has no pooling but the sum: set pooling: sum, or leave it out")
