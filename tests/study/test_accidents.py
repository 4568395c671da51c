"""What happens to a file in an editor: it is read, or refused with its line, and nothing else."""

import random
import re

import pytest

from coursekit.study.reading import StudyError, read_study
from coursekit.study.writing import show
from tests.study.test_reading import STUDY, write

__all__ = ["write"]

WORDS = [
    "yes",
    "null",
    "[]",
    "{}",
    "-1",
    "1e999",
    "'5'",
    "[a, a]",
    "{a: {b: [1]}}",
    "!!set {}",
    "*x",
    "&x 3",
    "5.0",
    "💥",
]


def mutated(lines, rng):
    """One of the usual accidents of an editor, or two."""
    lines = list(lines)
    for _ in range(rng.choice([1, 1, 2])):
        i = rng.randrange(len(lines))
        line, words = lines[i], [(m.start(), m.group()) for m in re.finditer(r"\w+", lines[i])]
        at, key = rng.choice(words or [(0, "")])
        before, behind, j = line[:at], line[at + len(key) :], rng.randrange(len(key) or 1)
        other = rng.choice([key[:j] + key[j + 1 :], key.upper(), key[:j] + "x" + key[j:], "<<", "epochs", *WORDS])
        lines[i : i + 1] = rng.choice([
            [],
            [line, rng.choice(lines)],
            [line.split(":", 1)[0] + ": " + rng.choice(WORDS)],
            [before + other + behind],
            [rng.choice([" ", "  ", "\t"]) + line],
            [line[1:]],
            [before + rng.choice("{}[]:,#&*!|>'\"%@`-? ") + key[1:] + behind],
        ])  # fmt: skip
        lines = lines or ["x"]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("seed", range(8))
def test_a_file_with_accidents_is_read_or_refused_with_its_line(write, tmp_path, seed):
    rng = random.Random(seed)
    lines = show(read_study(write(STUDY))).replace(str(tmp_path), "").splitlines() if seed % 2 else STUDY.splitlines()
    for _ in range(25):
        path = write(mutated(lines, rng))
        try:
            resolved = read_study(path)
        except StudyError as error:
            for line in error.lines:
                assert re.fullmatch(rf"{re.escape(str(path))}:\d+: [^\n]+", line), line
        else:
            back = read_study(write(show(resolved), "back.yaml"))
            assert back.study == resolved.study
