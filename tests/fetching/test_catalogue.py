"""The catalogue, and the places where a file may be."""

from pathlib import Path

import pytest

from coursekit import data
from tests.fetching.conftest import BODY, NAME, fail, fetched, refused


def test_public_files_are_those_published():
    published = {
        "train.h5": (1038496555, "md5:45663819f47c13724f67eb0fd80bfa5c"),
        "val.h5": (347378076, "md5:dca4b7248027618f041f9baa86d360fc"),
        "test.h5": (347849376, "md5:13163479dee30a5fe546e4536cc3d04d"),
    }
    for name, (size, md5) in published.items():
        file = data.catalogue()[name]
        assert (file.bytes, file.hash) == (size, md5)
        assert file.url == f"https://zenodo.org/records/2603256/files/{name}?download=1"


def test_shipped_files_are_those_of_the_registry():
    for file in data.catalogue().values():
        if not file.url:  # simulated by anybody, or what a study of ours has recorded, which only ships
            assert file.make.startswith("coursekit simulate ") or (file.bytes and not file.make)
        if not file.url and file.bytes:
            assert file.hash.startswith("sha256:")
            assert data.verify(file.name) == data.shipped_folder() / file.name
    known = {*data.catalogue(), "registry.toml", "README.md", "ledger"}
    assert {path.name for path in data.shipped_folder().iterdir() if not path.name.startswith(".")} <= known


def test_what_is_only_simulated_is_taken_from_your_own_folder_or_says_how_to_make_it(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "cache_folder", lambda: tmp_path)
    name = "jetimages_test.h5"
    assert data.status(name) == ("absent", None)
    with pytest.raises(data.DataNotFound, match=r"not simulated it, or COURSEKIT_DATA .* make it with `coursekit sim"):
        data.fetch(name)
    with pytest.raises(data.DataNotFound, match=r"`coursekit simulate images .*` makes it"):
        data.verify(name)
    (tmp_path / name).write_bytes(b"jets")
    assert data.fetch(name) == data.verify(name) == tmp_path / name
    assert data.status(name) == ("own", tmp_path / name)


