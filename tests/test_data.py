"""The catalogue, and fetching from a server on this machine that behaves and misbehaves."""

import contextlib
import hashlib
import http.server
import itertools
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pooch
import pytest
import requests

from coursekit import data

BODY = np.random.default_rng(1).bytes(300_000)
HALF = len(BODY) // 2
NAME = "jets.h5"


# --- answers of the server; each is called with the handler and the first byte asked for ------------------------------


def send(body=BODY, *, stop=None, ranges=True, length=True, chunked=False, reset=False):
    """Send the body, with a choice of misbehaviours: `stop` after so many bytes, ignore ranges, hide the length."""

    def answer(handler, start):
        begin = (start or 0) if ranges else 0
        if begin >= len(body):
            handler.send_error(416)
            return
        handler.send_response(206 if start is not None and ranges else 200)
        if length and not chunked:
            handler.send_header("Content-Length", str(len(body) - begin))
        if chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for at in range(begin, len(body) if stop is None else min(stop, len(body)), 10_000):
            block = body[at : min(at + 10_000, stop or len(body))]
            handler.server.sent[-1] += len(block)  # Before it is written: afterwards the test may be over.
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(block), block) if chunked else block)
        if chunked and stop is None:
            handler.wfile.write(b"0\r\n\r\n")
        if reset:  # Lingering for no time makes the kernel send RST instead of FIN.
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return answer


