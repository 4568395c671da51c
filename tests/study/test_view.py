"""What one training sees: parts, weights, scaled inputs; and that nothing of it knows the other events."""

import awkward as ak
import numpy as np
import pytest

from coursekit.data import fetch
from coursekit.events import INPUT_BRANCHES, WEIGHT_BRANCHES, event_weights, load_events, to_table
from coursekit.prepared import PreparedSample, Recipe
from coursekit.preprocess import Scaler
from coursekit.splitting import split_by_hash
from coursekit.study.dataset import TEST, load_dataset
from coursekit.weights import normalise_weights
from tests.study.events_of_studies import columns, root_file, study


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("views")
    named = {"s": (600, 1, 10), "t": (300, 4, 20), "b": (800, 2, 0)}
    return {
        name: root_file(folder / f"{name}.root", columns(n, seed, shift)) for name, (n, seed, shift) in named.items()
    }


@pytest.fixture
def load(files):
    return lambda **changes: load_dataset(study({"s": files["s"], "t": files["t"]}, {"b": files["b"]}, **changes))


def test_the_numbers_of_lesson_04():
    names = ["GluGluHToWWTo2L2Nu_M125.root", "DYJetsToLL_M-10to50-LO.root", "DYJetsToLL_M-50-LO.root"]
    identity = ["run", "luminosityBlock", "event"]
    defaults = {"ptTOT_cut": -1.0, "mTOT_cut": -1.0}
    settings = study(
        {"hww": names[0]},
        {"low": names[1], "high": names[2]},
        features=INPUT_BRANCHES,
        weight=" * ".join(WEIGHT_BRANCHES),
        negative_weights="keep",
        targets={"signal": {"mean": 1}, "background": {"mean": 1}},
        defaults=defaults,
        split={"keys": identity},
    )
    view = load_dataset(settings, limit=4000).view()
    samples = [load_events(fetch(name), [*INPUT_BRANCHES, *WEIGHT_BRANCHES, *identity], stop=4000) for name in names]
    events = {name: np.concatenate([sample[name] for sample in samples]) for name in samples[0]}
    raw = event_weights(events)
    weights = np.concatenate([normalise_weights(raw[:4000]), normalise_weights(raw[4000:])])
    parts = split_by_hash(*(events[name] for name in identity))
    table = to_table(events, INPUT_BRANCHES)
    scaler = Scaler.fit(table[parts[0]], INPUT_BRANCHES, defaults=defaults)
    for found, expected in zip((view.training, view.validation, view.test), parts, strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(view.weights, weights)  # to the last bit, as all of these
    np.testing.assert_array_equal(view.inputs(np.arange(12000)), scaler.transform(table))


def test_the_numbers_of_lesson_12():
    names = ["sv_mass", "sv_n_tracks", "ip3d_bl"]
    defaults, checks = {"sv_mass": -1.0, "sv_n_tracks": -1.0}, {"no_vertex": "sv_mass"}
    bins = {"pt": [20, 40, 60, 100, 600], "eta": [-2.5, 0, 2.5]}
    known = load_events(fetch("flavour.root"), tree="jets", stop=1)
    names = [name for name in names if name in known]
    defaults = {name: value for name, value in defaults.items() if name in names}
    classes = {0: "light", 4: "c", 5: "b"}
    recipe = Recipe(names, classes, bins, "b", defaults=defaults, checks=checks)
    prepared = PreparedSample.make(fetch("flavour.root"), recipe)
    settings = study(
        {"jets": {"files": ["flavour.root"], "key": "jets", "label": {"branch": "flavour", "classes": classes}}},
        features=names,
        weight="1",
        reweight={"bins": bins, "target": "b"},
        scale="weighted",
        defaults=defaults,
        checks=checks,
        split={"keys": ["event"]},
    )
    dataset = load_dataset(settings)
    view = dataset.view()
    assert view.scaler.to_json() == prepared.scaler.to_json()
    for part in ("training", "validation", "test"):
        rows = getattr(view, part)
        np.testing.assert_array_equal(dataset.labels[rows], prepared[part].labels)
        np.testing.assert_array_equal(view.inputs(rows), prepared.scaler.transform(prepared[part].inputs))
        if part != "test":
            np.testing.assert_array_equal(view.weights[rows], prepared[part].weights)


def test_parts_share_no_event_and_follow_the_fractions(load):
    dataset = load()
    view = dataset.view()
    together = np.concatenate([view.training, view.validation, view.test])
    assert sorted(together) == list(range(1700))
    assert len(view.training) == pytest.approx(0.6 * 1700, abs=4 * np.sqrt(1700 * 0.24))
    other = load(seed=2).view()
    assert not np.array_equal(view.training, other.training)
    assert np.array_equal(load(split={"salt": 5}).view().training, load(seed=3, split={"salt": 5}).view().training)


@pytest.mark.parametrize("keys", [(), ("run", "event")])
def test_each_event_is_tested_once_by_k_folds(load, keys):
    dataset = load(train={"folds": 4}, split={"keys": keys})
    assert (dataset.parts == TEST).all()
    views = [dataset.view(fold) for fold in range(4)]
    assert sorted(np.concatenate([view.test for view in views])) == list(range(1700))
    for fold, view in enumerate(views):
        np.testing.assert_array_equal(view.validation, views[(fold + 1) % 4].test)
        assert not set(view.training) & (set(view.validation) | set(view.test))
    with pytest.raises(ValueError, match="fold None"):
        dataset.view()
    with pytest.raises(ValueError, match="fold 4"):
        dataset.view(4)


def test_nothing_that_is_fitted_sees_validation_or_test_events(files, tmp_path):
    changes = {
        "features": ["pt", "sv_mass", "mass"],
        "defaults": {"sv_mass": -1},
        "fill": "median",
        "scale": "weighted",
        "reweight": {"bins": {"pt": [20, 40, 60, 1000], "eta": [-5, 0, 5]}},
        "reset": {"mass": {}},
        "split": {"keys": ["run", "event"]},
    }

    def load(path):
        first = {"files": [path], "values": {"mass": 125}}
        return load_dataset(study({"s": first, "t": second}, {"b": files["b"]}, **changes))

    second = {"files": [files["t"]], "values": {"mass": 300}}
    dataset = load(files["s"])
    view = dataset.view()
    events = columns(600, 1, 10)
    hidden = np.setdiff1d(np.arange(600), view.training)
    for name in ("pt", "sv_mass", "w"):
        events[name][hidden] = events[name][hidden] * 3 + 1
    other = load(root_file(tmp_path / "changed.root", events)).view()
    np.testing.assert_array_equal(other.training, view.training)
    assert other.scaler.to_json() == view.scaler.to_json()
    np.testing.assert_array_equal(other.weights[view.training], view.weights[view.training])
    np.testing.assert_array_equal(other.inputs(view.training), view.inputs(view.training))
    events = columns(600, 1, 10)
    events["pt"][view.training[0]] += 50  # and a training event is seen
    assert load(root_file(tmp_path / "seen.root", events)).view().scaler.to_json() != view.scaler.to_json()


def test_negative_weights_four_ways(load):
    raw = load().weights
    assert (raw < 0).sum() > 50
    expected = {"keep": raw, "zero": np.maximum(raw, 0), "absolute": np.abs(raw)}
    for choice, weights in expected.items():
        np.testing.assert_array_equal(load(negative_weights=choice).view().weights, weights)
    dataset = load(negative_weights="remove", targets={"signal": {"mean": 1}})
    view = dataset.view()
    assert (dataset.weights[np.concatenate([view.training, view.validation])] >= 0).all()
    assert (dataset.weights[view.test] < 0).any()
    used = (dataset.labels == 1) & (raw >= 0)
    assert view.weights[used].mean() == pytest.approx(1)


def test_targets_of_classes_and_samples(load):
    dataset = load(targets={"signal": {"sum": 100, "of": "each"}, "background": {"mean": 2}})
    weights = dataset.view().weights
    for sample in (0, 1):
        assert weights[dataset.sample == sample].sum() == pytest.approx(50)
    assert weights[dataset.labels == 0].mean() == pytest.approx(2)
    one = load(targets={"signal": {"sum": 100, "of": "t"}}).view().weights
    assert not one[dataset.sample == 0].any()
    assert one[dataset.sample == 1].sum() == pytest.approx(100)
    doubled = load(train={"class_weights": {"signal": 2}}).view().weights
    np.testing.assert_array_equal(doubled, load().view().weights * np.where(dataset.labels == 1, 2, 1))


def test_reset_of_a_feature(files):
    signals = {name: {"files": [files[name]], "values": {"mass": mass}} for name, mass in (("s", 125), ("t", 300))}
    changes = {"features": ["pt", "mass"], "scale": "none"}

    def load(limit=None, **reset):
        return load_dataset(study(signals, {"b": files["b"]}, **changes, reset={"mass": reset}), limit=limit)

    dataset = load()
    view, rows = dataset.view(), np.arange(1700)
    drawn = view.inputs(rows)[:, 1]
    np.testing.assert_array_equal(drawn[:900], dataset.columns["mass"][:900])
    assert set(drawn[900:]) == {125, 300}
    train = view.training[dataset.labels[view.training] == 1]
    share = view.weights[train][dataset.columns["mass"][train] == 125].sum() / view.weights[train].sum()
    assert (drawn[900:] == 125).mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 800))
    np.testing.assert_array_equal(view.inputs(rows[::-1])[::-1], view.inputs(rows))  # of each event by itself
    few = load(limit=500, training=(1, 2, 3))
    np.testing.assert_array_equal(
        few.view().inputs(np.arange(800, 1300))[:, 1],
        load(training=(1, 2, 3)).view().inputs(np.arange(900, 1400))[:, 1],
    )
    fixed = load(training=200, evaluation=150).view()
    assert (fixed.inputs(rows)[900:, 1] == 200).all()
    assert (fixed.inputs(rows, evaluation=True)[:, 1] == 150).all()


