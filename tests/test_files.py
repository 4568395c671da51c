"""A file appears whole or not at all, whoever writes it."""

import json
import os

import h5py
import numpy as np
import pytest
import uproot

from coursekit.files import replacing
from coursekit.jets import save_jets, unpack
from coursekit.ledger import record
from coursekit.preprocess import Scaler
from coursekit.splitting import save_indices


def write_h5py(path):
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(3)


def write_uproot(path):
    with uproot.recreate(path) as file:
        file.mktree("Events", {"x": "float32"}).extend({"x": np.ones(3)})


def write_torch(path):
    torch = pytest.importorskip("torch")
    torch.save({"x": torch.ones(3)}, path)


WRITERS = {
    "file.h5": write_h5py,
    "file.root": write_uproot,
    "file.npz": lambda path: np.savez(path, x=np.arange(3)),
    "file.json": lambda path: path.write_text(json.dumps([1, 2, 3])),
    "file.pt": write_torch,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_replaces_and_leaves_nothing_beside(tmp_path, name):
    path = tmp_path / name
    path.write_text("the former file")
    with replacing(path) as partial:
        WRITERS[name](partial)
        assert path.read_text() == "the former file"
    assert path.stat().st_size
    assert path.read_bytes() != b"the former file"
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
@pytest.mark.parametrize("name", WRITERS)
def test_after_an_error_the_former_file_is_there_and_nothing_else(tmp_path, name, error):
    path = tmp_path / name
    path.write_text("the former file")

    def write():
        with replacing(path) as partial:
            WRITERS[name](partial)
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "the former file"
    assert os.listdir(tmp_path) == [name]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "file.npz"):
        pass
    assert os.listdir(tmp_path) == []


def test_the_file_has_the_rights_that_a_new_file_gets(tmp_path):
    (tmp_path / "plain").write_text("")
    with replacing(tmp_path / "ours") as partial:
        partial.write_text("")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("jets.h5", lambda path: save_jets(path, unpack(np.ones((3, 4)), [2, 1]), [1, 0])),
        ("variables.json", lambda path: Scaler.fit(np.eye(2), ["a", "b"]).save(path)),
        ("split.npz", lambda path: save_indices(path, {"train": [0]}, "x")),
        ("ledger/08.npz", lambda path: record(path.parents[1] / "08", "coin", [0, 1], [0.1, 0.2], 0)),
    ],
)
def test_what_the_package_saves_is_never_half_written(tmp_path, monkeypatch, name, save):
    path = tmp_path / name
    monkeypatch.delenv("COURSEKIT_DATA", raising=False)
    save(path)
    before = path.read_bytes()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        save(path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]
