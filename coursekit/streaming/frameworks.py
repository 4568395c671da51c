"""The way of a stream of batches into Keras and PyTorch."""

import collections
import functools
import itertools
import sys
import threading
import weakref
from collections.abc import Callable, Iterator

import awkward as ak

from coursekit.jets import pack
from coursekit.streaming.batches import Batch, BatchStream

# Batches that Keras may ask for once more: it looks at some to see their shapes, and fetches some ahead.
_KEPT = 4


def keras_dataset(stream: BatchStream):
    """Hand a stream to Keras: ``model.fit(keras_dataset(training), validation_data=keras_dataset(validation))``.

    Parameters
    ----------
    stream : BatchStream
        Its inputs are NumPy arrays.

    Returns
    -------
    keras.utils.PyDataset
        `fit` learns from one batch of the stream after the other, epoch after epoch, whatever number it asks for: the
        stream has shuffled already. With ``steps_per_epoch`` of any number, or after a `fit` that was stopped in the
        middle of an epoch, it goes on where it stopped, so that every event is seen before any is seen again; only the
        batch at which an error or Ctrl-C stopped it comes once more. `evaluate`, `predict`, and ``dataset[i]`` by hand
        get batch i of epoch 0, each time the same, and take nothing away from a training. ``for batch in dataset`` is
        that of the stream.

    Raises
    ------
    ImportError
        Keras is not installed.
    ValueError
        `workers` or `use_multiprocessing` are set, since each worker would have a stream of its own; or, while reading,
        inputs are jagged.
    """
    try:
        import keras
    except ImportError as error:
        raise ImportError('keras_dataset needs Keras: pip install "coursekit[keras]"') from error

    class StreamDataset(keras.utils.PyDataset):
        workers = property(lambda self: 1, _refuse_workers)
        use_multiprocessing = property(lambda self: False, _refuse_workers)

        def __init__(self):
            super().__init__()
            self._supply, self._endless = _Supply(stream), weakref.WeakSet()

        def __len__(self):
            return len(stream)

        @property
        def num_batches(self):
            # With steps_per_epoch there is no end: Keras would cut the epoch short in which the stream begins anew.
            asker = _asker(sys._getframe(1))
            if _counts_steps(sys._getframe(1)):
                self._endless.add(asker)
            return None if asker in self._endless else len(stream)

        def __iter__(self):
            return iter(stream)

        def __getitem__(self, index):
            asker = _asker(sys._getframe(1))
            return self._supply.batch(asker, index % len(stream) if asker in self._endless else index)

        def on_epoch_begin(self):
            method = _method(sys._getframe(1))
            if method is not None and method.f_code.co_name != "fit":
                return
            callbacks = getattr(method and method.f_locals.get("callbacks"), "callbacks", None)
            learned = self._supply.begin_epoch(_asker(sys._getframe(1)), by_hand=callbacks is None)
            if learned and callbacks is not None:
                callbacks.append(keras.callbacks.LambdaCallback(on_train_batch_end=learned))

    return StreamDataset()


