"""Studies run, are killed, go on, and give the same; what they cannot do they say."""

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from coursekit import files
from coursekit.study import run as running
from coursekit.study.folder import RunFolder, runs
from coursekit.study.run import resolve, run_study

#: Kills its own process when so many trainings have been kept.
KILLED = """
import os, signal, sys
from coursekit.study import folder, run

keep = folder.RunFolder.keep_training

def keep_and_die(self, trained):
    keep(self, trained)
    if len(list(self.models.glob("seed*"))) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

folder.RunFolder.keep_training = keep_and_die
run.run_study(run.resolve(sys.argv[1]))
"""


def scores(folder):
    with h5py.File(folder.path / "predictions.h5") as file:
        return file["scores"][:]


def test_killed_and_resumed_is_as_without_interruption(tiny):
    study = tiny()
    done = subprocess.run([sys.executable, "-c", KILLED, study], capture_output=True, encoding="utf-8")
    assert done.returncode == -signal.SIGKILL, done.stderr
    [killed] = runs("runs")
    assert killed.status() == "killed"
    assert not (killed.path / "results.json").exists()
    kept = {path.name: (path / "training.json").stat().st_mtime_ns for path in killed.models.iterdir()}
    assert len(kept) == 2

    told = []
    resumed = run_study(resolve(study), resume=True, progress=lambda *numbers: told.append(numbers))
    assert resumed.path == killed.path
    assert resumed.status() == "finished"
    assert told[0] == ("trainings", 2, 6)
    assert told[-1] == ("trainings", 6, 6)
    assert all((resumed.models / name / "training.json").stat().st_mtime_ns == time for name, time in kept.items())

    whole = run_study(resolve(study))
    assert whole.path != resumed.path
    assert whole.results() == resumed.results()
    np.testing.assert_array_equal(scores(whole), scores(resumed))
    assert run_study(resolve(study), resume=True).path == whole.path, "nothing is left to do"
    assert len(runs("runs")) == 2


def test_the_record_of_a_run(tiny):
    run = run_study(resolve(tiny()))
    log = run.log.read_text(encoding="utf-8")
    for line in (
        "train.folds: 3  (",
        "higgs: read: 300 events, sum of weights 300",
        "mass: mean ",
        "seed2_fold2: ",
        "train took ",
        "finished",
    ):
        assert line in log
    view = running.load_dataset(resolve(tiny()).study).view(0)
    n_signal = int((view.dataset.labels[view.training] == 1).sum())
    assert f"training: {n_signal} events of signal, sum of weights {n_signal}, in the training {n_signal}" in log
    assert f"mass: mean {-view.scaler.offset[0]:.6g}, variance {view.scaler.scale[0] ** -2:.6g}" in log
    facts = run.facts()
    assert [row["step"] for row in facts["steps"]] == ["load", "train"]
    assert all(row["seconds"] >= 0 and row["peak_mib"] > 10 for row in facts["steps"])
    results = run.results()["train"]
    assert len(results["trainings"]) == 6
    assert results["mean"] == pytest.approx(np.mean([row["auc"]["value"] for row in results["trainings"]]))
    with h5py.File(run.path / "predictions.h5") as file:
        assert file["scores"].shape == (2, 600, 1)
        assert file["seen"].shape == (2, 600, 1)
        assert file["keys/event"][:].tolist() == [*range(300)] * 2
        assert file["labels"][:].tolist() == [1] * 300 + [0] * 300


def test_what_resume_refuses(tiny, monkeypatch):
    study = tiny()
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "keep_training", interrupt_at(2))
        with pytest.raises(KeyboardInterrupt):
            run_study(resolve(study))
    [run] = runs("runs")
    assert run.status() == "interrupted"
    assert len(list(run.models.iterdir())) == 1, "nothing half-written is there"
    with pytest.raises(
        ValueError, match=r"_v01 is not finished, and the study has changed .*train.repeats: 2 -> 3; .*--resume"
    ):
        run_study(
            resolve(tiny(train={"network": "boosted_trees", "options": {"max_iter": 5}, "folds": 3, "repeats": 3})),
            resume=True,
        )
    with run.working():
        assert run.status() == "running"
        with pytest.raises(BlockingIOError, match=r"_v01 is in use by a process that runs"):
            run_study(resolve(tiny()), resume=True)
    run.note(status="interrupted")
    table = pd.read_feather("higgs.feather")
    table.assign(mass=table["mass"] + 1).to_feather("higgs.feather")
    with pytest.raises(ValueError, match=r"its data have changed since: .*higgs.feather: \w{12} -> \w{12}"):
        run_study(resolve(tiny()), resume=True)
    assert len(runs("runs")) == 1


