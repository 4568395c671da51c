"""Fetching over a network that misbehaves."""

import hashlib

import pytest
import requests

from coursekit import data
from tests.fetching.conftest import BODY, HALF, NAME, fail, fetched, listing, login_page, put_part, refused, send


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
