"""A prepared sample: what is made of an ntuple, that it returns bit for bit, and what is refused by name."""

import hashlib
import json
import shutil
from collections import Counter
from dataclasses import asdict, replace

import h5py
import numpy as np
import pytest

from coursekit.events import load_events, to_table
from coursekit.prepared import PreparedSample, prepare
from coursekit.preprocess import Scaler
from coursekit.recipe import PARTS, Recipe
from coursekit.weights import effective_events
from tests.ntuples import INPUTS, RECIPE, N, assert_same, ntuple
from tests.test_hdf5 import refused


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return ntuple(tmp_path_factory.mktemp("source") / "flavour.root")


@pytest.fixture(scope="module")
def made(source):
    return PreparedSample.make(source, RECIPE)


@pytest.fixture
def path(made, tmp_path):
    made.save(tmp_path / "flavour.h5")
    return tmp_path / "flavour.h5"


# --- what is made -----------------------------------------------------------------------------------------------------


def test_each_jet_is_in_one_part_and_an_event_in_one(source, made):
    events = load_events(source, tree="jets")
    indices = [made[part].indices for part in PARTS]
    np.testing.assert_array_equal(np.sort(np.concatenate(indices)), np.arange(N))
    assert [len(part) / N for part in made.parts.values()] == pytest.approx([0.6, 0.2, 0.2], abs=0.03)
    event = [set(events["event"][found].tolist()) for found in indices]
    assert len(set.union(*event)) == sum(map(len, event))
    for part in made.parts.values():
        np.testing.assert_array_equal(part.inputs, to_table(events, INPUTS)[part.indices])
        np.testing.assert_array_equal(np.array([0, 4, 5])[part.labels], events["flavour"][part.indices])
        np.testing.assert_array_equal(part.checks[:, 0], events["sv_mass"][part.indices] == -1)
        np.testing.assert_array_equal(part.checks[:, 1], events["ip3d_bl"][part.indices] == -19)
        assert {name: str(column.dtype) for name, column in vars(part).items() if column is not None}.items() >= {
            ("indices", "int64"), ("inputs", "float32"), ("checks", "uint8"), ("labels", "int64")
        }  # fmt: skip


def test_the_spectra_of_all_classes_agree_in_training_and_within_statistics_in_validation(source, made):
    events, edges = load_events(source, ["pt", "eta"], tree="jets"), tuple(RECIPE.bins.values())

    def spectra(part):
        part, found = made[part], []
        for label in range(3):
            of_class = part.indices[part.labels == label], part.weights[part.labels == label]
            x = [events[name][of_class[0]] for name in ("pt", "eta")]
            found.append([np.histogram2d(*x, edges, weights=w)[0] for w in (of_class[1], None)])
        return np.array(found).transpose(1, 0, 2, 3)

    after, n = spectra("training")
    shape = n[2] / n[2].sum()
    for label in range(3):
        np.testing.assert_allclose(after[label], n.sum() / 3 * shape, rtol=1e-10)
        assert after[label].sum() == pytest.approx(n.sum() / 3)  # one sum of weights for each class
        np.testing.assert_array_equal(made.reweighting[label].n_source, n[label])
    after, n_validation = spectra("validation")
    for label in (0, 1):
        error = np.sqrt(1 / n_validation[label] + 1 / n[label] + 1 / n_validation[2] + 1 / n[2])
        pull = (after[label] / after[2] - 1) / error * (n_validation[2] / n_validation[2].sum() > 0)
        assert np.abs(pull).max() < 4
    assert effective_events(made["training"].weights) < len(made["training"])
    assert made["test"].weights is None
    assert made.reweighting[0].largest.value == max(made["training"].weights[made["training"].labels == 0])


def test_weights_and_scaler_know_nothing_of_other_jets(made, source, tmp_path):
    """Other validation and test jets, same training jets: the same factors and the same scale."""
    events = load_events(source, tree="jets")
    others = np.ones(N, bool)
    others[made["training"].indices] = False
    rng = np.random.default_rng(9)
    changed = {name: np.where(others, rng.permutation(events[name]) + 1, events[name]) for name in ("pt", *INPUTS)}
    other = PreparedSample.make(ntuple(tmp_path / "other.root", **changed), RECIPE)
    assert other.scaler.to_json() == made.scaler.to_json()
    for label, change in made.reweighting.items():
        np.testing.assert_array_equal(other.reweighting[label].ratios, change.ratios)
    np.testing.assert_array_equal(other["training"].weights, made["training"].weights)
    assert (other["validation"].weights != made["validation"].weights).any()