def torch_dataset(stream: BatchStream):
    """Hand a stream to PyTorch: ``for inputs, labels, weights in DataLoader(torch_dataset(stream), batch_size=None)``.

    Parameters
    ----------
    stream : BatchStream

    Returns
    -------
    torch.utils.data.IterableDataset
        Of batches of tensors that share memory with the arrays. Jagged inputs with F fields become a pair: packed
        (T, F), and counts (N,). Each pass goes through the next epoch of the stream, from its beginning: what is left
        of a pass that was broken off is given up.

    Raises
    ------
    ImportError
        PyTorch is not installed.
    RuntimeError
        While reading: a `DataLoader` has workers, each of which would read all events.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError('torch_dataset needs PyTorch: pip install "coursekit[torch]"') from error

    class StreamDataset(torch.utils.data.IterableDataset):
        def __len__(self):
            return len(stream)

        def __iter__(self):
            if torch.utils.data.get_worker_info() is not None:
                raise RuntimeError(
                    "each worker would read all events: take DataLoader(dataset, batch_size=None, num_workers=0); "
                    "the stream reads ahead in a thread of its own."
                )
            for inputs, labels, weights in stream:
                if isinstance(inputs, ak.Array):
                    inputs = tuple(map(torch.from_numpy, pack(inputs, inputs.fields)))
                else:
                    inputs = torch.from_numpy(inputs)
                yield inputs, torch.from_numpy(labels), torch.from_numpy(weights)

    return StreamDataset()


class _Supply:
    """What a data set of Keras gives to whom: to a training batch after batch, to all others the one of their number.

    Who asks tells what a request is for: Keras fetches ahead for a training in a thread of its own, while it may have
    begun with the validation. What was fetched and not learned when a training ends is for the next one.
    """

    def __init__(self, stream: BatchStream):
        self._to_learn, self._to_look_at, self._lock = _Numbered(stream), _Numbered(stream), threading.Lock()
        self._n_batches = len(stream)
        self._trainer = weakref.WeakSet()  # who asks for the present training
        self._fit = self._n_given = self._n_learned = self._n_before = 0  # the last: learned before this epoch
        self._by_hand = True

    def batch(self, asker: object, index: int) -> Batch:
        if not 0 <= index < self._n_batches:
            raise IndexError(f"batch {index} was asked for; the stream has {self._n_batches}.")
        with self._lock:
            if asker not in self._trainer:
                return _rectangular(self._to_look_at(index))
            batch = _rectangular(self._to_learn(self._n_given))
            self._n_given += 1
            if self._by_hand:
                self._n_learned = self._n_given
            return batch

    def begin_epoch(self, asker: object, by_hand: bool) -> Callable | None:
        """Begin an epoch of a training; return what Keras shall call with the index of each batch that was learned.

        None if it has that already. In a loop by hand, every batch that is given counts as learned.
        """
        with self._lock:
            self._n_before = min(self._n_learned, self._n_given)
            if asker in self._trainer:
                return None
            self._n_given, self._fit, self._by_hand = self._n_before, self._fit + 1, by_hand
            self._trainer.clear()
            self._trainer.add(asker)
            self._to_look_at.close()
            return functools.partial(self._learned, self._fit)

    def _learned(self, fit: int, batch: int, logs=None) -> None:
        with self._lock:  # Keras may call this from several threads, out of order
            if fit == self._fit:
                self._n_learned = max(self._n_learned, self._n_before + batch + 1)


class _Numbered:
    """The batches of a stream, epoch after epoch, each by its number: read on where possible, else read anew."""

    def __init__(self, stream: BatchStream):
        self._stream, self._kept = stream, collections.deque(maxlen=_KEPT)
        self._batches, self._next = None, 0

    def __call__(self, number: int) -> Batch:
        try:
            if self._batches is None or number < self._next - len(self._kept):
                self.close()
                epoch = number // len(self._stream)
                self._batches, self._next = _endless(self._stream, epoch), epoch * len(self._stream)
            while self._next <= number:
                self._kept.append(next(self._batches))
                self._next += 1
        except BaseException:  # a generator that has raised is at its end, the epoch is not
            self.close()
            raise
        return self._kept[number - self._next]

    def close(self) -> None:
        """Stop reading."""
        if self._batches is not None:
            self._batches.close()
        self._batches = None
        self._kept.clear()


def _endless(stream: BatchStream, epoch: int) -> Iterator[Batch]:
    for number in itertools.count(epoch):
        yield from stream.batches(number)


class _Hand:
    """Who asks for batches where no object of Keras does."""


def _asker(frame) -> object:
    """Return the object whose method a frame runs: Keras makes one for each call of fit, evaluate or predict."""
    return frame.f_locals.get("self", _Hand)


def _method(frame):
    """Return the frame of the method of a Keras model that is at work, None if there is none."""
    # Before its first epoch, fit takes a batch to build what it needs, and throws it away.
    while frame is not None and frame.f_code.co_name not in ("fit", "evaluate", "predict", "_symbolic_build"):
        frame = frame.f_back
    return frame


def _counts_steps(frame) -> bool:
    """Say whether a frame is at work while fit, called with `steps_per_epoch`, prepares to ask for batches."""
    method = _method(frame)
    if method is None or method.f_code.co_name != "fit" or "epoch_iterator" in method.f_locals:
        return False  # it is not fit, or has come to the validation
    return bool(method.f_locals.get("steps_per_epoch"))


def _refuse_workers(_dataset, n) -> None:
    if n > 1 or n is True:
        raise ValueError(
            "each worker would read a stream of its own: leave workers at 1 and use_multiprocessing at False; the "
            "stream reads ahead in a thread"
        )


def _rectangular(batch: Batch) -> Batch:
    if isinstance(batch[0], ak.Array):
        raise ValueError(
            f"Keras takes arrays, but prepare returned inputs of type {batch[0].type}: pad them, as with "
            "coursekit.jets.pack and pad, or take torch_dataset"
        )
    return batch
