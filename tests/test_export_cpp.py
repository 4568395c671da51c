"""C++ made of a network gives what ONNX Runtime gives, columns in any order, and says what is wrong with a file."""

import importlib.util
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("onnx", exc_type=ImportError)
onnxruntime = pytest.importorskip("onnxruntime", exc_type=ImportError)
if importlib.util.find_spec("sofie") is None:
    pytest.skip("sofie is not installed; it exists for Linux", allow_module_level=True)

from coursekit.export import compile_cpp, cpp, export_cpp  # noqa: E402
from tests.taggers import CLASSES, DEFAULTS, INPUTS, needs_compiler, raw_jets, write_model  # noqa: E402


def write_jets(path, names, rows):
    path.write_text("\n".join([" ".join(names), *(" ".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return path


def run(program, *files):
    return subprocess.run([program, *files], capture_output=True, encoding="utf-8")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "tagger.onnx")


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    return export_cpp(model, tmp_path_factory.mktemp("cpp") / "tagger")


@pytest.fixture(scope="module")
def program(folder):
    return compile_cpp(folder)


def expected(model, jets):
    return onnxruntime.InferenceSession(model).run(None, {"x": jets})[0]


# --- what the program gives -------------------------------------------------------------------------------------------


@needs_compiler
def test_thousand_jets_are_as_in_onnx_runtime_whatever_the_order_of_the_columns(model, program, tmp_path):
    jets = raw_jets(1000, 7)
    assert all((jets[:, INPUTS.index(name)] == np.float32(value)).sum() > 200 for name, value in DEFAULTS.items())
    order = [4, 2, 5, 0, 3, 1]
    rows = [[*(row[i] for i in order), "b-jet"] for row in jets]  # a column that no input needs
    done = run(program, write_jets(tmp_path / "jets.txt", [*(INPUTS[i] for i in order), "comment"], rows))
    assert (done.returncode, done.stderr) == (0, "")
    names, *lines = done.stdout.splitlines()
    assert names.split() == CLASSES
    got = np.array([line.split() for line in lines], dtype=np.float32)
    assert np.abs(got - expected(model, jets)).max() < 1e-6
    single = np.concatenate([expected(model, jet[None]) for jet in jets[:50]])
    assert np.abs(got[:50] - single).max() < 1e-6
    assert np.std(got, axis=0).min() > 0.02  # and not the same for all jets
    in_order = run(program, write_jets(tmp_path / "in_order.txt", INPUTS, jets))
    assert in_order.stdout == done.stdout


@needs_compiler
def test_a_default_counts_as_one_only_to_the_last_digit(model, program, tmp_path):
    jets = raw_jets(3, 1)
    column = INPUTS.index("sv_significance")
    jets[:, column] = np.nextafter(np.float32(-99.9), [-np.inf, 0, np.inf], dtype=np.float32)
    jets[1, column] = -99.9
    jets[:] = np.where(np.arange(6) == column, jets, jets[0])
    done = run(program, write_jets(tmp_path / "jets.txt", INPUTS, jets))
    got = np.array([line.split() for line in done.stdout.splitlines()[1:]], dtype=np.float32)
    assert np.abs(got - expected(model, jets)).max() < 1e-6
    assert np.abs(got[1] - got[[0, 2]]).max() > 1e-3


@needs_compiler
def test_a_jet_alone_and_no_jet_at_all(program, tmp_path):
    jets = raw_jets(3, 5)
    together = run(program, write_jets(tmp_path / "jets.txt", INPUTS, jets)).stdout.splitlines()
    for i, jet in enumerate(jets):
        alone = run(program, write_jets(tmp_path / "one.txt", INPUTS, [jet])).stdout.splitlines()
        assert alone == [together[0], together[i + 1]]
    assert run(program, write_jets(tmp_path / "none.txt", INPUTS, [])).stdout == "light c b\n"


@needs_compiler
def test_it_compares_with_probabilities_in_a_file(folder, program, tmp_path):
    files = [folder / "reference_jets.txt", folder / "reference_probabilities.txt"]
    done = run(program, *files)
    assert done.returncode == 0
    assert done.stdout.startswith("100 jets, largest difference ")
    assert float(done.stdout.split()[-1]) < 1e-6
    lines = files[1].read_text(encoding="utf-8").splitlines()
    swapped = tmp_path / "swapped.txt"
    swapped.write_text("\n".join(["c light b", *lines[1:]]), encoding="utf-8")  # by name, too
    done = run(program, files[0], swapped)
    assert done.returncode == 1
    assert "jets differ by more than 1e-05, jet " in done.stdout
    lines[5] = "nan 0.5 0.5"
    swapped.write_text("\n".join(lines), encoding="utf-8")
    assert "line 6, column light: nan is not finite" in run(program, files[0], swapped).stderr
    swapped.write_text("\n".join(lines[:5]), encoding="utf-8")
    assert run(program, files[0], swapped).stderr == "Error: 100 jets, but the probabilities of 4\n"


GOOD = " ".join(INPUTS) + "\n1 2 3 4 5 6\n"


@needs_compiler
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "pt ip3d_llr sv_mass jf_mass\n1 2 3 4\n",
            "line 1: there is no column abs_eta, sv_significance; the columns are ",
        ),
        (GOOD.replace("jf_mass", "jf_mass pt"), "line 1: two columns are called pt"),
        (GOOD + "1 2 3 4 5\n", "line 3: 5 values, but 6 columns"),
        (GOOD + "1 2 3 4 5 6 7\n", "line 3: 7 values, but 6 columns"),
        (GOOD + "\n" + GOOD, "line 3: 0 values, but 6 columns"),
        (GOOD + "1 2 3 4,5 5 6\n", "line 3, column sv_mass: 4,5 is no number"),
        (GOOD + "1 2 3 4 5 -\n", "line 3, column jf_mass: - is no number"),
        (GOOD + "1 nan 3 4 5 6\n", "line 3, column abs_eta: nan is not finite"),
        (GOOD + "1 2 -inf 4 5 6\n", "line 3, column ip3d_llr: -inf is not finite"),
        (GOOD + "1e39 2 3 4 5 6\n", "line 3, column pt: 1e39 is not finite, or too large for a float"),
        ("", "cannot be read, or is empty"),
    ],
)
def test_a_text_file_that_is_wrong_is_named_with_line_and_column(program, tmp_path, text, message):
    path = tmp_path / "jets.txt"
    path.write_text(text, encoding="utf-8")
    done = run(program, path)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{path}{'' if message.startswith('cannot') else ','} {message}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@needs_compiler
