"""An interrupted training goes on to the very weights of an uninterrupted one, or says why it cannot."""

import errno
import functools
import os
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from coursekit.checkpoints import describe  # noqa: E402
from coursekit.training import rotate_and_flip  # noqa: E402
from tests.test_training import build, generator, make_jets, mse, trained, weights  # noqa: E402


def interrupted(at, model=None, **settings):
    """Break a training off at its n-th batch."""
    model, left = build() if model is None else model, [at]

    def count(module, inputs):
        left[0] -= module.training
        if left[0] < 0:
            raise KeyboardInterrupt

    with model.register_forward_pre_hook(count), pytest.raises(KeyboardInterrupt):
        trained(model=model, **settings)


@pytest.mark.parametrize("at", [4, 9, 15])  # after the first epoch of four batches, in the third, in the fourth
def test_a_resumed_training_ends_with_the_very_same_weights(tmp_path, at):
    expected, history = trained(model=build(dropout=0.3), augment=rotate_and_flip, epochs=5)
    settings = {"epochs": 5, "checkpoint": tmp_path / "run.pt"}
    interrupted(at, model=build(dropout=0.3), augment=rotate_and_flip, **settings)
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
    interrupted(n_steps, augment=rotate_and_flip, **settings)
    resumed, same = trained(augment=rotate_and_flip, **settings)
    assert same == history
    assert torch.equal(weights(resumed), weights(expected))


def test_a_finished_training_is_only_read(tmp_path):
    expected, history = trained(checkpoint=tmp_path / "run.pt")
    model = build(seed=99)
    with model.register_forward_pre_hook(lambda *_: pytest.fail("a batch was learned")):
        model, same = trained(model=model, checkpoint=tmp_path / "run.pt")
    assert torch.equal(weights(model), weights(expected))
    assert same == history
    assert os.listdir(tmp_path) == ["run.pt"]


def test_a_checkpoint_is_complete_or_the_former_one(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    interrupted(5, checkpoint=path)
    former = path.read_bytes()

    def full_disk(self, content):
        with self.open("wb") as file:
            file.write(b"half of")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full_disk)
    with pytest.raises(OSError, match=r"No space left on device while .*run\.pt was written; nothing of it is kept"):
        trained(checkpoint=path)
    assert path.read_bytes() == former


def other_labels():
    jets = make_jets()
    jets.targets = 1 - jets.targets
    return jets


def averaging():
    model = build()
    model.pooling = "mean"
    return model


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 32}, "batch_size was 64 and is 32"),
        ({"epochs": 9, "learning_rate": 1e-4}, "epochs was 3 and is 9, learning_rate was 0.003 and is 0.0001"),
        ({"generator": generator(6)}, "seed was 5 and is 6"),
        ({"jets": make_jets(100)}, "training jets was 200 and is 100"),
        ({"model": build(n_outputs=2)}, "parameters was .* and is .*"),
        ({"jets": make_jets(seed=9)}, "values of the training jets was [0-9a-f]{12} and is [0-9a-f]{12}"),
        ({"validation": make_jets(seed=9)}, "values of the validation jets was .* and is .*"),
        ({"jets": other_labels()}, "values of the training jets was .* and is .*"),
        ({"loss": mse}, r"loss was torch\.nn\.functional\.binary_cross.* and is torch\.nn\.functional\.mse_loss"),
        ({"augment": rotate_and_flip}, r"augment was None and is coursekit\.training\.rotate_and_flip"),
        ({"patience": 2}, "patience was None and is 2"),
        ({"weight_decay": 0.1}, r"weight_decay was 0\.0 and is 0\.1"),
        ({"schedule": "constant"}, "schedule was one-cycle and is constant"),
        ({"model": build(dropout=0.5)}, r"module rho\.0 was Dropout\(p=0\.0, .*\) and is Dropout\(p=0\.5, .*\)"),
        ({"model": build().double()}, r"phi\.0\.weight was float32 .* and is float64 .*, \d+ more are others"),
        ({"model": averaging()}, r"module model was DeepSets\(.*'sum'\) and is DeepSets\(.*'mean'\)"),
    ],
)
def test_the_checkpoint_of_another_training_is_refused(tmp_path, settings, message):
    path = tmp_path / "run.pt"
    trained(checkpoint=path)
    with pytest.raises(ValueError, match=rf"another training: {message}. Delete it, or name another file"):
        trained(checkpoint=path, **settings)


