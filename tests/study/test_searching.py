"""What a search is told: spaces, settings, names and options; and its record. No Ray is started."""

import json
import math
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError

from coursekit.metrics import Estimate
from coursekit.study.report.page import Page
from coursekit.study.report.search import add_search
from coursekit.study.searching import make_scheduler, make_searcher, make_stopper
from coursekit.study.settings.tune import Space, Tune, with_settings
from coursekit.study.trial import train_trial
from coursekit.study.tune import _Record, best_settings
from tests.study.searches import events, study, trained

RATE = "train.optimiser.learning_rate"


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({}, "exactly one of uniform, .* but none came"),
        ({"uniform": [0, 1], "choice": [1]}, "exactly one of .* but uniform, choice came"),
        ({"uniform": [1, 1]}, "from a low value to a higher one, but 1 and 1 came"),
        ({"loguniform": [0, 1]}, "takes values above 0, but 0 came"),
        ({"quniform": [0, 1, 0]}, "step of quniform must be above 0"),
        ({"qloguniform": [16, 100, 16]}, "in steps of 16 from 16 to 96, not to 100"),
        ({"randint": [1, 2.5]}, "integer"),
        ({"choice": [1, 2, 1]}, "says a value twice"),
        ({"choice": []}, "at least 1"),
        ({"normal": [0, 1]}, "Extra inputs"),
    ],
)
def test_a_space_that_holds_nothing_is_refused(space, says):
    with pytest.raises(ValidationError, match=says):
        Space.model_validate(space)


def test_values_stay_on_the_grid_and_whole_numbers_whole():
    space = Space(qloguniform=[16, 256, 16])
    drawn = np.exp(np.random.default_rng(1).uniform(np.log(16), np.log(256), 500))
    values = {space.decoded(x) for x in drawn}
    assert values == set(range(16, 257, 16))
    assert all(type(value) is int for value in values)
    space = Space(quniform=[0.1, 0.7, 0.1])
    assert [space.decoded(k) for k in range(space.n_steps + 1)] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]


def test_what_boosted_trees_have_no_use_for_is_refused():
    for key, name in (("scheduler", "asha"), ("stopper", "plateau")):
        with pytest.raises(ValueError, match=f"tune.{key} ends trials after an epoch, and boosted trees have none"):
            study({"train.options.max_iter": {"choice": [2]}}, {"network": "boosted_trees"}, **{key: {"name": name}})


@pytest.mark.parametrize(
    ("key", "space", "says"),
    [
        ("train.epoch", {"randint": [1, 3]}, "train has no key 'epoch'; did you mean 'epochs'?"),
        ("train.epochs", {"uniform": [1, 3]}, "train.epochs: expected a whole number, got 1.7"),
        ("train.epochs", {"randint": [0, 3]}, "with train.epochs: 0: train.epochs: expected a number of at least 1"),
        ("train.early_stopping.patience", {"randint": [1, 3]}, "train.early_stopping is not set"),
        ("train.epochs.x", {"choice": [1]}, "train.epochs is 3, which holds no keys"),
        ("job.seed", {"randint": [1, 3]}, "a key begins with train. or input."),
        ("input.split.salt", {"choice": ["a"]}, "trials are compared on the same events"),
        ("train.folds", {"choice": [3, 5]}, "a trial is one training"),
        ("train.optimiser.momentum", {"uniform": [0, 0.9]}, "optimiser.momentum: belongs to name: sgd"),
        ("train.options.hiden", {"choice": [[4]]}, "the network dense has no option 'hiden'"),
        ("input.signals.x.scale", {"uniform": [1, 2]}, "input.signals has no key 'x'"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_starts(key, space, says):
    with pytest.raises(ValueError, match=says) as caught:
        study({key: space})
    assert f"tune.space.{key}: " in str(caught.value)


def test_settings_change_and_nothing_else():
    wanted = study({RATE: {"uniform": [0.1, 1]}, "train.options.hidden": {"choice": [[4], [4, 4]]}})
    changed = with_settings(wanted, {RATE: 0.25, "train.options.hidden": [4, 4]})
    assert changed.train.optimiser.learning_rate == 0.25
    assert changed.train.options == {"hidden": [4, 4]}
    assert changed.tune is None
    assert changed.input == wanted.input
    assert wanted.train.options == {}
    assert with_settings(changed, {"input.signals.s.scale": 2.0}).input.signals["s"].scale == 2


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"signal_efficiency": 0.3}, "signal_efficiency belongs to metric: rejection, and the metric is loss"),
        ({"significance": {}}, "significance belongs to metric: significance"),
        ({"resources": {"cpu": 0}}, "above 0"),
        ({"resources": {"gpu": 1}}, "say cpu as well"),
        ({"space": {}}, "at least 1"),
        ({"metric": "significance", "significance": {"formula": "s/sqrt(b)", "background_uncertainty": 0.1}}, "asimov"),
    ],
)
def test_dead_keys_are_refused(keys, says):
    with pytest.raises(ValidationError, match=says):
        Tune.model_validate({"space": {RATE: {"uniform": [0.1, 1]}}} | keys)


