"""What a lesson prints holds on other machines: the disturbances, the comparison, and (-m shake) every lesson."""

import json
import os
import platform
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from typer.testing import CliRunner

from coursekit import authoring, building, shaking
from coursekit.cli import app
from coursekit.perturbing import SIZE, near
from coursekit.threads import NUMBERS
from tests.conftest import LESSONS, ROOT

LESSON = """\
# %% [markdown]
# # 1 · Toy
# <!-- badges -->
#
# **Time:** 5 minutes

# %% tags=["setup"]
from coursekit import check, or_reference, setup, show

WORK = setup("01")

# %% tags=["parameters"]
quick: bool = True

# %%
import os

import numpy as np
from sklearn.linear_model import LogisticRegression

x = np.random.default_rng(1).normal(size=(100, 2))
slope = float(LogisticRegression().fit(x, x[:, 0] > 0).coef_[0, 0])
show("slope", slope, 1)
show("slope to the last digit", slope, 14)
show("slope to the last digit, with an error", slope, 14, error=0.1)
show("rows", len(x))

# %% tags=["exercise", "ex-1.1"]
mean = ...

# %% tags=["check", "ex-1.1"]
check("1.1", mean, x=x)
mean = or_reference("1.1", mean, x=x)

# %%
if os.environ.get("COURSEKIT_SHAKE") == "2":
    raise RuntimeError("this does not hold")
"""

EXERCISES = """\
from coursekit.checks import exercise
import numpy as np


@exercise(
    "1.1",
    "the mean",
    cases=lambda: [{"x": np.arange(3.0)}],
    returns=("the mean",),
    hints=("An array knows it.",),
    mistakes={"This is the sum.": lambda *, x: x.sum()},
)
def mean_of(*, x):
    mean = x.mean()
    return mean
"""


@pytest.fixture
def clone(tmp_path):
    """A small course with one lesson, built."""
    folder = tmp_path / "lessons" / "01_toy"
    folder.mkdir(parents=True)
    for name, text in [("lesson.py", LESSON), ("exercises.py", EXERCISES), ("figures.toml", "")]:
        (folder / name).write_text(text, encoding="utf-8")
    (tmp_path / "course.toml").write_text(
        'title = "T"\nrepository = "https://github.com/g/c"\ntag = "v1"\n', encoding="utf-8"
    )
    building.build(authoring.select(tmp_path), tmp_path)
    return tmp_path


# --- the comparison ---------------------------------------------------------------------------------------------------


@pytest.mark.lessons
def test_what_leaves_its_tolerance_is_reported_and_what_does_not_build_too(clone):
    before = sorted(path.relative_to(clone) for path in clone.rglob("*"))
    (_, first), (_, second) = shaking.shake(authoring.select(clone), clone, 2)
    assert sorted(path.relative_to(clone) for path in clone.rglob("*")) == before
    (line,) = first
    assert (line.lesson, line.shake, line.cell) == ("01_toy", 1, 3)
    assert line.committed.startswith("slope to the last digit: 3.75")
    assert line.shaken.startswith("slope to the last digit: 3.75")
    assert line.committed != line.shaken
    (broken,) = second
    assert (broken.cell, broken.shake) == (0, 2)
    assert broken.shaken == "cell 6 raised RuntimeError: this does not hold"
    # The command says the same, once more: a shake can be repeated.
    done = CliRunner().invoke(app, ["build", "--shake", "1", "--root", str(clone)])
    assert done.exit_code == 1
    assert f"shaken: {line.shaken}\n" in done.output
    assert "shake 1, threads: 2, no AVX-512: 1 lines left their tolerance" in done.output
    assert "1 printed lines left their tolerance: another machine" in done.output
    # A lesson that was edited since is refused before anything is built.
    lesson = clone / "lessons" / "01_toy" / "lesson.py"
    lesson.write_text(
        lesson.read_text(encoding="utf-8").replace('show("rows", len(x))', 'show("rows", len(x) + 1)'), encoding="utf-8"
    )
    with pytest.raises(authoring.BuildError, match="is not what its lesson builds"):
        next(shaking.shake(authoring.select(clone), clone, 1))


def test_two_executions_are_compared_line_by_line(tmp_path):
    def execution(name, *texts, source="print()"):
        cells = [nbformat.v4.new_code_cell(source, execution_count=number + 1) for number in range(len(texts))]
        for cell, text in zip(cells, texts, strict=True):
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=part) for part in text]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / name)
        return tmp_path / name

    kept = execution("kept", ["AUC: 0.950 ± 0.004\n", "jets: 5\n"], ["loss: 0.258\n"])
    assert shaking.departures(kept, kept) == []
    assert shaking.departures(kept, execution("new", ["AUC: 0.953 ± 0.004\njets: 5\n"], ["loss: 0.258\n"])) == []
    left = shaking.departures(kept, execution("new", ["AUC: 0.955 ± 0.004\njets: 5\n"], ["loss: 0.259\n", "more"]))
    assert left == [
        (1, "AUC: 0.950 ± 0.004", "AUC: 0.955 ± 0.004"),
        (2, "loss: 0.258", "loss: 0.259"),
        (2, "", "more"),
    ]
    with pytest.raises(authoring.BuildError, match="is not what its lesson builds; run `coursekit build` first"):
        shaking.departures(kept, execution("other", ["a"], ["b"], source="print(1)"))
    with pytest.raises(authoring.BuildError, match="does not exist; run `coursekit build` first"):
        shaking.departures(tmp_path / "none", kept)


