"""An interrupted training goes on to the very weights of an uninterrupted one, or says why it cannot."""

import errno
import os

import pytest

torch = pytest.importorskip("torch")

from coursekit.training import rotate_and_flip  # noqa: E402
from tests.test_training import build, generator, make_jets, trained, weights  # noqa: E402


class Interrupt:
    """An augmentation that breaks the training off at its n-th batch."""

    def __init__(self, at):
        self.left = at

    def __call__(self, features, counts, generator):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return rotate_and_flip(features, counts, generator)


@pytest.mark.parametrize("at", [4, 9, 15])  # after the first epoch of four batches, in the third, in the fourth
def test_a_resumed_training_ends_with_the_very_same_weights(tmp_path, at):
    expected, history = trained(model=build(dropout=0.3), augment=rotate_and_flip, epochs=5)
    settings = {"epochs": 5, "checkpoint": tmp_path / "run.pt"}
    with pytest.raises(KeyboardInterrupt):
        trained(model=build(dropout=0.3), augment=Interrupt(at), **settings)
    another_day = build(dropout=0.3, seed=99)
    resumed, same = trained(model=another_day, augment=rotate_and_flip, **settings)
    assert torch.equal(weights(resumed), weights(expected))
    assert same == history


def test_resuming_keeps_the_best_weights_and_the_patience(tmp_path):
    validation = make_jets(seed=2)
    validation.targets = 1 - validation.targets
    settings = {"epochs": 50, "validation": validation, "patience": 5, "learning_rate": 1e-2, "schedule": "constant"}
    expected, history = trained(augment=rotate_and_flip, **settings)
    n_steps = 4 * (len(history["loss"]) - 2)  # two epochs before the end: the best ones are long gone
    settings["checkpoint"] = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        trained(augment=Interrupt(n_steps), **settings)
    resumed, same = trained(augment=rotate_and_flip, **settings)
    assert same == history
    assert torch.equal(weights(resumed), weights(expected))


def test_a_finished_training_is_only_read(tmp_path):
    expected, history = trained(checkpoint=tmp_path / "run.pt")
    model, same = trained(model=build(seed=99), checkpoint=tmp_path / "run.pt", augment=Interrupt(0))
    assert torch.equal(weights(model), weights(expected))
    assert same == history
    assert os.listdir(tmp_path) == ["run.pt"]


def test_a_checkpoint_is_complete_or_the_former_one(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        trained(augment=Interrupt(5), checkpoint=path)
    former = path.read_bytes()

    def full_disk(self, content):
        with self.open("wb") as file:
            file.write(b"half of")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full_disk)
    with pytest.raises(OSError, match=r"No space left on device while .*run\.pt was written; nothing of it is kept"):
        trained(checkpoint=path)
    assert path.read_bytes() == former


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 32}, "batch_size was 64 and is 32"),
        ({"epochs": 9, "learning_rate": 1e-4}, "epochs was 3 and is 9, learning_rate was 0.003 and is 0.0001"),
        ({"generator": generator(6)}, "seed was 5 and is 6"),
        ({"jets": make_jets(100)}, "training jets was 200 and is 100"),
        ({"model": build(n_outputs=2)}, "parameters was .* and is .*"),
    ],
)
def test_the_checkpoint_of_another_training_is_refused(tmp_path, settings, message):
    path = tmp_path / "run.pt"
    trained(checkpoint=path)
    with pytest.raises(ValueError, match=rf"another training: {message}. Delete it, or name another file"):
        trained(checkpoint=path, **settings)
