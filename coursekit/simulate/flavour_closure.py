"""How well the simulated jets can be tagged: what each algorithm finds, and what that rejects."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from coursekit.arrays import flat
from coursekit.events import to_table
from coursekit.metrics import Estimate, rejection
from coursekit.simulate.flavour import DEFAULTS
from coursekit.simulate.impact import FLAVOURS

LEAST = 100  # jets of each flavour that a comparison takes


def flavour_table(jets: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Describe the jets of each flavour.

    Parameters
    ----------
    jets : mapping of str to (N,) array
        Branches of a file of `simulate_flavour`, as from `coursekit.events.load_events(path, tree="jets")`.

    Returns
    -------
    pandas.DataFrame
        Indexed by light, c and b: `jets`, `share`, `pt` (mean, GeV), `tracks` (mean number), and the shares of jets
        with a secondary vertex, `sv`, and with any vertex along the flight axis, `jf`.

    Raises
    ------
    KeyError
        If a branch is missing.
    ValueError
        If the branches are no flat arrays of one length, or a flavour has fewer than 100 jets.

    Examples
    --------
    >>> from coursekit.data import fetch
    >>> from coursekit.events import load_events
    >>> flavour_table(load_events(fetch("flavour.root"), tree="jets")).share.round(2).tolist()
    [0.56, 0.15, 0.29]
    """
    names = ["pt", "n_tracks", "sv_n_tracks", "jf_n_tracks"]
    table = pd.DataFrame(to_table(jets, names), columns=names)
    flavour = checked_flavour(jets, len(table))
    rows = {}
    for name, code in FLAVOURS.items():
        part = table[flavour == code]
        rows[name] = {
            "jets": len(part),
            "share": len(part) / len(table),
            "pt": part.pt.mean(),
            "tracks": part.n_tracks.mean(),
            "sv": (part.sv_n_tracks != DEFAULTS["sv_n_tracks"]).mean(),
            "jf": (part.jf_n_tracks != DEFAULTS["jf_n_tracks"]).mean(),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def rejection_table(jets: Mapping[str, np.ndarray], efficiency: float = 0.7) -> dict[str, dict[str, Estimate]]:
    """Reject c and light jets with IP2D alone, IP3D alone, and boosted trees on all variables.

    Each background is rejected by its own ratio: c jets by ln(L_b / L_c), light jets by ln(L_b / L_light), where the
    trees' probabilities take the place of the likelihoods. The trees train on the jets of one half of the collisions;
    the rejections are those of the other half, for all three.

    Parameters
    ----------
    jets : mapping of str to (N,) array
        As in `flavour_table`, with all of `DEFAULTS`, `pt`, `eta`, `flavour` and `event`.
    efficiency : float
        The share of the b jets that are kept.

    Returns
    -------
    dict of dict of Estimate
        ``table["IP3D"]["light"]``, by the names `IP2D`, `IP3D`, `trees`, and `c`, `light`.

    Raises
    ------
    KeyError, ValueError
        As `flavour_table`.

    References
    ----------
    ATLAS Collaboration, arXiv:1907.05120, for what such algorithms reach in an experiment.
    """
    names = ["pt", "eta", *DEFAULTS]
    inputs = to_table(jets, names)
    flavour = checked_flavour(jets, len(inputs))
    odd = flat(jets["event"], "event") % 2 == 1
    trees = HistGradientBoostingClassifier(learning_rate=0.08, max_iter=200, early_stopping=True, random_state=1)
    trees.fit(inputs[~odd], flavour[~odd])
    light, c, b = np.log(trees.predict_proba(inputs[odd]).T + 1e-12)  # by rising flavour: 0, 4, 5
    scores = {"trees": {"c": b - c, "light": b - light}}
    for name in ("ip2d", "ip3d"):
        ratios = {"c": f"{name}_bc", "light": f"{name}_bl"}
        scores[name.upper()] = {kind: inputs[odd, names.index(ratio)] for kind, ratio in ratios.items()}
    truth = flavour[odd]
    table = {}
    for tagger in ("IP2D", "IP3D", "trees"):
        table[tagger] = {}
        for kind, score in scores[tagger].items():
            among = (truth == FLAVOURS["b"]) | (truth == FLAVOURS[kind])
            table[tagger][kind] = rejection(truth[among] == FLAVOURS["b"], score[among], efficiency)
    return table


def checked_flavour(jets: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    """Return the flavours of the jets, or a ValueError if they are not those of `n` jets with enough of each."""
    flavour = flat(jets["flavour"], "flavour")
    if len(flavour) != n:
        raise ValueError(f"the {n} jets need as many flavours, got {len(flavour)}")
    number = {name: int((flavour == code).sum()) for name, code in FLAVOURS.items()}
    if sum(number.values()) != n or min(number.values()) < LEAST:
        found = ", ".join(f"{count} {name}" for name, count in number.items())
        raise ValueError(f"expected at least {LEAST} jets each of flavour 0, 4 and 5 and no others, got {found} of {n}")
    return flavour
