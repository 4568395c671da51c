"""Jets: their three forms, the files, and observables that do not depend on what they should not depend on."""

import tempfile
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coursekit import observables
from coursekit.jets import load_jets, load_quark_gluon, pack, pad, save_jets, unpack, unpad
from tests.properties.strategies import refused

DTYPES = ["f4", "f8", "i4", "i8", "u1"]
FIELDS = ("E", "px", "py", "pz")


@st.composite
def packed_jets(draw, n_fields=4, min_count=0, dtypes=DTYPES):
    """Packed constituents (T, F) of any values, and counts (N,)."""
    counts = np.array(draw(st.lists(st.integers(min_count, 6), min_size=1, max_size=8)))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    return draw(hnp.arrays(dtype, (int(counts.sum()), n_fields))), counts


@st.composite
def momenta(draw, min_count=0):
    """Packed four-momenta of massive and massless particles, (T, 4) float64 of E px py pz, and counts (N,)."""
    counts = np.array(draw(st.lists(st.integers(min_count, 6), min_size=1, max_size=8)))
    usual = st.floats(-1e3, 1e3).map(lambda x: x if abs(x) > 1e-3 else 0.0)
    p = draw(hnp.arrays(np.float64, (int(counts.sum()), 3), elements=usual, fill=st.nothing()))
    mass = draw(st.sampled_from([0.0, 0.14, 5.0]))
    return np.column_stack([np.maximum(np.sqrt((p**2).sum(axis=1) + mass**2), 1e-3), p]), counts


def same_bits(one, other):
    assert one.dtype == other.dtype
    assert one.shape == other.shape
    assert one.tobytes() == other.tobytes()


@given(packed_jets())
def test_packing_is_the_inverse_of_unpacking(jets):
    packed, counts = jets
    again, numbers = pack(unpack(packed, counts))
    same_bits(again, packed.astype(packed.dtype.newbyteorder("=")))
    np.testing.assert_array_equal(numbers, counts)
    jagged = unpack(packed, counts)
    assert ak.array_equal(unpack(*pack(jagged)), jagged, equal_nan=True)


@given(packed_jets(n_fields=2), st.integers(0, 8))
def test_unpadding_is_the_inverse_of_padding(jets, length):
    packed, counts = jets
    padded = pad(packed, counts, length)
    assert padded.shape == (len(counts), length, 2)
    present = np.arange(length) < counts[:, None]
    assert not padded[~present].view(np.uint8).any()
    again, numbers = unpad(padded, present)
    np.testing.assert_array_equal(numbers, np.minimum(counts, length))
    first = np.repeat(np.cumsum(counts) - counts, counts)
    same_bits(again, packed[np.arange(len(packed)) - first < length])


@given(momenta(min_count=1), st.data())
def test_jets_return_from_a_file_in_whole_or_in_slices(jets, data):
    packed, counts = jets
    labels = data.draw(hnp.arrays(np.int64, len(counts), elements=st.integers(0, 1)))
    bits = data.draw(st.sampled_from([23, 13, 5]))
    kept = packed.astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jets.h5"
        save_jets(path, unpack(packed, counts, FIELDS), labels, mantissa_bits=bits)
        read, its_labels = load_jets(path)
        cut = data.draw(st.integers(1, len(counts)))
        slices = [load_jets(path, 0, cut)] + ([load_jets(path, cut)] if cut < len(counts) else [])
    assert ak.array_equal(ak.concatenate([part for part, _ in slices]), read)
    np.testing.assert_array_equal(np.concatenate([part for _, part in slices]), labels)
    np.testing.assert_array_equal(its_labels, labels)
    again, numbers = pack(read, FIELDS)
    np.testing.assert_array_equal(numbers, counts)
    pt2 = (again[:, 1:3].astype(np.float64) ** 2).sum(axis=1)
    inside = np.repeat(np.arange(len(counts)), counts)
    assert (np.diff(pt2)[np.diff(inside) == 0] <= 0).all()
    for jet in range(len(counts)):  # the same constituents, in any order, to the bits that are kept
        one, other = (np.sort(rows[inside == jet], axis=0) for rows in (kept, again))
        np.testing.assert_allclose(other, one, rtol=0 if bits == 23 else 2.0**-bits, atol=0)


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, 5))), st.data())
def test_slices_of_the_quark_gluon_jets_join_to_all(shape, data):
    n, p = shape
    x = np.zeros((n, p, 4))
    x[..., 0] = data.draw(hnp.arrays(np.float64, (n, p), elements=st.floats(0.01, 100) | st.just(0.0)))
    x[:, 0, 0] += 1
    x[..., 1:3] = data.draw(hnp.arrays(np.float64, (n, p, 2), elements=st.floats(-3, 3)))
    x[..., 3] = data.draw(hnp.arrays(np.int64, (n, p), elements=st.sampled_from([211, -211, 22, 130, 2212])))
    x[x[..., 0] == 0] = 0  # padding
    y = data.draw(hnp.arrays(np.float64, n, elements=st.sampled_from([0.0, 1.0])))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "qg.npz"
        np.savez_compressed(path, X=x, y=y)
        jets, labels = load_quark_gluon(path)
        cut = data.draw(st.integers(1, n))
        slices = [load_quark_gluon(path, 0, cut)] + ([load_quark_gluon(path, cut)] if cut < n else [])
    np.testing.assert_array_equal(labels, y)
    np.testing.assert_array_equal(ak.num(jets), np.count_nonzero(x[..., 0], axis=1))
    np.testing.assert_array_equal(ak.flatten(jets.pdgid), x[..., 3][x[..., 0] > 0])
    np.testing.assert_allclose(np.hypot(ak.flatten(jets.px), ak.flatten(jets.py)), x[..., 0][x[..., 0] > 0], rtol=1e-6)
    assert ak.array_equal(ak.concatenate([part for part, _ in slices]), jets)
    np.testing.assert_array_equal(np.concatenate([part for _, part in slices]), labels)


