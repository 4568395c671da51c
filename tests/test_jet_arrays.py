"""Jets as arrays of any kind that NumPy, awkward and pandas have: the right jets, or an error that names the jet."""

import awkward as ak
import numpy as np
import pandas as pd
import pytest
import vector

from coursekit import images, observables
from coursekit import jets as cj
from coursekit.jets.arrays import four_momenta, jet_numbers, require_packed, sum_by_jet

PACKED = np.array([[3.0, 4, 0, 5], [1, 0, 0, 1], [0, 2, 1, 3], [2, 2, 1, 4], [1, 1, 1, 2], [5, 0, 2, 6]])
COUNTS = np.array([2, 1, 3])
JETS = cj.unpack(PACKED, COUNTS)

ARRAYS = {
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "big-endian float32": lambda x: x.astype(">f4"),
    "reversed twice": lambda x: x[::-1].copy()[::-1],
    "every other row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "columns first": lambda x: np.asfortranarray(x),
    "integers": lambda x: x.astype(np.int64),
    "small integers": lambda x: x.astype(np.int8),
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "masked, nothing hidden": lambda x: np.ma.array(x, mask=False),
    "a list": lambda x: x.tolist(),
    "awkward": ak.Array,
}


def values(jets):
    return ak.num(jets).tolist(), [ak.flatten(jets[name]).tolist() for name in cj.MOMENTUM]


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_of_any_kind_give_the_same_jets(kind):
    change = ARRAYS[kind]
    assert values(cj.unpack(change(PACKED), change(COUNTS))) == values(JETS)
    columns = {name: np.asarray(change(PACKED))[:, i] for i, name in enumerate(cj.MOMENTUM)}
    assert values(four_momenta(columns, COUNTS)) == values(JETS)
    padded = cj.pad(change(PACKED), change(COUNTS), 3)
    assert padded.tolist() == cj.pad(PACKED, COUNTS, 3).tolist()
    packed, counts = cj.unpad(change(padded), np.asarray(change(padded[..., 3])) > 0)
    assert (packed.tolist(), counts.tolist()) == (PACKED.tolist(), COUNTS.tolist())
    assert packed.dtype.isnative
    assert jet_numbers(change(COUNTS)).tolist() == [0, 0, 1, 2, 2, 2]
    assert sum_by_jet(change(PACKED[:, 3]), change(COUNTS)).tolist() == [6, 3, 12]
    (eta,), counts = require_packed(change(COUNTS), eta=change(PACKED[:, 0]))
    assert eta.tolist() == PACKED[:, 0].tolist()
    assert counts.tolist() == COUNTS.tolist()


