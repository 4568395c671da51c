"""The section `tune`: a search for the best settings, with Ray Tune."""

from typing import Any, Literal

from pydantic import Field

from coursekit.study.settings.base import Section


class Space(Section):
    """The values of one setting: exactly one of these."""

    uniform: tuple[float, float] | None = None
    loguniform: tuple[float, float] | None = None
    quniform: tuple[float, float, float] | None = None
    qloguniform: tuple[float, float, float] | None = None
    randint: tuple[int, int] | None = None
    choice: tuple[Any, ...] | None = None


class Named(Section):
    """A class of Ray Tune, by its name, with its arguments."""

    name: str
    options: dict[str, Any] = {}


class Tune(Section):
    """What is searched, how, and for how long."""

    space: dict[str, Space]
    """From keys such as ``train.optimiser.learning_rate`` to their values."""
    trials: int = Field(20, ge=1)
    metric: Literal["loss", "auc", "rejection", "significance"] = "loss"
    """Of the validation events."""
    signal_efficiency: float = Field(0.5, gt=0, lt=1)
    """At which the rejection is taken."""
    limit: float | None = None
    """Trials that are worse count as failed."""
    search: Named = Named(name="random")
    scheduler: Named | None = None
    stopper: Named | None = None
    concurrency: int = Field(2, ge=1)
    resources: dict[Literal["cpu", "gpu"], float] = {"cpu": 1}
