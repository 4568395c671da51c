"""The example studies: all are valid, all keys occur, and those of lessons 04 and 12 give the lessons' own numbers."""

import dataclasses
import json
import re

import numpy as np
import pytest

from coursekit.data import fetch
from coursekit.events import INPUT_BRANCHES, WEIGHT_BRANCHES, concatenate_events, event_weights, load_events, to_table
from coursekit.metrics import Estimate
from coursekit.nets.keras_nets import build_dense
from coursekit.prepared import PreparedSample, Recipe
from coursekit.preprocess import Scaler
from coursekit.reproducing import reproduced
from coursekit.simulate.flavour import DEFAULTS
from coursekit.splitting import split_by_hash
from coursekit.study.dataset import load_dataset
from coursekit.study.documents import read_document
from coursekit.study.reading import changed, read_study
from coursekit.study.report.comparison import add_train_test
from coursekit.study.report.page import Page
from coursekit.study.report.performance import add_performance
from coursekit.study.report.significance import add_significance
from coursekit.study.settings import Study
from coursekit.study.settings.base import keys
from coursekit.study.training import combine, train_one
from coursekit.surroundings import prepare_frameworks
from coursekit.weights import normalise_weights

prepare_frameworks()  # before Keras is there: rounding is that of the lessons
keras = pytest.importorskip("keras")

# Keras' own, where it writes a file.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

IDENTITY = ["run", "luminosityBlock", "event"]
FILES = ["GluGluHToWWTo2L2Nu_M125.root", "DYJetsToLL_M-10to50-LO.root", "DYJetsToLL_M-50-LO.root"]
#: Parts of studies, which are included by others.
PARTS = {"lesson_04_input", "lesson_12_input", "lesson_12_variables", "masses_input"}
#: What a sample of data has in its section and must not say.
REFUSED = {f"input.data.*.{key}" for key in ("label", "label.branch", "label.classes", "scale", "weight")}


@pytest.fixture(scope="module")
def examples(root):
    return root / "examples"


def study_of(path, **settings):
    return changed(read_study(path), {key.replace("__", "."): value for key, value in settings.items()}, "test").study


# --- all of them ------------------------------------------------------------------------------------------------------


def patterns(values, known, before=""):
    """Yield the keys of a file as the schema has them, with ``*`` for a name that the user chose."""
    for name, value in values.items():
        key = next((one for one in (f"{before}{name}", f"{before}*") if starts(known, one)), None)
        if key is None:  # what the builder of a network takes, or another library
            continue
        yield key
        if isinstance(value, dict):
            yield from patterns(value, known, f"{key}.")


def starts(known, key):
    return any(one == key or one.startswith(f"{key}.") for one in known)


def of_any_sample(key):
    return key.replace(".backgrounds.", ".signals.").replace(".data.", ".signals.")


def test_every_example_is_a_study_and_every_key_is_in_one(examples):
    known, said = {key for key, _ in keys(Study)}, set()
    paths = sorted(examples.glob("*.yaml"))
    assert {path.stem for path in paths} >= {*PARTS, "everything", "lesson_04", "lesson_12", "mass_scan"}
    for path in paths:
        said |= set(patterns(read_document(path).values, known))
        if path.stem not in PARTS:
            assert read_study(path).study.job.name
    missing = {of_any_sample(key) for key in known - REFUSED} - {of_any_sample(key) for key in said}
    assert not missing, f"no example says {sorted(missing)}"


def test_the_reference_says_all_keys_but_those_that_exclude_others(examples):
    known = {key for key, _ in keys(Study)}
    said = {of_any_sample(key) for key in patterns(read_study(examples / "everything.yaml").values, known)}
    elsewhere = {of_any_sample(key) for key in known - REFUSED} - said
    text = (examples / "everything.yaml").read_text(encoding="utf-8")
    for key in elsewhere:  # its header names the file that has them
        assert any(f"`{part}`" in text for part in key.split(".")), key


def test_data_cannot_have_what_is_left_out_above(examples):
    for key, value in (("label", "signal"), ("scale", 2.0), ("weight", "1")):
        with pytest.raises(ValueError, match="has no effect"):
            study_of(examples / "everything.yaml", **{f"input.data.pseudodata.{key}": value})


# --- lesson 04 --------------------------------------------------------------------------------------------------------