@pytest.mark.parametrize("frame", [pd.DataFrame(PACKED), pd.DataFrame(PACKED, index=range(5, -1, -1))])
def test_rows_of_pandas_are_matched_by_position(frame):
    assert values(cj.unpack(frame, pd.Series(COUNTS, index=[2, 1, 0]))) == values(JETS)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([2.5, 1, 2.5], "all whole; got 2.5 for jet 0"),
        ([2, np.nan, 3], "got nan for jet 1"),
        ([7, -1, 0], "got -1 for jet 1"),
        ([True, True, False], "type bool"),
        (["2", "1", "3"], "counts must be numbers, but came as <U1"),
        ([2**62, 2**62, 2**62, 2**62, 6], "got 4611686018427387904 for jet 0"),
        (ak.Array([[2], [1, 3]]), "counts must be numbers"),
        ([2**64, 1], "counts holds integers of more than 64 bits"),
        (np.ma.array([2, 1, 3], mask=[0, 1, 0]), "counts is missing in 1 of 3 .* first in event 1"),
        ([2, None, 3], "counts is missing"),
        (ak.Array([2, None, 3]), "counts is missing"),
        ([[2, 1, 3]], r"shape \(1, 3\)"),
    ],
)
def test_counts_that_are_none_are_refused(counts, message):
    for call in (
        lambda: cj.unpack(PACKED, counts),
        lambda: cj.pad(PACKED, counts),
        lambda: jet_numbers(counts),
        lambda: require_packed(counts, pt=PACKED[:, 0]),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_whole_counts_may_be_floats():
    assert values(cj.unpack(PACKED, COUNTS.astype(float))) == values(JETS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cj.unpack(ak.Array([[1.0], [1.0, 2.0]]), [2]), "packed must be numbers, but came as 2"),
        (lambda: cj.unpack(PACKED.astype(str), COUNTS), "packed must be numbers, but came as <U"),
        (lambda: cj.pad(PACKED.astype(complex), COUNTS), "packed must be numbers, but came as complex128"),
        (lambda: cj.unpad(PACKED[None], ak.Array([[True], [True, True]])), "present must be numbers"),
        (lambda: cj.pad(PACKED, COUNTS, 2.5), "length is a whole number, but 2.5 came"),
        (lambda: cj.pad(PACKED, COUNTS, -1), "length is -1"),
        (lambda: cj.unpack(PACKED, COUNTS, ("px", "py", "pz", "px")), "fields must be names .* px, py, pz, E among"),
        (lambda: cj.unpack(PACKED, COUNTS, "abcd"), "fields must be names"),
        (lambda: cj.pack(JETS, "px"), "features is a list of at least one name, .* but 'px' came"),
        (lambda: cj.pack(JETS, []), "features is a list of at least one name"),
        (lambda: cj.pack(JETS, ["E", "boost", "fields", 3]), r"no feature \['boost', 'fields', 3\]"),
    ],
)
def test_what_is_no_array_of_that_kind_is_refused_in_a_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_present_is_an_array_of_bools():
    padded = cj.pad(PACKED, COUNTS, 3)
    with pytest.raises(TypeError, match="present must be an array of bools"):
        cj.unpad(padded, padded[..., 3])
    with pytest.raises(ValueError, match="padded is missing in 1 of 3 events, first in event 1"):
        cj.unpad(masked_row(padded, 1), padded[..., 3] > 0)


def masked_row(x, row):
    mask = np.zeros(x.shape, bool)
    mask[row] = True
    return np.ma.array(x, mask=mask)


# --- ak.mask ----------------------------------------------------------------------------------------------------------

WITH_GAPS = {
    "jets": ak.mask(JETS, [True, False, True]),
    "constituents": ak.mask(JETS, ak.Array([[True, True], [False], [True, True, True]])),
    "fields": ak.zip(
        {name: ak.mask(JETS[name], ak.Array([[True] * 2, [name != "pz"], [True] * 3])) for name in cj.MOMENTUM},
        with_name="Momentum4D",
        behavior=vector.backends.awkward.behavior,
    ),
    "None": ak.concatenate([JETS[:1], ak.Array([None]), JETS[2:]]),
}
TAKERS = {
    "pack": cj.pack,
    "relative_features": cj.relative_features,
    "flow_features": cj.flow_features,
    "standardised_images": images.standardised_images,
    "study_images": images.study_images,
    "measure_jets": observables.measure_jets,
} | {name: getattr(observables, name) for name in ("jet_pt", "jet_mass", "multiplicity", "width", "c2", "tau21")}


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("gaps", WITH_GAPS)
def test_jets_with_gaps_are_refused_by_their_number(gaps, taker):
    with pytest.raises(ValueError, match=r"1 of 3 jets are missing, or .* the first is jet 1; .* ak\.mask") as info:
        TAKERS[taker](WITH_GAPS[gaps])
    assert len(str(info.value).splitlines()) == 1


