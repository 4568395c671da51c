"""Small files of events, and studies that read them."""

import numpy as np
import pandas as pd
import uproot

from coursekit.study.settings import Study


def columns(n, seed, shift=0.0):
    """A few branches of n events: two features, weights with signs, and numbers that identify them."""
    rng = np.random.default_rng(seed)
    return {
        "run": np.full(n, seed, dtype=np.int32),
        "event": np.arange(n, dtype=np.int64) + 2**60 * (seed % 2) + 1,
        "pt": (rng.exponential(30, n) + 20 + shift).astype(np.float32),
        "eta": rng.normal(0, 1, n).astype(np.float32),
        "sv_mass": np.where(rng.random(n) < 0.3, -1, rng.exponential(2, n)).astype(np.float32),
        "w": np.where(rng.random(n) < 0.1, -0.5, rng.uniform(0.5, 1.5, n)).astype(np.float32),
        "flavour": rng.choice([0, 4, 5, 15], n).astype(np.int32),
        "good": rng.random(n) < 0.8,
    }


def root_file(path, events, tree="Events"):
    with uproot.recreate(path) as file:
        kinds = {name: "var * float32" if column.dtype == object else column.dtype for name, column in events.items()}
        file.mktree(tree, kinds).extend(events)
    return str(path)


def hdf5_file(path, events, key="table"):
    pd.DataFrame(events).to_hdf(path, key=key, format="table", index=False)
    return str(path)


def feather_file(path, events):
    pd.DataFrame(events).to_feather(path)
    return str(path)


def study(signals, backgrounds=None, data=None, *, train=None, seed=1, **of_input):
    """A study of these samples; each is a file, or a dictionary."""
    sections = {"signals": signals, "backgrounds": backgrounds, "data": data}
    samples = {
        section: {name: sample if isinstance(sample, dict) else {"files": [sample]} for name, sample in named.items()}
        for section, named in sections.items()
        if named
    }
    of_input = {"features": ["pt", "eta"], "weight": "w", "negative_weights": "absolute"} | of_input
    sections = {"job": {"name": "test", "seed": seed}, "input": samples | of_input}
    return Study.model_validate(sections | ({"train": train} if train else {}))