def test_the_scaler_is_that_of_the_weighted_training_jets(made):
    train = made["training"]
    expected = Scaler.fit(train.inputs, INPUTS, train.weights, RECIPE.defaults, checks=RECIPE.checks)
    assert made.scaler.to_json() == expected.to_json()
    x = made.scaler.transform(train.inputs)
    real = train.inputs[:, 1] != -1
    assert np.average(x[real, 1], weights=train.weights[real]) == pytest.approx(0, abs=1e-6)
    assert np.average(x[real, 1] ** 2, weights=train.weights[real]) == pytest.approx(1, rel=1e-6)
    for part in made.parts.values():
        np.testing.assert_array_equal(made.scaler.transform(part.inputs)[:, 3:], part.checks)
    unweighted = Scaler.fit(train.inputs, INPUTS, None, RECIPE.defaults)
    assert (unweighted.offset != made.scaler.offset).all()


def test_the_order_of_jets_in_the_file_changes_no_weight_but_its_place(made, source, tmp_path):
    events, order = load_events(source, tree="jets"), np.random.default_rng(2).permutation(N)
    other = PreparedSample.make(ntuple(tmp_path / "other.root", **{k: v[order] for k, v in events.items()}), RECIPE)
    for part in ("training", "validation"):
        place = np.argsort(order[other[part].indices])
        np.testing.assert_array_equal(order[other[part].indices][place], made[part].indices)
        np.testing.assert_allclose(other[part].weights[place], made[part].weights, rtol=1e-12)


@pytest.mark.parametrize("target", ["c", "sum", "flat"])
def test_other_targets(source, target):
    sample = PreparedSample.make(source, replace(RECIPE, target=target, fill="median"))
    n = np.array([change.n_source for change in sample.reweighting.values()])
    aim = {"c": n[1], "sum": n.sum(axis=0), "flat": np.ones(n.shape[1:])}[target]
    for label, change in sample.reweighting.items():
        np.testing.assert_allclose(change.ratios * n[label], n.sum() / 3 * aim / aim.sum(), rtol=1e-12)
    assert sample.scaler.fills["sv_mass"] != -sample.scaler.offset[1]


def test_jets_that_are_left_out_are_in_no_part(source, tmp_path):
    flavour = load_events(source, ["flavour"], tree="jets")["flavour"].copy()
    flavour[::10] = 15
    path = ntuple(tmp_path / "tau.root", flavour=flavour)
    with pytest.raises(
        ValueError, match=r"tau\.root: flavour is 15 in 600 jets, which is none of the classes .*left_o"
    ):
        PreparedSample.make(path, RECIPE)
    sample = PreparedSample.make(path, replace(RECIPE, left_out=[15]))
    together = np.sort(np.concatenate([sample[part].indices for part in PARTS]))
    np.testing.assert_array_equal(together, np.flatnonzero(flavour != 15))


# --- written and read back --------------------------------------------------------------------------------------------


def test_it_comes_back_bit_for_bit(made, path, source):
    assert sorted(file.name for file in path.parent.iterdir() if file.suffix != ".lock") == [
        "flavour.h5",
        "flavour.json",
    ]
    assert_same(PreparedSample.load(path, RECIPE, source), made)
    first = path.read_bytes()
    PreparedSample.load(path).save(path)
    assert path.read_bytes() == first
    scaler = Scaler.load(path.with_suffix(".json"), inputs=INPUTS)
    np.testing.assert_array_equal(scaler.transform(made["test"].inputs), made.scaler.transform(made["test"].inputs))


def test_h5py_alone_can_read_it(made, path, source):
    with h5py.File(path) as file:
        assert file["training/inputs"].shape == made["training"].inputs.shape
        np.testing.assert_array_equal(file["validation/weights"], made["validation"].weights)
        assert sorted(file["test"]) == ["checks", "indices", "inputs", "labels"]
        assert file["reweighting/ratios"].shape == (3, 3, 2)
        about = json.loads(file["about"][0])
    assert about["source"] == {
        "name": "flavour.root", "n_bytes": source.stat().st_size,
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
    }  # fmt: skip
    assert list(about["recipe"]["classes"].values()) == ["light", "c", "b"]
    assert set(about["versions"]) == {"coursekit", "numpy", "h5py"}


