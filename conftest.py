"""For all tests, the notebooks included: a share of threads for each worker, and values with errors in nbval."""

import os

import pytest
from nbval.plugin import IPyNbCell

from coursekit.building import THREADS, joined, reproduced

# Two workers with two threads each on two cores spend most of their time waiting for each other. Only a worker sets
# this: it would inherit what the process sets that starts it.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):
    for name in THREADS:
        os.environ.setdefault(name, str(max(1, (os.cpu_count() or 1) // workers)))

os.environ.pop("COURSEKIT_DATA", None)  # the tests are about the shipped samples, whatever somebody simulated


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Begin with what takes minutes: each execution of a lesson by itself, then notebooks and files as a whole."""
    for item in items:
        if not item.get_closest_marker("lessons"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=lambda item: (not item.get_closest_marker("lessons"), not isinstance(item, IPyNbCell)))


compare_outputs = IPyNbCell.compare_outputs


def compare(cell, test, ref, skip_compare=None):
    """As nbval does, but a value with an error may differ by that error."""
    return compare_outputs(cell, reproduced(ref, joined(test)), ref, skip_compare)


IPyNbCell.compare_outputs = compare
