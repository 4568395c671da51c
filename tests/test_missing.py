"""What is missing, masked or None, is refused by every function that takes arrays: no number is made of it."""

import awkward as ak
import numpy as np
import pandas as pd
import pytest

from coursekit import events, images, jets, ledger, metrics, observables, preprocess, splitting, weights
from coursekit.export import LwtnnNetwork, export_lwtnn, export_onnx
from coursekit.jets import arrays, position
from coursekit.preprocess import Scaler

N = 6
RNG = np.random.default_rng(1)
COUNTS = [2, 1, 3, 1, 2, 2]
LABELS = np.array([0, 1, 0, 1, 1, 0])
VALUES = RNG.uniform(1, 2, N)
MOMENTA = np.column_stack([RNG.normal(50, 1, size=(sum(COUNTS), 3)), np.full(sum(COUNTS), 99.0)])
JETS = jets.unpack(MOMENTA, COUNTS)
LWTNN = LwtnnNetwork(("a",), ("b",), False, np.zeros(1), np.ones(1), {}, {}, {}, ())
PACKED = RNG.uniform(0.1, 0.2, sum(COUNTS))


def hidden(array):
    """The same array with one entry that is missing, in each way that there is."""
    mask = np.zeros(len(array), dtype=bool)
    mask[1] = True
    yield np.ma.array(array, mask=np.broadcast_to(mask.reshape(-1, *[1] * (array.ndim - 1)), array.shape))
    yield ak.mask(ak.Array(array), ~mask)
    if array.ndim == 1:
        kind = {"f": "Float64", "i": "Int64"}[array.dtype.kind]
        yield pd.Series(pd.array(array, dtype=kind)).where(~pd.Series(mask), pd.NA)
        yield np.where(mask, None, array)


#: Functions of one array, the others being sound; and that array.
FLAT = {
    "roc_curve labels": (lambda x: metrics.roc_curve(x, VALUES), LABELS),
    "roc_curve score": (lambda x: metrics.roc_curve(LABELS, x), VALUES),
    "auc weights": (lambda x: metrics.auc(LABELS, VALUES, x), VALUES),
    "auc_difference other": (lambda x: metrics.auc_difference(LABELS, VALUES, x), VALUES),
    "rejection score": (lambda x: metrics.rejection(LABELS, x, 0.5), VALUES),
    "accuracy labels": (lambda x: metrics.accuracy(x, VALUES), LABELS),
    "bootstrap": (lambda x: metrics.bootstrap(np.mean, x, rng=np.random.default_rng(1)), VALUES),
    "significance": (lambda x: metrics.significance(x, VALUES), VALUES),
    "asimov_significance": (lambda x: metrics.asimov_significance(VALUES, x), VALUES),
    "normalise_weights": (weights.normalise_weights, VALUES),
    "effective_events": (weights.effective_events, VALUES),
    "reweight_2d x": (lambda x: weights.reweight_2d(x, VALUES, VALUES, VALUES, ([1, 2], [1, 2])), VALUES),
    "reweight_2d weights": (
        lambda x: weights.reweight_2d(VALUES, VALUES, VALUES, VALUES, ([1, 2], [1, 2]), target_weights=x),
        VALUES,
    ),
    "reweight_classes y": (lambda x: weights.reweight_classes(VALUES, x, LABELS, ([1, 2], [1, 2]), 1), VALUES),
    "reweight_classes labels": (lambda x: weights.reweight_classes(VALUES, VALUES, x, ([1, 2], [1, 2]), 1), LABELS),
    "reweight_classes weights": (
        lambda x: weights.reweight_classes(VALUES, VALUES, LABELS, ([1, 2], [1, 2]), "sum", x),
        VALUES,
    ),
    "Scaler.fit": (lambda x: Scaler.fit(x, ["a", "b"]), np.column_stack([VALUES, VALUES])),
    "Scaler.fit weights": (lambda x: Scaler.fit(VALUES[:, None], ["a"], weights=x), VALUES),
    "Scaler.transform": (lambda x: Scaler.fit(VALUES[:, None], ["a"]).transform(x), VALUES[:, None]),
    "is_default": (lambda x: preprocess.is_default(x, -9), VALUES),
    "split_by_hash": (splitting.split_by_hash, np.arange(N)),
    "stratified_folds": (lambda x: splitting.stratified_folds(x, 2, np.random.default_rng(1)), LABELS),
    "duplicates_across": (lambda x: splitting.duplicates_across([[0], [1]], x), LABELS),
    "duplicates_across parts": (lambda x: splitting.duplicates_across([x], LABELS), np.arange(N)),
    "fingerprint": (splitting.fingerprint, LABELS),
    "save_indices": (lambda x: splitting.save_indices("split.npz", {"train": x}, "0"), np.arange(N)),
    "require_finite": (lambda x: events.require_finite({"mth": x}), VALUES),
    "event_weights": (
        lambda x: events.event_weights(dict.fromkeys(events.WEIGHT_BRANCHES, VALUES) | {"SFweight2l": x}),
        VALUES,
    ),
    "to_table": (lambda x: events.to_table({"mth": x}, ["mth"]), VALUES),
    "concatenate_events": (lambda x: events.concatenate_events([{"mth": x}, {"mth": VALUES}]), VALUES),
    "ledger.record labels": (lambda x: ledger.record(None, "coin", x, VALUES, 1), LABELS),
    "ledger.record score": (lambda x: ledger.record(None, "coin", LABELS, x, 1), VALUES),
    "unpack": (lambda x: jets.unpack(x, COUNTS), MOMENTA),
    "unpack counts": (lambda x: jets.unpack(MOMENTA, x), np.array(COUNTS)),
    "pad": (lambda x: jets.pad(x, COUNTS), MOMENTA),
    "pad counts": (lambda x: jets.pad(MOMENTA, x), np.array(COUNTS)),
    "unpad": (lambda x: jets.unpad(x, np.ones((N, 2), bool)), np.ones((N, 2, 4))),
    "unpad present": (lambda x: jets.unpad(np.ones((N, 2, 4)), x), np.ones((N, 2), int)),
    "sum_by_jet": (lambda x: arrays.sum_by_jet(x, COUNTS), PACKED),
    "centred": (lambda x: position.centred(x, PACKED, PACKED, COUNTS), PACKED),
    "rotated": (lambda x: position.rotated(PACKED, x, PACKED, COUNTS), PACKED),
    "flipped": (lambda x: position.flipped(PACKED, PACKED, x, COUNTS), PACKED),
    "pixelate": (lambda x: images.pixelate(PACKED, x, PACKED, COUNTS, [0, 1], [0, 1]), PACKED),
    "save_jets labels": (lambda x: jets.save_jets("jets.h5", JETS, x), LABELS),
    "save_jets ttv": (lambda x: jets.save_jets("jets.h5", JETS, LABELS, ttv=x), LABELS),
    "export_lwtnn": (
        lambda x: export_lwtnn("n.json", None, x, classes=["c", "b"], scaler=Scaler.fit(VALUES[:, None], ["a"])),
        np.ones((1000, 1)),
    ),
    "export_onnx": (lambda x: export_onnx("n.onnx", None, x, classes=["c", "b"]), np.ones((1000, 1))),
    "export_onnx counts": (lambda x: export_onnx("n.onnx", None, (MOMENTA, x), classes=["c", "b"]), np.array(COUNTS)),
    "inputs_of": (lambda x: LWTNN.inputs_of({"a": x}), VALUES),
    "lwtnn": (lambda x: LWTNN({"a": x}), VALUES),
}
OF_JETS = {
    "pack": jets.pack,
    "save_jets": lambda x: jets.save_jets("jets.h5", x, LABELS),
    "relative_features": jets.relative_features,
    "flow_features": jets.flow_features,
    "standardised_images": images.standardised_images,
    "study_images": images.study_images,
    "measure_jets": observables.measure_jets,
    **{
        name: getattr(observables, name)
        for name in observables.__all__
        if name not in ("ecf", "n_subjettiness", "measure_jets")
    },
    "ecf": lambda x: observables.ecf(x, 2),
    "n_subjettiness": lambda x: observables.n_subjettiness(x, 2),
}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ledger, "_own_folder", lambda work: tmp_path)
    yield
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".npz", ".h5")]


