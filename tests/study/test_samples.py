"""Events of samples, whatever the format of their files, cut, labelled and weighted."""

import numpy as np
import pytest

from coursekit.study.dataset import load_dataset
from tests.study.events_of_studies import columns, feather_file, hdf5_file, root_file, study


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    return {
        "signal": root_file(folder / "signal.root", columns(300, 1, shift=10)),
        "background": root_file(folder / "background.root", columns(400, 2)),
        "hdf5": hdf5_file(folder / "background.h5", columns(400, 2)),
        "feather": feather_file(folder / "background.feather", columns(400, 2)),
        "other": root_file(folder / "other.root", columns(100, 3)),
    }


@pytest.mark.parametrize("kind", ["background", "hdf5", "feather"])
def test_events_are_the_same_from_all_formats(files, kind):
    dataset = load_dataset(study({"s": files["signal"]}, {"b": files[kind]}, spectators=["event", "good"]))
    expected = columns(400, 2)
    chosen = dataset.sample == dataset.samples.index("b")
    for name in ("pt", "eta", "event", "good"):
        assert dataset.columns[name].dtype == expected[name].dtype
        np.testing.assert_array_equal(dataset.columns[name][chosen], expected[name])
    np.testing.assert_array_equal(dataset.weights[chosen], expected["w"].astype(np.float64))
    assert dataset.classes == ("background", "signal")
    assert dataset.labels.tolist() == [1] * 300 + [0] * 400  # signals first


def test_plain_arrays_of_hdf5(files, tmp_path):
    import h5py

    with h5py.File(tmp_path / "arrays.h5", "w") as file:
        for name, column in columns(50, 2).items():
            file[f"jets/{name}"] = column
    sample = {"files": [str(tmp_path / "arrays.h5")], "key": "jets"}
    dataset = load_dataset(study({"s": files["signal"]}, {"b": sample}))
    np.testing.assert_array_equal(dataset.columns["pt"][300:], columns(50, 2)["pt"])


def test_cuts_derived_columns_scale_and_values(files):
    settings = study(
        {"s": {"files": [files["signal"]], "values": {"mass": 125}, "cut": "log_pt > 3.5"}},
        {"b": {"files": [files["background"]], "scale": 2.0, "weight": "w * good"}},
        derived={"log_pt": "log(pt)", "twice": "2 * log_pt"},
        cut="good and abs(eta) < 2",
        spectators=["event"],
    )
    dataset, s, b = load_dataset(settings), columns(300, 1, shift=10), columns(400, 2)
    in_s = (np.log(s["pt"].astype(float)) > 3.5) & s["good"] & (abs(s["eta"]) < 2)
    in_b = b["good"] & (abs(b["eta"]) < 2)
    np.testing.assert_array_equal(dataset.columns["event"], np.concatenate([s["event"][in_s], b["event"][in_b]]))
    np.testing.assert_allclose(dataset.columns["twice"], 2 * np.log(dataset.columns["pt"].astype(float)), rtol=1e-14)
    np.testing.assert_allclose(dataset.weights[in_s.sum() :], 2 * b["w"][in_b].astype(float))
    assert dataset.columns["mass"][0] == 125 and np.isnan(dataset.columns["mass"][-1])  # noqa: PT018
    flow = dataset.flow[dataset.flow["sample"] == "s"]
    assert flow["cut"].tolist() == ["read", "input.signals.s.cut: log_pt > 3.5", "input.cut: good and abs(eta) < 2"]
    assert flow["events"].tolist() == [300, (np.log(s["pt"].astype(float)) > 3.5).sum(), in_s.sum()]
    assert flow["weight"].iloc[-1] == pytest.approx(s["w"][in_s].astype(float).sum())


def test_several_classes_in_one_file(files):
    label = {"branch": "flavour", "classes": {0: "light", 4: "c", 5: "b"}}
    settings = study({"jets": {"files": [files["signal"], files["other"]], "label": label}}, spectators=["event"])
    dataset = load_dataset(settings)
    codes = np.concatenate([columns(300, 1, shift=10)["flavour"], columns(100, 3)["flavour"]])
    assert dataset.classes == ("light", "c", "b")
    expected = np.array([0, -1, -1, -1, 1, 2] + [-1] * 9 + [-1])[codes]
    np.testing.assert_array_equal(dataset.labels, expected[expected >= 0])


def test_data_count_once_and_are_in_no_part(files):
    dataset = load_dataset(study({"s": files["signal"]}, {"b": files["background"]}, {"d": files["other"]}))
    assert (dataset.labels[-100:] == -1).all()
    assert (dataset.weights[-100:] == 1).all()
    assert (dataset.parts[-100:] == -1).all()
    view = dataset.view()
    assert max(map(max, (view.training, view.validation, view.test))) < 700


