"""The end of a sentence about a name that does not exist."""

import pytest

from coursekit.words import listed, near


@pytest.mark.parametrize(
    ("name", "known", "end"),
    [
        ("ptl", ["mth", "ptll"], " did you mean 'ptll'?"),
        ("PTLL", ["mth", "ptll"], " did you mean 'ptll'?"),
        ("Events", ["events", "event"], " did you mean 'events'?"),
        ("ptl", (name for name in ["mth", "ptll"]), " did you mean 'ptll'?"),
        ("zzz", ["mth", "ptll"], ""),
        ("", ["mth"], ""),
        ("mth", [], ""),
    ],
)
def test_the_closest_name_is_offered(name, known, end):
    assert near(name, known) == end


def test_many_names_are_not_all_listed():
    assert listed(f"x{i}" for i in range(12)).endswith("x10, x11")
    assert listed(f"x{i}" for i in range(15)).endswith("x10, x11 and 3 more")
    assert listed(["a", "b", "a"]) == "a, b"
