"""How many threads a training has: as many in this process as in a task on a cluster, so that both give the same."""

import contextlib
import logging
import os
from collections.abc import Iterator

from threadpoolctl import threadpool_limits

from coursekit.threads import of_a_task

_log = logging.getLogger("coursekit")


@contextlib.contextmanager
def limited(framework: str) -> Iterator[None]:
    """Let a training compute with the threads of a task, for the block.

    TensorFlow is told for the whole process, as it takes no other number once it has begun to compute.

    Parameters
    ----------
    framework : {"keras", "torch", "trees"}
    """
    n_threads = of_a_task()
    with contextlib.ExitStack() as stack:
        if framework == "torch" or (framework == "keras" and _backend() == "torch"):
            import torch

            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(n_threads)
        elif framework == "keras" and _backend() == "tensorflow":
            _limit_tensorflow(n_threads)
        stack.enter_context(threadpool_limits(n_threads))
        yield


def _backend() -> str:
    import keras

    return keras.backend.backend()


def _limit_tensorflow(n_threads: int) -> None:
    from tensorflow.config import threading

    try:
        threading.set_intra_op_parallelism_threads(n_threads)
    except RuntimeError:  # it has begun to compute
        begun = threading.get_intra_op_parallelism_threads() or os.environ.get("TF_NUM_INTRAOP_THREADS", "all")
        if str(begun) != str(n_threads):
            _log.info(
                "TensorFlow computes with %s threads in this process already, not with %d: a network for pictures "
                "differs in its last digits",
                begun,
                n_threads,
            )