def test_a_name_is_used_once(tmp_path):
    registry = tmp_path / "registry.toml"
    entry = 'files."a.h5" = { bytes = 1, hash = "md5:0" }'
    registry.write_text(f"[one]\n{entry}\n[two]\n{entry}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"registry\.toml has a\.h5 twice, in one and in two"):
        data.catalogue(registry)


@pytest.mark.parametrize("ask", [data.fetch, data.status, data.verify])
def test_unknown_name(course, ask):
    with pytest.raises(KeyError, match=r"no file 'jet\.h5'; did you mean 'jets\.h5'"):
        ask("jet.h5")
    with pytest.raises(KeyError, match=r"no file 'zzz'; it has events\.root, jets\.h5"):
        ask("zzz")


def test_cache_folder_is_that_of_the_user(monkeypatch):
    monkeypatch.setenv("COURSEKIT_DATA", "~/big disk")
    assert data.cache_folder() == Path.home() / "big disk"
    monkeypatch.setenv("COURSEKIT_DATA", "")
    assert data.cache_folder().name == "coursekit"
    assert data.cache_folder().is_absolute()


def test_a_cache_needs_a_home_or_a_name(monkeypatch):
    monkeypatch.setenv("COURSEKIT_DATA", "~nobody-of-this-name/data")
    with pytest.raises(
        FileNotFoundError, match=r"~nobody-of-this-name/data is in a home .*: set COURSEKIT_DATA to a f"
    ):
        data.cache_folder()
    for name in data.catalogue():
        assert data.status(name)[0] in ("shipped", "absent")
    with pytest.raises(data.DataNotFound, match="set COURSEKIT_DATA to a folder with room"):
        data.fetch("test.h5")
    with pytest.raises(data.DataNotFound, match=r"--folder FOLDER` and set COURSEKIT_DATA=FOLDER\."):
        data.fetch("jetimages_test.h5")
    monkeypatch.setenv("COURSEKIT_DATA", "simulated")  # a message shall say where that was
    assert data.cache_folder() == Path.cwd() / "simulated"


def test_a_cache_that_may_not_be_entered_is_empty(monkeypatch):
    real = Path.stat

    def stat(path, **options):
        if path.is_relative_to("/home/of"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **options)

    monkeypatch.setenv("COURSEKIT_DATA", "/home/of/somebody")
    monkeypatch.setattr(Path, "stat", stat)
    assert {data.status(name)[0] for name in data.catalogue()} == {"shipped", "absent"}
    data.ensure("01")


# --- the three places -------------------------------------------------------------------------------------------------


def test_shipped_before_cached_before_network(course, server):
    assert data.status(NAME) == ("absent", None)
    path = fetched(course)
    assert data.status(NAME) == ("cached", path)
    assert data.fetch(NAME) == path
    (course.shipped / NAME).write_bytes(BODY)
    assert data.fetch(NAME) == course.shipped / NAME
    assert data.status(NAME) == ("shipped", course.shipped / NAME)
    assert server.ranges == [None]


def test_an_answer_is_asked_for_uncompressed(course, server):
    # A compressed answer has another length, and cannot be continued at a byte of the file.
    fetched(course)
    assert server.asked[0]["Accept-Encoding"] == "identity"


def test_a_shipped_copy_of_the_wrong_size_is_passed_over(course, server):
    (course.shipped / NAME).write_bytes(b"part of a clone")
    assert data.status(NAME) == ("wrong size", course.shipped / NAME)
    fetched(course)
    assert data.status(NAME) == ("cached", course.cache / NAME)
    assert data.verify(NAME) == course.cache / NAME
    assert data.fetch(NAME) == course.cache / NAME
    assert len(server.ranges) == 1


def test_a_cached_copy_of_the_wrong_size_is_replaced(course):
    course.cache.mkdir()
    (course.cache / NAME).write_bytes(b"<html>")
    fetched(course)


def test_the_message_names_each_place(course, server):
    server.answers = [fail(404)]
    (course.shipped / NAME).write_bytes(b"short")
    refused(
        f"the shipped copy ({course.shipped / NAME}) has 5 bytes, expected {len(BODY)}; ",
        f"it is not cached ({course.cache / NAME}); ",
        f"the download from http://127.0.0.1:{server.server_port}/records/{NAME}?download=1 failed: the server "
        "answered 404 Not Found. ",
        f"update the course, or download it with a browser and put it into {course.cache}.",
    )


def test_a_simulated_file_is_made_and_not_downloaded(course, server):
    with pytest.raises(FileNotFoundError) as caught:
        data.fetch("events.root")
    assert str(caught.value) == (
        f"events.root (sim) is not available: it is not shipped ({course.shipped / 'events.root'}); it is not cached "
        f"({course.cache / 'events.root'}). What to do: reinstall the course, which ships it, or make it with "
        f"`coursekit simulate hww --folder {course.cache}` and set COURSEKIT_DATA={course.cache}."
    )
    assert not server.ranges
    assert not course.cache.exists()


def test_a_simulation_of_your_own_comes_before_the_shipped_one(course, monkeypatch):
    (course.shipped / "events.root").write_bytes(b"event")
    course.cache.mkdir()
    (course.cache / "events.root").write_bytes(b"many more events")
    assert data.fetch("events.root") == data.verify("events.root") == course.cache / "events.root"
    assert data.status("events.root")[0] == "own"
    monkeypatch.delenv("COURSEKIT_DATA")  # nothing is taken silently from the cache
    monkeypatch.setattr(data.platformdirs, "user_cache_dir", lambda name: str(course.cache))
    assert data.fetch("events.root") == course.shipped / "events.root"


def test_ensure_fetches_what_a_lesson_needs(course, server):
    with pytest.raises(data.DataNotFound, match=r"events\.root"):
        data.ensure("01")
    (course.shipped / "events.root").write_bytes(b"event")
    data.ensure("01")
    assert not server.ranges
    data.ensure("02")
    assert data.status(NAME)[0] == "cached"
    data.ensure("03")


def test_verify(course):
    with pytest.raises(data.DataNotFound, match=rf"neither in .*; `coursekit data fetch {NAME}` gets it"):
        data.verify(NAME)
    path = fetched(course)
    assert data.verify(NAME) == path
    path.write_bytes(BODY[::-1])
    assert data.fetch(NAME) == path  # by its size alone
    with pytest.raises(ValueError, match=rf"{NAME} has md5 [0-9a-f]{{32}}, expected [0-9a-f]{{32}}; delete it"):
        data.verify(NAME)
    path.write_bytes(BODY[:-1])
    with pytest.raises(ValueError, match=f"{NAME} has {len(BODY) - 1} bytes, expected {len(BODY)}; delete it"):
        data.verify(NAME)
