"""Data larger than memory: reading in chunks, batches for training, and a shuffle that never holds the whole file."""

from coursekit.streaming.batches import BatchStream
from coursekit.streaming.files import event_bytes, read_chunks
from coursekit.streaming.frameworks import keras_dataset, torch_dataset
from coursekit.streaming.shuffle import ShufflePlan, plan_shuffle, shuffle_file

__all__ = [
    "BatchStream",
    "ShufflePlan",
    "event_bytes",
    "keras_dataset",
    "plan_shuffle",
    "read_chunks",
    "shuffle_file",
    "torch_dataset",
]
