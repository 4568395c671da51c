"""Study files: YAML, includes, and errors that name the line."""

import pytest

from coursekit.study.reading import StudyError, read_study

STUDY = "job: {name: first}\ninput:\n  signals: {hww: {files: [flavour.root, sub/hww.root]}}\n  features: [pt]\n"


@pytest.fixture
def write(tmp_path):
    def write(text, name="study.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def refused(path):
    with pytest.raises(StudyError) as caught:
        read_study(path)
    return [line.replace(f"{path.parent}/", "") for line in caught.value.lines]


def test_files_are_found_beside_the_study_and_in_the_catalogue(write, tmp_path):
    resolved = read_study(write(STUDY))
    assert resolved.study.input.signals["hww"].files == ("flavour.root", str(tmp_path / "sub/hww.root"))
    write(b"", "flavour.root")
    assert read_study(tmp_path / "study.yaml").study.input.signals["hww"].files[0] == str(tmp_path / "flavour.root")


def test_a_network_of_ones_own_is_found_beside_the_file_that_names_it(tmp_path):
    (tmp_path / "nets.py").write_text("def mine(n_inputs, n_outputs): ...\n", encoding="utf-8")
    text = "job: {name: own}\ninput: {features: [a]}\ntrain: {network: 'nets:mine'}\n"
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    assert read_study(tmp_path / "own.yaml").study.train.network == f"{tmp_path / 'nets.py'}:mine"
