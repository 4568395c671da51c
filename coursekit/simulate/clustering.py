"""Jets from FastJet, all events of a batch in one call."""

from __future__ import annotations

import awkward as ak

ALGORITHMS = {"antikt": "antikt_algorithm", "cambridge": "cambridge_algorithm", "kt": "kt_algorithm"}


def cluster(particles: ak.Array, radius: float, min_pt: float, algorithm: str = "antikt") -> tuple[ak.Array, ak.Array]:
    """Cluster the particles of each event into jets.

    Parameters
    ----------
    particles : (N, var) awkward array of Momentum4D, GeV
    radius : float
        R of the algorithm, in rapidity and azimuth.
    min_pt : float
        GeV; jets below it are not returned.
    algorithm : {"antikt", "cambridge", "kt"}

    Returns
    -------
    jets : (N, var) awkward array of Momentum4D, GeV
        By falling pT; the momentum is the sum of the constituents' (the E scheme).
    constituents : (N, var, var) awkward array of int
        For each jet the positions of its particles in the event's list.

    Raises
    ------
    ImportError
        If fastjet is missing.
    ValueError
        If the algorithm has no such name.

    References
    ----------
    M. Cacciari, G. P. Salam, G. Soyez, FastJet user manual, arXiv:1111.6097; The anti-kt jet clustering algorithm,
    arXiv:0802.1189.

    Examples
    --------
    >>> import numpy as np
    >>> from coursekit.jets import unpack
    >>> particles = unpack(np.array([[30.0, 0, 0, 30], [20, 1, 0, 20.1], [10, 0, 900, 901]]), [3])
    >>> jets, constituents = cluster(particles, radius=0.4, min_pt=15)
    >>> jets.px.tolist(), constituents.tolist()
    ([[50.0]], [[[0, 1]]])
    """
    try:
        import fastjet
    except ImportError as error:
        raise ImportError('clustering needs fastjet: pip install "coursekit[simulate]"') from error
    if algorithm not in ALGORITHMS:
        raise ValueError(f"the algorithm must be one of {', '.join(ALGORITHMS)}, got {algorithm!r}")
    fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)
    # The definition must outlive the sequence, which keeps only a pointer to it.
    definition = fastjet.JetDefinition(getattr(fastjet, ALGORITHMS[algorithm]), radius)
    sequence = fastjet.ClusterSequence(particles, definition)
    jets, constituents = sequence.inclusive_jets(min_pt), sequence.constituent_index(min_pt)
    order = ak.argsort(jets.pt, ascending=False)
    return jets[order], constituents[order]