def test_mixtures_without_labels(load):
    for fractions in ((0.2, 0.8), (0.0, 1.0), (0.1, 0.5)):
        dataset = load(mixtures=fractions, train={"task": "cwola"}, targets={"signal": {"mean": 1}})
        view = dataset.view()
        for rows in (view.training, view.validation):
            for mixture, fraction in enumerate(fractions):
                inside = rows[view.labels[rows] == mixture]
                w = view.weights[inside]
                assert w[dataset.labels[inside] == 1].sum() / w.sum() == pytest.approx(fraction, abs=0.03)
        assert (view.labels[view.test] == -1).all()
        np.testing.assert_array_equal(view.labels, dataset.view().labels)
    with pytest.raises(ValueError, match=r"a large score means signal: write \[0.2, 0.8\], not \[0.8, 0.2\]"):
        load(mixtures=(0.8, 0.2), train={"task": "cwola"})
    with pytest.raises(ValueError, match="some weights are negative"):
        load(mixtures=(0.2, 0.8), train={"task": "cwola"}, negative_weights="keep").view()


def test_a_regression_has_targets_in_their_unit(load):
    dataset = load(target="sv_mass", train={"task": "regression"})
    np.testing.assert_array_equal(dataset.targets, dataset.columns["sv_mass"].astype(np.float64))
    np.testing.assert_array_equal(dataset.view().targets(np.array([3, 1])), dataset.targets[[3, 1]])