def test_a_part_is_read_alone(made, path, monkeypatch):
    read, original = [], h5py.Dataset.__getitem__
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda self, key: read.append(self.name) or original(self, key))
    sample = PreparedSample.load(path, parts=["test"])
    assert_same(sample, made, ["test"])
    assert Counter(name.split("/")[1] for name in read) == {"about": 1, "reweighting": 5, "test": 4}
    with pytest.raises(KeyError, match="training is not among the parts that were loaded, test; there are training, v"):
        sample["training"]
    with pytest.raises(ValueError, match="the part training was not loaded: load all"):
        sample.save(path)
    assert not PreparedSample.load(path, parts=[]).parts
    n = [len(made[part]) for part in PARTS]
    assert repr(made) == "<{} training, {} validation, {} test jets of flavour.root: light, c, b; 3 inputs>".format(*n)
    with pytest.raises(KeyError, match="no part 'train'; did you mean 'training'"):
        PreparedSample.load(path, parts=["train"])
    with pytest.raises(TypeError, match=r"write \['test'\]"):
        PreparedSample.load(path, parts="test")


def test_damage_to_a_part_does_not_touch_the_others(made, path):
    with h5py.File(path) as file:
        chunk = file["training/inputs"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    path.write_bytes(content)
    assert_same(PreparedSample.load(path, parts=["validation", "test"]), made, ["validation", "test"])
    refused(OSError, r"flavour.h5 is truncated or damaged \(\d+ bytes\)", lambda: PreparedSample.load(path))


def test_without_checks_and_defaults(tmp_path, source):
    recipe = replace(RECIPE, inputs=["sv_mass"], defaults={}, checks={})
    sample = prepare(tmp_path / "a.hdf5", source, recipe)
    assert sample["training"].checks.shape == (len(sample["training"]), 0)
    assert_same(PreparedSample.load(tmp_path / "a.hdf5", recipe, source), sample)


# --- the second run ---------------------------------------------------------------------------------------------------


def test_the_second_run_reads_what_the_first_has_made(tmp_path, source, made, monkeypatch):
    path = tmp_path / "flavour.h5"
    assert_same(prepare(path, source, RECIPE), made)
    before = path.stat().st_mtime_ns
    monkeypatch.setattr(PreparedSample, "make", None)
    elsewhere = shutil.copy(source, tmp_path / "copy.root")  # the same jets
    again = Recipe(**json.loads(json.dumps(asdict(RECIPE))))
    assert_same(prepare(path, elsewhere, again), made)
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": ["sv_mass", "ip3d_bl", "sv_significance"]}, "inputs have another order"),
        ({"inputs": ["ip3d_bl", "sv_mass", "ip2d_bl"]}, "inputs had sv_significance and now ip2d_bl"),
        ({"defaults": RECIPE.defaults | {"sv_mass": -2}}, r"defaults sv_mass was -1\.0 and is -2\.0"),
        ({"checks": {}}, r"checks no_track was 'ip3d_bl' and is absent; checks no_vertex was 'sv_mass' and is absent"),
        ({"checks": dict(reversed(RECIPE.checks.items()))}, "checks have another order"),
        ({"classes": {4: "c", 0: "light", 5: "b"}}, "classes have another order"),
        (
            {"classes": {0: "light", 5: "b"}, "left_out": [4]},
            r"classes 4 was 'c' and is absent; left_out was \[\] and is",
        ),
        ({"bins": RECIPE.bins | {"pt": [20, 80, 400]}}, r"bins pt was \[20, 35, 60, 400\] and is \[20, 80, 400\]"),
        ({"target": "flat", "fill": "median"}, "fill was 'mean' and is 'median'; target was 'b' and is 'flat'"),
        ({"salt": 1}, "salt was 0 and is 1"),
        ({"fractions": [0.8, 0.1, 0.1]}, r"fractions was \[0\.6, 0\.2, 0\.2\] and is"),
        ({"keys": ["event", "pt"]}, "keys"),
    ],
)
def test_another_recipe_is_refused_setting_by_setting(path, source, change, message):
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"flavour\.h5 was prepared by another recipe: {message}.*another name"):
        prepare(path, source, replace(RECIPE, **change))
    assert path.read_bytes() == before


