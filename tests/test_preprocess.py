import json

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler

from coursekit.preprocess import Scaler

INPUTS = ("ptll", "mth", "ptTOT_cut")


@pytest.fixture
def table():
    rng = np.random.default_rng(1)
    table = np.column_stack([rng.exponential(40, 500), rng.normal(90, 20, 500), rng.exponential(60, 500)])
    table[rng.random(500) < 0.7, 2] = -1
    return table.astype("f4")


# ---------------------------------------------------------------------------------------------------------- the scaler


def test_scaler_by_hand_with_a_default():
    # mth: mean 3, variance (4 + 0 + 4) / 3. ptTOT_cut without the default: 10, 30; mean 20, standard deviation 10
    table = np.array([[1, 10], [3, -1], [5, 30]])
    scaler = Scaler.fit(table, ["mth", "ptTOT_cut"], defaults={"ptTOT_cut": -1})
    np.testing.assert_allclose(scaler.offset, [-3, -20], rtol=1e-15)
    np.testing.assert_allclose(scaler.scale, [np.sqrt(3 / 8), 0.1], rtol=1e-15)
    np.testing.assert_allclose(scaler.transform(table)[:, 1], [-1, 0, 1], rtol=1e-7)
    # a weight of 2 is the event twice: mean (1 + 3 + 5 + 5) / 4 = 3.5, variance (6.25 + 0.25 + 2 * 2.25) / 4
    weighted = Scaler.fit(table[:, :1], ["mth"], weights=[1, 1, 2])
    np.testing.assert_allclose([weighted.offset[0], weighted.scale[0]], [-3.5, 1 / np.sqrt(2.75)], rtol=1e-15)


def test_scaler_agrees_with_scikit_learn(table):
    weights = np.random.default_rng(2).uniform(0, 2, len(table))
    for w in (None, weights):
        ours = Scaler.fit(table, INPUTS, weights=w)
        theirs = StandardScaler().fit(table.astype("f8"), sample_weight=w)
        np.testing.assert_allclose(-ours.offset, theirs.mean_, rtol=1e-12)
        np.testing.assert_allclose(1 / ours.scale, theirs.scale_, rtol=1e-12)
        np.testing.assert_allclose(ours.transform(table), theirs.transform(table.astype("f8")), atol=1e-6)


def test_scaler_is_exact_where_float32_is_not():
    # the mean of 1e7 + {0, 1} is not a float32 number, and a float32 sum of 100k of them is off by thousands
    table = np.float32([[1e7], [1e7 + 1]] * 50_000)
    scaler = Scaler.fit(table, ["event"])
    np.testing.assert_allclose([-scaler.offset[0], scaler.scale[0]], [1e7 + 0.5, 2], rtol=1e-12)
    np.testing.assert_array_equal(scaler.transform(table[:2]), [[-1], [1]])


def test_scaler_does_not_depend_on_the_order_of_events_or_columns(table):
    rng = np.random.default_rng(3)
    events, columns = rng.permutation(len(table)), np.array([2, 0, 1])
    scaler = Scaler.fit(table, INPUTS, defaults={"ptTOT_cut": -1})
    other = Scaler.fit(table[events][:, columns], [INPUTS[i] for i in columns], defaults={"ptTOT_cut": -1})
    np.testing.assert_allclose(other.offset, scaler.offset[columns], rtol=1e-12)
    np.testing.assert_allclose(other.transform(table[:, columns]), scaler.transform(table)[:, columns], atol=1e-6)


def test_scaler_ignores_defaults_and_events_without_weight(table):
    missing = table[:, 2] == -1
    scaler = Scaler.fit(table, INPUTS, defaults={"ptTOT_cut": -1})
    np.testing.assert_allclose(-scaler.offset[2], table[~missing, 2].mean(dtype="f8"), rtol=1e-12)
    assert not scaler.transform(table)[missing, 2].any()
    by_weight = Scaler.fit(table, INPUTS, weights=(~missing).astype(float))
    np.testing.assert_allclose(by_weight.offset[2], scaler.offset[2], rtol=1e-12)


@pytest.mark.parametrize("column", [np.float32([-99.9, 1, 3]), np.float64([np.float32(-99.9), 1, 3]), [-99.9, 1, 3]])
def test_defaults_are_compared_as_float32_whatever_the_table_holds(column):
    table = np.array(column)[:, np.newaxis]
    scaler = Scaler.fit(table, ["d0"], defaults={"d0": -99.9})
    np.testing.assert_array_equal(scaler.transform(table), [[0], [-1], [1]])


