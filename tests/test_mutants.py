"""What mutants of the answers tell, ``lessons/*/mutants.json``, and the command that writes it."""

import json

import pytest

from coursekit.checks import tables
from coursekit.checks.origins import origins
from tests.conftest import LESSONS


def kept(lesson):
    return json.loads((lesson / tables.FILE).read_text(encoding="utf-8"))


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_each_table_is_made_from_its_exercise_as_it_is(lesson):
    now = {number: origin.digest for number, origin in origins(lesson / "exercises.py").items()}
    made_from = {number: entry["made_from"] for number, entry in kept(lesson).items()}
    assert made_from == now, "run `coursekit build --mutants`"
    assert (lesson / tables.FILE).stat().st_size <= 80_000
