"""The section `train`: network, optimiser, folds."""

from typing import Any, Literal

from pydantic import Field, model_validator

from coursekit.study.networks import require_options
from coursekit.study.settings.base import Section

#: The losses that each task can learn by; the first is that of a file which names none.
LOSSES = {
    "classification": ("cross_entropy", "mse"),
    "cwola": ("cross_entropy",),
    "regression": ("mse", "mae", "huber"),
}
#: What boosted trees have no use for.
_OF_NETWORKS = ("optimiser", "batch_size", "epochs", "early_stopping", "save_every", "keep")


class Optimiser(Section):
    """How a step is made of a gradient."""

    name: Literal["sgd", "adam", "adamw"] = "adam"
    """``sgd``, ``adam``, or ``adamw``, which also draws the parameters to zero."""
    learning_rate: float = Field(1e-3, gt=0)
    """Its largest value."""
    schedule: Literal["constant", "one-cycle", "cosine"] = "constant"
    """How the learning rate changes: not at all; up from 1/25 during a quarter of the steps and down to zero along a
    half cosine; or down along a half cosine from the start."""
    decay: float = Field(0.0, ge=0)
    """The learning rate after n steps is that of the start over (1 + decay n)."""
    momentum: float = Field(0.0, ge=0, lt=1)
    """Of ``sgd``: the share of a step that goes on in the next one."""
    nesterov: bool = False
    """Take the gradient where the momentum leads."""
    weight_decay: float = Field(0.0, ge=0)
    """Of ``adamw``: by how much a step draws the parameters to zero, relative to the learning rate."""

    @model_validator(mode="after")
    def _no_dead_keys(self):
        if self.momentum and self.name != "sgd":
            raise ValueError(f"momentum belongs to name: sgd, and {self.name} has its own: leave it out")
        if self.nesterov and not self.momentum:
            raise ValueError(
                "nesterov looks ahead by the momentum, and there is none: say momentum: 0.9, or leave it out"
            )
        if self.weight_decay and self.name != "adamw":
            raise ValueError(f"weight_decay belongs to name: adamw, and {self.name} does not read it: say adamw")
        if self.decay and self.schedule != "constant":
            raise ValueError(f"decay and schedule: {self.schedule} both say how the learning rate falls: keep one")
        return self


class EarlyStopping(Section):
    """When a training ends before its last epoch."""

    monitor: Literal["loss", "accuracy", "auc"] = "loss"
    """Of the validation events."""
    mode: Literal["auto", "min", "max"] = "auto"
    """Whether smaller or larger is better; ``auto``: a loss shall be small, accuracy and AUC large."""
    min_delta: float = Field(0.0, ge=0)
    """A smaller change is no improvement."""
    patience: int = Field(5, ge=0)
    """Epochs without improvement after which it ends."""


class Train(Section):
    """How the network is trained."""

    network: str = "dense"
    """``dense``, ``cnn``, ``deep_sets``, ``energy_flow``, ``boosted_trees``, or an own one, ``module:function``, which
    is called with the number of inputs (of pictures: their shape), the number of outputs, and `options`."""
    options: dict[str, Any] = {}
    """Arguments of its builder, such as ``hidden`` and ``dropout`` of ``dense``."""
    task: Literal["classification", "regression", "cwola"] = "classification"
    """What is learned: classes, the number in `input.target`, or which of two mixtures an event is from."""
    loss: Literal["cross_entropy", "mse", "mae", "huber"] | None = None
    """By default ``cross_entropy``, for a regression ``mse``. An own network may learn two classes by ``mse``, too: its
    scores are then what it says, and no probabilities."""
    optimiser: Optimiser = Optimiser()
    batch_size: int = Field(256, ge=1)
    """Events of a step."""
    epochs: int = Field(10, ge=1)
    """Times that each training event is seen, at most."""
    keep: Literal["best", "last"] = "best"
    """Which epoch's parameters are kept: the best by what `early_stopping` monitors, without it by the validation loss;
    or the last."""
    class_weights: dict[str, float] = {}
    """Factors on the training weights of classes."""
    early_stopping: EarlyStopping | None = None
    folds: int | None = Field(None, ge=3)
    """k folds: each in turn tests, the next one validates, the others train; every event gets an out-of-fold score."""
    repeats: int = Field(1, ge=1)
    """Trainings that differ in their random start, with the seeds `job.seed`, `job.seed` + 1 ..."""
    save_every: int | None = Field(None, ge=1)
    """Epochs after which the network is kept, to be looked at in `apply`."""

    @property
    def loss_name(self) -> str:
        """The loss, said or by default."""
        return self.loss or LOSSES[self.task][0]

    @model_validator(mode="after")
    def _no_dead_keys(self):
        require_options(self.network, self.options)
        if self.loss and self.loss not in LOSSES[self.task]:
            raise ValueError(f"loss: {self.loss} is none for task: {self.task}: take {' or '.join(LOSSES[self.task])}")
        if self.task == "classification" and self.loss == "mse" and ":" not in self.network:
            raise ValueError(
                f"loss: mse teaches classes to an own network, module:function; {self.network} gives probabilities, "
                "which learn by cross_entropy: leave it out"
            )
        if self.task == "regression" and self.early_stopping and self.early_stopping.monitor != "loss":
            raise ValueError(f"a regression has no {self.early_stopping.monitor} to stop by: say monitor: loss")
        if self.task == "regression" and self.class_weights:
            raise ValueError("a regression has no classes: leave out class_weights")
        if self.network == "boosted_trees":
            fields = type(self).model_fields
            dead = [key for key in _OF_NETWORKS if getattr(self, key) != fields[key].default]
            if dead:
                raise ValueError(
                    f"{', '.join(dead)}: boosted trees have none of it; how many trees there are at most is said by "
                    "options: {max_iter: 120}, and the validation loss says how many are kept"
                )
            if self.task == "regression" and self.loss_name == "huber":
                raise ValueError("boosted trees know no huber loss: take mse or mae")
        return self
