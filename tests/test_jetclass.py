"""Jets of ten kinds, read from files as JetClass has them."""

import awkward as ak
import numpy as np
import pytest
import uproot

from coursekit import jets as cj
from tests.test_jets import assert_same, make_jets


def write_jetclass(path, jets, classes, drop=()):
    flat, counts = cj.pack(jets)
    names = ["part_px", "part_py", "part_pz", "part_energy"]
    branches = {name: ak.unflatten(flat[:, i], counts) for i, name in enumerate(names)}
    branches |= {f"label_{name}": (classes == i).astype(np.int32) for i, name in enumerate(cj.JETCLASS_LABELS)}
    branches = {name: array for name, array in branches.items() if name not in drop}
    with uproot.recreate(path) as file:
        file.mktree(
            "tree",
            {
                name: array.type.content if isinstance(array, ak.Array) else array.dtype
                for name, array in branches.items()
            },
        )
        file["tree"].extend(branches)


def test_jetclass_jets_load_to_the_same_structure(tmp_path):
    jets, _ = make_jets(30)
    classes = np.arange(30) % 10
    write_jetclass(tmp_path / "jets.root", jets, classes)
    read, labels = cj.load_jetclass(tmp_path / "jets.root", 4, 20)
    assert_same(read, jets[4:20])
    assert labels.tolist() == classes[4:20].tolist()
    assert cj.JETCLASS_LABELS[labels[4]] == "Tbqq"


def test_bad_jetclass_files(tmp_path):
    path = tmp_path / "jets.root"
    with pytest.raises(FileNotFoundError, match=r"jets.root is missing"):
        cj.load_jetclass(path)
    path.write_bytes(b"nothing of ROOT" * 50)
    with pytest.raises(ValueError, match="not a ROOT file"):
        cj.load_jetclass(path)
    with uproot.recreate(path) as file:
        file.mktree("Events", {"x": "float32"})
    with pytest.raises(KeyError, match="no tree tree; there is Events"):
        cj.load_jetclass(path)
    write_jetclass(path, make_jets(3)[0], np.array([0, 1, 2]), drop=["part_energy"])
    with pytest.raises(KeyError, match="'part_energy'"):
        cj.load_jetclass(path)
    write_jetclass(path, make_jets(3)[0], np.array([0, 1, 99]))
    with pytest.raises(ValueError, match="1 jets do not have exactly one class"):
        cj.load_jetclass(path)
    with pytest.raises(IndexError, match="has 3 jets"):
        cj.load_jetclass(path, 0, 4)
    write_jetclass(path, cj.unpack(np.ones((2, 4), np.float32), [1, 0, 1]), np.array([0, 1, 2]))
    with pytest.raises(ValueError, match="no constituents"):
        cj.load_jetclass(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])
    with pytest.raises(OSError, match="truncated or damaged"):
        cj.load_jetclass(path)