def test_missing_values(files, tmp_path):
    events = columns(200, 4)
    events["pt"][[3, 7]] = np.nan
    for path in (root_file(tmp_path / "nan.root", events), feather_file(tmp_path / "nan.feather", events)):
        samples = {"s": files["signal"]}, {"b": path}
        with pytest.raises(ValueError, match=r"nan\.\w+: pt is NaN in 2 of 200 .* first in number 3"):
            load_dataset(study(*samples))
        dropped = load_dataset(study(*samples, missing="drop"))
        assert len(dropped) == 498
        assert dropped.flow["cut"].tolist() == ["read", "missing: drop"] * 2
        filled = load_dataset(study(*samples, missing="fill", defaults={"pt": -99}))
        assert filled.columns["pt"][[303, 307]].tolist() == [-99, -99]
        assert filled.view().inputs([303])[0, 0] == pytest.approx(0, abs=1e-6)
        with pytest.raises(ValueError, match=r"needed by input.cut, is NaN or infinite in 2"):
            load_dataset(study(*samples, missing="drop", cut="pt > 20"))


def test_a_whole_number_that_is_missing_in_feather(files, tmp_path):
    import pandas as pd

    frame = pd.DataFrame(columns(20, 4))
    frame["event"] = frame["event"].astype("Int64")
    frame.loc[5, "event"] = pd.NA
    frame.to_feather(tmp_path / "na.feather")
    with pytest.raises(ValueError, match=r"na.feather: event is missing in 1 events, first in row 5"):
        load_dataset(study({"s": files["signal"]}, {"b": str(tmp_path / "na.feather")}, spectators=["event"]))


def test_pieces_and_limit_do_not_change_an_event(files):
    from coursekit.study.samples import SampleReader

    settings = study({"s": files["signal"]}, {"b": files["background"]}, derived={"r": "pt * eta"})
    name, (section, sample) = "s", settings.input.samples()["s"]
    reader = SampleReader(name, section, sample, settings.input)
    whole, parts = list(reader.pieces()), list(reader.pieces(chunk=77))
    assert len(parts) > 2
    for name in whole[0].columns:
        np.testing.assert_array_equal(whole[0].columns[name], np.concatenate([p.columns[name] for p in parts]))
    np.testing.assert_array_equal(whole[0].places, np.concatenate([p.places for p in parts]))
    few, all_of_them = (
        load_dataset(study({"s": files["signal"]}, {"b": files["background"]}), limit=100),
        load_dataset(settings),
    )
    assert len(few) == 200
    np.testing.assert_array_equal(few.parts[:100], all_of_them.parts[:100])
    np.testing.assert_array_equal(few.parts[100:], all_of_them.parts[300:400])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"features": ["Pt"]}, KeyError, r"input.signals.s.*no branch Pt; did you mean 'pt'"),
        ({"cut": "ptt > 3"}, KeyError, r"for input.cut: .*no branch ptt; did you mean 'pt'"),
        ({"weight": "w * sf"}, KeyError, r"for input.weight: .*no branch sf"),
        ({"cut": "pt > 1e6"}, ValueError, r"input.signals.s is empty .*read: 300; input.cut: pt > 1e6: 0"),
        ({"cut": "pt"}, ValueError, r"a number, where a condition"),
        ({"derived": {"a": "b + 1", "b": "a"}}, ValueError, r"input.derived.a needs itself: a -> b -> a"),
        ({"derived": {"pt": "pt / 1000"}}, ValueError, r"needs a name that no branch has"),
        ({"derived": {"bad": "log(eta)"}}, ValueError, r"input.derived.bad: 'log\(eta\)': is NaN in .*where eta = -"),
        ({"weight": "log(eta)"}, ValueError, r"input.weight: 'log\(eta\)': is NaN"),
        ({"split": {"keys": ["eta"]}}, TypeError, "integers"),
    ],
)
def test_what_is_refused_names_sample_and_key(files, changes, error, message):
    with pytest.raises(error, match=message):
        load_dataset(study({"s": files["signal"]}, {"b": files["background"]}, **changes))


def test_files_that_differ(files, tmp_path):
    events = columns(50, 5)
    fewer = root_file(tmp_path / "fewer.root", {name: events[name] for name in events if name != "eta"})
    with pytest.raises(KeyError, match=r"input.backgrounds.b.*fewer.root.*no branch eta"):
        load_dataset(study({"s": files["signal"]}, {"b": {"files": [files["background"], fewer]}}))
    other = root_file(tmp_path / "kinds.root", events | {"pt": events["pt"].astype(np.int32)})
    with pytest.raises(
        ValueError, match=r"pt holds real numbers in .*background.root and whole numbers in .*kinds.root"
    ):
        load_dataset(study({"s": files["signal"]}, {"b": {"files": [files["background"], other]}}))
    with pytest.raises(FileNotFoundError, match=r"absent.root"):
        load_dataset(study({"s": files["signal"]}, {"b": str(tmp_path / "absent.root")}))
    with pytest.raises(FileNotFoundError, match=r"flavor.root is no file.*did you mean 'flavour.root'"):
        load_dataset(study({"s": files["signal"]}, {"b": "flavor.root"}))
    (tmp_path / "bad.feather").write_bytes(b"<html>")
    with pytest.raises(OSError, match=r"bad.feather is not a feather file"):
        load_dataset(study({"s": files["signal"]}, {"b": str(tmp_path / "bad.feather")}))


def test_a_class_without_events(files):
    label = {"branch": "flavour", "classes": {0: "light", 7: "strange"}}
    with pytest.raises(ValueError, match="the class strange has no event"):
        load_dataset(study({"jets": {"files": [files["signal"]], "label": label}}))
    with pytest.raises(ValueError, match=r"there is one class, signal"):
        load_dataset(study({"s": files["signal"]}))
