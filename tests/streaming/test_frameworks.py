"""Streams in Keras and in PyTorch."""

import sys
import threading
import types

import numpy as np
import pytest

from coursekit.streaming import (
    BatchStream,
    keras_dataset,
    torch_dataset,
)
from tests.streaming.conftest import numbers, prepare
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


def test_steps_per_epoch_go_on_where_the_last_stopped(files, monkeypatch):
    keras_like(monkeypatch)
    stream = stream_of(files, batch_size=700)  # 16 batches an epoch
    dataset, expected = keras_dataset(stream), [numbers(stream, epoch) for epoch in range(2)]
    found, order = [], np.random.default_rng(1).permutation(16)
    for steps in (order[:5], order[5:8], order[8:], order[:16]):
        dataset.on_epoch_begin()
        found += [dataset[int(i)][0][:, 0] for i in steps]
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(expected))


def test_a_batch_by_its_number_is_always_the_same(files, monkeypatch):
    keras_like(monkeypatch)
    stream = stream_of(files, rng=None, batch_size=700)
    dataset, expected = keras_dataset(stream), list(stream.batches(0))
    for number in (0, 3, 1, 15, 2):
        np.testing.assert_array_equal(dataset[number][0], expected[number][0])
    assert [len(y) for _, y, _ in dataset] == [len(y) for _, y, _ in expected]


def test_an_error_while_reading_loses_no_batch(files, monkeypatch):
    keras_like(monkeypatch)
    calls = []

    def fails_once(events, label):
        calls.append(label)
        if len(calls) == 30:
            raise OSError("the network drive is away")
        return prepare(events, label)

    stream = BatchStream(files, fails_once, np.random.default_rng(1), ["event"], batch_size=700, chunk=700, buffer=1400)
    dataset, found = keras_dataset(stream), []
    dataset.on_epoch_begin()
    with pytest.raises(OSError, match="away"):
        found.extend(dataset[i][0][:, 0] for i in range(16))
    found += [dataset[i][0][:, 0] for i in range(16 - len(found))]
    np.testing.assert_array_equal(np.concatenate(found), numbers(stream, 0))


def test_what_keras_cannot_have_is_refused(files, jet_file, monkeypatch):
    keras_like(monkeypatch)
    dataset = keras_dataset(stream_of(files))
    for name, value in ("workers", 2), ("use_multiprocessing", True):
        with pytest.raises(ValueError, match="each worker would read a stream of its own: leave workers at 1"):
            setattr(dataset, name, value)
    with pytest.raises(ValueError, match=r"Keras takes arrays, but prepare returned inputs of type .*: pad them"):
        keras_dataset(BatchStream({jet_file: None}, jets_and_labels, None))[0]


def test_a_data_set_that_is_dropped_stops_reading(files, monkeypatch):
    keras_like(monkeypatch)

    def begin():
        dataset = keras_dataset(stream_of(files))
        dataset.on_epoch_begin()
        _ = dataset[0], dataset[1]

    begin()
    assert not [thread for thread in threading.enumerate() if thread.name == "coursekit stream"]


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


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_every_training_of_keras_goes_on_where_the_last_stopped(files):
    keras = pytest.importorskip("keras")
    learned, every = [], all_events()

    class Model(keras.Sequential):
        fails = False

        def train_step(self, *data):
            if self.fails:
                raise KeyboardInterrupt
            learned.append(keras.ops.convert_to_numpy(data[-1][0])[:, 0])
            return super().train_step(*data)

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 4

    def numbered(events, label):
        number = events["event"].astype("f4")
        return np.stack([number, number / 30_000], axis=1), np.zeros(len(number), "f4"), np.ones(len(number), "f4")

    model = Model([keras.layers.Input((2,)), keras.layers.Rescaling([0.0, 1.0]), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    stream, in_order = (
        BatchStream(files, numbered, rng, ["event"], batch_size=700, chunk=700, buffer=2000)  # 16 batches
        for rng in (np.random.default_rng(1), None)
    )
    training, validation = keras_dataset(stream), keras_dataset(in_order)
    model.fit(training, steps_per_epoch=3, epochs=2, verbose=0, validation_data=validation, validation_steps=2)
    model.fit(training, callbacks=[Stop()], verbose=0, shuffle=False)
    model.fails = True
    with pytest.raises(KeyboardInterrupt):
        model.fit(training, verbose=0)
    model.fails = False
    for dataset, source in (training, stream), (validation, in_order):  # from the first batch to the last
        x = np.concatenate([inputs for inputs, _, _ in source.batches(0)])
        predicted = model.predict(dataset, verbose=0)
        np.testing.assert_allclose(predicted, model.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
        model.evaluate(dataset, steps=1, verbose=0)
    model.fit(training, steps_per_epoch=1, epochs=5, validation_data=training, validation_steps=1, verbose=0)
    np.testing.assert_array_equal(np.sort(np.concatenate(learned)), np.sort(every))
    model.fit(training, verbose=0)
    np.testing.assert_array_equal(np.concatenate(learned[16:]), numbers(stream, 1))
    model.fit(training, steps_per_epoch=7, epochs=5, validation_data=validation, verbose=0)
    model.fit(training, steps_per_epoch=29, verbose=0)  # across the ends of the stream, which Keras does not see
    for epoch in range(2, 6):
        np.testing.assert_array_equal(np.sort(np.concatenate(learned[16 * epoch :][:16])), np.sort(every))
    assert len(learned) == 6 * 16


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
