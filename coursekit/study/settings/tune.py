"""The section `tune`: a search for the best settings, with Ray Tune."""

import itertools
import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from coursekit.study.settings.base import Section
from coursekit.words import listed, near

#: Named as in Ray Tune.
KINDS = ("uniform", "loguniform", "quniform", "qloguniform", "randint", "choice")
#: What no search may change, and why.
_FIXED = {
    "input.split": "trials are compared on the same events",
    "input.memory": "it changes no result",
    "train.folds": "a trial is one training",
    "train.repeats": "a trial is one training",
}


class Space(Section):
    """The values of one setting: exactly one of these."""

    uniform: tuple[float, float] | None = None
    """From low to high, each as probable."""
    loguniform: tuple[float, float] | None = None
    """From low to high, each order of magnitude as probable."""
    quniform: tuple[float, float, float] | None = None
    """Low, high and a step: low, low + step, ... high."""
    qloguniform: tuple[float, float, float] | None = None
    """Low, high and a step: as `loguniform`, taken to the nearest of low, low + step, ... high."""
    randint: tuple[int, int] | None = None
    """Whole numbers from low to high, high not among them, as in NumPy."""
    choice: tuple[Any, ...] | None = Field(None, min_length=1)
    """One of these, which may be lists."""

    @property
    def kind(self) -> str:
        """Which of them it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def n_steps(self) -> int:
        """Of a quantised space: the number of steps from low to high."""
        low, high, q = getattr(self, self.kind)
        return round((high - low) / q)

    @model_validator(mode="after")
    def _one_that_holds_something(self):
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"a space is exactly one of {listed(KINDS)}, but {listed(given)} came")
        kind, limits = given[0], getattr(self, given[0])
        if kind == "choice":
            if any(first == second for first, second in itertools.combinations(limits, 2)):
                raise ValueError(f"choice says a value twice: {list(limits)}")
            return self
        low, high = limits[:2]
        if not low < high:
            raise ValueError(f"{kind} goes from a low value to a higher one, but {low:g} and {high:g} came")
        if "log" in kind and not low > 0:
            raise ValueError(f"the logarithm of {kind} takes values above 0, but {low:g} came: choose a small one")
        if kind.startswith("q"):
            q = limits[2]
            if not q > 0:
                raise ValueError(f"the step of {kind} must be above 0, but {q:g} came")
            if not math.isclose(self.n_steps * q, high - low, rel_tol=1e-9):
                raise ValueError(
                    f"{kind} leads in steps of {q:g} from {low:g} to {low + max(self.n_steps, 1) * q:g}, not to "
                    f"{high:g}: change high or the step"
                )
        return self

    def decoded(self, drawn: float) -> Any:
        """Return the value of a setting from the number that a searcher draws.

        All searchers draw from intervals and whole numbers alone, of which every library knows what they are.

        Parameters
        ----------
        drawn : float
            Of `choice` the position, of `quniform` the number of steps, of all others the value.

        Examples
        --------
        >>> Space(choice=[[64], [64, 64]]).decoded(1), Space(quniform=(32, 128, 32)).decoded(2)
        ([64, 64], 96)
        >>> Space(qloguniform=(0.1, 1, 0.1)).decoded(0.234)
        0.2
        """
        if self.kind == "choice":
            value = self.choice[int(drawn)]
            return list(value) if isinstance(value, tuple) else value
        if self.kind == "randint":
            return int(drawn)
        if self.kind in ("uniform", "loguniform"):
            return float(drawn)
        low, _, q = getattr(self, self.kind)
        steps = int(drawn) if self.kind == "quniform" else round((drawn - low) / q)
        value = float(f"{low + min(max(steps, 0), self.n_steps) * q:.12g}")  # 0.1 + 2 * 0.1 is 0.3
        return int(value) if low == int(low) and q == int(q) else value

    def samples(self) -> list:
        """Return values that stand for all: the ends, what lies between them, each choice."""
        if self.kind == "choice":
            return [self.decoded(i) for i in range(len(self.choice))]
        if self.kind == "quniform":
            return [self.decoded(k) for k in (0, self.n_steps // 2, self.n_steps)]
        low, high = getattr(self, self.kind)[:2]
        if self.kind == "randint":
            return [low, (low + high - 1) // 2, high - 1]
        return [self.decoded(low + share * (high - low)) for share in (0, 0.381966, 1)]


class Search(Section):
    """What proposes the settings of the next trial."""

    name: str = "random"
    """``random``, ``optuna``, ``hyperopt``, or any other that Ray Tune knows and whose library is installed."""
    options: dict[str, Any] = {}
    """Arguments of its class in Ray Tune; the seed is `job.seed`."""


class Scheduler(Section):
    """What ends trials that look bad beside others."""

    name: str
    """``asha``, ``median_stopping``, ``hyperband``, or any other that Ray Tune knows."""
    options: dict[str, Any] = {}
    """Arguments of its class in Ray Tune, such as ``max_t`` and ``grace_period``, in epochs."""


class Stopper(Section):
    """What ends a trial by its own course."""

    name: Literal["plateau", "max_iterations"]
    """``plateau``: the standard deviation of the metric over some epochs is small; or after so many epochs."""
    options: dict[str, Any] = {}
    """``std``, ``num_results``, ``grace_period``, ``metric_threshold``; or ``max_iter``."""


class Counting(Section):
    """The counting experiment whose expected significance is the metric."""

    luminosity_fb: float | None = Field(None, gt=0)
    """Integrated luminosity in inverse femtobarn; by default that of `apply`."""
    formula: Literal["asimov", "s/sqrt(b)"] = "asimov"
    """Asimov's Z, or the simple ratio."""
    background_uncertainty: float = Field(0.0, ge=0)
    """Relative to the background, for ``asimov``."""
    minimum_events: int = Field(10, ge=1)
    """Simulated events, of signal and of background, that a cut must leave: less are no estimate."""

    @model_validator(mode="after")
    def _no_dead_keys(self):
        if self.background_uncertainty and self.formula != "asimov":
            raise ValueError(f"background_uncertainty belongs to formula: asimov, and {self.formula} has none")
        return self