def test_the_mean_in_place_of_a_missing_input_gives_what_the_default_gives(table):
    before = table.copy()
    scaler = Scaler.fit(table, INPUTS, defaults={"ptTOT_cut": -1})
    assert scaler.transform(table).dtype == np.float32
    np.testing.assert_array_equal(table, before)
    np.testing.assert_allclose(scaler.transform([[1, 2, -scaler.offset[2]]])[0, 2], 0, atol=1e-12)


def test_scaler_refuses(table):
    with pytest.raises(ValueError, match=r"shape \(N, 3\) is expected.*ptll, mth, ptTOT_cut; one of shape \(500, 2\)"):
        Scaler.fit(table[:, :2], INPUTS)
    with pytest.raises(ValueError, match=r"one of shape \(0, 3\) came"):
        Scaler.fit(table[:0], INPUTS)
    with pytest.raises(ValueError, match="500 events but 499 weights"):
        Scaler.fit(table, INPUTS, weights=np.ones(499))
    with pytest.raises(ValueError, match=r"1 weights are negative.*np\.abs"):
        Scaler.fit(table, INPUTS, weights=np.r_[-1, np.ones(499)])
    with pytest.raises(ValueError, match="a name twice: ptll, ptll, mth"):
        Scaler.fit(table, ("ptll", "ptll", "mth"))
    with pytest.raises(KeyError, match="mTOT_cut, which is not among the inputs ptll, mth, ptTOT_cut"):
        Scaler.fit(table, INPUTS, defaults={"mTOT_cut": -1})
    with pytest.raises(ValueError, match="the default of mth is nan"):
        Scaler.fit(table, INPUTS, defaults={"mth": np.nan})
    scaler = Scaler.fit(table, INPUTS)
    with pytest.raises(ValueError, match=r"one of shape \(3,\) came"):
        scaler.transform(table[0])
    table[[3, 4], 1] = np.nan, np.inf
    for use in (scaler.transform, lambda t: Scaler.fit(t, INPUTS)):
        with pytest.raises(ValueError, match="mth is NaN or infinite in 2 of 500 events"):
            use(table)


def test_scaler_refuses_constant_inputs(table):
    table[:, 0] = 0.1
    with pytest.raises(ValueError, match=r"ptll is constant \(0\.1 in all 500 events used\): leave this input out"):
        Scaler.fit(table, INPUTS)
    table[:, 2] = -1
    with pytest.raises(ValueError, match="ptTOT_cut holds its default value in every event"):
        Scaler.fit(table[:, 1:], INPUTS[1:], defaults={"ptTOT_cut": -1})


def test_weights_of_zero_are_not_taken_for_defaults(table):
    with pytest.raises(ValueError, match="all 500 weights are zero"):
        Scaler.fit(table, INPUTS, np.zeros(len(table)))


def test_what_no_float32_holds_is_refused_by_name():
    for column, message in [([1e300, 1], "mth reaches 1e.300, beyond float32"), ([0, 5e-324], "mth varies by")]:
        with pytest.raises(ValueError, match=message):
            Scaler.fit(np.array(column)[:, None], ["mth"])
    scaler = Scaler.fit(np.array([[1e-3], [2e-3]]), ["mth"], defaults={"mth": -1e300})
    with pytest.raises(ValueError, match="mth is beyond float32 when it is scaled, in 1 of 2 events"):
        scaler.transform(np.array([[1e38], [1]]))
    np.testing.assert_allclose(scaler.transform(np.float32([[1e-3], [2e-3]])), [[-1], [1]], rtol=1e-6)


# --------------------------------------------------------------------------------------------------- fills and checks

GROUPS = ("ip3d", "sv_mass", "sv_sig")


@pytest.fixture
def jets():
    """Jets with a vertex or without, marked by three kinds of defaults."""
    rng = np.random.default_rng(4)
    table = np.column_stack([rng.normal(2, 5, 400), rng.exponential(1.5, 400), rng.exponential(8, 400)]).astype("f4")
    table[rng.random(400) < 0.6, 1:] = -1, -90
    table[rng.random(400) < 0.1, 0] = -19
    return table


def test_checks_by_hand(jets):
    table = np.float32([[1, -90], [2, 4], [3, -90], [4, 10], [5, 7]])
    scaler = Scaler.fit(table, ["ip3d", "sv_sig"], defaults={"sv_sig": -90}, checks={"no_vertex": "sv_sig"})
    assert scaler.outputs == ("ip3d", "sv_sig", "no_vertex")
    assert scaler.fills == {"sv_sig": 7.0}
    scaled = scaler.transform(table)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled[:, 2], [1, 0, 1, 0, 0])
    np.testing.assert_allclose(scaled[:, 1], [0, -np.sqrt(1.5), 0, np.sqrt(1.5), 0], rtol=1e-6)
    np.testing.assert_array_equal(
        scaled[:, :2], Scaler.fit(table, scaler.inputs, None, {"sv_sig": -90}).transform(table)
    )


