"""Functions of all pairs of constituents, for jets of any length: in padded batches of similar jets, by threads."""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import ThreadpoolController

from coursekit.jets.arrays import sum_by_jet
from coursekit.threads import workers


def r2(y: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Return the squared distances of all pairs, (B, P) -> (B, P, P)."""
    dphi = np.abs(phi[:, :, None] - phi[:, None, :])
    dphi = np.minimum(dphi, 2 * np.pi - dphi)
    return (y[:, :, None] - y[:, None, :]) ** 2 + dphi**2


def in_batches(
    function: Callable[..., np.ndarray],
    n_out: int,
    size: int,
    pt: np.ndarray,
    y: np.ndarray,
    phi: np.ndarray,
    counts: np.ndarray,
) -> np.ndarray:
    """Apply function(z, y, phi, counts) to batches of jets of similar length, padded to (B, P); return (N, n_out).

    z are the fractions of the jet's summed pT, zero for padding. Jets without pT are left out and get zeros.
    """
    result = np.zeros((len(counts), n_out))
    sum_pt = sum_by_jet(pt, counts)
    first = np.cumsum(counts) - counts
    order = np.argsort(-counts, kind="stable")  # falling, so that the first jet of a batch is its longest
    order = order[sum_pt[order] > 0]
    batches = []
    while len(order):
        longest = int(counts[order[0]])
        similar = np.count_nonzero(counts[order] > 0.8 * longest)  # 0.8^4: two in five products may be with padding
        n_jets = min(similar, max(1, size // longest**2))
        batches.append(order[:n_jets])
        order = order[n_jets:]

    def work(batch):
        p = np.arange(max(3, counts[batch[0]]))  # three axes need three places
        real = p < counts[batch, None]
        index = np.where(real, first[batch, None] + p, first[batch, None])  # padding repeats the first constituent
        z = np.where(real, pt[index], 0) / sum_pt[batch, None]
        result[batch] = function(z, y[index], phi[index], counts[batch])

    # One BLAS thread in each of ours: many small products are faster side by side than each one shared out.
    with _thread_pools().limit(limits=1, user_api="blas"), ThreadPoolExecutor(workers()) as pool:
        list(pool.map(work, batches))
    return result


@functools.cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()  # once: to look for the libraries takes milliseconds