def test_weights_that_cancel_or_are_all_of_one_part(files):
    with pytest.raises(ValueError, match="training weights of the class signal"):
        load_dataset(
            study({"s": {"files": [files["s"]], "scale": -1}}, {"b": files["b"]}, negative_weights="keep")
        ).view()
    with pytest.raises(ValueError, match=r"scale: weighted, but .* negative"):
        load_dataset(study({"s": files["s"]}, {"b": files["b"]}, negative_weights="keep", scale="weighted")).view()
    with pytest.raises(ValueError, match=r"input.features.*constant"):
        load_dataset(
            study({"s": files["s"]}, {"b": files["b"]}, features=["one"], derived={"one": "pt * 0 + 1"})
        ).view()


# --- constituents and images ----------------------------------------------------------------------------------------


def test_tracks_with_the_features_of_their_jet():
    constituents = {
        "features": ["share", "track_deta"],
        "derived": {"share": "log(track_pt / pt)"},
        "with_features": True,
    }
    sample = {"files": ["flavour.root"], "key": "jets", "label": {"branch": "flavour", "classes": {0: "light", 5: "b"}}}
    settings = study({"jets": sample}, features=["pt"], weight="1", constituents=constituents, cut="pt > 30")
    dataset = load_dataset(settings, limit=500)
    view = dataset.view()
    events = load_events(fetch("flavour.root"), ["pt", "flavour", "track_pt", "track_deta"], tree="jets", stop=500)
    kept = np.flatnonzero((events["pt"] > 30) & np.isin(events["flavour"], [0, 5]))
    counts = ak.to_numpy(ak.num(events["track_pt"]))[kept]
    np.testing.assert_array_equal(dataset.constituents.counts, counts)
    some = view.test[::-1][:5]
    lists = [ak.to_numpy(events["track_pt"][kept[i]]) for i in some]
    table = np.stack(
        [
            np.log(
                np.concatenate(lists).astype(float) / np.repeat(events["pt"][kept[some]].astype(float), counts[some])
            ),
            np.concatenate([ak.to_numpy(events["track_deta"][kept[i]]) for i in some]),
            np.repeat(events["pt"][kept[some]], counts[some]),
        ],
        axis=1,
    ).astype(np.float32)
    packed = view.inputs(some)
    assert packed.counts.tolist() == counts[some].tolist()
    np.testing.assert_array_equal(packed.features.numpy(), view.scaler.transform(table))
    np.testing.assert_array_equal(packed.targets[:, 0].numpy(), dataset.labels[some])
    rows = dataset.constituents.rows(view.training)
    assert view.scaler.offset[0] == pytest.approx(-dataset.constituents.features[rows, 0].astype(float).mean())


