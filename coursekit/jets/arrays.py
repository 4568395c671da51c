"""Jagged, packed and padded jets: three forms of the same sample, and the way between them without a loop."""

from collections.abc import Sequence

import awkward as ak
import numpy as np
import vector

from coursekit.arrays import events_with, numbers, plain, whole_number
from coursekit.words import listed

MOMENTUM = ("px", "py", "pz", "E")
N_MAX = 200  # constituents kept for each jet where jets are padded, as in the reference layout


def unpack(packed: np.ndarray, counts: np.ndarray, fields: Sequence[str] = MOMENTUM) -> ak.Array:
    """Make jagged jets of a packed array; the inverse of `pack`.

    Parameters
    ----------
    packed : (T, F) array
        One row per constituent, the jets one after the other; momenta in GeV.
    counts : (N,) int array
        Number of constituents of each jet; their sum is T.
    fields : sequence of F str
        Names of the columns, among them ``px``, ``py``, ``pz``, ``E``.

    Returns
    -------
    (N, var) ak.Array of Momentum4D, dtype of `packed`

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Examples
    --------
    >>> jets = unpack(np.array([[3.0, 0, 0, 5], [1, 0, 0, 1], [0, 2, 0, 2]]), [2, 1])
    >>> jets.px.tolist()
    [[3.0, 1.0], [0.0]]
    """
    packed, counts = numbers(packed, "packed"), whole_counts(counts)
    if len(set(fields)) < len(fields) or not set(MOMENTUM) <= set(fields):
        raise ValueError(f"fields must be names of columns, each once, {listed(MOMENTUM)} among them; got {fields!r}")
    if packed.ndim != 2 or packed.shape[1] != len(fields):
        raise ValueError(
            f"packed must have shape (T, {len(fields)}) for the fields {tuple(fields)}, got {packed.shape}"
        )
    if counts.sum() != len(packed):
        raise ValueError(f"counts must add up to T = {len(packed)}, the rows of packed; their sum is {counts.sum()}")
    return four_momenta({name: packed[:, i] for i, name in enumerate(fields)}, counts)


def pack(jets: ak.Array, features: Sequence[str] = MOMENTUM) -> tuple[np.ndarray, np.ndarray]:
    """Flatten jagged jets to one row per constituent, the form that networks train on.

    Parameters
    ----------
    jets : (N, var) ak.Array of Momentum4D
    features : sequence of F str
        Fields (``px``, ``E``, ...) or properties of a four-momentum (``pt``, ``eta``, ``phi``, ...); GeV, radians.

    Returns
    -------
    packed : (T, F) array, the common dtype of the features
    counts : (N,) int64 array

    Raises
    ------
    TypeError
        If the jets are not a jagged array.
    ValueError
        If a feature does not exist, or a jet or constituent is missing (`ak.mask`).

    Examples
    --------
    >>> packed, counts = pack(unpack(np.eye(4), [3, 1]), ["E", "pt"])
    >>> packed.shape, counts.tolist()
    ((4, 2), [3, 1])
    """
    jets = whole(jets)
    counts = ak.to_numpy(ak.num(jets)).astype(np.int64)
    flat = ak.flatten(jets)
    if isinstance(features, str) or len(features) == 0:
        raise ValueError(f"features is a list of at least one name, such as ['pt'], but {features!r} came")
    columns = {name: getattr(flat, str(name), None) for name in features}
    missing = [name for name, column in columns.items() if not isinstance(column, ak.Array) or column.ndim != 1]
    if missing:
        raise ValueError(f"jets have no feature {missing}; fields are {flat.fields}, and pt, eta, phi, mass ...")
    return np.stack([ak.to_numpy(columns[name]) for name in features], axis=1), counts


def pad(packed: np.ndarray, counts: np.ndarray, length: int = N_MAX) -> np.ndarray:
    """Pad packed constituents with zeros to `length` per jet, keeping the first `length` of longer jets.

    Parameters
    ----------
    packed : (T, F) array
    counts : (N,) int array
    length : int
        P, constituents per jet after padding.

    Returns
    -------
    (N, P, F) array, dtype of `packed`

    Examples
    --------
    >>> pad(np.array([[1.0], [2.0], [3.0]]), np.array([2, 1]), 2).tolist()
    [[[1.0], [2.0]], [[3.0], [0.0]]]
    """
    packed, counts, length = numbers(packed, "packed"), whole_counts(counts), whole_number(length, "length")
    if packed.ndim != 2 or counts.sum() != len(packed):
        raise ValueError(
            f"counts add up to {counts.sum()}, packed has shape {packed.shape}; expected (sum of counts, F)"
        )
    if length < 0:
        raise ValueError(f"length is {length}: give the number of constituents to keep of each jet")
    padded = np.zeros((len(counts), length, packed.shape[1]), packed.dtype)
    jet = jet_numbers(counts)  # (T,)
    place = np.arange(len(packed)) - np.repeat(np.cumsum(counts) - counts, counts)  # (T,) its place in that jet
    kept = place < length
    padded[jet[kept], place[kept]] = packed[kept]
    return padded


