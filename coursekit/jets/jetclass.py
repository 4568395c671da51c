"""JetClass, the public sample of ten kinds of jets, read to the same structure."""

import os

import awkward as ak
import numpy as np

from coursekit.branches import Branches
from coursekit.jets.arrays import unpack
from coursekit.jets.reading import checked_range, enough_memory, existing_file, require_columns, require_sound
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
    with enough_memory(path), open_root(path) as file:
        tree = Branches(path, "tree", open_tree(file, path, "tree"))
        require_columns(tree.names, [*momenta, *one_hot], path)
        tree.wanted([*momenta, *one_hot])
        start, stop = checked_range(path, start, stop, tree.n_events)
        arrays = tree.read([*momenta, *one_hot], start, stop)
        packed, counts = _constituents({name: arrays[name] for name in momenta}, path, start)
        return unpack(packed, counts), _classes({name: arrays[name] for name in one_hot}, path, start)


def _constituents(momenta: dict[str, ak.Array], path, start: int) -> tuple[np.ndarray, np.ndarray]:
    """Pack the branches, (T, 4) float32 and counts (N,), once they are known to have the same lengths."""
    for name, branch in momenta.items():
        if branch.ndim != 2 or not isinstance(branch, ak.Array) or branch.fields:
            raise ValueError(f"{path}: {name} must hold a list of numbers for each jet, got {ak.type(branch)}")
    counts = {name: ak.to_numpy(ak.num(branch)) for name, branch in momenta.items()}
    expected = counts["part_px"]
    for name, found in counts.items():
        if (found != expected).any():
            row = np.flatnonzero(found != expected)[0]
            raise ValueError(
                f"{path}: row {start + row} has {expected[row]} constituents in part_px and {found[row]} in {name}"
            )
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused
        columns = [ak.to_numpy(ak.flatten(branch)).astype(np.float32) for branch in momenta.values()]
    packed = np.stack(columns, axis=1)
    require_sound(packed, packed[:, 3], expected, path, start)
    return packed, expected


def _classes(one_hot: dict[str, np.ndarray], path, start: int) -> np.ndarray:
    """Return the place of the one in each row, (N,) int64."""
    for name, branch in one_hot.items():
        if not isinstance(branch, np.ndarray) or branch.ndim != 1:
            raise ValueError(f"{path}: {name} must hold one number for each jet, got {ak.type(branch)}")
    labels = np.stack(list(one_hot.values()), axis=1)  # (N, K)
    good = np.isin(labels, (0, 1)).all(axis=1) & (labels.sum(axis=1) == 1)
    if not good.all():
        first = np.argmin(good)
        raise ValueError(
            f"{path}: {np.count_nonzero(~good)} jets do not have exactly one class, the first is row {start + first}, "
            f"whose labels are {labels[first].tolist()}; leave such jets out where the file is made"
        )
    return labels.argmax(axis=1)
