"""Shared by all tests: the roots, and a share of threads for each worker."""

import os
from pathlib import Path

import pytest

# Two workers with two threads each on two cores spin for a core; each gets its share before any library starts.
workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, str(max(1, (os.cpu_count() or 1) // workers)))

os.environ.pop("COURSEKIT_DATA", None)  # the tests are about the shipped samples, whatever somebody simulated

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The clone of the course."""
    return ROOT