def of_lesson_04(n=None):
    """What the lesson makes of the first `n` events of each sample: inputs, labels, weights, parts."""
    samples = [load_events(fetch(name), [*INPUT_BRANCHES, *WEIGHT_BRANCHES, *IDENTITY], stop=n) for name in FILES]
    signal, background = samples[0], concatenate_events(samples[1:])
    events = concatenate_events([signal, background])
    table = to_table(events, INPUT_BRANCHES)
    labels = np.repeat([1.0, 0.0], [len(signal["mth"]), len(background["mth"])])
    weights = np.concatenate([normalise_weights(event_weights(sample)) for sample in (signal, background)])
    parts = split_by_hash(*(events[name] for name in IDENTITY), fractions=(0.6, 0.2, 0.2))
    scaler = Scaler.fit(table[parts[0]], INPUT_BRANCHES, defaults={"ptTOT_cut": -1.0, "mTOT_cut": -1.0})
    return scaler.transform(table), labels, weights, parts


def test_the_training_is_that_of_lesson_04_bit_by_bit(examples):
    study = study_of(examples / "lesson_04.yaml", train__epochs=2)
    dataset = load_dataset(study, limit=700)
    mine = train_one(study, dataset, seed=2)

    inputs, labels, weights, (train, validation, _) = of_lesson_04(700)
    keras.utils.set_random_seed(2)
    model = build_dense(6, (64, 64, 64), "relu", 0.1)
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy", steps_per_execution=35)
    history = model.fit(
        inputs[train], labels[train], sample_weight=weights[train], epochs=2, batch_size=256, verbose=0,
        validation_data=(inputs[validation], labels[validation], weights[validation]),
    ).history  # fmt: skip
    assert {key: mine.training.history[key] for key in history} == history
    if mine.training.best_epoch == 2:  # or an earlier one was restored
        np.testing.assert_array_equal(mine.scores, keras.ops.convert_to_numpy(model(inputs, training=False)))


def test_the_bad_network_is_that_of_lesson_04_bit_by_bit(examples):
    study = study_of(examples / "lesson_04_bad.yaml", train__epochs=2)
    dataset = load_dataset(study, limit=700)
    mine = train_one(study, dataset, seed=1)

    inputs, labels, weights, (train, _, _) = of_lesson_04(700)
    keras.utils.set_random_seed(1)
    bad = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    bad.compile(optimizer=keras.optimizers.SGD(0.001), loss="mean_squared_error")
    bad.fit(inputs[train], labels[train], sample_weight=weights[train], batch_size=1024, epochs=2, verbose=0)
    np.testing.assert_array_equal(mine.scores, keras.ops.convert_to_numpy(bad(inputs, training=False)))
    assert mine.scores.min() < 0 < 1 < mine.scores.max()  # which no sigmoid would let through


# --- lesson 12 --------------------------------------------------------------------------------------------------------

BINS = {"pt": [20, 30, 45, 60, 80, 110, 160, 250, 2000], "eta": [-2.5, -1.2, 0, 1.2, 2.5]}
CHECKS = {"ip_check": "ip3d_bl", "sv_check": "sv_mass", "jf_check": "jf_mass"}
RECIPE = Recipe(
    ["pt", "eta", *DEFAULTS], {0: "light", 4: "c", 5: "b"}, BINS, "sum", fractions=(0.5, 0.2, 0.3), defaults=DEFAULTS,
    checks=CHECKS,
)  # fmt: skip


def test_the_training_is_that_of_lesson_12_bit_by_bit(examples):
    study = study_of(examples / "lesson_12.yaml", train__epochs=1)
    mine = train_one(study, load_dataset(study), seed=1)
    prepared = PreparedSample.make(fetch("flavour.root"), RECIPE)
    training, validation = prepared["training"], prepared["validation"]
    keras.utils.set_random_seed(1)
    model = build_dense(25, [64, 64], dropout=0.1, n_classes=3)
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", steps_per_execution=50)
    history = model.fit(
        prepared.scaler.transform(training.inputs), training.labels, sample_weight=training.weights, batch_size=256,
        validation_data=(prepared.scaler.transform(validation.inputs), validation.labels, validation.weights),
        epochs=1, verbose=0,
    ).history  # fmt: skip
    assert {key: mine.training.history[key] for key in history} == history
    x = prepared.scaler.transform(prepared["test"].inputs)
    said = keras.ops.convert_to_numpy(model(x, training=False))
    # Other events beside them in one multiplication of matrices may round the last bit otherwise.
    np.testing.assert_allclose(mine.scores[prepared["test"].indices], said, rtol=0, atol=3e-7)


# --- the printed tables -----------------------------------------------------------------------------------------------

LESSON_4, LESSON_12 = "04_first_network", "12_flavour_tagging"
#: By how much other seeds change a rejection of lesson 12, which has it in its errors.
SCATTER = {"c": {"0.7": 0.08, "0.77": 0.05, "0.85": 0.03}, "light": {"0.7": 0.25, "0.77": 0.15, "0.85": 0.10}}


def printed(root, lesson, with_words):
    """Return the text of the output of a stored solution that holds these words."""
    notebook = json.loads((root / "solutions" / f"{lesson}.ipynb").read_text(encoding="utf-8"))
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    texts = ["".join(output.get("text") or output.get("data", {}).get("text/plain", [])) for output in outputs]
    return next(text for text in texts if with_words in text)


