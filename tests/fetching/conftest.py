"""A server on this machine that behaves and misbehaves, and a course that fetches from it."""

import contextlib
import hashlib
import http.server
import socket
import struct
import threading
from types import SimpleNamespace

import numpy as np
import pytest

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
    (folders.shipped / "registry.toml").write_text(
        f"""
        [sim]
        make = "coursekit simulate hww"
        lessons = [1, 2]
        files."events.root" = {{ bytes = 5, hash = "sha256:{hashlib.sha256(b"event").hexdigest()}" }}
        [public]
        url = "http://127.0.0.1:{server.server_port}/records/{{name}}?download=1"
        lessons = [2]
        files."{NAME}" = {{ bytes = {len(BODY)}, hash = "md5:{hashlib.md5(BODY).hexdigest()}" }}
        """,
        encoding="utf-8",
    )
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
