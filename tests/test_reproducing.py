"""What counts as the same output."""

import nbformat
import pytest

from coursekit import reproducing


def test_where_a_kernel_cuts_its_output_does_not_matter():
    def stream(text, name="stdout"):
        return nbformat.v4.new_output("stream", name=name, text=text)

    picture = nbformat.v4.new_output("display_data", {"text/plain": "A line."})
    pieces = [stream("a\n"), stream("b\n"), picture, stream("c"), stream("d", "stderr"), stream("e")]
    assert reproducing.joined(pieces) == [stream("a\nb\n"), picture, stream("c"), stream("d", "stderr"), stream("e")]


@pytest.mark.parametrize(
    ("committed", "fresh", "same"),
    [
        ("6.45 ± 0.25", "6.42 ± 0.25", True),
        ("6.45 ± 0.25", "6.70 ± 0.37", True),
        ("6.45 ± 0.25", "6.71 ± 0.25", False),
        ("6.45 ± 0.25", "6.45 ± 0.50", True),
        ("6.45 ± 0.25", "6.45 ± 0.51", False),
        ("6.45 ± 0.25", "6.45 ± 0.12", False),
        ("0.950 ± 0.001", "0.951 ± 0.002", True),
        ("−0.01 ± 0.02", "+0.01 ± 0.02", True),
        ("1,205 ± 65", "1,150 ± 60", True),
        ("a 1 ± 1, b 2 ± 1", "a 1 ± 1, c 2 ± 1", False),
        ("1 ± 1", "1 ± 1, 2 ± 1", False),
        ("60", "61", False),
        ("about 21, give or take 8", "about 29, give or take 8", True),
        ("about 21, give or take 8", "about 30, give or take 8", False),
        ("about 21, give or take 8", "about 22, give or take 9", True),
        ("about 21, give or take 8", "22", False),
        ("trees   112 ± 17\nboth   1005 ± 449", "trees  112 ± 17\nboth   985 ± 449", True),  # a table, narrower
        ("trees   112 ± 17", "trees112 ± 17", False),
        ("trees   112 ± 17\n", "trees   112 ± 17", False),
    ],
)
def test_a_value_reproduces_within_its_error_and_all_else_exactly(committed, fresh, same):
    assert (reproducing.reproduced(committed, fresh) == committed) == same
    # as nbval has it, and in a table
    old, new = ([{"data": {"text/html": f"<td>{text}</td>"}}] for text in (committed, fresh))
    assert (reproducing.reproduced(old, new) == old) == same
    assert len(reproducing.reproduced(old, [*new, {"text": "more"}])) == 2


def test_pictures_are_compared_by_their_alt_text(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", id="a")])
    paths = []
    for index, (picture, alt) in enumerate([("AAAA", "A line."), ("BBBB", "A line."), ("AAAA", "A curve.")]):
        data = {"image/png": picture, "text/plain": alt}
        notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data)]
        paths.append(tmp_path / f"{index}.ipynb")
        nbformat.write(notebook, paths[-1])
    assert reproducing.differences(paths[0], paths[1]) == []
    assert any("A curve" in line for line in reproducing.differences(paths[0], paths[2]))
    assert reproducing.differences(tmp_path / "none.ipynb", paths[0]) == [f"{tmp_path / 'none.ipynb'} does not exist"]