def test_the_command_ends_well_when_nothing_leaves(monkeypatch):
    monkeypatch.setattr(shaking, "shake", lambda *_: [(1, []), (2, [])])
    done = CliRunner().invoke(app, ["build", "--shake", "2", "--root", str(ROOT)])
    assert done.exit_code == 0, done.output
    assert "shake 2, threads: 1" in done.output
    done = CliRunner().invoke(app, ["build", "--shake", "1", "--full", "--root", str(ROOT)])
    assert done.exit_code == 1
    assert "--root and --jobs, and no more" in done.output


# --- the disturbances -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding_keeps_zeros_equal_numbers_and_the_order(dtype):
    values = np.sort(np.random.default_rng(1).normal(scale=[[1e-12], [1.0], [1e6]], size=(3, 1000)).astype(dtype))
    values[:, 500:510] = values[:, 500:501]
    changed = near(values, 1, np)
    assert changed.dtype == values.dtype
    assert (np.diff(changed) >= 0).all()
    assert (np.diff(changed)[np.diff(values) == 0] == 0).all()
    relative = changed.astype("f8") / values.astype("f8") - 1
    assert np.abs(relative).max() < SIZE + (1.2e-7 if dtype == "float32" else 0)
    assert (changed != values).mean() > 0.2
    assert (changed != near(values, 2, np)).mean() > 0.2
    assert near(np.zeros(2, dtype), 1, np).tolist() == [0, 0]


COMMON = """
import json
import sys
import types

import numpy as np
from sklearn.preprocessing import StandardScaler

from coursekit import perturbing

perturbing.install(1)
perturbing.install(1)
found = {}
from coursekit.checks import engine

def change(name, new, old):
    new, old = np.asarray(new, float), np.asarray(old, float)
    found[name] = float(np.abs(new / old - 1).max())

def within_a_check(function):
    exercise = types.SimpleNamespace(number="1.1", test=lambda *given: function())
    assert engine.run_check(exercise, (1,), {}) == ("PASS", "")

"""

KERAS = """
import keras

class Spy(keras.layers.Layer):
    def call(self, x, training=None):
        if training:
            self.seen = keras.ops.convert_to_numpy(x)
        return x

x, y = np.random.default_rng(1).normal(size=(64, 6)).astype("float32"), np.ones((64, 1))
assert "tensorflow" not in sys.modules or keras.backend.backend() == "tensorflow"

def train(name, how, eagerly):
    keras.utils.set_random_seed(1)
    spy = Spy() if eagerly else keras.layers.Activation("linear")
    model = keras.Sequential([keras.Input((6,)), spy, keras.layers.Dropout(0.5), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.0), "mse", run_eagerly=eagerly)
    before = model.get_weights()[0]
    if how == "fit":
        model.fit(x, y, batch_size=64, shuffle=False, verbose=0)
    else:
        model.train_on_batch(x, y)
    change(f"weights, {name}", model.get_weights()[0], before)
    if eagerly:
        change(f"inputs, {name}", spy.seen, x)

train("fit", "fit", False)
train("train_on_batch", "batch", False)
train("eagerly", "fit", True)
within_a_check(lambda: train("check", "fit", True))

gradient = keras.ops.convert_to_tensor(x)
for name in ("first", "second"):
    optimizer, moved = keras.optimizers.SGD(1.0), keras.Variable(np.zeros((64, 6)))
    optimizer.apply([gradient], [moved])
    if name == "second":
        moved.assign(np.zeros((64, 6)))
        optimizer.apply([gradient], [moved])
    steps = keras.ops.convert_to_numpy(moved)
    change(f"gradient, {name}", -steps, x)
    found[f"last of {name}"] = steps.tolist()
found["another in each step"] = float(np.mean(np.array(found.pop("last of first")) != found.pop("last of second")))
keras.utils.set_random_seed(3)
found["draw"] = float(keras.random.normal(()))
"""