def test_the_median_takes_the_place_of_a_default():
    # real values 1, 2, 9: mean 4, median 2. An event of weight 4 moves the median to it, as four events would.
    table, one = np.array([[1], [-1], [2], [9]]), ["sv_mass"]
    mean, median = (Scaler.fit(table, one, defaults={"sv_mass": -1}, fill=fill) for fill in ("mean", "median"))
    assert (mean.fills, median.fills) == ({"sv_mass": 4.0}, {"sv_mass": 2.0})
    np.testing.assert_array_equal(mean.offset, median.offset)
    assert median.transform(table)[1] == median.transform([[2]])[0]
    heavy = Scaler.fit(table, one, weights=[1, 5, 1, 4], defaults={"sv_mass": -1}, fill="median")
    assert heavy.fills == {"sv_mass": 9.0}
    between = Scaler.fit(table, one, weights=[1, 1, 1, 2], defaults={"sv_mass": -1}, fill="median")
    assert between.fills == {"sv_mass": 5.5}  # half of the weight is below 2 and half above 9


def test_medians_agree_with_numpy(jets):
    real = jets[jets[:, 1] != -1, 1]
    scaler = Scaler.fit(jets, GROUPS, defaults={"sv_mass": -1, "sv_sig": -90}, fill="median")
    assert scaler.fills["sv_mass"] == pytest.approx(np.median(real), rel=1e-7)
    weights = np.random.default_rng(5).integers(0, 4, len(jets))
    scaler = Scaler.fit(jets, GROUPS, weights, {"sv_mass": -1, "sv_sig": -90}, fill="median")
    kept = jets[:, 1] != -1
    assert scaler.fills["sv_mass"] == pytest.approx(np.median(np.repeat(jets[kept, 1], weights[kept])), rel=1e-7)


def test_a_fill_in_place_of_a_default_gives_what_the_default_gives(jets):
    for fill in ("mean", "median"):
        scaler = Scaler.fit(jets, GROUPS, defaults={"ip3d": -19, "sv_mass": -1, "sv_sig": -90}, fill=fill)
        filled = jets.astype("f8")
        for i, name in enumerate(GROUPS):
            filled[jets[:, i] == scaler.defaults[name], i] = scaler.fills[name]
        np.testing.assert_array_equal(scaler.transform(jets), scaler.transform(filled))


def test_checks_are_stored_and_come_back_in_their_order(tmp_path, jets):
    checks = {"no_vertex": "sv_sig", "no_ip": "ip3d"}
    scaler = Scaler.fit(jets, GROUPS, None, {"sv_sig": -90, "ip3d": -19}, fill="median", checks=checks)
    scaler.save(tmp_path / "variables.json")
    again = Scaler.load(tmp_path / "variables.json", GROUPS)
    assert list(again.checks.items()) == list(checks.items())
    assert again.fills == scaler.fills
    assert again.outputs == (*GROUPS, "no_vertex", "no_ip")
    np.testing.assert_array_equal(again.transform(jets), scaler.transform(jets))
    stored = json.loads((tmp_path / "variables.json").read_text(encoding="utf-8"))
    assert stored["checks"] == [
        {"order": 3, "name": "no_vertex", "input": "sv_sig"},
        {"order": 4, "name": "no_ip", "input": "ip3d"},
    ]
    assert [row["fill"] for row in stored["inputs"]] == [scaler.fills["ip3d"], None, scaler.fills["sv_sig"]]


def test_a_file_that_was_written_before_there_were_fills_and_checks_means_what_it_meant(tmp_path):
    path = tmp_path / "variables.json"
    rows = [
        {"order": 0, "name": "mth", "default": None, "offset": -3.0, "scale": 0.5},
        {"order": 1, "name": "ptTOT_cut", "default": -1.0, "offset": -20.0, "scale": 0.1},
    ]
    path.write_text(json.dumps({"convention": "(x + offset) * scale; ...", "inputs": rows}), encoding="utf-8")
    scaler = Scaler.load(path)
    assert (scaler.fills, scaler.checks) == ({"ptTOT_cut": 20.0}, {})
    np.testing.assert_array_equal(scaler.transform([[5, -1], [3, 30]]), [[1, 0], [0, 1]])


