"""For all tests, the notebooks included: a share of threads for each worker, and values with errors in nbval."""

import os

from nbval.plugin import IPyNbCell

from coursekit.building import THREADS, joined, reproduced

# Two workers with two threads each on two cores spin for a core; each gets its share before any library starts.
workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
threads = str(max(1, (os.cpu_count() or 1) // workers))
for name in THREADS:
    os.environ.setdefault(name, threads)

os.environ.pop("COURSEKIT_DATA", None)  # the tests are about the shipped samples, whatever somebody simulated

compare_outputs = IPyNbCell.compare_outputs


def compare(cell, test, ref, skip_compare=None):
    """As nbval does, but a value with an error may differ by that error."""
    return compare_outputs(cell, reproduced(ref, joined(test)), ref, skip_compare)


IPyNbCell.compare_outputs = compare
