"""Shared by the tests of the package."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: The folders of all lessons.
LESSONS = sorted((ROOT / "lessons").glob("[0-9][0-9]_*/"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The clone of the course."""
    return ROOT
