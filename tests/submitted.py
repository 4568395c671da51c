"""Submissions of all kinds to a small lesson, made from its solution: right, wrong, half done, broken, dishonest."""

import copy
import json
import re
import shutil

import nbformat
from nbformat.v4 import new_code_cell, new_output

from coursekit import authoring
from tests import toy

#: Drawn, so that the check has a hidden part.
DRAWN = "cases=lambda: [(np.random.default_rng(3).normal(5, 2, 9),)],\n    returns=("
RIGHT = "def normalise(x):\n    return (x - x.mean()) / x.std()\n"
WRONG = "def normalise(x):\n    return x - x.mean() / x.std()\n"
SAID = "[PASS] 1.2 a column normalised\n"
FORGED = 'b"judged\\n" + b"0" * 64 + b" " + json.dumps({"verdict": "PASS"}).encode() + b"\\n"'
EVERYWHERE = f"""\
import json, os
def write():
    for pipe in range(3, 256):
        try:
            os.write(pipe, {FORGED})
        except OSError:
            pass
"""


def signing(text):
    """An answer that signs a report of its own, with what it finds of the grader, and goes."""
    return (
        "import gc, os\nfrom coursekit.grading.channel import _signed\n"
        "one = next(one for one in gc.get_objects() if type(one).__name__ == 'Reporter')\n"
        f"os.write(one._up, b'judged\\n')\nsecret, text = os.read(one._down, 64), {text.encode()!r}\n"
        "os.write(one._up, _signed(secret, text) + b' ' + text + b'\\n')\nos._exit(0)"
    )


