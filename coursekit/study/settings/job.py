"""The sections `config` and `job`: what a file is made of, and what is done with it."""

from typing import Literal

from pydantic import Field

from coursekit.study.settings.base import Section


class Config(Section):
    """Where the rest of the study comes from."""

    include: tuple[str, ...] = ()
    """Other study files, relative to this one; a later one overwrites an earlier, this file all of them."""
    best_of: str | None = None
    """Run folder of a search: its best trial overwrites what it searched."""


class Job(Section):
    """What is done."""

    name: str = Field(pattern=r"^[\w.+-]+$")
    """Of the study; its runs lie in ``folder/name/DATE_vNN``."""
    steps: tuple[Literal["train", "tune", "apply"], ...] = ("train", "apply")
    """In this order: ``[tune, train, apply]`` trains with the best trial of the search."""
    seed: int = Field(1, ge=0)
    """Decides everything random; the same seed gives the same numbers."""
    folder: str = "runs"
    """Where the run folders lie, relative to where the command is given."""
    trained: str | None = None
    """Run folder of a training, for a study that only applies it."""
    ray: str | None = None
    """``auto``, ``local`` or the address of a cluster: folds, seeds and trials are computed there."""