def test_what_is_no_recipe_is_refused(path, source, tmp_path):
    for other, name in ((None, "NoneType"), ({"inputs": ["pt"]}, "dict")):
        for call in (
            lambda other=other: prepare(path, source, other),
            lambda other=other: prepare(tmp_path / "new.h5", source, other),
            lambda other=other: PreparedSample.make(source, other),
            lambda other=other: PreparedSample.load(path, other or {}),
        ):
            with pytest.raises(TypeError, match=f"recipe is a Recipe, but ({name}|dict) came"):
                call()


def test_another_ntuple_is_refused_by_size_and_by_content(path, source, tmp_path):
    other = ntuple(tmp_path / "other.root", n=500)
    message = r"flavour\.h5 was prepared from another file: flavour\.root had \d+ bytes, .*other\.root has \d+ bytes"
    with pytest.raises(ValueError, match=message):
        prepare(path, other, RECIPE)
    content = bytearray(source.read_bytes())
    content[len(content) // 2] ^= 1
    other.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"flavour\.root had SHA-256 [0-9a-f]{64}, .*other\.root has SHA-256 [0-9a-f]{64}"
    ):
        PreparedSample.load(path, RECIPE, other)
    with pytest.raises(FileNotFoundError, match=r"none\.root is missing"):
        PreparedSample.load(path, RECIPE, tmp_path / "none.root")


# --- ntuples that do not do -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "kind", "message"),
    [
        ({"sv_mass": None, "sv_masss": np.ones(N, "f4")}, KeyError, "no branch sv_mass; did you mean 'sv_masss'"),
        (
            {"flavour": np.arange(N, dtype="i4") % 2 * 5},
            ValueError,
            r"the file has no jet of the class c \(flavour = 4\) am",
        ),
        ({"sv_mass": np.full(N, -1, "f4")}, ValueError, "sv_mass holds its default value in every event with a weight"),
        ({"event": np.zeros(N, "u4")}, ValueError, "the parts have .* events: 1 different keys are too few"),
        ({"event": np.zeros(N, "f4")}, TypeError, "keys are integers"),
        ({"event": (np.arange(N) < N - 9).astype("u4")}, ValueError, "the parts have|part has no jet of the class"),
        ({"pt": np.full(N, 5, "f4")}, ValueError, "class 0 has no weight inside the bin edges"),
        ({"pt": np.full(N, np.nan, "f4")}, ValueError, "pt is NaN or infinite in 6000 of 6000 events"),
        (
            {"flavour": np.arange(N, dtype="i4") % 7},
            ValueError,
            "flavour is 1 in 857 jets, 2 in 857 jets, 3 in .*, 6 in",
        ),
    ],
)
def test_ntuples_that_do_not_do_are_refused_by_name(tmp_path, changed, kind, message):
    refused(
        kind,
        f"bad.root.*{message}",
        lambda: prepare(tmp_path / "a.h5", ntuple(tmp_path / "bad.root", **changed), RECIPE),
    )
    assert not list(tmp_path.glob("a.*"))


def test_a_class_missing_in_a_part_is_named_with_the_part(tmp_path, source):
    flavour, event = (
        load_events(source, ["flavour", "event"], tree="jets")[name].copy() for name in ("flavour", "event")
    )
    flavour[flavour == 4] = 0
    flavour[event == event[0]] = 4  # all of them in one event
    path = ntuple(tmp_path / "rare.root", flavour=flavour)
    with pytest.raises(ValueError, match=r"rare\.root: the (training|validation|test) part has no jet of the class c"):
        PreparedSample.make(path, RECIPE)


def test_a_scaler_that_makes_no_sense_is_refused_with_the_file(source):
    for change, kind, message in [
        ({"checks": {"a": "sv_significanc"}}, KeyError, "looks at sv_significanc, which has no default"),
        ({"fill": "mode"}, ValueError, r"flavour\.root: fill is 'mode'"),
        ({"bins": {"pt": [20, 10], "eta": [-3, 3]}}, ValueError, r"flavour\.root: bin edges must rise"),
    ]:
        with pytest.raises(kind, match=message):
            PreparedSample.make(source, replace(RECIPE, **change))