JETS = {"files": ["toptag_val.h5"], "label": {"branch": "is_signal_new", "classes": {0: "qcd", 1: "top"}}}


def test_momenta_of_reference_jets():
    from coursekit.jets import flow_features, load_jets, relative_features

    jets, labels = load_jets(fetch("toptag_val.h5"), 0, 300)
    for momenta, function in (("relative", relative_features), ("flow", flow_features)):
        settings = study({"jets": JETS}, features=(), weight="1", constituents={"momenta": momenta, "upright": True})
        dataset = load_dataset(settings, limit=300)
        features, counts = function(jets, upright=True)
        np.testing.assert_array_equal(dataset.constituents.features, features)
        np.testing.assert_array_equal(dataset.constituents.counts, counts)
        np.testing.assert_array_equal(dataset.labels, labels)
        packed = dataset.view().inputs(np.arange(300))
        assert packed.features.shape == features.shape
        if momenta == "flow":
            assert packed.features[: counts[0], 0].sum().item() == pytest.approx(1, abs=1e-5)


def test_images_of_reference_jets():
    from coursekit.images import standardised_images, study_images
    from coursekit.jets import load_jets

    jets, _ = load_jets(fetch("toptag_val.h5"), 0, 200)
    images = {"pixels": 12, "half_width": 0.6}
    dataset = load_dataset(study({"jets": JETS}, features=(), weight="1", images=images), limit=200)
    np.testing.assert_array_equal(
        dataset.view().inputs(np.array([5, 3])), 100 * standardised_images(jets, 12, 0.6)[[5, 3]]
    )
    towers = load_dataset(study({"jets": JETS}, features=(), weight="1", images={"kind": "study"}), limit=200)
    np.testing.assert_array_equal(towers.images, study_images(jets).astype(np.float32) / 255)
