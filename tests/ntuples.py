"""A small ntuple of jets of three flavours, and what is prepared from it."""

import numpy as np
import uproot

from coursekit.recipe import PARTS, Recipe

INPUTS = ("ip3d_bl", "sv_mass", "sv_significance")
N = 6000


def ntuple(path, n=N, seed=1, **changed):
    """Write jets of three flavours, two to three of an event, with the defaults of an experiment."""
    rng = np.random.default_rng(seed)
    flavour = rng.choice([0, 4, 5], n, p=[0.6, 0.15, 0.25])
    found = rng.random(n) < np.select([flavour == 0, flavour == 4], [0.1, 0.3], 0.7)
    columns = {
        "event": (np.arange(n) // 2.5).astype("u4"),
        "flavour": flavour.astype("i4"),
        "pt": (20 + rng.exponential(np.select([flavour == 0, flavour == 4], [30, 35], 50))).astype("f4"),
        "eta": np.clip(rng.normal(0, 1.2, n), -2.5, 2.5).astype("f4"),
        "ip3d_bl": np.where(rng.random(n) < 0.05, -19, rng.normal(flavour / 2, 2)).astype("f4"),
        "sv_mass": np.where(found, rng.gamma(2, 1 + flavour / 5), -1).astype("f4"),
        "sv_significance": np.where(found, 3 + rng.exponential(10, n), -90).astype("f4"),
    }
    columns = {name: column for name, column in (columns | changed).items() if column is not None}
    with uproot.recreate(path) as file:
        file.mktree("jets", {name: column.dtype for name, column in columns.items()}).extend(columns)
    return path


RECIPE = Recipe(
    INPUTS,
    classes={0: "light", 4: "c", 5: "b"},
    bins={"pt": [20, 35, 60, 400], "eta": [-2.5, 0, 2.5]},
    target="b",
    defaults={"ip3d_bl": -19, "sv_mass": -1, "sv_significance": -90},
    checks={"no_vertex": "sv_mass", "no_track": "ip3d_bl"},
)


def assert_same(one, other, parts=PARTS):
    assert (one.recipe, one.source, one.classes) == (other.recipe, other.source, other.classes)
    assert one.scaler.to_json() == other.scaler.to_json()
    assert list(one.reweighting) == list(other.reweighting)
    pairs = [(one.reweighting[k], other.reweighting[k]) for k in one.reweighting]
    pairs += [(one[part], other[part]) for part in parts]
    for a, b in pairs:
        for name, value in vars(a).items():
            again = getattr(b, name)
            assert np.shape(value) == np.shape(again)
            if value is not None:
                assert np.asarray(value).dtype == np.asarray(again).dtype, name
                assert np.asarray(value).tobytes() == np.asarray(again).tobytes(), name
