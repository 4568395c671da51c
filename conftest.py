"""For all tests, the notebooks included: a share of threads for each worker, and values with errors in nbval."""

import os
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from nbval.plugin import IPyNbCell, IPyNbFile
from xdist.scheduler import LoadScopeScheduling

from coursekit.metrics import auc
from coursekit.reproducing import joined, reproduced
from coursekit.threads import share

# Two workers with two threads each on two cores spend most of their time waiting for each other. Only a worker sets
# this: it would inherit what the process sets that starts it.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):
    os.environ |= share(workers)

collect_ignore = [] if find_spec("sofie") else ["coursekit/export/cpp.py"]  # whose example needs it; it is for Linux

os.environ.pop("COURSEKIT_DATA", None)  # the tests are about the shipped samples, whatever somebody simulated
os.environ["COURSEKIT_PROGRESS"] = "off"  # and the solutions side by side about one lesson each


class ByLesson(LoadScopeScheduling):
    """Files, notebooks, the exercises of a lesson and all about the web book stay together, executions go anywhere."""

    def _split_scope(self, nodeid):
        path = nodeid.split("::")[0]
        if path.startswith("tests/book/"):  # it is built once a process
            return "tests/book"
        if path.endswith("test_lessons.py"):
            return nodeid
        lesson = re.search(r"test_exercises.*\[0?(\d+)[._]", nodeid)
        return f"{path} {lesson[1]}" if lesson else path


def pytest_xdist_make_scheduler(config, log):
    """Take our own way to distribute the tests."""
    return ByLesson(config, log)


#: Tests that wait for Ray and pip more than they compute: others compute meanwhile, if they begin early.
WAITING = ("test_tune.py", "test_tuned.py", "test_run_cluster.py", "test_setup_cell.py")


def pytest_collection_modifyitems(items):
    """Begin with what takes minutes, so that no worker is alone with it in the end."""
    items.sort(
        key=lambda item: (
            item.path.name not in WAITING,
            not item.get_closest_marker("lessons"),
            not isinstance(item, IPyNbCell | Scores),
        )
    )


class Scores(pytest.Item):
    """The scores that a solution has just recorded are those that the course ships, as far as rounding goes."""

    def runtest(self):
        """Compare the taggers, the labels and the areas under the curves."""
        name = f"{self.path.stem[:2]}.npz"
        shipped = Path(__file__).parent / "data" / "ledger" / name
        with np.load(shipped) as committed, np.load(self.path.parent / "work" / "ledger" / name) as fresh:
            assert committed["taggers"].tolist() == fresh["taggers"].tolist()
            np.testing.assert_array_equal(committed["labels"], fresh["labels"])
            for scores in zip(committed["scores"], fresh["scores"], strict=True):
                first, second = (auc(fresh["labels"], score).value for score in scores)
                assert abs(first - second) < 0.005


collect = IPyNbFile.collect


def collect_scores(file):
    """As nbval does, and a look at the ledger when the notebook is done."""
    yield from collect(file)
    if (Path(__file__).parent / "data" / "ledger" / f"{file.path.stem[:2]}.npz").is_file():
        yield Scores.from_parent(file, name="recorded scores")


compare_outputs = IPyNbCell.compare_outputs


def compare(cell, test, ref, skip_compare=None):
    """As nbval does, but a value with an error or a spread may differ by that."""
    return compare_outputs(cell, reproduced(ref, joined(test)), ref, skip_compare)


IPyNbFile.collect = collect_scores
IPyNbCell.compare_outputs = compare
