"""Where the course is started from: what these files say is what there is."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml

from coursekit import doctor

#: A Python of another version, as far as `-c` goes.
OTHER = """\
#!{python}
import sys
sys.version_info = ({major}, {minor}, 0)
exec(sys.argv[sys.argv.index("-c") + 1])
"""


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize(("version", "goes"), [((3, 10), False), ((3, 13), True), ((3, 14), False)])
def test_make_says_in_one_line_which_python_it_takes(root, tmp_path, version, goes):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(root / name, tmp_path)
    python = tmp_path / "other python"
    python.write_text(OTHER.format(python=sys.executable, major=version[0], minor=version[1]), encoding="utf-8")
    python.chmod(0o755)
    command = ["make", "course", "PYTHON=./other\\ python"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60, check=False)
    first, *rest = done.stderr.splitlines()
    said = f"is Python {version[0]}.{version[1]}, and pythia8mc has wheels for 3.11 to 3.13 only: install python3.13, "
    assert (said in first) != goes
    assert done.returncode  # with 3.13 it goes on, and this one makes no .venv
    assert ("-m venv" in done.stdout) == goes
    assert goes or len(rest) == 1  # that of make


def read(root, name):
    text = (root / name).read_text(encoding="utf-8")
    return json.loads(text) if name.endswith(".json") else yaml.safe_load(text)


def test_who_cites_the_course_names_what_is_published(root):
    citation, zenodo = read(root, "CITATION.cff"), read(root, ".zenodo.json")
    settings = tomllib.loads((root / "course.toml").read_text(encoding="utf-8"))
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # what its format asks for
    assert citation["repository-code"] == settings["repository"], "CITATION.cff names another place than course.toml"
    assert citation["authors"] == zenodo["creators"] == project["authors"]
    assert citation["title"] == zenodo["title"]
    assert citation["license"][0] == zenodo["license"] == project["license"]
    assert not {"version"} & (citation.keys() | zenodo.keys()), "coursekit/__init__.py says it, and the tag"


#: Every job, with what it waits for and what it may write: the index is asked last, and by a person.
JOBS = {
    "ci.yml": ["test", "colab", "classroom", "laptops", "newest", "shake"],
    "release.yml": {
        "build": (None, {}),
        "github": ("build", {"contents": "write"}),
        "index": ("github", {"id-token": "write"}),
    },
}


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_a_workflow_ends_and_may_do_only_what_it_must(root, name):
    workflow = read(root, f".github/workflows/{name}")
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 120
        for step in job["steps"]:
            assert "@" in step.get("uses", "@")
            for path in re.findall(r"(?<![\w./])((?:tests|\.ci)/[\w./]+)", step.get("run", "")):
                assert (root / path).exists(), path
    assert set(workflow["jobs"]) == set(JOBS[name])


def test_a_release_is_checked_before_it_is_shown(root):
    jobs = read(root, ".github/workflows/release.yml")["jobs"]
    assert {name: (job.get("needs"), job.get("permissions", {})) for name, job in jobs.items()} == JOBS["release.yml"]
    assert jobs["index"]["environment"] == "pypi"  # whose reviewers are asked


def step(root, word):
    """The script of the one step of a release that has the word in it."""
    (found,) = (
        each for each in read(root, ".github/workflows/release.yml")["jobs"]["build"]["steps"] if word in str(each)
    )
    return found["run"]


def bash(script, folder, **environment):
    command = ["bash", "-eo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=folder, env=os.environ | environment, capture_output=True, check=False)
    return done.returncode


POSIX = pytest.mark.skipif(shutil.which("awk") is None or os.name == "nt", reason="needs a POSIX shell")


@POSIX
@pytest.mark.parametrize(
    ("tag", "notes"),
    [("v0.2.0", "- Second.\n- More.\n"), ("v0.1.0", "- First.\n")]
    + [(tag, None) for tag in ("v0.1", "v0.3.0", "v0.4.0")],
)
def test_the_notes_of_a_release_are_those_of_the_changelog(root, tmp_path, tag, notes):
    text = "# Changelog\n\n## 0.4.0 (unreleased)\n\n- More.\n\n## 0.3.0\n\n"
    text += "## 0.2.0 (2026-12-01)\n\n- Second.\n- More.\n\n## 0.1.0\n\n- First.\n"
    (tmp_path / "CHANGELOG.md").write_text(text, encoding="utf-8")
    assert (bash(step(root, "awk"), tmp_path, TAG=tag) == 0) == (notes is not None)
    if notes is not None:
        assert (tmp_path / "notes.md").read_text(encoding="utf-8").strip() == notes.strip()


@POSIX
@pytest.mark.parametrize(
    ("wheel", "settings", "tagged", "there"),
    [
        ("0.2.0", 'tag = "v0.2.0"\n', "v0.1.0", True),
        ("0.1.0", 'tag = "v0.2.0"\n', "v0.1.0", False),
        ("0.2.0", 'tag = "main"\n', "v0.1.0", False),
        ("0.2.0", 'tag = "v0.2.0"\n', "v0.2.0", False),
    ],
)
def test_a_version_is_released_once_and_is_what_the_notebooks_install(root, tmp_path, wheel, settings, tagged, there):
    for name in ("coursekit", "dist"):
        (tmp_path / name).mkdir()
    (tmp_path / "coursekit" / "__init__.py").write_text('"""A."""\n__version__ = "0.2.0"\n', encoding="utf-8")
    (tmp_path / "dist" / f"coursekit-{wheel}-py3-none-any.whl").touch()
    (tmp_path / "course.toml").write_text(settings, encoding="utf-8")
    git = "git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m a; git remote add origin ."
    assert bash(f"{git} && git tag {tagged}", tmp_path) == 0
    output = tmp_path / "output"
    assert (bash(step(root, "ls-remote"), tmp_path, GITHUB_OUTPUT=str(output)) == 0) == there
    assert output.exists() == there
    assert not there or output.read_text(encoding="utf-8") == "tag=v0.2.0\n"


def test_who_says_that_a_check_was_wrong_shows_the_cell_and_the_verdict(root):
    for name in ("bug", "check", "lesson"):
        form = read(root, f".github/ISSUE_TEMPLATE/{name}.yml")
        assert {"name", "description", "body"} <= form.keys()
        identifiers = [field["id"] for field in form["body"] if field["type"] != "markdown"]
        assert len(set(identifiers)) == len(identifiers) >= 4
    check = read(root, ".github/ISSUE_TEMPLATE/check.yml")
    required = {field["id"] for field in check["body"] if field.get("validations", {}).get("required")}
    assert {"exercise", "cell", "verdict", "version"} <= required


def test_codespaces_open_a_notebook_that_is_there_in_the_environment_that_make_makes(root):
    container = read(root, ".devcontainer/devcontainer.json")
    target = container["postCreateCommand"].removeprefix("make ")
    assert (
        target
        in re.search(r"^(\.venv/.*?): \.venv/%:", (root / "Makefile").read_text(encoding="utf-8"), re.M)[1].split()
    )
    custom = container["customizations"]
    assert all((root / path).is_file() for path in custom["codespaces"]["openFiles"])
    assert custom["vscode"]["settings"]["python.defaultInterpreterPath"].endswith(".venv/bin/python")


def test_the_doctor_offers_no_extra_that_would_bring_nothing():
    line = "pythia8mc<8.318,>=8.312; ({}) and extra == 'simulate'"
    offer = 'the extra [simulate]: pip install "coursekit[simulate]"'
    assert doctor._extra(line.format("python_version >= '3.11'")) == offer
    for marker in ("python_version < '3.11'", "sys_platform == 'elsewhere'"):
        assert "there is none for this Python or system" in doctor._extra(line.format(marker))
