import json

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from coursekit.preprocess import Reweighting, Scaler, normalise_weights, reweight_2d

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


def test_defaults_are_compared_in_the_precision_of_the_table():
    table = np.float32([[-99.9], [1], [3]])
    scaler = Scaler.fit(table, ["d0"], defaults={"d0": -99.9})
    np.testing.assert_array_equal(scaler.transform(table), [[0], [-1], [1]])


def test_inverse_undoes_transform_but_for_defaults(table):
    before = table.copy()
    scaler = Scaler.fit(table, INPUTS, defaults={"ptTOT_cut": -1})
    scaled = scaler.transform(table)
    back = scaler.inverse(scaled)
    np.testing.assert_array_equal(table, before)
    assert scaled.dtype == back.dtype == np.float32
    missing = table[:, 2] == -1
    np.testing.assert_allclose(back[~missing], table[~missing], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(back[missing, 2], -scaler.offset[2], rtol=1e-6)
    # the closing line of the class docstring: -offset in place of a missing input gives what the default gives
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
    for use in (scaler.transform, scaler.inverse, lambda t: Scaler.fit(t, INPUTS)):
        with pytest.raises(ValueError, match="mth is NaN or infinite in 2 of 500 events"):
            use(table)


def test_scaler_refuses_constant_inputs(table):
    table[:, 0] = 0.1
    with pytest.raises(ValueError, match=r"ptll is constant \(0\.1 in all 500 events used\): leave this input out"):
        Scaler.fit(table, INPUTS)
    table[:, 2] = -1
    with pytest.raises(ValueError, match="ptTOT_cut holds its default value in every event"):
        Scaler.fit(table[:, 1:], INPUTS[1:], defaults={"ptTOT_cut": -1})


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
    rows = json.loads(variables.read_text())["inputs"]
    assert [(row["order"], row["name"], row["default"]) for row in rows] == [
        (0, "ptll", None),
        (1, "mth", None),
        (2, "ptTOT_cut", -1.0),
    ]
    assert [path.name for path in variables.parent.iterdir()] == ["variables.json"]


def test_variables_file_is_never_half_written(variables, table, monkeypatch):
    before = variables.read_bytes()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        Scaler.fit(table * 2, INPUTS).save(variables)
    assert variables.read_bytes() == before
    assert [path.name for path in variables.parent.iterdir()] == ["variables.json"]


def test_variables_file_refuses_other_order_and_names(variables):
    with pytest.raises(ValueError, match=r"variables\.json is for other inputs.*Same names, other order.*to_table"):
        Scaler.load(variables, inputs=("mth", "ptll", "ptTOT_cut"))
    with pytest.raises(
        ValueError, match=r"The file has ptll, mth, ptTOT_cut; the table ptll, mtH, .*did you mean mth\?"
    ):
        Scaler.load(variables, inputs=("ptll", "mtH", "ptTOT_cut"))
    with pytest.raises(ValueError, match=r"the table ptll, mth\. Fit a Scaler for these inputs"):
        Scaler.load(variables, inputs=("ptll", "mth"))


def test_variables_file_refuses_what_is_not_one(tmp_path, variables):
    with pytest.raises(FileNotFoundError, match=r"none\.json does not exist. Fit a Scaler"):
        Scaler.load(tmp_path / "none.json")
    text = variables.read_text()
    for wrong in (text[:-40], "[]", "{}", '{"inputs": [{"name": "mth"}]}', '{"inputs": 3}', "\x00"):
        variables.write_text(wrong)
        with pytest.raises(ValueError, match=r"variables\.json is not a variables file"):
            Scaler.load(variables)
    for old, new, message in [
        ('"order": 1', '"order": 2', r"numbered \[0, 2, 2\]"),
        ('"name": "mth"', '"name": "ptll"', "Edited by hand"),
        ('"scale": ', '"scale": -', "a scale not positive"),
    ]:
        variables.write_text(text.replace(old, new))
        with pytest.raises(ValueError, match=message):
            Scaler.load(variables)


# --------------------------------------------------------------------------------------------------------- the weights


def test_normalise_weights_by_hand_and_scale_free():
    weights = np.float32([1, 2, 3])
    np.testing.assert_allclose(normalise_weights(weights), [0.5, 1, 1.5], rtol=1e-15)
    np.testing.assert_allclose(normalise_weights(weights * 1e-30), normalise_weights(weights), rtol=1e-6)
    assert weights[0] == 1
    assert normalise_weights(weights).dtype == np.float64


@pytest.mark.parametrize(
    ("negative", "expected"), [("keep", [-1, 1, 3]), ("zero", [0, 0.75, 2.25]), ("absolute", [0.6, 0.6, 1.8])]
)
def test_normalise_weights_does_with_negative_ones_what_is_asked(negative, expected):
    weights = np.array([-1.0, 1.0, 3.0])
    np.testing.assert_allclose(normalise_weights(weights, negative=negative), expected, rtol=1e-15)
    np.testing.assert_array_equal(weights, [-1, 1, 3])


def test_normalise_weights_refuses():
    for weights, message in [
        ([1, -1, 3], '1 of 3 weights are negative.*"keep", "zero" or "absolute"'),
        ([0, 0], "all 2 weights are zero"),
        ([1, np.nan], "1 of 2 weights are NaN or infinite"),
        ([], r"shape \(0,\)"),
        ([[1, 2]], r"shape \(1, 2\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            normalise_weights(np.array(weights, dtype="f8"))
    with pytest.raises(ValueError, match="the mean weight is -1, not positive"):
        normalise_weights(np.array([-3.0, 1.0]), negative="keep")
    with pytest.raises(ValueError, match="all 2 weights are zero"):
        normalise_weights(np.array([-3.0, -1.0]), negative="zero")
    with pytest.raises(ValueError, match="negative is 'drop'"):
        normalise_weights(np.ones(2), negative="drop")


# ------------------------------------------------------------------------------------------------------ the reweighting

EDGES = (np.linspace(-2.5, 2.5, 6), np.array([20, 30, 50, 80, 120, 250.0]))


def make_jets(n, seed, slope):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1.2, n), 20 + rng.exponential(slope, n), rng.uniform(0.5, 1.5, n)


def test_reweighting_by_hand():
    # source 3 : 1 over the two diagonal bins, target 1 : 1 -> factors 0.5 / 0.75 and 0.5 / 0.25
    source, target = np.array([0.5, 0.5, 0.5, 1.5]), np.array([0.5, 1.5])
    change = reweight_2d(source, source, target, target, bins=([0, 1, 2], [0, 1, 2]))
    assert isinstance(change, Reweighting)
    np.testing.assert_allclose(change.ratios, [[2 / 3, 0], [0, 2]], rtol=1e-15)
    assert change.uncovered == 0
    # the last edge belongs to the last bin; outside, and in bins without source events, the factor is 0
    np.testing.assert_allclose(change.weights([2, 1, 0, 0.5, 2.1, -0.1], [2, 1, 0, 1.5, 1, 0]), [2, 2, 2 / 3, 0, 0, 0])


def test_reweighting_closes_and_agrees_with_histogram2d():
    sx, sy, sw = make_jets(20_000, 1, 40)
    tx, ty, tw = make_jets(30_000, 2, 60)
    change = reweight_2d(sx, sy, tx, ty, EDGES, source_weights=sw, target_weights=tw)
    source = np.histogram2d(sx, sy, EDGES, weights=sw)[0]
    target = np.histogram2d(tx, ty, EDGES, weights=tw)[0]
    np.testing.assert_allclose(change.ratios, (target / target.sum()) / (source / source.sum()), rtol=1e-12)
    after = np.histogram2d(sx, sy, EDGES, weights=sw * change.weights(sx, sy))[0]
    np.testing.assert_allclose(after / after.sum(), target / target.sum(), rtol=1e-12)
    np.testing.assert_allclose(after.sum(), source.sum(), rtol=1e-12)


def test_reweighting_does_not_depend_on_order_or_total_weight():
    sx, sy, sw = make_jets(2000, 1, 40)
    tx, ty, tw = make_jets(3000, 2, 60)
    first = reweight_2d(sx, sy, tx, ty, EDGES, sw, tw)
    order = np.random.default_rng(3).permutation(2000)
    again = reweight_2d(sx[order], sy[order], tx, ty, EDGES, 7 * sw[order], tw / 3)
    np.testing.assert_allclose(again.ratios, first.ratios, rtol=1e-12)
    swapped = reweight_2d(sy, sx, ty, tx, EDGES[::-1], sw, tw)
    np.testing.assert_allclose(swapped.ratios, first.ratios.T, rtol=1e-12)
    same = reweight_2d(sx, sy, sx, sy, EDGES)
    np.testing.assert_allclose(same.ratios, 1, rtol=1e-12)


def test_reweighting_carries_over_to_other_events_within_statistics():
    sx, sy, _ = make_jets(100_000, 1, 40)
    tx, ty, _ = make_jets(100_000, 2, 60)
    change = reweight_2d(sx[::2], sy[::2], tx[::2], ty[::2], EDGES)
    after = np.histogram2d(sx[1::2], sy[1::2], EDGES, weights=change.weights(sx[1::2], sy[1::2]))[0]
    target = np.histogram2d(tx[1::2], ty[1::2], EDGES)[0]
    n = np.histogram2d(sx[1::2], sy[1::2], EDGES)[0]
    ratio = (after / after.sum()) / (target / target.sum())
    error = np.sqrt(2 / target + 2 / n)  # each of the two samples enters twice: in the factors and in the comparison
    pull = (ratio - 1) / error
    assert np.abs(pull).max() < 4
    assert 0.4 < np.mean(pull**2) < 1.8


def test_reweighting_reports_what_it_cannot_reach():
    source, target = np.array([0.5, 0.5]), np.array([0.5, 0.5, 0.5, 1.5])
    change = reweight_2d(source, source, target, target, bins=([0, 1, 2], [0, 1, 2]))
    assert change.uncovered == 0.25
    np.testing.assert_array_equal(change.ratios, [[0.75, 0], [0, 0]])


def test_reweighting_refuses():
    x, bins = np.array([0.5, 1.5]), ([0, 1, 2], [0, 1, 2])
    for wrong in (10, (10, 10), ([0, 1],), np.array([0, 1, 2])):
        with pytest.raises(TypeError, match="pair of lists of edges"):
            reweight_2d(x, x, x, x, bins=wrong)
    for edges in ([0, 2, 1], [0], [0, np.nan]):
        with pytest.raises(ValueError, match="bin edges must rise"):
            reweight_2d(x, x, x, x, bins=(edges, [0, 1, 2]))
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(1,\)"):
        reweight_2d(x, x[:1], x, x, bins)
    with pytest.raises(ValueError, match="2 events but 3 weights"):
        reweight_2d(x, x, x, x, bins, target_weights=np.ones(3))
    with pytest.raises(ValueError, match="x or y holds NaN"):
        reweight_2d(x, np.array([0.5, np.nan]), x, x, bins)
    with pytest.raises(ValueError, match="the target has no weight inside the bin edges"):
        reweight_2d(x, x, x + 5, x, bins)
    with pytest.raises(ValueError, match="1 bins of the source have a negative sum of weights: widen"):
        reweight_2d(x, x, x, x, bins, source_weights=np.array([1, -1]))
