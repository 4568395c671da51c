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
    one_hot = np.asarray(classes)[:, None] == np.arange(10) if np.ndim(classes) == 1 else classes
    branches |= {f"label_{name}": one_hot[:, i].astype(np.float32) for i, name in enumerate(cj.JETCLASS_LABELS)}
    branches = {name: array for name, array in branches.items() if name not in drop}
    with uproot.recreate(path) as file:
        file.mktree(
            "tree",
            {
                name: array.type.content if isinstance(array, ak.Array) else (array.dtype, array.shape[1:])
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


@pytest.mark.parametrize(
    ("place", "value"), [(0, np.nan), (1, np.inf), (3, -np.inf), (3, -1), (3, 0), (slice(None), 0)]
)
def test_a_constituent_that_is_none_is_refused_by_its_jet(place, value, tmp_path):
    packed, counts = cj.pack(make_jets(20)[0])
    packed[counts[:7].sum(), place] = value
    write_jetclass(tmp_path / "jets.root", cj.unpack(packed, counts), np.zeros(20, int))
    with pytest.raises(ValueError, match=r"jets\.root: 1 jets have a constituent .* the first is row 7;"):
        cj.load_jetclass(tmp_path / "jets.root", 2)
    assert len(cj.load_jetclass(tmp_path / "jets.root", 8)[0]) == 12


@pytest.mark.parametrize("labels", [[0, 0], [1, 1], [np.nan, 1], [0.5, 0.5], [2, -1], [-1, 2]])
def test_labels_that_are_not_one_hot_are_refused_by_their_jet(labels, tmp_path):
    jets, _ = make_jets(9)
    one_hot = np.zeros((9, 10))
    one_hot[:, 2] = 1
    one_hot[5, :3] = [*labels, 0]
    write_jetclass(tmp_path / "jets.root", jets, one_hot)
    with pytest.raises(ValueError, match=r"jets\.root: 1 jets do not have exactly one class, the first is row 5"):
        cj.load_jetclass(tmp_path / "jets.root", 1)
    assert cj.load_jetclass(tmp_path / "jets.root", 0, 5)[1].tolist() == [2] * 5


def test_labels_that_are_lists_are_refused_by_name(tmp_path, monkeypatch):
    write_jetclass(tmp_path / "jets.root", make_jets(3)[0], np.eye(10)[:3, :, None].repeat(2, axis=2))
    with pytest.raises(ValueError, match=r"jets\.root: label_QCD must hold one number for each jet, got 3 \* 2"):
        cj.load_jetclass(tmp_path / "jets.root")
    write_jetclass(tmp_path / "jets.root", make_jets(3)[0], np.eye(10)[:3])
    with pytest.raises(ValueError, match=r"start is a whole number, but 1\.5 came"):
        cj.load_jetclass(tmp_path / "jets.root", 1.5)
    monkeypatch.setattr("coursekit.jets.jetclass.unpack", too_little)
    with pytest.raises(MemoryError, match=r"jets\.root: what is asked for needs more memory .*start and stop"):
        cj.load_jetclass(tmp_path / "jets.root")


def too_little(*_):
    raise MemoryError("Unable to allocate 61.0 MiB")


def test_branches_of_unequal_length_are_refused(tmp_path):
    names = ["part_px", "part_py", "part_pz", "part_energy"]
    branches = {name: ak.Array([[1.0, 2], [3.0]]) for name in names} | {"part_pz": ak.Array([[1.0], [2.0, 3]])}
    with uproot.recreate(tmp_path / "jets.root") as file:
        file["tree"] = branches | {f"label_{name}": np.eye(10)[:2, i] for i, name in enumerate(cj.JETCLASS_LABELS)}
    with pytest.raises(ValueError, match="row 0 has 2 constituents in part_px and 1 in part_pz"):
        cj.load_jetclass(tmp_path / "jets.root")
    with uproot.recreate(tmp_path / "jets.root") as file:
        flat = {name: np.ones(2) for name in names}
        file["tree"] = flat | {f"label_{name}": np.eye(10)[:2, i] for i, name in enumerate(cj.JETCLASS_LABELS)}
    with pytest.raises(ValueError, match="part_px must hold a list of numbers for each jet"):
        cj.load_jetclass(tmp_path / "jets.root")
