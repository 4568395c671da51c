"""What a lesson does first, and how it prints numbers and figures."""

import base64
import importlib.util
import json
import os
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from coursekit import data, figure, lesson, setup, show, surroundings
from coursekit.plots import figure as drawn


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        (("events", 20000), {}, "events: 20000"),
        (("flag", np.bool_(True)), {}, "flag: True"),
        (("name", "hww"), {}, "name: hww"),
        (("shape", (np.int64(3), 4)), {}, "shape: (3, 4)"),
        (("mean", np.float32(1.25999), 3), {}, "mean: 1.260"),
        (("mass", np.array(125.09), 1), {"unit": "GeV"}, "mass: 125.1 GeV"),
        (("AUC", 0.9123, 2), {"error": 0.0141}, "AUC: 0.91 ± 0.01"),
        (("zero", -1e-9, 2), {}, "zero: 0.00"),
        (("times faster", 21.34, 0), {"spread": 8}, "times faster: about 21, give or take 8"),
        (("best epoch", 7, 0), {"spread": 2}, "best epoch: about 7, give or take 2"),
    ],
)
def test_show(capsys, args, kwargs, text):
    show(*args, **kwargs)
    assert capsys.readouterr().out == text + "\n"


@pytest.mark.parametrize(
    ("value", "digits", "words"),
    [(1.5, None, "number of digits"), (np.arange(3), 2, "is a ndarray"), ([1, 2], None, "is a list")],
)
def test_show_prints_no_raw_values(value, digits, words):
    with pytest.raises(TypeError, match=words):
        show("x", value, digits)


@pytest.mark.parametrize(("value", "digits"), [(0.125, 2), (-2.4999, 0), (0.12501, 2)])
def test_a_build_refuses_a_value_at_a_rounding_edge(monkeypatch, capsys, value, digits):
    show("x", value, digits)
    monkeypatch.setenv("COURSEKIT_BUILD", "with parameters")  # other numbers than the stored ones: nobody compares them
    show("x", value, digits)
    monkeypatch.setenv("COURSEKIT_BUILD", "stored")
    with pytest.raises(ValueError, match="too close to a rounding edge"):
        show("x", value, digits)
    show("x", value + 0.3 * 10**-digits, digits)