def power(n):
    return lambda outputs, targets: ((outputs - targets).abs() ** n).mean()


def shifted(outputs, targets, by=0.0):
    return mse(outputs + by, targets)


def test_functions_are_told_apart_by_what_they_do():
    losses = [
        mse,
        power(2),
        power(3),
        lambda outputs, targets: (outputs - targets).abs().mean(),
        functools.partial(shifted, by=1.0),
        functools.partial(shifted, by=2.0),
        torch.nn.MSELoss(),
        torch.nn.BCEWithLogitsLoss(),
        torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0])),
        torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0])),
        Times(2).loss,
        Times(3).loss,
        Times(2),
        Hidden(2),
        Hidden(3),
        type("Hidden", (Hidden,), {"loss": lambda self, outputs, targets: mse(outputs, 2 * targets)})(2),
        Module(2.0),
        Module(3.0),
        torch.nn.Sequential(torch.nn.CosineEmbeddingLoss(margin=0.1)),
        torch.nn.Sequential(torch.nn.CosineEmbeddingLoss(margin=0.2)),
    ]
    assert len({describe(loss) for loss in losses}) == len(losses)
    for one, same in (
        (power(2), power(2)),
        (functools.partial(shifted, by=1.0), functools.partial(shifted, by=np.float64(1))),
        (torch.nn.CrossEntropyLoss(weight=torch.ones(3)), torch.nn.CrossEntropyLoss(weight=torch.ones(3))),
        (Times(2).loss, Times(2).loss),
        (Hidden(2), Hidden(2)),
        (Module(2.0), Module(2.0)),
    ):
        assert describe(one) == describe(same)


class Times:
    def __init__(self, by):
        self.by = by

    def loss(self, outputs, targets):
        return self.by * mse(outputs, targets)

    __call__ = loss


class Hidden:
    __slots__ = ("_by",)

    def __init__(self, by):
        self._by = by

    def __call__(self, outputs, targets):
        return self._by * mse(outputs, targets)


class Module(torch.nn.Module):
    def __init__(self, by):
        super().__init__()
        self.register_buffer("by", torch.tensor(by), persistent=False)

    def forward(self, outputs, targets):
        return self.by * mse(outputs, targets)


@pytest.mark.parametrize(
    "number", [np.float64, np.float32, torch.tensor, lambda x: np.logspace(-3, -2, 3)[0] if x else np.float64(0)]
)
def test_numbers_of_any_origin_can_be_read_back(tmp_path, number):
    settings = {"learning_rate": number(1e-3), "weight_decay": number(0.0), "epochs": np.int64(3)}
    settings |= {"batch_size": np.int32(64), "patience": np.int8(5), "checkpoint": tmp_path / "run.pt"}
    expected, history = trained(**settings)
    model, same = trained(model=build(seed=99), **settings)
    assert torch.equal(weights(model), weights(expected))
    assert same == history


def change(path, **entries):
    content = torch.load(path, weights_only=True)
    for name, value in entries.items():
        content[name] = value(content[name])
    torch.save(content, path)


def flip(path, at):
    """Change one byte; PyTorch would take it for another number."""
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 0x55
    path.write_bytes(content)


