"""`coursekit study`: what is a file is run, what is a command is done, and errors are one line."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from coursekit.cli import app
from coursekit.study.folder import RunFolder, runs


def study(*words):
    return CliRunner().invoke(app, ["study", *map(str, words)])


def test_a_file_is_run_and_a_second_time_into_another_folder(tiny):
    done = study(tiny(), "--time", "--set", "train.repeats=1")
    assert done.exit_code == 0, done.output
    [run] = runs("runs")
    assert f"{run.path}: finished  auc 0." in done.output
    assert "train" in done.output
    assert "peak MiB" in done.output
    done = study("--json", "tiny.yaml", "--set", "train.repeats=1", "--verbose")
    assert done.exit_code == 0, done.output
    [said] = json.loads(done.stdout)
    assert said["folder"].endswith("_v02")
    assert (said["status"], said["error"]) == ("finished", None)
    assert said["results"] == run.results()
    assert "seed1_fold2: " in done.stderr, "the log is shown beside it"
    again = study("tiny.yaml", "--resume", "--set", "train.repeats=1")
    assert again.exit_code == 0, again.output
    assert "_v02 is finished: there is nothing to resume" in again.stderr
    assert len(runs("runs")) == 2


def test_a_queue_goes_on_after_a_failure(tiny):
    bad = tiny("bad.yaml", job={"name": "bad"}, input={"cut": "nowhere > 1"})
    done = study(bad, "absent.yaml", tiny())
    assert done.exit_code == 1
    assert "bad.yaml has failed, the next one begins" in done.stderr
    assert "absent.yaml: no such file" in done.stderr
    assert "nowhere" in done.stderr
    assert "1 of 3 studies have come to their end" in done.stderr
    assert "Traceback" not in done.output
    assert [(run.path.parent.name, run.status()) for run in runs("runs")] == [("bad", "failed"), ("tiny", "finished")]


def test_an_error_nobody_foresaw_keeps_its_traceback(tiny, monkeypatch):
    monkeypatch.setattr("coursekit.study.run.load_dataset", lambda *_, **__: [][0])
    done = study(tiny())
    assert done.exit_code == 1
    assert "Traceback" in done.stderr
    assert "IndexError: list index out of range" in runs("runs")[0].log.read_text(encoding="utf-8")


def test_ctrl_c_ends_the_queue(tiny, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("coursekit.study.run.load_dataset", stop)
    done = study(tiny(), "tiny.yaml")
    assert done.exit_code == 130
    assert [run.status() for run in runs("runs")] == ["interrupted"]
    assert "coursekit study FILE --resume" in done.stderr


def test_a_dry_run_writes_nothing(tiny, tmp_path):
    before = sorted(path.name for path in tmp_path.iterdir())
    done = study(tiny(), "--dry-run")
    assert done.exit_code == 0, done.output
    for line in (
        "train.folds: 3",
        "higgs: read: 300 events",
        "mass: mean",
        "network boosted_trees: inputs 2, outputs 1",
        "would train: 6 trainings",
        "nothing has been written",
    ):
        assert line in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "tiny.yaml"])
    done = study(tiny(input={"features": ["mass", "ptt"]}), "--dry-run")
    assert done.exit_code == 1
    assert "did you mean 'pt'" in done.stderr


def test_few_events_for_a_trial(tiny):
    done = study(tiny(), "-d")
    assert done.exit_code == 0, done.output
    assert "_v01_debug: finished" in done.output


def test_show(tiny):
    shown = study("show", tiny(), "--set", "train.repeats=4")
    assert shown.exit_code == 0, shown.output
    assert "repeats: 4" in shown.output
    assert "# command line" in shown.output
    said = json.loads(study("show", "tiny.yaml", "--json").stdout)
    assert said["values"]["train"]["repeats"] == 2
    assert said["origins"]["train.repeats"] == "tiny.yaml:1"


def test_list_diff_and_rerun(tiny):
    for n_trees in (5, 9):
        study(tiny(), "--set", f"train.options.max_iter={n_trees}")
    listed = study("list")
    assert listed.exit_code == 0, listed.output
    assert listed.output.count("finished") == 2
    rows = json.loads(study("list", "runs/tiny", "--json").stdout)
    assert [row["steps"] for row in rows] == [["load", "train"]] * 2
    folders = [row["folder"] for row in rows]
    assert json.loads(study("list", folders[0], "--json").stdout) == rows[:1]
    found = study("diff", *folders)
    assert "train.options.max_iter: 5 -> 9" in found.output
    [line] = [line for line in found.output.splitlines() if "train.mean" in line]
    means = [RunFolder.open(folder).results()["train"]["mean"] for folder in folders]
    assert line.split()[1:] == [f"{mean:.5g}" for mean in means]
    assert json.loads(study("diff", *folders, "--json").stdout)["settings"] == ["train.options.max_iter: 5 -> 9"]
    again = study("rerun", folders[0])
    assert again.exit_code == 0, again.output
    assert "the studies say the same" in again.output
    assert "results are equal" in again.output


def test_a_damaged_run_does_not_hide_the_others(tiny):
    for _ in range(2):
        study(tiny(), "--set", "train.repeats=1")
    first, second = runs("runs")
    (first.path / "run.json").write_text("{", encoding="utf-8")
    rows = json.loads(study("list", "--json").stdout)
    assert [row["status"] for row in rows] == ["damaged", "finished"]
    assert "run.json is damaged" in rows[0]["reason"]
    (first.path / "study.yaml").write_text("of: another release", encoding="utf-8")
    (second.path / "run.json").write_text("{", encoding="utf-8")
    done = study("tiny.yaml", "--resume", "--set", "train.repeats=1")
    assert done.exit_code == 1
    assert f"{second.path / 'run.json'} is damaged" in done.stderr
    assert "start a new run" in done.stderr


def test_schema_and_migrate(tiny, tmp_path):
    assert json.loads(study("schema").stdout)["properties"].keys() >= {"job", "input", "train"}
    (tmp_path / "old.yaml").write_text("job: {job_name: a, job_type: train}\ninput: {sig_list: [a]}", encoding="utf-8")
    done = study("migrate", "old.yaml", "new.yaml")
    assert done.exit_code == 0, done.output
    assert "name: a" in (tmp_path / "new.yaml").read_text(encoding="utf-8")
    done = study("migrate", "old.yaml", "new.yaml")
    assert done.exit_code == 1
    assert "new.yaml exists: choose another name" in done.stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["shwo"], 2, "did you mean 'show'?"),
        (["runs/tiny"], 2, "is no file and no command"),
        (["nope.yaml"], 1, "nope.yaml: no such file"),
        (["list", "nowhere"], 1, "nowhere: no such folder"),
        (["diff", "nowhere", "nope.yaml"], 1, "nowhere: no such file"),
        (["rerun", "nowhere"], 1, "nowhere is no run folder"),
    ],
)
def test_errors_are_one_line(tmp_path, monkeypatch, words, status, said):
    monkeypatch.chdir(tmp_path)
    done = study(*words)
    assert done.exit_code == status
    assert said in done.output
    assert "Traceback" not in done.output


#: A machine without some packages; each line of its input is a command, and what is missing comes first.
LACKING = """
import sys

