"""Training from files beside training in memory and beside reading batch by batch; the shuffle beside a plain copy.

Run with ``pytest -n 0 benchmarks/bench_streaming.py``: the numbers in brackets are ratios to the fastest of the group.
Each is run once, on the shipped samples repeated to a million events.
"""

import json
import subprocess
import sys
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from coursekit.events import INPUT_BRANCHES, load_events
from coursekit.streaming import BatchStream, plan_shuffle, read_chunks, shuffle_file

DATA = Path(__file__).resolve().parent.parent / "data"
FILES = {"GluGluHToWWTo2L2Nu_M125.root": 1, "DYJetsToLL_M-10to50-LO.root": 0, "DYJetsToLL_M-50-LO.root": 0}
N_EVENTS = 1_000_000
BATCH = 1024


def columns_of(events):
    """As `mktree` wants them: jets as records, so that they share one counter."""
    jets = [name for name in events.fields if name.startswith("Jet_")]
    flat = {name: events[name] for name in events.fields if name not in (*jets, "nJet")}
    return {**flat, "Jet": ak.zip({name.removeprefix("Jet_"): events[name] for name in jets})}


def repeat(samples, path, n_events, compression):
    """Write the events of samples again and again, in baskets of 10 000."""
    events = ak.concatenate([uproot.open(sample)["Events"].arrays() for sample in samples])
    baskets = [columns_of(events[at : at + 10_000]) for at in range(0, len(events), 10_000)]
    with uproot.recreate(path, compression=compression) as file:
        kinds = {name: ak.type(ak.Array(column)).content for name, column in baskets[0].items()}
        tree = file.mktree("Events", kinds, initial_basket_capacity=n_events // 10_000 + 10)
        for i in range(n_events // 10_000):
            tree.extend(baskets[i % len(baskets)])
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return {repeat([DATA / name], folder / name, N_EVENTS // 3, uproot.ZLIB(4)): label for name, label in FILES.items()}


@pytest.fixture(scope="module")
def large_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "large.root"
    return repeat([DATA / name for name in FILES], path, N_EVENTS, uproot.ZLIB(4))


# --- a tree with many branches ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wide_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("wide") / "wide.root"
    names = [f"HLT_{i}" for i in range(1600)]
    with uproot.recreate(path) as file:
        file.mktree("Events", dict.fromkeys(names, "bool")).extend(dict.fromkeys(names, np.ones(1000, bool)))
    return path


@pytest.mark.benchmark(group="all of 1600 branches")
@pytest.mark.parametrize(
    "read",
    [lambda path: uproot.open(path)["Events"].arrays(), load_events, lambda path: next(read_chunks(path))],
    ids=["uproot", "load_events", "read_chunks"],
)
def test_wide_tree(benchmark, wide_file, read):
    assert len(benchmark.pedantic(read, (wide_file,), rounds=5)) > 0


# --- training ---------------------------------------------------------------------------------------------------------


def prepare(events, label):
    inputs = np.stack([events[name] for name in INPUT_BRANCHES], axis=1) / np.float32(100)
    return inputs, np.full(len(inputs), label, np.float32), np.ones(len(inputs), np.float32)


class Network:
    """Two hidden layers of 64, plain gradient descent, in NumPy: what a first network costs, without a framework."""

    def __init__(self):
        rng = np.random.default_rng(1)
        self.layers = [rng.normal(0, 0.1, shape).astype(np.float32) for shape in ((6, 64), (64, 64), (64, 1))]

    def train(self, inputs, labels, weights):
        values = [inputs]
        for layer in self.layers[:-1]:
            values.append(np.maximum(values[-1] @ layer, 0))
        score = 1 / (1 + np.exp(-np.clip(values[-1] @ self.layers[-1], -30, 30)))
        slope = (score - labels[:, None]) * weights[:, None] / len(labels)
        for i in (2, 1, 0):
            step = values[i].T @ slope
            slope = (slope @ self.layers[i].T) * (values[i] > 0)
            self.layers[i] = self.layers[i] - 0.1 * step
        return len(labels)


def in_memory(files):
    """All events at once; what is timed is the epoch alone, as from the second epoch on."""
    parts = [prepare(load_events(path, INPUT_BRANCHES), label) for path, label in files.items()]
    arrays = [np.concatenate(part) for part in zip(*parts, strict=True)]

    def batches():
        order = np.random.default_rng(1).permutation(len(arrays[0]))
        for at in range(0, len(order), BATCH):
            yield tuple(array[order[at : at + BATCH]] for array in arrays)

    return batches


def streamed(files, chunk=50_000):
    buffer = max(chunk, 200_000)
    return BatchStream(files, prepare, np.random.default_rng(1), INPUT_BRANCHES, (0, 1), BATCH, chunk, buffer).__iter__


def batch_by_batch(files):
    """From each file the events of one batch: the obvious generator."""

    def batches():
        trees = [(uproot.open(path)["Events"], label) for path, label in files.items()]
        n_batches = -(-sum(tree.num_entries for tree, _ in trees) // BATCH)
        for i in range(n_batches):
            parts = []
            for tree, label in trees:
                start, stop = (tree.num_entries * k // n_batches for k in (i, i + 1))
                columns = tree.arrays(INPUT_BRANCHES, entry_start=start, entry_stop=stop, library="np")
                parts.append(prepare(columns, label))
            yield tuple(np.concatenate(part) for part in zip(*parts, strict=True))

    return batches


@pytest.mark.benchmark(group="one epoch of a network, a million events")
@pytest.mark.parametrize("source", [in_memory, streamed, batch_by_batch])
def test_training(benchmark, files, source):
    network, batches = Network(), source(files)
    n = benchmark.pedantic(lambda: sum(network.train(*batch) for batch in batches()), rounds=1)
    assert n == N_EVENTS // 30_000 * 30_000


@pytest.mark.benchmark(group="one epoch without a network, a million events")
@pytest.mark.parametrize("source", [in_memory, streamed, batch_by_batch])
def test_batches_alone(benchmark, files, source):
    batches = source(files)
    benchmark.pedantic(lambda: sum(len(labels) for _, labels, _ in batches()), rounds=1)


@pytest.mark.benchmark(group="one epoch without a network, events read at once")
@pytest.mark.parametrize("chunk", [3_000, 10_000, 30_000, 100_000])
def test_size_of_a_chunk(benchmark, files, chunk):
    batches = streamed(files, chunk)
    benchmark.pedantic(lambda: sum(len(labels) for _, labels, _ in batches()), rounds=1)


# --- the shuffle ------------------------------------------------------------------------------------------------------


def copy(source, target):
    """Read and write once, 100 000 events at a time, in the order of the source."""
    with uproot.open(source) as old, uproot.recreate(target, compression=old.file.compression) as new:
        tree = None
        for events in old["Events"].iterate(step_size=100_000):
            for at in range(0, len(events), 10_000):
                columns = columns_of(events[at : at + 10_000])
                if tree is None:
                    kinds = {name: ak.type(ak.Array(column)).content for name, column in columns.items()}
                    tree = new.mktree("Events", kinds)
                tree.extend(columns)


def shuffle(source, target):
    shuffle_file(source, target, np.random.default_rng(1), "200MB")


@pytest.mark.benchmark(group="a million events from file to file, the shuffle within 200 MB")
@pytest.mark.parametrize("write", [copy, shuffle])
def test_shuffle_beside_a_copy(benchmark, large_file, tmp_path, write):
    """The shuffle should take at most 2.5 times as long."""
    benchmark.pedantic(write, (large_file, tmp_path / "result.root"), rounds=1)


MEASURE = """
import json, sys
import numpy as np
from coursekit.streaming import shuffle_file
shuffle_file(sys.argv[1], sys.argv[2], np.random.default_rng(1), "200MB")
# ru_maxrss would count the parent process, too, from before the exec
print(next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.benchmark(group="peak memory of the shuffle within 200 MB, in the table of --benchmark-json")
@pytest.mark.parametrize("n_events", [2_000_000, 6_000_000])
def test_memory(benchmark, tmp_path, n_events):
    """Without compression, as only the sizes matter here: two and seven times the memory in events."""
    source = repeat([DATA / name for name in FILES], tmp_path / "large.root", n_events, None)
    command = [sys.executable, "-c", MEASURE, source, tmp_path / "result.root"]
    done = benchmark.pedantic(subprocess.run, (command,), {"capture_output": True, "check": True}, rounds=1)
    peak = json.loads(done.stdout)
    benchmark.extra_info |= {"peak_bytes": peak, "event_bytes": plan_shuffle(source).event_bytes * n_events}
    print(f"\n{n_events} events, {benchmark.extra_info['event_bytes'] / 1e6:.0f} MB: peak memory {peak / 1e6:.0f} MB")
    assert peak < 200e6
