"""Packed jets in groups of similar size, for what looks at pairs of constituents: tables with little padding.

Pairs need a table of slots, (n, P), and a table for all jets of a batch would be as wide as the longest of them: with
jets of 10 to 130 constituents most of its pairs would be pairs of nothing. Sorted by size and cut into groups, one slot
in thirty is empty. No result depends on how the jets are grouped, because empty slots are masked.
"""

from collections.abc import Iterator

try:
    import torch
    from torch.nn import functional as F
except ImportError as error:
    raise ImportError('networks on sets need PyTorch: pip install "coursekit[torch]"') from error

#: Whether an exporter follows the code, without numbers.
is_exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)  # new in PyTorch 2.7
# Jets that a CPU computes at once, so that their pairs stay in its cache. A GPU takes all that it gets.
_CPU_JETS = 16


def grouped(counts: torch.Tensor, n_rows: int, at_least: int = 1) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield jets of similar size together, and where their constituents are.

    Parameters
    ----------
    counts : (N,) int64 tensor
        Constituents of each jet.
    n_rows : int
        T, the sum of the counts.
    at_least : int
        Smallest number of slots.

    Yields
    ------
    jets : (n,) int64 tensor
        Numbers of the jets of a group.
    rows : (n, P) int64 tensor
        Rows of their constituents among all, and T, one behind the last, where a slot is empty: see `in_slots`.

    Notes
    -----
    An exporter gets all jets as one group, in their order: it cannot follow a loop whose turns depend on numbers.

    Examples
    --------
    >>> for jets, rows in grouped(torch.tensor([3, 1, 2]), 6):
    ...     print(jets.tolist(), rows.tolist())
    [1, 2, 0] [[3, 6, 6], [4, 5, 6], [0, 1, 2]]
    """
    starts = counts.cumsum(0) - counts  # (N,)
    if is_exporting():
        longest = counts.max().item()
        torch._check(longest >= 0)
        parts = [(torch.arange(counts.shape[0], device=counts.device), longest)]
    else:
        ordered, order = counts.sort(stable=True)
        size = _CPU_JETS if counts.device.type == "cpu" else max(1, counts.shape[0])
        longest = [int(part[-1]) if len(part) else 0 for part in ordered.cpu().split(size)]
        parts = zip(order.split(size), longest, strict=True)
    for jets, longest in parts:
        slot = torch.arange(torch.sym_max(longest, at_least), device=counts.device)  # (P,)
        yield jets, torch.where(slot < counts[jets, None], starts[jets, None] + slot, n_rows)  # (n, P)


def in_slots(values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return packed values (T, C) in the slots of a group, (n, P, C), zeros in the empty ones."""
    return F.pad(values, (0, 0, 0, 1))[rows]


def exactly(values: torch.Tensor) -> torch.Tensor:
    """Return values in double precision, where a device has it: in it small differences of large products survive."""
    return values if values.device.type == "mps" else values.double()


def check_packed(x: torch.Tensor, counts: torch.Tensor, n_features: int) -> None:
    """Raise ValueError unless `x` is (T, n_features) and `counts` (N,) adds up to T."""
    # An exporter follows the code without numbers; what it makes compares the sum itself.
    shapes_fit = x.ndim == 2 and x.shape[1] == n_features and counts.ndim == 1
    if not (shapes_fit and (is_exporting() or counts.sum() == x.shape[0])):
        raise ValueError(
            f"expected x (T, {n_features}) and counts (N,) that add up to T; got x {tuple(x.shape)} and counts "
            f"{tuple(counts.shape)} with the sum {int(counts.sum())}. Padded jets (N, P, F) have to be packed first"
        )