def test_files_that_are_not_there(folder, program, tmp_path):
    assert "cannot be read" in run(program, tmp_path / "none.txt").stderr
    assert (run(program).returncode, run(program, "1", "2", "3").returncode) == (2, 2)
    alone = shutil.copy(program, tmp_path / "alone")  # without the weights
    done = run(alone, folder / "reference_jets.txt")
    assert (done.returncode, "model.dat" in done.stderr) == (1, True)


THREADS = """
#include "one/network.hxx"
#include "two/network.hxx"
#include <thread>

const std::size_t n = 200;
using Values = std::vector<float>;

template <class Session>
void classify(const char *weights, const Values *jets, Values *found)
{
   Session session(weights, 1);
   for (std::size_t repeat = 0; repeat < 20; ++repeat)
      for (std::size_t i = 0; i < n; ++i) {
         const auto jet = session.infer(1, jets->data() + 6 * i);
         std::copy(jet.begin(), jet.end(), found->begin() + 3 * i);
      }
}

int main()
{
   Values jets(6 * n), alone(3 * n), first(3 * n), second(3 * n), other(3 * n);
   for (std::size_t i = 0; i < jets.size(); ++i)
      jets[i] = 10 * std::sin(1.7f * i);
   classify<tagger_network::Session>("one/model.dat", &jets, &alone);
   std::thread one(classify<tagger_network::Session>, "one/model.dat", &jets, &first);
   std::thread two(classify<tagger_network::Session>, "one/model.dat", &jets, &second);
   std::thread three(classify<n2024_new_network::Session>, "two/model.dat", &jets, &other);
   one.join();
   two.join();
   three.join();
   return first != alone || second != alone || other == alone;
}
"""