TORCH = """
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder
import pandas as pd

def train_in_torch(name):
    torch.manual_seed(1)
    seen = []
    layer = torch.nn.Linear(6, 1, bias=False)
    layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    before = layer.weight.detach().clone()
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    change(f"weights, {name}", layer.weight.detach(), before)
    data = torch.tensor(x)
    loss = torch.nn.Sequential(layer, torch.nn.Dropout(0.5)).train()(data).sum()
    (exact,) = torch.autograd.grad(loss, layer.weight, retain_graph=True)
    loss.backward()
    optimizer.register_step_pre_hook(lambda *_: change(f"gradient, {name}", layer.weight.grad, exact))
    optimizer.step()
    change(f"inputs, {name}", seen[0], data)
    layer.eval()(data)
    with torch.no_grad():
        layer.train()(data)
    assert all(torch.equal(late, data) for late in seen[1:]), "predictions are not trainings"
    assert torch.equal(data, torch.tensor(x)), "the student's tensor is changed"
    return torch.rand(()).item()

found["torch draw"] = train_in_torch("torch")
within_a_check(lambda: train_in_torch("torch check"))
table = x.astype(float)
change("inputs, sklearn", KNeighborsClassifier(1).fit(table, y[:, 0])._fit_X, table)
frame = pd.DataFrame(table, columns=list("abcdef")).assign(n=np.arange(64))
pipeline = make_pipeline(StandardScaler()).fit(frame)
change("inputs, frame", pipeline[0].var_[:6], table.var(axis=0))
found["integers"] = float(abs(pipeline[0].mean_[6] - 31.5))
assert LabelEncoder().fit_transform(["a", "b"]).tolist() == [0, 1]
"""


def in_a_process(code, backend, **variables):
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"} | variables
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("backend", "code"), [pytest.param("tensorflow", KERAS, marks=pytest.mark.long), ("torch", KERAS + TORCH)]
)
def test_a_training_is_disturbed_by_rounding_and_a_check_is_not(backend, code):
    found = in_a_process(COMMON + code + "\nprint(json.dumps(found))", backend)
    spared = {name for name in found if name.endswith("check")} | {"integers"} & found.keys()
    assert {found[name] for name in spared} == {0}
    draws = {name for name in found if name.endswith("draw")}
    assert 0.2 < found.pop("another in each step") < 1
    for name in found.keys() - spared - draws:
        assert 0 < found[name] < 4e-7, (name, found)  # a table in a pipeline is changed three times
    assert len(found) > 7
    # The students' seeds give what they give without.
    calm = in_a_process((COMMON + code + "\nprint(json.dumps(found))").replace("perturbing.install(1)\n", ""), backend)
    assert {name: found[name] for name in draws} == {name: calm[name] for name in draws}
    assert all(calm[name] < 1e-12 for name in calm.keys() - draws)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="other processors have other instructions")
@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_library_that_can_does_without_the_masked_instructions(number):
    words, variables = shaking.circumstances(number)
    code = """
import json, warnings
warnings.simplefilter("error")
import numpy as np, scipy.linalg, torch
from numpy._core._multiarray_umath import __cpu_features__ as features
from threadpoolctl import threadpool_info
blas = [info for info in threadpool_info() if info["internal_api"] == "openblas"]
found = {name: features[name] for name in ("AVX512F", "AVX2", "FMA3")}
found |= {"torch": torch.backends.cpu.get_cpu_capability(), "blas": sorted({info["architecture"] for info in blas})}
found |= {"threads": [torch.get_num_threads(), *{info["num_threads"] for info in blas}]}
print(json.dumps(found))
"""
    found = in_a_process(code, "torch", **variables)
    threads = min(1 + number % 2, os.cpu_count())
    assert found["threads"] == [1 + number % 2, threads]
    assert f"shake {number}, threads: {1 + number % 2}" in words
    if number == 1:
        assert "no AVX-512" in words
        assert not found["AVX512F"]
        assert found["torch"] in ("AVX2", "DEFAULT")
        assert found["blas"] == ["Haswell"]
    elif number == 2:
        assert "no AVX-512, AVX2, FMA" in words
        assert not found["AVX2"] | found["FMA3"]
        assert (found["torch"], found["blas"]) == ("DEFAULT", ["Nehalem"])
    else:
        assert "all instructions" in words
        assert variables.keys() == {"COURSEKIT_SHAKE", *NUMBERS}


def test_a_shake_can_be_repeated():
    assert shaking.circumstances(4) == shaking.circumstances(4)
    assert len({json.dumps(shaking.circumstances(number)) for number in range(1, 11)}) == 10
    different = {
        tuple(sorted((shaking.circumstances(number)[1] | {"COURSEKIT_SHAKE": ""}).items())) for number in range(1, 7)
    }
    assert len(different) == (6 if platform.machine() in ("x86_64", "AMD64") else 2)


# --- the course -------------------------------------------------------------------------------------------------------


@pytest.mark.shake
@pytest.mark.parametrize("folder", LESSONS, ids=lambda folder: folder.name)
def test_no_printed_number_leaves_its_tolerance_in_ten_shakes(folder):
    left = [line for _, found in shaking.shake([folder / "lesson.py"], ROOT, 10) for line in found]
    assert not left


def test_a_disturbed_network_can_still_be_exported():
    # A hook for the forward pass of all modules would make every size in the exported network a constant.
    code = """
from coursekit import perturbing
perturbing.install(1)
import json
from torch.nn.modules import module
hooks = {name: len(kept) for name, kept in vars(module).items() if name.startswith("_global_forward")}
print(json.dumps(hooks))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    counted = json.loads(done.stdout)
    assert counted
    assert not any(counted.values())
