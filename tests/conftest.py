"""Shared by the tests of the package."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

from tests import toy

ROOT = Path(__file__).resolve().parent.parent
#: The folders of all lessons.
LESSONS = sorted((ROOT / "lessons").glob("[0-9][0-9]_*/"))

# A failing example is printed with a decorator that repeats it; nothing is stored.
for name, options in {"ci": {"max_examples": 25, "derandomize": True}, "long": {"max_examples": 2000}}.items():
    hypothesis.settings.register_profile(
        name, deadline=None, database=None, print_blob=True, suppress_health_check=hypothesis.HealthCheck, **options
    )


def pytest_configure(config):
    """Try the same few examples of each property in every run, and many new ones with ``-m long``."""
    hypothesis.settings.load_profile("long" if config.option.markexpr == "long" else "ci")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Let properties be chosen by ``-m long``, too."""
    for item in items:
        if config.option.markexpr == "long" and getattr(item.obj, "is_hypothesis_test", False):
            item.add_marker("long")


@pytest.fixture
def no_exercises(monkeypatch):
    """No exercise is registered, none was tried, and the course is not being built."""
    from coursekit.checks import engine, exercise  # here, since most tests check nothing

    monkeypatch.setattr(sys.modules[exercise.__module__], "_exercises", {})
    for name in ("_attempts", "_handed_out", "_judged"):
        monkeypatch.setattr(engine, name, {})
    monkeypatch.delenv("COURSEKIT_BUILD", raising=False)


@pytest.fixture(scope="session")
def root() -> Path:
    """The clone of the course."""
    return ROOT


@pytest.fixture
def start():
    """Start commands, each with a process group of its own, that hear Ctrl-C; leave none of them behind.

    A shell lets its background jobs ignore Ctrl-C, the tests among them, and children inherit that.
    """
    started = []

    def start(*command, **options):
        ours = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            started.append(subprocess.Popen(list(map(str, command)), text=True, start_new_session=True, **options))
        finally:
            signal.signal(signal.SIGINT, ours)
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def clone(tmp_path):
    """A small course with one lesson."""
    folder = tmp_path / "lessons" / "01_toy"
    folder.mkdir(parents=True)
    for name, text in (("lesson.py", toy.TOY), ("exercises.py", toy.EXERCISES), ("figures.toml", toy.FIGURES)):
        (folder / name).write_text(text, encoding="utf-8")
    (tmp_path / "course.toml").write_text(toy.COURSE, encoding="utf-8")
    (tmp_path / "README.md").write_text(toy.README, encoding="utf-8")
    return tmp_path