def test_setup_is_silent_and_makes_the_work_folder(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(data, "ensure", asked.append)
    assert setup("1") == setup("01")
    assert (tmp_path / "work" / "01").is_dir()
    assert [int(lesson) for lesson in asked] == [1, 1]
    assert capfd.readouterr() == ("", "")


def test_a_figure_is_shown_with_its_alt_text_and_closed(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *args, **kwargs: shown.append((args, kwargs)))
    before = plt.rcParams["font.size"]
    with drawn("A line\n  that rises.", columns=2) as (left, right):
        left.plot([1, 2])
        right.plot([2, 3])
    ((bundle,), kwargs) = shown[0]
    assert bundle["text/plain"] == kwargs["metadata"]["image/png"]["alt"] == "A line that rises."
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert plt.rcParams["font.size"] == before
    assert not plt.get_fignums()


def test_a_figure_needs_alt_text_and_an_error_shows_nothing(monkeypatch):
    monkeypatch.setattr("IPython.display.display", lambda *args, **kwargs: pytest.fail("shown"))
    with pytest.raises(ValueError, match="alt text"), drawn("  "):
        pass
    with pytest.raises(ZeroDivisionError), drawn("Something.") as ax:
        ax.plot([1 / 0])
    assert not plt.get_fignums()


def test_a_figure_of_a_lesson_has_the_text_of_its_name(tmp_path, monkeypatch):
    folder = tmp_path / "lessons" / "77_toy"
    folder.mkdir(parents=True)
    (folder / "figures.toml").write_text('line = """\nA line.\nIt rises by 2 μm.\n"""\n', encoding="utf-8")
    monkeypatch.setenv("COURSEKIT_ROOT", str(tmp_path))
    monkeypatch.setattr(data, "ensure", lambda lesson: None)
    monkeypatch.chdir(tmp_path)
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **kwargs: shown.append(bundle))
    monkeypatch.setattr(lesson, "_current", "")
    with pytest.raises(RuntimeError, match=r"Call coursekit\.setup"):
        figure("line")
    setup("77")
    with figure("line", columns=2) as (left, _):
        left.plot([1, 2])
    assert shown[0]["text/plain"] == "A line. It rises by 2 μm."
    with pytest.raises(KeyError, match=r"figures\.toml has no text for the figure 'lien'; it has line"):
        figure("lien")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("COURSEKIT_SHAKE", "hard", "COURSEKIT_SHAKE is the number of a shake, got 'hard': unset it"),
        ("COURSEKIT_ROOT", "/no/clone", "lessons does not exist: COURSEKIT_ROOT names no clone of the course"),
    ],
)
def test_nonsense_in_the_environment_is_named(tmp_path, monkeypatch, name, value, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        lesson.lesson_folder(setup("01").name)


def test_a_folder_in_which_nobody_may_write(tmp_path, monkeypatch):
    (tmp_path / "work").write_text("a file", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        OSError, match=r"the folder work.01 cannot be made beside the notebook \(Not a directory\).* copy"
    ):
        setup("01")


#: An interpreter whose user nobody knows, as in a container that runs under any number.
NOBODY = """
import os, pwd
def nobody(uid): raise KeyError("getpwuid(): uid not found")
pwd.getpwuid = nobody
from coursekit import data, setup
from coursekit.doctor import examine
from coursekit.plots import figure
import jupyter_core.paths
assert os.environ['KERAS_HOME'].startswith(os.path.dirname(os.environ['MPLCONFIGDIR']))
print(setup("01"))
assert set(examine()["data"]) == set(data.catalogue())
with figure("a line") as ax: ax.plot([1, 2])
try: data.fetch("test.h5")
except data.DataNotFound as error: print(error)
print(os.listdir())
"""


def homeless(**environment):
    gone = ("HOME", "XDG_CACHE_HOME", "COURSEKIT_DATA", *surroundings.FOLDERS)
    kept = {name: value for name, value in os.environ.items() if name not in gone}
    return kept | {"PYTHONPATH": os.pathsep.join(sys.path), "MPLBACKEND": "agg"} | environment


@pytest.mark.skipif(os.name == "nt", reason="users as on POSIX")
def test_a_lesson_needs_no_home(tmp_path):
    (tmp_path / "run").mkdir()
    command = [sys.executable, "-c", NOBODY]
    done = subprocess.run(
        command, cwd=tmp_path / "run", env=homeless(), capture_output=True, encoding="utf-8", timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("work/01\n")
    assert "set COURSEKIT_DATA to a folder with room in which you may write" in done.stdout
    assert done.stdout.endswith("['work']\n")


@pytest.mark.skipif(os.name == "nt", reason="users as on POSIX")
@pytest.mark.parametrize("home", ["a file", "nothing", "."])
def test_a_home_that_is_no_use_is_not_used(tmp_path, home):
    (tmp_path / "a file").touch()
    code = f"import coursekit, json, os; print(json.dumps([os.environ.get(name) for name in {surroundings.FOLDERS}]))"
    command = [sys.executable, "-c", code]
    environment = homeless(HOME=str(tmp_path / home), KERAS_HOME="/as/said")
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True)
    found = dict(zip(surroundings.FOLDERS, json.loads(done.stdout), strict=True))
    assert found.pop("KERAS_HOME") == "/as/said"
    assert all(found.values()) == (home != ".")
    assert not os.path.exists(found["MPLCONFIGDIR"] or "")  # it is gone when Python ends


@pytest.mark.parametrize(
    ("installed", "wish", "backend"),
    [
        ({"torch"}, None, "torch"),
        ({"torch", "tensorflow"}, None, None),
        (set(), None, None),
        ({"torch"}, "jax", "jax"),
    ],
)
def test_keras_runs_on_the_framework_that_is_there(tmp_path, monkeypatch, installed, wish, backend):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(surroundings, "find_spec", lambda name: name if name in installed else None)
    monkeypatch.setenv("KERAS_BACKEND", wish or "")  # restored after the test, whatever setup does to it
    if wish is None:
        monkeypatch.delenv("KERAS_BACKEND")
    setup("01")
    assert os.environ.get("KERAS_BACKEND") == backend


@pytest.mark.parametrize("fails", [False, True])
def test_triton_is_loaded_before_tensorflow_can_be(monkeypatch, fails):
    monkeypatch.setattr(surroundings, "find_spec", lambda name: name)
    for name in ("tensorflow", "triton"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    loaded = []

    def load(name):
        loaded.append(name)
        if fails:
            raise ImportError("no driver")

    monkeypatch.setattr(surroundings.importlib, "import_module", load)
    surroundings.load_triton_before_tensorflow()
    assert loaded == ["triton"]
    monkeypatch.setitem(sys.modules, "tensorflow", sys)  # too late: PyTorch does without
    surroundings.load_triton_before_tensorflow()
    assert loaded == ["triton"]
    assert sys.modules["triton"] is None
    monkeypatch.delitem(sys.modules, "triton")


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="PyTorch comes without Triton here")
@pytest.mark.parametrize("first", ["import coursekit, tensorflow", "import tensorflow, coursekit"])
def test_tensorflow_and_an_optimiser_of_pytorch_live_in_one_process(first):
    code = f"{first}, torch; torch.optim.AdamW(torch.nn.Linear(1, 1).parameters()); print('alive')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert done.stdout == "alive\n", done.returncode
