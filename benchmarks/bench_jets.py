"""Reading the reference layout, beside pandas and beside a loop over jets.

Run with ``pytest -n 0 benchmarks/bench_jets.py``: the numbers in brackets are ratios to the fastest of the group.
"""

import awkward as ak
import numpy as np
import pandas as pd
import pytest

from coursekit.jets import load_jets, pack, pad, save_jets, unpack

N_JETS = 10_000


@pytest.fixture(scope="module", params=["zlib", "blosc"])
def path(request, tmp_path_factory):
    """A file with the multiplicities of the public sample, as we write it and as blosc would compress it."""
    rng = np.random.default_rng(1)
    counts = np.clip(rng.normal(49, 18, 2 * N_JETS).astype(int), 3, 150)
    momentum = rng.exponential(15, (counts.sum(), 1)) * rng.normal((1, 0, 0), 0.3, (counts.sum(), 3))
    jets = unpack(np.c_[momentum, np.linalg.norm(momentum, axis=1)].astype(np.float32), counts)
    path = tmp_path_factory.mktemp("reading") / "jets.h5"
    save_jets(path, jets, rng.integers(0, 2, 2 * N_JETS))
    if request.param == "blosc":
        pd.read_hdf(path, key="table").to_hdf(path, key="table", mode="w", format="table", complib="blosc", complevel=5)
    return path


def with_pandas(path, start, stop):
    """What ours must not be slower than, though it ends with a padded table and not with jets."""
    return pd.read_hdf(path, key="table", start=start, stop=stop)


def with_a_loop(path, start, stop):
    """The table, then one jet after the other: the obvious way to constituents without padding."""
    values = pd.read_hdf(path, key="table", start=start, stop=stop).iloc[:, :800].to_numpy().reshape(-1, 200, 4)
    return [jet[jet[:, 0] > 0] for jet in values]


@pytest.mark.parametrize("read", [load_jets, with_pandas, with_a_loop])
@pytest.mark.parametrize("n", [100, N_JETS])
def test_reading(benchmark, path, n, read, request):
    benchmark.group = f"read {n} of {2 * N_JETS} jets, {request.node.callspec.params['path']}"
    assert len(benchmark(lambda: _first(read(path, 5000, 5000 + n)))) == n


def _first(result):
    return result[0] if isinstance(result, tuple) else result


def pad_with_a_loop(jets):
    padded = np.zeros((len(jets), 200, 4), np.float32)
    for row, jet in zip(padded, jets, strict=True):
        for i, name in enumerate(("px", "py", "pz", "E")):
            row[: len(jet), i] = jet[name]
    return padded


def pad_with_awkward(jets):
    fields = [ak.fill_none(ak.pad_none(jets[name], 200, clip=True), 0) for name in ("px", "py", "pz", "E")]
    return np.stack([ak.to_numpy(field) for field in fields], axis=-1)


def pad_packed(jets):
    return pad(*pack(jets))


@pytest.mark.parametrize("to_padded", [pad_packed, pad_with_awkward, pad_with_a_loop])
def test_padding(benchmark, to_padded):
    rng = np.random.default_rng(1)
    counts = np.clip(rng.normal(49, 18, 500).astype(int), 3, 150)
    jets = unpack(rng.exponential(15, (counts.sum(), 4)).astype(np.float32), counts)
    benchmark.group = "pad 500 jets"
    assert np.array_equal(benchmark(to_padded, jets), pad_packed(jets))
