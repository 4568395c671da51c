"""Tasks have the same results in this process and on Ray here; on a cluster: `study/test_run_cluster.py`."""

import os
import socket
import threading
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import h5py
import numpy as np
import pytest

from coursekit import cluster
from coursekit.cluster import connected, each, in_order
from coursekit.simulate.toptag import JET_IMAGES, simulate_jets


def power(base, exponent):
    if exponent < 0:
        raise ValueError(f"no negative exponents, {exponent} came")
    return base**exponent


def test_without_ray_nothing_of_it_is_loaded():
    seen, kept = [], []
    results = each(
        power,
        [(0,), (3,), (1,)],
        shared=(2,),
        progress=lambda done, total: seen.append((done, total)),
        finished=lambda number, result: kept.append((number, result)),
    )
    assert results == [1, 8, 2]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert kept == [(0, 1), (1, 8), (2, 2)]


def test_an_error_names_its_task():
    with pytest.raises(ValueError, match="no negative exponents, -1 came") as caught:
        each(power, [(2,), (-1,)], shared=(3,))
    assert caught.value.__notes__ == ["in power(-1)"]


def test_without_ray_installed_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"coursekit\[studies\].*no wheel.*Windows with Python 3\.13"):
        each(power, [(2,)], "local", (3,))


def test_an_address_where_nobody_is():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        port = taken.getsockname()[1]
        with pytest.raises(ConnectionError, match=f"nobody answers at ray: 127.0.0.1:{port}.*ray start --head"):
            each(power, [(2,)], f"127.0.0.1:{port}", (3,))
    with pytest.raises(ValueError, match=r"expected auto, local or an address such as .* but 'everywhere' came"):
        each(power, [(2,)], "everywhere", (3,))


@pytest.mark.parametrize(("failures", "ends_well"), [(2, True), (3, False)])
def test_a_busy_machine_gets_three_tries(monkeypatch, failures, ends_well):
    calls = []

    class Busy:
        def is_initialized():
            return False

        def init(**options):
            calls.append(options)
            if sum(call != "shutdown" for call in calls) <= failures:
                raise Exception("The current node timed out during startup.\nMore.")

        def shutdown():
            calls.append("shutdown")

    monkeypatch.setattr(cluster, "_import_ray", lambda: Busy)
    if ends_well:
        with connected("local"):
            pass
        assert calls == [calls[0], "shutdown"] * 3
    else:
        with pytest.raises(ConnectionError, match=r"ray: local cannot be started \(The current node timed out"):
            connected("local").__enter__()
    assert not list(Path("/tmp").glob(f"ckray-{os.getpid()}-*"))


def threads_of_numpy(values, factor):
    return factor * np.cumsum(values), os.getpid(), os.environ["OMP_NUM_THREADS"]


@pytest.fixture(scope="module")
def local():
    with connected("local") as ray:
        yield ray
    assert not ray.is_initialized()
    assert not list(Path("/tmp").glob(f"ckray-{os.getpid()}-*"))


def test_on_this_machine(local):
    values = np.random.default_rng(1).normal(size=1000)
    kept = {}
    results = each(threads_of_numpy, [(2.0,), (3.0,)], "local", (values,), finished=kept.__setitem__)
    assert local.is_initialized(), "whoever has started it ends it"
    np.testing.assert_array_equal(results[1][0], 3.0 * np.cumsum(values))
    assert kept.keys() == {0, 1}
    assert all(process != os.getpid() and threads == "1" for _, process, threads in results)
    assert list(islice(in_order(abs, count(-2), "local"), 4)) == [2, 1, 0, 1]


def test_errors_are_those_of_this_process(local, monkeypatch):
    with pytest.raises(ValueError, match="no negative exponents") as caught:
        each(power, [(2,), (-1,)], "local", (3,))
    assert caught.value.__notes__ == ["in power(-1)"]
    with pytest.raises(TypeError, match=r"an input lock cannot be sent to another process .*open files, locks"):
        each(power, [(2,)], "local", (threading.Lock(),))
    with pytest.raises(TypeError, match=r"the arguments of power\(\.\.\.\) cannot be sent"):
        each(power, [(threading.Lock(),)], "local", (3,))
    monkeypatch.setattr(cluster, "RETRIES", 0)
    with pytest.raises(
        ChildProcessError, match=r"_exit\(1\) was ended from outside, each time of 1, most often .* memory"
    ):
        each(os._exit, [(1,)], "local")
    monkeypatch.setattr(cluster, "__version__", "0.0.1")
    with pytest.raises(ImportError, match=r"the study was started with 0\.0\.1: install the same version on all"):
        each(power, [(2,)], "local", (3,))


@pytest.mark.long
@pytest.mark.simulation
def test_simulated_events_do_not_depend_on_where(local, tmp_path):
    recipe = replace(JET_IMAGES, chunk=15)
    here = simulate_jets(recipe, tmp_path / "here", jets=10, seed=3)
    there = simulate_jets(recipe, tmp_path / "there", jets=10, seed=3, jobs="local")
    for one, other in zip(here, there, strict=True):
        with h5py.File(one) as first, h5py.File(other) as second:
            np.testing.assert_array_equal(first["table/table"][:], second["table/table"][:])


def test_two_clusters_at_once_are_refused(local):
    with pytest.raises(ValueError, match=r"this process is in the cluster local: it cannot join 10\.0\.0\.1:6379"):
        each(power, [(2,)], "10.0.0.1:6379", (3,))
