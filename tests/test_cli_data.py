"""`coursekit data` and `coursekit doctor`: what is printed where, and the exit status."""

import hashlib
import json
import platform
import re
import shutil
from importlib import metadata
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import coursekit
from coursekit import cli, data
from coursekit.doctor import examine


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course that ships one good file, has one spoilt one in the cache, and can reach neither of the others."""
    shipped, cache = tmp_path / "course" / "data", tmp_path / "cache"
    shipped.mkdir(parents=True)
    cache.mkdir()
    (shipped / "events.root").write_bytes(b"event")
    (cache / "jets.h5").write_bytes(b"JETS")
    (shipped / "registry.toml").write_text(
        f"""
        [sim]
        make = "coursekit simulate hww"
        files."events.root" = {{ bytes = 5, hash = "sha256:{hashlib.sha256(b"event").hexdigest()}" }}
        files."more.root" = {{ bytes = 5, hash = "sha256:0" }}
        [public]
        url = "http://127.0.0.1:9/{{name}}"
        files."jets.h5" = {{ bytes = 4, hash = "md5:{hashlib.md5(b"jets").hexdigest()}" }}
        files."absent.h5" = {{ bytes = 2500000, hash = "md5:0" }}
        """,
        encoding="utf-8",
    )
    (tmp_path / "course" / "constraints.txt").write_text("", encoding="utf-8")
    monkeypatch.setattr(data, "_shipped", lambda: tmp_path / "course")
    monkeypatch.setattr(data, "_pause", lambda *_: 0)
    monkeypatch.setenv("COURSEKIT_DATA", str(cache))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    data.catalogue.cache_clear()
    yield SimpleNamespace(shipped=shipped, cache=cache, constraints=tmp_path / "course" / "constraints.txt")
    data.catalogue.cache_clear()


def run(*words):
    result = CliRunner().invoke(cli.app, words)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


# --- data -------------------------------------------------------------------------------------------------------------


def test_list_says_where_each_file_is(course):
    result = run("data", "list")
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()[1:]]
    assert rows == [
        ["sim", "events.root", "0.0", "shipped"],
        ["sim", "more.root", "0.0", "absent"],
        ["public", "jets.h5", "0.0", "cached"],
        ["public", "absent.h5", "2.5", "absent"],
    ]


def test_list_as_json(course):
    result = run("data", "list", "--json")
    assert result.exit_code == 0
    rows = {row["file"]: row for row in json.loads(result.stdout)}
    assert list(rows) == ["events.root", "more.root", "jets.h5", "absent.h5"]
    assert rows["events.root"] == {
        "dataset": "sim",
        "file": "events.root",
        "bytes": 5,
        "state": "shipped",
        "path": str(course.shipped / "events.root"),
    }
    assert rows["absent.h5"]["path"] == ""


def test_list_of_a_broken_installation(course):
    (course.shipped / "registry.toml").unlink()
    data.catalogue.cache_clear()
    result = run("data", "list")
    assert result.exit_code == 1
    assert "registry.toml" in result.stderr
    assert "Traceback" not in result.stderr


def test_fetch_prints_the_path(course):
    result = run("data", "fetch", "events.root", "jets.h5")
    assert result.exit_code == 0
    assert result.stdout == f"events.root: {course.shipped / 'events.root'}\njets.h5: {course.cache / 'jets.h5'}\n"
    assert result.stderr == ""


def test_fetch_of_a_data_set_stops_at_the_first_that_fails(course):
    result = run("data", "fetch", "sim")
    assert result.exit_code == 1
    assert result.stdout.startswith("events.root: ")
    assert "Error: more.root (sim) is not available: it is not shipped" in result.stderr
    assert "make it with `coursekit simulate hww --folder" in result.stderr


def test_fetch_without_a_network(course):
    result = run("data", "fetch", "absent.h5")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "the connection to 127.0.0.1 failed" in result.stderr
    assert "What to do: check the connection and fetch again" in result.stderr
    assert "Traceback" not in result.stderr


def test_fetch_interrupted(course, monkeypatch):
    def interrupt(name, progress):
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "fetch", interrupt)
    result = run("data", "fetch", "absent.h5")
    assert result.exit_code == 130
    assert "what has arrived is kept" in result.stderr


@pytest.mark.parametrize("command", ["fetch", "verify"])
def test_an_unknown_name(course, command):
    result = run("data", command, "jet.h5")
    assert result.exit_code == 1
    begin = "Error: the catalogue has no file 'jet.h5'; did you mean 'jets.h5'? it has events.root, more.root, jets.h5"
    assert result.stderr.startswith(begin)
    assert result.stderr.count("\n") == 1


def test_verify_looks_at_all_that_is_present(course):
    result = run("data", "verify")
    assert result.exit_code == 1
    assert result.stdout == "events.root: ok\n"
    spoilt, right = (hashlib.md5(content).hexdigest() for content in (b"JETS", b"jets"))
    path = course.cache / "jets.h5"
    assert result.stderr == f"jets.h5: {path} has md5 {spoilt}, expected {right}; delete it and fetch it again\n"
    path.write_bytes(b"jets")
    result = run("data", "verify")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "events.root: ok\njets.h5: ok\n", "")


def test_verify_of_what_is_asked_for(course):
    assert run("data", "verify", "events.root").exit_code == 0
    result = run("data", "verify", "sim")
    assert result.exit_code == 1
    assert result.stdout == "events.root: ok\n"
    assert "more.root is neither in" in result.stderr


def test_what_stands_in_brackets_is_printed(course, monkeypatch):
    # rich reads [simulate] as a style and would drop it.
    def fail(name, progress):
        raise ImportError('fastjet is not installed: pip install "coursekit[simulate]"')

    monkeypatch.setattr(data, "fetch", fail)
    assert run("data", "fetch", "a").stderr == 'Error: fastjet is not installed: pip install "coursekit[simulate]"\n'


def test_too_little_memory_is_said_in_a_line(course, monkeypatch):
    def fail(name, progress):
        raise MemoryError

    monkeypatch.setattr(data, "fetch", fail)
    result = run("data", "fetch", "events.root")
    assert (result.exit_code, result.stderr) == (1, "Error: there is too little memory\n")


# --- doctor -----------------------------------------------------------------------------------------------------------


def doctor():
    result = run("doctor", "--json")
    assert result.exit_code == 0
    assert result.stderr == ""
    return json.loads(result.stdout)


def test_doctor_of_this_machine():
    report = doctor()
    assert report == examine()
    assert report["coursekit"] == coursekit.__version__
    assert re.fullmatch(r"3\.\d+\.\d+.*", report["python"])
    assert report["cores"] >= 1
    assert set(report["data"]) == set(data.catalogue())
    result = run("doctor")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"coursekit {coursekit.__version__}, Python {report['python']} on ")
    assert "Python version: supported" in result.stdout


def test_doctor_says_which_data_are_present(course):
    states = {"events.root": "shipped", "more.root": "absent", "jets.h5": "cached", "absent.h5": "absent"}
    assert doctor()["data"] == states
    printed = run("doctor").stdout
    for name, state in states.items():
        assert f"data: {name} {state}\n" in printed
    (course.cache / "jets.h5").write_bytes(b"too long")
    assert "data: jets.h5 wrong size\n" in run("doctor").stdout


def test_doctor_names_the_versions_that_differ(course):
    numpy, requests = metadata.version("numpy"), metadata.version("requests")
    course.constraints.write_text(
        f"# exact versions\nNumPy==0.0.1\nrequests=={requests}\nno-such-package==1.0\n", encoding="utf-8"
    )
    assert doctor()["differ"] == {"NumPy": {"installed": numpy, "constraints": "0.0.1"}}
    printed = run("doctor").stdout
    assert f"NumPy {numpy} is installed, constraints.txt has 0.0.1\n" in printed
    assert "Every version" not in printed
    course.constraints.write_text(f"numpy=={numpy}\n", encoding="utf-8")
    assert doctor()["differ"] == {}
    assert "Every version is that of constraints.txt.\n" in run("doctor").stdout


def installed(**versions):
    return lambda: [SimpleNamespace(metadata={"Name": name}, version=version) for name, version in versions.items()]


def test_doctor_takes_a_local_build_for_the_version_it_is(course, monkeypatch):
    course.constraints.write_text("torch==2.13.0\nkeras==3.13.2\n", encoding="utf-8")
    monkeypatch.setattr(metadata, "distributions", installed(torch="2.13.0+cpu", keras="3.13.20"))
    assert doctor()["differ"] == {"keras": {"installed": "3.13.20", "constraints": "3.13.2"}}


def test_doctor_names_the_extra_of_what_is_missing(course, monkeypatch):
    real = list(metadata.distributions())
    hidden = {"fastjet", "pythia8mc", "uproot"}
    monkeypatch.setattr(metadata, "distributions", lambda: [one for one in real if one.metadata["Name"] not in hidden])
    missing = doctor()["missing"]
    assert missing["pythia8mc"] == 'the extra [simulate]: pip install "coursekit[simulate]"'
    assert missing["uproot"] == "coursekit itself: pip install it again"
    printed = run("doctor").stdout
    line = 'not installed: fastjet, pythia8mc, needed for the extra [simulate]: pip install "coursekit[simulate]"\n'
    assert printed.count("[simulate]") == 2 * printed.count(line) == 2


def test_doctor_without_constraints(course):
    course.constraints.unlink()
    result = run("doctor")
    assert result.exit_code == 1
    assert str(course.constraints) in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("#!/bin/sh\necho 'Tesla T4, 15360 MiB'", "Tesla T4, 15360 MiB"),
        ("#!/bin/sh\nprintf 'T4, [N/A]\\nT4, [/]\\033\\377\\n'", "T4, [N/A]; T4, [/]\N{REPLACEMENT CHARACTER}"),
        ("#!/bin/sh\necho 'driver mismatch' >&2; exit 18", "nvidia-smi says: driver mismatch"),
        ("#!/bin/sh\necho 'cannot communicate'; exit 9", "nvidia-smi says: cannot communicate"),
        ("#!/bin/sh\nexit 9", "nvidia-smi says: exit status 9"),
        ("#!/bin/sh\nexit 0", "nvidia-smi lists none; every lesson runs on the CPU"),
        (
            "#!/bin/sh\nexec sleep 60",
            "nvidia-smi does not answer within 0.2 s: the driver hangs, and so would a framework",
        ),
        (
            "\x7fELF of another processor",
            "nvidia-smi cannot be run (Exec format error), so no GPU is seen; every lesson runs on the CPU",
        ),
        (None, "none seen; every lesson runs on the CPU"),
    ],
)
def test_doctor_asks_the_driver_for_a_gpu(course, tmp_path, monkeypatch, script, words):
    tool = tmp_path / "nvidia-smi"
    if script:
        tool.write_text(f"{script}\n", encoding="utf-8")
        tool.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(tool) if script else None)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    if "sleep" in (script or ""):
        monkeypatch.setattr("coursekit.doctor.PATIENCE", 0.2)
    assert doctor()["gpu"] == words
    assert f"GPU: {words}\n" in run("doctor").stdout


def test_doctor_passes_over_what_a_failed_installation_has_left(course, tmp_path, monkeypatch):
    (tmp_path / "half-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert doctor()["missing"].keys() <= {"nbgrader"}  # which the tests do without


def test_doctor_of_a_clone_that_is_not_installed(course, monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    monkeypatch.setattr(metadata, "distributions", installed())
    assert doctor()["missing"] == {"coursekit": "coursekit itself: pip install it again"}