WITHOUT_GAPS = {
    "jets": ak.mask(JETS, [True] * 3),
    "constituents": ak.mask(JETS, ak.full_like(JETS.px, True, dtype=bool)),
    "sliced": cj.unpack(np.concatenate([PACKED, PACKED]), [2, 1, 3, 2, 1, 3])[3:],
    "picked": JETS[[2, 1, 0]][[2, 1, 0]],
    "picked constituents": JETS[:, ::-1][:, ::-1],
    "filtered": ak.concatenate([JETS, JETS])[[True] * 3 + [False] * 3],
    "concatenated": ak.concatenate([JETS[:1], JETS[1:]]),
    "after drop_none": ak.drop_none(ak.concatenate([JETS[:1], ak.Array([None]), JETS[1:]]), axis=0),
}


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("kind", WITHOUT_GAPS)
def test_jets_of_any_layout_are_the_same_jets(kind, taker):
    found, expected = TAKERS[taker](WITHOUT_GAPS[kind]), TAKERS[taker](JETS)
    for one, other in zip(*(x.values() if isinstance(x, dict) else x for x in (found, expected)), strict=True):
        np.testing.assert_array_equal(one, other)
        assert not isinstance(one, np.ma.MaskedArray)


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("wrong", [ak.Array([[1.0], [2.0, 3.0]]), ak.Array([1.0]), np.ones((2, 3, 4)), [[1.0]]])
def test_what_is_no_jets_is_refused(wrong, taker):
    with pytest.raises((TypeError, ValueError), match=r"expected jagged jets|no feature") as info:
        TAKERS[taker](wrong)
    assert len(str(info.value).splitlines()) == 1


# --- reading and writing the reference layout -------------------------------------------------------------------------


def reference_rows(n=6):
    """A frame of the reference layout with room for three constituents, of which the last is padding."""
    frame = pd.DataFrame({f"{kind}_{i}": np.zeros(n) for i in range(3) for kind in ("E", "PX", "PY", "PZ")})
    frame[["E_0", "PX_0", "E_1", "PX_1"]] = [5.0, 4.0, 3.0, 2.0]
    frame["is_signal_new"] = np.arange(n) % 2
    return frame


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("E_1", np.nan, "NaN or infinite"),
        ("PZ_1", -np.inf, "NaN or infinite"),
        ("PX_0", 1e39, "NaN or infinite"),  # more than a float32 holds
        ("E_1", 0, "neither padding"),
        ("E_1", -3, "neither padding"),
        ("E_1", 1e-50, "neither padding"),
        ("PY_2", 1, "neither padding"),
        ("PX_2", np.nan, "NaN or infinite"),
    ],
)
def test_a_row_that_is_no_constituent_is_refused_by_its_row(column, value, message, tmp_path):
    frame = reference_rows()
    frame.loc[4, column] = value
    frame.to_hdf(tmp_path / "a.h5", key="table", format="table")
    with pytest.raises(ValueError, match=rf"a.h5: 1 jets have a constituent that is {message}.* the first is row 4;"):
        cj.load_jets(tmp_path / "a.h5", 2)
    assert ak.num(cj.load_jets(tmp_path / "a.h5", 0, 4)[0]).tolist() == [2] * 4


def test_zeros_are_padding_wherever_they_stand(tmp_path):
    frame = reference_rows()
    frame.loc[4, ["E_0", "PX_0"]] = [0, -0.0]
    frame.to_hdf(tmp_path / "a.h5", key="table", format="table")
    assert cj.load_jets(tmp_path / "a.h5")[0].E.tolist()[3:] == [[5, 3], [3], [5, 3]]


@pytest.mark.parametrize("value", [np.nan, 0.5, 2, -1, np.inf])
def test_a_label_that_is_none_is_refused_by_its_row(value, tmp_path):
    frame = reference_rows().astype({"is_signal_new": float})
    frame.loc[4, "is_signal_new"] = value
    frame.to_hdf(tmp_path / "a.h5", key="table", format="table")
    with pytest.raises(ValueError, match=rf"a.h5: is_signal_new .* event 4 has {value}"):
        cj.load_jets(tmp_path / "a.h5", 2)
    assert cj.load_jets(tmp_path / "a.h5", 0, 4)[1].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("column", ["is_signal_new", "PY_1"])
