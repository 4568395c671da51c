"""Packed jets as tensors on one device, from which batches are gathered by one indexing."""

import copy

import numpy as np

try:
    import torch
except ImportError as error:
    raise ImportError('packed jets are PyTorch tensors: pip install "coursekit[torch]"') from error

from coursekit.arrays import checked_weights, numbers, plain


class PackedJets:
    """Jets of any length with a target each, on one device.

    Parameters
    ----------
    features : (T, F) array, tensor, list or DataFrame of numbers
        One row per constituent, the jets one after the other; matched by position.
    counts : (N,) array, tensor, list or Series of whole numbers
        Constituents of each jet, their sum is T; zeros are allowed.
    targets : (N,) or (N, K) array, tensor, list, Series or DataFrame of numbers
        What the network shall say: labels 0 or 1, the number of a class, one-hot classes or their probabilities, or the
        K numbers of a regression.

    Attributes
    ----------
    features : (T, F) float32 tensor
    counts : (N,) int64 tensor
    targets : (N, K) float32 tensor

    Raises
    ------
    ValueError
        If the shapes do not fit together, or a value is missing, NaN, infinite, too large for float32, no number, or,
        of the counts, not whole.

    Examples
    --------
    >>> jets = PackedJets([[1.0], [2.0], [3.0]], counts=[2, 1], targets=[0, 1])
    >>> features, counts, targets = jets.batch(torch.tensor([1, 0]))
    >>> features.ravel().tolist(), counts.tolist(), targets.ravel().tolist()
    ([3.0, 1.0, 2.0], [1, 2], [1.0, 0.0])
    """

    def __init__(self, features, counts, targets):
        features, counts, targets = _float32(features, "features"), _whole(counts), _float32(targets, "targets")
        if features.ndim != 2 or counts.ndim != 1 or targets.ndim not in (1, 2) or len(targets) != len(counts):
            raise ValueError(
                "expected features (T, F), counts (N,) and targets (N,) or (N, K); got "
                f"{tuple(features.shape)}, {tuple(counts.shape)} and {tuple(targets.shape)}"
            )
        if ((counts < 0) | (counts > len(features))).any() or counts.sum() != len(features):
            raise ValueError(f"counts must be >= 0 and add up to T = {len(features)}; they add up to {counts.sum()}")
        self.features, self.counts = features, counts
        self.targets = targets[:, None] if targets.ndim == 1 else targets
        self._first = counts.cumsum(0) - counts  # (N,) the row at which each jet begins

    def __len__(self) -> int:
        """Return N, the number of jets."""
        return len(self.counts)

    def __getitem__(self, jets) -> "PackedJets":
        """Return some of the jets: ``jets[:1000]``, a mask of N bools, N' numbers, or ``jets[-1]``, which is one jet.

        Numbers and bools come as array, tensor, list or Series. IndexError if they do not fit.
        """
        if not isinstance(jets, slice):
            jets = plain(jets if np.ndim(jets) else [jets], "the index of jets")
            jets = jets if len(jets) else np.empty(0, dtype=np.int64)
        index = np.arange(len(self))[jets]
        if index.ndim != 1:
            raise IndexError(f"jets are one after the other, but an index of shape {index.shape} came")
        return PackedJets(*self.batch(torch.from_numpy(index.copy())))

    @property
    def device(self) -> torch.device:
        """The device on which the tensors live."""
        return self.features.device

    def to(self, device: torch.device | str) -> "PackedJets":
        """Return the same jets on a device."""
        return PackedJets(self.features.to(device), self.counts.to(device), self.targets.to(device))

    def with_weights(self, weights) -> "PackedJets":
        """Return the same jets with a weight for each, (N,), as a column behind the targets; with None as they are.

        Raises
        ------
        ValueError
            There is not a finite weight for each jet.
        """
        if weights is None:
            return self
        weights = torch.as_tensor(checked_weights(weights, len(self)), dtype=torch.float32, device=self.device)
        jets = copy.copy(self)
        jets.targets = torch.cat([self.targets, weights[:, None]], dim=1)
        return jets

    def batch(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Gather jets by their numbers, (B,) int64, in this order: features (T', F), counts (B,), targets (B, K)."""
        index = index.to(self.device)
        counts = self.counts[index]
        end = counts.cumsum(0)
        n_rows = int(end[-1]) if len(end) else 0
        shift = torch.repeat_interleave(self._first[index] - (end - counts), counts, output_size=n_rows)
        return self.features[torch.arange(n_rows, device=self.device) + shift], counts, self.targets[index]


def _float32(values, name: str) -> torch.Tensor:
    """Return numbers as a float32 tensor, which shares memory with them where it can."""
    tensor = _tensor(values, name)
    narrow = tensor.to(torch.float32)
    if not narrow.isfinite().all():
        rows = (~narrow.reshape(len(narrow), -1).isfinite().all(dim=1)).nonzero()[:, 0]
        what = "are too large for float32" if tensor.isfinite().all() else "have a NaN or an infinity"
        raise ValueError(f"{len(rows)} of {len(narrow)} rows of the {name} {what}, the first is row {int(rows[0])}")
    return narrow


def _whole(counts) -> torch.Tensor:
    counts = _tensor(counts, "counts", whole=True)
    whole = counts.to(torch.int64)
    if (whole != counts).any():
        first = int((whole != counts).flatten().nonzero()[0, 0])
        raise ValueError(f"counts are whole numbers of constituents, but jet {first} has {counts.flatten()[first]:g}")
    return whole


def _tensor(values, name: str, whole: bool = False) -> torch.Tensor:
    """Return a tensor as it is, without its gradients, and anything else as one."""
    if not isinstance(values, torch.Tensor):
        array = numbers(values, name)
        # PyTorch knows neither all types of NumPy nor negative strides, and may write to memory that is read-only.
        if array.dtype.kind == "u":
            array = array.astype(np.result_type(array, np.int64))
        values = torch.from_numpy(np.require(array, requirements=["C", "W"]))
    elif values.dtype in (torch.uint16, torch.uint32, torch.uint64):  # in which it computes little
        values = values.to(torch.float64)
    if values.is_complex() or (values.dtype == torch.bool and whole):
        raise ValueError(f"{name} must be numbers, but came as {str(values.dtype).removeprefix('torch.')}")
    return values.detach().to_dense()
