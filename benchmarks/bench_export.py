"""One network, evaluated as frameworks, ONNX Runtime and compiled C++ do it: jet by jet, and ten thousand at once.

Run with ``pytest -n 0 benchmarks/bench_export.py``: numbers in brackets are ratios to the fastest of the group. All
take raw inputs, default values among them, and give the same probabilities; scaling is part of each. Everything has
one thread, as a job of an experiment does. The C++ is what `export_cpp` writes, in a loop that is compiled with it.
"""

import ctypes
import os
import subprocess

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}  # read when the libraries start

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
import torch
from torch import nn

from coursekit.export import export_cpp, export_onnx
from coursekit.nets.deepsets import DeepSets
from coursekit.nets.keras_nets import build_dense
from coursekit.preprocess import Scaler

N_INPUTS, FEW, MANY = 20, 20, 10_000
CLASSES = ["light", "c", "b"]
LOOP = """
#include "network.hxx"

extern "C" void *session(const char *weights, std::size_t most) { return new tagger_network::Session(weights, most); }

// Jets that follow one another in `x`, with `rows[i]` rows each.
extern "C" void one_by_one(void *session, std::size_t n, const std::size_t *rows, const float *x, float *y)
{
   for (std::size_t i = 0; i < n; ++i) {
      const auto jet = static_cast<tagger_network::Session *>(session)->infer(rows[i], x);
      y = std::copy(jet.begin(), jet.end(), y);
      x += rows[i] * N_INPUTS;
   }
}
"""


class Compiled:
    """The C++ of an ONNX file, called through `ctypes`, once for many jets."""

    def __init__(self, model, folder, n_inputs, most):
        export_cpp(model, folder)
        (folder / "loop.cpp").write_text(LOOP, encoding="utf-8")
        options = ["-O2", "-std=c++17", "-shared", "-fPIC", f"-DN_INPUTS={n_inputs}", "-lopenblas"]
        subprocess.run(["g++", "loop.cpp", "-o", "loop.so", *options], cwd=folder, check=True)
        self.library = ctypes.CDLL(str(folder / "loop.so"))
        self.library.session.restype = ctypes.c_void_p
        weights = str(folder / "model.dat").encode()
        self.session = ctypes.c_void_p(self.library.session(weights, ctypes.c_size_t(most)))

    def __call__(self, n_jets, x, rows):
        """Return the probabilities of jets, evaluated so many rows of `x` at a time."""
        y, rows = np.empty((n_jets, len(CLASSES)), dtype=np.float32), rows.astype(np.uintp)
        pointers = (array.ctypes.data_as(ctypes.c_void_p) for array in (rows, x, y))
        self.library.one_by_one(self.session, ctypes.c_size_t(len(rows)), *pointers)
        return y


def runtime(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)


# --- a table ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(1)
    table = rng.normal(5, 3, size=(MANY, N_INPUTS))
    for i in range(12):
        table[rng.uniform(size=MANY) < 0.3, i] = -90
    return table.astype(np.float32)


@pytest.fixture(scope="module")
def ways(table, tmp_path_factory):
    """For each way a function of raw jets (N, F)."""
    folder = tmp_path_factory.mktemp("table")
    names = [f"x{i}" for i in range(N_INPUTS)]
    defaults = dict.fromkeys(names[:12], -90.0)
    scaler = Scaler.fit(table, names, defaults=defaults, checks={"no_vertex": "x0", "no_track": "x6"})
    keras.utils.set_random_seed(1)
    model = build_dense(N_INPUTS + 2, (64, 64, 64), n_classes=3)
    layers = []
    for layer in model.layers:
        kernel, bias = layer.kernel.numpy(), layer.bias.numpy()
        layers += [nn.Linear(*kernel.shape), nn.ReLU()]
        layers[-2].weight.data, layers[-2].bias.data = torch.from_numpy(kernel.T.copy()), torch.from_numpy(bias)
    net = nn.Sequential(*layers[:-1], nn.Softmax(dim=1)).eval()
    onnx = export_onnx(folder / "tagger.onnx", model, table, classes=CLASSES, scaler=scaler)
    session, compiled = runtime(onnx), Compiled(onnx, folder / "cpp", N_INPUTS, MANY)

    def pytorch(x):
        with torch.inference_mode():
            return net(torch.from_numpy(scaler.transform(x))).numpy()

    return {
        "keras predict": lambda x: model.predict(scaler.transform(x), batch_size=MANY, verbose=0),
        "keras call": lambda x: model(scaler.transform(x), training=False).numpy(),
        "pytorch": pytorch,
        "onnx runtime": lambda x: session.run(None, {"x": x})[0],
        "c++ one by one": lambda x: compiled(len(x), x, np.ones(len(x))),
        "c++ at once": lambda x: compiled(len(x), x, np.array([len(x)])),
    }


