"""Recipes: what makes no sense is refused, and what differs between two is said."""

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest

from coursekit.recipe import Recipe, Source, differences

RECIPE = Recipe(
    ["sv_mass", "sv_significance"],
    classes={0: "light", 4: "c", 5: "b"},
    bins={"pt": [20, 35, 60, 400], "eta": [-2.5, 0, 2.5]},
    target="b",
    defaults={"sv_mass": -1, "sv_significance": -90},
    checks={"no_vertex": "sv_mass"},
)


def test_a_recipe_is_text_and_comes_back():
    again = Recipe(**json.loads(json.dumps(asdict(RECIPE))))
    assert again == RECIPE
    assert list(again.classes.items()) == [(0, "light"), (4, "c"), (5, "b")]
    of_numpy = replace(
        RECIPE, inputs=np.array(RECIPE.inputs), classes={np.int32(k): v for k, v in RECIPE.classes.items()}
    )
    assert of_numpy == replace(of_numpy, bins={name: np.array(edges) for name, edges in RECIPE.bins.items()}) == RECIPE
    assert json.dumps(asdict(of_numpy)) == json.dumps(asdict(RECIPE))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
def test_decimals_are_meant_whatever_the_precision(kind):
    decimals = {"fractions": [0.6, 0.3, 0.1], "bins": {"pt": [20.1, 90], "eta": [-2.1, 0, 2.1]}}
    expected = replace(RECIPE, **decimals, defaults={"sv_mass": -99.9, "sv_significance": -90})
    recipe = replace(
        RECIPE,
        fractions=np.array(decimals["fractions"], dtype=kind),
        bins={name: np.array(edges, dtype=kind) for name, edges in decimals["bins"].items()},
        defaults={"sv_mass": kind(-99.9), "sv_significance": kind(-90)},
    )
    assert differences(expected, recipe) == []


def test_jets_are_numbered_by_the_order_of_the_classes():
    recipe = replace(RECIPE, classes={5: "b", 0: "light"}, left_out=[4, -1])
    for codes in (np.int32([0, 5, 4, -1]), np.float32([0, 5, 4, -1]), [0, 5, 4, -1]):
        np.testing.assert_array_equal(recipe.labels(codes), [1, 0, -1, -1])
    with pytest.raises(
        ValueError, match=r"flavour is 4 in 2 jets, 15 in 1 jets, which is none of the classes .*left_out"
    ):
        replace(recipe, left_out=[]).labels([0, 4, 15, 4])
    with pytest.raises(ValueError, match="flavour is a flat array"):
        recipe.labels([[0, 5]])


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"inputs": "sv_mass"}, TypeError, r"inputs is a list.*write inputs=\['sv_mass'\]"),
        ({"classes": ["light", "b"]}, TypeError, "classes is a dictionary"),
        ({"classes": {0: "light"}}, ValueError, "classes are at least two"),
        ({"classes": {0: "b", 4: "b"}}, ValueError, "classes are at least two, of different names"),
        ({"classes": {0: "sum", 5: "b"}}, ValueError, 'other than "sum" and "flat"'),
        ({"classes": {"b": 5, "c": 4}}, ValueError, "a code of classes is a whole number, but 'b' came"),
        ({"classes": {0: None, 5: "b"}}, ValueError, "the name of a class is text, but None came"),
        ({"classes": {0: "", 5: "b"}}, ValueError, "the name of a class is text, but '' came"),
        ({"classes": {0: "light", 5: "b", "5": "c"}}, ValueError, "two classes have the same code"),
        ({"target": "B"}, ValueError, "target is 'B'; did you mean 'b'"),
        ({"left_out": [5]}, ValueError, "5 is in classes and in left_out"),
        ({"bins": {"pt": [20, 90]}}, ValueError, "bins are those of two branches, x and y, but those of pt"),
        ({"fractions": [0.5, 0.5]}, ValueError, "fractions are those of training, validation, test"),
        ({"inputs": ["pt", "flavour"]}, ValueError, "flavour is the label, and would tell the network the answer"),
        ({"defaults": {"sv_mass": "x"}}, ValueError, "the default of sv_mass is a number, but 'x' came"),
        ({"defaults": [1]}, TypeError, "defaults is a dictionary"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(change, kind, message):
    with pytest.raises(kind, match=message):
        replace(RECIPE, **change)


def test_many_changes_are_counted_and_long_ones_cut():
    other = replace(
        RECIPE, salt=3, fill="median", target="c", tree="t", label="f", defaults={}, bins={"a": [1], "b": [2]}
    )
    found = differences(RECIPE, other)
    assert (len(found), found[-1]) == (7, "and 5 more")
    long = replace(RECIPE, bins=RECIPE.bins | {"pt": np.arange(1000)})
    assert len(differences(RECIPE, long)[0]) < 150
    assert differences(RECIPE, RECIPE) == []


def test_a_source_is_known_by_its_content(tmp_path):
    (tmp_path / "a.root").write_bytes(b"abc")
    one = Source.of(tmp_path / "a.root")
    assert one == ("a.root", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")  # of FIPS 180-2
    one.require_same(shutil.copy(tmp_path / "a.root", tmp_path / "b.root"), "a.h5")
    for content, message in (
        (b"abd", "had SHA-256 ba7.* has SHA-256 a52"),
        (b"ab", "had 3 bytes, .*b.root has 2 bytes"),
    ):
        (tmp_path / "b.root").write_bytes(content)
        with pytest.raises(ValueError, match=f"a.h5 was prepared from another file: a.root {message}"):
            one.require_same(tmp_path / "b.root", "a.h5")
    with pytest.raises(FileNotFoundError, match="none is missing"):
        one.require_same(tmp_path / "none", "a.h5")