@pytest.mark.parametrize("name", FLAT)
def test_a_missing_entry_is_refused(name):
    function, array = FLAT[name]
    for wrong in hidden(array):
        with pytest.raises(
            ValueError, match=r"is missing in 1 of \d+ .*, the first|is missing in 1 of \d+ events, first in event 1"
        ):
            function(wrong)


@pytest.mark.parametrize("name", OF_JETS)
def test_missing_jets_and_constituents_are_refused(name):
    for wrong in (ak.mask(JETS, np.arange(N) != 1), ak.mask(JETS, ak.local_index(JETS) != 1)):
        with pytest.raises(
            ValueError, match=r"[14] of 6 jets are missing, or have constituents that are, the first is jet [01]"
        ):
            OF_JETS[name](wrong)


@pytest.mark.parametrize("name", OF_JETS)
def test_jets_that_could_be_missing_and_are_not_count_as_they_are(name, tmp_path):
    marked = ak.mask(JETS, np.ones(N, dtype=bool))
    if name == "save_jets":
        return
    one, other = OF_JETS[name](JETS), OF_JETS[name](marked)
    assert str(one) == str(other)


def test_the_packed_jets_of_a_training():
    PackedJets = pytest.importorskip("coursekit.jets.packed").PackedJets
    for wrong in hidden(MOMENTA):
        with pytest.raises(ValueError, match="is missing in 1 of"):
            PackedJets(wrong, COUNTS, LABELS)
    for wrong in hidden(np.array(COUNTS)):
        with pytest.raises(ValueError, match="is missing in 1 of"):
            PackedJets(MOMENTA, wrong, LABELS)
    for wrong in hidden(LABELS):
        with pytest.raises(ValueError, match="is missing in 1 of"):
            PackedJets(MOMENTA, COUNTS, wrong)


def test_the_list_is_complete():
    """Each public function of these modules that takes arrays stands above."""
    tried = {name.split()[0].split(".")[-1] for name in [*FLAT, *OF_JETS]} | {"fit", "Scaler"}
    takes_none = {"load_indices", "Reweighting", "Factor", "Estimate", "Roc", "split_indices", "shuffle_together"}
    for module in (metrics, weights, splitting, preprocess):
        public = {
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and callable(value) and value.__module__ == module.__name__
        }
        assert public <= tried | takes_none, module.__name__
    assert set(observables.__all__) <= tried
