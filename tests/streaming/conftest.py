"""Small files of each kind for the tests of streaming."""

import awkward as ak
import numpy as np
import pandas as pd
import pytest
import uproot

from coursekit.jets import save_jets, unpack

DTYPES = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
SMALL = "150.1MB"  # 0.1 MB beside Python and the libraries, so that small files need several buckets


def write_tree(path, n=5000, first=0, basket=500, compression=None, **more):
    """A small tree: a number per event, two branches that share a counter, a weight, and what else is given."""
    rng = np.random.default_rng(n + first)
    counts = rng.poisson(2, n)
    events = {
        "event": np.arange(first, first + n),
        "mth": rng.exponential(50, n).astype("f4"),
        "Jet": ak.zip({name: ak.unflatten(rng.random(counts.sum()).astype("f4"), counts) for name in ("pt", "eta")}),
        "weight": rng.uniform(0.5, 1.5, n),
        **more,
    }
    with uproot.recreate(path, compression=compression) as file:
        kinds = {k: ak.type(ak.Array(v)).content if isinstance(v, ak.Array) else kind(v) for k, v in events.items()}
        tree = file.mktree("Events", kinds, title="collisions")
        for at in range(0, n, basket):
            tree.extend({name: column[at : at + basket] for name, column in events.items()})
    return path


def kind(array):
    return np.dtype((array.dtype, array.shape[1:])) if array.ndim > 1 else array.dtype


@pytest.fixture(scope="module")
def tree_file(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp("tree") / "tree.root")


@pytest.fixture(scope="module")
def frame():
    rng, n = np.random.default_rng(5), 4000
    return pd.DataFrame(
        {
            "event": np.arange(n),
            "mth": rng.exponential(50, n).astype("f4"),
            "ptll": rng.exponential(50, n).astype("f4"),
            "sample": [f"s{i % 7}" for i in range(n)],
            "flavour": pd.Categorical(rng.choice(["e", "mu"], n)),
            "tight": rng.random(n) < 0.5,
            "time": pd.date_range("2026-01-01", periods=n, freq="s"),
        }
    )


@pytest.fixture(scope="module")
def table_file(tmp_path_factory, frame):
    path = tmp_path_factory.mktemp("table") / "table.h5"
    frame.to_hdf(path, key="table", format="table", complevel=4, complib="blosc", data_columns=["event"])
    return path


@pytest.fixture(scope="module")
def jet_file(tmp_path_factory):
    rng = np.random.default_rng(6)
    counts = rng.integers(1, 60, 3000)
    momenta = rng.normal(size=(counts.sum(), 4)).astype("f4")
    momenta[:, 3] = np.abs(momenta).sum(axis=1)
    path = tmp_path_factory.mktemp("jets") / "jets.h5"
    save_jets(path, unpack(momenta, counts), rng.integers(0, 2, len(counts)))
    return path


def numbers(stream, epoch=0):
    """The events of an epoch, by their number, in order."""
    return np.concatenate([inputs[:, 0] for inputs, _, _ in stream.batches(epoch)])


def prepare(events, label):
    event = events["event"]
    return np.stack([event, event], axis=1), np.full(len(event), label), 2.0 * event


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Signal, and two backgrounds of other sizes; event numbers say where an event is from."""
    folder = tmp_path_factory.mktemp("files")
    return {
        write_tree(folder / "signal.root", 3000): 1,
        write_tree(folder / "low.root", 1500, first=10_000): 0,
        write_tree(folder / "high.root", 6001, first=20_000): 0,
    }
