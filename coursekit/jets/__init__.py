"""Jets as jagged arrays: reading, writing, packing.

A sample of N jets is an ``ak.Array`` with one list of constituents per jet, each a ``Momentum4D`` with the fields
``px``, ``py``, ``pz``, ``E`` in GeV, and beside it ``labels`` (N,) with 1 for signal. Zero padding exists only in
files; networks train on packed arrays, one row per constituent and the number of rows of each jet. On a device they are
`coursekit.jets.packed.PackedJets`, which is imported apart, because it needs PyTorch.
"""

from coursekit.jets.arrays import MOMENTUM, N_MAX, delta_phi, pack, pad, rapidity, sum_by_jet, unpack, unpad
from coursekit.jets.features import FLOW_FEATURES, RELATIVE_FEATURES, flow_features, relative_features
from coursekit.jets.jetclass import JETCLASS_LABELS, load_jetclass
from coursekit.jets.position import centred, flipped, rotated
from coursekit.jets.quark_gluon import load_quark_gluon
from coursekit.jets.reference import count_jets, jet_writer, load_jets, save_jets

__all__ = [
    "FLOW_FEATURES",
    "JETCLASS_LABELS",
    "MOMENTUM",
    "N_MAX",
    "RELATIVE_FEATURES",
    "centred",
    "count_jets",
    "delta_phi",
    "flipped",
    "flow_features",
    "jet_writer",
    "load_jetclass",
    "load_jets",
    "load_quark_gluon",
    "pack",
    "pad",
    "rapidity",
    "relative_features",
    "rotated",
    "save_jets",
    "sum_by_jet",
    "unpack",
    "unpad",
]