@pytest.mark.parametrize(
    ("make", "keys", "says"),
    [
        (make_searcher, {"search": {"name": "optun"}}, "none of the name 'optun'; did you mean 'optuna'?"),
        (make_searcher, {"search": {"name": "hyperopt", "options": {"gama": 1}}}, "no 'gama'; did you mean 'gamma'?"),
        (make_searcher, {"search": {"name": "random", "options": {"seed": 1}}}, "no 'seed'"),
        (make_searcher, {"search": {"name": "optuna", "options": {"metric": "auc"}}}, "other keys of tune"),
        (make_searcher, {"search": {"name": "optuna"}, "scheduler": {"name": "hyperband"}}, "pauses trials"),
        (make_scheduler, {"scheduler": {"name": "ahsa"}}, "none of the name 'ahsa'; did you mean 'asha'?"),
        (
            make_scheduler,
            {"scheduler": {"name": "asha", "options": {"grace_epochs": 1}}},
            "did you mean 'grace_period'?",
        ),
        (make_scheduler, {"scheduler": {"name": "asha", "options": {"grace_period": 9}}}, "refuses its options"),
        (make_scheduler, {"scheduler": {"name": "pbt"}}, "in the middle of its training"),
        (make_stopper, {"stopper": {"name": "plateau", "options": {"stdd": 1}}}, "did you mean 'std'?"),
        (make_stopper, {"stopper": {"name": "max_iterations"}}, "needs options: {max_iter: N}"),
    ],
)
def test_names_and_options_that_do_not_exist_are_refused(make, keys, says):
    pytest.importorskip("ray")
    with pytest.raises(ValueError, match=says):
        make(study(**keys))


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("hebo", "hebo", "HEBO"),
        ("bayesopt", "bayes_opt", "bayesian-optimization"),
        ("optuna", "optuna", '"coursekit[studies]"'),
        ("hyperopt", "hyperopt", '"coursekit[studies]"'),
    ],
)
def test_a_library_that_is_not_here_is_named_and_a_random_search_needs_none(monkeypatch, name, module, package):
    pytest.importorskip("ray")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ImportError, match=re.escape(f"{name} needs the library {module}, which is not here: pip install {package}")
    ):
        make_searcher(study(search={"name": name}))
    make_searcher(study())