def interrupt_at(number):
    keep, calls = RunFolder.keep_training, []

    def keep_or_not(self, trained):
        calls.append(trained)
        if len(calls) == number:
            raise KeyboardInterrupt
        keep(self, trained)

    return keep_or_not


def test_a_failure_says_why_and_nothing_half_written_is_there(tiny, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match=r"No space left .*seed1_fold0.scores.npy was written.*Make room"):
        run_study(resolve(tiny()))
    [run] = runs("runs")
    assert run.status() == "failed"
    assert "No space left" in run.facts()["reason"]
    assert not list(run.models.glob("seed*"))
    assert "ended by DiskFull: " in run.log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "n_kept"), [("study.yaml", None), ("history.json", 0), ("predictions.h5", 6), (".png", 6), (".root", 6)]
)
def test_a_disk_that_is_full_at_any_file_costs_no_training(tiny, monkeypatch, name, n_kept):
    others = ("histories", "kinematics", "correlations", "train_test", "importance", "scores", "significance")
    apply = dict.fromkeys(others) | {"performance": {"confusion": False}, "fit_inputs": {}}
    study, store = tiny(job={"steps": ["train", "apply"]}, apply=apply), files._store

    def no_room(partial, room):
        if partial.name.endswith(name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        store(partial, room)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_store", no_room)
        with pytest.raises(
            OSError, match=rf"No space left on device while \S*{re.escape(name)} was written.*Make room"
        ):
            run_study(resolve(study))
    if n_kept is None:
        assert not list(Path("runs/tiny").iterdir()), "a run that could not begin"
        return
    [run] = runs("runs")
    assert run.status() == "failed"
    assert len(list(run.models.glob("seed*"))) == n_kept
    assert not list(run.path.rglob(f"*{name}"))
    if name == ".root":
        assert run_study(resolve(study), resume=True).path == run.path
        assert run.status() == "finished"
        assert len(list(run.path.rglob("*.root"))) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_log_that_cannot_be_written_ends_the_run(tiny, monkeypatch):
    monkeypatch.setattr(RunFolder, "log", Path("/dev/full"))
    with pytest.raises(OSError, match="No space left on device while /dev/full was written"):
        run_study(resolve(tiny()))
    [run] = runs("runs")
    assert run.status() == "failed"


def test_settings_of_the_command_line(tiny):
    resolved = resolve(tiny(), ["train.repeats=1", "train.options={max_iter: 3}"])
    assert resolved.study.train.repeats == 1
    assert resolved.study.train.options == {"max_iter": 3}
    assert resolved.origins["train.repeats"] == "command line"
    for text, message in (
        ("train.repeats", "--set train.repeats: expected KEY=VALUE"),
        ("train.repeat=1", "command line: train.repeat: no such key; did you mean 'repeats'"),
        ("train.repeats=[", "--set train.repeats.*no well-formed YAML"),
        ("train.repeats=1e-5", "command line: train.repeats: expected a whole number"),
    ):
        with pytest.raises(ValueError, match=message):
            resolve(tiny(), [text])


def test_trained_elsewhere(tiny, monkeypatch):
    first = run_study(resolve(tiny()))
    seen = []
    monkeypatch.setattr("coursekit.study.report.make.make_report", lambda *given: seen.append(given[2]) or {})
    job = {"name": "applied", "steps": ["apply"], "trained": str(first.path)}
    second = run_study(resolve(tiny(job=job)))
    np.testing.assert_array_equal(seen[0].scores, scores(first))
    assert {path.name for path in second.models.iterdir()} == {path.name for path in first.models.iterdir()}
    assert "take over 6 trainings" in second.log.read_text(encoding="utf-8")


def test_a_trial_run_is_marked_and_small(tiny):
    study = tiny()
    resolved = resolve(study, debug=True)
    run = run_study(resolved, debug=True)
    assert run.path.name.endswith("_v01_debug")
    assert run_study(resolve(study)).path.name.endswith("_v02")
