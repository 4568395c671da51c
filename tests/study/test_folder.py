"""Run folders: numbers, records, and what is said of runs that ended in any way."""

import dataclasses
import datetime
import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest

from coursekit.study.folder import RunFolder, runs
from coursekit.study.outcome import Trained, Training
from coursekit.study.reading import read_study
from coursekit.study.record import git_state, origin_differences

TRAINED = Trained(
    Training(1, 0, {"loss": [0.5, 0.25], "val_loss": [0.6, 0.5]}, 2),
    np.array([[0.1], [0.9]], np.float32),
    {"network.keras": b"\0network", "history.json": b"{}"},
)


@pytest.fixture
def run(tiny):
    return RunFolder.create(read_study(tiny()))


def test_numbers_go_on_and_no_two_runs_share_one(tiny):
    resolved = read_study(tiny())
    day = datetime.date.today().isoformat()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: RunFolder.create(resolved), range(12)))
    assert sorted(run.path.name for run in made) == [f"{day}_v{n:02d}" for n in range(1, 13)]
    assert [run.path.name for run in runs("runs")] == [f"{day}_v{n:02d}" for n in range(1, 13)]
    made[11].path.rename(made[11].path.with_name(f"{day}_v120"))
    assert RunFolder.create(resolved, debug=True).path.name == f"{day}_v121_debug"
    assert [run.path.name for run in runs("runs/tiny")][-2:] == [f"{day}_v120", f"{day}_v121_debug"]


def test_what_a_run_records(run, tmp_path):
    facts = run.facts()
    assert facts["study"] == str(tmp_path / "tiny.yaml")
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["python"] == sys.version.split()[0]
    entries = {entry["file"].rpartition("/")[2]: entry for entry in facts["inputs"]}
    assert list(entries) == ["higgs.feather", "zjets.feather"]
    for name, entry in entries.items():
        content = (tmp_path / name).read_bytes()
        assert entry["bytes"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert read_study(run.path / "study.yaml").values == read_study(tmp_path / "tiny.yaml").values


def git(folder, *words):
    subprocess.run(["git", "-C", folder, "-c", "user.name=t", "-c", "user.email=t@t.t", *words], check=True)


def test_the_state_of_the_repository(tmp_path):
    assert git_state(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert git_state(tmp_path) is None, "no commit yet"
    (tmp_path / "a.yaml").write_text("1", encoding="utf-8")
    git(tmp_path, "add", "a.yaml")
    git(tmp_path, "commit", "-qm", "first")
    clean = git_state(tmp_path)
    assert len(clean["commit"]) == 40
    assert not clean["dirty"]
    (tmp_path / "a.yaml").write_text("2", encoding="utf-8")
    dirty = git_state(tmp_path)
    assert dirty == {"commit": clean["commit"], "dirty": True}
    said = origin_differences({"git": clean}, {"git": dirty})
    assert said == [f"git: {clean['commit'][:12]} -> {clean['commit'][:12]} with changes"]


def test_how_runs_end(run):
    assert run.status() == "killed", "begun, and nobody works in it"
    with run.working():
        assert run.status() == "running"
        with pytest.raises(BlockingIOError, match=r"_v01 is in use by a process that runs: wait"), run.working():
            pass
    assert run.status() == "finished"
    with pytest.raises(ValueError, match="wrong"), run.working():
        raise ValueError("wrong")
    assert (run.status(), run.facts()["reason"]) == ("failed", "wrong")
    with pytest.raises(KeyboardInterrupt), run.working():
        raise KeyboardInterrupt
    assert run.status() == "interrupted"
    run.note(status="running")
    assert run.status() == "killed"


def test_a_training_is_kept_whole(run):
    run.keep_training(TRAINED)
    assert [path.name for path in run.models.iterdir()] == ["seed1_fold0"]
    back = run.training(1, 0)
    assert back.training == TRAINED.training
    assert back.files == TRAINED.files
    np.testing.assert_array_equal(back.scores, TRAINED.scores)
    assert back.scores.dtype == np.float32
    assert run.training(2, None) is None
    (run.models / ".seed3.part").mkdir()
    with run.working():
        assert not (run.models / ".seed3.part").exists(), "what a killed process has left is gone"


@pytest.mark.parametrize("name", ["training.json", "scores.npy"])
def test_a_damaged_training_is_refused(run, name):
    run.keep_training(TRAINED)
    path = run.models / "seed1_fold0" / name
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ValueError, match=r"seed1_fold0 is damaged .*delete this folder, and --resume computes it"):
        run.training(1, 0)


def test_results_are_json_whatever_they_are_made_of(run):
    run.keep_results("train", {"auc": np.float32(0.5), "n": np.int64(3), "edges": np.array([0.0, np.nan])})
    run.keep_results("apply", {"pair": TRAINED.training, 1: (True, None)})
    assert run.results()["train"] == {"auc": 0.5, "n": 3, "edges": [0.0, None]}
    assert run.results()["apply"]["1"] == [True, None]
    (run.path / "results.json").write_text("[1", encoding="utf-8")
    with pytest.raises(ValueError, match=r"results.json is damaged .*start a new run"):
        run.results()


def test_what_is_no_run(run, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"runs/tiny is no run folder.*did you mean one of .*_v01"):
        RunFolder.open(run.path.parent)
    with pytest.raises(FileNotFoundError, match=r"is no run folder, which holds a file study\.yaml$"):
        RunFolder.open(tmp_path / "nowhere")
    (run.path / "run.json").unlink()
    assert (run.status(), run.facts()) == ("killed", {})


def test_a_missing_file_leaves_no_folder(tiny, tmp_path):
    (tmp_path / "higgs.feather").unlink()
    with pytest.raises(FileNotFoundError, match=r"higgs.feather"):
        RunFolder.create(read_study(tiny()))
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_cannot_be_made(tiny, tmp_path):
    (tmp_path / "runs").write_text("a file", encoding="utf-8")
    with pytest.raises(OSError, match=r"runs.tiny cannot be written .*choose another folder"):
        RunFolder.create(read_study(tiny()))


def test_json_is_what_other_programs_read(run):
    assert json.loads((run.path / "run.json").read_text(encoding="utf-8"))["status"] == "begun"


def test_scores_of_data_that_are_blinded_are_not_in_the_predictions(run, toy, toy_dataset, toy_outcome):
    study = toy(apply={"blind": [0.5, 1.0]})
    run.keep_predictions(dataclasses.replace(toy_dataset, study=study), toy_outcome, ())
    with h5py.File(run.path / "predictions.h5") as file:
        kept = file["scores"][..., 0]
    scores, data = toy_outcome.scores[..., 0], toy_dataset.labels < 0
    hidden = data & ((scores >= 0.5).any(axis=0) | (scores.mean(axis=0) >= 0.5))
    assert 0 < hidden.sum() < data.sum()
    assert np.isnan(kept[:, hidden]).all()
    assert (kept[:, ~hidden] == scores[:, ~hidden]).all()
