"""Searches: spaces, metrics, names, what is recorded, and what is left after kill -9."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from coursekit.cluster import connected
from coursekit.study.settings.tune import with_settings
from coursekit.study.training import train_one
from coursekit.study.trial import train_trial
from coursekit.study.tune import _summary, best_settings
from tests.study.searches import events, failing, run, study

TWO = {
    "train.optimiser.learning_rate": {"loguniform": [1e-4, 1.0]},
    "train.options.hidden": {"choice": [[8], [8, 8]]},
}


@pytest.fixture(scope="module", autouse=True)
def ray():
    """One Ray for all searches of this file but those that are killed."""
    pytest.importorskip("ray", reason="there is no Ray for this system")
    with connected("local"):
        yield


@pytest.fixture(scope="module")
def done(tmp_path_factory, ray):
    """A search by Optuna that nobody disturbed: its folder, its results, what it said."""
    folder, said = tmp_path_factory.mktemp("done"), []
    wanted = study(TWO, trials=14, search={"name": "optuna"})
    return folder, run(folder, wanted, progress=said.append), said, wanted


def outcomes(results):
    return [(t["number"], t["settings"], t["status"], t["metric"]) for t in results["trials"]]


def test_every_trial_is_in_the_table_and_the_best_is_the_best_of_it(done):
    folder, results, said, _ = done
    assert [t["number"] for t in results["trials"]] == list(range(1, 15))
    assert {t["status"] for t in results["trials"]} == {"finished"}
    assert {t["epochs"] for t in results["trials"]} == {3}
    best = min(results["trials"], key=lambda t: t["metric"])
    assert results["best"]["number"] == best["number"]
    assert results["best"]["settings"] == best["settings"] == best_settings(folder)
    assert best_settings(SimpleNamespace(path=folder)) == best["settings"]
    assert json.loads((folder / "search" / "trials.json").read_text(encoding="utf-8")) == results
    assert len(said) == 14
    assert said[-1].endswith(f"of trial {best['number']}")


def test_an_adaptive_searcher_comes_nearer(done):
    _, results, _, _ = done
    metrics = [t["metric"] for t in results["trials"]]
    assert min(metrics[10:]) <= min(metrics[:3])


def test_the_optimism_of_the_best_is_shown_by_events_that_chose_nothing(done):
    _, results, _, _ = done
    best, optimism = results["best"], results["optimism"]
    assert optimism["observed"] == pytest.approx(best["test"][0] - best["validation"][0])
    assert optimism["error"] == pytest.approx((best["test"][1] ** 2 + best["validation"][1] ** 2) ** 0.5)
    assert optimism["expected"] == pytest.approx(1.703 * best["validation"][1], rel=1e-3)  # the largest of 14
    assert optimism["trials"] == 14


def test_nothing_but_the_record_is_written(done):
    folder, *_ = done
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    trials = [os.path.join("search", "trials", f"{n:04d}.json") for n in range(1, 15)]
    assert names == sorted([os.path.join("search", "search.json"), os.path.join("search", "trials.json"), *trials])


def test_a_search_that_lost_some_trials_ends_as_the_undisturbed_one(done, tmp_path):
    folder, results, _, wanted = done
    (tmp_path / "search" / "trials").mkdir(parents=True)
    for name in ["search.json", *(f"trials/{n:04d}.json" for n in (1, 2, 3, 5))]:
        (tmp_path / "search" / name).write_bytes((folder / "search" / name).read_bytes())
    kept = tmp_path / "search" / "trials" / "0005.json"
    trial = json.loads(kept.read_text(encoding="utf-8"))
    trial["reports"][-1]["seconds"] = 77.0  # to be recognised
    kept.write_text(json.dumps(trial), encoding="utf-8")
    again = run(tmp_path, wanted, resume=True)
    assert outcomes(again) == outcomes(results)
    assert again["best"] == results["best"]
    assert [t["number"] for t in again["trials"] if t["seconds"] == 77.0] == [5]  # it was not trained again


def test_a_training_that_fails_is_a_failed_trial_and_one_whose_process_dies_is_trained_again(tmp_path):
    results = run(tmp_path, study(trials=5, folder=tmp_path), train=failing)
    failed = [t for t in results["trials"] if t["status"] == "failed"]
    assert 0 < len(failed) < 5
    assert all(t["message"] == "ArithmeticError: the loss is NaN" for t in failed)
    assert all((t["settings"]["train.optimiser.learning_rate"] > 0.01) == (t in failed) for t in results["trials"])
    (died,) = (tmp_path / "died").iterdir()
    again = next(t for t in results["trials"] if f"{t['settings']['train.optimiser.learning_rate']}" == died.name)
    assert (again["status"], again["epochs"]) == ("finished", 3)
    with pytest.raises(
        ValueError, match=rf"none of {len(failed)} trials can be the best: ArithmeticError: the loss is"
    ):
        _summary(study(), None, failed, failing)


@pytest.mark.long
def test_trials_that_fall_behind_are_stopped_and_stay_what_they_are_when_the_search_goes_on(tmp_path):
    asha = {"name": "asha", "options": {"grace_period": 1, "reduction_factor": 2}}
    wanted = study(trials=8, train={"epochs": 8}, scheduler=asha)
    results = run(tmp_path, wanted)
    assert {t["status"] for t in results["trials"]} == {"finished", "stopped"}
    assert all((t["epochs"] < 8) == (t["status"] == "stopped") for t in results["trials"])
    assert all(results["best"]["test"])
    (tmp_path / "search" / "trials.json").unlink()
    for number in (1, 4, 7):  # which then come last: the others hear of good trials earlier than they did
        (tmp_path / "search" / "trials" / f"{number:04d}.json").unlink()
    again = run(tmp_path, wanted, resume=True)
    assert [t["settings"] for t in again["trials"]] == [t["settings"] for t in results["trials"]]
    kept = [2, 3, 5, 6, 8]
    assert [again["trials"][n - 1] for n in kept] == [results["trials"][n - 1] for n in kept]


def test_the_best_trial_is_a_training_with_its_settings(tmp_path):
    trees = {"network": "boosted_trees", "options": {"max_iter": 20}}
    wanted = study({"train.options.max_leaf_nodes": {"randint": [3, 9]}}, trials=2, train=trees, metric="auc")
    results = run(tmp_path, wanted, train=train_one)
    best = results["best"]
    again = train_trial(with_settings(wanted, best["settings"]), wanted.tune, events(wanted), train_one)
    assert [again["metric"], again["error"]] == best["validation"]
    assert [again["test"], again["test_error"]] == best["test"]
    assert best["validation"][0] > 0.65


@pytest.mark.long  # a killed search goes on in lesson 13, and what lost trials end as is asked above
@pytest.mark.parametrize("searcher", ["optuna", "random"])
def test_a_search_whose_processes_were_killed_ends_as_the_undisturbed_one(done, tmp_path, searcher):
    tune = {"trials": 14, "search": {"name": searcher}, "space": TWO}
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")]),
        "SLOW": "0.1",
    }
    command = [sys.executable, "-m", "tests.study.searches", str(tmp_path / "killed"), json.dumps(tune)]
    searching = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    trials = tmp_path / "killed" / "search" / "trials"
    while len(list(trials.glob("[0-9]*.json"))) < 4:
        assert searching.poll() is None, searching.stderr.read().decode()
        time.sleep(0.02)
    processes = [*psutil.Process(searching.pid).children(recursive=True), psutil.Process(searching.pid)]
    for process in processes:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(processes)
    searching.communicate()
    there = len(list(trials.glob("[0-9]*.json")))
    assert 4 <= there < 14
    with pytest.raises(FileNotFoundError, match="has not ended: resume it"):
        best_settings(tmp_path / "killed")
    resumed = run(tmp_path / "killed", study(**tune), resume=True)
    undisturbed = done[1] if searcher == "optuna" else run(tmp_path / "whole", study(**tune))
    assert outcomes(resumed) == outcomes(undisturbed)
    assert resumed["best"] == undisturbed["best"]
    assert len({json.dumps(t["settings"]) for t in resumed["trials"]}) == 14