class Tune(Section):
    """What is searched, how, and for how long."""

    space: dict[str, Space] = Field(min_length=1)
    """From keys such as ``train.optimiser.learning_rate`` to their values."""
    trials: int = Field(20, ge=1)
    """How many settings are tried."""
    metric: Literal["loss", "auc", "rejection", "significance"] = "loss"
    """Of the validation events: small for ``loss``, large for the others. With more than two classes ``auc`` and
    ``rejection`` are those of `apply.discriminant`, of its signal against all others; a regression has ``loss`` alone;
    with ``task: cwola`` they tell the mixtures apart, and there is no ``significance``."""
    signal_efficiency: float = Field(0.5, gt=0, lt=1)
    """At which the rejection is taken."""
    significance: Counting = Counting()
    """How the significance is counted."""
    limit: float | None = None
    """A trial that is worse than this is never the best."""
    search: Search = Search()
    scheduler: Scheduler | None = None
    stopper: Stopper | None = None
    concurrency: int = Field(2, ge=1)
    """Trials at the same time, as far as there are resources. A searcher that learns from trials proposes one when all
    have ended but the last `concurrency` - 1, so that the same seed gives the same trials on any machine."""
    resources: dict[Literal["cpu", "gpu"], float] = {"cpu": 1}
    """Of each trial; so many threads."""

    @property
    def mode(self) -> str:
        """``min`` or ``max``."""
        return "min" if self.metric == "loss" else "max"

    @model_validator(mode="after")
    def _no_dead_keys(self):
        for key, metric in (("signal_efficiency", "rejection"), ("significance", "significance")):
            if key in self.model_fields_set and self.metric != metric:
                raise ValueError(f"{key} belongs to metric: {metric}, and the metric is {self.metric}: leave it out")
        if any(amount <= 0 for amount in self.resources.values()):
            raise ValueError(f"resources must be above 0, but {self.resources} came: leave out what is not needed")
        if "cpu" not in self.resources:
            raise ValueError("resources: say cpu as well, such as {cpu: 1}: it is the number of threads")
        return self


