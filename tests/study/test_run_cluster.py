"""A study on a cluster of two nodes, one of which is lost in the middle."""

import h5py
import numpy as np

from coursekit.study.folder import RunFolder
from coursekit.study.run import resolve, run_study


def test_a_node_is_lost_and_the_study_ends_as_in_one_process(tiny, two_nodes, monkeypatch):
    nodes, second = two_nodes
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
