"""Study files: YAML with lines, includes, and errors that say file, line and key."""

import pytest

from coursekit.study.reading import StudyError, changed, read_study
from coursekit.study.run import resolve

STUDY = """\
job: {name: first}
input:
  signals:
    hww: {files: [hww.root]}
  backgrounds:
    ww: {files: [ww.root]}
  features: [mth, ptll]
train:
  optimiser: {learning_rate: 1e-5}
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="study.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def refused(path):
    """What is wrong with a file, without its folder."""
    with pytest.raises(StudyError) as caught:
        read_study(path)
    assert str(caught.value) == "\n".join(caught.value.lines)
    return [line.replace(f"{path.parent}/", "") for line in caught.value.lines]


@pytest.mark.parametrize("number", ["1e-5", "1E-5", ".1", "5.", "+0.5", "1.5e+1", "3"])
def test_numbers_are_those_of_yaml_1_2(write, number):
    study = read_study(write(STUDY.replace("1e-5", number))).study
    assert study.train.optimiser.learning_rate == float(number)


def test_a_date_yes_and_off_are_text(write):
    derived = "  derived: {yes: off, 2026-01-01: mth}\n"
    assert read_study(write(STUDY.replace("train:", f"{derived}train:"))).study.input.derived == {
        "yes": "off",
        "2026-01-01": "mth",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "study.yaml:1: is empty"),
        ("# nothing\n", "study.yaml:1: is empty"),
        ("- a\n", "study.yaml:1: expected sections with their keys"),
        ("a: 1\n---\nb: 1\n", "study.yaml:3: a second document begins here"),
        (b"a: 1\nb: \xff\n", "study.yaml:2: byte 0xff is not UTF-8"),
        ("a: 1\n\nb: 2\na: 3\n", "study.yaml:4: a: is here for a second time, after line 1"),
        ("a:\n\tb: 1\n", "study.yaml:2: a tab stands at the start of the line"),
        ("a: [1,\nb: 2\n", "study.yaml:3: is no well-formed YAML"),
        ("a: \x01\n", "study.yaml:1: the character 0x0001 cannot stand in YAML"),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            "study.yaml:1: a: the tag !!python/object/apply:os.system is not",
        ),
        ("a: 1\nb: !own {c: 1}\n", "study.yaml:2: b: the tag !own is not allowed"),
        ("a: {b: 1e999}\n", "study.yaml:1: a.b: expected a number that is finite"),
        ("a: .nan\n", "study.yaml:1: a: expected a number that is finite"),
        ("a: -.inf\n", "study.yaml:1: a: expected a number that is finite"),
        (f"a: {'9' * 5000}\n", "study.yaml:1: a: expected a number that is finite and of usual size, got 999"),
        ("a: &x [*x]\n", "study.yaml:1: an alias (*) stands inside what it stands for"),
        ("a: *x\n", "study.yaml:1: is no well-formed YAML (found undefined alias"),
        ("? [a]\n: 1\n", "study.yaml:1: a key is text or a number"),
        (f"a: {'[' * 500}\n", "study.yaml:1: is nested too deeply"),
        (f"a: {'[' * 60}{']' * 60}\n", "study.yaml:1: is nested more than 50 deep"),
        ("a: " + " " * 1_000_001, "study.yaml: has more than 1000000 bytes"),
        ('a: "\\ud800"\n', "study.yaml:1: a: the text has a character that cannot be written"),
        ("a: {<<: 5}\n", "study.yaml:1: a.<<: expected a mapping that was named with &"),
    ],
)
def test_what_is_no_mapping_is_refused_with_its_line(write, text, message):
    assert refused(write(text))[0].startswith(message)


def test_aliases_that_unfold_without_end_are_refused(write):
    bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    (line,) = refused(write(bomb))
    assert "unfolds to more than 100000 values: write out what the aliases (*) stand for" in line


def test_files_that_are_none(write, tmp_path):
    write(STUDY, "other.yaml")
    assert refused(tmp_path / "study.yaml") == [
        f"study.yaml: no such file; YAML files in {tmp_path}: other.yaml",
    ]
    assert "is a folder: give the name of a study file" in refused(tmp_path)[0]
    assert "cannot be read" in refused(tmp_path / "other.yaml" / "study.yaml")[0]


def test_mappings_are_merged_with_an_anchor(write):
    text = STUDY.replace("hww: {files", "hww: &shared {scale: 2.0, cut: mth > 30, files")
    text = text.replace("ww: {files: [ww", "ww: {<<: *shared, scale: 3.0, files: [ww")
    resolved = read_study(write(text))
    ww = resolved.study.input.backgrounds["ww"]
    assert (ww.scale, ww.cut) == (3.0, "mth > 30")
    assert resolved.origins["input.backgrounds.ww.cut"].endswith("study.yaml:4")
    assert resolved.origins["input.backgrounds.ww.scale"].endswith("study.yaml:6")


def test_later_files_overwrite_earlier_ones_and_every_value_knows_its_line(write, tmp_path):
    write("config: {include: [deep/c.yaml]}\ntrain: {epochs: 2, batch_size: 8}\n", "a.yaml")
    write("train: {epochs: 1, save_every: 1, repeats: 3}\ninput: {features: [mll]}\n", "deep/c.yaml")
    write("train:\n  epochs: 3\n", "b.yaml")
    path = write("config: {include: [a.yaml, b.yaml]}\n" + STUDY)
    resolved = read_study(path)
    train = resolved.study.train
    assert (train.epochs, train.batch_size, train.save_every, train.repeats) == (3, 8, 1, 3)
    assert resolved.study.input.features == ("mth", "ptll")  # lists are replaced
    names = {key: value.replace(f"{tmp_path}/", "") for key, value in resolved.origins.items()}
    assert names["train.epochs"] == "b.yaml:2"
    assert names["train.batch_size"] == "a.yaml:2"
    assert names["train.save_every"] == "deep/c.yaml:1"
    assert names["input.features[1]"] == "study.yaml:8"
    assert names["train.folds"] == "default"
    assert [file.name for file in resolved.files] == ["study.yaml", "a.yaml", "c.yaml", "b.yaml"]
    assert resolved.study.config.include == ()
    assert resolved.folder == tmp_path


def test_a_file_that_two_others_include_is_read_for_both(write):
    write("train: {epochs: 7}\n", "common.yaml")
    for name in "ab":
        write("config: {include: [common.yaml]}\n", f"{name}.yaml")
    assert read_study(write("config: {include: [a.yaml, b.yaml]}\n" + STUDY)).study.train.epochs == 7


def test_null_takes_away_what_was_included_but_stays_where_it_is_a_value(write):
    write(STUDY + "  epochs: 5\n  folds: 4\napply: {importance: {shuffles: 3}}\n", "base.yaml")
    text = "config: {include: [base.yaml]}\ntrain: {epochs: null, folds: null}\napply: {importance: null}\n"
    resolved = read_study(write(text + "input: {signals: {hww: null, h150: {files: [h150.root]}}}\n"))
    assert resolved.study.train.epochs == type(resolved.study.train)().epochs
    assert resolved.study.train.folds is None
    assert resolved.study.apply.importance is None
    assert list(resolved.study.input.signals) == ["h150"]
    assert refused(write("config: {include: []}\n" + STUDY + "  epochs:\n", "other.yaml")) == [
        "other.yaml:11: train.epochs: expected a whole number, got nothing"
    ]


def test_circles_and_missing_includes_name_the_line(write, tmp_path):
    write("config:\n  include: [b.yaml]\n", "a.yaml")
    write("config:\n  include: [a.yaml]\n", "b.yaml")
    (line,) = refused(tmp_path / "a.yaml")
    assert line.startswith("b.yaml:2: config.include: the files include one another in a circle, a.yaml -> ")
    assert line.count("a.yaml") == 2
    (line,) = refused(write("config: {include: [nope.yaml]}\n"))
    assert line.startswith("study.yaml:1: config.include: nope.yaml: no such file; YAML files in ")
    assert refused(write("config: {include: a.yaml}\n")) == [
        "study.yaml:1: config.include: expected a list of names of files, got the text 'a.yaml': write [a.yaml]"
    ]
    write("train: {epochs: 1}\ntrain: {}\n", "twice.yaml")
    assert refused(write("config: {include: [twice.yaml]}\n"))[0].startswith(
        "twice.yaml:2: train: is here for a second"
    )


def test_files_lie_beside_the_file_that_names_them_or_in_the_catalogue(write, tmp_path):
    write(STUDY.replace("hww.root", "../hww.root").replace("ww.root]", "ww.root, flavour.root]"), "deep/base.yaml")
    path = write("config: {include: [deep/base.yaml]}\n")
    inputs = read_study(path).study.input
    assert inputs.signals["hww"].files[0] == str(tmp_path / "hww.root")
    assert inputs.backgrounds["ww"].files == (str(tmp_path / "deep/ww.root"), "flavour.root")
    write(b"", "deep/flavour.root")
    assert read_study(path).study.input.backgrounds["ww"].files[1] == str(tmp_path / "deep/flavour.root")


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        ("name: first", "nme: first", ["1: job.nme: no such key; did you mean 'name'?", "1: job.name: is missing"]),
        ("name: first", "name: 5", ["1: job.name: expected text, got 5: write it in quotes, '5'"]),
        ("train:\n", "train:\n  cut: x\n", ["9: train.cut: no such key here; it belongs to `input`"]),
        ("train:\n", "train:\n  decy: 1\n", ["9: train.decy: no such key; did you mean 'decay' of `train.optimiser`?"]),
        ("train:\n", "train:\n  zzzz: 1\n", ["9: train.zzzz: no such key; there are network, options, task"]),
        (
            "train:\n",
            "train:\n  test_rate: 1\n",
            ["9: train.test_rate: is called input.split.fractions here; it has no"],
        ),
        (
            "train:\n",
            "train:\n  use_raw_weight: 1\n",
            ["9: train.use_raw_weight: does not exist here: it has no effect"],
        ),
        (
            "train:\n",
            "train:\n  learn_rate: 1\n",
            ["9: train.learn_rate: is called train.optimiser.learning_rate here (`"],
        ),
        ("train:\n", "train:\n  epochs: 1e3\n", ["9: train.epochs: expected a whole number, got 1000.0: write 1000"]),
        ("train:\n", "train:\n  epochs: 0\n", ["9: train.epochs: expected a number of at least 1, got 0"]),
        (
            "1e-5",
            "'1e-5'",
            ["9: train.optimiser.learning_rate: expected a number, got the text '1e-5': write 1e-05, wi"],
        ),
        (
            "1e-5",
            "1, nesterov: yes",
            ["9: train.optimiser.nesterov: expected true or false, got the text 'yes': write "],
        ),
        (
            "1e-5",
            "1, name: adm",
            ["9: train.optimiser.name: expected 'sgd', 'adam' or 'adamw', got the text 'adm'; did"],
        ),
        ("1e-5", "1, nesterov: true", ["9: train.optimiser.nesterov: "]),
        (
            "[hww.root]",
            "hww.root",
            ["4: input.signals.hww.files: expected a list, got the text 'hww.root': write [hww"],
        ),
        ("[hww.root]", "[]", ["4: input.signals.hww.files: expected a list of at least 1, got the list []"]),
        ("[hww.root]", "[a, 3]", ["4: input.signals.hww.files[1]: expected text, got 3: write it in quotes, '3'"]),
        ("{files: [ww.root]}", "7", ["6: input.backgrounds.ww: expected a mapping, got 7"]),
        (
            "[ww.root]",
            "[a], label: 5",
            ["6: input.backgrounds.ww.label: expected text or a mapping, got 5: write it in"],
        ),
        (
            "[ww.root]",
            "[a], label: {branch: b, classes: {x: y}}",
            ["6: input.backgrounds.ww.label.classes.x: 'x' cannot be a key here: expected a whole number"],
        ),
        (
            "train:\n",
            "  split: {fractions: [1, 2]}\ntrain:\n",
            ["8: input.split.fractions: expected a list of more than"],
        ),
        ("job: {", "include: [x.yaml]\njob: {", ["1: include: no such key here; it belongs to `config`"]),
        ("job: {name: first}\n", "", ["1: job: is missing: write it into the file"]),
        (
            "train:\n",
            "  seed: 3\ntrian:\n",
            ["8: input.seed: no such key here; it belongs to `job`", "9: trian: no such"],
        ),
        (
            "{name: first}",
            "{name: .., ray: yes}",
            ["1: job.name: expected text of another form, got the text '..': Of"],
        ),
    ],
)
def test_what_is_wrong_is_said_with_line_key_and_remedy(write, old, new, messages):
    assert old in STUDY
    lines = refused(write(STUDY.replace(old, new)))
    for message in messages:
        assert any(line.startswith(f"study.yaml:{message}") for line in lines), lines


def test_all_errors_come_at_once_in_the_order_of_their_lines(write):
    text = STUDY.replace("first", "[1]").replace("1e-5", "-1").replace("[mth, ptll]", "mth")
    assert [line.split(": ")[1] for line in refused(write(text))] == [
        "job.name",
        "input.features",
        "train.optimiser.learning_rate",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("job: {name: a, steps: [train, tune]}", "job.steps: are each taken once, in the order [tune, train]"),
        ("job: {name: a, steps: [train, train]}", "job.steps: are each taken once"),
        ("job: {name: a, steps: [tune, apply]}", "job.steps: [tune, apply] trains nothing"),
        ("job: {name: a, steps: [apply]}", "job.steps: [apply] needs a training"),
        ("job: {name: a, trained: runs/a}", "job.trained: has no effect where something is trained"),
        (
            "job: {name: a, steps: [tune]}",
            "job.steps: tune is a step of job.steps, but there is no section of this name",
        ),
        ("job: {name: a}\ntune: {space: {train.epochs: {randint: [1, 4]}}}", "tune: has no effect without a step"),
        ("job: {name: a, steps: [train]}\napply: {luminosity_fb: 3}", "apply: has no effect without a step"),
        (
            "job: {name: a, steps: [apply], trained: b}\nconfig: {best_of: c}",
            "config.best_of: has no effect, nothing is",
        ),
        ("job: {name: a}\ntrain: {task: regression}", "train.task: is regression, but there is no input.target"),
        ("job: {name: a}\napply: {epochs: {every: 2}}", "apply.epochs: has no effect without train.save_every"),
        ("job: {name: a}\ntrain: {task: cwola}", "train.task: is cwola, but there are no input.mixtures"),
        ("job: {name: a}\ntrain: {folds: 5}", "input.split.fractions: has no effect with train.folds"),
        (
            "job: {name: a}\ntrain: {class_weights: {signl: 2.0}}",
            "train.class_weights.signl: no such class; did you mean",
        ),
        ("job: {name: a, seed: 4294967295}\ntrain: {repeats: 2}", "job.seed: is too large for so many repeats"),
        (
            "job: {name: a, steps: [tune]}\ntune: {space: {train.epoch: {randint: [1, 4]}}}",
            "tune.space.train.epoch: train has no key 'epoch'; did you mean 'epochs'?",
        ),
    ],
)
def test_what_has_no_effect_is_refused(write, text, message):
    inputs = STUDY.split("train:")[0].split("\n", 1)[1] + "  split: {fractions: [0.5, 0.3, 0.2]}\n"
    (line,) = refused(write(text + "\n" + inputs))
    assert message in line


def test_a_study_can_be_changed_by_dotted_keys(write):
    resolved = read_study(write(STUDY))
    other = changed(
        resolved, {"train.optimiser.learning_rate": 0.5, "train.options": {"hidden": [3]}}, "best of runs/a"
    )
    assert other.study.train.optimiser.learning_rate == 0.5
    assert other.origins["train.options.hidden[0]"] == "best of runs/a"
    assert other.origins["input.features"] == resolved.origins["input.features"]
    assert resolved.study.train.optimiser.learning_rate == 1e-5
    with pytest.raises(StudyError, match=r"^best: train\.epochs: expected a number of at least 1, got 0$"):
        changed(resolved, {"train.epochs": 0}, "best")
    with pytest.raises(StudyError, match=r"best: trian\.epochs: no such key in "):
        changed(resolved, {"trian.epochs": 3}, "best")


def test_a_section_that_is_not_there_yet_can_be_changed(write):
    resolved = read_study(write(STUDY))
    assert resolved.study.train.early_stopping is None
    other = changed(resolved, {"train.early_stopping.patience": 7}, "command line")
    assert other.study.train.early_stopping.patience == 7
    assert other.origins["train.early_stopping.patience"] == "command line"


@pytest.mark.parametrize("more", ["  save_every: 5\n", "  network: boosted_trees\n", "  epochs: 1\n"])
def test_a_trial_run_of_any_network_is_a_study(write, more):
    text = STUDY.replace("  optimiser: {learning_rate: 1e-5}\n", more)
    train = resolve(write(text), debug=True).study.train
    assert train.network == "boosted_trees" or train.epochs <= 2
