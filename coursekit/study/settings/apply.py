"""The section `apply`: figures, tables, fit inputs and exported networks."""

from coursekit.study.settings.base import Section


class Apply(Section):
    """What is made of a trained network."""
