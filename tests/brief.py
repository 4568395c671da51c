"""Trainings cut short in the kernel of a notebook, for a test that asks whether it runs to its end and nothing else.

What a network has learned is compared where nbval executes the solutions, whose trainings are as long as they are.
"""

import copy
import inspect
import re

from nbformat.v4 import new_code_cell

#: Settings of lessons, and what they are here: how much is simulated or repeated, and steps of a loop in a notebook.
FEWER = {"N_EVENTS": 100, "N_JETS": 50, "REPEATS": 2, "STEPS": 40, "TRIALS": 6}


def brief(notebook):
    """Return a notebook with cells behind its setup that let networks and trees learn a few events or jets, once.

    One in an odd number, because of samples in which every second is signal.
    """
    shortened = copy.deepcopy(notebook)
    for cell in shortened.cells:
        for name, number in FEWER.items():
            cell.source = re.sub(rf"^{name} = \d+ if quick", f"{name} = {number} if quick", cell.source, flags=re.M)
    source = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    setup = next(at for at, cell in enumerate(shortened.cells) if "setup" in cell.metadata.get("tags", ()))
    words = {keras: ("import keras", "run_study"), pytorch: ("coursekit.training import",), trees: ("HistGradient",)}
    for shorten, signs in words.items():
        if any(sign in source for sign in signs):
            code = f"{inspect.getsource(shorten)}\n{shorten.__name__}()\ndel {shorten.__name__}"
            shortened.cells.insert(setup + 1, new_code_cell(code))
    return shortened


def keras():
    """Shorten `keras.Model.fit`, which compiles nothing either: that takes longer than a few steps."""
    import keras

    whole = keras.Model.fit

    def few(values):
        return None if values is None else values[:: len(values) // 500 | 1]

    def fit(self, x, y=None, *, epochs=1, sample_weight=None, validation_data=None, **options):
        if y is not None:  # else a stream, which says itself how long it is
            x, y, sample_weight = few(x), few(y), few(sample_weight)
            validation_data = validation_data and tuple(map(few, validation_data))
            self.run_eagerly = True
        options |= {"sample_weight": sample_weight, "validation_data": validation_data}
        return whole(self, x, y, epochs=1, **options)

    keras.Model.fit = fit


def pytorch():
    """Shorten `coursekit.training.train`."""
    import coursekit.training

    whole = coursekit.training.train

    def few(values):
        return values[:: len(values) // 500 | 1]

    def train(model, training, validation, *, epochs, weights=None, **options):
        if weights is not None:
            options["weights"] = tuple(map(few, weights))
        return whole(model, few(training), few(validation), epochs=1, **options)

    coursekit.training.train = train


def trees():
    """Shorten the training of boosted trees of scikit-learn."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    whole = HistGradientBoostingClassifier.fit

    def few(values):
        return None if values is None else values[:: len(values) // 500 | 1]

    def fit(self, x, y, sample_weight=None):
        return whole(self, few(x), few(y), few(sample_weight))

    HistGradientBoostingClassifier.fit = fit
