"""What two runs do not share is named, and only that."""

import pytest

from coursekit.study import compare as comparing
from coursekit.study.compare import Difference, compare, key_numbers, rerun
from coursekit.study.folder import RunFolder
from coursekit.study.reading import read_study
from coursekit.study.run import resolve, run_study


def test_two_runs_of_one_changed_key(tiny):
    one = run_study(resolve(tiny()))
    other = run_study(resolve(tiny(), ["train.options.max_iter=9"]))
    found = compare(one.path, other.path)
    assert found.settings == ["train.options.max_iter: 5 -> 9"]
    assert found.origin == []
    keys = {row.key for row in found.results}
    assert "train.mean" in keys
    assert "train.trainings[0].auc" in keys, "a value and its error are one result"
    row = next(row for row in found.results if row.key == "train.trainings[0].auc")
    first = one.results()["train"]["trainings"][0]["auc"]
    assert row.one == f"{first['value']} +- {first['error']}"


def test_files_beside_files_and_runs(tiny, tmp_path):
    run = RunFolder.create(read_study(tiny()))
    assert compare(run.path, tmp_path / "tiny.yaml").settings == []
    other = tiny("other.yaml", input={"features": ["mass"]})
    assert compare(run.path, other).settings == ["input.features: [mass, pt] -> [mass]"]
    assert compare(other, tmp_path / "tiny.yaml").settings == ["input.features: [mass] -> [mass, pt]"]
    with pytest.raises(FileNotFoundError, match="is no run folder"):
        compare(run.path, tmp_path)


def test_results_that_only_one_has(tiny):
    runs = [RunFolder.create(read_study(tiny())) for _ in range(2)]
    runs[0].keep_results("apply", {"auc": {"value": 0.9, "error": 0.01}, "seconds": 3.0, "note": "a"})
    runs[1].keep_results("apply", {"auc": {"value": 0.9, "error": 0.01}, "seconds": 9.0})
    found = compare(runs[0].path, runs[1].path)
    assert found.results == [Difference("apply.note", "a", "absent")]
    assert found.compared == 1, "time is no result"


def test_run_again(tiny, monkeypatch):
    old = run_study(resolve(tiny(), ["train.repeats=1"]))
    new, found = rerun(old.path)
    assert new.path.parent == old.path.parent
    assert (found.settings, found.origin, found.results) == ([], [], [])
    assert found.compared > 10
    assert new.facts()["rerun_of"] == str(old.path)
    facts = old.facts()
    old.note(versions={**facts["versions"], "numpy": "1.0"})
    facts["inputs"][0]["sha256"] = "0" * 64
    old.note(inputs=facts["inputs"])
    origin = comparing.rerun(old.path)[1].origin
    assert any(line.startswith("numpy: 1.0 -> ") for line in origin)
    assert any("higgs.feather: 000000000000 -> " in line for line in origin)


def test_key_numbers(tiny):
    run = RunFolder.create(read_study(tiny()))
    assert key_numbers(run) == ""
    run.keep_results("train", {"measure": "auc", "mean": 0.91, "spread": 0.004})
    run.keep_results("tune", {"best": {"number": 3, "validation": [0.92, 0.01]}})
    assert key_numbers(run) == "auc 0.9100 +- 0.0040, best trial 3: 0.9200 +- 0.0100"
