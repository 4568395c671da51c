"""`coursekit export`: from a saved network and its prepared sample to ONNX, C++ and lwtnn."""

import os
import zipfile

import numpy as np
import pytest
from typer.testing import CliRunner

from coursekit.cli import app
from coursekit.prepared import PreparedSample
from tests.ntuples import RECIPE, ntuple

onnxruntime = pytest.importorskip("onnxruntime", exc_type=ImportError)
keras = pytest.importorskip("keras", exc_type=ImportError)
sofie = pytest.importorskip("sofie", reason="sofie exists for Linux", exc_type=ImportError)

from coursekit.export import LwtnnNetwork, describe  # noqa: E402
from coursekit.nets.keras_nets import build_dense  # noqa: E402

# Keras 3.13 saves TensorFlow's variables in a way that NumPy 2 wants changed.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def run(*arguments):
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def refusal(*arguments):
    done = run(*arguments)
    assert done.exit_code == 1, done.output
    assert not done.stdout
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    PreparedSample.make(ntuple(folder / "flavour.root"), RECIPE).save(folder / "flavour.h5")
    return folder / "flavour.h5"


@pytest.fixture(scope="module")
def network(sample):
    keras.utils.set_random_seed(1)
    path = sample.parent / "tagger.keras"
    build_dense(5, (8, 6), n_classes=3).save(path)  # three inputs and two checks
    return path


@pytest.fixture(scope="module")
def onnx(network, sample):
    path = sample.parent / "tagger.onnx"
    assert run(network, "--prepared", sample, "--onnx", path).stdout == f"{path}\n"
    return path


def test_all_formats_at_once_and_all_give_the_same(network, sample, tmp_path):
    onnx, cpp, lwtnn = (tmp_path / name for name in ("tägger 1.onnx", "c p p", "tagger.json"))
    done = run(network, "--prepared", sample, "--onnx", onnx, "--cpp", cpp, "--lwtnn", lwtnn)
    assert done.exit_code == 0, done.output
    compile_it = f"compile it: cd '{cpp}' && g++ -O2 -std=c++17 main.cpp -o classify -lopenblas"
    assert done.stdout.splitlines() == [str(onnx), str(cpp), str(lwtnn), compile_it]
    about = describe(onnx)
    assert [row["name"] for row in about["inputs"]] == list(RECIPE.inputs)
    assert about["classes"] == ["light", "c", "b"]
    assert about["settings"] == {"network": "tagger.keras", "ntuple": "flavour.root"}
    content = PreparedSample.load(sample, parts=["test"])
    jets = content["test"].inputs
    expected = np.asarray(keras.saving.load_model(network)(content.scaler.transform(jets)))
    got = onnxruntime.InferenceSession(onnx).run(None, {"x": jets})[0]
    assert np.abs(got - expected).max() < 1e-6
    other = LwtnnNetwork.load(lwtnn)
    assert other.outputs == ("light", "c", "b")
    names, *rows = (cpp / "reference_jets.txt").read_text(encoding="utf-8").splitlines()
    reference = np.array([row.split() for row in rows], dtype=np.float32)
    probabilities = (cpp / "reference_probabilities.txt").read_text(encoding="utf-8").splitlines()[1:]
    found = onnxruntime.InferenceSession(onnx).run(None, {"x": reference})[0]
    assert names.split() == list(RECIPE.inputs)
    assert np.array_equal(found, np.array([row.split() for row in probabilities], dtype=np.float32))


def test_cpp_alone_leaves_no_onnx_file_and_is_that_of_the_onnx_file(network, sample, onnx, tmp_path):
    assert run(network, "--prepared", sample, "--cpp", tmp_path / "one").exit_code == 0
    assert run(onnx, "--cpp", tmp_path / "other").exit_code == 0
    assert sorted(os.listdir(tmp_path)) == ["one", "other"]
    for name in os.listdir(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes(), name


def test_what_is_asked_for_must_make_sense(network, sample, onnx, tmp_path):
    assert "nothing is to be written: name a file with --onnx" in refusal(network, "--prepared", sample)
    assert "tagger.keras says nothing of inputs" in refusal(network, "--onnx", tmp_path / "a.onnx")
    assert "for --lwtnn name the Keras network" in refusal(onnx, "--lwtnn", tmp_path / "a.json")
    assert "leave out --prepared" in refusal(onnx, "--prepared", sample, "--cpp", tmp_path / "cpp")
    assert "is neither a network of Keras (.keras) nor" in refusal(sample, "--cpp", tmp_path / "cpp")
    assert "none.keras does not exist" in refusal(tmp_path / "none.keras", "--cpp", tmp_path / "cpp")
    assert "is a folder" in refusal(tmp_path, "--cpp", tmp_path / "cpp")
    assert os.listdir(tmp_path) == []


def test_nothing_is_written_over_what_is_read_or_over_one_another(network, sample, onnx, tmp_path, monkeypatch):
    before = {path.name: path.read_bytes() for path in sample.parent.iterdir() if path.is_file()}
    monkeypatch.chdir(sample.parent)
    of_keras = (network, "--prepared", sample)
    assert "--onnx flavour.h5 would be written over what is read" in refusal(*of_keras, "--onnx", "flavour.h5")
    assert "over what is read: choose another name" in refusal(
        *of_keras, "--lwtnn", f"../{sample.parent.name}/tagger.keras"
    )
    assert "over the variables file of" in refusal(*of_keras, "--lwtnn", "flavour.json")
    assert "over what --onnx writes" in refusal(*of_keras, "--onnx", tmp_path / "a", "--lwtnn", tmp_path / "a")
    assert "--cpp tagger.onnx would be written over what is read" in refusal(onnx, "--cpp", "tagger.onnx")
    assert {path.name: path.read_bytes() for path in sample.parent.iterdir() if path.is_file()} == before
    assert os.listdir(tmp_path) == []


def test_files_that_are_damaged_or_of_something_else(network, sample, tmp_path):
    bad, here = tmp_path / "bad.keras", ("--prepared", sample, "--onnx", tmp_path / "a.onnx")
    bad.write_bytes(network.read_bytes()[:1000])
    assert "bad.keras cannot be read as a network of Keras: it is none, or was cut off" in refusal(bad, *here)
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("config.json", "{")
    assert "save it with model.save, all of it" in refusal(bad, *here)
    build_dense(4, (8,), n_classes=3).save(bad)
    assert "the network takes 4 inputs, but" in refusal(bad, *here)
    assert os.listdir(tmp_path) == ["bad.keras"]
    (tmp_path / "bad.onnx").write_bytes(b"\x08")
    assert "bad.onnx is not an ONNX file, or damaged" in refusal(tmp_path / "bad.onnx", "--cpp", tmp_path / "cpp")
    assert sorted(os.listdir(tmp_path)) == ["bad.keras", "bad.onnx"]
