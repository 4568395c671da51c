"""Exercises that know their usual mistakes: what a lesson's ``exercises.py`` is written with."""

from coursekit.checks.compare import call, describe, fail
from coursekit.checks.exercise import exercise

__all__ = ["call", "describe", "exercise", "fail"]