def test_schedulers_count_epochs_up_to_those_of_the_training():
    pytest.importorskip("ray")
    asha = make_scheduler(study(train={"epochs": 7}, scheduler={"name": "asha"}))
    assert (asha._time_attr, asha._max_t, asha._metric, asha._mode) == ("epoch", 7, "metric", "min")
    median = make_scheduler(study(metric="auc", scheduler={"name": "median_stopping", "options": {"grace_period": 2}}))
    assert (median._time_attr, median._grace_period, median._mode) == ("epoch", 2, "max")
    plateau = make_stopper(study(stopper={"name": "plateau", "options": {"std": 0.5, "num_results": 2}}))
    assert (plateau._std, plateau._num_results, plateau._metric) == (0.5, 2, "metric")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("asha", {"grace_period": 1, "reduction_factor": 2}),
        ("median_stopping", {"grace_period": 0, "min_samples_required": 1}),
    ],
)
def test_a_recorded_trial_is_stopped_no_earlier_than_it_was(name, options):
    pytest.importorskip("ray")
    wanted = study(train={"epochs": 9}, scheduler={"name": name, "options": options})

    class Trial:
        def __init__(self, name):
            self.trial_id = name

    def decisions(epochs, **row):
        """What is decided about a bad trial that comes after a good one, while another waits for its turn."""
        scheduler, good, bad = make_scheduler(wanted), Trial("good"), Trial("bad")
        waiting = SimpleNamespace(get_live_trials=lambda: [SimpleNamespace(status="PENDING")])
        for trial in (good, bad):
            scheduler.on_trial_add(waiting, trial)
        for epoch in (1, 2, 3):
            assert scheduler.on_trial_result(waiting, good, {"epoch": epoch, "metric": 0.1}) == "CONTINUE"
        rows = ({"epoch": epoch, "metric": 0.9} | row for epoch in range(1, epochs + 1))
        return [scheduler.on_trial_result(waiting, bad, row) for row in rows]

    assert decisions(1) == ["STOP"]
    assert decisions(4, replayed=True) == ["CONTINUE"] * 4


def proposals(order, name="optuna", concurrency=2, trials=16):
    """What a searcher proposes when running trials end in some order: the metric is that of the first setting."""
    wanted = study({RATE: {"uniform": [0.1, 1]}}, search={"name": name}, concurrency=concurrency)
    from coursekit.study.searching import domains

    searcher, running, proposed = make_searcher(wanted), [], []
    searcher.set_search_properties(None, None, domains(wanted.tune.space))
    while len(proposed) < trials or running:
        suggestion = searcher.suggest(str(len(proposed))) if len(proposed) < trials else None
        if suggestion:
            running.append((str(len(proposed)), suggestion[RATE]))
            proposed.append(suggestion[RATE])
            continue
        name, rate = running.pop(order(len(running)))
        searcher.on_trial_complete(name, {"metric": (rate - 0.7) ** 2, "training_iteration": 1})
    return proposed


@pytest.mark.parametrize("name", ["optuna", "hyperopt"])
def test_which_trial_is_faster_changes_no_proposal(name):
    pytest.importorskip("ray")
    first = proposals(lambda n: 0, name)
    assert len(set(first)) == 16
    assert proposals(lambda n: n - 1, name) == first
    assert proposals(lambda n: int(np.random.default_rng(n).integers(n)), name) == first
    assert proposals(lambda n: 0, name, concurrency=1) != first or name == "hyperopt"  # which is random for 20 trials


def test_a_trial_reports_all_epochs_but_the_last_which_is_that_of_the_network_that_is_kept():
    wanted, rows = study(metric="auc"), []
    final = train_trial(wanted, wanted.tune, events(wanted), trained, rows.append)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert final["epoch"] == 3
    assert 0 < final["error"] < 0.1
    assert abs(final["metric"] - final["test"]) < 0.2


def record(folder, wanted=None, n_events=600):
    return _Record(folder / "search", wanted or study(), n_events, None)


