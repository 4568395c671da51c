"""A study as text: it reads back to the same, differences have names, and editors have a schema."""

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.study.documents import read_document
from coursekit.study.reading import read_study
from coursekit.study.writing import differences, flow, lines, schema, show

FULL = """\
job: {name: full, steps: [tune, train, apply], seed: 3, ray: local}
input:
  signals:
    hww: {files: [hww.root], scale: 1.1, cut: "ptll > 30", values: {mass: 125}}
  backgrounds:
    ww: {files: [ww1.root, ww2.root], label: {branch: truth, classes: {0: ww, -1: top}}}
  features: [mth, ptll, mass]
  derived: {x: "sqrt(mth)"}
  targets: {signal: {sum: 1000}}
  reset: {mass: {classes: [ww], training: [125, 150], evaluation: 125}}
train:
  options: {hidden: [16, 16], dropout: 0.1}
  optimiser: {name: sgd, learning_rate: 1e-5, momentum: 0.9, nesterov: true}
  early_stopping: {}
tune:
  space: {train.optimiser.learning_rate: {loguniform: [1e-3, 1e-1]}, train.options.hidden: {choice: [[8], [8, 8]]}}
  search: {name: random}
"""


def read(tmp_path, text, name="study.yaml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_study(path)


def test_what_is_shown_reads_back_to_the_same_study(tmp_path):
    resolved = read(tmp_path, FULL)
    text = show(resolved)
    back = read(tmp_path, text, "back.yaml")
    assert back.study == resolved.study
    assert back.values == resolved.values
    assert differences(resolved.values, back.values) == []
    for line in (
        f"  seed: 3                                                 # {tmp_path}/study.yaml:1",
        f"    learning_rate: 1.0e-05                                # {tmp_path}/study.yaml:13",
        "  epochs: 10                                              # default",
    ):
        assert line in text.splitlines()


def test_boosted_trees_read_back_although_they_refuse_the_keys_of_networks(tmp_path):
    text = "job: {name: trees}\ninput: {signals: {s: {files: [s.root]}}, backgrounds: {b: {files: [b.root]}}, "
    resolved = read(tmp_path, text + "features: [x]}\ntrain: {network: boosted_trees}\n")
    assert read(tmp_path, show(resolved), "back.yaml").study == resolved.study


def test_the_text_is_yaml_for_other_readers_too(tmp_path):
    resolved = read(tmp_path, FULL.replace("{branch: truth, classes: {0: ww, -1: top}}", "ww"))
    assert yaml.safe_load(show(resolved)) == resolved.values


def test_one_changed_key_is_the_one_difference(tmp_path):
    one, other = read(tmp_path, FULL), read(tmp_path, FULL.replace("1e-5", "3e-3"))
    assert differences(one.values, other.values) == ["train.optimiser.learning_rate: 1.0e-05 -> 0.003"]


def test_what_is_only_in_one_study_is_named_leaf_by_leaf():
    one = {"tune": None, "input": {"signals": {}}, "train": {"x": True, "folds": [1, 2]}}
    other = {
        "tune": {"trials": 5},
        "input": {"signals": {"h": {"files": ["h.root"]}}},
        "train": {"x": 1, "folds": [2, 1]},
    }
    assert differences(one, other) == [
        "tune.trials: absent -> 5",
        "input.signals.h.files: absent -> [h.root]",
        "train.x: true -> 1",
        "train.folds: [1, 2] -> [2, 1]",
    ]
    assert differences(other, one)[0] == "tune.trials: 5 -> absent"
    assert differences(one, one) == []


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NUMBERS = st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(TEXT, inside, max_size=4),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(value=st.dictionaries(st.sampled_from(["a", "b.c", "<<", "-", "yes", "1"]), PLAIN))
def test_any_plain_values_read_back(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "values.yaml"
    for text in (f"x: {flow(value)}\n", "x:\n" + "\n".join(lines(value, {}, "x", "  ")) if value else "x: {}"):
        path.write_bytes(text.encode())
        back = read_document(path).values["x"]
        assert back == value
        assert repr(back) == repr(value)  # true is not 1, and 1 is not 1.0


def test_the_schema_says_what_each_key_means():
    whole = schema()
    assert whole["$defs"]["Train"]["properties"]["epochs"]["description"].startswith("Times that each training event")
    assert whole["additionalProperties"] is False
    assert set(whole["required"]) == {"job", "input"}
