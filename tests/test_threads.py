"""Threads that sleep while they wait, and shares of the cores."""

import json
import os
import subprocess
import sys

import pytest

from coursekit import threads


def after_import(**environment):
    """What a process that imports the package, and then a library with threads, finds in its environment."""
    code = "import coursekit, json, os, torch; print(json.dumps(dict(os.environ)))"
    plain = {name: value for name, value in os.environ.items() if name not in {*threads.WAITING, "OMP_WAIT_POLICY"}}
    done = subprocess.run(
        [sys.executable, "-c", code], env=plain | environment, capture_output=True, encoding="utf-8", check=True
    )
    return json.loads(done.stdout)


def test_importing_the_package_lets_threads_sleep():
    found = after_import()
    assert {name: found[name] for name in threads.WAITING} == threads.WAITING


@pytest.mark.parametrize("said", [{"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "ACTIVE"}])
def test_what_somebody_says_is_left(said):
    found = after_import(**said)
    assert {name: found[name] for name in said} == said
    if "OMP_WAIT_POLICY" in said:
        assert not set(threads.WAITING) & set(found)


def test_the_runtime_of_pytorch_hears_it():
    # GNU's runtime prints what it has understood when it is loaded.
    code = "import coursekit, torch"
    plain = {name: value for name, value in os.environ.items() if name not in {*threads.WAITING, "OMP_WAIT_POLICY"}}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=plain | {"OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    if "GOMP_SPINCOUNT" not in done.stderr:
        pytest.skip("PyTorch uses another OpenMP runtime here")
    assert f"GOMP_SPINCOUNT = '{threads.WAITING['GOMP_SPINCOUNT']}'" in done.stderr


def test_each_process_gets_its_share_of_the_cores(monkeypatch):
    for name in threads.NUMBERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "cores", lambda: 4)
    assert set(threads.share(2).values()) == {"2"}
    assert set(threads.share(8).values()) == {"1"}
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("MKL_NUM_THREADS", "all")  # TensorFlow and others complain of what is no number
    assert threads.share(2) == dict.fromkeys(threads.NUMBERS, "2") | {"OMP_NUM_THREADS": "3"}


@pytest.mark.parametrize(
    ("said", "expected"),
    [(None, 4), ("", 4), ("0", 4), ("-1", 4), ("all", 4), ("2.5", 4), (",2", 4), (" 2 ", 2), ("3,2", 3), ("64", 4)],
)
def test_what_is_no_number_of_threads_asks_for_none(monkeypatch, said, expected):
    monkeypatch.setattr(threads, "cores", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", said or "")
    if said is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    assert threads.workers() == expected


@pytest.mark.parametrize("said", ["-1", "4,2"])
def test_observables_and_tables_work_whatever_the_environment_says(said):
    code = (
        "import coursekit, tables; from coursekit.jets import unpack; from coursekit.observables import tau21; "
        "print(len(tau21(unpack([[5, 3, 0, 4], [6, 0, 3, 5], [9, 4, 4, 7]], [3]))))"
    )
    plain = {name: value for name, value in os.environ.items() if name != "NUMEXPR_NUM_THREADS"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=plain | {"OMP_NUM_THREADS": said}, capture_output=True, encoding="utf-8")
    assert done.stdout == "1\n", done.stderr


@pytest.mark.parametrize(
    ("said", "told"), [("3", None), ("64", None), ("4,2", "4"), ("-1", "8"), ("100", "64"), ("9" * 20, "64")]
)
def test_numexpr_is_told_a_number_that_it_has_room_for(monkeypatch, said, told):
    monkeypatch.setattr(threads, "cores", lambda: 8 if said == "-1" else 128)
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    monkeypatch.setenv("NUMEXPR_NUM_THREADS", "")
    threads.let_numexpr_load()
    assert (os.environ["NUMEXPR_NUM_THREADS"] or None) == told


def test_a_process_may_use_fewer_cores_than_there_are(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(threads, "_CONTROL", tmp_path)
    assert threads.cores() == 8
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n", encoding="utf-8")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n", encoding="utf-8")
    (tmp_path / "cpu.max").write_text("max 100000\n", encoding="utf-8")
    assert threads.cores() == 8
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("350000\n", encoding="utf-8")
    assert threads.cores() == 4
    (tmp_path / "cpu.max").write_text("20000 100000\n", encoding="utf-8")
    assert threads.cores() == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads.cores() == 1