def test_checks_and_fills_that_say_nothing_are_refused(tmp_path, jets):
    defaults = {"sv_mass": -1, "sv_sig": -90}
    for checks, kind, message in [
        ({"no_ip": "ip3d"}, KeyError, "check no_ip looks at ip3d, which has no default; inputs with.* sv_mass, sv_sig"),
        ({"no": "sv_mas"}, KeyError, "looks at sv_mas, which has no default; did you mean 'sv_mass'"),
        ({"ip3d": "sv_sig"}, ValueError, "check ip3d has the name of an input: give it another, such as no_ip3d"),
        ({"a": "sv_sig", "b": "sv_sig"}, ValueError, "two checks have the input sv_sig"),
        ({1: "sv_sig", "1": "sv_mass"}, ValueError, "two checks have the name 1"),
        (["sv_sig"], TypeError, "checks maps names to inputs"),
    ]:
        with pytest.raises(kind, match=message):
            Scaler.fit(jets, GROUPS, defaults=defaults, checks=checks)
    with pytest.raises(ValueError, match='fill is \'mode\': choose "mean" or "median"'):
        Scaler.fit(jets, GROUPS, defaults=defaults, fill="mode")
    path = tmp_path / "variables.json"
    Scaler.fit(jets, GROUPS, defaults=defaults, checks={"no_vertex": "sv_sig"}).save(path)
    text = path.read_text(encoding="utf-8")
    for old, new, message in [
        ('"input": "sv_sig"', '"input": "ip3d"', "a check or a fill belongs to an input without default"),
        ('"input": "sv_sig"', '"input": 3', "is not a variables file"),
        ('"order": 3', '"order": 2', r"numbered \[0, 1, 2, 2\], not 0 to 3"),
        ('"name": "no_vertex"', '"name": "ip3d"', "Edited by hand"),
        ('"default": -90.0', '"default": null', "a check or a fill belongs to an input without default"),
    ]:
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            Scaler.load(path)


# -------------------------------------------------------------------------------------------------- the variables file


@pytest.fixture
def variables(table, tmp_path):
    path = tmp_path / "variables.json"
    Scaler.fit(table, INPUTS, defaults={"ptTOT_cut": -1}).save(path)
    return path


def test_variables_file_returns_the_very_same_numbers(table, variables):
    scaler, again = Scaler.fit(table, INPUTS, defaults={"ptTOT_cut": -1}), Scaler.load(variables, inputs=list(INPUTS))
    assert again.inputs == INPUTS
    assert again.defaults == {"ptTOT_cut": -1.0}
    np.testing.assert_array_equal(again.offset, scaler.offset)
    np.testing.assert_array_equal(again.scale, scaler.scale)
    np.testing.assert_array_equal(again.transform(table), scaler.transform(table))
    rows = json.loads(variables.read_text(encoding="utf-8"))["inputs"]
    assert [(row["order"], row["name"], row["default"]) for row in rows] == [
        (0, "ptll", None),
        (1, "mth", None),
        (2, "ptTOT_cut", -1.0),
    ]
    assert [path.name for path in variables.parent.iterdir()] == ["variables.json"]


def test_variables_file_refuses_other_order_and_names(variables):
    with pytest.raises(ValueError, match=r"variables\.json is for other inputs.*Same names, other order.*to_table"):
        Scaler.load(variables, inputs=("mth", "ptll", "ptTOT_cut"))
    with pytest.raises(
        ValueError, match=r"The file has ptll, mth, ptTOT_cut; the table ptll, mtH, .*did you mean 'mth'\?"
    ):
        Scaler.load(variables, inputs=("ptll", "mtH", "ptTOT_cut"))
    with pytest.raises(ValueError, match=r"the table ptll, mth\. Fit a Scaler for these inputs"):
        Scaler.load(variables, inputs=("ptll", "mth"))


def test_variables_file_refuses_what_is_not_one(tmp_path, variables):
    with pytest.raises(FileNotFoundError, match=r"none\.json does not exist. Fit a Scaler"):
        Scaler.load(tmp_path / "none.json")
    text = variables.read_text(encoding="utf-8")
    for wrong in (text[:-40], "[]", "{}", '{"inputs": [{"name": "mth"}]}', '{"inputs": 3}', "\x00"):
        variables.write_text(wrong, encoding="utf-8")
        with pytest.raises(ValueError, match=r"variables\.json is not a variables file"):
            Scaler.load(variables)
    for old, new, message in [
        ('"order": 1', '"order": 2', r"numbered \[0, 2, 2\]"),
        ('"name": "mth"', '"name": "ptll"', "Edited by hand"),
        ('"scale": ', '"scale": -', "a scale not positive"),
    ]:
        variables.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            Scaler.load(variables)