def unpad(padded: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop the padding; the inverse of `pad`.

    Parameters
    ----------
    padded : (N, P, F) array
    present : (N, P) bool array
        True where a constituent is real, for instance ``padded[..., 3] > 0`` if column 3 is the energy.

    Returns
    -------
    packed : (T, F) array
    counts : (N,) int64 array

    Raises
    ------
    TypeError
        If `present` is not an array of bools.
    ValueError
        If the shapes do not fit together, or something is missing (`numpy.ma`).

    Examples
    --------
    >>> packed, counts = unpad(np.array([[[1.0], [2.0]], [[3.0], [0.0]]]), np.array([[True, True], [True, False]]))
    >>> packed.ravel().tolist(), counts.tolist()
    ([1.0, 2.0, 3.0], [2, 1])
    """
    padded, present = numbers(padded, "padded"), numbers(present, "present")
    if present.dtype != bool:
        raise TypeError(f"present must be an array of bools, True where a constituent is real; got {present.dtype}")
    if padded.ndim != 3 or present.shape != padded.shape[:2]:
        raise ValueError(f"padded must be (N, P, F) and present (N, P); got {padded.shape} and {present.shape}")
    return padded[present], np.count_nonzero(present, axis=1)


def four_momenta(columns: dict[str, np.ndarray], counts: np.ndarray | None = None) -> ak.Array:
    """Make four-momenta, jagged if counts are given; the fields keep the names px, py, pz, E, as in FastJet."""
    layout = ak.contents.RecordArray(
        [ak.contents.NumpyArray(np.ascontiguousarray(plain(column, name))) for name, column in columns.items()],
        list(columns),
        parameters={"__record__": "Momentum4D"},
    )
    if counts is not None:
        offsets = np.concatenate([[0], np.cumsum(counts)])
        layout = ak.contents.ListOffsetArray(ak.index.Index64(offsets), layout)
    return ak.Array(layout, behavior=vector.backends.awkward.behavior)  # the behaviour travels with the array


def whole(jets: ak.Array) -> ak.Array:
    """Return jagged jets that have all their constituents, in a type that says so."""
    if not (isinstance(jets, ak.Array) and jets.ndim == 2):
        found = str(jets.type) if isinstance(jets, ak.Array) else type(jets).__name__
        raise TypeError(f"expected jagged jets, N * var * Momentum4D, as coursekit.jets.load_jets reads; got {found}")
    missing = events_with(jets)
    if missing.any():
        raise ValueError(
            f"{np.count_nonzero(missing)} of {len(jets)} jets are missing, or have constituents that are, the first is "
            f"jet {np.argmax(missing)}; leave them out with jets[...], where ak.mask keeps a place for them"
        )
    return plain(jets, "jets") if jets.fields else jets


def require_jagged(jets) -> ak.Array:
    """Return jets that are `whole`; raise a TypeError unless they are a jagged array of four-momenta."""
    jets = whole(jets)
    if not (hasattr(jets, "px") and hasattr(jets, "E")):
        raise TypeError(f"expected jagged jets, N * var * Momentum4D, with px, py, pz and E; got {jets.type}")
    return jets


def whole_counts(counts) -> np.ndarray:
    """Return numbers of constituents (N,) as int64, once they are known to be such numbers."""
    counts = numbers(counts, "counts")
    if counts.ndim != 1 or counts.dtype.kind == "b":
        raise ValueError(f"counts must be N numbers >= 0, got shape {counts.shape} and type {counts.dtype}")
    # 2^40 constituents are more than there is memory for; the sum of larger counts may not be an int64
    good = (counts >= 0) & (counts <= 2**40) & (counts == np.floor(counts))
    if not good.all():
        raise ValueError(f"counts must be N numbers >= 0, all whole; got {counts[~good][0]} for jet {np.argmin(good)}")
    return counts.astype(np.int64)


def require_packed(counts, **arrays) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the arrays (T,) and the counts (N,), once they are known to fit together and to be finite."""
    counts = whole_counts(counts)
    arrays = {name: plain(array, name) for name, array in arrays.items()}
    for name, array in arrays.items():
        if array.shape != (counts.sum(),):
            raise ValueError(
                f"{name} must have one value per constituent, shape ({counts.sum()},) by the counts; got {array.shape}"
            )
        if not np.isfinite(array).all():
            jet = jet_numbers(counts)[~np.isfinite(array)][0]
            raise ValueError(f"{name} of a constituent of jet {jet} is NaN or infinite; leave such jets out")
    return list(arrays.values()), counts


def jet_numbers(counts: np.ndarray) -> np.ndarray:
    """Return the number of the jet to which each row belongs, (N,) -> (T,) int64.

    Examples
    --------
    >>> jet_numbers([2, 0, 1]).tolist()
    [0, 0, 2]
    """
    counts = whole_counts(counts)
    return np.repeat(np.arange(len(counts)), counts)


def sum_by_jet(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sum the values of each jet, (T,) -> (N,) float64."""
    values = plain(values, "values")
    return np.bincount(jet_numbers(counts), weights=values, minlength=len(counts)).astype(np.float64, copy=False)


def rapidity(px: np.ndarray, py: np.ndarray, pz: np.ndarray, e: np.ndarray) -> np.ndarray:
    """Return ``y = ln((E + |pz|) / mT)`` with the sign of pz: ln((E + pz) / (E - pz)) / 2 without differences.

    Rounding that makes m^2 negative is taken as massless; zero momentum has the rapidity zero.

    Examples
    --------
    >>> round(float(rapidity(3.0, 0.0, 4.0, 5.0)), 4)  # massless: the pseudorapidity
    1.0986
    """
    pt2 = px**2 + py**2
    mt = np.sqrt(pt2 + np.maximum((e + pz) * (e - pz) - pt2, 0))
    tiny = 1e-30  # keeps a zero momentum, and one along the beam, finite
    return np.copysign(np.log((e + np.abs(pz) + tiny) / (mt + tiny)), pz)


def delta_phi(phi1: np.ndarray, phi2: np.ndarray) -> np.ndarray:
    """Return the difference of two azimuths, wrapped into [-pi, pi).

    Examples
    --------
    >>> round(float(delta_phi(3.1, -3.1)), 3)
    -0.083
    """
    return (phi1 - phi2 + np.pi) % (2 * np.pi) - np.pi