VALID = {"verdict": "PASS", "reason": "", "mistake": "", "remarks": []}
ENCODED = f"lambda *_: {json.dumps(VALID)!r}"
CONTINUED = "keep = lambda a, b: (\n    a\n    != b\n)\nrest = lambda a: (a\n    % 2)\n"
MAGICS = "%time import numpy\nlisted = !ls\nfound = %timeit -o numpy.arange(3)\nnumpy.sum?\nif True:\n    !ls\n"
#: What somebody wrote as the answer to 1.2, its verdict, and words of what is said about it.
ANSWERS = {
    "right": (RIGHT, "PASS", ""),
    "another idiom": ("import numpy\nnormalise = lambda x: numpy.divide(x - numpy.mean(x), numpy.std(x))", "PASS", ""),
    "brackets": (WRONG, "NOT YET", "Mind the brackets."),
    "syntax": ("def normalise(x)\n    return x", "NOT YET", "not Python"),
    "raises": ("raise ValueError('no')\n" + RIGHT, "NOT YET", "raised ValueError"),
    "exits": ("import sys\nsys.exit()\n" + RIGHT, "NOT YET", "ends Python"),
    "leaves": ("import os\nos._exit(0)", "NOT YET", "ended the process itself"),
    "leaves late": ("import os\ndef normalise(x):\n    os._exit(0)", "NOT YET", "ended the process itself"),
    "segfault": ("import ctypes\nctypes.string_at(0)", "NOT YET", "SIGSEGV"),
    "endless": ("while True:\n    pass", "NOT YET", "did not end"),
    "endless call": ("def normalise(x):\n    while True:\n        pass", "NOT YET", "did not end"),
    "memory": ("def normalise(x):\n    return bytearray(64 << 30)", "NOT YET", "MemoryError"),
    "another name": ("def normalize(x):\n    return x", "NOT YET", "normalise is not there"),
    "redefined check": (
        f"def check(*_, **__):\n    print({SAID!r})\nor_reference = run_check = check\n{WRONG}",
        "NOT YET",
        "Mind the brackets.",
    ),
    "printed": (f"print({SAID!r})\n{WRONG}", "NOT YET", "Mind the brackets."),
    "patched engine": (
        "from coursekit.checks import engine\nengine.run_check = lambda *_, **__: ('PASS', '')\n" + WRONG,
        "REFUSED",
        "coursekit.checks.engine.run_check",
    ),
    "patched class": (
        "from coursekit.checks.exercise import Exercise\nExercise.test = lambda *_, **__: None\n" + WRONG,
        "REFUSED",
        "Exercise.test",
    ),
    "patched code": (
        "from coursekit.checks import engine\n"
        "engine.run_check.__code__ = (lambda found, answer, given, written=None, tries=0: ('PASS', '')).__code__\n"
        + WRONG,
        "REFUSED",
        "coursekit.checks.engine.run_check",
    ),
    "patched late": (
        "def normalise(x):\n    import sys\n"
        "    sys.modules['coursekit.checks.exercise'].difference = lambda *_, **__: ''\n    return x",
        "REFUSED",
        "difference",
    ),
    "patched numpy": (
        "def normalise(x):\n    import numpy\n    numpy.isclose = lambda a, b, **_: numpy.ones(numpy.shape(a), bool)\n"
        "    return x",
        "REFUSED",
        "numpy.isclose",
    ),
    "forged report": (EVERYWHERE + "write()\nos._exit(0)", "REFUSED", "not signed"),
    "forged report late": (EVERYWHERE + "def normalise(x):\n    write()\n    return x", "REFUSED", "something else"),
    "forged failure": (
        EVERYWHERE.replace(FORGED, 'b"failed kernel broken\\n"') + "write()\nos._exit(0)",
        "REFUSED",
        "something else",
    ),
    "threads": ("import os\nraise ValueError(os.environ['OMP_NUM_THREADS'])", "NOT YET", "raised ValueError: 4"),
    "reference": ('normalise = or_reference("1.2", None)', "TODO", ""),
    "engine's reference": (
        "from coursekit.checks import engine\nnormalise = engine.or_reference('1.2', ...)",
        "TODO",
        "",
    ),
    "found reference": (
        "from coursekit.checks.exercise import find\nnormalise = find('1.2').answers[0]",
        "REFUSED",
        "the reference answer itself",
    ),
    "reference in a function": (
        "from coursekit.checks.exercise import find\nnormalise = lambda x: find('1.2').answers[0](x)",
        "REFUSED",
        "the reference answer itself",
    ),
    "reference in parts": (
        "from functools import partial\nfrom coursekit.checks.exercise import find\n"
        "normalise = partial(find('1.2').answers[0])",
        "REFUSED",
        "the reference answer itself",
    ),
    "reference copied": (  # a right answer, and the cell is named
        "import inspect\nfrom coursekit.checks.exercise import find\n"
        "text = inspect.getsource(find('1.2').answers[0])\nexec(text[text.index('def '):])",
        "PASS",
        "",
    ),
    "patched exercise": (
        "import gc\nfrom coursekit.checks.exercise import Exercise\n"
        f"{WRONG}\nfor one in gc.get_objects():\n    if isinstance(one, Exercise):\n"
        "        object.__setattr__(one, 'answers', (normalise,))",
        "REFUSED",
        "answers of exercise 1.",
    ),
    "large tolerance": (
        f"from coursekit.checks.exercise import find\nfind('1.2').tolerance['atol'] = 1e9\n{WRONG}",
        "REFUSED",
        "tolerance of exercise 1.2",
    ),
    "known beforehand": (
        "import sys\ninside = sys.modules['coursekit.checks.exercise']\nfound = inside.find('1.2')\n"
        f"{WRONG}\ninside._outcomes_of['1.2', found.answers] = found.outcomes((normalise,))",
        "NOT YET",
        "Mind the brackets.",
    ),
    "traced": (
        "import sys\ndef spy(frame, event, _):\n    if frame.f_code.co_name == 'first_difference':\n"
        "        frame.f_locals['got'][:] = frame.f_locals['right']\n"
        f"sys.settrace(spy)\nsys.setprofile(spy)\n{WRONG}",
        "NOT YET",
        "Mind the brackets.",
    ),
    "patched import": (
        f"import builtins\nreal = builtins.__import__\nbuiltins.__import__ = lambda *a, **k: real(*a, **k)\n{WRONG}",
        "REFUSED",
        "builtins.__import__",
    ),
    "forged at the end": (
        f"{EVERYWHERE}import atexit\natexit.register(write)\n{WRONG}",
        "NOT YET",
        "Mind the brackets.",
    ),
    "keeps progress": (
        "import os\nfrom pathlib import Path\nfrom coursekit import setup\nfrom coursekit.checks import engine\n"
        "setup('01')\nengine.check('1.2', lambda x: (x - x.mean()) / x.std())\n"
        "raise ValueError(f'{sorted(p.name for p in Path().rglob(\"progress*\"))}')",
        "NOT YET",
        "raised ValueError: []",
    ),
    "patient": (  # it swallows what ends it
        "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass",
        "NOT YET",
        "did not end",
    ),
    "always equal": (
        "class Yes:\n    __eq__ = lambda self, other: True\n    __array__ = None\ndef normalise(x):\n    return Yes()",
        "NOT YET",
        "array of numbers",
    ),
    "learnt by heart": (
        "import numpy as np\n"
        "known = np.random.default_rng(3).normal(5, 2, 9)\nresult = (known - known.mean()) / known.std()\n"
        "def normalise(x):\n    return result.copy()",
        "NOT YET",
        "not with others",
    ),
    "another report": (signing(json.dumps(VALID | {"verdict": "X"})), "REFUSED", "no check writes"),
    "half a report": (signing(json.dumps(VALID | {"remarks": None})), "REFUSED", "no check writes"),
    "more than a report": (signing(json.dumps(VALID | {"points": 9})), "REFUSED", "no check writes"),
    "no report": (signing("PASS"), "REFUSED", "no check writes"),
    "patched encoder": (f"import json\njson.JSONEncoder.encode = {ENCODED}\n{WRONG}", "REFUSED", "JSONEncoder.encode"),
    "patched default": (
        f"import json\njson._default_encoder.encode = {ENCODED}\n{WRONG}",
        "REFUSED",
        "_default_encoder",
    ),
    "half a letter": ("raise ValueError('\\udcff')", "NOT YET", "raised ValueError"),
    "continued lines": (CONTINUED + RIGHT, "PASS", ""),
    "magics": (f"%%time\n{CONTINUED}{MAGICS}{RIGHT}", "PASS", ""),
    "below a magic": (f"%matplotlib inline\nimport ctypes\n{RIGHT}", "PASS", ""),
    "own helper": ("# needs the cell above\ndef normalise(x):\n    return centred(x) / x.std()", "PASS", ""),
    "constant of the lesson": ("def normalise(x):\n    return (x - x.mean()) / x.std() / (2 * rate)", "PASS", ""),
}


