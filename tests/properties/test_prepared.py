"""A prepared sample returns bit for bit, whatever its names and numbers, and two recipes are told apart."""

import tempfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coursekit.prepared import PARTS, Part, PreparedSample
from coursekit.preprocess import Scaler
from coursekit.recipe import Recipe, Source, differences
from coursekit.weights import reweight_classes
from tests.ntuples import assert_same
from tests.properties.strategies import FINITE, USUAL, floats, refused

NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=8)  # in one line
CODES = st.integers(-(2**31), 2**31 - 1)


@st.composite
def recipes(draw):
    inputs = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    n = draw(st.integers(2, 3))
    codes = draw(st.lists(CODES, min_size=n, max_size=n, unique=True))
    classes = draw(st.lists(NAMES.filter(lambda x: x not in ("sum", "flat")), min_size=n, max_size=n, unique=True))
    defaults = {name: draw(FINITE) for name in inputs if draw(st.booleans())}
    return Recipe(
        inputs,
        classes=dict(zip(codes, classes, strict=True)),
        bins={"x": sorted({draw(FINITE) for _ in range(3)}), "y": [0, draw(st.floats(1e-300, 1e300))]},
        target=draw(st.sampled_from([*classes, "sum", "flat"])),
        label="the label that no input is called",
        left_out=draw(st.lists(CODES.filter(lambda code: code not in codes), max_size=2)),
        salt=draw(st.integers()),
        defaults=defaults,
        checks={f"no {name}": name for name in defaults if draw(st.booleans())},
    )


@st.composite
def samples(draw):
    recipe = draw(recipes())
    k, parts = len(recipe.classes), {}
    table = np.stack([np.r_[0, 1, draw(floats(3, USUAL))] for _ in recipe.inputs], axis=1)
    defaults = dict.fromkeys(recipe.defaults, -1.0)
    scaler = Scaler.fit(table, recipe.inputs, None, defaults, checks=recipe.checks)
    x = np.tile(draw(floats(2, st.floats(0, 2))), k)
    reweighting = reweight_classes(x, x, np.repeat(np.arange(k), 2), ([0, 1, 2], [0, 1, 2]), "sum")
    for part in PARTS:
        n = draw(st.integers(0, 5))
        inputs = draw(hnp.arrays(np.float32, (n, len(recipe.inputs)), elements=st.floats(width=32)))
        checks = draw(hnp.arrays(np.uint8, (n, len(recipe.checks)), elements=st.integers(0, 1)))
        labels = draw(hnp.arrays(np.int64, n, elements=st.integers(0, k - 1)))
        parts[part] = Part(np.arange(n), inputs, checks, labels, None if part == "test" else draw(floats(n)))
    source = Source(draw(NAMES), draw(st.integers(0, 2**50)), "0" * 64)
    return PreparedSample(recipe, source, scaler, reweighting, parts, {})


@given(samples(), st.sets(st.sampled_from(PARTS)))
def test_a_sample_returns_bit_for_bit(sample, parts):
    with tempfile.TemporaryDirectory() as folder:
        sample.save(Path(folder) / "a.h5")
        assert_same(PreparedSample.load(Path(folder) / "a.h5", sample.recipe), sample)
        assert_same(PreparedSample.load(Path(folder) / "a.h5", parts=sorted(parts)), sample, parts)


@given(recipes(), recipes(), st.sampled_from(fields(Recipe)))
def test_recipes_differ_where_something_differs(one, other, field):
    nearly = refused(replace, one, **{field.name: getattr(other, field.name)})
    assert differences(one, replace(one)) == []
    for two in [other, nearly] if nearly else [other]:
        ordered = all([*getattr(one, name)] == [*getattr(two, name)] for name in ("classes", "bins", "checks"))
        found = differences(one, two)
        assert bool(found) == (one != two or not ordered)
        assert bool(differences(two, one)) == bool(found)
        assert all(len(line.splitlines()) == 1 for line in found)
