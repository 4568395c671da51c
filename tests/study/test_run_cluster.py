"""A cluster of two nodes, one of which is lost in the middle: of some tasks, and of a study."""

import shutil
import tempfile
import threading
import time

import h5py
import numpy as np
import pytest

from coursekit.cluster import each
from coursekit.study.folder import RunFolder
from coursekit.study.run import resolve, run_study


@pytest.fixture(scope="module")
def nodes():
    """A cluster of one node of one core."""
    from ray.cluster_utils import Cluster

    folder = tempfile.mkdtemp(prefix="ck", dir="/tmp")  # the name of a socket has a hundred characters at most
    nodes = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "temp_dir": folder}
    )
    try:
        yield nodes
    finally:
        nodes.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def second(nodes):
    """Another node of one core, which a test may lose."""
    node = nodes.add_node(num_cpus=1)
    yield node
    if node in nodes.list_all_nodes():
        nodes.remove_node(node, allow_graceful=False)


def begin_and_wait(folder, number):
    """Say where this runs, and go on when the machines have been counted."""
    import ray

    (folder / f"{ray.get_runtime_context().get_node_id()}.{number}").touch()
    while not (folder / "go").exists():
        time.sleep(0.05)
    return number**2


@pytest.mark.long  # a study survives that, too, below
def test_a_machine_is_lost_and_no_result_is(nodes, second, tmp_path):
    lost = second.node_id

    def kill_when_both_have_begun():
        while len({path.suffix for path in tmp_path.iterdir()}) < 2:
            time.sleep(0.05)
        nodes.remove_node(second, allow_graceful=False)
        (tmp_path / "go").touch()

    thread = threading.Thread(target=kill_when_both_have_begun)
    thread.start()
    results = each(begin_and_wait, [(n,) for n in range(5)], nodes.address, (tmp_path,))
    thread.join()
    assert results == [0, 1, 4, 9, 16]
    begun = [path.name for path in tmp_path.iterdir() if path.name != "go"]
    assert any(name.startswith(lost) for name in begun)
    assert sum(not name.startswith(lost) for name in begun) == 5, "the other node has computed what was lost, too"


def test_a_node_is_lost_and_the_study_ends_as_in_one_process(tiny, nodes, second, monkeypatch):
    others = ("histories", "kinematics", "correlations", "performance", "train_test", "scores", "significance")
    apply = dict.fromkeys(others) | {"importance": {"shuffles": 2}}
    study = tiny(job={"steps": ["train", "apply"]}, apply=apply)
    here = run_study(resolve(study))
    keep, kept = RunFolder.keep_training, []

    def keep_and_kill(run, trained):
        keep(run, trained)
        kept.append(trained.training)
        if len(kept) == 1:  # the others are under way or wait
            nodes.remove_node(second, allow_graceful=False)

    monkeypatch.setattr(RunFolder, "keep_training", keep_and_kill)
    there = run_study(resolve(study, [f"job.ray={nodes.address}"]))
    assert there.status() == "finished"
    assert len({(one.seed, one.fold) for one in kept}) == len(kept) == 6
    assert there.results() == here.results()
    assert list(here.results()["apply"]["importance"]) == ["mass", "pt"]
    with h5py.File(here.path / "predictions.h5") as one, h5py.File(there.path / "predictions.h5") as other:
        np.testing.assert_array_equal(one["scores"][:], other["scores"][:])
