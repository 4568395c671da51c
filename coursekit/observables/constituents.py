"""What all observables begin with: the constituents of jagged jets as flat arrays, checked, in float64."""

import awkward as ak
import numpy as np

from coursekit.jets.arrays import jet_numbers, rapidity, require_jagged


def constituents(jets: ak.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return px, py, pz, E of all constituents as (4, T) float64, and the counts (N,)."""
    jets = require_jagged(jets)
    # To float64 first: px may have to be computed of pt and phi, if that is what is stored.
    flat = ak.values_astype(ak.flatten(jets), np.float64)
    momenta = np.stack([ak.to_numpy(getattr(flat, name)) for name in ("px", "py", "pz", "E")])
    counts = ak.to_numpy(ak.num(jets))
    good = (np.abs(momenta) <= np.finfo(np.float32).max).all(axis=0)  # products of six of them are float64
    good &= momenta[3] >= 0
    if not good.all():
        jet = jet_numbers(counts)[~good][0]
        raise ValueError(
            f"jet {jet} has a constituent whose momentum is NaN, infinite or beyond float32, or whose energy is "
            f"negative; leave such jets out"
        )
    return momenta, counts


def polar(jets: ak.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return pT, rapidity, azimuth (T,) of all constituents, and the counts (N,)."""
    (px, py, pz, e), counts = constituents(jets)
    return np.sqrt(px**2 + py**2), rapidity(px, py, pz, e), np.arctan2(py, px), counts


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide, (N,) by (N,); NaN where the denominator is zero."""
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator != 0)
