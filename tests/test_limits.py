"""What takes too long is ended: in loops, in sleep, in threads, however much is swallowed; and nothing comes late."""

import os
import random
import sys
import threading
import time

import pytest

from coursekit.checks import limits
from coursekit.checks.limits import TooLong, at_most


def spin(until=float("inf")):
    while time.monotonic() < until:
        pass


def swallow():
    while True:
        try:  # noqa: SIM105
            len([1, 2])
        except:  # noqa: E722
            pass


def sleep_and_swallow():
    while True:
        try:  # noqa: SIM105
            time.sleep(0.01)
        except:  # noqa: E722
            pass


def swallow_twice():
    while True:
        try:
            swallow()
        except BaseException:
            continue


def generate():
    def for_ever():
        while True:
            yield 1

    return sum(for_ever())


def seconds_until_ended(function, limit=0.1):
    start = time.monotonic()
    with pytest.raises(TooLong), at_most(limit):
        function()
    return time.monotonic() - start


def in_a_thread(function):
    """What a function returns in another thread; its error is raised here."""
    outcome = []

    def run():
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def here(function):
    return function()


@pytest.mark.parametrize("run", [here, in_a_thread])
@pytest.mark.parametrize("function", [spin, swallow, sleep_and_swallow, swallow_twice, generate])
def test_what_does_not_end_is_ended(run, function):
    assert 0.1 <= run(lambda: seconds_until_ended(function)) < 5
    assert sys.gettrace() is None


@pytest.mark.skipif(sys.platform == "win32", reason="a sleep of Windows ends by itself")
@pytest.mark.parametrize("wait", [lambda: time.sleep(30), lambda: threading.Event().wait(30)], ids=["sleep", "lock"])
def test_the_main_thread_is_woken(wait):
    assert seconds_until_ended(wait) < 5


def test_a_sleep_in_a_thread_counts_when_it_ends():
    assert in_a_thread(lambda: seconds_until_ended(lambda: time.sleep(0.3))) >= 0.3


@pytest.mark.parametrize("run", [here, in_a_thread])
def test_the_outer_limit_goes_on_when_the_inner_one_has_ended(run):
    def nested():
        done = []
        start = time.monotonic()
        with pytest.raises(TooLong), at_most(0.5):  # noqa: PT012
            for _ in range(3):
                with pytest.raises(TooLong), at_most(0.05):
                    spin()
                done.append(time.monotonic() - start)
            spin()
        return done, time.monotonic() - start

    done, whole = run(nested)
    assert len(done) == 3
    assert 0.5 <= whole < 5


@pytest.mark.parametrize("run", [here, in_a_thread])
def test_the_outer_limit_ends_the_inner_block(run):
    def nested():
        with pytest.raises(TooLong), at_most(0.1), at_most(30):
            spin()
        return time.monotonic()

    start = time.monotonic()
    assert run(nested) - start < 5


class Dropped:
    def __init__(self, until):
        self.until, self.done = until, []

    def __del__(self):
        spin(self.until)
        self.done.append(True)


def test_what_would_be_lost_in_a_destructor_comes_after_it(monkeypatch):
    """Raised in ``__del__``, it would be printed to the student and forgotten."""
    monkeypatch.setattr(limits, "_AGAIN", 0.6)
    dropped = Dropped(time.monotonic() + 0.3)
    done = dropped.done

    def drop():
        nonlocal dropped
        del dropped
        spin()

    assert 0.3 <= seconds_until_ended(drop) < 5
    assert done == [True]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_destructor_that_does_not_end_is_ended():
    for _ in range(3):
        assert seconds_until_ended(lambda: (Dropped(float("inf")), spin())) < 5


def test_who_swallows_it_and_ends_is_too_late_all_the_same():
    def calmly():
        try:
            spin()
        except BaseException:
            return 0

    with pytest.raises(TooLong), at_most(0.05):
        calmly()


def test_an_error_of_the_block_comes_through():
    with pytest.raises(ZeroDivisionError), at_most(30):
        1 / 0  # noqa: B018


def test_each_thread_has_its_own_limit():
    ended = []

    def run(limit):
        try:
            with at_most(limit):
                spin()
        except TooLong:
            ended.append(limit)

    threads = [threading.Thread(target=run, args=(limit,)) for limit in (0.9, 0.1, 0.5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert ended == [0.1, 0.5, 0.9]


@pytest.fixture
def switching_often():
    """The watchdog runs as soon as its time has come, and not after the 5 ms that Python leaves to a thread."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.parametrize("run", [here, in_a_thread])
def test_nothing_comes_after_the_block(run, switching_often):
    """Blocks that end about when their time does, some swallowing what comes; between them nobody is disturbed."""

    def quick():
        wait, ended = random.Random(1), 0
        for i in range(2000):
            until = time.monotonic() + wait.uniform(0, 4e-4)
            try:
                with at_most(2e-4 if i % 2 else 30):
                    try:
                        spin(until)
                    except TooLong:
                        if i % 3:
                            raise
            except TooLong:
                ended += 1
            sum(range(200))  # outside: a late one would end the test
        return ended

    assert 50 < run(quick) < 1000
    time.sleep(2 * limits._AGAIN)
    assert not limits._limits


def test_there_is_one_watchdog_and_an_entry_is_cheap():
    before = threading.active_count()
    times = []
    for _ in range(2000):
        start = time.perf_counter()
        with at_most(0.3):
            pass
        times.append(time.perf_counter() - start)
    assert sorted(times)[1000] < 2e-4
    assert threading.active_count() <= before + 1
    assert sum(thread.name == "coursekit-limits" for thread in threading.enumerate()) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a fork while there are threads
def test_a_forked_process_has_a_limit_of_its_own():
    with at_most(30):
        child = os.fork()
        if not child:
            try:
                with at_most(0.05):
                    spin()
            except TooLong:
                os._exit(7)
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
