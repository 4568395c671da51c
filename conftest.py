"""For all tests, the notebooks included: a share of threads for each worker, and values with errors in nbval."""

import os

from nbval.plugin import IPyNbCell
from xdist.scheduler import LoadScopeScheduling

from coursekit.reproducing import joined, reproduced
from coursekit.threads import share

# Two workers with two threads each on two cores spend most of their time waiting for each other. Only a worker sets
# this: it would inherit what the process sets that starts it.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):
    os.environ |= share(workers)

os.environ.pop("COURSEKIT_DATA", None)  # the tests are about the shipped samples, whatever somebody simulated


class ByLesson(LoadScopeScheduling):
    """Notebooks and files stay together on one worker; each execution of a lesson goes where there is room."""

    def _split_scope(self, nodeid):
        path = nodeid.split("::")[0]
        return nodeid if path.endswith("test_lessons.py") else path


def pytest_xdist_make_scheduler(config, log):
    """Take our own way to distribute the tests."""
    return ByLesson(config, log)


def pytest_collection_modifyitems(items):
    """Begin with what takes minutes, so that no worker is alone with it in the end."""
    items.sort(key=lambda item: (not item.get_closest_marker("lessons"), not isinstance(item, IPyNbCell)))


compare_outputs = IPyNbCell.compare_outputs


def compare(cell, test, ref, skip_compare=None):
    """As nbval does, but a value with an error may differ by that error."""
    return compare_outputs(cell, reproduced(ref, joined(test)), ref, skip_compare)


IPyNbCell.compare_outputs = compare
