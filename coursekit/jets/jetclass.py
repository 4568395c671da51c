"""JetClass, the public sample of ten kinds of jets, read to the same structure."""

import os

import awkward as ak
import numpy as np

from coursekit.branches import Branches
from coursekit.jets.arrays import unpack
from coursekit.jets.reference import check_constituents, checked_range, existing_file, require_columns
from coursekit.trees import open_root, open_tree

JETCLASS_LABELS = ("QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Zqq", "Wqq", "Tbqq", "Tbl")


def load_jetclass(path: str | os.PathLike, start: int = 0, stop: int | None = None) -> tuple[ak.Array, np.ndarray]:
    """Read jets `start` to `stop` of a ROOT file as JetClass has them (Zenodo record 6619768).

    The tree ``tree`` has the jagged branches ``part_px``, ``part_py``, ``part_pz``, ``part_energy`` and the one-hot
    ``label_*``.

    Parameters
    ----------
    path : path-like
    start, stop : int
        First jet, and one past the last; to the end by default.

    Returns
    -------
    jets : (N, var) ak.Array of Momentum4D, float32, GeV
    labels : (N,) int64 array
        Place of the class in `JETCLASS_LABELS`: ``labels == JETCLASS_LABELS.index("Tbqq")`` are hadronic top jets.

    Raises
    ------
    FileNotFoundError, OSError, KeyError, ValueError, IndexError
        As `load_jets`.

    References
    ----------
    H. Qu, C. Li, S. Qian, arXiv:2202.03772.
    """
    path = existing_file(path)
    momenta = ["part_px", "part_py", "part_pz", "part_energy"]
    one_hot = [f"label_{name}" for name in JETCLASS_LABELS]
    with open_root(path) as file:
        tree = Branches(path, "tree", open_tree(file, path, "tree"))
        require_columns(tree.names, [*momenta, *one_hot], path)
        tree.wanted([*momenta, *one_hot])
        start, stop = checked_range(path, start, stop, tree.n_events)
        arrays = tree.read([*momenta, *one_hot], start, stop)
    counts = ak.to_numpy(ak.num(arrays["part_px"]))
    packed = np.stack([ak.to_numpy(ak.flatten(arrays[name])) for name in momenta], axis=1).astype(np.float32)
    check_constituents(packed, counts, path, start)
    labels = np.stack([ak.to_numpy(arrays[name]) for name in one_hot], axis=1).astype(np.int64)  # (N, K)
    if (labels.sum(axis=1) != 1).any():
        raise ValueError(f"{path}: {np.count_nonzero(labels.sum(axis=1) != 1)} jets do not have exactly one class")
    return unpack(packed, counts), labels.argmax(axis=1)
