"""Streams in Keras and in PyTorch."""

import sys
import types

import numpy as np
import pytest

from coursekit.streaming import (
    BatchStream,
    keras_dataset,
    torch_dataset,
)
from tests.streaming.conftest import numbers
from tests.streaming.test_batches import all_events, jets_and_labels, stream_of


def keras_like(monkeypatch):
    """Stand in for Keras: as its trainer does, look at batches first, and ask for them in random order."""
    keras = types.ModuleType("keras")
    keras.utils = types.SimpleNamespace(PyDataset=type("PyDataset", (), {}))
    monkeypatch.setitem(sys.modules, "keras", keras)

    def fit(dataset, epochs):
        _ = dataset[0], dataset[1]
        for epoch in range(epochs):
            dataset.on_epoch_begin()
            yield [dataset[int(i)] for i in np.random.default_rng(epoch).permutation(len(dataset))]

    return fit


def test_keras_gets_each_event_once_an_epoch(files, monkeypatch):
    fit = keras_like(monkeypatch)
    stream = stream_of(files)
    dataset = keras_dataset(stream)
    for epoch, batches in enumerate(fit(dataset, 2)):
        np.testing.assert_array_equal(np.concatenate([x[:, 0] for x, _, _ in batches]), numbers(stream, epoch))
    assert len([dataset[i] for i in range(len(dataset))]) == 83  # by hand, without the hooks
    with pytest.raises(IndexError, match="the stream has 83"):
        dataset[83]


def test_a_missing_framework_names_what_to_install(files, monkeypatch):
    for name, function in ("keras", keras_dataset), ("torch", torch_dataset):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ImportError, match=rf"coursekit\[{name}\]"):
            function(stream_of(files))


# NumPy 2 says it to Keras on the torch backend.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_keras_itself(files):
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Rescaling(1e-5), keras.layers.Dense(1)])

    class Total(keras.metrics.Metric):
        def __init__(self):
            super().__init__(name="total")
            self.total = self.add_weight(shape=(), initializer="zeros")

        def update_state(self, y, score, sample_weight=None):
            self.total.assign_add(keras.ops.sum(sample_weight))

        def result(self):
            return self.total

    def with_ones(events, label):
        x = np.stack([events["event"], events["event"]], axis=1).astype("f4")
        return x, np.full((len(x), 1), label, "f4"), np.where(x[:, 0] % 2 == 0, 1, 0.5).astype("f4")

    stream, fixed = (
        BatchStream(files, with_ones, rng, ["event"], chunk=700) for rng in (np.random.default_rng(1), None)
    )
    model.compile("sgd", "mse", weighted_metrics=[Total()])
    history = model.fit(keras_dataset(stream), validation_data=keras_dataset(fixed), epochs=3, verbose=0).history
    expected = np.where(all_events() % 2 == 0, 1, 0.5).sum()
    assert history["total"] == history["val_total"] == [expected] * 3
    in_memory = np.concatenate([x for x, _, _ in fixed])
    np.testing.assert_allclose(
        model.predict(keras_dataset(fixed), verbose=0), model.predict(in_memory, verbose=0), rtol=1e-4, atol=1e-5
    )


def test_torch_itself(files, jet_file):
    torch = pytest.importorskip("torch")
    stream = stream_of(files)
    dataset = torch_dataset(stream)
    loader = torch.utils.data.DataLoader(dataset, batch_size=None)
    for epoch in range(2):
        found = torch.cat([inputs[:, 0] for inputs, _, _ in loader]).numpy()
        np.testing.assert_array_equal(found, numbers(stream, epoch))
    assert len(dataset) == 83
    with pytest.raises(RuntimeError, match="each worker would read all events"):
        next(iter(torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=1)))
    jets = BatchStream({jet_file: None}, jets_and_labels, None, batch_size=500)
    for (packed, counts), labels, _ in torch_dataset(jets):
        assert packed.shape == (counts.sum(), 4)
        assert len(counts) == len(labels) == 500
