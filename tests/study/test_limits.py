"""TensorFlow is told the threads of a task before it computes; where it has begun with others, the log says so."""

import logging
import os

import pytest

threading = pytest.importorskip("tensorflow").config.threading

from coursekit.study.training.limits import limited  # noqa: E402


def begun(_):
    raise RuntimeError("Intra op parallelism cannot be modified after initialization.")


@pytest.mark.parametrize(("asked", "expected"), [("3", 3), ("4,2", 4), ("0", 1)])
def test_tensorflow_is_told(monkeypatch, asked, expected):
    told = []
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr(threading, "set_intra_op_parallelism_threads", told.append)
    with limited("keras"):
        assert told == [expected]


def test_where_it_has_begun_the_log_says_so(monkeypatch, caplog):
    monkeypatch.setattr(threading, "set_intra_op_parallelism_threads", begun)
    monkeypatch.setattr(threading, "get_intra_op_parallelism_threads", lambda: 0)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    caplog.set_level(logging.INFO, "coursekit")
    with limited("keras"):
        assert not caplog.messages
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "8")
    with limited("keras"):
        assert caplog.messages == [
            "TensorFlow computes with 8 threads in this process already, not with 3: a network for pictures differs in "
            "its last digits"
        ]
    assert os.environ["OMP_NUM_THREADS"] == "3"
