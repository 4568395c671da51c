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
        [sys.executable, "-c", code], env=plain | environment, capture_output=True, text=True, check=True
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
        text=True,
        check=True,
    )
    if "GOMP_SPINCOUNT" not in done.stderr:
        pytest.skip("PyTorch uses another OpenMP runtime here")
    assert f"GOMP_SPINCOUNT = '{threads.WAITING['GOMP_SPINCOUNT']}'" in done.stderr


def test_each_process_gets_its_share_of_the_cores(monkeypatch):
    for name in threads.NUMBERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert set(threads.share(2).values()) == {"2"}
    assert set(threads.share(8).values()) == {"1"}
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads.share(2) == dict.fromkeys(threads.NUMBERS, "2") | {"OMP_NUM_THREADS": "3"}
