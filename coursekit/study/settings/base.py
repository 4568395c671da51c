"""What all sections of a study share."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of a study file: typed, complete with its defaults, and without keys that nobody reads."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)
