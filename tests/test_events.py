import awkward as ak
import numpy as np
import pandas as pd
import pytest
import uproot

from coursekit.events import (
    INPUT_BRANCHES,
    WEIGHT_BRANCHES,
    concatenate_events,
    event_weights,
    load_events,
    require_finite,
    to_table,
)

N = 1000


def write_sample(path, n=N, seed=1, **replaced):
    """A small ROOT file with all inputs and weights, jagged jets and the identity of each event."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(2, n)
    events = {name: rng.exponential(50, n).astype("f4") for name in INPUT_BRANCHES}
    events |= {name: rng.uniform(0.5, 1.5, n).astype("f4") for name in WEIGHT_BRANCHES}
    events |= {"Jet_pt": ak.unflatten(rng.exponential(30, counts.sum()).astype("f4"), counts), "event": np.arange(n)}
    events |= replaced
    with uproot.recreate(path) as file:
        types = {k: "var * float32" if isinstance(v, ak.Array) else v.dtype for k, v in events.items()}
        tree = file.mktree("Events", types)
        for part in range(0, n, 400):
            tree.extend({name: column[part : part + 400] for name, column in events.items()})
    return events


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / "sample.root"
    return path, write_sample(path)


def test_load_returns_what_was_written_and_only_what_is_asked(sample):
    path, written = sample
    events = load_events(path, ["mth", "Jet_pt", "event"])
    assert list(events) == ["mth", "Jet_pt", "event"]
    assert events["mth"].dtype == np.float32
    assert events["event"].dtype == np.int64
    np.testing.assert_array_equal(events["mth"], written["mth"])
    assert ak.all(events["Jet_pt"] == written["Jet_pt"])
    assert set(load_events(path)) == set(written) | {"nJet_pt"}


def test_load_reads_a_range_across_baskets(sample):
    path, written = sample
    events = load_events(str(path), ("mth", "Jet_pt"), start=390, stop=810)
    np.testing.assert_array_equal(events["mth"], written["mth"][390:810])
    assert ak.all(ak.num(events["Jet_pt"]) == ak.num(written["Jet_pt"])[390:810])
    assert len(load_events(path, ["mth"], start=N - 5, stop=N + 100)["mth"]) == 5


def test_load_reads_an_rntuple_alike(tmp_path):
    path = tmp_path / "ntuple.root"
    with uproot.recreate(path) as file:
        file.mkrntuple("Events", {"mth": np.float32([1, 2, 3])})
    np.testing.assert_array_equal(load_events(path, ["mth"], start=1)["mth"], [2, 3])


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.root does not exist.*coursekit data"):
        load_events(tmp_path / "nowhere.root")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        load_events(tmp_path)


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><html>404</html>", b"", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_not_a_root_file(tmp_path, content):
    (tmp_path / "page.root").write_bytes(content)
    with pytest.raises(ValueError, match=r"page\.root is not a ROOT file.*Fetch or make it again"):
        load_events(tmp_path / "page.root")


@pytest.mark.parametrize("kept", [10, 0.01, 0.5, 0.9, -1])
def test_truncated_file(sample, kept):
    path, _ = sample
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(OSError, match=r"sample\.root is truncated.*its header announces"):
        load_events(path, ["mth"])


def test_length_of_a_file_beyond_two_gigabytes_is_64_bit(tmp_path):
    header = b"root" + (1_062_400).to_bytes(4, "big") + (100).to_bytes(4, "big") + (3 << 30).to_bytes(8, "big")
    (tmp_path / "big.root").write_bytes(header + bytes(1000))
    with pytest.raises(OSError, match="has 1020 bytes where its header announces 3221225472"):
        load_events(tmp_path / "big.root")


def test_damaged_file(sample):
    path, _ = sample
    whole = path.read_bytes()
    with uproot.open(path) as file:
        place = int(file["Events"]["mth"].basket_key(1).data_cursor.index)
    path.write_bytes(whole[: place + 12] + bytes(200) + whole[place + 212 :])
    with pytest.raises(OSError, match=r"sample\.root is truncated or damaged: the branch mth cannot be read"):
        load_events(path, ["mth"])


def test_missing_tree_and_branch_offer_the_closest_name(sample):
    path, _ = sample
    with pytest.raises(KeyError, match=r"sample\.root has no tree events; did you mean 'Events'\?"):
        load_events(path, tree="events")
    with pytest.raises(KeyError, match=r"sample\.root: the tree Events has no branch pTll; did you mean 'ptll'\?"):
        load_events(path, ["mth", "pTll"])
    with pytest.raises(KeyError, match=r"has no branch zzz; there is ptll, mth, .* and 3 more"):
        load_events(path, ["zzz"])
    with pytest.raises(TypeError, match=r"write \['mth'\]"):
        load_events(path, "mth")


def test_other_objects_are_not_trees(tmp_path):
    with uproot.recreate(tmp_path / "h.root") as file:
        file["Events"] = np.histogram([1.0, 2.0])
    with pytest.raises(KeyError, match="has no tree Events, which is a TH1D; there is none"):
        load_events(tmp_path / "h.root")


def test_empty_tree(tmp_path):
    with uproot.recreate(tmp_path / "empty.root") as file:
        file.mktree("Events", {"mth": "float32"})
    with pytest.raises(ValueError, match=r"empty\.root: the tree Events has no entries"):
        load_events(tmp_path / "empty.root", ["mth"])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nonfinite_values_are_refused_unless_allowed(tmp_path, value):
    path = tmp_path / "nan.root"
    mth = np.ones(N, "f4")
    mth[[7, 9]] = value
    write_sample(path, mth=mth)
    with pytest.raises(ValueError, match=r"nan\.root: mth is NaN or infinite in 2 of 1000 events, first in event 7"):
        load_events(path, ["ptll", "mth"])
    np.testing.assert_array_equal(load_events(path, ["mth"], allow_nonfinite=True)["mth"], mth)
    assert len(load_events(path, ["ptll"])["ptll"]) == N


def test_nonfinite_values_in_jagged_branches():
    require_finite({"Jet_pt": ak.Array([[1.0], [], [2.0, 3.0]]), "n": np.array([1, 0, 2])})
    with pytest.raises(ValueError, match="Jet_pt is NaN or infinite in 1 of 3 events, first in event 2"):
        require_finite({"Jet_pt": ak.Array([[1.0], [], [2.0, np.nan]])})
    with pytest.raises(ValueError, match="in 1 of 2 events, first in event 0"):
        require_finite({"deep": ak.Array([[[1.0, np.inf], []], []])})


def test_event_weights_by_hand_and_in_any_order():
    # 2 * 1.5 * 0.9 * 1 * 1 * 1 = 2.7; the second event fails the tight cut; the third has a negative generator weight
    events = dict.fromkeys(WEIGHT_BRANCHES, np.ones(3, "f4"))
    events["XSWeight"] = np.array([2, 2, -2], "f8")
    events["SFweight2l"] = np.array([1.5, 1.5, 1], "f8")
    events[WEIGHT_BRANCHES[2]] = np.array([0.9, 0.9, 1], "f8")
    events[WEIGHT_BRANCHES[3]] = np.array([1, 0, 1], "i4")
    weights = event_weights(events)
    np.testing.assert_allclose(weights, [2.7, 0, -2], rtol=1e-15)
    assert weights.dtype == np.float64
    np.testing.assert_array_equal(event_weights(dict(reversed(events.items()))), weights)


def test_event_weights_survive_factors_of_very_different_size():
    # 1e-30 * 1e-30 underflows in float32, whose smallest number is about 1e-45
    events = dict.fromkeys(WEIGHT_BRANCHES, np.ones(2, "f4")) | {
        "XSWeight": np.float32([1e-30, 1]),
        "SFweight2l": np.float32([1e-30, 1]),
    }
    np.testing.assert_allclose(event_weights(events)[0], 1e-60, rtol=1e-6)


def test_event_weights_refuse_missing_unequal_and_nonfinite():
    events = dict.fromkeys(WEIGHT_BRANCHES, np.ones(3))
    with pytest.raises(KeyError, match="no branch METFilter_MC; did you mean 'METFilter_Data'"):
        event_weights({("METFilter_Data" if k == "METFilter_MC" else k): v for k, v in events.items()})
    with pytest.raises(ValueError, match="unequal lengths: XSWeight has 3 events, GenLepMatch2l 2"):
        event_weights(events | {"GenLepMatch2l": np.ones(2)})
    with pytest.raises(ValueError, match="event weights: XSWeight is NaN"):
        event_weights(events | {"XSWeight": np.array([1, np.nan, 1])})
    large = np.array([1, 1, 1e200])
    with pytest.raises(ValueError, match="the product of the factors is NaN or infinite in 1 of 3 events, first in"):
        event_weights(events | {"XSWeight": large, "GenLepMatch2l": large})


def test_to_table_by_hand_and_permuted():
    events = {"a": np.array([1, 2], "f8"), "b": np.array([3, 4], "i8"), "c": np.array([5, 6], "f4")}
    table = to_table(events, ["c", "a"])
    assert table.dtype == np.float32
    np.testing.assert_array_equal(table, [[5, 1], [6, 2]])
    np.testing.assert_array_equal(to_table(events, ["a", "c"]), table[:, ::-1])
    order = [1, 0]
    np.testing.assert_array_equal(to_table({k: v[order] for k, v in events.items()}, ["c", "a"]), table[order])
    np.testing.assert_array_equal(to_table({"a": ak.Array([1.0, 2.0])}, ["a"]), [[1], [2]])


def test_to_table_refuses():
    events = {"ptll": np.ones(3), "mth": np.ones(4), "Jet_pt": ak.Array([[1.0], [], [2.0]]), "p4": np.ones((3, 4))}
    with pytest.raises(ValueError, match="unequal lengths: ptll has 3 events, mth 4"):
        to_table(events, ["ptll", "mth"])
    with pytest.raises(ValueError, match=r"Jet_pt is jagged.*one number per event"):
        to_table(events, ["ptll", "Jet_pt"])
    with pytest.raises(ValueError, match=r"p4 is of shape \(3, 4\)"):
        to_table(events, ["p4"])
    with pytest.raises(KeyError, match="no branch ptl; did you mean 'ptll'"):
        to_table(events, ["ptl"])
    with pytest.raises(ValueError, match="table: ptll is NaN or infinite in 1 of 2 events"):
        to_table({"ptll": np.array([1.0, 1e300])}, ["ptll"])
    with pytest.raises(ValueError, match="at least one branch"):
        to_table(events, [])
    with pytest.raises(TypeError, match=r"write \['mth'\]"):
        to_table(events, "mth")


def test_concatenate_appends_flat_and_jagged_and_leaves_its_input_alone():
    one = {"mth": np.float32([1, 2]), "Jet_pt": ak.Array([[1.0], []])}
    two = {"Jet_pt": ak.Array([[3.0, 4.0]]), "mth": np.float32([3])}
    both = concatenate_events([one, two])
    assert list(both) == ["mth", "Jet_pt"]
    np.testing.assert_array_equal(both["mth"], [1, 2, 3])
    assert both["Jet_pt"].to_list() == [[1], [], [3, 4]]
    both["mth"][0] = 9
    assert one["mth"][0] == 1


def test_concatenate_refuses():
    sample = {"mth": np.ones(2)}
    with pytest.raises(ValueError, match=r"sample 1 has other branches than sample 0: \['mll', 'mth'\]"):
        concatenate_events([sample, {"mll": np.ones(2)}])
    with pytest.raises(ValueError, match="unequal lengths: mth has 2 events, mll 3"):
        concatenate_events([sample | {"mll": np.ones(3)}])
    for nothing in ([], sample):
        with pytest.raises(ValueError, match="at least one dictionary"):
            concatenate_events(nothing)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (np.array(["zll"]), np.array([1])),
        (ak.Array(["zll"]), np.array([1])),
        (np.array([1.0]), ak.Array([[1.0]])),
        (np.array([2**53 + 1]), np.array([1], "u8")),
        (np.array([2**53 + 1]), np.array([0.5])),
        (np.array([2**64 - 1], "u8"), np.array([-1])),
        (np.ones(1), np.ones((1, 3))),
    ],
)
def test_concatenate_refuses_types_of_which_one_would_be_lost(one, two):
    for first, second in ((one, two), (two, one)):
        with pytest.raises(ValueError, match=r"x is .* in sample 0 and .* in sample 1, and no type holds .* both"):
            concatenate_events([{"x": first}, {"x": second}])


def test_concatenate_refuses_what_is_missing_and_finds_a_type_for_both():
    assert concatenate_events([{"x": np.array([1])}, {"x": np.array([0.5])}])["x"].tolist() == [1, 0.5]
    for missing in (np.ma.array([1, 2], mask=[False, True]), ak.Array([1, None])):
        with pytest.raises(ValueError, match="x is missing in 1 of 2 events, first in event 1"):
            concatenate_events([{"x": missing}, {"x": np.array([3])}])


def test_branches_come_from_dictionaries_and_frames_whose_names_differ():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    assert concatenate_events([frame, frame])["b"].tolist() == [3, 4, 3, 4]
    assert to_table(frame.set_axis([0, 1], axis=1), (name for name in (1, 0))).tolist() == [[3, 1], [4, 2]]
    twice = frame.set_axis(["a", "a"], axis=1)
    for function in (lambda: to_table(twice, ["a"]), lambda: concatenate_events([twice, twice])):
        with pytest.raises(ValueError, match="two columns of the name a: rename"):
            function()
    for other in (frame.to_records(), ak.Array([{"a": 1.0}]), [frame], None):
        with pytest.raises(TypeError, match="events maps each branch to its array"):
            to_table(other, ["a"])
    with pytest.raises(KeyError, match="no branch 2; there is 0, 1"):
        to_table(frame.set_axis([0, 1], axis=1), [2])
    with pytest.raises(ValueError, match="samples is a list"):
        concatenate_events(frame)
    with pytest.raises(ValueError, match="a is one number"):
        concatenate_events([{"a": 1.0}])
    with pytest.raises(ValueError, match=r"a is datetime64.* in sample 0 and float64 in sample 1"):
        concatenate_events([{"a": np.array(["2026"], "M8[Y]")}, {"a": np.ones(1)}])


def test_only_numbers_one_per_event_make_a_table():
    for column, kind in [
        (ak.Array(["zll", "hww"]), "text"),
        (np.array(["zll", "hww"]), "text"),
        (ak.Array([{"pt": 1.0}, {"pt": 2.0}]), r"of type \{pt: float64\}, .*Take one of its fields"),
        (np.array(["2026-01-01", "2026-01-02"], "M8[D]"), "of type datetime64"),
    ]:
        for function in (lambda events: to_table(events, ["x"]), lambda events: event_weights(events)):
            with pytest.raises(ValueError, match=rf"{'x|XSWeight'} is {kind}"):
                function(dict.fromkeys(WEIGHT_BRANCHES, np.ones(2)) | {"x": column, "XSWeight": column})


def test_not_finite_in_records_unions_and_structured_arrays():
    deep = ak.Array([{"name": "nan", "hits": [{"e": 1.0}]}, {"name": "", "hits": [{"e": 1.0}, {"e": np.nan}]}])
    rows = np.array([(b"nan", 1.0), (b"", np.inf)], [("name", "S3"), ("e", "f4")])
    either = ak.concatenate([ak.Array(["inf"]), ak.Array([np.inf])])
    for column, name in ((deep, "x"), (rows, r"x\.e"), (either, "x")):
        with pytest.raises(ValueError, match=rf"{name} is NaN or infinite in 1 of 2 events, first in event 1"):
            require_finite({"x": column})
    require_finite(
        {"text": ak.Array(["nan"]), "n": np.array([2**63], "u8"), "flag": np.array([True]), "b": rows["name"]}
    )
