"""The sections `config` and `job`: what a file is made of, and what is done with it."""

from typing import Literal

from pydantic import Field, model_validator

from coursekit.study.settings.base import Section

#: What makes sense, in its order: an application needs a training, and a search comes before the training it is for.
STEPS = ("tune", "train", "apply")


class Config(Section):
    """Where the rest of the study comes from."""

    include: tuple[str, ...] = ()
    """Other study files, relative to this one; a later one overwrites an earlier, this file all of them."""
    best_of: str | None = Field(None, min_length=1)
    """Run folder of a search, relative to where the command is given: its best trial overwrites what it searched."""


class Job(Section):
    """What is done."""

    name: str = Field(pattern=r"^\w[\w.+-]*$", max_length=100)
    """Of the study: letters, digits, ``_ . + -``. Its runs lie in ``folder/name/DATE_vNN``."""
    steps: tuple[Literal["train", "tune", "apply"], ...] = Field(("train", "apply"), min_length=1)
    """In this order: ``[tune, train, apply]`` trains with the best trial of the search."""
    seed: int = Field(1, ge=0, lt=2**32)
    """Decides everything random; the same seed gives the same numbers."""
    folder: str = Field("runs", min_length=1)
    """Where the run folders lie, relative to where the command is given."""
    trained: str | None = Field(None, min_length=1)
    """Run folder of a training, relative to where the command is given, for a study that only applies it, to the
    same events or to others."""
    ray: str | None = Field(None, pattern=r"^(auto|local|(ray://)?[\w.-]+:\d+)$")
    """``auto``, ``local`` or the address of a cluster, ``HOST:PORT``: folds, seeds, trials, importance and
    networks of kept epochs are computed there. The results are the same: each has one thread there and here, or as many
    as the environment's ``OMP_NUM_THREADS`` says."""

    @model_validator(mode="after")
    def _steps_make_sense(self):
        order = [STEPS.index(step) for step in self.steps]
        if order != sorted(set(order)):
            usual = ", ".join(step for step in STEPS if step in self.steps)
            raise ValueError(f"steps are each taken once, in the order [{usual}], but [{', '.join(self.steps)}] came")
        if self.steps == ("tune", "apply"):
            raise ValueError("steps: [tune, apply] trains nothing that could be applied: write [tune, train, apply]")
        if self.steps == ("apply",) and self.trained is None:
            raise ValueError("steps: [apply] needs a training: name its run folder in job.trained, or add train")
        if self.trained is not None and self.steps != ("apply",):
            raise ValueError("trained has no effect where something is trained: leave it out, or say steps: [apply]")
        return self