def with_settings(study, settings: Mapping[str, Any]):
    """Return the study with other values of some settings, and without its search, as a trial trains it.

    Parameters
    ----------
    study : Study
    settings : mapping of str to value
        From keys such as ``train.optimiser.learning_rate``.

    Returns
    -------
    Study

    Raises
    ------
    ValueError
        A key does not exist or may not be searched; the values are not valid, alone or together.
    """
    values = study.model_dump(exclude_unset=True) | {"tune": None}
    steps = [step for step in study.job.steps if step not in ("tune", "train")]
    values["job"] |= {"steps": ["train", *steps]}
    for key, value in settings.items():
        _require_key(study, key)
        *path, last = key.split(".")
        place = values
        for part in path:
            place[part] = dict(place.get(part) or {})
            place = place[part]
        place[last] = value
    try:
        return type(study).model_validate(values)
    except ValidationError as error:
        from coursekit.study.complaints import complaints  # which itself knows all settings

        said = ", ".join(f"{key}: {value}" for key, value in settings.items())
        raise ValueError("; ".join(complaints(error, values, {(): f"with {said}"}))) from error


def check_space(study) -> None:
    """Refuse a search of settings that do not exist, of values that they cannot have, or by a metric without meaning.

    Each setting is tried with the ends of its space, what lies between, and each choice, the others with their first.

    Raises
    ------
    ValueError
        It names the key.
    """
    spaces, metric, task = study.tune.space, study.tune.metric, study.train.task
    if (task == "regression" and metric != "loss") or (task == "cwola" and metric == "significance"):
        raise ValueError(f"tune.metric: there is no {metric} of a {task}: say loss")
    dead = [key for key in ("scheduler", "stopper") if getattr(study.tune, key)]
    if dead and study.train.network == "boosted_trees" and "train.network" not in spaces:
        raise ValueError(f"tune.{dead[0]} ends trials after an epoch, and boosted trees have none: leave it out")
    first = {key: space.samples()[0] for key, space in spaces.items()}
    for key, space in spaces.items():
        for value in space.samples():
            try:
                with_settings(study, first | {key: value})
            except ValueError as error:
                raise ValueError(f"tune.space.{key}: {error}") from error


def _require_key(study, key: str) -> None:
    """Walk along a dotted key as far as its sections are known."""
    section = next((fixed for fixed in _FIXED if f"{key}.".startswith(f"{fixed}.")), None)
    if section:
        raise ValueError(f"{section} cannot be searched: {_FIXED[section]}")
    path = key.split(".")
    if path[0] not in ("train", "input") or len(path) < 2:
        raise ValueError(
            f"no setting {key!r} can be searched: a key begins with train. or input., such as "
            "train.optimiser.learning_rate"
        )
    place, seen = study, []
    for part in path:
        known = type(place).model_fields if isinstance(place, Section) else place
        free = seen == ["train", "options"]  # what the builder of a network takes, and its owner checks
        if part not in known and not free:
            raise ValueError(f"{'.'.join(seen)} has no key {part!r};{near(part, known)} there are {listed(known)}")
        seen.append(part)
        if part == path[-1] and len(seen) == len(path):
            return
        place = place.get(part) if isinstance(place, Mapping) else getattr(place, part)
        if not isinstance(place, Section | Mapping):
            held = "is not set" if place is None else f"is {place!r}, which holds no keys"
            raise ValueError(f"{'.'.join(seen)} {held}: {key} cannot be searched")