def fail(code, **headers):
    def answer(handler, start):
        handler.send_response(code)
        for key, value in headers.items():
            handler.send_header(key.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def login_page(length):
    """What a network with a login sends for any address: a page, and all is well."""

    def answer(handler, start):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        if length:
            handler.send_header("Content-Length", "21")
        handler.end_headers()
        handler.wfile.write(b"<html>Log in!</html>\n")

    return answer


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers["Range"]
        self.server.ranges.append(asked)
        self.server.asked.append(dict(self.headers))
        self.server.sent.append(0)
        answer = self.server.answers[min(len(self.server.ranges), len(self.server.answers)) - 1]
        with contextlib.suppress(ConnectionError):  # The other side may hang up, too.
            answer(self, None if asked is None else int(asked.removeprefix("bytes=").removesuffix("-")))

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """A server; `answers` are given in turn, the last one for ever, and `ranges` and `sent` tell what happened."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.answers, server.ranges, server.asked, server.sent = [send()], [], [], []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def course(server, tmp_path, monkeypatch):
    """A course of one simulated and one public file; its folders."""
    folders = SimpleNamespace(root=tmp_path / "course", shipped=tmp_path / "course" / "data", cache=tmp_path / "cache")
    folders.shipped.mkdir(parents=True)
    (folders.shipped / "registry.toml").write_text(f"""
        [sim]
        make = "coursekit simulate hww"
        lessons = [1, 2]
        files."events.root" = {{ bytes = 5, hash = "sha256:{hashlib.sha256(b"event").hexdigest()}" }}
        [public]
        url = "http://127.0.0.1:{server.server_port}/records/{{name}}?download=1"
        lessons = [2]
        files."{NAME}" = {{ bytes = {len(BODY)}, hash = "md5:{hashlib.md5(BODY).hexdigest()}" }}
        """)
    monkeypatch.setattr(data, "_shipped", lambda: folders.root)
    monkeypatch.setattr(data, "_pause", lambda *_: 0)
    monkeypatch.setenv("COURSEKIT_DATA", str(folders.cache))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    data.catalogue.cache_clear()
    yield folders
    data.catalogue.cache_clear()


def listing(folder):
    """The names in the folder without the lock, which stays (removing one safely is not possible)."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def put_part(course, content):
    course.cache.mkdir()
    (course.cache / f"{NAME}.part").write_bytes(content)


def fetched(course):
    """Fetch, and say that the file is right and alone."""
    path = data.fetch(NAME)
    assert path == course.cache / NAME
    assert path.read_bytes() == BODY
    assert listing(course.cache) == [NAME]
    return path


def refused(*words):
    """Fetch in vain; the message says the words."""
    with pytest.raises(data.DataNotFound) as caught:
        data.fetch(NAME)
    message = str(caught.value)
    for word in (f"{NAME} (public) is not available: ", "What to do: ", *words):
        assert word in message, message
    return message


# --- the catalogue of the course --------------------------------------------------------------------------------------


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
        if not file.url:
            assert file.make.startswith("coursekit simulate ")
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
    registry.write_text(f"[one]\n{entry}\n[two]\n{entry}\n")
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


# --- a network that misbehaves ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_cut_connection_goes_on_where_it_stopped(course, server, chunked):
    server.answers = [send(stop=HALF, chunked=chunked), send()]
    fetched(course)
    first, second = server.ranges
    assert first is None
    start = int(second.removeprefix("bytes=").removesuffix("-"))
    assert HALF - 2**15 <= start <= HALF
    assert server.sent == [HALF, len(BODY) - start]


def test_a_reset_connection_is_tried_again(course, server):
    server.answers = [send(stop=HALF, reset=True), send()]
    fetched(course)
    assert len(server.ranges) == 2


def test_any_number_of_cuts_is_survived_while_something_arrives(course, server):
    stops = range(40_000, len(BODY), 40_000)
    server.answers = [*(send(stop=stop) for stop in stops), send()]
    fetched(course)
    assert len(server.ranges) == len(stops) + 1 > 4


def test_a_server_that_always_stops_is_given_up_and_what_came_is_kept(course, server):
    server.answers = [send(stop=HALF)]
    message = refused("the connection to 127.0.0.1 failed or broke off (ChunkedEncodingError). ", "fetch again")
    assert "goes on from the 0.1 MB of 0.3 MB that have arrived" in message
    assert listing(course.cache) == [f"{NAME}.part"]
    kept = (course.cache / f"{NAME}.part").read_bytes()
    assert HALF - 2**15 <= len(kept) <= HALF
    assert BODY.startswith(kept)
    assert len(server.ranges) == 5  # One that brought something, and four that did not.
    server.answers = [send()]
    fetched(course)
    assert server.ranges[5:] == [f"bytes={len(kept)}-"]


def test_a_server_that_ignores_ranges(course, server):
    put_part(course, BODY[:HALF])
    server.answers = [send(ranges=False, stop=HALF // 2), send(ranges=False)]
    fetched(course)
    # The first answer broke off before it came to anything new, and cost nothing of what was there.
    assert server.ranges == [f"bytes={HALF}-"] * 2


def test_a_server_that_hides_the_length(course, server):
    server.answers = [send(length=False, stop=HALF), send(length=False)]
    fetched(course)
    # Where a cut cannot be told from an end, nothing is kept.
    assert server.ranges == [None, None]


def test_wrong_bytes_of_the_right_size_are_not_kept(course, server):
    server.answers = [send(BODY[::-1])]
    refused(
        "MD5 hash", "does not match", f"expected md5:{hashlib.md5(BODY).hexdigest()}", "asks for a login", "changed"
    )
    assert listing(course.cache) == []
    assert len(server.ranges) == 1
    server.answers = [send()]
    fetched(course)


def test_a_spoilt_part_is_found_out_and_then_fetched_anew(course, server):
    put_part(course, bytes(HALF))
    refused("MD5 hash")
    assert listing(course.cache) == []
    fetched(course)
    assert server.ranges == [f"bytes={HALF}-", None]


@pytest.mark.parametrize("length", [True, False], ids=["length", "no length"])
@pytest.mark.parametrize("there", [0, HALF])
def test_a_login_page_costs_nothing(course, server, length, there):
    put_part(course, BODY[:there])
    server.answers = [login_page(length)]
    if length:
        refused(f"the server offers 21 bytes (text/html), expected {len(BODY)}", "asks for a login first")
        assert len(server.ranges) == 1
    else:
        refused("failed or broke off")
    part = course.cache / f"{NAME}.part"
    assert part.read_bytes() == BODY[:there]
    server.answers = [send()]
    fetched(course)
    assert server.sent[-1] == len(BODY) - there


def test_a_longer_body_is_refused_before_it_is_written(course, server):
    server.answers = [send(BODY + b"more")]
    refused(f"the server offers {len(BODY) + 4} bytes (unknown type), expected {len(BODY)}")
    assert listing(course.cache) == []


@pytest.mark.parametrize("there", [0, HALF])
def test_a_longer_body_of_unknown_length_is_not_read_to_its_end(course, server, there):
    put_part(course, BODY[:there])
    server.answers = [send(BODY + bytes(30_000_000), chunked=True)]
    refused(f"the server sends more than the {len(BODY)} bytes expected")
    assert len(server.ranges) == 1
    assert server.sent[0] < 30_000_000
    assert (course.cache / f"{NAME}.part").stat().st_size == there


def test_a_part_longer_than_the_file_is_dropped(course, server):
    put_part(course, BODY + b"more")
    fetched(course)
    assert server.ranges == [None]


def test_a_part_longer_than_what_the_server_has_is_dropped(course, server):
    put_part(course, BODY[:HALF])
    server.answers = [send(BODY[: HALF // 2])]
    refused(f"the server offers {HALF // 2} bytes (unknown type), expected {len(BODY)}")
    assert server.ranges == [f"bytes={HALF}-", None]
    assert listing(course.cache) == []


def test_a_complete_part_needs_no_network(course, server):
    put_part(course, BODY)
    fetched(course)
    assert not server.ranges


def test_404_is_final(course, server):
    server.answers = [fail(404)]
    message = refused("the server answered 404 Not Found", "update the course", f"put it into {course.cache}")
    assert "connection" not in message
    assert len(server.ranges) == 1


def test_503_then_success(course, server):
    server.answers = [fail(503), fail(429), send()]
    fetched(course)
    assert len(server.ranges) == 3


def test_503_for_ever(course, server):
    server.answers = [fail(503)]
    refused("the server answered 503 Service Unavailable", "the server is busy, fetch again in some minutes")
    assert len(server.ranges) == 4


def test_a_server_that_is_down(course, server):
    put_part(course, BODY[:HALF])
    server.shutdown()
    server.server_close()
    refused("the connection to 127.0.0.1 failed or broke off (ConnectionError)", "goes on from the 0.1 MB of 0.3 MB")
    assert (course.cache / f"{NAME}.part").read_bytes() == BODY[:HALF]


def test_waits_grow_and_a_busy_server_may_ask_for_more():
    fault = requests.ConnectionError()
    assert [data._pause(fruitless, fault) for fruitless in range(4)] == [0.5, 1, 2, 4]
    for asked, seconds in {"20": 20, "0": 2, "3600": 60, "Fri, 31 Dec 2027 23:59:59 GMT": 2}.items():
        fault.response = requests.Response()
        fault.response.status_code, fault.response.headers = 429, {"Retry-After": asked}
        assert data._pause(2, fault) == seconds


# --- a machine that misbehaves ----------------------------------------------------------------------------------------


def test_a_full_disk_is_found_before_the_download(course, server, monkeypatch):
    put_part(course, BODY[:100_000])
    room = SimpleNamespace(free=len(BODY) - 100_001)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: room)
    refused(f"{course.cache} has 0.2 MB free, 0.2 MB are needed. ", "make room there, or set COURSEKIT_DATA")
    assert not server.ranges
    room.free += 1  # What is there already needs no more room.
    fetched(course)


def test_a_cache_that_cannot_be_written(course, server, monkeypatch):
    (course.root / "file").write_text("")
    monkeypatch.setenv("COURSEKIT_DATA", str(course.root / "file" / "cache"))
    message = refused("Not a directory", "COURSEKIT_DATA to a folder with room in which you may write")
    assert "connection" not in message
    assert not server.ranges


def test_an_interruption_while_hashing_costs_nothing(course, server, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pooch.core.hash_matches", interrupt)
        with pytest.raises(KeyboardInterrupt):
            data.fetch(NAME)
    assert listing(course.cache) == [f"{NAME}.part"]
    fetched(course)
    assert len(server.ranges) == 1


def test_a_file_system_without_links(course, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    fetched(course)


def elsewhere(course, code):
    """Start another Python in which `data` is this course's; it says "ready" and runs the code."""
    start = f"""if True:
        from pathlib import Path
        from coursekit import data
        data._shipped = lambda: Path({str(course.root)!r})
        print("ready", flush=True)
        {code}
        """
    process = subprocess.Popen([sys.executable, "-c", start], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def gated(gate):
    """Send one half, and the other when the gate opens."""

    def answer(handler, start):
        send(stop=HALF)(handler, start)
        gate.wait(20)
        handler.wfile.write(BODY[HALF:])

    return answer


def test_a_killed_fetch_leaves_a_part_that_the_next_continues(course, server):
    gate = threading.Event()
    server.answers = [gated(gate), send()]
    process = elsewhere(course, f"data.fetch({NAME!r})")
    part = course.cache / f"{NAME}.part"
    patience = itertools.count()
    while not (part.exists() and part.stat().st_size):
        assert process.poll() is None
        assert next(patience) < 2000
        time.sleep(0.01)
    process.kill()
    process.communicate()
    gate.set()
    assert listing(course.cache) == [part.name]
    kept = part.stat().st_size
    fetched(course)
    assert server.ranges == [None, f"bytes={kept}-"]


def test_two_processes_and_two_threads_fetch_once(course, server):
    gate = threading.Event()
    server.answers = [gated(gate)]
    processes = [elsewhere(course, f"print(data.fetch({NAME!r}))") for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(data.fetch, NAME) for _ in range(2)]
        gate.set()
        paths = [future.result() for future in futures]
    paths += [Path(process.communicate()[0].strip()) for process in processes]
    assert paths == [course.cache / NAME] * 4
    assert [process.returncode for process in processes] == [0, 0]
    fetched(course)
    assert server.ranges == [None]


# --- what is printed --------------------------------------------------------------------------------------------------


def test_fetching_is_silent(course, server, capfd, monkeypatch):
    logger = pooch.get_logger()
    logger.setLevel("INFO")
    monkeypatch.setattr(logger.handlers[0], "stream", sys.stderr)  # It holds the stderr of its import.
    server.answers = [send(stop=HALF), fail(503), send()]
    (course.shipped / NAME).write_bytes(b"wrong size")
    fetched(course)
    assert capfd.readouterr() == ("", "")


def test_the_bar_is_written_to_stderr(course, capfd):
    data.fetch(NAME, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert NAME in err
    assert "100%" in err


def test_a_notebook_without_widgets_is_not_warned():
    # tqdm, which pooch imports, warns on stderr there, and a lesson's stored output would hold the warning.
    code = "import sys; import coursekit.data; import json; print(json.dumps([m for m in sys.modules if 'tqdm' in m]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