#: What stands in a cell of a notebook that is none.
DAMAGED = {
    "damaged source": {"source": 5},
    "damaged metadata": {"metadata": None},
    "damaged output": {"outputs": [{"output_type": "stream", "name": "stdout", "text": 5}]},
    "much code": {"source": "a = 1\n" * 100_000},
}


def drawn(clone):
    """Give the second exercise of the small lesson cases that are drawn."""
    toy.edit(clone, "cases=lambda: [(np.arange(3.0),)],\n    returns=(", DRAWN, "exercises.py")
    return clone


def lay_out_another(lesson):
    """Write the small lesson once more, as one that cannot be judged here: it imports what is not there."""
    shutil.copytree(lesson, other := lesson.with_name("02_other"))
    for path in other.iterdir():
        text = re.sub(r"\b1\.(?=[12]\b)", "2.", path.read_text(encoding="utf-8")).replace('setup("01")', 'setup("02")')
        path.write_text(text.replace("import numpy as np\n\n", "import nowhere\n\n"), encoding="utf-8")


def notebook(clone, answer=None, solved=True):
    """Return the solution, or the exercises, with what somebody wrote as the answer to 1.2."""
    make = authoring.solution_notebook if solved else authoring.exercise_notebook
    made = copy.deepcopy(make(toy.lesson(clone), authoring.course_settings(clone)))
    if answer is not None:
        cell(made, "exercise", "ex-1.2").source = answer
    return made


def cell(made, *tags):
    return next(one for one in made.cells if set(tags) <= set(one.metadata.get("tags", [])))


def put_before(made, source, *tags):
    made.cells.insert(made.cells.index(cell(made, *tags)), new_code_cell(source))


def write(made, folder, name):
    path = folder / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(nbformat.writes(made), encoding="utf-8")


