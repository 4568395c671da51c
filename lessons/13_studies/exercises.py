"""Exercises of lesson 13: what a study file says, keys nobody reads, one mass more, folds, signs, searches, mixtures, limits."""

import copy
import math
import os
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import scipy.special
import scipy.stats
import yaml

from coursekit.checks import call, demands, describe, exercise, fail
from coursekit.study.reading import StudyError, read_study

#: What stands around the section that the student writes.
REST = """
job: {name: lesson_04}
input:
  signals: {HWW: {files: [hww.root]}}
  backgrounds: {DY: {files: [dy.root]}}
  features: [mth]
"""
ASKED = ["network", "options.hidden", "options.dropout", "optimiser.name", "optimiser.learning_rate", "optimiser.schedule", "optimiser.decay", "batch_size", "epochs", "early_stopping.monitor", "early_stopping.min_delta", "early_stopping.patience", "keep"]


def what_it_says(train_section):
    """Read the text as `coursekit study` does."""
    text = call(train_section, name="train_section")
    if not isinstance(text, str):
        fail(f"train_section should return the text of the section; what came is {describe(text)}.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        path.write_text(textwrap.dedent(text).strip() + REST, encoding="utf-8")
        try:
            found = read_study(path).values["train"]
        except StudyError as error:
            fail(f"the study is refused: {str(error).replace(f'{folder}{os.sep}', '')}")
    if others := [name for name in yaml.safe_load(text) or {} if name != "train"]:
        fail(f"the text has more than the section train: {', '.join(others)}. The notebook says the rest of the study.")
    trainings = "one" if found.pop("folds") in (None, 1) and found.pop("repeats") == 1 else "more"
    inside = {f"{key}.{name}": value for key in ("optimiser", "options", "early_stopping") for name, value in (found.pop(key) or {}).items()}
    asked = {f"train.{key}": (found | inside).get(key, "not there") for key in ASKED}
    return asked | {"'how many networks are trained'": trainings, "what nobody asked for": {key: value for key, value in found.items() if key not in ASKED and value}}


def section(*changes, text="""
train:
  network: dense
  options: {hidden: [64, 64, 64], dropout: 0.1}
  optimiser: {name: adam, learning_rate: 0.003}
  batch_size: 256
  epochs: 25
  early_stopping: {patience: 4}
"""):
    """Return a function that returns the section with some of its text replaced, two by two."""
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text, old
        text = text.replace(old, new)
    return lambda: text


@exercise(
    "13.1",
    "the section `train`",
    cases=lambda: [()],
    observe=what_it_says,
    hints=(
        "The keys are those that `show` has printed above, and `hidden` and `dropout` in options; what has the right default in that list need not be said. early_stopping has a key patience.",
        "What belongs to the builder of the network, its hidden layers and dropout, stands in options. What belongs to the step stands in optimiser.",
        "A mapping inside a section is indented by two more blanks, or written in one line: optimiser: {name: adam, learning_rate: 0.003}.",
    ),
    mistakes={
        "did you mean optimiser": section("optimiser", "optimizer"),
        "learning_rate belongs to": section("{name: adam, learning_rate: 0.003}", "{name: adam}\n  learning_rate: 0.003"),
        "hidden belongs to": section("options: {hidden: [64, 64, 64], dropout: 0.1}", "hidden: [64, 64, 64]\n  dropout: 0.1"),
        "patience belongs to": section("early_stopping: {patience: 4}", "patience: 4"),
        "expected a number": section("0.003", "0,003"),
        "train_section should return the text": lambda: {"train": {"epochs": 25}},
        "The text is empty: nothing is said about the training.": section(text=""),
        "the text has more than the section train": section("  epochs: 25", "  epochs: 25", "4}\n", "4}\napply: {luminosity_fb: 138}\n"),
        "There is one hidden layer. Three are a list of three numbers.": section("[64, 64, 64]", "[64]"),
        "hidden is how many units each layer has, and not how many layers there are.": section("[64, 64, 64]", "[3, 64]"),
        "hidden is a list, with a number for each layer.": section("[64, 64, 64]", "64"),
        "There are two hidden layers, and three are asked for.": section("[64, 64, 64]", "[64, 64]"),
        "hidden is missing. The default happens to be the same, but a study is a record: what you decide, you write down.": section("hidden: [64, 64, 64], ", ""),
        "Dropout is missing in options.": section(", dropout: 0.1", ""),
        "Dropout is a fraction of the units: 0.1, and not 10.": section("dropout: 0.1", "dropout: 10"),
        "Dropout is another fraction than the last step of lesson 4 has.": section("dropout: 0.1", "dropout: 0.5"),
        "The learning rate is still the default, 0.001: nothing says 0.003.": section(", learning_rate: 0.003", ""),
        "The learning rate is ten times as large as asked for.": section("0.003", "0.03"),
        "The learning rate is a tenth of what is asked for.": section("0.003", "3e-4"),
        "The optimiser is SGD. Adam is asked for.": section("name: adam", "name: sgd"),
        "The optimiser is AdamW. Adam is asked for, which draws no parameter to zero.": section("name: adam", "name: adamw"),
        "The number of epochs is still the default. At most 25 are asked for.": section("  epochs: 25\n", ""),
        "Patience and the number of epochs are exchanged.": section("epochs: 25", "epochs: 4", "patience: 4", "patience: 25"),
        "There is no early stopping: all 25 epochs are trained, though the best of them is kept.": section("  early_stopping: {patience: 4}\n", ""),
        "The patience is still the default, 5. Asked for is 4.": section("{patience: 4}", "{monitor: loss}"),
        "It stops by the AUC, and not by the validation loss.": section("{patience: 4}", "{monitor: auc, patience: 4}"),
        "It stops by the accuracy, and not by the validation loss.": section("{patience: 4}", "{monitor: accuracy, patience: 4}"),
        "The last epoch is kept, and not the best: four epochs too many.": section("  epochs: 25", "  keep: last\n  epochs: 25"),
        "Batches of 256 are the default here, and 1024 those of lesson 4's first steps: the last step has 256.": section("256", "1024"),
        "It trains k folds, or repeats. Lesson 4 trains on one part.": section("  epochs: 25", "  folds: 5\n  epochs: 25"),
        "The learning rate falls here; lesson 4's does not.": section("learning_rate: 0.003", "learning_rate: 0.003, schedule: cosine"),
        "It is another network. Lesson 4's is called dense.": section(text="train:\n  network: boosted_trees\n"),
    },
    accepted=[
        section(),
        section("  network: dense\n", "", "  batch_size: 256\n", ""),
        section("{name: adam, learning_rate: 0.003}", "\n    learning_rate: 3e-3", "{patience: 4}", "\n    monitor: loss\n    patience: 4\n    mode: min"),
    ],
)
def train_section():
    return """
    train:
      network: dense
      options: {hidden: [64, 64, 64], dropout: 0.1}
      optimiser: {name: adam, learning_rate: 0.003}
      batch_size: 256
      epochs: 25
      early_stopping: {patience: 4}
    """


def nested_settings():
    known = {"job": {"name": None, "seed": None}, "input": {"files": None, "split": {"fractions": None, "keys": None}}}
    known["train"] = {"epochs": None, "optimiser": {"name": None, "learning_rate": None}, "options": None}
    yield {"job": {"name": "a", "sed": 1}, "train": {"test_rate": 0.2, "epochs": 3}}, known
    yield {"train": {"optimiser": {"lr": 0.1}, "rate": 0.5, "size": 2}, "batch": 64}, known
    yield {"trian": {"epochs": 3}, "input": {"split": {"fractions": [1, 2], "key": "event"}, "files": ["a"]}}, known
    yield {"train": {"options": {"hidden": [64], "split": 1}, "optimiser": {"split": {}, "learning_rate": 0}}}, known
    yield {"job": {"name": "a"}, "input": {}, "train": {"epochs": {"no": 1}, "optimiser": {"name": "adam"}}}, known
    yield {"seed": 1, "train": {"optimiser": {"momentum": 0.9, "nesterov": True}, "keys": ["event"]}, "job": {}}, known


def walk(path=lambda outer, name: f"{outer}.{name}", deep=99, into=dict, unknown=lambda name, known: name not in known):
    """Return a reader that takes one step in another way."""

    def answer(given, known, level=1):
        found = []
        for name, value in given.items():
            if unknown(name, known):
                found.append(name)
            elif isinstance(value, into) and isinstance(known.get(name), dict) and level < deep:
                found += [path(name, inner) for inner in answer(value, known[name], level + 1)]
        return found

    return answer


def names_in(known):
    return set(known).union(*(names_in(inside) for inside in known.values() if isinstance(inside, dict)))


def known_anywhere(given, known):
    def look(given, names):
        found = []
        for name, value in given.items():
            if name not in names:
                found.append(name)
            elif isinstance(value, dict):
                found += [f"{name}.{inner}" for inner in look(value, names)]
        return found

    return look(given, names_in(known))


def below_leaves(given, known):
    found = []
    for name, value in given.items():
        if name not in known:
            found.append(name)
        elif isinstance(value, dict):
            found += [f"{name}.{inner}" for inner in below_leaves(value, known[name] or {})]
    return found


def section_last(given, known):
    found = [name for name in given if name not in known]
    for name, value in given.items():
        if isinstance(value, dict) and isinstance(known.get(name), dict):
            found += [f"{name}.{inner}" for inner in section_last(value, known[name])]
    return found


def appended(given, known):
    found = []
    for name, value in given.items():
        if name not in known:
            found.append(name)
        elif isinstance(value, dict) and isinstance(known[name], dict):
            found.append([f"{name}.{inner}" for inner in appended(value, known[name])])
    return found


def leaves(given):
    return [path for name, value in given.items() for path in ([f"{name}.{inner}" for inner in leaves(value)] if isinstance(value, dict) else [name])]


def below_unknown(given, known):
    found = []
    for name, value in given.items():
        found += [name] * (name not in known)
        if isinstance(value, dict) and (name not in known or isinstance(known[name], dict)):
            found += [f"{name}.{inner}" for inner in below_unknown(value, known.get(name, {}))]
    return found


@exercise(
    "13.2",
    "the list of unknown keys",
    cases=nested_settings,
    returns=("the list of unknown keys",),
    accept=(tuple,),
    hints=(
        "Walk through given.items(). A name that is not in known is unknown, and what stands below it need not be looked at.",
        "A section is a dict in a dict: call unknown_keys for it again, with the names that are known in it, known[name].",
        "What the inner call finds lacks the name of its section: put f'{name}.' in front of each.",
    ),
    mistakes={
        "Only the first level is in the list. A key inside a section can be as unknown as a section: call the function for each section again, and add what it finds.": walk(deep=1),
        "Two levels were looked at, and a section may hold sections. A function that calls itself does not care how deep they lie.": walk(deep=2),
        "The names of the sections are missing in front: test_rate alone does not say where it stands. Write train.test_rate.": walk(path=lambda outer, name: name),
        "Names and sections are joined by something else than a dot.": walk(path="{}/{}".format),
        "Names and sections are joined in the wrong order: the section comes first.": walk(path=lambda outer, name: f"{name}.{outer}"),
        "These are the known keys that the file gives. Asked for are those that nobody knows.": walk(unknown=lambda name, known: name in known),
        "These are known keys that the file leaves out. It need not give all of them; asked for are keys that it gives and nobody knows.": lambda given, known: walk()(known, given),
        "A key counts as known here wherever it stands. train.keys is as wrong as train.kyes: a key is known only in its own section.": known_anywhere,
        "Below a key that takes any value, such as train.options, nothing can be unknown: known has None there.": below_leaves,
        "What stands below an unknown key was listed, too. The key itself is enough: nobody knows what should stand below it.": below_unknown,
        "Keys of an unknown section are not enough: the section itself, such as trian, is what is misspelt.": lambda given, known: [key for key in unknown_keys(given, known) if "." in key],
        "The list ends after the first unknown key. Whoever mends a file wants to see all of them.": lambda given, known: unknown_keys(given, known)[:1],
        "A set has no order: return a list, in the order of the file.": lambda given, known: set(unknown_keys(given, known)),
        "The order is that of the alphabet, and not that of the file.": lambda given, known: sorted(unknown_keys(given, known)),
        "The order is not that of the file. Does each name come after what the sections before it hold?": lambda given, known: unknown_keys(given, known)[::-1],
        "The order is not that of the file: what is unknown inside a section comes where the section stands, and not after all names of its level.": section_last,
        "A key that takes a value has None in known, and known.get(name) gives None for an unknown one, too. Ask `name in known`.": walk(unknown=lambda name, known: known.get(name) is None),
        "The list holds lists: append puts the list of an inner call in as a whole. extend, or +=, adds its names.": appended,
        "Only the innermost section stands in front. A section within a section needs both names: input.split.key.": lambda given, known: [".".join(key.split(".")[-2:]) for key in unknown_keys(given, known)],
        "These are the values' own paths, at the very end. A section that is not known is listed itself, and what stands below it is not.": lambda given, known: [path for path in leaves(given) if path not in leaves(known)],
        "This says whether there are any. Asked for are their names.": lambda given, known: bool(unknown_keys(given, known)),
        "This is how many there are. Asked for are their names.": lambda given, known: len(unknown_keys(given, known)),
        "This is one text; return a list with a text for each key.": lambda given, known: ", ".join(unknown_keys(given, known)),
        "These are the values of unknown keys; asked for are their names.": lambda given, known: [value for name, value in given.items() if name not in known],
        "Some keys are there twice: what an inner call finds is added twice, or to a list that all calls share.": lambda given, known: unknown_keys(given, known) * 2,
        "KeyError": lambda given, known: [f"{section}.{name}" for section, inside in given.items() for name in inside if name not in known[section]],
        "AttributeError": lambda given, known: [f"{section}.{name}" for section, inside in given.items() if section in known for name in inside if name not in known[section]] + [name for inside in given.values() for value in inside.values() for name in list(value.keys())],
        "changes its input in place": lambda given, known: (unknown_keys(given, known), given.clear())[0],
    },
    accepted=[
        walk(),
        lambda given, known: [key for name, value in given.items() for key in ([name] if name not in known else [f"{name}.{inner}" for inner in unknown_keys(value, known[name])] if type(value) is dict and known[name] else [])],
    ],
)
def unknown_keys(given, known):
    unknown = []
    for name, value in given.items():
        if name not in known:
            unknown.append(name)
        elif isinstance(known[name], dict) and isinstance(value, dict):
            unknown += [f"{name}.{inner}" for inner in unknown_keys(value, known[name])]
    return unknown


def pairs_of_files():
    common = {"job": {"seed": 1}, "input": {"features": ["mll", "mth"], "split": {"fractions": [0.6, 0.2, 0.2], "salt": ""}}}
    yield common, {"job": {"name": "m200"}, "input": {"split": {"salt": "b"}}}
    yield common, {"input": {"features": ["mll"]}, "train": {"epochs": 3}}
    yield common, {"job": {"seed": 2}, "input": {"split": None}}
    yield {"train": {"optimiser": None, "epochs": 0}}, {"train": {"optimiser": {"name": "sgd"}, "epochs": False}}
    yield {}, {"input": {"signals": {"h": {"values": {"mass": 200.0}}}}}
    yield {"input": {"signals": {"h": {"values": {"mass": 200.0, "spin": 0.0}}}}}, {"input": {"signals": {"h": {"values": {"mass": 0.0}}}}}


def combine(both, either=lambda first, second, name: copy.deepcopy(second[name] if name in second else first[name]), deep=99):
    """Return a way to merge: `both` for lists and values that stand in both, `either` for the others."""

    def answer(first, second, level=1):
        result = {}
        for name in [*first, *(name for name in second if name not in first)]:
            if isinstance(first.get(name), dict) and isinstance(second.get(name), dict) and level < deep:
                result[name] = answer(first[name], second[name], level + 1)
            elif name in first and name in second:
                result[name] = copy.deepcopy(both(first[name], second[name]))
            else:
                result[name] = either(first, second, name)
        return result

    return answer


def joined(one, other):
    return one + other if isinstance(one, list) and isinstance(other, list) else other


def united(one, other):
    return list(dict.fromkeys(one + other)) if isinstance(one, list) and isinstance(other, list) else other


def of_first(first, second):
    return {name: value if name not in second else of_first(value, second[name]) if isinstance(value, dict) and isinstance(second[name], dict) else second[name] for name, value in first.items()}


@exercise(
    "13.3",
    "one dict made of two files",
    cases=pairs_of_files,
    returns=("the merged dict",),
    hints=(
        "Begin with a copy of the first dict, and walk through second.items().",
        "If the value is a dict on both sides, the section of the result is merged(first[name], second[name]); else the second value takes the place of the first.",
        "A list is a value like a number: it is replaced as a whole.",
    ),
    mistakes={
        "A section of the second file has swept away the whole section of the first: with {**first, **second}, first | second and update, a study that changes one key loses all others. Merge sections key by key.": lambda first, second: {**first, **second},
        "Sections within sections have swept away those of the first file: merge at every level, by a call of merged itself.": combine(lambda one, other: other, deep=2),
        "The first file has won. What comes later overwrites: the study itself is read after what it includes.": combine(lambda one, other: one),
        "The first file has won, and whole sections at once.": lambda first, second: {**second, **first},
        "Lists were joined. Then a study could add a feature and never remove one: a list is replaced as a whole.": combine(joined),
        "Lists were joined without their duplicates. Then a study could never remove a feature: a list is replaced as a whole.": combine(united),
        "Keys that only the second file has are missing.": of_first,
        "Keys that only the second file has are missing at the first level.": lambda first, second: {name: value for name, value in merged(first, second).items() if name in first},
        "Keys that only the first file has are missing.": lambda first, second: {name: value for name, value in merged(first, second).items() if name in second},
        "Only keys that both files have are left.": lambda first, second: {name: value for name, value in merged(first, second).items() if name in first and name in second},
        "A value of 0, False, None or an empty list was taken for nothing. It overwrites like any other: ask whether the key is there, `name in second`, not whether its value is true.": combine(lambda one, other: other or one),
        "None was taken for nothing. Whoever writes `split: null` wants it to be null.": combine(lambda one, other: one if other is None else other),
        "A section in the place of a value, or of None, was lost: where only one side is a dict, the second side wins.": combine(lambda one, other: one if isinstance(other, dict) else other),
        "The second dict came back, and nothing of the first.": lambda first, second: copy.deepcopy(second),
        "The first dict came back, and nothing of the second.": lambda first, second: copy.deepcopy(first),
        "The values of both files were kept as a pair or a list. One of them has to be taken: the later.": combine(lambda one, other: [one, other]),
        "These are the items; a dict is wanted.": lambda first, second: list(merged(first, second).items()),
        "changes its input in place": lambda first, second: (first.update(second), first)[1],
        "KeyError": lambda first, second: {name: merged(first[name], value) if isinstance(value, dict) else value for name, value in second.items()},
        "returned None": lambda first, second: {**first}.update(second),
    },
    accepted=[
        combine(lambda one, other: other),
        lambda first, second: {name: merged(first[name], second[name]) if type(first.get(name)) is type(second.get(name)) is dict else second.get(name, first.get(name)) if name in second else first[name] for name in first | second},
    ],
)
def merged(first, second):
    result = dict(first)
    for name, value in second.items():
        if isinstance(value, dict) and isinstance(first.get(name), dict):
            result[name] = merged(first[name], value)
        else:
            result[name] = value
    return result


def events_with_masses():
    rng = np.random.default_rng(134)
    labels = rng.permutation(np.repeat([1, 0], [900, 1500]))
    mass = np.where(labels == 1, rng.choice([150.0, 200.0, 300.0], len(labels), p=[0.6, 0.3, 0.1]), 0.0)
    yield mass, labels, np.random.default_rng(1)
    yield np.where(labels == 1, mass, -1)[::-1].astype(np.float32), 1.0 - (1 - labels[::-1]), np.random.default_rng(2)


def what_masses(with_masses, mass, labels, rng):
    """Look at the masses as a network would see them."""
    result = call(with_masses, mass, labels, rng, name="with_masses")
    if not isinstance(result, np.ndarray) or result.shape != mass.shape:
        fail(f"with_masses should return an array of {len(mass)} masses; what came is {describe(result)}.")
    signal, given = result[labels == 1], result[labels == 0]
    there = np.unique(mass[labels == 1])
    shares = np.array([[np.mean(of == value) for value in there] for of in (given, mass[labels == 1])])
    order = np.corrcoef(given[1:], given[:-1])[0, 1] if given.std() else 1.0
    return {
        "the mass of the signal": signal.astype(float),
        "'the background keeps the number it came with'": bool((given == mass[labels == 0]).all()),
        "'the background lies between the masses of the signal'": bool(there[0] <= given.min() and given.max() <= there[-1]),
        "'the background has masses of the signal alone'": bool(np.isin(given, there).all()),
        "the number of different masses of the background": len(np.unique(given)),
        "'the background has them in the same shares as the signal'": bool(np.abs(shares[0] - shares[1]).max() < 0.06),
        "'neighbours in the background have nothing in common'": bool(abs(order) < 0.1),
    }


def background_gets(new):
    def with_masses(mass, labels, rng):
        result = mass.copy()
        result[labels == 0] = new(mass[labels == 1], np.sum(labels == 0), rng)
        return result

    return with_masses


@exercise(
    "13.4",
    "a mass for every event",
    cases=events_with_masses,
    observe=what_masses,
    harmless={
        "answer: labels == 0": "There are no other labels than 0 and 1.",
        "accepted 2: labels == 0": "There are no other labels than 0 and 1.",
        "accepted 3: labels == 0": "There are no other labels than 0 and 1.",
        "accepted 2: rng.integers(0, len(masses), n)": "That one of 900 events is never drawn does not show in what is drawn.",
    },
    demands=[demands.given_generator],
    hints=(
        "The signal keeps its mass: copy the array, and assign only where labels == 0.",
        "rng.choice(values, size=n) draws n of the values, and takes each event of the signal as likely as any other.",
        "mass[labels == 1] are the masses of the signal, np.sum(labels == 0) is how many are needed.",
    ),
    mistakes={
        "The background still has the number that stands for 'no mass'. A network reads it off, and is perfect on the training events and useless in data, where no event says what it is.": lambda mass, labels, rng: (rng.random(), mass.copy())[1],
        "All of the background has one and the same mass. At all others a network would know it by that: draw for each event.": background_gets(lambda masses, n, rng: rng.choice(masses)),
        "All of the background has the mean of the masses, at which there is no signal: draw from the masses of the signal.": background_gets(lambda masses, n, rng: masses.mean() + 0 * rng.random()),
        "The three masses are equally frequent in the background, but not in the signal, so that a mass alone would tell something. Draw from the masses of the signal's events, not from the list of different ones.": background_gets(lambda masses, n, rng: rng.choice(np.unique(masses), n)),
        "The masses of the background are spread between those of the signal: where a value has never occurred with signal, it gives the background away.": background_gets(lambda masses, n, rng: rng.uniform(masses.min(), masses.max(), n)),
        "The masses of the background are Gaussian, at values that no signal has, and these give it away.": background_gets(lambda masses, n, rng: rng.normal(masses.mean(), masses.std(), n)),
        "The background's masses follow each other in order. Events that are close in the file would share a mass.": background_gets(lambda masses, n, rng: np.sort(rng.choice(masses, n))),
        "The masses were written by hand. Draw from those that the signal events of `mass` have, whatever they are.": background_gets(lambda masses, n, rng: rng.choice([140.0, 200.0, 300.0], n)),
        "The signal lost its own masses, and has zeros: begin with a copy of mass.": lambda mass, labels, rng: background_gets(lambda masses, n, rng: rng.choice(mass[labels == 1], n))(np.zeros_like(mass), labels, rng),
        "Signal and background are exchanged: the signal got the background's number, which means nothing.": lambda mass, labels, rng: np.where(labels == 1, rng.choice(mass[labels == 0], len(mass)), mass),
        "The signal lost its own masses: it was drawn, too.": lambda mass, labels, rng: rng.choice(mass[labels == 1], len(mass)),
        "The signal lost its own masses, and the background kept its own: the condition is the wrong way round.": lambda mass, labels, rng: np.where(labels == 1, rng.choice(mass[labels == 1], len(mass)), mass),
        "The masses were drawn from all events, and those of the background, which are none, came along.": lambda mass, labels, rng: np.where(labels == 1, mass, rng.choice(mass, len(mass))),
        "All events were shuffled: the signal lost its own masses, and the background's 'no mass' went to the signal.": lambda mass, labels, rng: rng.permutation(mass),
        "with_masses should return an array": lambda mass, labels, rng: rng.choice(mass[labels == 1], np.sum(labels == 0)),
        "changes its input in place": lambda mass, labels, rng: (mass.__setitem__(labels == 0, rng.choice(mass[labels == 1], np.sum(labels == 0))), mass)[1],
        "another generator gives the same result": lambda mass, labels, rng: with_masses(mass, labels, np.random.default_rng(7)),
        "same seed gives another result": lambda mass, labels, rng: with_masses(mass, labels, np.random.default_rng()),
    },
    accepted=[
        lambda mass, labels, rng: np.where(labels == 1, mass, rng.choice(mass[labels == 1], len(mass))),
        background_gets(lambda masses, n, rng: masses[rng.integers(0, len(masses), n)]),
        background_gets(lambda masses, n, rng: rng.permutation(np.resize(masses, n))),
        lambda mass, labels, rng: np.array([m if label == 1 else rng.choice(mass[labels == 1]) for m, label in zip(mass, labels, strict=True)]),
    ],
)
def with_masses(mass, labels, rng):
    result = mass.copy()
    result[labels == 0] = rng.choice(mass[labels == 1], np.sum(labels == 0))
    return result


def scores_of_folds():
    rng = np.random.default_rng(135)
    for k, n in ((5, 40), (3, 31)):
        folds = rng.integers(0, k, n)
        folds[[2, 7, n - 1]] = -1
        yield rng.random((k, n)), folds
    yield rng.random((4, 9)).astype(np.float32), np.array([3, 2, 1, 0, 3, -1, 0, 2, 1])
    yield rng.random((3, 6)), np.array([0, 1, 2, 2, 1, 0])


def rows(one, data=lambda column: column.mean()):
    """Return what takes, for each event, one number out of its k scores."""
    return lambda scores, folds: np.array([data(column) if fold < 0 else one(column, fold) for column, fold in zip(scores.T, folds, strict=True)])


@exercise(
    "13.5",
    "one score for each event",
    cases=scores_of_folds,
    returns=("the array of scores",),
    hints=(
        "scores[fold, event] is one number; scores[folds, np.arange(len(folds))] takes one for each event.",
        "np.where(folds >= 0, ..., ...) chooses between the score of one network and scores.mean(axis=0).",
    ),
    mistakes={
        "This is the mean of all networks for each event. All but one of them have seen it in their training, and know it by heart.": lambda scores, folds: scores.mean(axis=0),
        "This is the mean of those networks that have trained on the event. Wanted is the one that has not.": rows(lambda column, fold: np.delete(column, fold).mean()),
        "Each event got the score of the network before the one that left it out.": rows(lambda column, fold: column[fold - 1]),
        "Each event got the score of the network after the one that left it out.": rows(lambda column, fold: column[(fold + 1) % len(column)]),
        "Data, with fold -1, got the score of the last network: Python counts -1 from the end. They belong to no fold, and get the mean of all networks.": lambda scores, folds: scores[folds, np.arange(len(folds))],
        "Data, with fold -1, got the score of the first network. They belong to no fold, and get the mean of all networks.": rows(lambda column, fold: column[fold], lambda column: column[0]),
        "Data, with fold -1, got a zero. They belong to no fold, and get the mean of all networks.": rows(lambda column, fold: column[fold], lambda column: 0.0),
        "Data, with fold -1, got NaN. They belong to no fold, and get the mean of all networks.": rows(lambda column, fold: column[fold], lambda column: np.nan),
        "Data, with fold -1, got the median of the networks. Wanted is the mean.": rows(lambda column, fold: column[fold], np.median),
        "Data, with fold -1, got the largest score. Wanted is the mean.": rows(lambda column, fold: column[fold], np.max),
        "Data, with fold -1, got the sum of the scores, which is no probability. Wanted is the mean.": rows(lambda column, fold: column[fold], np.sum),
        "Data were left out, and all later events have moved up. The array should have an entry for each event.": lambda scores, folds: scores[folds, np.arange(len(folds))][folds >= 0],
        "The scores come fold by fold, and no longer in the order of the events.": lambda scores, folds: np.concatenate([scores[fold][folds == fold] for fold in range(len(scores))] + [scores.mean(axis=0)[folds < 0]]),
        "scores[folds] is a table: for each event, a whole row of one network. Take the entry of the event itself, with np.arange as the second index.": lambda scores, folds: scores[folds],
        "Data come at the end, and all later events have moved up. Each score stands where its event does.": lambda scores, folds: np.concatenate([scores[folds, np.arange(len(folds))][folds >= 0], scores.mean(axis=0)[folds < 0]]),
        "Events of fold 0 were taken for data. 0 is a fold like the others, and -1 alone stands for data.": lambda scores, folds: np.where(folds > 0, scores[folds, np.arange(len(folds))], scores.mean(axis=0)),
        "`if fold` is false for fold 0 and true for -1. Compare: fold >= 0.": lambda scores, folds: np.array([scores[fold, event] if fold else scores[:, event].mean() for event, fold in enumerate(folds)]),
        "The mean was taken over the events, which gives one number for each network. Each event needs its own: axis=0.": lambda scores, folds: scores.mean(axis=1),
        "Three folds were taken for granted. There are as many as networks, len(scores).": rows(lambda column, fold: column[fold] if fold < 3 else column.mean()),
        "The scores were cut to whole numbers: an array made like folds, by zeros_like(folds), holds nothing else.": lambda scores, folds: out_of_fold(scores, folds).astype(folds.dtype),
        "Only the first event has got its score: does `return` stand inside the loop?": lambda scores, folds: out_of_fold(scores, folds)[0],
        "Only the best score of each event was kept. Which network is right is not for the score to say.": rows(lambda column, fold: column.max()),
        "All events got the mean over their fold. Each has a score of its own.": lambda scores, folds: np.array([scores.mean() if fold < 0 else scores[fold][folds == fold].mean() for fold in folds]),
        "The mean for data was taken over all events. Each of them has a score of its own: axis=0.": lambda scores, folds: np.where(folds < 0, scores.mean(), scores[folds, np.arange(len(folds))]),
        "IndexError": lambda scores, folds: scores[np.arange(len(folds)), folds],
        "come as a list": lambda scores, folds: out_of_fold(scores, folds).tolist(),
    },
    accepted=[
        rows(lambda column, fold: column[fold]),
        lambda scores, folds: np.where(folds >= 0, np.take_along_axis(scores, np.maximum(folds, 0)[None], axis=0)[0], scores.mean(axis=0)),
        lambda scores, folds: (result := scores.mean(axis=0), [result.__setitem__(folds == k, scores[k, folds == k]) for k in range(len(scores))])[0],
    ],
)
def out_of_fold(scores, folds):
    own = scores[folds, np.arange(len(folds))]
    return np.where(folds >= 0, own, scores.mean(axis=0))


def uniform_numbers():
    u = np.random.default_rng(137).random(50)
    yield np.append(u, [0.0, 0.5]), 1e-4, 1e-1
    yield u[:20], 2.0, 300.0
    yield np.array([0.0, 0.25, 0.5, 0.75]), 1.0, 16.0
    yield u[:5], 3.0, 10.0  # which are in no whole ratio


@exercise(
    "13.6",
    "the array of values",
    cases=uniform_numbers,
    returns=("the array of values",),
    hints=(
        "The logarithm of the result is uniform between log(low) and log(high).",
        "u = 0 has to give low, u = 1 would give high, and u = 0.5 the geometric mean, sqrt(low * high).",
    ),
    mistakes={
        "These values are uniform themselves, and nine tenths of them lie in the last decade. It is their logarithm that has to be uniform.": lambda u, low, high: low + u * (high - low),
        "These are the logarithms; take the exponential of them.": lambda u, low, high: np.log(low) + u * np.log(high / low),
        "The logarithm was taken to base 10 and the exponential to base e. Use one base for both.": lambda u, low, high: np.exp(np.log10(low) + u * np.log10(high / low)),
        "The logarithm was taken to base e and the exponential to base 10. Use one base for both.": lambda u, low, high: 10 ** (np.log(low) + u * np.log(high / low)),
        "The logarithm runs from log(low) over a length of log(high): it should end at log(high), so its length is log(high) - log(low).": lambda u, low, high: np.exp(np.log(low) + u * np.log(high)),
        "low is missing in front: u = 0 should give low, and gives 1.": lambda u, low, high: (high / low) ** u,
        "u = 0 gives high, and u = 1 would give low. The values lie in the range, but a seed would mean other trials for everybody else.": lambda u, low, high: high * (low / high) ** u,
        "The exponential was taken of uniform numbers between low and high.": lambda u, low, high: np.exp(low + u * (high - low)),
        "The logarithm was taken of uniform numbers: the values are logarithms then, and may be negative. It is the other way round: the exponential of what is uniform between log(low) and log(high).": lambda u, low, high: np.log(low + u * (high - low)),
        "Mind the brackets: log(low) + u * log(high) - log(low) is u * log(high), since the logarithms of low cancel.": lambda u, low, high: np.exp(np.log(low) + u * np.log(high) - np.log(low)),
        "log(high - low) is another number than log(high) - log(low), which is log(high / low).": lambda u, low, high: np.exp(np.log(low) + u * np.log(high - low)),
        "The logarithms of low and high were added. The length of the range is their difference.": lambda u, low, high: np.exp(np.log(low) + u * (np.log(high) + np.log(low))),
        "These lie between 0.0001 and 0.1, whatever low and high are.": lambda u, low, high: 10 ** (-4 + 3 * u),
        "low was added to the ratio to the power u. It multiplies.": lambda u, low, high: low + (high / low) ** u,
        "This is the ratio times u, not to the power u.": lambda u, low, high: low * (high / low) * u,
        "These values are spread evenly, whatever u is. A trial draws its u at random; map each of them.": lambda u, low, high: np.geomspace(low, high, len(u)),
        "np.logspace takes exponents and spreads them evenly. Map each u.": lambda u, low, high: np.logspace(low, high, len(u)),
        "The values were sorted. Each belongs to its u.": lambda u, low, high: np.sort(loguniform(u, low, high)),
        "u was ignored: these are numbers of another generator.": lambda u, low, high: loguniform(np.random.default_rng(1).random(len(u)), low, high),
        "The values were rounded.": lambda u, low, high: np.round(loguniform(u, low, high), 3),
        "TypeError": lambda u, low, high: [math.exp(math.log(low) + u * math.log(high / low))],
        "come as a list": lambda u, low, high: [low * (high / low) ** x for x in u],
        "changes its input in place": lambda u, low, high: np.multiply(low, (high / low) ** u, out=u),
    },
    accepted=[
        lambda u, low, high: np.exp(np.log(low) + u * (np.log(high) - np.log(low))),
        lambda u, low, high: 10 ** ((1 - u) * np.log10(low) + u * np.log10(high)),
        lambda u, low, high: low ** (1 - u) * high**u,
        lambda u, low, high: np.exp(np.interp(u, [0, 1], np.log([low, high]))),
        lambda u, low, high: scipy.stats.loguniform(low, high).ppf(u),
    ],
)
def loguniform(u, low, high):
    return low * (high / low) ** u


def signed_weights():
    rng = np.random.default_rng(136)
    weights = rng.exponential(2, 40) * np.where(rng.random(40) < 0.25, -1, 1)
    weights[[3, 20]] = 0
    for how in ("keep", "zero", "absolute", "remove"):
        yield weights, how
    for how in ("remove", "absolute", "zero"):
        yield np.array([-1.5, 0.0, 2.0, -0.25], dtype=np.float32), how


def by_name(**ways):
    names = {"keep": lambda w: w.copy(), "zero": lambda w: w.clip(min=0), "absolute": abs, "remove": lambda w: w[w >= 0]}
    return lambda weights, how: (names | ways)[how](weights)


@exercise(
    "13.7",
    "the weights after the treatment",
    cases=signed_weights,
    returns=("the array of weights",),
    hints=(
        "Four branches: if how == 'zero': return ...",
        "np.maximum(weights, 0), np.abs(weights) and weights[weights >= 0] are three of them.",
    ),
    mistakes={
        "With 'remove', events of weight zero were removed, too. They are not negative: they have failed a cut, and stay.": by_name(remove=lambda w: w[w > 0]),
        "With 'remove', it is the positive weights that were removed.": by_name(remove=lambda w: w[w < 0]),
        "With 'remove', the negative weights became zero, and their events stayed: that is 'zero'. Return a shorter array.": by_name(remove=lambda w: w.clip(min=0)),
        "With 'remove', the negative weights became NaN. Return an array without them.": by_name(remove=lambda w: np.where(w < 0, np.nan, w)),
        "With 'zero', it is the positive weights that became zero.": by_name(zero=lambda w: w.clip(max=0)),
        "With 'zero', the events were removed: that is 'remove'. They stay, with weight zero.": by_name(zero=lambda w: w[w >= 0]),
        "With 'zero' and 'remove' exchanged: the one keeps all events, the other does not.": by_name(zero=lambda w: w[w >= 0], remove=lambda w: w.clip(min=0)),
        "With 'zero', all weights became zero.": by_name(zero=lambda w: 0 * w),
        "With 'zero', nothing has changed: `==` compares, and `=` sets; and a changed copy has to be returned.": by_name(zero=lambda w: w.copy()),
        "With 'zero', ones and zeros came back, a mask. Multiply the weights by it.": by_name(zero=lambda w: (w > 0) * 1.0),
        "With 'zero', one number came back: np.max is the largest of all, np.maximum compares each with 0.": by_name(zero=lambda w: np.max(w, 0)),
        "'zero' and 'absolute' are exchanged.": by_name(zero=abs, absolute=lambda w: w.clip(min=0)),
        "With 'keep' and 'zero', events are missing: an `else` belongs to the last `if` alone. Write elif between them.": by_name(keep=lambda w: w[w >= 0], zero=lambda w: w[w >= 0]),
        "With 'remove', these are the places of the events. Take their weights: weights[weights >= 0].": by_name(remove=lambda w: np.flatnonzero(w >= 0)),
        "With 'remove', the weights were scaled to the old sum. Here events are left out, and nothing else.": by_name(remove=lambda w: w[w >= 0] * w.sum() / w[w >= 0].sum()),
        "With 'absolute', these are the signs. Take the absolute value.": by_name(absolute=np.sign),
        "With 'absolute', all weights have changed their sign. Take the absolute value.": by_name(absolute=lambda w: -w),
        "With 'absolute', the weights were squared. Take the absolute value.": by_name(absolute=lambda w: w**2),
        "With 'absolute', the signs were lost and the sizes as well: all weights are one.": by_name(absolute=lambda w: np.ones_like(w)),
        "With 'absolute', negative weights became zero: that is 'zero'.": by_name(absolute=lambda w: w.clip(min=0)),
        "With 'absolute', nothing has changed.": by_name(absolute=lambda w: w.copy()),
        "The weights were scaled as well. Here only their signs are treated; sums are another key's business.": by_name(zero=lambda w: w.clip(min=0) * w.sum() / w.clip(min=0).sum(), absolute=lambda w: abs(w) * w.sum() / abs(w).sum()),
        "With 'keep', the weights should stay as they are, signs included.": by_name(keep=abs),
        "Whatever how says, the weights stay the same.": lambda weights, how: weights.copy(),
        "Whatever how says, negative weights become zero.": lambda weights, how: weights.clip(min=0),
        "Whatever how says, the absolute values come back: a text is always true, so `if 'zero'` is. Compare it, how == 'zero'.": lambda weights, how: abs(weights),
        "This is a mask; asked for are the weights.": lambda weights, how: weights >= 0,
        "changes its input in place": lambda weights, how: (weights.__setitem__(weights < 0, 0), treated(weights, how))[1],
        "returned None": lambda weights, how: {"zero": weights.clip(min=0)}.get(how),
        "come as a list": lambda weights, how: list(treated(weights, how)),
    },
    accepted=[
        by_name(),
        lambda weights, how: {"keep": weights, "zero": np.where(weights < 0, 0, weights), "absolute": np.abs(weights), "remove": np.delete(weights, np.flatnonzero(weights < 0))}[how],
        by_name(zero=lambda w: w * (w > 0), absolute=lambda w: np.sqrt(w**2), remove=lambda w: np.compress(~(w < 0), w)),
    ],
)
def treated(weights, how):
    if how == "zero":
        return np.maximum(weights, 0)
    if how == "absolute":
        return np.abs(weights)
    if how == "remove":
        return weights[weights >= 0]
    return weights


def ratios_and_fractions():
    ratio = np.array([0.002, 0.02, 0.5, 1.0, 3.0, 40.0])
    yield ratio, 0.7, 0.2
    yield ratio, 0.8, 0.2
    yield ratio, 1.0, 0.0
    yield ratio[1:], 0.3, 0.1
    yield ratio, 0.5, 0.5
    yield ratio.astype(np.float32), 0.1, 0.6


def mixtures(top=lambda ratio, f: f * ratio + 1 - f, bottom=lambda ratio, f: f * ratio + 1 - f):
    return lambda ratio, f1, f2: top(ratio, f1) / bottom(ratio, f2)


@exercise(
    "13.8",
    "the likelihood ratio of the mixtures",
    cases=ratios_and_fractions,
    returns=("the likelihood ratio of the mixtures",),
    hints=(
        "The density of a mixture is f times that of the signal plus (1 - f) times that of the background.",
        "Divide numerator and denominator by the background's density: what is left of the signal's is the ratio.",
    ),
    mistakes={
        "The shares of the background are missing: the densities of a mixture are f p_S + (1 - f) p_B.": mixtures(lambda ratio, f: f * ratio, lambda ratio, f: f * ratio + 1 - f),
        "The background has the share 1 in both: it is 1 - f.": mixtures(lambda ratio, f: f * ratio + 1, lambda ratio, f: f * ratio + 1),
        "This is f1 / f2 for every event: the background is missing, or has the share f as well. It is 1 - f.": mixtures(lambda ratio, f: f * ratio + f, lambda ratio, f: f * ratio + f),
        "The ratio is upside down: the first mixture is on top.": lambda ratio, f1, f2: mixture_ratio(ratio, f2, f1),
        "The shares of signal and background are exchanged, or L is divided by: in units of p_B, a mixture has f L + 1 - f.": mixtures(lambda ratio, f: (1 - f) * ratio + f, lambda ratio, f: (1 - f) * ratio + f),
        "The second mixture was taken for pure background: only for f2 = 0 it is.": mixtures(bottom=lambda ratio, f: 1),
        "The first mixture was taken for pure signal: only for f1 = 1 it is.": mixtures(top=lambda ratio, f: ratio),
        "The ratio was multiplied by the ratio of the fractions. That would say that a mixture holds no background.": lambda ratio, f1, f2: ratio * f1 / np.maximum(f2, 1e-9),
        "This is the difference of the two densities. Wanted is their ratio.": lambda ratio, f1, f2: (f1 * ratio + 1 - f1) - (f2 * ratio + 1 - f2),
        "This is the share of the first mixture, between 0 and 1: what a network says. Wanted is the ratio to the second.": lambda ratio, f1, f2: (f1 * ratio + 1 - f1) / ((f1 + f2) * ratio + 2 - f1 - f2),
        "This is the logarithm of the ratio.": lambda ratio, f1, f2: np.log(mixture_ratio(ratio, f1, f2)),
        "The ratio itself came back: a mixture dilutes it.": lambda ratio, f1, f2: ratio.copy(),
        "Mind the brackets: a division comes before an addition.": lambda ratio, f1, f2: f1 * ratio + (1 - f1) / (f2 * ratio + 1 - f2),
        "The denominator lacks its brackets: a / b + c divides by b alone.": lambda ratio, f1, f2: (f1 * ratio + 1 - f1) / np.maximum(f2, 1e-9) * ratio + 1 - f2,
        "Numerator and denominator lack their brackets: a + b / c + d divides b by c alone.": lambda ratio, f1, f2: f1 * ratio + (1 - f1) / np.maximum(f2, 1e-9) * ratio + (1 - f2),
        "The background is subtracted. A mixture is a sum: its share, 1 - f, is added.": mixtures(lambda ratio, f: f * ratio - (1 - f), lambda ratio, f: f * ratio - (1 - f)),
        "This is the signal of the first mixture over the background of the second. Each of them holds both.": lambda ratio, f1, f2: f1 * ratio / (1 - f2),
        "The shares of the background are in the other mixture: 1 - f1 belongs to the first, 1 - f2 to the second.": lambda ratio, f1, f2: (f1 * ratio + 1 - f2) / (f2 * ratio + 1 - f1),
        "Signal and background were divided one by one. The ratio of two sums is not the sum of two ratios.": lambda ratio, f1, f2: f1 / np.maximum(f2, 1e-9) + (1 - f1) / (1 - f2) + 0 * ratio,
        "This is the ratio times the odds f1 / (1 - f1), over those of the second mixture. Densities are added first: f p_S + (1 - f) p_B.": lambda ratio, f1, f2: ratio * f1 / np.maximum(1 - f1, 1e-9) / (np.maximum(f2, 1e-9) / (1 - f2)),
        "The mean over the events was taken. Each has its own ratio.": lambda ratio, f1, f2: mixture_ratio(ratio, f1, f2).mean(),
        "The two brackets have been multiplied: divide.": lambda ratio, f1, f2: (f1 * ratio + 1 - f1) * (f2 * ratio + 1 - f2),
        "The first fraction stands in both mixtures.": lambda ratio, f1, f2: mixture_ratio(ratio, f1, f1),
        "come as a list": lambda ratio, f1, f2: mixture_ratio(ratio, f1, f2).tolist(),
        "changes its input in place": lambda ratio, f1, f2: (ratio.__imul__(f1), ratio + 1 - f1)[1] / (f2 * ratio + 1 - f2),
    },
    accepted=[
        mixtures(),
        lambda ratio, f1, f2: np.divide(1 + f1 * (ratio - 1), 1 + f2 * (ratio - 1)),
        mixtures(lambda ratio, f: f + (1 - f) / ratio, lambda ratio, f: f + (1 - f) / ratio),
        lambda ratio, f1, f2: np.array([(f1 * x + (1 - f1)) / (f2 * x + (1 - f2)) for x in ratio]),
    ],
)
def mixture_ratio(ratio, f1, f2):
    return (f1 * ratio + 1 - f1) / (f2 * ratio + 1 - f2)


def numbers_of_trials():
    # of 50 or 100 the median of the best lies 0.045 below their mean, and is found out sometimes: once more, and again
    for n, error, seed in ((12, 0.8, 1), (100, 0.01, 2), (1, 0.5, 3), (3, 1.0, 4), (50, 0.3, 5), (100, 2.0, 6)):
        yield n, error, np.random.default_rng(seed)


def how_optimistic(optimism, n, error, rng):
    value = call(optimism, n, error, rng, name="optimism")
    if np.ndim(value) or not isinstance(value, float | np.floating | int):
        fail(f"optimism should return one number; what came is {describe(value)}.")
    if n == 12 and 3.5 < value / error < 5.5:
        fail("this is the best of thousands of numbers, and not of n. Take the maximum along the n trials of each toy, and then the mean over the toys: is it the other axis?")
    return {f"the optimism of the best of {n}, in units of the error": float(value) / error}


def toys(what, n_toys=20_000, scale=lambda error: error):
    return lambda n, error, rng: float(what(rng.normal(0, scale(error), (n_toys, n))))


@exercise(
    "13.9",
    "the optimism of the best of n",
    cases=numbers_of_trials,
    observe=how_optimistic,
    tolerance={"rtol": 0, "atol": 0.04},
    demands=[demands.given_generator],
    hints=(
        "One toy is n numbers with mean 0 and standard deviation error: rng.normal(0, error, n). Its best is their maximum.",
        "rng.normal(0, error, (10_000, n)) are ten thousand toys at once, one in each row.",
        "The maximum along axis=1, and the mean of all of these.",
    ),
    mistakes={
        "this is the best of thousands of numbers": toys(np.max),
        "This is the mean of all numbers, which is zero. The maximum of each toy comes first.": toys(np.mean),
        "is it the other axis": toys(lambda x: x.max(axis=0).mean(), 10_000),
        "This is by how much the best is better than the second. Wanted is the best, relative to the true value, zero.": toys(lambda x: np.diff(np.sort(x, axis=1)[:, -2:]).mean() if x.shape[1] > 1 else 0.0),
        "sqrt(2 log n) is what the maximum approaches for enormous n. Make toys.": lambda n, error, rng: error * math.sqrt(2 * math.log(n)) + 0 * rng.random(),
        "This is the smallest of each toy. The search takes the best, and larger is better here.": toys(lambda x: x.min(axis=1).mean()),
        "This is the spread of the maxima, and not their mean.": toys(lambda x: x.max(axis=1).std()),
        "This is the largest absolute value of each toy. A trial that is worse by chance is not chosen.": toys(lambda x: np.abs(x).max(axis=1).mean()),
        "This is the range, best minus worst. Wanted is the best, relative to the true value, zero.": toys(lambda x: np.ptp(x, axis=1).mean()),
        "This is the error itself, whatever n is.": lambda n, error, rng: error + 0 * rng.random(),
        "The error of a mean falls with sqrt(n), but this is no mean: the best of n rises with n.": lambda n, error, rng: error / math.sqrt(n) + 0 * rng.random(),
        "The error times sqrt(n) is the error of a sum. Make toys: the maximum grows much more slowly.": lambda n, error, rng: error * math.sqrt(n) + 0 * rng.random(),
        "One toy is not enough: its best is itself random. Take the mean over many.": toys(lambda x: x.max(axis=1).mean(), n_toys=1),
        "A hundred toys or so are not enough: the second digit still changes with the seed. Ten thousand take no time.": toys(lambda x: x.max(axis=1).mean(), n_toys=60),
        "The result is in units of the error, whatever the error is. Draw rng.normal(0, error, ...), and do not divide.": toys(lambda x: x.max(axis=1).mean(), scale=lambda error: 1.0),
        "The error was squared: rng.normal takes the standard deviation, not the variance.": toys(lambda x: x.max(axis=1).mean(), scale=lambda error: error**2),
        "The square root of the error was taken: rng.normal takes the standard deviation itself.": toys(lambda x: x.max(axis=1).mean(), scale=lambda error: error**0.5),
        "argmax is where the best stands, and not how large it is.": toys(lambda x: x.argmax(axis=1).mean()),
        "rng.random is uniform. Errors of this kind are Gaussian: rng.normal.": lambda n, error, rng: error * rng.random((20_000, n)).max(axis=1).mean(),
        "These are uniform between -error and +error. Errors are Gaussian: rng.normal.": lambda n, error, rng: rng.uniform(-error, error, (20_000, n)).max(axis=1).mean(),
        "optimism should return one number": lambda n, error, rng: rng.normal(0, error, (20_000, n)).max(axis=1),
        "another generator gives the same result": lambda n, error, rng: optimism(n, error, np.random.default_rng(7)),
        "same seed gives another result": lambda n, error, rng: optimism(n, error, np.random.default_rng()),
    },
    accepted=[
        toys(lambda x: x.max(axis=1).mean(), 10_000),
        toys(lambda x: np.sort(x, axis=1)[:, -1].mean(), 20_000),
        lambda n, error, rng: np.mean([max(rng.normal(0, error, n)) for _ in range(10_000)]),
        lambda n, error, rng: error * rng.standard_normal((n, 30_000)).max(axis=0).mean(),
    ],
)
def optimism(n, error, rng):
    toys = rng.normal(0, error, (20_000, n))
    return toys.max(axis=1).mean()


def counts():
    yield 3.0, 5.0, 5
    yield 0.5, 5.2, 3
    yield 10.0, 100.0, 100
    yield 3.0, 0.5, 0
    yield 0.0, 7.0, 4
    yield 3.0, 0.0, 2


def poisson(n, mean):
    return sum(math.exp(-mean) * mean**k / math.factorial(k) for k in range(n + 1))


def ratio_of(below, background=True):
    return lambda s, b, n: below(n, s + b) / (below(n, b) if background else 1)


@exercise(
    "13.10",
    "the CLs value",
    cases=counts,
    returns=("CLs",),
    hints=(
        "scipy.stats.poisson.cdf(n, mean) is the probability of n or fewer events where `mean` are expected.",
        "With signal, s + b are expected; without, b. CLs is the first probability over the second.",
    ),
    mistakes={
        "This is only the probability with signal, the numerator. Where the background alone makes so few events unlikely, it would exclude signals to which we are not sensitive: divide by the probability without signal.": ratio_of(scipy.stats.poisson.cdf, background=False),
        "This is fewer than n; n itself is missing.": ratio_of(lambda n, mean: scipy.stats.poisson.cdf(n - 1, mean) if n else 1.0),
        "These are the probabilities of exactly n. As few as n, or fewer, is what speaks against a signal: cdf, not pmf.": ratio_of(scipy.stats.poisson.pmf),
        "These are the probabilities of more than n. A signal makes more events, so it is few events that speak against it: cdf, not sf.": ratio_of(scipy.stats.poisson.sf),
        "The ratio is upside down, and larger than one: the probability with signal is on top.": lambda s, b, n: 1 / cls(s, b, n),
        "This is one minus CLs, the confidence at which the signal is excluded. Wanted is CLs itself.": lambda s, b, n: 1 - cls(s, b, n),
        "With signal, s + b events are expected: the background stays.": lambda s, b, n: scipy.stats.poisson.cdf(n, s) / scipy.stats.poisson.cdf(n, b),
        "The mean and the number are exchanged: poisson.cdf(n, mean).": ratio_of(lambda n, mean: scipy.stats.poisson.cdf(mean, n)),
        "This is the difference of the two probabilities. Wanted is their ratio.": lambda s, b, n: scipy.stats.poisson.cdf(n, b) - scipy.stats.poisson.cdf(n, s + b),
        "This is the difference of the two probabilities, which is negative. Wanted is their ratio.": lambda s, b, n: scipy.stats.poisson.cdf(n, s + b) - scipy.stats.poisson.cdf(n, b),
        "These are the probabilities of n or more. A signal makes more events, so it is few events that speak against it: n or fewer, cdf.": ratio_of(lambda n, mean: scipy.stats.poisson.sf(n - 1, mean)),
        "No event at all is missing: the sum begins with k = 0.": ratio_of(lambda n, mean: sum(scipy.stats.poisson.pmf(k, mean) for k in range(1, n + 1)) if n else 1.0),
        "The factorial is missing: the Poisson probability is exp(-mean) mean**k / k!.": ratio_of(lambda n, mean: sum(math.exp(-mean) * mean**k for k in range(n + 1))),
        "The exponential is missing: the Poisson probability is exp(-mean) mean**k / k!.": ratio_of(lambda n, mean: sum(mean**k / math.factorial(k) for k in range(n + 1))),
        "The denominator is the probability of more than n. On both sides it is that of n or fewer.": lambda s, b, n: scipy.stats.poisson.cdf(n, s + b) / scipy.stats.poisson.sf(n, b),
        "These are the two probabilities. Divide the first by the second.": lambda s, b, n: (scipy.stats.poisson.cdf(n, s + b), scipy.stats.poisson.cdf(n, b)),
        "This says whether the signal is excluded. Asked for is the ratio itself, without a comparison.": lambda s, b, n: bool(cls(s, b, n) < 0.05),
        "This is the product of the two probabilities. Wanted is their ratio.": lambda s, b, n: scipy.stats.poisson.cdf(n, s + b) * scipy.stats.poisson.cdf(n, b),
        "This is the probability without signal. The signal has to appear.": lambda s, b, n: scipy.stats.poisson.cdf(n, b),
        "A Gaussian with the standard deviation sqrt(mean) is an approximation for many events, and we may have three.": ratio_of(lambda n, mean: scipy.stats.norm.cdf(n, mean, math.sqrt(mean))),
        "A Gaussian with the standard deviation sqrt(mean), up to n + 1/2, is an approximation for many events, and we may have three.": ratio_of(lambda n, mean: scipy.stats.norm.cdf(n + 0.5, mean, math.sqrt(mean))),
        "n was taken for the background's mean: the probabilities are those of n events where s + b, or b, are expected.": lambda s, b, n: scipy.stats.poisson.cdf(b, s + n) / scipy.stats.poisson.cdf(b, n),
        "n does not appear; the expected background was taken for what was counted.": lambda s, b, n: scipy.stats.poisson.cdf(b, s + b) / scipy.stats.poisson.cdf(b, b),
        "TypeError": lambda s, b, n: scipy.stats.poisson(s + b).cdf / scipy.stats.poisson(b).cdf,
    },
    accepted=[
        ratio_of(poisson),
        ratio_of(lambda n, mean: 1 - scipy.stats.poisson.sf(n, mean)),
        ratio_of(lambda n, mean: scipy.stats.poisson.pmf(np.arange(n + 1), mean).sum()),
        ratio_of(lambda n, mean: scipy.special.gammaincc(n + 1, mean) if mean else 1.0),
    ],
)
def cls(s, b, n):
    with_signal, without = scipy.stats.poisson.cdf(n, s + b), scipy.stats.poisson.cdf(n, b)
    return with_signal / without
