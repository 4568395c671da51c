"""The section `train`: network, optimiser, folds."""

from typing import Any, Literal

from pydantic import Field

from coursekit.study.settings.base import Section


class Optimiser(Section):
    """How a step is made of a gradient."""

    name: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: float = Field(1e-3, gt=0)
    momentum: float = Field(0.0, ge=0, lt=1)
    nesterov: bool = False
    decay: float = Field(0.0, ge=0)
    """The learning rate after n steps is that of the start over (1 + decay n)."""
    weight_decay: float = Field(0.0, ge=0)


class EarlyStopping(Section):
    """When a training ends before its last epoch."""

    monitor: Literal["loss", "accuracy", "auc"] = "loss"
    """Of the validation events."""
    mode: Literal["auto", "min", "max"] = "auto"
    min_delta: float = Field(0.0, ge=0)
    patience: int = Field(5, ge=0)
    restore_best: bool = True


class Train(Section):
    """How the network is trained."""

    network: str = "dense"
    """``dense``, ``cnn``, ``deep_sets``, ``energy_flow``, ``boosted_trees``, or an own one as ``module:function``."""
    options: dict[str, Any] = {}
    """Arguments of its builder, such as ``hidden`` and ``dropout`` of ``dense``."""
    task: Literal["classification", "regression", "cwola"] = "classification"
    loss: str | None = None
    optimiser: Optimiser = Optimiser()
    batch_size: int = Field(256, ge=1)
    epochs: int = Field(10, ge=1)
    class_weights: dict[str, float] = {}
    early_stopping: EarlyStopping | None = None
    folds: int | None = Field(None, ge=3)
    """k folds: each in turn tests, the next one validates, the others train; every event gets an out-of-fold score."""
    repeats: int = Field(1, ge=1)
    """Trainings that differ in their random start, with the seeds `job.seed`, `job.seed` + 1 ..."""
    save_every: int | None = Field(None, ge=1)
    """Epochs after which the network is kept, to be looked at in `apply`."""