def require_printed(root, lesson, start, said):
    """The line of the solution that begins so goes on with these values: to the last digit where it was made."""
    line = next(one for one in printed(root, lesson, start).splitlines() if one.startswith(start)).removeprefix(start)
    assert reproduced(line.strip(), said) == line.strip()


def trained(examples, name, **settings):
    """What comes of an example without its report."""
    study = study_of(examples / f"{name}.yaml", **settings)
    dataset = load_dataset(study)
    seeds = range(study.job.seed, study.job.seed + study.train.repeats)
    return study, dataset, combine(dataset, [train_one(study, dataset, seed) for seed in seeds])


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "tagger"),
    [("lesson_04", "network"), ("lesson_04_trees", "boosted trees"), ("lesson_04_bad", "bad network")],
)
def test_the_table_of_lesson_04_comes_out(root, examples, tmp_path, name, tagger):
    study, dataset, outcome = trained(examples, name)
    found = add_performance(page_of(tmp_path), study, dataset, outcome)
    area = Estimate(*found["auc"]["background"])
    digits = 2 if tagger == "bad network" else 3
    require_printed(root, LESSON_4, f"AUC of the {tagger}: ", f"{area.value:.{digits}f} ± {area.error:.{digits}f}")
    table = printed(root, LESSON_4, "signal efficiency 0.5").splitlines()
    column = ["network", "boosted trees", "bad network"].index(tagger)
    stored = [re.findall(r"[\d.]+ ± [\d.]+", line)[column] for line in table[1:]]
    row = [str(Estimate(*value)) for value in found["rejection"]["background"].values()]
    assert reproduced(stored, row) == stored
    if name == "lesson_04":
        require_the_rest_of_lesson_04(root, tmp_path, study, dataset, outcome)


def require_the_rest_of_lesson_04(root, tmp_path, study, dataset, outcome):
    """Its significances, whose errors it takes from a bootstrap, and its KS distances, of the first training."""
    found = add_significance(page_of(tmp_path / "significance"), study, dataset, outcome)
    names = {"s_sqrt_sb": "s/√(s+b)", "s_sqrt_b": "s/√b", "asimov_uncertain": "Asimov, uncertain b"}
    for key, name in names.items():
        text = printed(root, LESSON_4, f"{name}: best cut")
        cut = re.search(rf"{re.escape(name)}: best cut: about ([\d.]+)", text)[1]
        value = re.search(rf"{re.escape(name)}: significance, chosen .*: ([\d.]+) ± ([\d.]+)", text)
        assert found[key]["cut"] == pytest.approx(float(cut), abs=0.05)
        assert found[key]["value"] == pytest.approx(float(value[1]), abs=float(value[2]))
    first = dataclasses.replace(outcome, scores=outcome.scores[:1])
    for name, said in add_train_test(page_of(tmp_path / "ks"), study, dataset, first)["ks"].items():
        value, error = said["distance"]
        of_class = {"signal": "H → WW", "background": "Drell-Yan"}[name]
        require_printed(root, LESSON_4, f"KS distance of {of_class}: ", f"{value:.3f} ± {error:.3f}")


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "tagger"),
    [("lesson_12", "network"), ("lesson_12_tracks", "tracks"), ("lesson_12_both", "tracks and variables")],
)
def test_the_table_of_lesson_12_comes_out(root, examples, tmp_path, name, tagger):
    study, dataset, outcome = trained(examples, name)
    found = add_performance(page_of(tmp_path), study, dataset, outcome)["rejection"]
    said = []
    for at in ("0.7", "0.77", "0.85"):
        for background in ("c", "light"):
            value, error = found[background][at]
            said.append(str(Estimate(value, np.hypot(error, SCATTER[background][at] * value))))
    table = printed(root, LESSON_12, "light, 70%").splitlines()
    line = next(line for line in table if re.match(rf"{tagger}  +\d", line))
    stored = re.findall(r"[\d.]+ ± [\d.]+", line)
    assert reproduced(stored, said) == stored


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "settings"),
    [("sum, another seed", {}), ("sum", {"job__seed": 1}),
     ("sum, wide", {"job__seed": 1, "train__options__hidden": [128, 128]})],
)  # fmt: skip
def test_the_validation_losses_of_lesson_12_come_out(root, examples, name, settings):
    _, _, outcome = trained(examples, "lesson_12", **settings)
    lowest = min(outcome.trainings[0].history["val_loss"])
    require_printed(root, LESSON_12, f"lowest validation loss, {name}: ", f"{lowest:.2f} ± 0.01")


def page_of(folder):
    page = Page(folder, "example")
    page.section("Results")
    return page