def test_the_record_of_another_search_or_a_damaged_one_is_refused_and_left_as_it_is(tmp_path):
    first = record(tmp_path)
    first.begin(False)
    first.end(1, {RATE: 0.1}, [{"epoch": 3, "metric": 0.5, "error": 0.1, "final": True, "seconds": 1.0}])
    with pytest.raises(FileExistsError, match="resume it, or take a new run folder"):
        record(tmp_path).begin(False)
    with pytest.raises(ValueError, match=r"another study: train.epochs was 3 and is 4 now"):
        record(tmp_path, study(train={"epochs": 4})).begin(True)
    with pytest.raises(ValueError, match=r"another study: number of events was 600 and is 10 now"):
        record(tmp_path, n_events=10).begin(True)
    with pytest.raises(ValueError, match=r"another study: job.seed was 3 and is 4 now"):
        record(tmp_path, study(seed=4)).begin(True)
    longer = record(tmp_path, study(trials=9))  # may go on for longer
    longer.begin(True)
    assert list(longer.known) == [json.dumps({RATE: 0.1})]
    path = tmp_path / "search" / "trials" / "0001.json"
    whole = path.read_text(encoding="utf-8")
    for text in (whole[:50], "", "[1]", '{"status": "finished"}', "\x00" * 80):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"0001.json .*nothing was changed; move it away, and this trial is train"):
            record(tmp_path).begin(True)
        assert path.read_text(encoding="utf-8") == text
    (tmp_path / "search" / "search.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"search.json is damaged .*nothing was changed"):
        record(tmp_path).begin(True)


def test_statuses_and_the_line_of_each_trial(tmp_path):
    lines = []
    kept = _Record(tmp_path / "search", study(limit=0.6, trials=4), 600, lines.append)
    kept.begin(False)
    kept.end(1, {RATE: 0.1}, [{"epoch": 2, "metric": 0.5, "error": 0.01, "seconds": 1.0}])
    kept.end(2, {RATE: 0.2}, [{"epoch": 3, "metric": 0.7, "error": 0.01, "final": True, "seconds": 1.0}])
    kept.end(3, {RATE: 0.3}, [{"epoch": 0, "metric": math.nan, "error": math.inf, "failure": "OSError: no"}])
    kept.end(4, {RATE: 0.4}, [{"epoch": 3, "metric": math.inf, "error": math.inf, "final": True, "seconds": 1.0}])
    assert [trial["status"] for trial in kept.trials()] == ["stopped", "beyond limit", "failed", "failed"]
    assert lines == [
        "trial 1 of 4, stopped, epoch 2: loss 0.500 ± 0.010; best so far 0.500 ± 0.010 of trial 1",
        "trial 2 of 4, beyond limit, epoch 3: loss 0.700 ± 0.010; best so far 0.500 ± 0.010 of trial 1",
        "trial 3 of 4, failed, epoch 0: OSError: no; best so far 0.500 ± 0.010 of trial 1",
        "trial 4 of 4, failed, epoch 3: the loss is inf: too few validation events pass; best so far 0.500 ± 0.010 of "
        "trial 1",
    ]
    again = record(tmp_path, study(limit=0.6))
    again.begin(True)
    assert len(again.known) == 2  # what failed is tried again


def test_the_settings_of_a_search_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not there: take the run folder of a search"):
        best_settings(tmp_path)
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "trials.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="is no table of a search: 'best' is missing"):
        best_settings(tmp_path)


def test_the_page_of_a_search(tmp_path):
    wanted = study({RATE: {"loguniform": [0.1, 1]}, "train.options.hidden": {"choice": [[4], [4, 4]]}})
    trials = [
        {"number": n, "settings": {RATE: n / 10, "train.options.hidden": [4]}, "status": status, "message": ""}
        | {"metric": metric, "error": metric and 0.1, "epochs": 3, "seconds": 1.0, "test": None}
        for n, status, metric in [
            (1, "finished", 0.5),
            (2, "stopped", 0.4),
            (3, "failed", None),
            (4, "beyond limit", 2),
        ]
    ]
    best = {"number": 2, "settings": trials[1]["settings"], "validation": [0.4, 0.1], "test": [0.45, 0.1]}
    optimism = {"trials": 3, "observed": 0.05, "error": 0.14, "expected": 0.085}
    results = {"metric": "loss", "mode": "min", "trials": trials, "best": best, "optimism": optimism}
    page = Page(tmp_path, "Toy")
    add_search(page, wanted, results)
    assert page.summary == {"loss of the best trial, validation": Estimate(0.4, 0.1)}
    page.save()
    rows = (tmp_path / "tables" / "search_trials.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 5
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"search_course.png", "search_settings.png"}
