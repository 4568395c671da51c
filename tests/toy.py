"""A course with one small lesson, for the tests of what builds lessons; the fixture `clone` lays it out in a folder."""

from coursekit import authoring, building

TOY = """\
# %% [markdown]
# # 1 · Toy
# <!-- badges -->
#
# **Time:** 5 minutes

# %% tags=["setup"]
import numpy as np

from coursekit import check, figure, or_reference, setup, show

WORK = setup("01")

# %% tags=["parameters"]
quick: bool = True
seed: int = 1
rate: float = 0.5
name: str = "toy"

# %%
x = np.arange(1.0, 5.0) * (1 if quick else 10)
show("settings", (quick, seed, rate, name))

# %% tags=["exercise", "ex-1.1"]
mean = ...
std = ...

# %% tags=["check", "ex-1.1"]
check("1.1", mean, std, x=x)
mean, std = or_reference("1.1", mean, std, x=x)

# %% tags=["solution"]
show("only in the solution", mean, 3)

# %% tags=["exercise", "ex-1.2"]
def normalise(x):
    ...

# %% tags=["check", "ex-1.2"]
check("1.2", normalise)

# %%
with figure("line") as ax:
    ax.plot(x)
"""

EXERCISES = """\
from coursekit.checks import exercise
import numpy as np


@exercise(
    "1.1",
    "mean and spread",
    cases=lambda: [{"x": np.arange(3.0)}],
    returns=("the mean", "the standard deviation"),
    hints=("An array knows both.",),
    mistakes={"This is the variance.": lambda *, x: (x.mean(), x.var())},
)
def mean_and_std(*, x):
    # both at once
    mean = x.mean()
    std = x.std()
    return mean, std


@exercise(
    "1.2",
    "a column normalised",
    cases=lambda: [(np.arange(3.0),)],
    returns=("the column",),
    hints=("Subtract, divide.",),
    mistakes={"Mind the brackets.": lambda x: x - x.mean() / x.std()},
)
def normalise(x):
    \'\'\'Only in the package.\'\'\'
    # first the mean
    centred = x - x.mean()

    return centred / x.std()
"""

FIGURES = 'line = """\nA rising line\nthrough four points.\n"""\n'

README = "# Toy\n<!-- lessons: written by `coursekit build` -->\n<!-- end of lessons -->\nend\n"
COURSE = 'title = "Toy"\nrepository = "https://github.com/some-group/some-course"\ntag = "v1"\n'


def edit(clone, old, new, file="lesson.py"):
    path = clone / "lessons" / "01_toy" / file
    assert old in path.read_text(encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def lesson(clone):
    return authoring.read_lesson(clone / "lessons" / "01_toy" / "lesson.py")


def build(clone, **kwargs):
    return building.build(authoring.select(clone), clone, **kwargs)


def sources(notebook):
    return [cell.source for cell in notebook.cells]