def without_first(values):
    return dict(list(values.items())[1:])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(b""), "cannot be read as the checkpoint of a training: .* Delete it, or name"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "cannot be read as .* was cut short"),
        (lambda path: path.write_bytes(path.read_bytes()[:500]), "cannot be read as"),
        (lambda path: flip(path, 0.6), "cannot be read as .* was changed"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500)), "is another kind of file"),
        (lambda path: path.write_text("hello", encoding="utf-8"), "is another kind of file"),
        (lambda path: path.write_bytes(pickle.dumps(Times(2))), "holds more than tensors, numbers and text"),
        (lambda path: torch.save(build(), path), "holds more than tensors, numbers and text"),
        (
            lambda path: torch.save(build().state_dict(), path),
            "is not the checkpoint of a training: it has no settings",
        ),
        (lambda path: torch.save(torch.ones(3), path), "is not the checkpoint of a training"),
        (lambda path: change(path, settings=without_first), "another training: epochs was not saved and is 3"),
        (lambda path: change(path, model=without_first), "is no checkpoint of this training"),
        (lambda path: change(path, best=without_first), "its best weights are those of another model"),
        (lambda path: change(path, optimizer=without_first), "is no checkpoint of this training"),
        (lambda path: change(path, history=lambda h: h | {"loss": []}), "its history has gaps"),
        (lambda path: change(path, random=without_first), "is no checkpoint of this training"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused_and_changes_nothing(tmp_path, spoil, message):
    path = tmp_path / "run.pt"
    trained(checkpoint=path)
    spoil(path)
    spoiled, model, order, random = path.read_bytes(), build(seed=99), generator(), torch.get_rng_state()
    before = weights(model)
    with pytest.raises(ValueError, match=message) as caught:
        trained(model=model, checkpoint=path, generator=order)
    assert "\n" not in str(caught.value)
    assert torch.equal(weights(model), before)
    assert torch.equal(order.get_state(), generator().get_state())
    assert torch.equal(torch.get_rng_state(), random) or "seed" in message
    assert path.read_bytes() == spoiled


def test_a_checkpoint_that_could_not_be_read_is_not_written(tmp_path):
    class Odd(type(build())):
        def get_extra_state(self):
            return Times(2)

        def set_extra_state(self, state):
            pass

    with pytest.raises(ValueError, match=r"run\.pt cannot be read .* holds more than tensors, numbers and text"):
        trained(model=Odd(3), checkpoint=tmp_path / "run.pt")
    assert os.listdir(tmp_path) == []


def test_a_checkpoint_needs_a_folder_before_hours_are_spent(tmp_path):
    for path, error, message in [
        (tmp_path / "no" / "run.pt", FileNotFoundError, "there is no folder .*no for this checkpoint"),
        (tmp_path, IsADirectoryError, "is a folder: name a file in it"),
        ("", IsADirectoryError, "is a folder: name a file in it"),
    ]:
        with pytest.raises(error, match=message):
            trained(checkpoint=path)


def test_memory_that_runs_out_says_nothing_about_the_file(tmp_path, monkeypatch):
    trained(checkpoint=tmp_path / "run.pt")

    def full(*args, **kwargs):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(MemoryError, match=r"run\.pt: DefaultCPUAllocator"):
        trained(checkpoint=tmp_path / "run.pt")


def test_the_checkpoint_of_a_gpu_goes_on_without_one_and_the_other_way_round(tmp_path, monkeypatch):
    expected, history = trained(checkpoint=tmp_path / "run.pt")
    for scaler in ({}, {"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000}):
        state = {"scale": 65536.0, "_growth_tracker": 0, **scaler} if scaler else {}
        change(tmp_path / "run.pt", scaler=lambda _, state=state: state, random=lambda r: r | {"cuda": [r["cpu"]]})
        model, same = trained(model=build(seed=99), checkpoint=tmp_path / "run.pt")
        assert same == history
        assert torch.equal(weights(model), weights(expected))
    change(tmp_path / "run.pt", scaler=lambda _: {})
    enabled = torch.amp.GradScaler
    monkeypatch.setattr(torch.amp, "GradScaler", lambda device, enabled_=None, **_: enabled(device, enabled=True))
    assert trained(checkpoint=tmp_path / "run.pt")[1] == history
