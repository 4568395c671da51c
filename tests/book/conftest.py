"""The web book, built once for all who look at it."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

NOWHERE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """The folder with the pages, as `make book` builds them, on a machine that reaches no other."""
    folder = tmp_path_factory.mktemp("book")
    command = [sys.executable, "-m", "sphinx", "-M", "html", "docs", folder, "-q", "--keep-going", "--fail-on-warning"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | NOWHERE, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return (folder / "html").resolve()


@pytest.fixture(scope="session")
def sources(book):
    """The HTML of each page by its path."""
    paths = [path for path in sorted(book.rglob("*.html")) if "_static" not in path.parts]
    return {path.relative_to(book).as_posix(): path.read_text(encoding="utf-8") for path in paths}


@pytest.fixture(scope="session")
def pages(sources):
    """Each page by its path, read when it is asked for."""

    from bs4 import BeautifulSoup  # here, since without it the tests are skipped

    class Pages(dict):
        def __missing__(self, name):
            self[name] = BeautifulSoup(sources[name], "html.parser")
            return self[name]

    return Pages()
