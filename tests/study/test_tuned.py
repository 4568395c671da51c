"""A search on Ray, a training of its best trial, and the report, by one command; and the same training by `best_of`."""

from typer.testing import CliRunner

from coursekit.cli import app
from coursekit.study.compare import key_numbers
from coursekit.study.folder import runs
from coursekit.study.run import resolve


def study(*arguments):
    done = CliRunner().invoke(app, ["study", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_best_trial_is_trained_and_applied_and_again_by_its_name(tiny):
    others = ("histories", "kinematics", "correlations", "importance", "train_test", "scores", "significance")
    of_trees = {"folds": None, "repeats": 1}
    said = {"space": {"train.options.max_iter": {"randint": [2, 9]}}, "trials": 2}
    job = {"name": "tuned", "steps": ["tune", "train", "apply"], "ray": "local"}
    study("run", tiny(job=job, tune=said, train=of_trees, apply=dict.fromkeys(others)))
    [tuned] = runs("runs")
    assert {path.name for path in tuned.path.iterdir()} >= {"search", "models", "predictions.h5", "index.html"}
    best = tuned.results()["tune"]["best"]
    assert [row["step"] for row in tuned.facts()["steps"]] == ["load", "tune", "train", "apply"]
    assert tuned.results()["train"]["trainings"][0]["epochs"] == best["settings"]["train.options.max_iter"]
    study("run", tiny(config={"best_of": str(tuned.path)}, train=of_trees))
    again = next(run for run in runs("runs") if run.path != tuned.path)
    assert again.results()["train"] == tuned.results()["train"]
    # The run may be named on the command line, which has the last word on all else.
    unknown, named = (
        tiny(config={"best_of": "of/another/day"}, train=of_trees),
        f"config.best_of={tuned.path.as_posix()}",
    )
    assert resolve(unknown, [named]).study.train.options["max_iter"] == best["settings"]["train.options.max_iter"]
    assert resolve(unknown, [named, "train.options.max_iter=77"]).study.train.options["max_iter"] == 77
    lines = study("diff", tuned.path, again.path).splitlines()
    assert not [line for line in lines if line.strip().startswith("train.trainings")], "the results are the same"
    assert not [line for line in lines if "null -> absent" in line]
    assert f"best trial {best['number']}: {best['validation'][0]:.4f}" in key_numbers(tuned)