@needs_compiler
def test_two_networks_and_threads_with_a_session_each_do_not_disturb_one_another(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "one")
    export_cpp(write_model(tmp_path / "2024-new.onnx", seed=2), tmp_path / "two")
    (tmp_path / "threads.cpp").write_text(THREADS, encoding="utf-8")
    command = ["g++", "-O2", "-std=c++17", "-pthread", "threads.cpp", "-o", "threads", "-lopenblas"]
    subprocess.run(command, cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "threads"], cwd=tmp_path, check=True)


@needs_compiler
def test_our_part_has_no_warnings_and_refuses_fast_math(folder):
    options = ["g++", "-std=c++17", "-fsyntax-only", "-isystem", ".", "main.cpp"]
    for more in (["-Wall", "-Wextra", "-Wshadow", "-pedantic"],):
        done = subprocess.run([*options, *more], cwd=folder, capture_output=True, encoding="utf-8")
        assert not [line for line in done.stderr.splitlines() if line.startswith("main.cpp") and "warning" in line]
    done = subprocess.run([*options, "-ffast-math"], cwd=folder, capture_output=True, encoding="utf-8")
    assert "compile without -ffast-math" in done.stderr


@needs_compiler
@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_cmake_builds_and_tests_it(folder, tmp_path):
    def cmake(*command):
        return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout

    cmake("cmake", "-S", folder, "-B", tmp_path)
    cmake("cmake", "--build", tmp_path)
    assert "100% tests passed" in cmake("ctest", "--test-dir", tmp_path)


# --- what is written --------------------------------------------------------------------------------------------------


def test_the_folder_holds_everything_and_the_same_network_gives_the_same_files(model, folder, tmp_path, capfd):
    other = export_cpp(model, tmp_path / "again")
    assert sorted(path.name for path in other.iterdir()) == sorted(cpp.FILES)
    assert all((other / name).read_bytes() == (folder / name).read_bytes() for name in cpp.FILES)
    assert capfd.readouterr() == ("", "")
    header = (folder / "network.hxx").read_text(encoding="utf-8")
    places = [header.index(f'   "{name}",') for name in INPUTS]
    assert places == sorted(places)
    assert '"pt", // GeV\n' in header
    assert '"sv_significance", // -99.9 where there is none\n' in header
    assert 'classes{"light", "c", "b"};' in header
    assert os.stat(other).st_mode == os.stat(tmp_path).st_mode | 0o055 & ~umask()


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_each_default_is_among_the_reference_jets_alone_and_with_others(folder):
    names, *rows = (folder / "reference_jets.txt").read_text(encoding="utf-8").splitlines()
    assert names.split() == INPUTS
    jets = np.array([row.split() for row in rows], dtype=np.float32)
    missing = jets == [np.float32(DEFAULTS.get(name, np.nan)) for name in INPUTS]
    assert len(jets) == cpp.JETS
    assert missing[:4].astype(int).tolist() == [[0] * 6, [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]]
    assert (missing.sum(axis=1) > 1).sum() > 10


def test_a_network_that_sofie_cannot_express_is_refused_by_name_and_nothing_is_left(tmp_path, capfd):
    model = write_model(tmp_path / "tagger.onnx", last="Softsign")
    with pytest.raises(ValueError, match=r"tagger.onnx: it does not know the operator Softsign .*ONNX Runtime's C\+\+"):
        export_cpp(model, tmp_path / "cpp")
    assert os.listdir(tmp_path) == ["tagger.onnx"]
    assert capfd.readouterr() == ("", "")


def test_a_sofie_that_ends_its_process_does_not_end_ours(model, tmp_path, monkeypatch):
    monkeypatch.setattr(cpp, "_GENERATE", "import os; os.abort()")
    with pytest.raises(ValueError, match=r"SOFIE cannot express .*tagger.onnx: it ended with status -6"):
        export_cpp(model, tmp_path / "cpp")
    assert os.listdir(tmp_path) == []