WAYS = ["keras predict", "keras call", "pytorch", "onnx runtime", "c++ one by one", "c++ at once"]


@pytest.mark.benchmark(group=f"{FEW} jets, one at a time")
@pytest.mark.parametrize("way", WAYS[:-1])
def test_one_at_a_time(benchmark, ways, table, way):
    jets = [table[i : i + 1] for i in range(FEW)]
    if way == "c++ one by one":  # the loop is in C++, too
        got = benchmark(ways[way], table[:FEW])
    else:
        got = benchmark(lambda: np.concatenate([ways[way](jet) for jet in jets]))
    assert np.abs(got - ways["onnx runtime"](table[:FEW])).max() < 1e-6
    print(f"\n{way}: {1e6 * benchmark.stats['median'] / FEW:,.1f} us a jet")


@pytest.mark.benchmark(group=f"{FEW} jets, one at a time")
def test_the_scaler_one_at_a_time(benchmark, table):
    """What `Scaler.transform` takes of the time of Keras and PyTorch; it looks for what is missing or not finite."""
    names = [f"x{i}" for i in range(N_INPUTS)]
    scaler = Scaler.fit(table, names, defaults=dict.fromkeys(names[:12], -90.0), checks={"no_vertex": "x0"})
    benchmark(lambda: [scaler.transform(table[i : i + 1]) for i in range(FEW)])


@pytest.mark.benchmark(group=f"{MANY} jets at once")
@pytest.mark.parametrize("way", WAYS)
def test_many_at_once(benchmark, ways, table, way):
    got = benchmark(ways[way], table)
    assert np.abs(got - ways["onnx runtime"](table)).max() < 1e-6
    print(f"\n{way}: {1e6 * benchmark.stats['median'] / MANY:,.2f} us a jet")


# --- tracks -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tracks():
    rng = np.random.default_rng(1)
    counts = np.minimum(rng.poisson(7, MANY), 25)
    return rng.normal(size=(counts.sum(), 8)).astype(np.float32), counts


@pytest.fixture(scope="module")
def ways_of_tracks(tracks, tmp_path_factory):
    """For each way a function of raw tracks (T, F) and counts (N,)."""
    folder = tmp_path_factory.mktemp("tracks")
    scaler = Scaler.fit(tracks[0], [f"x{i}" for i in range(8)])
    torch.manual_seed(1)
    net = DeepSets(8, phi=(64, 64), latent=64, rho=(64, 64), n_outputs=3).eval()
    onnx = export_onnx(folder / "tagger.onnx", net, tracks, classes=CLASSES, scaler=scaler)
    session, compiled = runtime(onnx), Compiled(onnx, folder / "cpp", 8, 25)

    def pytorch(x, counts):
        with torch.inference_mode():
            return net(torch.from_numpy(scaler.transform(x)), torch.from_numpy(counts)).softmax(dim=1).numpy()

    return {
        "pytorch": pytorch,
        "onnx runtime": lambda x, counts: session.run(None, {"x": x, "counts": counts})[0],
        "c++ one by one": lambda x, counts: compiled(len(counts), x, counts),
    }


WAYS_OF_TRACKS = ["pytorch", "onnx runtime", "c++ one by one"]


@pytest.mark.benchmark(group=f"the tracks of {FEW} jets, one jet at a time")
@pytest.mark.parametrize("way", WAYS_OF_TRACKS)
def test_tracks_one_jet_at_a_time(benchmark, ways_of_tracks, tracks, way):
    x, counts = tracks[0][: tracks[1][:FEW].sum()], tracks[1][:FEW]
    jets = list(zip(np.split(x, np.cumsum(counts)[:-1]), counts[:, None], strict=True))
    if way == "c++ one by one":
        got = benchmark(ways_of_tracks[way], x, counts)
    else:
        got = benchmark(lambda: np.concatenate([ways_of_tracks[way](*jet) for jet in jets]))
    assert np.abs(got - ways_of_tracks["onnx runtime"](x, counts)).max() < 1e-6
    print(f"\n{way}: {1e6 * benchmark.stats['median'] / FEW:,.1f} us a jet")


@pytest.mark.benchmark(group=f"the tracks of {MANY} jets at once")
@pytest.mark.parametrize("way", WAYS_OF_TRACKS)
def test_tracks_of_many_at_once(benchmark, ways_of_tracks, tracks, way):
    got = benchmark(ways_of_tracks[way], *tracks)
    assert np.abs(got - ways_of_tracks["onnx runtime"](*tracks)).max() < 1e-6
    print(f"\n{way}: {1e6 * benchmark.stats['median'] / MANY:,.2f} us a jet")