# ------------------------------------------------------------------------------------------------- tables with names


def test_the_columns_of_a_data_frame_are_compared(table):
    frame = pd.DataFrame(table, columns=INPUTS, index=np.arange(len(table))[::-1])
    scaler = Scaler.fit(frame, INPUTS)
    np.testing.assert_array_equal(scaler.transform(frame), scaler.transform(table))
    np.testing.assert_array_equal(scaler.transform(pd.DataFrame(table)), scaler.transform(table))  # unnamed
    with pytest.raises(ValueError, match=r"other columns than the scaler.*Same names, other order.*frame\[list"):
        scaler.transform(frame[["mth", "ptll", "ptTOT_cut"]])
    with pytest.raises(ValueError, match="other columns than the scaler"):
        Scaler.fit(frame, ["mth", "ptll", "ptTOT_cut"])
    with pytest.raises(ValueError, match=r"the table ptll, MTH, ptTOT_cut\. For MTH, did you mean 'mth'"):
        scaler.transform(frame.rename(columns={"mth": "MTH"}))


def test_a_table_with_missing_values_or_text_is_refused(table):
    scaler = Scaler.fit(table, INPUTS)
    frame = pd.DataFrame(table, columns=INPUTS).astype({"mth": "Float64"})
    frame.loc[3, "mth"] = pd.NA
    for wrong, message in [
        (frame, "mth is missing in 1 of 500 events, first in event 3"),
        (np.ma.array(table, mask=table == table[7, 1]), "table is missing in 1 of 500 events, first in event 7"),
        (table.astype(str), "table must be numbers, but came as <U"),
    ]:
        with pytest.raises(ValueError, match=message):
            scaler.transform(wrong)
        with pytest.raises(ValueError, match=message):
            Scaler.fit(wrong, INPUTS)


def test_a_default_that_is_not_a_number_is_refused(tmp_path, table):
    path = tmp_path / "variables.json"
    Scaler.fit(table, INPUTS, defaults={"ptTOT_cut": -1}).save(path)
    path.write_text(path.read_text(encoding="utf-8").replace("-1.0", "NaN"), encoding="utf-8")
    with pytest.raises(ValueError, match="default is not finite"):
        Scaler.load(path)


# ----------------------------------------------------------------------------------------------- names that are no text


def test_columns_that_are_numbered_or_nested_are_matched_by_name(tmp_path):
    frame = pd.DataFrame([[1.0, 4.0], [2.0, 6.0], [3.0, 5.0]])
    expected = Scaler.fit(frame, ["a", "b"]).transform(frame)  # pandas has numbered them
    for names in ([1, 0], [("x", "a"), ("x", "b")], list(np.arange(2))):
        named = frame.set_axis(pd.Index(names), axis=1)
        scaler = Scaler.fit(named, names)
        scaler.save(tmp_path / "variables.json")
        for one in (scaler, Scaler.load(tmp_path / "variables.json", names)):
            np.testing.assert_array_equal(one.transform(named), expected)
            with pytest.raises(ValueError, match="Same names, other order"):
                one.transform(named[named.columns[::-1]])


def test_arguments_of_other_kinds_are_refused_by_name():
    table = np.array([[1.0, 4.0], [2.0, 6.0]])
    with pytest.raises(TypeError, match=r"inputs is a list of names.*write \['ab'\]"):
        Scaler.fit(table, "ab")
    with pytest.raises(ValueError, match="inputs holds no name"):
        Scaler.fit(np.empty((2, 0)), [])
    for default in (None, "-1", [1.0]):
        with pytest.raises(ValueError, match="the default of a is"):
            Scaler.fit(table, ["a", "b"], defaults={"a": default})


@pytest.mark.parametrize(
    "content",
    [
        '{"inputs": []}',
        '{"inputs": [{"order": 0, "name": null, "default": null, "offset": 1, "scale": 1}]}',
        '{"inputs": [{"order": 0, "name": "a", "default": null, "offset": [1], "scale": [1]}]}',
        '{"inputs": [{"order": 0, "name": "a", "default": null, "offset": 1' + 400 * "0" + ', "scale": 1}]}',
        100_000 * "[",
    ],
    ids=["no input", "no name", "a list", "too large", "too deep"],
)
def test_files_that_look_nearly_like_variables_files(tmp_path, content):
    (tmp_path / "variables.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"variables\.json is not a variables file"):
        Scaler.load(tmp_path / "variables.json")