def test_pictures_and_names_with_blanks_are_refused(tmp_path):
    with pytest.raises(ValueError, match="takes pictures, which have no named columns"):
        export_cpp(write_model(tmp_path / "1.onnx", kind="pictures"), tmp_path / "cpp")
    names = ["jet pt", *INPUTS[1:-1], ""]
    with pytest.raises(ValueError, match="names with blanks in them, 'jet pt', ''"):
        export_cpp(write_model(tmp_path / "2.onnx", inputs=names), tmp_path / "cpp")
    assert sorted(os.listdir(tmp_path)) == ["1.onnx", "2.onnx"]


def test_an_earlier_export_is_replaced_as_a_whole_or_stays(model, tmp_path):
    folder = export_cpp(model, tmp_path / "cpp")
    before = (folder / "model.dat").read_bytes()
    (folder / cpp.PROGRAM).touch()  # of the earlier network
    with pytest.raises(ValueError, match="Softsign"):
        export_cpp(write_model(tmp_path / "bad.onnx", last="Softsign"), folder)
    assert sorted(os.listdir(folder)) == sorted([*cpp.FILES, cpp.PROGRAM])
    assert (folder / "model.dat").read_bytes() == before
    export_cpp(write_model(tmp_path / "other.onnx", seed=2), folder)
    assert sorted(os.listdir(folder)) == sorted(cpp.FILES)
    assert (folder / "model.dat").read_bytes() != before
    assert sorted(os.listdir(tmp_path)) == ["bad.onnx", "cpp", "other.onnx"]
    (tmp_path / "link").symlink_to("cpp")
    export_cpp(model, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (folder / "model.dat").read_bytes() == before


def test_nothing_of_others_is_replaced(model, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "thesis.tex").touch()
    with pytest.raises(FileExistsError, match=r"holds thesis.tex, which would be lost: choose another folder"):
        export_cpp(model, folder)
    with pytest.raises(FileExistsError, match=r"thesis.tex is no folder: choose another name"):
        export_cpp(model, folder / "thesis.tex")
    with pytest.raises(FileNotFoundError, match="nowhere does not exist: make it, or choose another folder"):
        export_cpp(model, tmp_path / "nowhere" / "cpp")
    assert os.listdir(folder) == ["thesis.tex"]
    assert os.listdir(tmp_path) == ["work"]


def test_without_sofie_the_extra_is_named(model, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'SOFIE, which exists for Linux: pip install "coursekit\[export\]"'):
        export_cpp(model, tmp_path / "cpp")


# --- compiling --------------------------------------------------------------------------------------------------------


def pretend(monkeypatch, path, script):
    """Put a g++ of our own in front of all others."""
    path.mkdir()
    (path / "g++").write_text(f"#!{sys.executable}\n{script}\n", encoding="utf-8")
    (path / "g++").chmod(0o755)
    monkeypatch.setenv("PATH", str(path))


def test_without_a_compiler_or_blas_the_package_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r"a C\+\+ compiler is not installed.*apt-get install g\+\+\. .*goes on"
    ):
        compile_cpp(folder)
    pretend(monkeypatch, tmp_path / "1", 'raise SystemExit("/usr/bin/ld: cannot find -lopenblas: No such file")')
    with pytest.raises(FileNotFoundError, match=r"OpenBLAS is not installed.*install libopenblas-dev.*goes on"):
        compile_cpp(folder)
    pretend(monkeypatch, tmp_path / "2", 'raise SystemExit("main.cpp:1:1: error: C is not C++")')
    with pytest.raises(OSError, match=r"g\+\+ refuses .*main.cpp: main.cpp:1:1: error: C is not C\+\+"):
        compile_cpp(folder)


@needs_compiler
def test_a_mixture_of_two_exports_is_found_out_and_gives_no_program(folder, tmp_path):
    mixed = shutil.copytree(folder, tmp_path / "mixed", ignore=shutil.ignore_patterns(cpp.PROGRAM))
    other = export_cpp(write_model(tmp_path / "other.onnx", seed=2), tmp_path / "other")
    shutil.copy(other / "model.dat", mixed)
    with pytest.raises(ValueError, match=r"the program and ONNX Runtime disagree on .*jets differ by more than 1e-05"):
        compile_cpp(mixed)
    assert sorted(os.listdir(mixed)) == sorted(cpp.FILES)


def test_a_folder_of_something_else_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no CMakeLists.txt, main.cpp, .*: write it with export_cpp"):
        compile_cpp(tmp_path)