MISSING = set()

class Lacking:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in MISSING else self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Lacking(finder) for finder in sys.meta_path]
from typer.testing import CliRunner
from coursekit.cli import app
for line in sys.stdin:
    missing, _, words = line.strip().partition(":")
    MISSING = set(missing.split(","))
    done = CliRunner().invoke(app, words.split())
    print(done.exit_code, " ".join(done.output.split())[-600:])
"""


def test_machines_that_lack_packages(tiny):
    tiny()
    tiny("tune.yaml", job={"steps": ["tune"]}, tune={"space": {"train.options.max_leaf_nodes": {"randint": [3, 9]}}})
    tiny("dense.yaml", train={"network": "dense", "options": {}, "batch_size": 32})
    # pydantic is there wherever typer is so new that it takes it.
    studies = "hyperopt,jinja2,numexpr,optuna,pyarrow,pyhf,ray,yaml"
    helps = [f"{words} --help" for words in ("", "build", "data", "doctor", "export", "shuffle", "simulate", "study")]
    lines = [f"{studies}:{words}" for words in (*helps, "data list", "study tiny.yaml", "study list .")]
    lines += ["ray:study tiny.yaml", "ray:study tune.yaml", "keras,ray,tensorflow:study dense.yaml"]
    said = subprocess.run(
        [sys.executable, "-c", LACKING], input="\n".join(lines), capture_output=True, encoding="utf-8"
    )
    assert said.returncode == 0, said.stderr
    found = dict(zip(lines, said.stdout.splitlines(), strict=True))
    assert all(answer.startswith("0 ") for answer in list(found.values())[: len(helps) + 1]), said.stdout
    assert 'pip install "coursekit[studies]"' in found[f"{studies}:study tiny.yaml"]
    assert (
        'yaml is not installed, and this study needs it: pip install "coursekit[studies]"'
        in found[f"{studies}:study list ."]
    )
    assert found["ray:study tiny.yaml"].startswith("0 ")
    assert 'ray is not installed: pip install "coursekit[studies]"' in found["ray:study tune.yaml"]
    assert "Windows with Python 3.13" in found["ray:study tune.yaml"]
    assert 'keras is not installed, and this study needs it: pip install "coursekit[keras]"' in found[lines[-1]]


def test_help_names_files_and_commands():
    done = study("--help")
    assert done.exit_code == 0
    for word in ("FILE.yaml", "show", "list", "diff", "rerun", "migrate", "schema"):
        assert word in done.output
    assert study().output.strip() == done.output.strip()