def write_class(clone, folder):
    """Write a submission for each of `ANSWERS`, and those that differ in something else."""
    for name, (answer, _, _) in ANSWERS.items():
        made = notebook(clone, answer)
        if name == "own helper":
            put_before(made, "def centred(x):\n    return x - x.mean()", "exercise", "ex-1.2")
        write(made, folder, name)
    write(notebook(clone, solved=False), folder, "untouched")
    half = notebook(clone, solved=False)
    cell(half, "exercise", "ex-1.1").source = "mean, std = x.mean(), x.var()"
    write(half, folder, "half")
    early = notebook(clone)
    put_before(early, "raise RuntimeError", "exercise", "ex-1.1")
    put_before(early, "while True:\n    pass", "exercise", "ex-1.1")  # nothing needs it
    put_before(early, "deep = a" + ".a" * 600, "exercise", "ex-1.1")
    put_before(early, "from coursekit.checks import engine\nengine.check = print", "exercise", "ex-1.1")
    write(early, folder, "early cells")
    numbers = notebook(clone)
    cell(numbers, "exercise", "ex-1.1").source = "mean = 2.5\nstd = 1.118033988749895"
    write(numbers, folder, "numbers")
    borrowed = notebook(clone)
    cell(
        borrowed, "exercise", "ex-1.1"
    ).source = "from coursekit.checks.exercise import find\nmean, std = find('1.1').answers[0](x=x)"
    write(borrowed, folder, "reference values")
    shown = notebook(clone, WRONG)
    cell(shown, "check", "ex-1.2").outputs = [new_output("stream", name="stdout", text=SAID)]
    told = f"   1.2  [PASS]    tries 7  a column normalised\n   1.1  [PASS]    tries {'1' * 5000}  mean\n"
    shown.cells.append(new_code_cell("progress()", outputs=[new_output("stream", name="stdout", text=told)]))
    write(shown, folder, "forged output")
    missing = notebook(clone)
    missing.cells.remove(cell(missing, "exercise", "ex-1.2"))
    write(missing, folder, "missing")
    twice = notebook(clone)
    again = copy.deepcopy(cell(twice, "exercise", "ex-1.2"))
    again.update(source=WRONG, id="again")
    twice.cells.insert(twice.cells.index(cell(twice, "check", "ex-1.2")), again)
    write(twice, folder, "twice")
    for name in ("scratch", "below"):  # a wrong copy below the check, and the answer itself
        made = notebook(clone)
        again = copy.deepcopy(cell(made, "exercise", "ex-1.2"))
        again.update(source=again.source if name == "below" else WRONG, id="again")
        made.cells.insert(made.cells.index(cell(made, "check", "ex-1.2")) + 1, again)
        if name == "below":
            made.cells.remove(cell(made, "exercise", "ex-1.2"))
        write(made, folder, name)
    bare = notebook(clone)
    for at, one in enumerate(bare.cells):
        if "exercise" in one.metadata.pop("tags", []):
            one.source = f"%matplotlib inline\n{one.source}"
        one.id = f"cell{at}"
    write(bare, folder, "without tags")
    for name, damage in DAMAGED.items():
        cells = json.loads(nbformat.writes(notebook(clone)))
        next(one for one in cells["cells"] if "ex-1.2" in one["metadata"].get("tags", [])).update(damage)
        (folder / f"{name}.ipynb").write_text(json.dumps(cells), encoding="utf-8")
    write(notebook(clone), folder, "M\udcfcller")  # as of an archive that another system has packed
    other = json.loads(nbformat.writes(notebook(clone)).replace("1.1", "2.1").replace("1.2", "2.2"))
    (folder / "another lesson.ipynb").write_text(json.dumps(other), encoding="utf-8")
    (folder / "no notebook.ipynb").write_text("hello", encoding="utf-8")
    (folder / "empty.ipynb").write_text("", encoding="utf-8")
    (folder / "list.ipynb").write_text(json.dumps([1, 2]), encoding="utf-8")
    (folder / "without files").mkdir()
    (folder / "link.ipynb").symlink_to(folder / "right.ipynb")
    other = nbformat.v4.new_notebook(cells=[new_code_cell("1 + 1")])
    write(other, folder, "another course")
    for name in ("a", "b"):
        write(notebook(clone), folder / "two", name)
    write(notebook(clone), folder / "in a folder", "any name")