def moved(packed, angle=0.0, scale=1.0):
    """Turn momenta about the beam, and multiply them."""
    e, px, py, pz = scale * packed.T
    return np.column_stack([e, px * np.cos(angle) - py * np.sin(angle), px * np.sin(angle) + py * np.cos(angle), pz])


@given(momenta(), st.floats(-7, 7), st.sampled_from([1e-3, 0.5, 2.0, 1e3]), st.randoms(use_true_random=False))
def test_momentum_turns_scales_and_does_not_depend_on_the_order(jets, angle, scale, random):
    packed, counts = jets
    size = np.bincount(np.repeat(np.arange(len(counts)), counts), packed[:, 0], len(counts))
    begin = np.cumsum(counts) - counts
    order = [i for b, n in zip(begin, counts, strict=True) for i in random.sample(range(b, b + n), int(n))]
    before = unpack(packed, counts, FIELDS)
    for after, factor in (
        (unpack(moved(packed, angle), counts, FIELDS), 1),
        (unpack(moved(packed, scale=scale), counts, FIELDS), scale),
        (unpack(packed[order], counts, FIELDS), 1),
    ):
        np.testing.assert_array_equal(observables.multiplicity(after), counts)
        for function in (observables.jet_pt, observables.mean_pt):
            one, other = function(before), function(after) / factor
            assert (np.abs(other - one)[~np.isnan(one)] <= 1e-9 * size[~np.isnan(one)]).all()
            np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
        one, other = observables.jet_mass(before), observables.jet_mass(after) / factor
        assert (np.abs(other**2 - one**2) <= 1e-12 * np.maximum(size, 1e-3) ** 2).all()


@given(momenta())
def test_observables_have_a_value_wherever_they_are_defined(jets):
    packed, counts = jets
    measured = observables.measure_jets(unpack(packed, counts, FIELDS))
    pt = np.hypot(packed[:, 1], packed[:, 2])
    with_pt = np.bincount(np.repeat(np.arange(len(counts)), counts), pt, len(counts)) > 0
    for name, values in measured.items():
        assert values.shape == counts.shape, name
        assert not np.isinf(values).any() or name == "jet_eta", name
    for name in ("jet_pt", "jet_mass", "multiplicity"):
        assert (measured[name] >= 0).all()
    for name in ("width", "pt_dispersion", "c1"):
        assert np.isfinite(measured[name][with_pt]).all(), name
        assert np.isnan(measured[name][~with_pt]).all(), name
    assert (measured["pt_dispersion"][with_pt] <= 1 + 1e-9).all()
    for name in ("c1", "c2", "c3", "d2", "width", "tau21", "tau32"):
        assert (measured[name][~np.isnan(measured[name])] >= 0).all(), name
    for name in ("tau21", "tau32"):
        assert (measured[name][~np.isnan(measured[name])] <= 1 + 1e-9).all(), name


@given(packed_jets(dtypes=["f4", "f8"]))
def test_momenta_of_any_size_are_measured_or_refused(jets):
    packed, counts = jets
    measured = refused(observables.measure_jets, unpack(packed, counts, FIELDS))
    if measured is not None:
        assert (measured["jet_pt"] >= 0).all()
        assert np.isfinite(measured["jet_mass"]).all()


@given(momenta(min_count=1))
def test_a_jet_alone_is_measured_as_among_others(jets):
    packed, counts = jets
    together = observables.measure_jets(unpack(packed, counts, FIELDS))
    alone = unpack(packed[-counts[-1] :], counts[-1:], FIELDS)
    for name, values in observables.measure_jets(alone).items():
        if name not in ("c2", "c3", "d2", "tau21", "tau32"):  # quotients of what may be rounding alone
            assert values[0] == pytest.approx(together[name][-1], rel=1e-9, abs=1e-12, nan_ok=True), name
