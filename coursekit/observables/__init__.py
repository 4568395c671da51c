"""Observables of a jet: momentum, counting, energy correlations, N-subjettiness.

Every function takes jets as a jagged (N, var) ``ak.Array`` of ``Momentum4D`` constituents and returns one number per
jet, computed in float64 whatever the dtype of the input. Distances are Delta R^2 = (y_i - y_j)^2 + (phi_i - phi_j)^2
with the rapidity y, which a boost along the beam leaves alone. A jet without constituents has pt, mass and multiplicity
zero; what is undefined for a jet (0/0) is NaN.

=============  =====  =====================  ====================
observable     boost  soft emission (IR)     collinear splitting
=============  =====  =====================  ====================
pt, mass       safe   safe                   safe
width          safe   safe                   safe
C1 C2 C3 D2    safe   safe                   safe
tau21, tau32   safe   safe                   safe
pt_dispersion  safe   safe                   changes
multiplicity   safe   changes                changes
mean_pt        safe   changes                changes
=============  =====  =====================  ====================
"""

import awkward as ak
import numpy as np

from coursekit.observables.correlations import c1, c2, c3, c_ratio, correlations, d2, d2_ratio, ecf
from coursekit.observables.momentum import (
    jet_eta,
    jet_mass,
    jet_phi,
    jet_pt,
    mean_pt,
    multiplicity,
    pt_dispersion,
    width,
)
from coursekit.observables.subjettiness import n_subjettiness, subjettiness, tau21, tau32, tau_ratio

__all__ = [
    "c1",
    "c2",
    "c3",
    "d2",
    "ecf",
    "jet_eta",
    "jet_mass",
    "jet_phi",
    "jet_pt",
    "mean_pt",
    "measure_jets",
    "multiplicity",
    "n_subjettiness",
    "pt_dispersion",
    "tau21",
    "tau32",
    "width",
]


def measure_jets(jets: ak.Array, beta: float = 1.0) -> dict[str, np.ndarray]:
    """Return every observable of this package, each (N,), under the name of its function.

    Faster than one call after the other, because the correlations and the axes are computed once.

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> measured = measure_jets(unpack(np.ones((5, 4)), [3, 2]))
    >>> list(measured)  # doctest: +NORMALIZE_WHITESPACE
    ['jet_pt', 'jet_eta', 'jet_phi', 'jet_mass', 'multiplicity', 'mean_pt', 'width', 'pt_dispersion',
     'c1', 'c2', 'c3', 'd2', 'tau21', 'tau32']
    """
    simple = (jet_pt, jet_eta, jet_phi, jet_mass, multiplicity, mean_pt, width, pt_dispersion)
    e, taus = correlations(jets, 4, beta), subjettiness(jets, beta)
    return {function.__name__: function(jets) for function in simple} | {
        "c1": c_ratio(e, 1),
        "c2": c_ratio(e, 2),
        "c3": c_ratio(e, 3),
        "d2": d2_ratio(e),
        "tau21": tau_ratio(taus, 2),
        "tau32": tau_ratio(taus, 3),
    }