@pytest.mark.parametrize("values", [["0", "1"] * 3, pd.Categorical([0, 1] * 3), pd.date_range("2026", periods=6)])
def test_columns_that_are_no_numbers_are_refused(column, values, tmp_path):
    frame = reference_rows()
    frame[column] = values
    frame.to_hdf(tmp_path / "a.h5", key="table", format="table")
    with pytest.raises(ValueError, match=rf"a.h5: column {column} .*; expected one number in each row"):
        cj.load_jets(tmp_path / "a.h5")


def test_a_last_constituent_without_energy_is_not_left_out(tmp_path):
    reference_rows().drop(columns="E_2").to_hdf(tmp_path / "a.h5", key="table", format="table")
    with pytest.raises(KeyError, match="lacks 1 of the 12 columns needed, the first 'E_2'"):
        cj.load_jets(tmp_path / "a.h5")


@pytest.mark.parametrize("labels", [[0, np.nan, 1], [0, 0.5, 1], [0, -1, 1], np.eye(3), ["0", "1", "0"], [0, None, 1]])
def test_labels_that_are_none_are_not_written(labels, tmp_path):
    with pytest.raises(ValueError, match=r"^labels "):
        cj.save_jets(tmp_path / "a.h5", JETS, labels)
    with pytest.raises(ValueError, match=r"^labels is missing"):
        cj.save_jets(tmp_path / "a.h5", JETS, np.ma.array([0, 1, 1], mask=[0, 1, 0]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ttv", [3, -1, 0.5, np.nan, [0, 1, 7], [[0, 1, 2]] * 3, ["a"] * 3, np.ma.masked_all(3, int)])
def test_ttv_that_is_none_is_not_written(ttv, tmp_path):
    with pytest.raises(ValueError, match=r"^ttv "):
        cj.save_jets(tmp_path / "a.h5", JETS, [0, 1, 1], ttv=ttv)


@pytest.mark.parametrize("gaps", WITH_GAPS)
def test_jets_and_truth_with_gaps_are_not_written(gaps, tmp_path):
    with pytest.raises(ValueError, match="the first is jet 1"):
        cj.save_jets(tmp_path / "a.h5", WITH_GAPS[gaps], [0, 1, 1])
    truth = ak.mask(cj.unpack(PACKED[:3], [1] * 3)[:, 0], [True, False, True])
    with pytest.raises(ValueError, match="truth is missing in 1 of 3"):
        cj.save_jets(tmp_path / "a.h5", JETS, [0, 1, 1], truth)
    bad = cj.unpack(np.where(np.eye(3, 4) > 0, np.nan, 1), [1] * 3)[:, 0]
    with pytest.raises(ValueError, match="truth of jet 0 is NaN"):
        cj.save_jets(tmp_path / "a.h5", JETS, [0, 1, 1], bad)
    assert not list(tmp_path.iterdir())


def test_labels_of_pandas_are_written_by_position(tmp_path):
    labels, ttv = (pd.Series(x, index=[2, 1, 0]) for x in ([1, 0, 0], [2, 1, 0]))
    cj.save_jets(tmp_path / "a.h5", WITHOUT_GAPS["jets"], labels, ttv=ttv)
    frame = pd.read_hdf(tmp_path / "a.h5", key="table")
    assert frame["is_signal_new"].tolist() == [1, 0, 0]
    assert frame["ttv"].tolist() == [2, 1, 0]
    assert cj.load_jets(tmp_path / "a.h5")[0].E.tolist() == [[5, 1], [3], [6, 4, 2]]  # by falling pT


def test_a_jet_that_cannot_be_written_is_named_by_its_row(tmp_path):
    packed = PACKED.copy()
    packed[3, 3] = 0
    with cj.jet_writer(tmp_path / "a.h5") as append:
        append(JETS, [0, 1, 1])
        with pytest.raises(ValueError, match=r"a.h5: 1 jets have .* the first is row 5"):
            append(cj.unpack(packed, COUNTS), [0, 1, 1])
